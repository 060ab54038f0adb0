"""Seals in a file that is kept elsewhere: one line each, only ever appended to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from sqlalchemy import Engine, MetaData

from ...errors import AuditSealError
from ...seal import Seal
from ...seal.record import read_lines
from ...seal.store import read_stored_seals


def read_copies(path: Path, bind: str | None) -> tuple[Seal, ...]:
    """The seals of one bind in a file.

    :raises AuditSealError: it cannot be read, or has something else in it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AuditSealError(f"{path} cannot be read: {error.strerror or error}") from error
    return tuple(read_lines(data.splitlines(), bind, str(path)))


def append_seals(path: Path, metadata: MetaData, engine: Engine, bind: str | None) -> int:
    """Append the seals that the file lacks, and wait until they are on the disk; returns how many.

    Also those that were made while the file could not be written: a seal is in the database first.

    :raises AuditSealError: the file cannot be read or written, or its last seal is not the one of the database.
    """
    kept = read_copies(path, bind) if path.exists() else ()
    last = kept[-1] if kept else None
    stored = read_stored_seals(metadata, engine, last.id - 1 if last is not None else 0)
    if last is not None and (not stored or stored[0] != last):
        raise AuditSealError(
            f"{path} ends with seal {last.id}, and that of the database is another one or not there; "
            f"run flask audit verify --seals --from {path}"
        )
    new = stored if last is None else stored[1:]
    _append(path, [seal.line(bind) for seal in new])
    return len(new)


def _append(path: Path, lines: Sequence[bytes]) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as stream:
            if _is_torn(stream.fileno()):
                raise AuditSealError(f"the last line of {path} is not complete; remove that line")
            stream.write(b"".join(lines))
            os.fsync(stream.fileno())
    except OSError as error:
        raise AuditSealError(
            f"{path} cannot be written: {error.strerror or error}; the seal is in the database, and the next run "
            "writes it"
        ) from error


def _is_torn(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def echo_seals(seals: Sequence[tuple[str | None, Seal]]) -> None:
    """Write them to standard output, a line each."""
    for line in _lines(seals):
        click.echo(line, nl=False)


def _lines(seals: Sequence[tuple[str | None, Seal]]) -> Iterator[str]:
    for bind, seal in seals:
        yield seal.line(bind).decode()
