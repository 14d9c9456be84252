"""A scheme is called in four places and read by one rule: `solve ... with`, `train`, `deploy`, the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from isocline_compiler import driver
from isocline_compiler.graph import everything
from isocline_compiler.graph.solve import SOLVE, spec_of
from isocline_compiler.lower.called import scheme_of_text
from isocline_compiler.lower.check import check
from isocline_compiler.solvers.schemes import SCHEMES
from isocline_dsl.diagnostics import IsoclineError

MODEL = """dyn 1
model m

{constant}input x: real[2]
target y: real[2]
param k: positive = 1
field f(t, h: real[2]) {{ h' = -k*h }}
h = solve f from h = x over 0..1 {within}
output h
train {{ loss mse(h, y); solver {trained} }}
deploy {{ solver {deployed} }}
"""


def schemes(folder: Path, within: str, trained: str, deployed: str):
    file = folder / "m.dyn"
    constant = "const many = 6\n" if "many" in within else ""
    file.write_text(MODEL.format(constant=constant, within=within, trained=trained, deployed=deployed))
    model = check(file)
    (solve,) = {node for node in everything(model.graph.outputs.values()) if node.op is SOLVE}
    assert model.training is not None
    return spec_of(solve).scheme, model.training.solver, model.deployment.solver


@pytest.mark.parametrize("call", ["rk4(steps=6)", "rk4(6)", "rk4(steps=many)", "rk4(steps=2*3)"])
def test_one_call_means_the_same_everywhere(call: str, tmp_path: Path) -> None:
    found = [*schemes(tmp_path, f"with {call}", call, call)]
    if "many" not in call:
        found.append(scheme_of_text(call))
    meant = ("rk4", {"steps": 6, "compensated": False})
    assert [(item.name, dict(item.options)) for item in found] == [meant] * len(found)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("rk5(steps=6)", {"E314", "E407"}),
        ("rk4(steps=0)", {"E284"}),
        ("rk4(steps=2.5)", {"E284"}),
        ("rk4(steps=6, order=3)", {"E280"}),
        ("rk4(2, 3)", {"E281"}),
        ("rk4(stepz=6)", {"E280"}),
        ("lm2(steps=learned)", {"E298"}),
    ],
)
def test_one_mistake_is_told_the_same_everywhere(call: str, code: set[str], tmp_path: Path) -> None:
    told = set()
    for places in ([f"with {call}", "rk4(6)", "rk4(6)"], ["", call, "rk4(6)"], ["", "rk4(6)", call]):
        with pytest.raises(IsoclineError) as caught:
            schemes(tmp_path, *places)
        told |= {item.code for item in caught.value.diagnostics}
    with pytest.raises(IsoclineError) as caught:
        scheme_of_text(call)
    told |= {item.code for item in caught.value.diagnostics}
    assert told <= code, told
    assert caught.value.source is not None
    assert caught.value.source.name == "--solver"


@pytest.mark.parametrize("text", ["", "rk4", "rk4(steps=", "}", "auto(error=1e-3)", "rk4(steps=4) unroll all"])
def test_what_is_no_scheme_is_refused_beside_a_file(text: str) -> None:
    with pytest.raises(IsoclineError):
        scheme_of_text(text)


def test_what_does_not_suit_the_file_is_told_at_its_solve(tmp_path: Path) -> None:
    file = tmp_path / "m.dyn"
    file.write_text(
        "dyn 1\nmodel m\n\ninput x: real in (0, 1)\nfield f(t, h: real) { h' = -h }\n"
        "h = solve f from h = x at 0..3 step 1\noutput y = h.h\n"
    )
    with pytest.raises(IsoclineError, match="7 steps do not divide among 3 intervals") as caught:
        driver.compile(file, out=tmp_path / "out", solver="rk4(steps=7)")
    span = caught.value.diagnostics[0].span
    assert span is not None
    assert file.read_text()[span.start : span.stop] == "solve f from h = x at 0..3 step 1"


def test_every_scheme_without_noise_stands_in_the_model_of_the_conformance_table() -> None:
    text = (Path(__file__).parents[2] / "benchmarks" / "every_scheme.dyn").read_text(encoding="utf-8")
    assert [name for name, scheme in SCHEMES.items() if not scheme.normals and f"with {name}(" not in text] == []
