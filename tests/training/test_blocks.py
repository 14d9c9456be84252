"""Several blocks `train`: one after another, and in turns; against gradient steps that numpy takes by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from isocline_compiler.data import Dataset, Split
from isocline_compiler.lower import lower
from isocline_compiler.model import Model
from isocline_compiler.training import fit
from isocline_compiler.training.fit import train
from isocline_compiler.training.laplace import laplace
from isocline_compiler.training.loop import Loop
from isocline_dsl import Source, parse
from isocline_dsl.diagnostics import IsoclineError
from isocline_dsl.printer import to_text

X, Y = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 0.1, 2.0, 1.0])
DATA = Dataset(Split({"x": X, "y": Y}))
HEAD = """dyn 1
model m
input x: real
target y: real
param a: real = 0.5
param b: real = 0.25
output z = a*x
"""
GAME = """
train critic { loss b*(z - y) + 0.1*b^2; only b; optimizer sgd(lr=0.1) }
train game {
  loss       (z - b*y)^2
  only       a
  alternate  critic(updates=2)
  optimizer  sgd(lr=0.02)
  epochs     7
  precision  float64
}
"""
IN_TURN = """
train slope { loss (z - y)^2; only a; optimizer sgd(lr=0.02); epochs 5; precision float64 }
train offset { loss (a*x + b - y)^2; only b; optimizer sgd(lr=0.1); epochs 4; precision float64 }
"""


def model(text: str) -> Model:
    source = Source(HEAD + text, "m.dyn")
    return lower(parse(source), source)


def game(epochs: int) -> tuple[float, float]:
    """Two steps of b down its own loss, then one of a down the other."""
    a, b = 0.5, 0.25
    for _ in range(epochs):
        for _ in range(2):
            b -= 0.1 * float(np.mean(a * X - Y) + 0.2 * b)
        a -= 0.02 * float(np.mean(2 * (a * X - b * Y) * X))
    return a, b


def in_turn() -> tuple[float, float]:
    a, b = 0.5, 0.25
    for _ in range(5):
        a -= 0.02 * float(np.mean(2 * (a * X - Y) * X))
    for _ in range(4):
        b -= 0.1 * float(np.mean(2 * (a * X + b - Y)))
    return a, b


@pytest.mark.parametrize(("text", "expected"), [(GAME, game(7)), (IN_TURN, in_turn())], ids=["turns", "in turn"])
def test_weights_are_those_of_steps_by_hand(text: str, expected: tuple[float, float], tmp_path: Path) -> None:
    result = train(model(text), DATA, tmp_path, device="cpu")
    assert [float(result.weights[name]) for name in "ab"] == pytest.approx(expected, rel=1e-12)


def test_what_takes_turns_has_its_loss_in_the_metrics(tmp_path: Path) -> None:
    """The mean over its updates, at the weights that each of them met."""
    history = train(model(GAME), DATA, tmp_path, device="cpu", epochs=1).history
    b, losses = 0.25, []
    for _ in range(2):
        losses.append(float(np.mean(b * (0.5 * X - Y) + 0.1 * b**2)))
        b -= 0.1 * float(np.mean(0.5 * X - Y) + 0.2 * b)
    assert history[0]["critic"] == pytest.approx(np.mean(losses), rel=1e-12)
    assert history[0]["loss"] == pytest.approx(np.mean((0.5 * X - b * Y) ** 2), rel=1e-12)


@pytest.mark.parametrize(("text", "optimizer"), [(GAME, "sgd"), (GAME, "adam"), (IN_TURN, "sgd"), (IN_TURN, "adam")])
@pytest.mark.parametrize("stop", [0, 1, 3, 6])
def test_training_goes_on_with_the_same_bits(
    text: str, optimizer: str, stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped within the first block, at its end, or within the second; in the middle of an epoch."""
    known = model(text.replace("sgd", optimizer).replace("epochs", "batch 3; epochs"))
    whole = train(known, DATA, tmp_path / "whole", device="cpu")
    left = [2 * stop + 1]

    def rest(loop: Loop) -> Iterator[Any]:
        for item in every(loop):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            yield item
            loop.save()

    every = Loop._rest_of_epoch
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_rest_of_epoch", rest)
        with pytest.raises(KeyboardInterrupt):
            train(known, DATA, tmp_path / "part", device="cpu")
    rest_of = train(known, DATA, tmp_path / "part", resume=True, device="cpu")
    assert rest_of.complete
    assert {name: value.tolist() for name, value in rest_of.weights.items()} == {
        name: value.tolist() for name, value in whole.weights.items()
    }
    assert (tmp_path / "part" / "weights.safetensors").read_bytes() == (
        tmp_path / "whole" / "weights.safetensors"
    ).read_bytes()


@pytest.mark.parametrize("begun", [1, 2, 3])
def test_a_new_run_leaves_nothing_of_an_old_one_to_resume(
    begun: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An earlier run was completed; a new one on other data is stopped where a block begins, and resumed."""
    again = IN_TURN.strip().splitlines()[0].replace("slope", "again")
    known = model(f"{IN_TURN}{again}")
    train(known, DATA, tmp_path, device="cpu")
    other = Dataset(Split({"x": X, "y": Y[::-1].copy()}))
    expected = train(known, other, tmp_path / "other", device="cpu")
    make, left = fit._Fitting.__init__, [begun]

    def stopped(self: fit._Fitting, *given: Any) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        make(self, *given)

    with monkeypatch.context() as patch:
        patch.setattr(fit._Fitting, "__init__", stopped)
        with pytest.raises(KeyboardInterrupt):
            train(known, other, tmp_path, device="cpu")
    if begun == 1:
        with pytest.raises(IsoclineError, match="no checkpoint"):
            train(known, other, tmp_path, resume=True, device="cpu")
        return
    found = train(known, other, tmp_path, resume=True, device="cpu")
    assert found.weights == expected.weights


def test_more_epochs_of_a_block_begin_the_next_anew(tmp_path: Path) -> None:
    """It starts from other weights than before; with no more epochs, all stays as it is."""
    known = model(IN_TURN)
    train(known, DATA, tmp_path / "part", device="cpu", epochs=2)
    longer = train(known, DATA, tmp_path / "part", device="cpu", epochs=6, resume=True)
    assert longer.weights == train(known, DATA, tmp_path / "whole", device="cpu", epochs=6).weights
    assert longer.weights == train(known, DATA, tmp_path / "part", device="cpu", epochs=6, resume=True).weights


def test_the_player_draws_noise_of_its_own(tmp_path: Path) -> None:
    text = """
field f(t, u: real) {
  noise W: brownian[1]
  du = a dt + 0.3 dW
}
u = solve f from u = x over 0..1 samples 4
train critic { loss b*(mean(u)*mean(u)); only b; solver euler_maruyama(steps=3) }
train game { loss (mean(u)*mean(u) - y)^2; only a; alternate critic; epochs 3; solver euler_maruyama(steps=3) }
"""
    known = model(text)
    assert known.training is not None
    (turn,) = known.training.turns
    assert turn.plan.seed != known.training.seed
    first, second = (train(known, DATA, tmp_path / name, device="cpu").weights for name in "ab")
    assert first == second


def test_standard_errors_are_given_for_what_the_last_block_trains(tmp_path: Path) -> None:
    for text, words in ((GAME, "takes turns"), (IN_TURN, "does not train `a`")):
        known = model(text)
        found = laplace(known, DATA.train, train(known, DATA, tmp_path / words, device="cpu").free_weights)
        assert found.reason is not None
        assert words in found.reason


def test_the_text_of_blocks_is_printed_as_it_was() -> None:
    source = Source(HEAD + GAME + IN_TURN, "m.dyn")
    program = parse(source)
    again = Source(to_text(program), "m.dyn")
    assert parse(again) == program
    assert "train critic {" in again.text


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("train { loss (z - b*y)^2; only c }", "E434", "`c`"),
        ("train { loss (z - b*y)^2; alternate critic }", "E435", "critic"),
        (GAME.replace("optimizer sgd(lr=0.1)", "epochs 3"), "E436", "epochs"),
        (GAME.replace("optimizer sgd(lr=0.1)", "schedule plateau"), "E436", "plateau"),
        (GAME.replace("only b;", ""), "E437", "critic"),
        (GAME.replace("  only       a\n", ""), "E437", "game"),
        ("train { loss (z - b*y)^2 }\ntrain { loss (z - y)^2 }", "E264", "name"),
        ("train p { loss (z - b*y)^2 }\ntrain p { loss (z - y)^2 }", "E264", "train p"),
        ("train { loss (z - b*y)^2; only b; epochs 3 }".replace("b*y", "y"), "E426", ""),
    ],
)
def test_what_cannot_be_is_told(text: str, code: str, words: str) -> None:
    with pytest.raises(IsoclineError) as raised:
        model(text)
    assert code in [item.code for item in raised.value.diagnostics]
    assert words in str(raised.value)
