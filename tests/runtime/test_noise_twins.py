"""The random numbers in torch, in JavaScript and compiled by numba: those of numpy."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

from isocline_compiler.backends import noise as in_torch
from isocline_runtime.randomness import (
    Draws,
    bernoulli,
    compiled,
    normal,
    normal_quantile,
    normals,
    poisson,
    stable,
    uniform,
    uniforms,
)
from isocline_runtime.randomness.compiled import Choice
from tests.runtime.test_noise import ANSWERS, FAR, SCRIPT, small

DESIGNS = ({}, {"antithetic": True}, {"steps": 1}, {"steps": 8, "channels": 1})
RATES = (0.0, 0.4, 5.0, 70.25, 1e5)
ALPHAS = (0.5, 1.0, 1.7, 2.0)


@pytest.mark.parametrize("design", DESIGNS)
def test_torch_draws_the_same(design: dict[str, Any]) -> None:
    draws, rows = small(2**63 + 9, **design), [0, 1, 2**40 + 3, 2**63 - 1]
    fields = {name: value for name, value in asdict(draws).items() if name in in_torch.TorchDraws.__dataclass_fields__}
    twin, at = in_torch.TorchDraws(**fields), torch.tensor(rows)
    assert (twin.uniforms(at).numpy() == uniforms(draws, rows)).all()
    np.testing.assert_allclose(twin.normals(at).numpy(), normals(draws, rows), rtol=1e-13)
    for alpha in ALPHAS:
        np.testing.assert_allclose(twin.stable(at, alpha).numpy(), stable(draws, rows, alpha), rtol=1e-12)
    for rate in RATES:
        assert (twin.poisson(at, rate).numpy() == poisson(draws, rows, rate)).all()


RUN = """
const { jobs, script } = JSON.parse(require("fs").readFileSync(0, "utf8"));
import(script).then((noise) => {
  const answers = jobs.map(({ name, draws, rows, rest }) =>
    Array.from(noise[name]({ ...draws, seed: BigInt(draws.seed) }, rows.map(BigInt), ...rest)));
  const known = ([counter, key]) => Array.from(noise.philox4x32(...counter, ...key));
  console.log(JSON.stringify({ answers, known: KNOWN.map(known) }));
});
"""


def in_javascript(jobs: list[dict[str, Any]]) -> dict[str, Any]:
    """The answers of `noise.js`, and what it makes of the known counters."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed, so noise.js was not run")
    program = RUN.replace("KNOWN", json.dumps([case[:2] for case in ANSWERS]))
    given = json.dumps({"jobs": jobs, "script": SCRIPT.as_uri()})
    done = subprocess.run([node, "-e", program], input=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_javascript_draws_the_same() -> None:
    rows = [0, 1, 2**40 + 3, 2**64 - 1]
    every = [small(2**63 + 9, **design) for design in (*DESIGNS, {"first_step": 3, "first_sample": 2})]
    lattices = [small(lattice=True, **more) for more in ({}, {"antithetic": True, "first_sample": 1}, {"channels": 40})]
    cases: list[tuple[Any, Draws, tuple[float, ...]]] = [
        *((draw, draws, ()) for draw in (uniforms, normals) for draws in (*every, *lattices, FAR)),
        *((stable, draws, (alpha,)) for draws in every for alpha in ALPHAS),
        *((poisson, draws, (rate,)) for draws in (*every, *lattices) for rate in RATES),
        *((bernoulli, draws, (p,)) for draws in (*every, *lattices) for p in (0.0, 0.3, 1.0)),
    ]
    jobs = [
        {"name": draw.__name__, "draws": in_camel_case(draws), "rows": [str(row) for row in rows], "rest": rest}
        for draw, draws, rest in cases
    ]
    found = in_javascript(jobs)
    assert found["known"] == [answer for *_, answer in ANSWERS]
    for (draw, draws, rest), answer in zip(cases, found["answers"], strict=True):
        expected = draw(draws, rows, *rest).ravel()
        if draw in (uniforms, poisson, bernoulli):
            assert answer == expected.tolist()
        else:
            np.testing.assert_allclose(answer, expected, rtol=1e-12, atol=1e-14)


def in_camel_case(draws: Draws) -> dict[str, Any]:
    names = {"first_sample": "firstSample", "first_step": "firstStep"}
    return {names.get(name, name): str(value) if name == "seed" else value for name, value in asdict(draws).items()}


def test_the_script_is_shipped_beside_the_package() -> None:
    from importlib.resources import files

    assert "export function normals" in files("isocline_runtime").joinpath("noise.js").read_text("utf-8")


# ------------------------------------------------------------------------------- compiled by numba


@pytest.fixture
def choice(monkeypatch: pytest.MonkeyPatch) -> Choice:
    """A choice that is this test's own."""
    found = Choice()
    for module in (uniform, normal):
        monkeypatch.setattr(module, "CHOICE", found)
    return found


@pytest.mark.parametrize("design", [{}, {"antithetic": True}, {"lattice": True}, {"lattice": True, "antithetic": True}])
def test_compiled_functions_have_the_same_bits(choice: Choice, design: dict[str, bool]) -> None:
    pytest.importorskip("numba", reason="numba is not installed, so nothing was compiled")
    kinds: list[Any] = [
        uniforms,
        normals,
        lambda *place: normals(*place, np.float32),
        lambda *place: poisson(*place, 3),
    ]
    rows = [0, 5, 2**40 + 3, 2**64 - 1]
    for sizes in ((4, 7, 3), (4096, 9, 1), (2, 2, 3000)):
        draws = Draws(2**63 + 9, 2, *sizes, **design)
        for draw in [*kinds, *([] if draws.lattice else [lambda *place: stable(*place, 1.3)])]:
            choice.take(None)
            expected = draw(draws, rows)
            choice.take(compiled.load())
            assert choice.found is not None
            np.testing.assert_array_equal(draw(draws, rows), expected)


def test_the_compiled_quantile_has_the_same_bits_in_the_tails() -> None:
    pytest.importorskip("numba", reason="numba is not installed, so nothing was compiled")
    u = (2 * np.unique(np.logspace(0, 52 * math.log10(2), 4000).astype(np.int64) // 2) + 1) * 2.0**-53
    u = np.concatenate([u[u < 1], 1 - u[u < 1], [0.075, 0.925]])
    functions = compiled.load()
    assert functions is not None
    assert (functions.quantile(u - 0.5, np.empty((3, u.size))) == normal_quantile(u)).all()


def test_numba_is_loaded_when_it_is_worth_it(choice: Choice, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    monkeypatch.setattr(compiled, "load", lambda: loaded.append(1))
    monkeypatch.setattr(compiled, "WORTH", 2 * (1000 + compiled.CALL))
    for times in (0, 1, 1, 1):
        uniforms(Draws(1, samples=500, steps=2), [0])
        assert len(loaded) == times


def test_without_numba_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    assert compiled.load() is None
