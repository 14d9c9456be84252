"""Functions, and files that use the declarations of others: what they mean, and where their mistakes are told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

import isocline
from isocline_compiler.backends.to_torch import TorchProgram
from isocline_compiler.lower import lower
from isocline_compiler.lower.check import check
from isocline_dsl import IsoclineError, Source, parse, read, render_error, to_text
from isocline_dsl.tree import Field, Function, walk

FOLDER = Path(__file__).parent / "sharing"
CASES = sorted(FOLDER.glob("*.dyn"))

RATES = (FOLDER / "shared" / "rates.dyn").read_text(encoding="utf-8")
MAIN = """dyn 1
model cooling

use "shared/rates.dyn"

input c0: real in (0.5, 2)
input temperature: real in (280, 320)

function rise(x, k: real) -> real {
  whole = x + k
  x/whole
}
field reaction(t, c: real) { c' = -arrhenius(40, 10, temperature)*rise(c, 0.5) }

path = solve reaction from c = c0 over 0..1
output left = path.c
output slope = grad(rise(c0, 2), c0)

deploy {
  solver    auto(error=1e-5)
  attribute left wrt c0 by saliency
}
"""


def placed(folder: Path, main: str = MAIN, rates: str = RATES) -> Path:
    (folder / "shared").mkdir()
    (folder / "shared" / "rates.dyn").write_text(rates, encoding="utf-8")
    file = folder / "cooling.dyn"
    file.write_text(main, encoding="utf-8")
    return file


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_one_mistake_is_told_in_the_file_that_it_is_in(
    path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    """Rewrite the golden files with `pytest --snapshot-update`, and read the difference."""
    monkeypatch.chdir(FOLDER)
    source = Source(read(path).text, path.name)
    with pytest.raises(IsoclineError) as found:
        lower(parse(source), source)
    shown = f"{path.read_text(encoding='utf-8')}\n{'-' * 80}\n{render_error(found.value)}\n"
    golden = path.with_suffix(".txt")
    if pytestconfig.getoption("update_snapshots", default=False):
        golden.write_text(shown, encoding="utf-8")
    assert {item.code for item in found.value.diagnostics} == {path.stem.split("_")[0]}
    assert shown == golden.read_text(encoding="utf-8")


def test_an_artifact_of_two_files_computes_what_scipy_does_and_needs_neither(tmp_path: Path) -> None:
    file = placed(tmp_path)
    isocline.build(file, tmp_path / "artifact")
    file.unlink()
    (tmp_path / "shared" / "rates.dyn").unlink()
    start, warm = np.array([0.6, 1.9]), np.array([285.0, 315.0])
    answer = isocline.load(tmp_path / "artifact").run({"c0": start, "temperature": warm})
    rate = 40 * np.exp(-10 / (8.314e-3 * warm))
    exact = solve_ivp(lambda t, c: -rate * c / (c + 0.5), (0, 1), start, rtol=1e-10, atol=1e-12).y[:, -1]
    np.testing.assert_allclose(answer["left"], exact, rtol=3e-5)
    np.testing.assert_allclose(answer["slope"], 2 / (start + 2) ** 2, rtol=1e-5)
    assert isocline.verify(tmp_path / "artifact").holds
    report = (tmp_path / "artifact" / "report.html").read_text(encoding="utf-8")
    assert "# ---- rates.dyn ----" in report


def test_what_is_used_of_a_file_is_there_and_nothing_else(tmp_path: Path) -> None:
    model = check(placed(tmp_path))
    names = [item.name.text for item in model.program.declarations if isinstance(item, Function | Field)]
    assert names == ["arrhenius", "rise", "reaction"]
    assert [item.name for item in model.parameters] == []  # `unneeded` is not trained


def test_spans_of_a_used_file_lead_into_its_text(tmp_path: Path) -> None:
    model = check(placed(tmp_path))
    shared = next(item for item in model.program.declarations if isinstance(item, Function))
    for node in walk(shared):
        assert model.source.file(node.span.start) == str(tmp_path / "shared" / "rates.dyn")
    line, column = model.source.position(shared.name.span.start)
    assert RATES.splitlines()[line - 1][column - 1 :].startswith("arrhenius(")
    assert model.source.text[shared.name.span.start : shared.name.span.stop] == "arrhenius"


def test_a_linked_program_prints_as_one_file_of_the_same_meaning(tmp_path: Path) -> None:
    model = check(placed(tmp_path))
    again = isocline.model(to_text(model.program))
    assert again.program == model.program
    assert not again.source.parts


def test_a_file_that_two_files_use_is_read_once_and_paths_start_at_the_user(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "units.dyn").write_text("dyn 1\nfunction double(x: real) = 2*x\n")
    (tmp_path / "deep" / "a.dyn").write_text('dyn 1\nuse "units.dyn"\nfunction a(x: real) = double(x) + 1\n')
    (tmp_path / "b.dyn").write_text('dyn 1\nuse "deep/units.dyn"\nfunction b(x: real) = double(x) + 2\n')
    (tmp_path / "m.dyn").write_text(
        'dyn 1\nmodel m\nuse "deep/a.dyn"\nuse "b.dyn"\ninput x: real\noutput y = a(x) + b(x)\n'
    )
    model = check(tmp_path / "m.dyn")
    assert [Path(part.name).name for part in model.source.parts] == ["a.dyn", "units.dyn", "b.dyn"]


def test_a_text_uses_files_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shared.dyn").write_text("dyn 1\nfunction double(x: real) = 2*x\n")
    monkeypatch.chdir(tmp_path)
    model = isocline.model('dyn 1\nmodel m\nuse "shared.dyn"\ninput x: real\noutput y = double(x)\n')
    assert [part.name for part in model.source.parts] == ["shared.dyn"]


def test_a_shared_file_has_a_layout_and_no_model(tmp_path: Path) -> None:
    file = tmp_path / "rates.dyn"
    file.write_text("dyn 1\nfunction   f(x:real)=x/(1+x)   # saturates\n")
    assert isocline.format(file).after == "dyn 1\nfunction f(x: real) = x/(1 + x)  # saturates\n"
    with pytest.raises(IsoclineError, match="E117"):
        check(file)


def test_the_names_of_a_function_are_its_own_whatever_the_model_calls_so() -> None:
    text = "input x, s: real\nconst k = 3\n"
    text += "function f(k: real) {\n  s = 2*k\n  s + 1\n}\noutput y = f(x)*k + s\n"
    model = isocline.model(f"dyn 1\nmodel m\n{text}")
    values = {"x": torch.tensor([0.25], dtype=torch.float64), "s": torch.tensor([5.0], dtype=torch.float64)}
    assert TorchProgram(model.graph)(values)["y"].item() == pytest.approx((2 * 0.25 + 1) * 3 + 5)


def test_use_and_function_may_name_values() -> None:
    model = isocline.model("dyn 1\nmodel m\ninput use: real\nk = 2*use\noutput y = k\n")
    assert [port.name for port in model.inputs] == ["use"]
