"""The keys of seals, out of the configuration: never out of the database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..seal import SealKey, read_key, read_key_file
from .config import AuditConfig


def signing_key(config: AuditConfig, key_file: Path | None) -> SealKey | None:
    """The key that signs: that of ``--key-file``, else the configured one; ``None`` where there is none.

    :raises AuditConfigError: it cannot be read.
    """
    if key_file is not None:
        return read_key_file(key_file)
    if config.seal_key is not None:
        return read_key(config.seal_key, "AUDIT_SEAL_KEY")
    return read_key_file(Path(config.seal_key_file)) if config.seal_key_file is not None else None


def verifying_keys(config: AuditConfig, key_files: Sequence[Path]) -> tuple[SealKey, ...]:
    """Those that a signature may be of: the ones of ``--key-file``, the configured one and the old ones.

    :raises AuditConfigError: one of them cannot be read.
    """
    current = signing_key(config, None)
    old = (read_key(key, f"AUDIT_SEAL_OLD_KEYS, number {n}") for n, key in enumerate(config.seal_old_keys, 1))
    return (*map(read_key_file, key_files), *(() if current is None else (current,)), *old)
