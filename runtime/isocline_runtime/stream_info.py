"""What a manifest says of a model that is run one step at a time."""

from __future__ import annotations

from dataclasses import dataclass

from isocline_runtime.port import Port, require


@dataclass(frozen=True)
class StatePair:
    """A state of a stream: the input of `step.onnx` that takes it, the output with the next one, and the output of
    `start.onnx` with the first.
    """

    input: str
    output: str
    initial: str


@dataclass(frozen=True)
class StreamSequence:
    """An input of the model that is given step by step.

    A step reads `window` entries along the `axis` that it has in `model.onnx`, or one, and then has no such axis
    (`window` 0): step i reads entries begin + stride i, and those behind it. Where they are no such row, `entries` has
    them one after another, step by step.
    """

    name: str
    axis: int
    window: int
    begin: int = 0
    stride: int = 1
    entries: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require(min(self.axis, self.window, self.begin, self.stride, *self.entries) >= 0, "places are not negative")

    def at(self, step: int) -> list[int]:
        """The entries along the axis that a step reads."""
        count = self.window or 1
        if self.entries:
            return list(self.entries[step * count : (step + 1) * count])
        return [self.begin + self.stride * step + j for j in range(count)]


@dataclass(frozen=True)
class StreamOutput:
    """An output of every step, and which axis of the model's own output counts the steps; None: the model's own is that
    of the last step.
    """

    name: str
    axis: int | None


@dataclass(frozen=True)
class StreamInfo:
    """The model one step at a time: what `start.onnx` and `step.onnx` take and give.

    `loop` is the name of the solve or scan whose iterations are the steps, each of them `per` steps of a solver.
    `steps` may be taken (None: any number) after the `behind` that the start holds already. `held` are outputs of the
    start that every step takes, `states` go from step to step. Of the model's outputs, `given` are known with the
    start, `first` begin with entries that it gives, and `whole` need the whole path: no step has them.
    """

    loop: str
    start_inputs: tuple[Port, ...]
    start_outputs: tuple[Port, ...]
    step_inputs: tuple[Port, ...]
    step_outputs: tuple[Port, ...]
    states: tuple[StatePair, ...]
    held: tuple[str, ...]
    sequences: tuple[StreamSequence, ...]
    outputs: tuple[StreamOutput, ...]
    given: tuple[str, ...]
    first: tuple[str, ...]
    whole: tuple[str, ...]
    steps: int | None
    behind: int
    per: int

    def __post_init__(self) -> None:
        taken, given = ({port.name for port in ports} for ports in (self.step_inputs, self.step_outputs))
        started = {port.name for port in self.start_outputs}
        require(taken.issuperset({*(pair.input for pair in self.states), *self.held}), "a step takes its states")
        require(given.issuperset({*(pair.output for pair in self.states)}), "a step gives its states")
        require(started.issuperset({*(pair.initial for pair in self.states), *self.held}), "states have a start")
        require(given.issuperset(item.name for item in self.outputs), "a step gives its outputs")
        require(taken.issuperset(item.name for item in self.sequences), "a step takes its sequences")
        require(started.issuperset({*self.given, *self.first}), "the start gives its outputs")
        counts = (self.behind >= 0, self.per > 0, self.steps is None or self.steps > 0)
        require(all(counts), "steps are counted from 0")
        listed = [
            len(item.entries) == (self.steps or 0) * (item.window or 1) for item in self.sequences if item.entries
        ]
        require(all(listed), "entries are those of every step")
