"""Keys that sign seals: a secret (HMAC-SHA-256), or an Ed25519 key, whose public half is enough to verify.

They come from outside of the database, so whoever can write there cannot make a seal.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..errors import AuditConfigError

#: Bytes of a secret, at least: the length of what it makes.
SHORTEST = 32

_SIGNED = b"flask_pg_audit seal\x00"


class SealKey(Protocol):
    """A key.

    :ivar id: which one it is; tells nothing of the key itself, and goes into the seal.
    """

    @property
    def id(self) -> str: ...

    def sign(self, digest: bytes) -> bytes:
        """:raises AuditConfigError: it can verify only."""

    def verify(self, digest: bytes, signature: bytes) -> bool:
        """Whether the signature is one of this key."""


@dataclass(frozen=True)
class _Secret:
    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return f"hmac-sha256:{hashlib.sha256(_SIGNED + b'key' + self.secret).hexdigest()[:16]}"

    def sign(self, digest: bytes) -> bytes:
        return hmac.digest(self.secret, _SIGNED + digest, "sha256")

    def verify(self, digest: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(digest), signature)


@dataclass(frozen=True)
class _Ed25519:
    private: bytes | None = field(repr=False)
    public: bytes

    @property
    def id(self) -> str:
        return f"ed25519:{hashlib.sha256(self.public).hexdigest()[:16]}"

    def sign(self, digest: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if self.private is None:
            raise AuditConfigError(f"the key {self.id} is a public one: it verifies, and signs nothing")
        return Ed25519PrivateKey.from_private_bytes(self.private).sign(_SIGNED + digest)

    def verify(self, digest: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, _SIGNED + digest)
        except InvalidSignature:
            return False
        return True


def read_key(material: str | bytes, source: str) -> SealKey:
    """A key out of a setting or a file: a PEM file is an Ed25519 key, everything else a secret.

    :param source: where it is from, for messages; what is in it is never shown.
    :raises AuditConfigError: it is too short, of another kind, or the package ``cryptography`` is missing.

    .. versionadded:: 0.1
    """
    data = material.encode() if isinstance(material, str) else bytes(material)
    if data.lstrip().startswith(b"-----BEGIN "):
        return _read_pem(data.strip() + b"\n", source)
    if len(data) < SHORTEST:
        raise AuditConfigError(f"{source}: a secret needs {SHORTEST} bytes at least, and this has {len(data)}")
    return _Secret(data)


def read_key_file(path: Path) -> SealKey:
    """A key out of a file; a line break at the end of a secret is not part of it.

    :raises AuditConfigError: the file cannot be read, or is no key.

    .. versionadded:: 0.1
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AuditConfigError(f"the key file {path} cannot be read: {error.strerror or error}") from error
    return read_key(data.rstrip(b"\r\n"), str(path))


def by_id(keys: Iterable[SealKey]) -> Mapping[str, SealKey]:
    """The keys by what seals call them."""
    return {key.id: key for key in keys}


def _read_pem(pem: bytes, source: str) -> SealKey:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    except ImportError as error:
        raise AuditConfigError(
            f"{source}: Ed25519 keys need the package cryptography: pip install flask-pg-audit[seal]"
        ) from error
    try:
        if b"PUBLIC KEY" in pem.splitlines()[0]:
            public = serialization.load_pem_public_key(pem)
            if isinstance(public, Ed25519PublicKey):
                return _Ed25519(None, public.public_bytes_raw())
        else:
            private = serialization.load_pem_private_key(pem, password=None)
            if isinstance(private, Ed25519PrivateKey):
                return _Ed25519(private.private_bytes_raw(), private.public_key().public_bytes_raw())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AuditConfigError(f"{source}: this PEM file cannot be read: {error}") from error
    raise AuditConfigError(f"{source}: only Ed25519 keys sign seals: openssl genpkey -algorithm ed25519")
