"""Whatever is changed in a program: a model, or our own diagnostics; never another exception, never a hang."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isocline_compiler.graph.text_form import to_text
from isocline_compiler.lower import lower
from isocline_compiler.lower.check import model
from isocline_compiler.model import Model
from isocline_dsl import CATALOGUE, IsoclineError, Source, parse, render_error

HERE = Path(__file__).parents[1]
FILES = [*sorted((HERE / "dsl" / "programs").glob("*.dyn")), *sorted((HERE.parent / "examples").glob("*/*.dyn"))]
EVERYTHING = """dyn 1
model everything "small, and of every kind"

const n = 3
const rates: real[2] = [0.5, 2]
input x: real[4], series: real[6, 3], ts: time[6], kind: class[3]
target y: real[6, 2], label: class[4]
param k, c: positive = 0.5 ~ lognormal(0, 1)
param A: real[2, 2] in (-1, 1) = uniform(0.1)
net g(z: real[2]) -> real[2] { u = z |> dense(n + 1, bias=false) |> tanh; u |> dense(2, init=zeros) }
field swing(t, q: real) { q'' = -k*q - c*q' + 0.1*sin(t) }
field f(t, z: real[2], s: real) weights per step {
  a = g(z) + rates*A[0]
  z' = a + z |> dense(2); s' = where(z[0] > 0, -s, s^2)
}
osc = solve swing from q = x[0], q' = 0 at ts
z = solve f from z = A @ x[0:2], s = x[3] over 1..0 with rk4(steps=3)
w = series |> gru(4) |> layernorm
logits = concat(z.z, [z.s, mean(w)]) + one_hot(kind, 3)[0]*standardize(x)
output path = stack(osc.q, osc.q', axis=-1)
output logits
train {
  loss mean((path - y)^2) + cross_entropy(logits, label)
  regularize 0.1*kinetic_energy(swing) + steer(0.1)
  optimizer adamw(lr=1e-2); schedule step(10); epochs 3; solver dopri5(rtol=1e-3)
  early_stop patience(5); validation 0.2; clip 1
}
deploy { solver auto(error=1e-3, of=path); check accuracy(logits, label) > 0.5; opset 20 }
"""
TEXTS = [*(path.read_text() for path in FILES), *[EVERYTHING] * 8]
WORDS = [
    *sorted({token for text in TEXTS for token in re.findall(r"\w+|[^\w\s]|\n", text)}),
    "0", "-1", "1e400", "1.5", "inf", "pi", "true", "real", "real[2]", "[]", "[1, [2]]", '"a"', "x", "q'", "path.q",
    "0..1", "matmul", "pad", "reshape", "gather", "B",
]  # fmt: skip


def survives(text: str) -> None:
    try:
        outcome: Model | IsoclineError = model(text)
    except IsoclineError as error:
        outcome = error
    if isinstance(outcome, Model):
        assert to_text(outcome.graph)
        return
    assert outcome.diagnostics
    assert all(item.code in CATALOGUE for item in outcome.diagnostics)
    assert render_error(outcome).startswith("error[E")


def test_a_program_of_every_kind_lowers() -> None:
    source = Source(EVERYTHING)
    assert len(lower(parse(source), source).outputs) == 2


@given(st.sampled_from(TEXTS), st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_programs(text: str, data: st.DataObject) -> None:
    tokens = re.findall(r"\s+|\w+|[^\w\s]", text)
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.integers(0, len(tokens) - 1))
        other = data.draw(st.sampled_from(WORDS))
        match data.draw(st.sampled_from("drrsi")):
            case "d":
                del tokens[place]
            case "r":
                tokens[place] = other
            case "s":
                tokens[place], tokens[place // 2] = tokens[place // 2], tokens[place]
            case _:
                tokens.insert(place, f" {other} ")
    survives("".join(tokens))


@pytest.mark.parametrize(
    "value",
    ["-" * 900 + "1", "+".join("1" * 3000), "+".join("x" * 3000), "(" * 90 + "1" + ")" * 90, "10^10^10", "2^-2000",
     "1e308*10", "x" + " |> tanh" * 2000, "x" + "[0:1]" * 1000, "(-1)^0.5", "0^-1", "x[inf]",
     "zeros(1e9)", "x[10^400]"],
)  # fmt: skip
def test_extremes(value: str) -> None:
    survives(f"dyn 1\nmodel m\ninput x: real[4]\noutput y = x + {value}\n")
    survives(f"dyn 1\nmodel m\nconst c = {value}\ninput x: real[4]\noutput y = x + c\n")
    survives(f"dyn 1\nmodel m\ninput x: real[{value}]\noutput y = x\n")
