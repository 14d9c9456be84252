"""`isocline pack --for c`: what it writes builds without a warning and answers as the artifact does."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import isocline
from isocline_runtime import RunError
from tests.native.in_c import needs_compiler

pytestmark = [needs_compiler, pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")]
SANITIZED = "-O1 -Werror -Wextra -fsanitize=address,undefined -fno-sanitize-recover=all"
MODELS = {
    "matrices and several outputs": """dyn 1
model mixed
input x: real[3] in (-1, 1)
input k: class[4]
output y = tanh(x * 2 + one_hot(k, 4)[0:3]) |> cumsum
output z = sum(x)
output n = argmax(x)
""",
    "a long solve": """dyn 1
model orbit
input q0: real[2] in (0.5, 1)
field f(t, q: real[2], p: real[2]) {
  q' = p
  p' = -q / (sum(q * q) ^ 1.5 + 0.1)
}
s = solve f from q = q0, p = [0.0, 1.0] over 0..3
output q = s.q
deploy { solver rk4(steps=300) }
""",
    "noise": """dyn 1
model walk
input x0: real in (0.5, 1)
field f(t, x: real) {
  noise W: brownian
  dx = -x dt + 0.1 dW
}
s = solve f from x = x0 over 0..1
output x = s.x
deploy { solver euler_maruyama(steps=20) }
""",
    "no inputs": """dyn 1
model alone
field f(t, x: real) { x' = -x }
s = solve f from x = 2.0 over 0..1
output x = s.x
deploy { solver rk4(steps=8) }
""",
    "double precision": """dyn 1
model decay
input x0: real in (1, 2)
field f(t, x: real) { x' = -x }
s = solve f from x = x0 at [0, 0.5, 1]
output x = s.x
deploy { solver rk4(steps=8)
  dtype float64 }
""",
}


def make(folder: Path, *given: str) -> subprocess.CompletedProcess[str]:
    """Make as a user calls it: what an outer make, of which the tests are a part, says to its own is kept away."""
    outside = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    return subprocess.run(["make", *given], cwd=folder, capture_output=True, text=True, env=outside)


def packed(text: str, folder: Path) -> tuple[Path, Path]:
    isocline.compile(isocline.model(text), folder / "artifact")
    return folder / "artifact", isocline.pack(folder / "artifact", out=folder / "c")


@pytest.mark.parametrize("text", MODELS.values(), ids=MODELS.keys())
def test_it_builds_and_agrees_with_the_certificate_under_sanitizers(text: str, tmp_path: Path) -> None:
    _, folder = packed(text, tmp_path)
    done = make(folder, f"CFLAGS={SANITIZED}", "all", "check")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.endswith("right\n")


def test_the_program_answers_a_line_a_sample(tmp_path: Path) -> None:
    artifact, folder = packed(MODELS["a long solve"], tmp_path)
    assert make(folder, "CFLAGS=-O2").returncode == 0
    given = np.array([[0.6, 0.7], [0.9, 0.8], [0.75, 0.51]], np.float32)
    lines = "".join(f"{a:.9g} {b:.9g}\n" for a, b in given)
    done = subprocess.run([folder / "orbit"], input=lines, capture_output=True, text=True, check=True)
    found = np.array([[float(x) for x in line.split()] for line in done.stdout.splitlines()])
    np.testing.assert_allclose(found, isocline.load(artifact).run(q0=given)["q"], rtol=1e-5)
    done = subprocess.run([folder / "orbit"], input="0.6 0.7\n0.9 apple\n", capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "line 2: number 2 of 2 is missing or none\n")


def test_a_model_without_inputs_answers_once(tmp_path: Path) -> None:
    _, folder = packed(MODELS["no inputs"], tmp_path)
    assert make(folder, "CFLAGS=-O2 -Werror").returncode == 0
    done = subprocess.run([folder / "alone"], capture_output=True, text=True, timeout=10, check=True)
    assert float(done.stdout) == pytest.approx(2 * np.exp(-1), rel=1e-4)


def test_the_check_fails_where_the_model_is_another(tmp_path: Path) -> None:
    _, folder = packed(MODELS["a long solve"], tmp_path)
    source = folder / "model.c"
    text = source.read_text()
    assert "i1 < 300" in text
    source.write_text(text.replace("i1 < 300", "i1 < 299"))
    done = make(folder, "CFLAGS=-O1", "check")
    assert done.returncode != 0
    assert "wrong" in done.stdout


def test_two_models_fit_into_one_program(tmp_path: Path) -> None:
    """Names are those of the models, and the header is for C++ too."""
    for name in ("a long solve", "double precision"):
        packed(MODELS[name], tmp_path / name.replace(" ", "_"))
    one, two = tmp_path / "a_long_solve" / "c", tmp_path / "double_precision" / "c"
    (tmp_path / "both.c").write_text(
        f'#include "{one}/model.h"\n#include "{two}/model.h"\n'
        "int main(void) { return sizeof(orbit_workspace) + sizeof(decay_workspace) == 0; }\n"
    )
    command = ["cc", "-std=c11", "-O1", "-o", "both", "both.c", str(one / "model.c"), str(two / "model.c")]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert 'extern "C"' in (one / "model.h").read_text()


def test_nothing_of_the_users_is_overwritten(tmp_path: Path) -> None:
    artifact, folder = packed(MODELS["double precision"], tmp_path)
    assert isocline.pack(artifact, out=folder) == folder  # its own files are
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="E767"):
        isocline.pack(artifact, out=folder)
    with pytest.raises(RunError, match="E766"):
        isocline.pack(artifact, form="cobol", out=tmp_path / "other")
    with pytest.raises(RunError, match="E760"):
        isocline.pack(artifact / "model.onnx", out=tmp_path / "other")
    assert not (tmp_path / "other").exists()
