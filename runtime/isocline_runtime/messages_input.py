"""Messages about the values that a model is given (E730 to E748)."""

from __future__ import annotations

from isocline_runtime.errors import InputError


def missing_input(name: str, expected: str, nearest: str | None = None) -> InputError:
    """An input of the model was not given.

    Every input needs a value, by name: `session.run({"first": [4.0, 1.9]})`.
    """
    hint = f"{nearest!r} was given: is it meant?" if nearest else None
    return InputError("E730", f"the input {name!r} is missing, expected {expected}", hint)


def unknown_input(name: str, known: tuple[str, ...], nearest: str | None = None) -> InputError:
    """A value was given for a name that is no input of the model."""
    hint = f"did you mean {nearest!r}?" if nearest else f"the inputs are {', '.join(known)}"
    return InputError("E731", f"the model has no input {name!r}", hint)


def wrong_dtype(name: str, found: str, expected: str, detail: str | None = None) -> InputError:
    """The values are of a kind that does not convert without loss.

    Integers become floats, float64 becomes float32 and floats without a fraction become integers. Text,
    complex numbers, dates and fractions for an integer do not convert.
    """
    return InputError("E732", f"the input {name!r} holds {found}, expected {expected}", detail)


def wrong_shape(name: str, found: tuple[int, ...], expected: str, axis: int | None = None) -> InputError:
    """An array has another number of axes, or another size of an axis, than the model's input.

    A leading `batch` axis may be left out to run a single sample; the outputs then have none either.
    """
    hint = None if axis is None else f"axis {axis} has the size {found[axis]}"
    return InputError("E733", f"the input {name!r} has the shape {list(found)}, expected {expected}", hint)


def open_size(name: str, size: str) -> InputError:
    """An array with a size that is known only when the model runs cannot be bound.

    `session.bind` makes arrays that stay where they are; their sizes are numbers. `session.run` takes any.
    """
    hint = f"give `{size}` a number in the .dyn file: `const {size} = 10`; or call `session.run`"
    return InputError("E749", f"the size `{size}` of {name!r} is not known before the model runs", hint)


def sizes_disagree(size: str, first: str, found: int, second: str, other: int) -> InputError:
    """Two inputs disagree about a size that the model gives one name.

    All inputs with `batch` have the same number of samples; all with `T` the same number of times.
    """
    message = f"the size `{size}` is {found} in the input {first!r} and {other} in {second!r}"
    return InputError("E734", message, f"`{size}` is one number in a run")


def not_finite(name: str, index: tuple[int, ...], found: object, detail: str | None = None) -> InputError:
    """An input holds NaN, an infinity, a masked entry, or a number too large for its type.

    Missing values are never replaced silently. Fill or drop them before the call.
    """
    place = f"{name}{list(index)}" if index else name
    return InputError("E735", f"{place} is {found}, expected a finite number", detail)


def out_of_bounds(name: str, index: tuple[int, ...], found: object, interval: str) -> InputError:
    """A value lies outside the open interval that the input was declared with.

    The model was trained and certified for values inside. The bounds stand in the `.dyn` file and in the
    manifest.
    """
    place = f"{name}{list(index)}" if index else name
    return InputError("E736", f"{place} is {found}, expected a number strictly inside {interval}")


def out_of_classes(name: str, index: tuple[int, ...], found: object, classes: int) -> InputError:
    """A label is not one of the classes 0 to k-1 of the input."""
    place = f"{name}{list(index)}" if index else name
    return InputError("E737", f"{place} is {found}, expected a class from 0 to {classes - 1}")


def not_an_array(name: str, found: str) -> InputError:
    """The value cannot be read as an array of numbers.

    Lists must be rectangular: every row has the same length.
    """
    return InputError("E738", f"the input {name!r} is not an array: {found}", "give numbers, or lists of equal length")


def mixed_batch(without: str, with_batch: str) -> InputError:
    """Some inputs have the leading `batch` axis and some have not.

    Either every input is one sample (no batch axis at all), or every input has the axis, with the same size.
    """
    message = f"the input {without!r} is a single sample, {with_batch!r} has a batch axis"
    return InputError("E739", message, f"repeat {without!r} for every sample: `np.repeat(x[None], n, axis=0)`")


def not_named(found: str, names: tuple[str, ...]) -> InputError:
    """Inputs are given by name.

    `session.run({"first": [[4.0, 1.9]]})`, `session.run(first=[[4.0, 1.9]])`, or a data frame or an Arrow table whose
    columns have the names of the inputs, or of the columns that the model was trained on.
    """
    example = f"session.run({names[0]}=...)" if names else "session.run()"
    hint = f"give a mapping, a data frame, or `{example}`"
    return InputError("E741", f"inputs have names, and {found} has none", hint)


def wrong_index(output: str, found: str, entries: int, rows: int) -> InputError:
    """An attribution explains one entry of an output: the index of it does not exist, or is not a whole number.

    The index counts the entries of the flattened output of a sample, from 0; give one number for all samples or one
    for each. -1, the default, is the predicted class of a classifier and the sum of all entries of any other output.
    """
    shown = found if len(found) < 60 else found[:57] + "..."
    expected = f"expected a whole number from -1 to {entries - 1}, or {rows} of them"
    return InputError("E740", f"the index of {output!r} is {shown}, {expected}")


def narrowed(
    name: str, index: tuple[int, ...], given: object, held: object, dtype: str, output: str, moved: str, bound: str
) -> InputError:
    """A value has more digits than the model's type holds, and rounding it changes the answer.

    float32 has seven digits: of seconds since 1970 it holds every 128th. Values as large as those of the certificate
    are known to be harmless; beyond them the model is run again, with the number on the other side of each value. Give
    values as differences from something that they have in common, in training too; or compile with `dtype float64`.
    An array that is float32 already is taken as it is.
    """
    place = f"{name}{list(index)}" if index else name
    message = (
        f"{place} is {given}, of which {dtype} holds {held}: that moves {output!r} by {moved}, the bound is {bound}"
    )
    return InputError("E742", message, "subtract what the values have in common, or compile with `dtype float64`")


def no_noise(model: str, word: str) -> InputError:
    """A seed, rows or noise were given to a model that reads no noise.

    Its answer depends on its inputs alone. An input that has the name `seed`, `rows` or `noise` is given in the
    mapping: `session.run({"seed": 3.0})`.
    """
    hint = f"leave `{word}` out; an input of that name goes into the mapping: `session.run({{{word!r}: ...}})`"
    return InputError("E743", f"{model} reads no noise, so `{word}` says nothing", hint)


def wrong_seed(found: str) -> InputError:
    """A seed is a whole number from 0 to 2^64 - 1. The same seed gives the same noise, on every machine."""
    shown = found if len(found) < 60 else found[:57] + "..."
    return InputError("E744", f"the seed is {shown}, expected a whole number from 0 to 2^64 - 1")


def wrong_rows(found: str, count: int | None) -> InputError:
    """`rows` numbers the samples of the batch: there is one number for each, from 0 to 2^64 - 1.

    The noise of a sample depends on the number of its row. `session.run(x[12:13], seed=7, rows=[12])` repeats row 12 of
    `session.run(x, seed=7)` alone.
    """
    many = (
        "whole numbers from 0 to 2^64 - 1" if count is None else f"one number for each of the samples, {count} in all"
    )
    return InputError("E745", f"rows are {found}, expected {many}", "without `rows` they are counted from 0")


def unknown_noise(name: str, known: tuple[str, ...], nearest: str | None = None) -> InputError:
    """Noise was given for a name that is no noise of the model. `session.noises` lists them."""
    hint = f"did you mean {nearest!r}?" if nearest else f"the noises are {', '.join(known)}"
    return InputError("E746", f"the model has no noise {name!r}", hint)


def wrong_noise(name: str, found: tuple[int, ...], expected: tuple[int | str, ...]) -> InputError:
    """Noise that is given has another shape than (batch, samples, steps, channels) of the model.

    The batch axis may be left out where there is one sample. `session.noise(rows, seed)` gives arrays of the shape that
    is expected.
    """
    axes = ", ".join(map(str, expected))
    hint = "its axes are batch, samples, steps, channels"
    return InputError("E747", f"the noise {name!r} has the shape {list(found)}, expected [{axes}]", hint)


def noise_as_input(name: str) -> InputError:
    """A noise was given among the inputs.

    The runtime draws noise from a seed. To give it yourself: `session.run(x, noise={"W": array})`.
    """
    return InputError(
        "E748", f"{name!r} is a noise of the model, not an input", f"give it as `noise={{{name!r}: ...}}`"
    )
