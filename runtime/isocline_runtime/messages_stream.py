"""Messages about models that run one step at a time (E790 to E793)."""

from __future__ import annotations

from isocline_runtime.errors import InputError, RunError


def no_stream(model: str) -> RunError:
    """The artifact has no graph of a single step.

    It is written where the `.dyn` file asks for it: `deploy { stream }`. A bare `.onnx` file has none either.
    """
    return RunError("E790", f"{model} cannot be run step by step", "write `stream` into its `deploy` block and compile")


def past_the_end(model: str, loop: str, steps: int) -> RunError:
    """A stream has taken all steps that its model has.

    A solve ends at a time that the `.dyn` file states, and its error is proved until then and no further. A scan over
    observations whose number is a name, `xs: real[T, 12]`, has no end.
    """
    hint = "`stream.restart()` begins again; a longer time in the `.dyn` file has more steps"
    return RunError("E791", f"{model}: `{loop}` ends after {steps} steps, and the stream is there", hint)


def not_a_state(path: object, reason: str) -> InputError:
    """A file is not the saved state of a stream of this model.

    `Stream.save` writes it, for the artifact whose stream it is: after the model is compiled again from another file or
    other weights, its states mean something else.
    """
    return InputError("E792", f"{path} is no state of this stream: {reason}")


def other_batch(name: str, found: int, expected: int) -> InputError:
    """A step is given for more or fewer samples than the stream was started with.

    All samples of a stream go step by step together; how many there are is known from its start: by the inputs, or by
    `session.stream(batch=n)`.
    """
    hint = f"give {expected} samples in every step, or start with `session.stream(..., batch={found})`"
    return InputError("E793", f"{name!r} has {found} samples, the stream has {expected}", hint)
