"""Occlusion, what is lost when a part of the input is covered: the check that needs no gradient."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from isocline_compiler.attribution.baseline import ZEROS, baseline_of, check_baseline
from isocline_compiler.attribution.problem import Problem
from isocline_compiler.attribution.record import Build, Definition, Method, Oracle, Result
from isocline_compiler.graph import Array, Fault, Node, constant
from isocline_compiler.ops.reduction import REDUCE_SUM
from isocline_compiler.ops.shaping import RESHAPE
from isocline_compiler.solvers.points import repeated
from isocline_compiler.vocabulary.functions.kinds import Counts, Word
from isocline_dsl import messages
from isocline_dsl.messages import calls

NAME, LIMIT = "occlusion", 4096


def occlusion(patch: Counts = (1,), baseline: Word = ZEROS) -> Build:
    """The score that is lost when a patch of the input is covered: S(x) - S(x with the patch at the baseline).

    Patches lie side by side; those at the far edge may be smaller. `patch` is a size for each axis of the input, or
    one for all. Every entry has the loss of its patch. Each input is covered by itself.

    Zeiler, Fergus (2014), Visualizing and understanding convolutional networks.

    Example: attribute y wrt x by occlusion(patch=2, baseline=mean)
    """
    check_baseline(NAME, baseline)

    def build(problem: Problem) -> tuple[Result, ...]:
        return tuple(Result("attribution", _lost(problem, name), name) for name in problem.wrt)

    def _lost(problem: Problem, name: str) -> Node:
        x, shape = problem.inputs[name], problem.shape(name)
        covers = masks(shape, patch)
        covering = constant(covers * baseline_of(NAME, baseline, problem.background, name, shape))
        points = problem.at({name: repeated(x, len(covers)) * constant(1.0 - covers) + covering})
        score = RESHAPE(problem.score, shape=(problem.score.shape[0], 1))
        lost = RESHAPE(score - points.split(points.score), shape=(x.shape[0], len(covers), *(1,) * len(shape)))
        return REDUCE_SUM(lost * constant(covers), axes=(1,), keepdims=False)

    return build


def masks(shape: tuple[int, ...], patch: tuple[int, ...]) -> Array:
    """1 in a patch and 0 outside, for each patch: (patches, *shape). Raises `Fault` for too many."""
    sizes = patch * len(shape) if len(patch) == 1 else patch
    if len(sizes) != len(shape):
        expected = f"a size for each of {len(shape)} axes"
        raise Fault(lambda span: calls.wrong_argument(span, NAME, "patch", expected, str(list(patch))))
    count = math.prod(-(-length // size) for length, size in zip(shape, sizes, strict=True))
    if count > LIMIT:
        raise Fault(lambda span: messages.too_many_points(span, NAME, count, LIMIT))
    covers = np.zeros((count, *shape))
    for number, corner in enumerate(_corners(shape, sizes)):
        place: tuple[int | slice, ...] = (number, *_window(corner, sizes))
        covers[place] = 1.0
    return covers


def _corners(shape: tuple[int, ...], sizes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return itertools.product(*(range(0, length, size) for length, size in zip(shape, sizes, strict=True)))


def _window(corner: Sequence[int], sizes: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(start, start + size) for start, size in zip(corner, sizes, strict=True))


def _definition(patch: Counts = (1,), baseline: Word = ZEROS) -> Definition:
    def measure(oracle: Oracle) -> Mapping[str, Array]:
        here = {name: x[:, None] for name, x in oracle.inputs.items()}
        return {
            name: np.stack([_loss(oracle, here, name, entry) for entry in oracle.entries[name]], 1) for name in here
        }

    def _loss(oracle: Oracle, here: Mapping[str, Array], name: str, entry: int) -> Array:
        """Of the patch that holds the entry: found by its place, without the masks."""
        shape = here[name].shape[2:]
        sizes = patch * len(shape) if len(patch) == 1 else patch
        starts = [int(at) // size * size for at, size in zip(np.unravel_index(entry, shape), sizes, strict=True)]
        window = _window(starts, sizes)
        place: tuple[int | slice, ...] = (slice(None), 0, *window)
        covered = here[name].copy()
        covered[place] = baseline_of(NAME, baseline, oracle.background, name, shape)[window]
        loss: Array = (oracle.score(here) - oracle.score({**here, name: covered}))[:, 0]
        return loss

    return measure


OCCLUSION = Method(
    occlusion,
    axioms=("implementation invariance", "linearity"),
    cost="one evaluation a patch, in one pass",
    definition=_definition,
    shares=True,
)
