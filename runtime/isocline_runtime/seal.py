"""The seal of an artifact: an ed25519 signature of its manifest, which lists the sha256 of every file.

`manifest.sig` holds one line: the word ed25519, the public key and the signature, both in base64. The keys are those of
`openssl genpkey -algorithm ed25519`. Needs the package cryptography, the extra `sign`.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Any

from isocline_runtime import messages_artifact as messages
from isocline_runtime import messages_run
from isocline_runtime.manifest import MANIFEST_FILE, SIGNATURE_FILE

ALGORITHM = "ed25519"
KEY_BYTES, SIGNATURE_BYTES = 32, 64


def read_private_key(path: str | os.PathLike[str]) -> Any:
    """The key in a PEM file. Raises ArtifactError E722, ProviderError E774 without cryptography."""
    kinds, serialization = _cryptography()
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:  # TypeError: the key has a password
        raise messages.no_key(path, str(error)) from None
    if not isinstance(key, kinds.Ed25519PrivateKey):
        raise messages.no_key(path, f"it is a {type(key).__name__}")
    return key


def read_public_key(trust: str | bytes | os.PathLike[str]) -> bytes:
    """The 32 bytes of a key: as they are, in hexadecimal, as the text of a PEM, or in a PEM file. Raises E722."""
    if isinstance(trust, bytes) and len(trust) == KEY_BYTES:
        return trust
    text = trust.decode("ascii", "replace") if isinstance(trust, bytes) else os.fspath(trust)
    if len(text) == 2 * KEY_BYTES and set(text.lower()) <= set("0123456789abcdef"):
        return bytes.fromhex(text)
    kinds, serialization = _cryptography()
    try:
        content = text.encode() if text.lstrip().startswith("-----BEGIN") else Path(text).read_bytes()
        key = serialization.load_pem_public_key(content)
    except (OSError, ValueError, TypeError) as error:
        raise messages.no_key(trust, str(error)) from None
    if not isinstance(key, kinds.Ed25519PublicKey):
        raise messages.no_key(trust, f"it is a {type(key).__name__}")
    raw: bytes = key.public_bytes_raw()
    return raw


def seal(manifest: bytes, key: Any) -> bytes:
    """The content of `manifest.sig` for a manifest and a private key."""
    parts = key.public_key().public_bytes_raw(), key.sign(manifest)
    return " ".join((ALGORITHM, *(base64.b64encode(part).decode() for part in parts))).encode() + b"\n"


def require_seal(folder: Path, manifest: bytes, content: bytes | None, trust: str | bytes | os.PathLike[str]) -> None:
    """Raises ArtifactError: E720 without a seal, E721 for another key or another manifest, E722 for no key."""
    trusted = read_public_key(trust)
    if content is None:
        raise messages.unsigned(folder, SIGNATURE_FILE)
    public, signature = _parts(folder, content)
    if public != trusted:
        raise messages.wrong_signature(folder, f"it is signed with the key {public.hex()[:16]}...")
    kinds, _ = _cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        kinds.Ed25519PublicKey.from_public_bytes(public).verify(signature, manifest)
    except (InvalidSignature, ValueError):
        raise messages.wrong_signature(folder, f"the signature is not that of this {MANIFEST_FILE}") from None


def _parts(folder: Path, content: bytes) -> tuple[bytes, bytes]:
    try:
        word, public, signature = content.decode("ascii").split()
        parts = base64.b64decode(public, validate=True), base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        raise messages.wrong_signature(folder, f"{SIGNATURE_FILE} is damaged") from None
    if word != ALGORITHM or tuple(map(len, parts)) != (KEY_BYTES, SIGNATURE_BYTES):
        raise messages.wrong_signature(folder, f"{SIGNATURE_FILE} is damaged")
    return parts


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise messages_run.no_cryptography() from None
    return ed25519, serialization
