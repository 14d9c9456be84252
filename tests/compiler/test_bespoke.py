"""Learned schemes: what they keep exactly, how they are learned, on what, and where they are said to hold."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

import isocline
from isocline_compiler.certify.bespoke import learn as learning
from isocline_compiler.certify.bespoke.facts import Beside, holding
from isocline_compiler.certify.bespoke.gradient import Answers, Gradient
from isocline_compiler.certify.bespoke.learn import learn
from isocline_compiler.certify.bespoke.lessons import lessons_of
from isocline_compiler.certify.bespoke.parameters import EARLIEST, Parameters, unlearned
from isocline_compiler.certify.evaluation import Evaluator
from isocline_compiler.certify.measures import Spread
from isocline_compiler.certify.samples import drawn
from isocline_compiler.solvers.grid import Discretisation, uniform
from isocline_compiler.solvers.schemes.bespoke import BASES, Bespoke, clock
from tests.learned import FORCED, LEARNED


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few updates: what is tested is not how well it learns."""
    monkeypatch.setattr(learning, "UPDATES", 20)


# ---------------------------------------------------------------------------------------------------- constraints


@pytest.mark.parametrize("scheme", LEARNED, ids=lambda scheme: scheme.title)
def test_consistency_and_row_sums_hold_in_exact_arithmetic_and_the_order_to_rounding(scheme: Bespoke) -> None:
    started = Bespoke.starting(scheme.base, scheme.times)
    assert scheme.a != started.a
    for a, b, c in zip(scheme.a, scheme.b, scheme.c, strict=True):
        exact = [[Fraction(a[i * (i - 1) // 2 + j]) for j in range(i)] for i in range(len(b))]
        assert sum(map(Fraction, b)) == 1
        assert [sum(row) for row in exact] == list(map(Fraction, c))
        assert c[0] == 0
        assert all(EARLIEST - 1e-12 <= node <= 1 + 1e-12 for node in c[1:])
        assert np.dot(b, c) == pytest.approx(1 / 2, abs=1e-12)
    assert clock(scheme) < 1e-15


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: replace(s, b=((s.b[0][0] + 2**-40, *s.b[0][1:]), *s.b[1:])), "step 0: a sum is off by 9.1e-13"),
        (lambda s: replace(s, c=(*s.c[:-1], (*s.c[-1][:-1], s.c[-1][-1] - 2**-44))), "step 4: a sum is off by 5.7e-14"),
        (lambda s: replace(s, times=s.times[:-1]), "5 nodes"),
    ],
    ids=["weights", "rows", "nodes"],
)
def test_a_record_whose_sums_are_off_by_one_bit_cannot_be_built(change, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        change(LEARNED[-1])


def test_a_record_that_misses_its_order_cannot_be_built() -> None:
    """sum b = 1 and the row sums still hold."""
    scheme = LEARNED[-1]
    b = (scheme.b[0][0] + 2**-20, scheme.b[0][1] - 2**-20, *scheme.b[0][2:])
    with pytest.raises(ValueError, match="order 2"):
        replace(scheme, b=(b, *scheme.b[1:]))


def test_its_own_grid_is_left_alone_and_another_takes_the_steps_at_the_same_part_of_the_way() -> None:
    scheme = LEARNED[1]
    assert scheme.onto(scheme.times) is scheme
    finer = scheme.onto(np.linspace(0, 1, 11))
    assert isinstance(finer, Bespoke)
    assert finer.a == tuple(row for row in scheme.a for _ in range(2))


# ---------------------------------------------------------------------------------------------------- learning


def lesson(names: int = 24) -> Answers:
    model = isocline.model(FORCED.format(solver="auto"))
    return Answers.of(Evaluator(model, {}, drawn(model.inputs, model.source, 7, names), 1e-4), ("last",))


def begun(stages: int = 4, steps: int = 4) -> dict[str, Discretisation]:
    grid = uniform(0.0, 4.0, steps)
    return {"path": Discretisation(Bespoke.starting(BASES[stages], grid.times), grid)}


@pytest.mark.parametrize("stages", BASES)
def test_the_gradient_is_that_of_torch_and_of_finite_differences(stages: int) -> None:
    answers, starts = lesson(), begun(stages, 3)
    scheme = starts["path"].scheme
    assert isinstance(scheme, Bespoke)
    parameters = {"path": Parameters.of(unlearned(scheme, "path"), (0.0, 4.0))}
    gradient = Gradient.of(starts, parameters, answers)
    assert gradient.run is not None, "onnxruntime runs it"
    varying = parameters["path"].varying
    value = gradient.descend()
    by_graph = [x.grad.clone() for x in varying if x.grad is not None]
    loss = gradient.by_torch(gradient.tables)
    assert loss.item() == pytest.approx(value, rel=1e-12)
    for found, right in zip(by_graph, torch.autograd.grad(loss, varying), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-8, atol=1e-10)
    draws = torch.Generator().manual_seed(0)
    for x, slope in zip(varying, by_graph, strict=True):
        way = torch.randn(x.shape, generator=draws, dtype=torch.float64)
        sides = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                x += step * way
                sides.append(gradient.by_torch(gradient.tables).item())
                x -= step * way
        assert (sides[0] - sides[1]) / 2e-6 == pytest.approx((slope * way).sum().item(), rel=1e-4, abs=1e-6)


def test_a_gradient_that_is_not_torchs_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    answers, starts = lesson(), begun()
    scheme = starts["path"].scheme
    assert isinstance(scheme, Bespoke)
    gradient = Gradient.of(starts, {"path": Parameters.of(unlearned(scheme, "path"), (0.0, 4.0))}, answers)
    run = gradient.run
    assert run is not None
    assert (
        gradient.agreed(lambda feeds: {k: x * (1.01 if k.startswith("slope") else 1) for k, x in run(feeds).items()})
        is None
    )


def test_the_same_starts_give_the_same_scheme(briefly: None) -> None:
    first, second = (learn(begun(), lesson(), lesson(16), lambda _: None).choices["path"] for _ in range(2))
    assert first == second
    assert first.scheme != begun()["path"].scheme


def test_what_is_learned_on_is_measured_on_by_nobody() -> None:
    """Draws to learn on, to stop by, to try numbers of steps and to measure on share no input but corners."""
    model = isocline.model(FORCED.format(solver="auto"))
    own = drawn(model.inputs, model.source)
    lessons = lessons_of(model, None, own, 2)
    assert lessons.shifted is not None
    assert lessons.tried is not None
    every = [own, lessons.lesson, lessons.other, lessons.fresh, lessons.tried(1), lessons.tried(2)]
    inner = [{tuple(row) for row in item.inputs["first"] if np.abs(row).max() < 0.99} for item in every]
    assert [len(rows) > 50 for rows in inner] == [True] * 6
    assert len(set.union(*inner)) == sum(map(len, inner))
    for factor in (1.25, 2.0):
        reached = np.abs(lessons.shifted(factor).inputs["first"]).max()
        assert 0.98 * factor < reached < factor


def test_where_it_stops_holding_is_the_last_factor_before_a_miss() -> None:
    def beside(factor: float, learned: float, classical: float, why: str = "") -> Beside:
        found = [{"y": Spread(error, error, error, 0)} for error in (learned, classical)]
        return Beside("draws", factor, *([{}, {}] if why else found), why)

    inside, near, far = beside(1, 1e-3, 1e-2), beside(1.25, 2e-3, 1e-2), beside(1.5, 3e-2, 2e-2)
    assert holding(inside, (near, far), None) == 1.25
    assert holding(inside, (near, far), 1.5e-3) == 1
    assert holding(inside, (near, far), 1e-1) == 1.5
    assert holding(inside, (near, far), 1e-4) == 0
    for limit in (None, 1e-1):
        assert holding(inside, (beside(1.25, 0, 0, "no solution"), near), limit) == 1
