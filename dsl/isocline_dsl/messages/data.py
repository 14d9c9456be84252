"""E5xx: the data do not fit the file, or the file the data."""

from __future__ import annotations

from collections.abc import Sequence

from isocline_dsl.messages.message import Draft, message, nearest
from isocline_dsl.tree import Span


def _first_few(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def _looks_like(name: str, known: Sequence[str]) -> str:
    near = nearest(name, known)
    return f"did you mean `{near}`? " if near else ""


@message("E501")
def no_source(span: Span | None) -> Draft:
    """Training, and choosing a solver, need data, but the file names none.

        data { source "pelts.csv"; first = row(0, hare, lynx) }

    Name a file in the block `data`, or give one on the command line with `--data`.
    """
    return Draft(span, "there are no data", 'name a file: `data { source "pelts.csv" ... }`, or give one with `--data`')


@message("E502")
def unknown_data_type(span: Span | None, path: object, known: Sequence[str]) -> Draft:
    """The ending of a data file's name is none that is read.

    Read are csv, parquet, npz and safetensors. Anything else is to be converted first.
    """
    return Draft(span, f"cannot tell from its name what {path} is", f"known endings: {', '.join(known)}")


@message("E503")
def data_not_found(span: Span | None, path: object) -> Draft:
    """There is no such file.

    A relative path is taken from the folder of the `.dyn` file, whatever the current folder is.
    """
    return Draft(span, f"there is no file {path}", "a relative path starts at the folder of the `.dyn` file")


@message("E504")
def data_unreadable(span: Span | None, path: object, reason: str) -> Draft:
    """The file may not be read, or is not of the type that its name says.

    csv is read as UTF-8. Arrays of Python objects in an npz are refused: they can carry code. A file of more than
    4 GiB, packed or unpacked, is refused before it is read, here as where a model is run.
    """
    return Draft(span, f"cannot read {path}: {reason}")


@message("E505")
def data_empty(span: Span | None, path: object) -> Draft:
    """The file is empty, or has a header and nothing below it."""
    return Draft(span, f"{path} holds no rows")


@message("E506")
def no_header(span: Span | None, path: object, line: int, cells: Sequence[str]) -> Draft:
    """The first line of a csv is all numbers, so the columns have no names.

    Columns are used by name. Write a line of names above the numbers:

        year,hare,lynx
        1900,30,4
    """
    return Draft(
        span,
        f"{path}, line {line}: `{', '.join(cells[:4])}` are numbers, expected the names of the columns",
        "write a line of names above the numbers",
    )


@message("E507")
def ragged_row(span: Span | None, path: object, line: int, found: int, expected: int) -> Draft:
    """A line of a csv has more or fewer cells than the header.

    Often a comma inside a text that is not quoted, or a line that was cut off.
    """
    return Draft(span, f"{path}, line {line}: {found} {_cells(found)}, the header has {expected}")


def _cells(count: int) -> str:
    return "cell" if count == 1 else "cells"


@message("E508")
def repeated_column(span: Span | None, path: object, column: str) -> Draft:
    """Two columns have the same name, so that it is not clear which is meant."""
    return Draft(span, f"{path} has two columns named `{column}`", "rename one of them")


@message("E509")
def missing_column(span: Span | None, path: object, column: str, found: Sequence[str]) -> Draft:
    """The block `data` uses a column, or an array, that the file does not have.

        data { source "pelts.csv"; first = row(0, hares) }      # the column is `hare`

    Names are compared exactly; upper and lower case differ.
    """
    return Draft(
        span,
        f"{path} has no column `{column}`",
        f"{_looks_like(column, found)}the columns are {_first_few(found)}",
    )


@message("E510")
def no_column_like(span: Span | None, path: object, pattern: str, found: Sequence[str]) -> Draft:
    """A pattern such as `columns("pixel_*")` fits no column of the file."""
    return Draft(span, f"no column of {path} is like `{pattern}`", f"the columns are {_first_few(found)}")


@message("E511")
def not_a_number(span: Span | None, path: object, line: int, column: str, value: object) -> Draft:
    """A column is used as numbers, and a cell in it is something else.

    Empty cells and `NA`, `nan`, `null` count as missing values, not as text. A comma as decimal point and
    thousands separators are not read as numbers.
    """
    return Draft(span, f"{path}, line {line}, column `{column}`: `{value}` is not a number")


@message("E512")
def dates_are_not_numbers(span: Span | None, path: object, column: str, first: object) -> Draft:
    """A column of dates is used as numbers.

    Dates serve to split (`split time(...)`) and to order rows. As an input, write the number that is meant,
    hours since the start for instance, in a column of its own: the unit is yours to choose.
    """
    return Draft(
        span,
        f"column `{column}` of {path} holds dates (`{first}`), expected numbers",
        "add a column with the number you mean, such as the hours since the start",
    )


@message("E513")
def missing_values(span: Span | None, path: object, line: int, column: str, count: int, policy: str) -> Draft:
    """Values are missing, or not finite, and nothing says what to do about them.

    State it in the block `data`: `missing drop` leaves out the samples concerned, `missing hold` repeats the
    last value, `missing interpolate` draws a line between the neighbours. None of them is chosen silently.
    `hold` cannot fill the beginning of a column, `interpolate` neither the beginning nor the end.
    """
    several = f"; {count} such values in all" if count > 1 else ""
    return Draft(
        span,
        f"{path}, line {line}, column `{column}`: no finite value{several}",
        _mending(policy),
    )


def _mending(policy: str) -> str:
    if policy == "error":
        return "fill them, or state `missing drop`, `missing hold` or `missing interpolate`"
    return f"`missing {policy}` cannot fill them"


@message("E514")
def label_out_of_range(span: Span | None, port: str, value: object, classes: int, where: str) -> Draft:
    """A class label is not one of the classes.

    `class[10]` has the labels 0 to 9. Labels that start at 1 are to be shifted in the file.
    """
    return Draft(span, f"{where}: the label {value} of `{port}` is not one of 0 to {classes - 1}")


@message("E515")
def label_not_integral(span: Span | None, port: str, value: object, where: str) -> Draft:
    """A class label is not a whole number.

    Labels are the numbers of the classes, from 0.
    """
    return Draft(span, f"{where}: the label {value} of `{port}` is not a whole number")


@message("E516")
def data_shape(span: Span | None, port: str, found: str, expected: str) -> Draft:
    """The data of one sample do not have the shape that was declared.

        input first: real[3]
        data { first = row(0, hare, lynx) }      # two numbers

    `row` and `columns` give one number a column, `rows` a matrix of rows by columns, `column` a single
    number.
    """
    return Draft(span, f"the data of `{port}` have shape {found}, the declaration says {expected}")


@message("E517")
def data_size_disagrees(span: Span | None, port: str, size: str, found: int, known: int, other: str) -> Draft:
    """A size that has a name, such as `T`, must be the same wherever the name appears."""
    return Draft(span, f"`{size}` is {found} in the data of `{port}`, but {known} in those of `{other}`")


@message("E518")
def sample_counts_differ(span: Span | None, port: str, found: int, other: str, known: int) -> Draft:
    """The bindings give different numbers of samples.

    `row` and `rows` make one sample of the whole file; `column` and `columns` one a row; `past` and `future`
    one a window; an array one for each item of its first axis.
    """
    return Draft(span, f"`{port}` has {_samples(found)}, `{other}` has {_samples(known)}")


def _samples(count: int) -> str:
    return f"{count} sample" if count == 1 else f"{count} samples"


@message("E519")
def no_such_row(span: Span | None, path: object, row: int, rows: int) -> Draft:
    """A row is used that the file does not have. Rows are counted from 0, the header not included."""
    return Draft(span, f"{path} has no row {row}: it has {rows} rows", f"rows are counted from 0 to {rows - 1}")


@message("E520")
def too_few_rows(span: Span | None, path: object, rows: int, needed: int) -> Draft:
    """The file is shorter than one window: the past and the future together need more rows."""
    return Draft(span, f"{path} has {rows} rows, one window needs {needed}")


@message("E521")
def unbound_port(span: Span | None, role: str, port: str) -> Draft:
    """The block `data` does not say where an input or a target comes from.

    data { source "pelts.csv"; first = row(0, hare, lynx) }
    """
    return Draft(
        span,
        f"the block `data` gives nothing for the {role} `{port}`",
        f"write `{port} = columns(...)` in `data`",
    )


@message("E522")
def all_samples_dropped(span: Span | None, path: object, count: int) -> Draft:
    """With `missing drop` no sample is left: each has a value that is missing."""
    return Draft(span, f"every one of the {count} samples of {path} has a missing value", "try `missing interpolate`")


@message("E523")
def empty_split(span: Span | None, part: str, count: int) -> Draft:
    """A part of the split gets no sample.

    With few samples a small fraction rounds to none; with windows, those that cross a boundary are left out.
    """
    return Draft(span, f"the split leaves no sample for {part}, of {_samples(count)}")


@message("E524")
def unknown_split_word(span: Span | None, path: object, line: int, column: str, value: object) -> Draft:
    """A column that tells the split holds something else than `train`, `validation` or `test`."""
    return Draft(span, f"{path}, line {line}, column `{column}`: `{value}` is none of `train`, `validation`, `test`")


@message("E525")
def bad_time_boundary(span: Span | None, value: object, column: str, kind: str) -> Draft:
    """The boundary of a split by time does not read as a time of the column.

    A column of dates takes a date as in `"2014-01-01"`, `"2014-01-01 06:00"` or `"2014/01/01"`, or in the form that is
    stated for the column; a column of numbers takes a number.
    """
    return Draft(span, f"the boundary `{value}` is not {kind}, as column `{column}` is")


@message("E526")
def times_not_increasing(
    span: Span | None, path: object, line: int, column: str, found: object, before: object
) -> Draft:
    """Windows need rows in the order of time, and this row is not later than the one before it.

    Sort the file; clock changes in local time repeat an hour, so that UTC is the better choice. Where rows of several
    series follow each other, windows would run from one into the next: keep one series to a file.
    """
    return Draft(
        span,
        f"{path}, line {line}, column `{column}`: {found} does not come after {before}",
        "sort the rows, one series to a file",
    )


@message("E527")
def not_a_column(span: Span | None, path: object, name: str, shape: str) -> Draft:
    """An array of several axes is used as a column. Use `array("name")`: its first axis counts the samples."""
    return Draft(span, f"`{name}` in {path} has shape {shape}, a column has one axis", f'use `array("{name}")`')


@message("E528")
def arrays_are_not_filled(span: Span | None, port: str, policy: str) -> Draft:
    """`missing hold` and `missing interpolate` go down the rows of a table; an array has no rows to go down.

    Fill the array beforehand, or use `missing drop`.
    """
    return Draft(
        span,
        f"`missing {policy}` cannot fill the array of `{port}`",
        "fill it beforehand, or use `missing drop`",
    )


@message("E529")
def not_a_truth_value(span: Span | None, port: str, value: object, where: str) -> Draft:
    """The data of a `bool` are neither true nor false, nor 0 or 1."""
    return Draft(span, f"{where}: `{value}` of `{port}` is neither true nor false")


@message("E533")
def not_a_time(span: Span | None, path: object, line: int, column: str, value: str | None, form: str | None) -> Draft:
    """A row has no time, or one that is not read.

    Read are numbers, dates of ISO 8601 (`2014-01-31`, `2014-01-31 06:00`, `2014-01-31T06:00:30+01:00`) and dates with
    slashes that begin with the year (`2014/01/31 06:00`). `03/04/2014` is not guessed at: it is March in one country
    and April in another. Any other form is stated, in the words of C's `strptime`:

        data { source "load.csv"; time stamp, "%d.%m.%Y %H:%M" }

    Within one column either all times have a zone, or none.
    """
    place = f"{path}, line {line}, column `{column}`"
    if value is None:
        return Draft(span, f"{place}: the time is missing", "fill it, or leave the row out")
    if form is not None:
        return Draft(span, f"{place}: `{value}` is not a date in the form `{form}`")
    return Draft(
        span,
        f"{place}: `{value}` is not a time; read are numbers, `2014-01-31 06:00` and `2014/01/31 06:00`",
        f'state the form: `time {column}, "%d.%m.%Y %H:%M"`',
    )


@message("E530")
def unknown_split(span: Span | None, name: str, known: Sequence[str]) -> Draft:
    """Data are split by `fraction`, `time`, `column` or `tail`."""
    return Draft(span, f"there is no split `{name}`", f"{_looks_like(name, known)}known are {', '.join(known)}")


@message("E531")
def classes_are_not_interpolated(span: Span | None, path: object, line: int, column: str, kind: str) -> Draft:
    """A class, or a truth value, is missing, and `missing interpolate` would have to invent one.

    There is nothing between two classes: halfway from class 0 to class 2 is not class 1. `missing hold` repeats the
    last one, `missing drop` leaves out the samples concerned; or fill the cells in the file.
    """
    what = "a class" if kind == "class" else "a truth value"
    return Draft(
        span,
        f"{path}, line {line}, column `{column}`: {what} is missing, and it cannot be interpolated",
        "use `missing drop` or `missing hold`, or fill it",
    )


@message("E532")
def value_would_change(
    span: Span | None, path: object, line: int, column: str, value: object, found: str, kept: str
) -> Draft:
    """A number of the data does not fit into what the compiler keeps: reals of 64 bits and integers of 64 bits.

    Unsigned integers beyond 9223372036854775807 would wrap around to negative ones, complex numbers would lose their
    imaginary part, longer floats their last digits. None of this is done silently: convert the column, or the array,
    in the file, in the way you mean it.
    """
    return Draft(
        span,
        f"{path}, row {line}, column `{column}`: {value} is {found}, which would not survive as {kept}",
        "convert it in the file",
    )
