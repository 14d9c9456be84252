"""Training and running read one file alike: the same cells, the same numbers, the same files refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from isocline_compiler.data.table import read_table
from isocline_dsl.diagnostics import IsoclineError
from isocline_runtime.csv_table import read_csv
from isocline_runtime.errors import InputError

ALIKE = {
    "commas": "a,b\n1,2.5\n3,4\n",
    "semicolons": "a;b\n1;2.5\n3;4\n",
    "tabs": "a\tb\n1\t2.5\n3\t4\n",
    "byte order mark": "\ufeffa,b\n1,2.5\n3,4\n",
    "windows": "a,b\r\n1,2.5\r\n3,4\r\n",
    "comments": "# from the lab\n# day 3\na,b\n1,2.5\n3,4\n",
    "blank lines": "a,b\n\n1,2.5\n\n3,4\n\n",
    "blanks around cells": "a , b\n1 , 2.5\n 3,4 \n",
    "quotes": '"a","b"\n"1","2.5"\n3,"4"\n',
    "no last line end": "a,b\n1,2.5\n3,4",
    "exponents": "a,b\n1e0,25e-1\n3.0,+4\n",
}


@pytest.mark.parametrize("text", ALIKE.values(), ids=ALIKE)
def test_both_read_the_same_numbers(text: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(text.encode())
    trained, run = read_table(file), read_csv(file, file.read_bytes())
    for column, wanted in (("a", [1.0, 3.0]), ("b", [2.5, 4.0])):
        np.testing.assert_array_equal(trained.columns[column].astype(float), wanted)
        np.testing.assert_array_equal(run.values(column, "float64"), wanted)


@pytest.mark.parametrize("word", ["", "NA", "na", "N/A", "#N/A", "nan", "NaN", "null", "NULL", "None", " "])
def test_both_take_the_same_words_for_a_missing_value(word: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(f"a,b\n1,2\n{word},3\n")
    assert np.isnan(read_table(file).columns["a"].astype(float)).tolist() == [False, True]
    with pytest.raises(InputError, match="line 3, column 'a': the value is missing"):
        read_csv(file, file.read_bytes()).values("a", "float64")


REFUSED = {
    "a short row": ("a,b\n1,2\n3\n", "E507", "E753"),
    "a long row": ("a,b\n1,2,3\n", "E507", "E753"),
    "no header": ("1,2\n3,4\n", "E506", "E756"),
    "a column twice": ("a,a\n1,2\n", "E508", "E759"),
    "a column twice but for blanks": ("a, a\n1,2\n", "E508", "E759"),
    "an open quote": ('a,b\n"1,2\n', "E504", "E751"),
    "latin-1": ("a,b\né,2\n".encode("latin-1"), "E504", "E751"),
}


@pytest.mark.parametrize(("content", "training", "running"), REFUSED.values(), ids=REFUSED)
def test_both_refuse_the_same_files(content: str | bytes, training: str, running: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(IsoclineError) as compiled:
        read_table(file)
    with pytest.raises(InputError) as run:
        read_csv(file, file.read_bytes())
    assert ([item.code for item in compiled.value.diagnostics], run.value.code) == ([training], running)


@pytest.mark.parametrize("cell", ["0x10", "1_000", "1,5", "12:30", "ten", "1e", "١٢"])
def test_neither_takes_for_a_number_what_is_none(cell: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(f'a,b\n"{cell}",2\n')
    assert read_table(file).columns["a"].dtype.kind not in "fi"
    with pytest.raises(InputError, match="is not a number"):
        read_csv(file, file.read_bytes()).values("a", "float64")


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text('# one\n\na,b\n"two\nlines",2\n\n3,x\n')
    table = read_table(file)
    assert [table.line(0), table.line(1)] == [4, 7]
