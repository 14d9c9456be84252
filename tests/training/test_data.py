"""Data files become arrays by port; whatever does not fit is said with file, column and line."""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from isocline_compiler.data import Dataset, load_data, read_table, sizes, table
from isocline_compiler.data.columns import hold, interpolate
from isocline_compiler.graph.called import Called
from isocline_compiler.model import DataBinding, DataPlan, Port
from isocline_dsl.diagnostics import Diagnostic, IsoclineError, Source
from isocline_dsl.tree import Span
from isocline_runtime.errors import InputError
from isocline_runtime.manifest import Port as FilePort
from isocline_runtime.tables import read_inputs

SOURCE = Source("dyn 1\n", "model.dyn")
SPAN = Span(0, 3)


def write(folder: Path, text: str, name: str = "data.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def plan(*bindings: DataBinding, source: str = "data.csv", **settings: Any) -> DataPlan:
    return DataPlan(source, SPAN, bindings, **settings)


def bind(port: str, form: Any, *columns: str, count: int | None = None) -> DataBinding:
    return DataBinding(port, form, columns, count, SPAN)


def real(name: str, *shape: int | str, batched: bool = True) -> Port:
    return Port(name, "real", shape, batched)


def load(folder: Path, plan: DataPlan, inputs: list[Port], targets: list[Port] | None = None) -> Dataset:
    return load_data(plan, inputs, targets or [], folder, SOURCE)


def diagnostic(error: pytest.ExceptionInfo[IsoclineError]) -> Diagnostic:
    (found,) = error.value.diagnostics
    return found


PELTS = "year,hare,lynx\n1900,30,4\n1901,47.2,6.1\n1902,70.2,9.8\n"


def test_one_row_and_all_rows_make_one_sample(tmp_path: Path) -> None:
    write(tmp_path, PELTS)
    bindings = plan(bind("first", "row", "hare", "lynx", count=1), bind("pelts", "rows", "hare", "lynx"))
    data = load(tmp_path, bindings, [real("first", 2)], [real("pelts", "T", 2)])
    np.testing.assert_array_equal(data.train.arrays["first"], [[47.2, 6.1]])
    np.testing.assert_array_equal(data.train.arrays["pelts"], [[[30, 4], [47.2, 6.1], [70.2, 9.8]]])
    assert data.held_out_is_training
    assert data.held_out is data.train


def test_one_column_of_rows_is_a_vector(tmp_path: Path) -> None:
    write(tmp_path, PELTS)
    data = load(tmp_path, plan(bind("h", "rows", "hare")), [real("h", 3)])
    assert data.train.arrays["h"].tolist() == [[30, 47.2, 70.2]]


def test_patterns_are_in_natural_order_and_fold_into_images(tmp_path: Path) -> None:
    names = [f"pixel_{i}" for i in (0, 10, 2, 1)] + ["digit"]
    write(tmp_path, ",".join(names) + "\n0,10,2,1,7\n5,15,7,6,3\n")
    bindings = plan(bind("image", "columns", "pixel_*"), bind("label", "column", "digit"))
    label = Port("label", "class", (), classes=10)
    data = load(tmp_path, bindings, [real("image", 1, 2, 2)], [label])
    assert data.train.arrays["image"].tolist() == [[[[0, 1], [2, 10]]], [[[5, 6], [7, 15]]]]
    assert data.train.arrays["label"].dtype == np.int64


def test_the_same_numbers_from_every_kind_of_file(tmp_path: Path) -> None:
    columns = {"a": np.array([1.5, 2.5]), "b": np.array([3, 4])}
    write(tmp_path, "a,b\n1.5,3\n2.5,4\n", "t.csv")
    pa.parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    np.savez(tmp_path / "t.npz", **columns)
    save_file(columns, tmp_path / "t.safetensors")
    for ending in ("csv", "parquet", "npz", "safetensors"):
        data = load(tmp_path, plan(bind("x", "columns", "a", "b"), source=f"t.{ending}"), [real("x", 2)])
        assert data.train.arrays["x"].tolist() == [[1.5, 3], [2.5, 4]], ending


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(2, 30), past=st.integers(1, 6), future=st.integers(1, 6), stride=st.integers(1, 5))
def test_windows_are_the_rows_they_say(
    tmp_path_factory: pytest.TempPathFactory, rows: int, past: int, future: int, stride: int
) -> None:
    folder = tmp_path_factory.mktemp("windows")
    write(folder, "v\n" + "\n".join(str(i) for i in range(rows)) + "\n")
    bindings = plan(bind("p", "past", "v", count=past), bind("f", "future", "v", count=future), stride=stride)
    ports = ([real("p", past)], [real("f", future, 1)])
    if rows < past + future:
        with pytest.raises(IsoclineError) as error:
            load(folder, bindings, *ports)
        assert diagnostic(error).code == "E520"
        return
    arrays = load(folder, bindings, *ports).train.arrays
    expected = [
        (list(range(s, s + past)), list(range(s + past, s + past + future)))
        for s in range(0, rows, stride)
        if s + past + future <= rows
    ]
    assert arrays["p"].tolist() == [p for p, _ in expected]
    assert arrays["f"][..., 0].tolist() == [f for _, f in expected]


# ---------------------------------------------------------------------------------------- what does not fit

COLUMN_X = (bind("x", "column", "x"),)
MISTAKES = {
    "mixed types": ("x,y\n1,2\n\n2,3\nfour,5\n", COLUMN_X, real("x"), "E511", "line 5, column `x`: `four`"),
    "late text": ("x\n" + "1\n" * 400_000 + "oops\n", COLUMN_X, real("x"), "E511", "line 400002"),
    "empty": ("", COLUMN_X, real("x"), "E505", "no rows"),
    "only a header": ("x,y\n", COLUMN_X, real("x"), "E505", "no rows"),
    "no header": ("1,2\n3,4\n", COLUMN_X, real("x"), "E506", "line 1"),
    "ragged": ('x,y\n1,"a\nb"\n3\n', COLUMN_X, real("x"), "E507", "line 4: 1 cell, the header has 2"),
    "repeated": ("x,x\n1,2\n", COLUMN_X, real("x"), "E508", "`x`"),
    "misspelt": ("xs,y\n1,2\n", COLUMN_X, real("x"), "E509", "`x`"),
    "no pattern": ("a,b\n1,2\n", (bind("x", "columns", "p_*"),), real("x", 2), "E510", "`p_*`"),
    "dates": ("x\n2014-01-01\n", COLUMN_X, real("x"), "E512", "2014-01-01"),
    "missing": (
        "x,y\n1,1\n,2\nNA,3\n",
        COLUMN_X,
        real("x"),
        "E513",
        "line 3, column `x`: no finite value; 2",
    ),
    "infinite": ("x\n1\ninf\n", COLUMN_X, real("x"), "E513", "line 3"),
    "label": ("x\n0\n3\n", COLUMN_X, Port("x", "class", (), classes=3), "E514", "line 3: the label 3"),
    "half": ("x\n0\n0.5\n", COLUMN_X, Port("x", "class", (), classes=3), "E515", "line 3: the label 0.5"),
    "shape": ("x,y\n1,2\n", (bind("x", "columns", "x", "y"),), real("x", 3), "E516", "shape [2]"),
    "row": ("x\n1\n", (bind("x", "row", "x", count=4),), real("x"), "E519", "no row 4"),
    "unbound": ("x\n1\n", (bind("y", "column", "x"),), real("x"), "E521", "`x`"),
    "truth": ("x\n1\n2\n", COLUMN_X, Port("x", "bool", ()), "E529", "line 3"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake(name: str, tmp_path: Path) -> None:
    text, bindings, port, code, part = MISTAKES[name]
    write(tmp_path, text)
    with pytest.raises(IsoclineError) as error:
        load(tmp_path, plan(*bindings), [port])
    found = diagnostic(error)
    assert (found.code, part in found.message) == (code, True), found
    assert error.value.source is SOURCE


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("t.xlsx", b"", "E502"),
        ("t.parquet", b"PAR1 not really", "E504"),
        ("t.npz", b"PK nonsense", "E504"),
        ("t.safetensors", b"\xff" * 40, "E504"),
        ("t.csv", b"x,y\n\xff\xfe,1\n", "E504"),
        ("gone.csv", None, "E503"),
    ],
)
def test_file_that_cannot_be_read(name: str, content: bytes | None, code: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(IsoclineError) as error:
        read_table(tmp_path / name)
    assert diagnostic(error).code == code


def test_arrays_of_python_objects_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.array([{"code": 1}], dtype=object))
    with pytest.raises(IsoclineError, match="E504"):
        read_table(tmp_path / "t.npz")


TABLES: dict[str, Callable[[Path], None]] = {
    "t.csv": lambda path: path.write_text("x\n" + "1\n" * 100) and None,
    "t.npz": lambda path: np.savez_compressed(path, x=np.zeros(100)),
    "t.parquet": lambda path: pa.parquet.write_table(pa.table({"x": np.zeros(100)}), path),
    "t.safetensors": lambda path: save_file({"x": np.zeros(100)}, path),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_file_beyond_the_limit_is_refused_before_it_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TABLES[name](tmp_path / name)
    assert len(read_table(tmp_path / name).columns["x"]) == 100
    limit = (tmp_path / name).stat().st_size - 1
    monkeypatch.setattr(sizes, "INPUT_LIMIT", limit)
    monkeypatch.setattr(table, "READERS", {Path(name).suffix: lambda *_: pytest.fail("it was read")})
    with pytest.raises(IsoclineError) as error:
        read_table(tmp_path / name)
    found = diagnostic(error)
    assert found.code == "E504"
    assert f"it has {limit + 1} bytes, the limit is {limit}" in found.message


@pytest.mark.parametrize("name", ["t.npz", "t.parquet"])
def test_a_file_that_unpacks_beyond_the_limit_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of zeros is a file of a few kilobytes."""
    zeros = np.zeros(131072)
    if name == "t.npz":
        np.savez_compressed(tmp_path / name, x=zeros)
    else:
        pa.parquet.write_table(pa.table({"x": zeros}), tmp_path / name)
    packed = (tmp_path / name).stat().st_size
    assert packed < 100_000
    monkeypatch.setattr(sizes, "INPUT_LIMIT", packed)
    with pytest.raises(IsoclineError) as error:
        read_table(tmp_path / name)
    assert diagnostic(error).code == "E504"
    assert "unpacks to 10" in diagnostic(error).message


def test_an_npz_of_absurd_size_is_refused_by_its_list_of_contents(tmp_path: Path) -> None:
    """It says that it unpacks to 2^32 bytes and more, of which there are none."""
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY")
        archive.infolist()[0].file_size = 2**33
    with pytest.raises(IsoclineError) as error:
        read_table(tmp_path / "t.npz")
    assert diagnostic(error).code == "E504"
    assert f"unpacks to {2**33} bytes" in diagnostic(error).message


def test_an_array_that_claims_more_than_its_file_holds_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    with zipfile.ZipFile(tmp_path / "t.npz", "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\0" * 80)
    with pytest.raises(IsoclineError, match="E504"):
        read_table(tmp_path / "t.npz")


def test_named_sizes_must_agree(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", a=np.zeros((2, 3)), b=np.zeros((2, 4)))
    bindings = plan(bind("a", "array", "a"), bind("b", "array", "b"), source="t.npz")
    with pytest.raises(IsoclineError, match="E517"):
        load(tmp_path, bindings, [real("a", "T"), real("b", "T")])


def test_counts_of_samples_must_agree(tmp_path: Path) -> None:
    write(tmp_path, PELTS)
    bindings = plan(bind("a", "column", "hare"), bind("b", "row", "lynx", count=0))
    with pytest.raises(IsoclineError, match="E518"):
        load(tmp_path, bindings, [real("a"), real("b")])


# ------------------------------------------------------------------------------------------- missing values

GAPS = "x,y\n,1\n1,2\n,3\n3,4\n,5\n"


def test_dropping_is_said(tmp_path: Path) -> None:
    write(tmp_path, GAPS)
    bindings = plan(bind("x", "column", "x"), bind("y", "column", "y"), missing="drop")
    data = load(tmp_path, bindings, [real("x")], [real("y")])
    assert data.train.arrays["y"].tolist() == [2, 4]
    assert "3 of 5 samples left out" in data.notes[0]


@pytest.mark.parametrize(("policy", "line"), [("hold", 2), ("interpolate", 2)])
def test_filling_cannot_invent_the_ends(policy: str, line: int, tmp_path: Path) -> None:
    write(tmp_path, GAPS)
    with pytest.raises(IsoclineError) as error:
        load(tmp_path, plan(*COLUMN_X, missing=policy), [real("x")])
    assert f"line {line}" in diagnostic(error).message


def test_filling_is_said(tmp_path: Path) -> None:
    write(tmp_path, "x\n1\n\n1\nNA\n4\n")
    data = load(tmp_path, plan(*COLUMN_X, missing="interpolate"), [real("x")])
    assert data.train.arrays["x"].tolist() == [1, 1, 2.5, 4]
    assert "1 missing values of `x`" in data.notes[0]


def test_fills() -> None:
    nan, inf = np.nan, np.inf
    values = np.array([nan, 1, inf, nan, 4, nan])
    np.testing.assert_array_equal(hold(values), [nan, 1, 1, 1, 4, 4])
    np.testing.assert_array_equal(interpolate(values), [nan, 1, 2, 3, 4, nan])


# ---------------------------------------------------------------------------------------------------- splits


def hourly(folder: Path, rows: int = 48) -> None:
    hours = np.datetime64("2013-12-31T00:00") + np.arange(rows) * np.timedelta64(1, "h")
    lines = [f"{hour},{i}".replace("T", " ") for i, hour in enumerate(hours)]
    write(folder, "when,v\n" + "\n".join(lines) + "\n")


@settings(max_examples=30, deadline=None)
@given(train=st.floats(0.2, 0.7), validation=st.floats(0.1, 0.2), seed=st.integers(0, 99))
def test_fractions_part_the_samples(
    tmp_path_factory: pytest.TempPathFactory, train: float, validation: float, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("fraction")
    hourly(folder)
    split = Called("fraction", {"train": train, "validation": validation, "seed": seed})
    bindings = plan(bind("v", "column", "v"), split=split)
    data, again = (load(folder, bindings, [real("v")]) for _ in range(2))
    assert data.validation is not None
    assert data.test is not None
    parts = [part.arrays["v"] for part in (data.train, data.validation, data.test)]
    assert sorted(np.concatenate(parts)) == list(range(48))
    assert len(parts[0]) == round(train * 48)
    np.testing.assert_array_equal(parts[0], again.train.arrays["v"])


def test_what_validates_does_not_train(tmp_path: Path) -> None:
    hourly(tmp_path)
    data = load(tmp_path, plan(bind("v", "column", "v")), [real("v")]).with_validation(0.25, seed=3)
    assert data.validation is not None
    parts = [part.arrays["v"].tolist() for part in (data.train, data.validation)]
    assert [len(part) for part in parts] == [36, 12]
    assert sorted(parts[0] + parts[1]) == list(range(48))


def test_the_tail_validates_before_it_tests(tmp_path: Path) -> None:
    hourly(tmp_path)
    split = Called("tail", {"test": 0.25, "validation": 6})
    data = load(tmp_path, plan(bind("v", "column", "v"), split=split), [real("v")])
    assert data.validation is not None
    assert data.test is not None
    parts = [part.arrays["v"].tolist() for part in (data.train, data.validation, data.test)]
    assert parts == [list(range(30)), list(range(30, 36)), list(range(36, 48))]


def test_windows_that_cross_a_boundary_in_time_are_left_out(tmp_path: Path) -> None:
    hourly(tmp_path)
    bindings = plan(
        bind("p", "past", "v", count=3),
        bind("f", "future", "v", count=4),
        split=Called("time", {"column": "when", "validation": "2013-12-31 12:00", "test": "2014-01-01"}),
    )
    data = load(tmp_path, bindings, [real("p", 3)], [real("f", 4)])
    assert data.validation is not None
    assert data.test is not None
    assert data.train.arrays["f"].max() == 11
    assert (data.validation.arrays["f"].min(), data.validation.arrays["f"].max()) == (12, 23)
    assert data.test.arrays["f"].min() == 24
    assert data.test.arrays["p"].min() == 21
    assert any("6 samples that cross" in note for note in data.notes)


def test_a_column_tells_the_split(tmp_path: Path) -> None:
    write(tmp_path, "v,part\n1,train\n2,test\n3,train\n4,validation\n")
    bindings = plan(bind("v", "column", "v"), split=Called("column", {"column": "part"}))
    data = load(tmp_path, bindings, [real("v")])
    assert data.validation is not None
    assert data.test is not None
    assert [part.arrays["v"].tolist() for part in (data.train, data.validation, data.test)] == [
        [1, 3],
        [4],
        [2],
    ]
    write(tmp_path, "v,part\n1,train\n2,holdout\n")
    with pytest.raises(IsoclineError) as error:
        load(tmp_path, bindings, [real("v")])
    assert "line 3, column `part`: `holdout`" in diagnostic(error).message


@pytest.mark.parametrize(("test", "expected"), [(0.25, 12), (5, 5)])
def test_the_tail_is_in_order(test: float, expected: int, tmp_path: Path) -> None:
    hourly(tmp_path)
    data = load(tmp_path, plan(bind("v", "column", "v"), split=Called("tail", {"test": test})), [real("v")])
    assert data.test is not None
    assert data.test.arrays["v"].tolist() == list(range(48 - expected, 48))
    assert data.held_out is data.test


def test_windows_that_overlap_and_are_shuffled_are_said_to_leak(tmp_path: Path) -> None:
    hourly(tmp_path)
    notes = []
    for stride in (3, 4):
        bindings = plan(
            bind("p", "past", "v", count=2), bind("f", "future", "v", count=4), stride=stride, split=Called("fraction")
        )
        notes.append(load(tmp_path, bindings, [real("p", 2)], [real("f", 4)]).notes)
    assert "share rows" in notes[0][0]
    assert notes[1] == ()


def test_an_empty_part_is_an_error(tmp_path: Path) -> None:
    hourly(tmp_path)
    split = Called("time", {"column": "when", "test": "2020-01-01"})
    with pytest.raises(IsoclineError, match="E523"):
        load(tmp_path, plan(bind("v", "column", "v"), split=split), [real("v")])


def test_times_that_go_back_and_times_with_gaps(tmp_path: Path) -> None:
    bindings = plan(bind("v", "past", "v", count=2), time="t")
    write(tmp_path, "t,v\n0,1\n2,1\n1,1\n")
    with pytest.raises(IsoclineError) as error:
        load(tmp_path, bindings, [real("v", 2)])
    assert (diagnostic(error).code, "line 4" in diagnostic(error).message) == ("E526", True)
    write(tmp_path, "t,v\n0,1\n1,1\n2,1\n5,1\n")
    assert "1 steps of `t`" in load(tmp_path, bindings, [real("v", 2)]).notes[0]


def test_the_digest_follows_the_training_data(tmp_path: Path) -> None:
    bindings = plan(bind("x", "column", "x"))
    digests = set()
    for text in ("x\n1\n2\n", "x\n1\n3\n", "x\n1.0\n2.0\n"):
        write(tmp_path, text)
        digests.add(load(tmp_path, bindings, [real("x")]).digest)
    assert len(digests) == 2


@pytest.mark.parametrize("cell", ["0.5", "+.5", "1e-3", '"2.5"', '" 3"'])
def test_training_and_running_read_the_same_numbers(cell: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"x\n1\n{cell}\n")
    trained = load(tmp_path, plan(*COLUMN_X), [real("x")]).train.arrays["x"]
    assert trained.tolist() == read_inputs(path, (FilePort("x", "float64", ("batch",)),))["x"].tolist()


@pytest.mark.parametrize("cell", ["1_000", "0x10", "1.5.2", "a", "1 000", "NA", "nan"])
def test_training_and_running_refuse_the_same_cells(cell: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"x\n1\n{cell}\n")
    with pytest.raises(IsoclineError):
        load(tmp_path, plan(*COLUMN_X), [real("x")])
    with pytest.raises(InputError):
        read_inputs(path, (FilePort("x", "float64", ("batch",)),))


# ------------------------------------------------------------------------------------- nothing is changed silently

CHANGED: dict[str, tuple[Any, str]] = {
    "unsigned": (np.array([1, 2**63 + 5], dtype=np.uint64), "row 2, column `x`: 9223372036854775813 is beyond"),
    "all ones": (np.array([2**64 - 1, 0], dtype=np.uint64), "row 1, column `x`: 18446744073709551615 is beyond"),
    "complex": (np.array([1 + 0j, 2 + 1j]), "row 1, column `x`: (1+0j) is a complex number"),
    "complex64": (np.array([3j], dtype=np.complex64), "row 1, column `x`: 3j is a complex number"),
    "extended": (np.array([0.5, np.longdouble("0.1")], dtype=np.longdouble), "row 2, column `x`: 0.1 is longer than"),
}


@pytest.mark.parametrize("form", ["column", "array"])
@pytest.mark.parametrize("name", CHANGED)
def test_what_cannot_be_kept_is_refused_where_it_is_used(name: str, form: str, tmp_path: Path) -> None:
    array, said = CHANGED[name]
    np.savez(tmp_path / "t.npz", x=array, fine=np.ones(len(array)))
    with pytest.raises(IsoclineError) as error:
        load(tmp_path, plan(bind("x", form, "x"), source="t.npz"), [real("x")])
    assert (diagnostic(error).code, said in diagnostic(error).message) == ("E532", True), diagnostic(error)
    assert load(tmp_path, plan(bind("x", form, "fine"), source="t.npz"), [real("x")]).train.count == len(array)


def test_unsigned_integers_of_every_file_are_refused_alike(tmp_path: Path) -> None:
    large = np.array([[1, 7], [2, 2**63]], dtype=np.uint64)
    np.savez(tmp_path / "t.npz", x=large)
    save_file({"x": large}, tmp_path / "t.safetensors")
    pa.parquet.write_table(pa.table({"x": large[:, 1]}), tmp_path / "t.parquet")
    for source, port in (("t.npz", real("x", 2)), ("t.safetensors", real("x", 2)), ("t.parquet", real("x"))):
        form = "column" if source.endswith("parquet") else "array"
        with pytest.raises(IsoclineError, match="row 2, column `x`: 9223372036854775808 is beyond"):
            load(tmp_path, plan(bind("x", form, "x"), source=source), [port])


def test_unsigned_integers_that_fit_are_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", x=np.array([1, 2**53], dtype=np.uint64))
    assert load(tmp_path, plan(bind("x", "column", "x"), source="t.npz"), [real("x")]).train.arrays["x"][1] == 2**53


@pytest.mark.parametrize("cell", ["0x10", "1_000", "true", "１２", "1d5", "1,5"])
@pytest.mark.parametrize("kind", ["real", "class"])
def test_a_cell_that_is_no_number_says_its_line_and_column(cell: str, kind: Any, tmp_path: Path) -> None:
    write(tmp_path, f'y,x\n1,"{cell}"\n2,"{cell}"\n')
    with pytest.raises(IsoclineError) as error:
        load(tmp_path, plan(*COLUMN_X), [Port("x", kind, (), classes=3 if kind == "class" else None)])
    assert (diagnostic(error).code, f"line 2, column `x`: `{cell}`" in diagnostic(error).message) == ("E511", True)


def test_integers_that_a_float_rounds_are_said(tmp_path: Path) -> None:
    write(tmp_path, "x\n9007199254740993\n9007199254740992\n-9007199254740995\n")
    notes = load(tmp_path, plan(*COLUMN_X), [real("x")]).notes
    assert "2 integers of `x` are beyond 2^53 and rounded to a float64" in notes


@pytest.mark.parametrize("value", ["1e300", "-1", "3", "9223372036854775807"])
def test_a_label_out_of_range_is_shown_as_it_is(value: str, tmp_path: Path) -> None:
    write(tmp_path, f"x\n0\n{value}\n")
    with pytest.raises(IsoclineError) as error:
        load(tmp_path, plan(*COLUMN_X), [Port("x", "class", (), classes=3)])
    assert f"line 3: the label {float(value):.0f} of" in diagnostic(error).message


@pytest.mark.parametrize(("policy", "kept"), [("hold", [0, 0, 2, 1]), ("drop", [0, 2, 1])])
def test_a_missing_class_is_held_or_dropped(policy: str, kept: list[int], tmp_path: Path) -> None:
    write(tmp_path, "x\n0\nNA\n2\n1\n")
    data = load(tmp_path, plan(*COLUMN_X, missing=policy), [Port("x", "class", (), classes=3)])
    assert data.train.arrays["x"].tolist() == kept


# ---------------------------------------------------------------------------------- what the data make doubtful

BOUNDS = [
    ("x\n1\n3\n99\n", real("x"), (0.0, 10.0), "`x`: 1 of 3 samples (99) lies outside in (0, 10)"),
    ("x\n-1\n3\n99\n0\n", real("x"), (0.0, 10.0), "`x`: 3 of 4 samples (-1, 99, 0) lie outside in (0, 10)"),
    ("x\n-1\n-2\n-3\n-4\n", real("x"), (0.0, np.inf), "`x`: 4 of 4 samples (-1, -2, -3, ...) lie outside in (0"),
    ("x\n1\n3\n", real("x"), (0.0, 10.0), None),
    ("x\n1\n300\n", real("x"), None, None),
]


@pytest.mark.parametrize(("text", "port", "bounds", "said"), BOUNDS)
def test_samples_outside_of_their_bounds_are_said(
    text: str, port: Port, bounds: tuple[float, float] | None, said: str | None, tmp_path: Path
) -> None:
    write(tmp_path, text)
    notes = load(tmp_path, plan(*COLUMN_X), [dataclasses.replace(port, bounds=bounds)]).notes
    found = [note for note in notes if "outside" in note]
    assert len(found) == (said is not None)
    assert said is None or found[0].startswith(said)


def test_a_vector_counts_as_one_sample_outside_of_its_bounds(tmp_path: Path) -> None:
    write(tmp_path, "a,b\n1,20\n30,40\n3,4\n")
    port = dataclasses.replace(real("x", 2), bounds=(0.0, 10.0))
    notes = load(tmp_path, plan(bind("x", "columns", "a", "b")), [port]).notes
    assert "`x`: 2 of 3 samples (20, 30, 40) lie outside in (0, 10)" in notes


TWO_SERIES = "who,t,v\n" + "".join(f"{who},{t},{t}\n" for who in ("ann", "bob") for t in range(5))
PATCHES = {
    "a clock that restarts": (TWO_SERIES, {}, ["`t` goes back within 2 of 8 windows", "`who` changes within 2 of 8"]),
    "names alone": (
        "who,v\n" + "a,1\n" * 4 + "b,2\n" * 4 + "c,3\n" * 4, {}, ["`who` changes within 4 of 10 windows"],
    ),
    "numbers as names": ("patient,v\n" + "7,1\n" * 3 + "3,2\n" * 3, {}, ["`patient` changes within 2 of 4 windows"]),
    "one series in chapters": ("t,who,v\n" + "".join(f"{t},{'ab'[t > 4]},{t}\n" for t in range(10)), {}, []),
    "a gap in a clock nobody named": (
        "t,v\n" + "".join(f"{t},{t}\n" for t in (0, 1, 2, 3, 7, 8, 9)), {}, ["1 steps of `t` are not the usual one: 2"],
    ),
    "a gap in dates": (
        "when,v\n" + "".join(f"2014-01-{d:02d},{d}\n" for d in (1, 2, 3, 4, 9, 10)), {"time": "when"},
        ["1 steps of `when` are not the usual one: 2 of 4 windows span a gap"],
    ),
    "windows that keep clear": (TWO_SERIES, {"stride": 5}, []),
    "measured values": ("w,v\n" + "".join(f"{t * t % 7},{t}\n" for t in range(9)), {}, []),
    "the split": ("v,part\n" + "1,train\n" * 4 + "2,test\n" * 4, {"split": Called("column", {"column": "part"})}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", PATCHES)
def test_windows_over_rows_that_do_not_belong_together_are_said(name: str, tmp_path: Path) -> None:
    """Three rows a window."""
    text, settings_, expected = PATCHES[name]
    write(tmp_path, text)
    bindings = plan(bind("p", "past", "v", count=2), bind("f", "future", "v", count=1), **settings_)
    notes = load(tmp_path, bindings, [real("p", 2)], [real("f", 1)]).notes
    found = [note for note in notes if "windows" in note]
    assert [note[: len(start)] for note, start in zip(found, expected, strict=True)] == expected
