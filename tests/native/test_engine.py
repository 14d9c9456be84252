"""The native engine as a user meets it: an artifact, a compiler, and who may build what."""

from __future__ import annotations

import json
import pickle
import shutil
import stat
import threading
from pathlib import Path
from typing import cast

import numpy as np
import pytest

import isocline
from isocline_compiler.artifact import native as native_files
from isocline_runtime import ArtifactError, ProviderError, RunError
from isocline_runtime.artifact import describe_file
from isocline_runtime.native import compilers
from isocline_runtime.native.calling import Ending
from isocline_runtime.native.opening import Engine
from tests.native.in_c import needs_compiler

pytestmark = needs_compiler
MODEL = """dyn 1
model prey "Lotka-Volterra"
input x0: real in (5, 15)
input y0: real in (5, 15)
param a: positive = 1.1
field lv(t, x: real, y: real) {
  x' = x * (a - 0.04 * y)
  y' = y * (0.01 * x - 0.4)
}
path = solve lv from x = x0, y = y0 over 0..4
output x = path.x
output y = path.y
deploy { solver rk4(steps=40)
  native
  attribute y wrt x0 by saliency
  derivatives adjoint, forward
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact; nothing of its C is built in the cache of the tests that take it."""
    place: Path = tmp_path_factory.mktemp("native")
    isocline.compile(isocline.model(MODEL), place / "prey")
    return place / "prey"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ISOCLINE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def inputs(batch: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(3)
    return {name: generator.uniform(5, 15, batch).astype(np.float32) for name in ("x0", "y0")}


def test_the_same_answers_as_onnxruntime(folder: Path, cache: Path) -> None:
    plain, native = isocline.load(folder), isocline.load(folder, engine="native", threads=2)
    assert (plain.engine, native.engine) == ("onnxruntime", "native")
    for batch in (1, 3, 4, 5, 16, 17, 1025, 3000):
        given = inputs(batch)
        for name, expected in plain.run(given).items():
            np.testing.assert_allclose(native.run(given)[name], expected, rtol=3e-6)


def test_one_sample_without_the_batch_axis(folder: Path, cache: Path) -> None:
    found = isocline.load(folder, engine="native").run(x0=7.0, y0=8.0)
    assert found["x"].shape == ()


def test_the_same_refusals(folder: Path, cache: Path) -> None:
    session = isocline.load(folder, engine="native")
    for given, code in (({"x0": [70.0], "y0": [8.0]}, "E736"), ({"x0": [7.0]}, "E730")):
        with pytest.raises(isocline.RuntimeFault) as caught:
            session.run(given)
        assert caught.value.code == code


def test_explanations_and_derivatives_are_there_in_c(folder: Path, cache: Path) -> None:
    plain, native = isocline.load(folder), isocline.load(folder, engine="native")
    assert native.manifest is not None
    assert {item.model for item in native.manifest.native} == {
        "model.onnx", "attribute.onnx", "adj_model.onnx", "fwd_model.onnx",
    }  # fmt: skip
    given = inputs(5)
    expected = plain.attribute(given)
    for name, found in native.attribute(given).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-5, atol=1e-6)
    assert native.attributor().backend.get_providers() == ["native"]


def test_the_certificate_speaks_of_it(folder: Path) -> None:
    said = json.loads((folder / "certificate.json").read_text())["native"]
    assert set(said["parity"]) == {"x", "y"}
    assert all(item["maximum"] < 5e-6 for item in said["parity"].values())
    assert any(claim.name == "parity of x in C" for claim in isocline.verify(folder).claims)


def test_auto_builds_nothing(folder: Path, cache: Path) -> None:
    session = isocline.load(folder, engine="auto")
    assert session.engine == "onnxruntime"
    assert "not signed" in session.engine_reason
    assert not cache.exists()
    isocline.load(folder, engine="native")
    again = isocline.load(folder, engine="auto")
    assert (again.engine, again.engine_reason) == ("native", "it was built on this machine before")


def test_a_signed_artifact_is_built_by_auto(folder: Path, cache: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    secret = tmp_path / "key.pem"
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(*kinds))
    isocline.compile(isocline.model(MODEL.replace("native\n", "\n")), tmp_path / "signed", sign=secret)
    public = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    assert isocline.load(tmp_path / "signed", engine="auto", trust=public).engine == "native"


def altered(folder: Path, place: Path, source: str) -> Path:
    """As if somebody had written another source into the artifact, and its hash into the manifest."""
    shutil.copytree(folder, place)
    file = place / source
    text = file.read_text()
    assert "0.04f" in text or "0.0399999991f" in text
    file.write_text(text.replace("0.04f", "0.0401f").replace("0.0399999991f", "0.0401f"))
    manifest = json.loads((place / "manifest.json").read_text())
    info = describe_file(file.read_bytes())
    manifest["files"][source] = {"sha256": info.sha256, "bytes": info.bytes}
    (place / "manifest.json").write_text(json.dumps(manifest))
    return place


def test_a_source_that_answers_otherwise_is_not_kept(folder: Path, cache: Path, tmp_path: Path) -> None:
    other = altered(folder, tmp_path / "altered", "model.c")
    with pytest.raises(ArtifactError, match="E763"):
        isocline.load(other, engine="native")
    assert not list(cache.glob("*"))
    assert isocline.load(other, engine="auto").engine == "onnxruntime"


def test_a_source_that_explains_otherwise_is_not_kept(folder: Path, cache: Path, tmp_path: Path) -> None:
    """The model is as it was; a number of its explanation is a quarter of a per cent larger."""
    session = isocline.load(altered(folder, tmp_path / "altered", "attribute.c"), engine="native")
    with pytest.raises(ArtifactError, match=r"(?s)E763.*(score|saliency)"):
        session.attribute(inputs(1))
    assert len(list(cache.glob("*"))) == 1  # that of the model


def test_a_cache_that_others_can_write_to_is_not_trusted(folder: Path, cache: Path) -> None:
    isocline.load(folder, engine="native")
    (place,) = cache.iterdir()
    assert place.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH) == 0
    place.chmod(0o777)
    assert isocline.load(folder, engine="auto").engine == "onnxruntime"
    with pytest.raises(RunError, match="E762"):
        isocline.load(folder, engine="native")


def test_without_a_compiler(folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISOCLINE_CC", "/nowhere/cc")
    with pytest.raises(ProviderError, match="E761"):
        isocline.load(folder, engine="native")
    assert "no C compiler" in isocline.load(folder, engine="auto").engine_reason
    with pytest.raises(isocline.IsoclineError, match="E654"):
        isocline.compile(isocline.model(MODEL), cache / "out")


def test_a_compiler_that_fails(folder: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "cc"
    fake.write_text('#!/bin/sh\n[ "$1" = --version ] && echo fake 1.0 && exit 0\necho "x.c: error: no" >&2; exit 1\n')
    fake.chmod(0o755)
    monkeypatch.setenv("ISOCLINE_CC", str(fake))
    with pytest.raises(RunError, match=r"fake 1\.0: x\.c: error: no"):
        isocline.load(folder, engine="native")
    assert not list(cache.glob("*"))


def test_engines_have_names(folder: Path) -> None:
    with pytest.raises(ProviderError, match="E764"):
        isocline.load(folder, engine=cast(Engine, "fast"))
    with pytest.raises(ProviderError, match="E771"):
        isocline.load(folder, "tpu", engine="native")
    with pytest.raises(RunError, match="E760"):
        isocline.load(folder / "model.onnx", engine="native")


@pytest.mark.parametrize(
    ("bound", "reason"),
    [("MOST_OPERATIONS", "one after another, more than 1"), ("MOST_STATEMENTS", "statements, more than 1: a compiler")],
)
def test_what_has_no_c_says_why(bound: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_files, bound, 1)
    isocline.compile(isocline.model(MODEL.replace("native\n", "\n")), tmp_path / "prey")
    with pytest.raises(RunError, match=f"E760.*{reason}"):
        isocline.load(tmp_path / "prey", engine="native")
    with pytest.raises(isocline.IsoclineError, match="E653"):
        isocline.compile(isocline.model(MODEL), tmp_path / "other")


def test_a_copy_of_a_session_is_native_too(folder: Path, cache: Path) -> None:
    session = pickle.loads(pickle.dumps(isocline.load(folder, engine="native")))
    assert session.engine == "native"
    assert session.run(x0=7.0, y0=8.0)["x"] > 0


def test_threads_do_not_disturb_each_other(folder: Path, cache: Path) -> None:
    session = isocline.load(folder, engine="native")
    given = [inputs(200 + i) for i in range(8)]
    expected = [session.run(item)["y"] for item in given]
    found: dict[int, np.ndarray] = {}

    def work(place: int) -> None:
        for _ in range(20):
            found[place] = session.run(given[place])["y"]

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, answer in enumerate(expected):
        np.testing.assert_array_equal(found[place], answer)


def test_a_run_whose_time_is_over_ends(folder: Path, cache: Path) -> None:
    session = isocline.load(folder, engine="native")
    ending = Ending()
    ending.terminate = True
    with pytest.raises(RuntimeError, match="ended before sample 0 of 5"):
        session._backend.run(["x"], inputs(5), ending)


def test_the_version_of_a_compiler_is_asked_once() -> None:
    assert compilers.find_compiler() is compilers.find_compiler()


def altered_manifest(folder: Path, change: object, *path: object) -> None:
    """The manifest with one value of its `native` changed."""
    manifest = json.loads((folder / "manifest.json").read_text())
    place = manifest["native"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = change
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("path", "change", "code"),
    [
        ((0, "name"), "a; system", "E703"),
        ((0, "source"), "../model.c", "E703"),
        ((0, "workspace"), -1, "E703"),
        ((0, "inputs", 0, "dtype"), "int8", "E703"),
        ((0, "outputs", 0, "count"), 7, "E716"),
        ((0, "outputs", 1, "name"), "z", "E716"),
    ],
)
def test_what_the_manifest_says_of_it_is_checked(
    folder: Path, cache: Path, tmp_path: Path, path: tuple[object, ...], change: object, code: str
) -> None:
    shutil.copytree(folder, tmp_path / "altered")
    altered_manifest(tmp_path / "altered", change, *path)
    with pytest.raises(ArtifactError) as caught:
        isocline.load(tmp_path / "altered", engine="native")
    assert caught.value.code == code
