"""An input that says which member of a group a sample is of: by name in tables and texts, by place in arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from isocline_runtime import read_inputs
from isocline_runtime.errors import InputError
from isocline_runtime.feeds import prepare_feed
from isocline_runtime.frames import named_inputs
from isocline_runtime.manifest import Port, to_json
from isocline_runtime.manifest_reader import read_manifest
from isocline_runtime.port import member_name
from tests.runtime.conftest import make_manifest

WORDS = Port("child", "int64", ("batch",), classes=4, columns=("name",), members=("Ada", "Ben", "7"))


def places(**given: Any) -> list[int]:
    found: list[int] = prepare_feed((WORDS,), given).arrays["child"].tolist()
    return found


def test_texts_are_names_and_numbers_are_places() -> None:
    assert places(child=["Ben", "Ada", "Zoe", "7"]) == [1, 0, 3, 2]
    assert places(child=np.array(["Ben", "Zoe"], dtype=object)) == [1, 3]
    assert places(child=[2, 3, 0]) == [2, 3, 0]
    with pytest.raises(InputError, match="E737"):
        places(child=[7])


def test_one_sample_by_name_needs_no_axis() -> None:
    assert prepare_feed((WORDS,), {"child": "Ben"}).arrays["child"].tolist() == [1]


@pytest.mark.parametrize(("written", "name"), [("7", "7"), ("7.0", "7"), (7.0, "7"), (np.int64(7), "7"), (" a ", "a")])
def test_a_number_is_named_without_its_point(written: object, name: str) -> None:
    assert member_name(written) == name


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("column", ["name", "child"])
def test_a_table_names_members_as_the_data_do(tmp_path: Path, suffix: str, column: str) -> None:
    path = tmp_path / f"asked.{suffix}"
    if suffix == "csv":
        path.write_text(f"hour,{column}\n1,Ben\n2,7.0\n3,Zoe\n")
    else:
        pyarrow.parquet.write_table(pa.table({"hour": [1, 2, 3], column: ["Ben", "7", "Zoe"]}), path)
    assert read_inputs(path, (WORDS,))["child"].tolist() == [1, 2, 3]


def test_numbers_of_a_frame_are_names() -> None:
    assert np.asarray(named_inputs(pa.table({"name": [7, 1]}), (WORDS,))["child"]).tolist() == [2, 3]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_cell_without_a_name_is_missing(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"asked.{suffix}"
    if suffix == "csv":
        path.write_text("hour,name\n1,Ben\n2,\n")
    else:
        pyarrow.parquet.write_table(pa.table({"name": ["Ben", None]}), path)
    with pytest.raises(InputError, match="E755"):
        read_inputs(path, (WORDS,))
    with pytest.raises(InputError, match="E755"):
        named_inputs(pa.table({"name": ["Ben", None]}), (WORDS,))


def test_a_table_without_the_column_is_told_which() -> None:
    with pytest.raises(InputError, match="no column 'name'"):
        named_inputs(pa.table({"hour": [1]}), (WORDS,))


def test_every_class_but_the_last_has_a_name() -> None:
    for members in (("a",), ("a", "b", "c", "d"), ("a", "b", "b")):
        with pytest.raises(ValueError, match="every class but the last"):
            replace(WORDS, members=members)


def test_the_manifest_keeps_the_names_where_there_are_some() -> None:
    manifest = make_manifest({"model.onnx": b"abc"}, inputs=(WORDS,))
    assert read_manifest(to_json(manifest).encode(), "manifest.json").inputs == (WORDS,)
    without = replace(manifest, inputs=(replace(WORDS, members=()),))
    assert "members" not in to_json(without)
