"""Inputs and outputs in files: what other programs write is read, and every fault names its cell."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isocline_runtime import parquet_table
from isocline_runtime.errors import ArtifactError, InputError, ProviderError, RuntimeFault
from isocline_runtime.manifest import Port
from isocline_runtime.tables import FILE_TYPES, read_inputs, write_outputs

FIRST = Port("first", "float32", ("batch", 2))
K = Port("k", "float64", ("batch",))
M = Port("m", "float32", ("batch", 2, 2))
LABEL = Port("label", "int64", ("batch",))
FLAG = Port("flag", "bool", ("batch",))
SERIES = Port("xs", "float32", ("batch", "T"))
SHARED = Port("grid", "float64", (3,))


def write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refuse(path: Path, ports: tuple[Port, ...], code: str, *parts: str) -> None:
    with pytest.raises(InputError) as caught:
        read_inputs(path, ports)
    assert caught.value.code == code
    for part in (path.name, *parts):
        assert part in str(caught.value)


def test_a_csv_by_names_in_any_order(tmp_path: Path) -> None:
    text = "\ufeffy, first[1],first[0],k,label,flag\n1900,2,1,.5,7,true\n\n1,4.5,3e0,-1,9007199254740993,0\n"
    found = read_inputs(write(tmp_path, "a.csv", text), (FIRST, K, LABEL, FLAG))
    assert found["first"].tolist() == [[1, 2], [3, 4.5]]
    assert found["k"].tolist() == [0.5, -1]
    assert found["label"].tolist() == [7, 9007199254740993]
    assert found["flag"].tolist() == [True, False]


TRAINED = Port("first", "float32", ("batch", 2), columns=("hare", "lynx"))
IMAGE = Port("image", "float32", ("batch", 2, 2), columns=("p0", "p1", "p2", "p3"))


@pytest.mark.parametrize("names", [("hare", "lynx"), ("lynx", "hare")])
@pytest.mark.parametrize("suffix", [".csv", ".npz", ".parquet", ".json"])
def test_columns_are_bound_by_the_names_that_the_model_was_trained_on(
    tmp_path: Path, suffix: str, names: tuple[str, str]
) -> None:
    """Whatever their order; other columns are left aside."""
    columns = {"hare": np.array([30, 47.2]), "lynx": np.array([4, 6.1])}
    table = {"year": np.array([1900.0, 1901.0]), **{name: columns[name] for name in names}}
    path = tmp_path / f"a{suffix}"
    write_outputs(path, table, [Port(name, "float64", ("batch",)) for name in table])
    np.testing.assert_array_equal(read_inputs(path, (TRAINED,))["first"], [[30, 4], [47.2, 6.1]])


def test_an_image_takes_its_columns_row_by_row(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "p3,p1,p2,p0\n4,2,3,1\n")
    assert read_inputs(path, (IMAGE,))["image"].tolist() == [[[1, 2], [3, 4]]]


def test_columns_are_never_taken_by_their_order(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "lynx,hares\n4,30\n6.1,47.2\n")
    refuse(path, (FIRST,), "E752", "no column 'first[0]'", "lynx, hares")
    refuse(path, (TRAINED,), "E752", "no column 'hare'", "did you mean 'hares'")
    refuse(path, (K,), "E752", "no column 'k'")


def test_the_names_of_the_input_go_before_those_of_the_training(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "hare,lynx,first[0],first[1]\n1,2,3,4\n")
    assert read_inputs(path, (TRAINED,))["first"].tolist() == [[3, 4]]


def test_matrices_and_open_sizes(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a.csv",
        'm[0,0],"m[0,1]","m[1, 0]","m[1,1]"\n'.replace("m[0,0],", '"m[0,0]",') + "1,2,3,4\n",
    )
    assert read_inputs(path, (M,))["m"].tolist() == [[[1, 2], [3, 4]]]
    path = write(tmp_path, "b.csv", "xs[0],xs[1],xs[2]\n1,2,3\n4,5,6\n")
    assert read_inputs(path, (SERIES,))["xs"].tolist() == [[1, 2, 3], [4, 5, 6]]


def test_a_value_without_batch_axis_is_the_same_in_all_rows(tmp_path: Path) -> None:
    header = "k,grid[0],grid[1],grid[2]\n"
    path = write(tmp_path, "a.csv", header + "1,0,1,2\n2,0,1,2\n")
    assert read_inputs(path, (K, SHARED))["grid"].tolist() == [0, 1, 2]
    refuse(write(tmp_path, "b.csv", header + "1,0,1,2\n2,0,1,3\n"), (K, SHARED), "E758", "'grid'")


@pytest.mark.parametrize(
    ("text", "ports", "code", "part"),
    [
        ("k\n1\n\n \n", (K,), "E755", "line 4, column 'k'"),
        ("k,z\n1,2\n,3\n", (K,), "E755", "line 3, column 'k'"),
        ("k,z\n1,2\nNA,3\n", (K,), "E755", "line 3"),
        ("k\n1\nx\n", (K,), "E754", "line 3, column 'k': 'x' is not a number"),
        ("k\n1_000\n", (K,), "E754", "'1_000'"),
        ("label\n1.5\n", (LABEL,), "E754", "'1.5' is not an integer"),
        ("label\n1e30\n", (LABEL,), "E754", "'1e30'"),
        ("label\n9223372036854775808\n", (LABEL,), "E754", "not an integer"),
        ("label\ninf\n", (LABEL,), "E754", "not an integer"),
        ("flag\n2\n", (FLAG,), "E754", "true or false"),
        ("k,z\n1\n", (K,), "E753", "line 2: 1 cells, the header has 2"),
        ("k,k\n1,2\n", (K,), "E759", "'k'"),
        ("K\n1\n", (K, FLAG), "E752", "no column 'k'"),
        ("first[0],first_1\n1,2\n", (FIRST,), "E752", "no column 'first[1]'"),
        ("first[0],first[1],first[2]\n1,2,3\n", (FIRST,), "E756", "first[2]"),
        ("xs[999999999]\n1\n", (SERIES,), "E752", "xs[0]"),
        ("k\n", (K,), "E757", "no sample"),
        ("", (K,), "E757", "no sample"),
        ('k\n"1\n', (K,), "E751", "line"),
        (b"k\n1\n\xff\n", (K,), "E751", "line 3 is not UTF-8"),
    ],
)
def test_a_wrong_csv_names_the_cell(
    tmp_path: Path, text: str | bytes, ports: tuple[Port, ...], code: str, part: str
) -> None:
    refuse(write(tmp_path, "a.csv", text), ports, code, part)


def write_parquet(folder: Path, **columns: Any) -> Path:
    path = folder / "a.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


def test_a_parquet_of_columns_and_of_lists(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path, **{"first[0]": [1, 3], "first[1]": [2.5, 4], "flag": [True, False], "name": ["a", "b"]}
    )
    found = read_inputs(path, (FIRST, FLAG))
    assert found["first"].tolist() == [[1, 2.5], [3, 4]]
    assert found["flag"].tolist() == [True, False]
    path = write_parquet(tmp_path, first=[[1.0, 2.0], [3.0, 4.0]], m=[[[1, 2], [3, 4]]] * 2)
    found = read_inputs(path, (FIRST, M))
    assert found["first"].tolist() == [[1, 2], [3, 4]]
    assert found["m"].shape == (2, 2, 2)


def test_a_wrong_parquet_names_the_row(tmp_path: Path) -> None:
    refuse(write_parquet(tmp_path, k=[1.0, None]), (K,), "E755", "row 1, column 'k'")
    refuse(write_parquet(tmp_path, k=["a", "b"]), (K,), "E754", "'string' is not a type of numbers")
    refuse(write_parquet(tmp_path, first=[[1.0, 2.0], [1.0]]), (FIRST,), "E756", "differ in length")
    refuse(write_parquet(tmp_path, first=[[1.0, 2.0], [1.0, None]]), (FIRST,), "E755", "row 1")
    refuse(write_parquet(tmp_path, k=pa.array([], pa.float64())), (K,), "E757")
    refuse(write(tmp_path, "b.parquet", b"PAR1junk"), (K,), "E751")


def test_parquet_without_pyarrow_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_parquet(tmp_path, k=[1.0])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(ProviderError, match=r"E773.*a\.parquet"):
        read_inputs(path, (K,))


def test_json_of_arrays_and_of_samples(tmp_path: Path) -> None:
    found = read_inputs(write(tmp_path, "a.json", '{"first": [1, 2], "k": 0.5}'), (FIRST, K))
    assert found["first"].tolist() == [1, 2]
    samples = '[{"first": [1, 2], "k": 1}, {"k": 2, "first": [3, 4]}]'
    found = read_inputs(write(tmp_path, "b.json", samples), (FIRST, K))
    assert found["first"].tolist() == [[1, 2], [3, 4]]
    assert found["k"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("", "E751", "not JSON"),
        ("[" * 100_000, "E751", "not JSON"),
        ("3", "E756", "int"),
        ("[]", "E757", ""),
        ('[{"k": 1}, {"j": 1}]', "E756", "sample 1"),
        ('[{"k": 1}, 2]', "E756", "sample 1"),
        ('{"k": [1, [2]]}', "E756", "'k' differ in length"),
        ('{"k": [1, null]}', "E755", "k[1]"),
        ('{"k": ["a"]}', "E754", "'a'"),
        ('{"k": {"a": 1}}', "E754", "at k"),
        ('{"k": 1, "k": 2}', "E759", "'k'"),
        ('{"k": [100000000000000000000000]}', "E756", "beyond 64 bits"),
        (b"\xff", "E751", "not JSON"),
    ],
)
def test_a_wrong_json_is_refused(tmp_path: Path, text: str | bytes, code: str, part: str) -> None:
    refuse(write(tmp_path, "a.json", text), (K,), code, part)


def test_an_npz_is_read_and_pickles_are_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", first=np.ones((3, 2)), label=np.arange(3))
    found = read_inputs(tmp_path / "a.npz", (FIRST, LABEL))
    assert found["first"].shape == (3, 2)
    np.savez(tmp_path / "b.npz", k=np.array([object()]))
    refuse(tmp_path / "b.npz", (K,), "E751", "plain arrays")
    refuse(write(tmp_path, "c.npz", pickle.dumps([1])), (K,), "E751")


def test_an_npz_that_claims_a_huge_array_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (2**60,)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("k.npy", header.getvalue())
    refuse(tmp_path / "a.npz", (K,), "E751")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    refuse(tmp_path / "nowhere.csv", (K,), "E751", "No such file")
    refuse(tmp_path / "a.xlsx", (K,), "E750", ".csv, .parquet, .json, .npz")
    with pytest.raises(InputError, match="E750"):
        write_outputs(tmp_path / "a", {}, ())
    with pytest.raises(ArtifactError, match="E718"):
        write_outputs(tmp_path / "no" / "a.csv", {"k": np.ones(2)}, (K,))


OUTPUTS = {
    "first": np.array([[0.1, -1e-20], [1 / 3, 3e30]], np.float32),
    "k": np.array([1 / 3, -0.0]),
    "m": np.arange(8, dtype=np.float32).reshape(2, 2, 2),
    "label": np.array([2**53 + 1, -5]),
    "flag": np.array([True, False]),
    "grid": np.array([0.0, 0.5, 1.0]),
}
PORTS = (FIRST, K, M, LABEL, FLAG, SHARED)


@pytest.mark.parametrize("suffix", FILE_TYPES)
def test_what_is_written_is_read_back_exactly(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_outputs(path, OUTPUTS, PORTS)
    found = read_inputs(path, PORTS)
    for port in PORTS:
        back = found[port.name].astype(port.dtype)
        np.testing.assert_array_equal(back, OUTPUTS[port.name])


@pytest.mark.parametrize("suffix", FILE_TYPES)
def test_one_sample_is_written_and_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    write_outputs(path, {"first": np.array([1.0, 2.0], np.float32), "k": np.float64(3.0)[()] * np.ones(())}, (FIRST, K))
    found = read_inputs(path, (FIRST, K))
    assert found["first"].ravel().tolist() == [1, 2]
    assert found["k"].ravel().tolist() == [3]


def test_other_programs_read_what_is_written(tmp_path: Path) -> None:
    write_outputs(tmp_path / "o.csv", OUTPUTS, PORTS)
    table = pyarrow.csv.read_csv(tmp_path / "o.csv")
    assert table.column_names[:3] == ["first[0]", "first[1]", "k"]
    assert table.column("m[1,0]").to_pylist() == [2, 6]
    assert table.column("flag").to_pylist() == [True, False]
    write_outputs(tmp_path / "o.parquet", OUTPUTS, PORTS)
    assert pyarrow.parquet.read_table(tmp_path / "o.parquet").column("label").to_pylist() == [2**53 + 1, -5]
    write_outputs(tmp_path / "o.json", {"k": np.array([0.1, np.nan], np.float32)}, (K,))
    assert json.loads((tmp_path / "o.json").read_text()) == {"k": [0.1, None]}
    write_outputs(tmp_path / "o.npz", OUTPUTS, PORTS)
    assert np.load(tmp_path / "o.npz")["flag"].tolist() == [True, False]


def test_outputs_of_other_lengths_are_no_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"E758.*'label' has 3 rows, others have 2"):
        write_outputs(tmp_path / "a.csv", {"k": np.ones(2), "label": np.ones(3)}, (K, LABEL))


def start_of(suffix: str, folder: Path) -> bytes:
    path = folder / f"start{suffix}"
    write_outputs(path, OUTPUTS, PORTS)
    return path.read_bytes()


# Not parquet: what Arrow allocates for a damaged page is its own affair; a cut file is tried below.
@pytest.mark.parametrize("suffix", [".csv", ".json", ".npz"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    edits=st.lists(st.tuples(st.floats(0, 0.9999), st.integers(0, 255)), max_size=3),
    junk=st.binary(max_size=30),
)
def test_any_bytes_are_read_or_refused_by_us(
    tmp_path: Path, suffix: str, edits: list[tuple[float, int]], junk: bytes
) -> None:
    damaged = bytearray(start_of(suffix, tmp_path))
    for position, value in edits:
        damaged[int(position * len(damaged))] = value
    for content in (bytes(damaged), junk):
        with suppress(RuntimeFault):
            read_inputs(write(tmp_path, f"a{suffix}", content), PORTS)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_cut_parquet_is_refused(tmp_path: Path, share: float) -> None:
    whole = start_of(".parquet", tmp_path)
    refuse(write(tmp_path, "a.parquet", whole[: int(share * len(whole))]), PORTS, "E751")


def test_a_parquet_that_claims_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_table, "INPUT_LIMIT", 15)
    refuse(write_parquet(tmp_path, k=[1.0, 2.0]), (K,), "E751", "unpacks to 16 bytes")
