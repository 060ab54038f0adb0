"""Where an export goes: a file that is there when it is whole, or standard output."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import click


def write_output(chunks: Iterable[bytes], path: Path | None) -> None:
    """Write ``chunks`` to ``path``, or to standard output.

    A file is written beside it and renamed at the end: it is never there in half, and one that was there stays until
    then. Only its owner may read it. What is no regular file, a pipe say, is written directly. Whoever reads standard
    output may stop at any time.

    :raises click.ClickException: it cannot be written.
    """
    if path is None:
        _write_standard_output(chunks)
        return
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not stat.S_ISREG(target.stat().st_mode):
            with target.open("wb") as stream:
                _write(chunks, stream)
        else:
            _write_and_rename(chunks, target)
    except OSError as error:
        raise click.ClickException(f"--output: cannot write {path}: {error.strerror or error}") from error


def _write_and_rename(chunks: Iterable[bytes], target: Path) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:50]}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _write(chunks, stream)
            os.fsync(stream.fileno())
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def _write(chunks: Iterable[bytes], stream: BinaryIO) -> None:
    for chunk in chunks:
        stream.write(chunk)
    stream.flush()


def _write_standard_output(chunks: Iterable[bytes]) -> None:
    sys.stdout.flush()
    stream = sys.stdout.buffer
    try:
        _write(chunks, stream)
    except OSError as error:
        if error.errno != errno.EPIPE:
            raise click.ClickException(f"cannot write: {error.strerror}") from error
        # Nobody reads any more. What is still buffered must not raise again when Python flushes it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
