"""Taking a database from one server to another with PostgreSQL's own programs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sqlalchemy import URL

from tools.embedded_postgres import EmbeddedPostgresError, find_binaries


def find_programs(bin_dir: Path | None = None) -> Path | None:
    """The folder of ``pg_dump`` and ``pg_restore`` beside the server's programs; ``None`` where they are not."""
    try:
        folder = find_binaries(bin_dir)
    except EmbeddedPostgresError:
        return None
    return folder if all((folder / name).is_file() for name in ("pg_dump", "pg_restore")) else None


def dump(programs: Path, database: URL, file: Path, *options: str) -> None:
    """Write a database into a file, in the custom format.

    :raises RuntimeError: what the program said.
    """
    _run(programs / "pg_dump", database, "--format=custom", f"--file={file}", *options)


def restore(programs: Path, database: URL, file: Path, *options: str) -> None:
    """Fill a database, which should be empty, from a file.

    :raises RuntimeError: what the program said.
    """
    _run(programs / "pg_restore", database, "--exit-on-error", *options, str(file))


def _run(program: Path, database: URL, *arguments: str) -> None:
    address = (f"--host={database.query['host']}", f"--port={database.port}", f"--username={database.username}")
    done = subprocess.run(
        [program, *address, f"--dbname={database.database}", *arguments], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
