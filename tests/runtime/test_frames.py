"""Data frames as inputs: Arrow tables, and what any library's frame has in common, since none is needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from isocline_runtime import load
from isocline_runtime.errors import InputError
from isocline_runtime.manifest import Port
from tests.runtime.conftest import WEIGHT

PORT = Port("first", "float32", ("batch", 2), low=0.0, high=10.0, columns=("hare", "lynx"))
ROWS = np.array([[1.0, 2.0], [3.0, 4.0]])


class Series:
    """A column as pandas has it: labels that are no positions, and `to_numpy`."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def to_numpy(self) -> Any:
        return self._values

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, label: object) -> Any:
        raise KeyError(label)


class Frame:
    """A frame as pandas and polars have it: `columns`, and a column by its name."""

    def __init__(self, **columns: Any) -> None:
        self._columns = {name: Series(np.asarray(values)) for name, values in columns.items()}

    @property
    def columns(self) -> list[str]:
        return list(self._columns)

    def __getitem__(self, name: str) -> Series:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)


FRAMES = [Frame, lambda **columns: pa.table(columns), dict]


@pytest.mark.parametrize("make", FRAMES)
@pytest.mark.parametrize("order", [("year", "lynx", "hare"), ("hare", "lynx", "year")])
def test_columns_go_where_they_went_in_training(write_artifact: Any, make: Any, order: tuple[str, ...]) -> None:
    columns = {"hare": ROWS[:, 0], "lynx": ROWS[:, 1], "year": np.array([1900, 1901])}
    session = load(write_artifact(inputs=(PORT,)))
    found = session.run(make(**{name: columns[name] for name in order}))
    np.testing.assert_allclose(found["forecast"], ROWS @ WEIGHT)


@pytest.mark.parametrize("make", FRAMES[:2])
def test_columns_by_the_names_of_the_input(write_artifact: Any, make: Any) -> None:
    found = load(write_artifact()).run(make(**{"first[1]": ROWS[:, 1], "first[0]": ROWS[:, 0]}))
    np.testing.assert_allclose(found["forecast"], ROWS @ WEIGHT)


@pytest.mark.parametrize(
    ("frame", "code", "part"),
    [
        (Frame(hare=[1.0, 2.0]), "E752", "no column 'lynx'"),
        (Frame(hare=[1.0, np.nan], lynx=[1.0, 2.0]), "E755", "row 1, column 'hare'"),
        (Frame(hare=["a", "b"], lynx=[1.0, 2.0]), "E754", "column 'hare'"),
        (Frame(hare=np.array([1.0, None], dtype=object), lynx=[1.0, 2.0]), "E755", "row 1"),
        (Frame(hare=[1.0, 20.0], lynx=[1.0, 2.0]), "E736", "first[1, 0]"),
        (Frame(hare=np.array(["2020-01-01"] * 2, "M8[D]"), lynx=[1.0, 2.0]), "E754", "2020-01-01"),
        ([[1.0, 2.0]], "E741", "list has none"),
        (np.ones((1, 2)), "E741", "session.run(first=...)"),
    ],
)
def test_what_does_not_fit_is_named(write_artifact: Any, frame: Any, code: str, part: str) -> None:
    with pytest.raises(InputError) as caught:
        load(write_artifact(inputs=(PORT,))).run(frame)
    assert caught.value.code == code
    assert part in str(caught.value)
