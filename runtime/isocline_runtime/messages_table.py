"""Messages about the files that inputs are read from (E750 to E759)."""

from __future__ import annotations

from isocline_runtime.errors import InputError


def unknown_type(path: object, known: tuple[str, ...]) -> InputError:
    """The ending of the file's name is none that is read or written."""
    return InputError("E750", f"cannot tell the type of {path} from its name", f"known endings: {', '.join(known)}")


def unreadable_table(path: object, reason: str) -> InputError:
    """The file does not exist, may not be read, or is not of the type that its name says.

    csv is read as UTF-8. Arrays of Python objects in an npz are refused: they can carry code.
    """
    return InputError("E751", f"cannot read {path}: {reason}")


def missing_column(path: object, column: str, found: tuple[str, ...], nearest: str | None = None) -> InputError:
    """A table lacks a column of an input.

    One row is one sample. An input `k: real` is the column `k`; `first: real[2]` is the columns
    `first[0]` and `first[1]`; a matrix is `m[0,0]`, `m[0,1]` and so on. A model that was trained on columns of a table
    takes those columns too, by their names: the manifest keeps them. The order of the columns never matters.
    """
    near = f"; did you mean {nearest!r}?" if nearest else ""
    hint = f"the columns are {', '.join(found[:12])}{', ...' if len(found) > 12 else ''}{near}"
    return InputError("E752", f"{path} has no column {column!r}", hint)


def ragged_row(path: object, line: int, found: int, expected: int) -> InputError:
    """A line of a csv has more or fewer cells than the header."""
    return InputError("E753", f"{path}, line {line}: {found} cells, the header has {expected}")


def not_a_number(path: object, column: str, row: str, found: object, expected: str) -> InputError:
    """A cell does not read as a value of the input's type."""
    return InputError("E754", f"{path}, {row}, column {column!r}: {found!r} is not {expected}")


def missing_value(path: object, column: str, row: str) -> InputError:
    """A cell is empty, `NA` or null.

    Missing values are never replaced silently. Fill them, or leave the row out.
    """
    return InputError("E755", f"{path}, {row}, column {column!r}: the value is missing", "fill it, or drop the row")


def wrong_layout(path: object, found: str, expected: str) -> InputError:
    """The file is read, but what it holds is not laid out as inputs.

    JSON: one object from names to numbers or nested lists, or a list of such objects, one a sample. npz:
    arrays by the inputs' names.
    """
    return InputError("E756", f"{path}: {found}", f"expected {expected}")


def no_rows(path: object) -> InputError:
    """The file holds no sample."""
    return InputError("E757", f"{path} holds no sample")


def rows_differ(path: object, name: str, rows: str) -> InputError:
    """An array without a batch axis is written or read as a table, but its rows disagree.

    A value that is shared by all samples must be the same in every row; the arrays of one table have equally
    many rows.
    """
    return InputError("E758", f"{path}: {name!r} {rows}")


def repeated_column(path: object, column: str) -> InputError:
    """Two columns, or two keys, have the same name, so that it is not clear which is meant."""
    return InputError("E759", f"{path}: {column!r} is there twice")
