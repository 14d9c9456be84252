"""Signed artifacts: what the owner of a key has built is loaded, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

import isocline
from isocline.cli import app
from isocline_runtime import seal
from isocline_runtime.errors import ArtifactError, ProviderError
from tests.conftest import DECAY

runner = CliRunner()
PRIVATE = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
PUBLIC = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def key_pair(folder: Path, name: str) -> tuple[Path, Path]:
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(*PRIVATE, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(*PUBLIC))
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ours.pem, ours.pub, theirs.pem and theirs.pub."""
    folder = tmp_path_factory.mktemp("keys")
    key_pair(folder, "ours")
    key_pair(folder, "theirs")
    return folder


@pytest.fixture(scope="module")
def signed(keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed") / "a"
    return isocline.compile(isocline.model(DECAY), folder, sign=keys / "ours.pem").folder


@pytest.fixture
def copy(signed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed, tmp_path / "copy"))


def refused(folder: Path, code: str, trust: object) -> str:
    with pytest.raises(ArtifactError) as caught:
        isocline.load(folder, trust=trust)
    assert caught.value.code == code
    return str(caught.value)


def test_a_key_in_every_form(signed: Path, keys: Path) -> None:
    path = keys / "ours.pub"
    raw = serialization.load_pem_public_key(path.read_bytes()).public_bytes_raw()
    for trust in (path, str(path), path.read_text(), path.read_bytes(), raw, raw.hex(), raw.hex().upper()):
        assert isocline.load(signed, trust=trust).name == "decay"
    isocline.load(signed)  # who trusts everybody need not ask


def test_the_signature_is_of_the_manifest(signed: Path, keys: Path) -> None:
    """By the library itself, from the file's own words."""
    word, public, signature = (signed / "manifest.sig").read_text().split()
    key = serialization.load_pem_public_key((keys / "ours.pub").read_bytes())
    assert (word, base64.b64decode(public)) == ("ed25519", key.public_bytes_raw())
    key.verify(base64.b64decode(signature), (signed / "manifest.json").read_bytes())


def test_another_key_is_not_trusted(copy: Path, keys: Path) -> None:
    refused(copy, "E721", keys / "theirs.pub")
    manifest = (copy / "manifest.json").read_bytes()
    (copy / "manifest.sig").write_bytes(seal.seal(manifest, seal.read_private_key(keys / "theirs.pem")))
    assert isocline.load(copy, trust=keys / "theirs.pub").name == "decay"
    refused(copy, "E721", keys / "ours.pub")


def test_a_forger_who_makes_the_hashes_agree(copy: Path, keys: Path) -> None:
    """Without the key it is no use."""
    (copy / "report.html").write_text("forged")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"]["report.html"] = {"sha256": hashlib.sha256(b"forged").hexdigest(), "bytes": 6}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert isocline.load(copy).name == "decay"
    assert "not that of this manifest.json" in refused(copy, "E721", keys / "ours.pub")


@pytest.mark.parametrize("content", [b"", b"ed25519", b"ed25519 AA== AA==", b"rsa a b", b"\xff\xfe", b"x" * 5000])
def test_a_damaged_signature(copy: Path, keys: Path, content: bytes) -> None:
    (copy / "manifest.sig").write_bytes(content)
    refused(copy, "E709" if len(content) > 4096 else "E721", keys / "ours.pub")


def test_what_is_not_signed(copy: Path, keys: Path) -> None:
    (copy / "manifest.sig").unlink()
    refused(copy, "E720", keys / "ours.pub")
    refused(copy / "model.onnx", "E720", keys / "ours.pub")


def test_a_rebuild_without_a_key_takes_the_signature_away(copy: Path, keys: Path) -> None:
    isocline.compile(isocline.model(DECAY), copy)
    isocline.load(copy)
    refused(copy, "E720", keys / "ours.pub")


@pytest.mark.parametrize("kind", ["absent", "password", "rsa", "text", "public"])
def test_no_key_is_told_before_any_work(tmp_path: Path, keys: Path, kind: str) -> None:
    path = tmp_path / "key.pem"
    if kind == "password":
        key = Ed25519PrivateKey.generate()
        path.write_bytes(key.private_bytes(*PRIVATE, serialization.BestAvailableEncryption(b"secret")))
    elif kind == "rsa":
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        path.write_bytes(other.private_bytes(*PRIVATE, serialization.NoEncryption()))
    elif kind == "text":
        path.write_text("a key")
    elif kind == "public":
        shutil.copy(keys / "ours.pub", path)
    with pytest.raises(ArtifactError, match="E722"):
        isocline.compile(isocline.model(DECAY), tmp_path / "a", sign=path)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("trust", ["nowhere.pub", "-----BEGIN PUBLIC KEY-----\n", b"x" * 31, "ab" * 31])
def test_no_public_key(signed: Path, trust: str | bytes) -> None:
    refused(signed, "E722", trust)


def test_the_commands(tmp_path: Path, keys: Path) -> None:
    file, out = tmp_path / "decay.dyn", tmp_path / "a"
    file.write_text(DECAY)
    for command in ("compile", "build"):
        result = runner.invoke(app, [command, str(file), "-o", str(out), "--sign", str(keys / "ours.pem"), "-q"])
        assert result.exit_code == 0, result.stderr
        assert runner.invoke(app, ["verify", str(out), "--trust", str(keys / "ours.pub")]).exit_code == 0
        result = runner.invoke(app, ["verify", str(out), "--trust", str(keys / "theirs.pub")])
        assert (result.exit_code, "error[E721]" in result.stderr) == (1, True)


def test_without_the_package(signed: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives", None)
    with pytest.raises(ProviderError, match=r"E774.*\n.*isocline\[sign\]"):
        isocline.load(signed, trust=keys / "ours.pub")
    assert isocline.load(signed).name == "decay"
