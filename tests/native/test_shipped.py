"""Libraries that an artifact brings: who may run them, and that they answer as the ONNX file does."""

from __future__ import annotations

import importlib.util
import json
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import isocline
from isocline_compiler.artifact import shipped
from isocline_compiler.vocabulary.options import NATIVE_TARGETS
from isocline_runtime import ArtifactError, ProviderError
from isocline_runtime.artifact import describe_file
from isocline_runtime.manifest import SIGNATURE_FILE
from isocline_runtime.native.compilers import find_compiler
from isocline_runtime.native.targets import TARGETS, target_here
from isocline_runtime.seal import read_private_key, seal
from tests.native.in_c import needs_compiler

HERE = target_here()
needs_target = pytest.mark.skipif(HERE is None, reason="no library is shipped for this machine")
needs_zig = pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="the package ziglang is not here")
MODEL = """dyn 1
model pair "A turning pair"
input start: real[2] in (0.5, 1.5)
input rate: real in (0.5, 2)
field turn(t, x, y: real) { x' = rate*y; y' = -rate*tanh(x) }
path = solve turn from x = start[0], y = start[1] at 0..5 step 1
output x = path.x
deploy { solver rk4(steps=20); attribute x wrt start by saliency; native TARGETS }
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """key.pem, and key.pub beside it."""
    place: Path = tmp_path_factory.mktemp("keys")
    key = Ed25519PrivateKey.generate()
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (place / "key.pem").write_bytes(key.private_bytes(*kinds))
    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    (place / "key.pub").write_bytes(key.public_key().public_bytes(*public))
    return place


@pytest.fixture(scope="module")
def folder(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed artifact with the library of this machine."""
    assert HERE is not None
    place: Path = tmp_path_factory.mktemp("shipped") / "pair"
    isocline.compile(isocline.model(MODEL.replace("TARGETS", HERE.name)), place, sign=keys / "key.pem")
    return place


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOCLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOCLINE_CC", "/nowhere/cc")


def inputs(batch: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    start = generator.uniform(0.5, 1.5, (batch, 2)).astype(np.float32)
    return {"start": start, "rate": generator.uniform(0.5, 2, batch).astype(np.float32)}


def test_the_language_and_the_runtime_know_the_same_processors() -> None:
    assert tuple(TARGETS) == NATIVE_TARGETS


@needs_compiler
@needs_target
def test_what_is_shipped_is_what_is_measured(folder: Path) -> None:
    assert HERE is not None
    said = json.loads((folder / "certificate.json").read_text())["native"]
    assert (said["libraries"], said["measured"]) == ([HERE.name], HERE.name)
    assert said["parity"]["x"]["maximum"] < 5e-6
    listed = json.loads((folder / "manifest.json").read_text())
    for program in listed["native"]:
        assert set(program["libraries"].values()) < set(listed["files"])


@needs_compiler
@needs_target
def test_a_signed_library_needs_no_compiler(folder: Path, keys: Path, cache: Path, no_compiler: None) -> None:
    plain = isocline.load(folder)
    session = isocline.load(folder, engine="auto", trust=keys / "key.pub")
    assert session.engine == "native"
    assert "brings a library" in session.engine_reason
    for batch in (1, 5, 16, 37):
        found, expected = session.run(inputs(batch)), plain.run(inputs(batch))
        np.testing.assert_allclose(found["x"], expected["x"], rtol=3e-6, atol=3e-6)
    explained, expected = session.attribute(inputs(3)), plain.attribute(inputs(3))
    for name, array in expected.items():
        np.testing.assert_allclose(explained[name], array, rtol=1e-4, atol=1e-5)
    assert session.attributor().backend.get_providers() == ["native"]


@needs_compiler
@needs_target
def test_without_a_signature_nothing_that_came_is_run(folder: Path, cache: Path, no_compiler: None) -> None:
    with pytest.raises(ProviderError, match="E761"):
        isocline.load(folder, engine="native")
    assert isocline.load(folder, engine="auto").engine == "onnxruntime"
    assert not list(cache.glob("*"))


@needs_compiler
@needs_target
def test_what_was_trusted_once_is_loaded_again(folder: Path, keys: Path, no_compiler: None) -> None:
    """As a pickled session is: it is the same file, and lies where this user alone can write."""
    isocline.load(folder, engine="native", trust=keys / "key.pub")
    assert isocline.load(folder, engine="native").engine == "native"


@needs_compiler
@needs_target
def test_a_library_that_answers_otherwise_is_not_kept(folder: Path, keys: Path, cache: Path, tmp_path: Path) -> None:
    """Of another model, rightly listed and signed: its owner's mistake."""
    assert HERE is not None
    place = tmp_path / "copy"
    shutil.copytree(folder, place)
    (tmp_path / "other").mkdir()
    source, header = tmp_path / "other" / "model.c", tmp_path / "other" / "model.h"
    right = (place / "model.c").read_text()
    source.write_text(right.replace("0.25f", "0.26f"))
    assert source.read_text() != right
    header.write_bytes((place / "model.h").read_bytes())
    library = place / HERE.file("model")
    command = [*find_compiler().command, "-std=c11", "-O2", "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(command, check=True)
    manifest = json.loads((place / "manifest.json").read_text())
    info = describe_file(library.read_bytes())
    manifest["files"][library.name] = {"sha256": info.sha256, "bytes": info.bytes}
    text = json.dumps(manifest)
    (place / "manifest.json").write_text(text)
    (place / SIGNATURE_FILE).write_bytes(seal(text.encode(), read_private_key(keys / "key.pem")))
    with pytest.raises(ArtifactError, match="E763"):
        isocline.load(place, engine="native", trust=keys / "key.pub")
    assert not list(cache.glob("*"))


@needs_compiler
@needs_target
def test_an_altered_library_is_not_that_of_the_manifest(folder: Path, keys: Path, tmp_path: Path) -> None:
    assert HERE is not None
    place = tmp_path / "copy"
    shutil.copytree(folder, place)
    library = place / HERE.file("model")
    library.write_bytes(library.read_bytes() + b"0")
    with pytest.raises(ArtifactError, match=library.name):
        isocline.load(place, engine="native", trust=keys / "key.pub")


@needs_compiler
@needs_target
def test_a_library_calls_nothing(folder: Path) -> None:
    """But what compilers make of copies; so it runs with any C library, and without one."""
    assert HERE is not None
    named = shutil.which("nm")
    if named is None:
        pytest.skip("nm is not here")
    for stem in ("model", "attribute"):
        told = subprocess.run([named, "-D", str(folder / HERE.file(stem))], capture_output=True, text=True, check=True)
        wanted = {line.split()[-1] for line in told.stdout.splitlines() if " U " in line}
        assert wanted <= {"memcpy", "memset", "memmove", "memcmp"}


def test_another_processor_needs_another_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "zig_compiler", lambda: None)
    other = "x86_64" if platform.machine() not in TARGETS["x86_64"].machines else "aarch64"
    monkeypatch.setattr("isocline_compiler.driver.dataset_of", None)  # it is told before anything is solved
    with pytest.raises(isocline.IsoclineError, match=rf"E656.*no library of model\.c for {other}"):
        isocline.compile(isocline.model(MODEL.replace("TARGETS", other)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("said", ["arm", "x86_64, x86_64", "3"])
def test_processors_have_names(said: str) -> None:
    with pytest.raises(isocline.IsoclineError, match="some of x86_64, aarch64, wasm"):
        isocline.model(MODEL.replace("TARGETS", said))


CALL = """import { readFile } from 'node:fs/promises';
const { instance } = await WebAssembly.instantiate(await readFile(process.argv[2]), {});
const { memory, pair_run, __heap_base } = instance.exports;
let free = __heap_base.value;
function array(bytes) {
  const at = (free + 63) & ~63;
  free = at + bytes;
  const missing = free - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / 65536));
  return at;
}
const given = JSON.parse(process.argv[3]);
const places = given.map((numbers) => array(4 * numbers.length));
const batch = given[1].length, x = array(4 * 6 * batch), space = array(Number(process.argv[4]));
given.forEach((numbers, i) => new Float32Array(memory.buffer, places[i], numbers.length).set(numbers));
pair_run(batch, ...places, x, space);
console.log(JSON.stringify(Array.from(new Float32Array(memory.buffer, x, 6 * batch))));
"""


@needs_compiler
@needs_zig
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not here")
def test_for_other_machines(tmp_path: Path) -> None:
    """ELF for aarch64 (machine 183), and WebAssembly without imports, which node runs as onnxruntime does."""
    out = tmp_path / "pair"
    isocline.compile(isocline.model(MODEL.replace("TARGETS", "aarch64, wasm")), out)
    elf = (out / "model-aarch64.so").read_bytes()
    assert elf[:4] == b"\x7fELF"
    assert int.from_bytes(elf[18:20], "little") == 183
    said = json.loads((out / "certificate.json").read_text())["native"]
    assert (said["libraries"], said["measured"]) == (["aarch64", "wasm"], None)
    (tmp_path / "call.mjs").write_text(CALL)
    given = inputs(21)
    arrays = json.dumps([given["start"].ravel().tolist(), given["rate"].tolist()])
    space = json.loads((out / "manifest.json").read_text())["native"][0]["workspace"]
    command = ["node", str(tmp_path / "call.mjs"), str(out / "model.wasm"), arrays, str(space)]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    found = np.array(json.loads(told.stdout)).reshape(21, 6)
    np.testing.assert_allclose(found, isocline.load(out).run(given)["x"], rtol=3e-6, atol=3e-6)
