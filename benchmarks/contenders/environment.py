"""Environments for the contenders from PyPI: one each, made once, below ``.ci/cache``.

They depend on versions of SQLAlchemy or Django that have nothing to do with ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from benchmarks.contenders import Contender, Unavailable
from benchmarks.writing.tables import Shape, create_plain

CACHE = Path(__file__).parent.parent.parent / ".ci" / "cache" / "contenders"
INSTALLERS = Path(__file__).parent / "installers"
DRIVER = "psycopg2-binary==2.9.13"
SECONDS = 300


def contender(name: str, version: str, configuration: str, *more: str, begin: str = "") -> Contender:
    """One that is installed as ``name==version``, with ``more`` beside it, and by ``installers/<name>.py``."""
    requirements = (f"{name}=={version}", *more, DRIVER)
    install = partial(_install, name, requirements)
    return Contender(name.replace("-", "_"), f"{name} {version}", configuration, install, begin)


def _install(name: str, requirements: Sequence[str], engine: Engine, shapes: Sequence[Shape]) -> None:
    python = interpreter(name, requirements)
    create_plain(engine, shapes)
    tables = [{"name": shape.name, "columns": {c.name: c.sql_type for c in shape.columns}} for shape in shapes]
    address = {"host": engine.url.query["host"], "port": engine.url.port, "dbname": engine.url.database}
    task = {"tables": tables, "address": {**address, "user": engine.url.username}}
    # Isolated: the folder of the program has modules with the names of the packages.
    _run([python, "-I", INSTALLERS / f"{name.replace('-', '_')}.py"], json.dumps(task))


def interpreter(name: str, requirements: Sequence[str]) -> Path:
    """That of an environment that has exactly these.

    :raises Unavailable: they cannot be installed.
    """
    folder, wanted = CACHE / name, "\n".join(requirements)
    stamp, python = folder / "requirements.txt", folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text() != wanted:
        try:
            venv.create(folder, with_pip=True, clear=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Unavailable(f"no environment for it: {type(error).__name__}: {error}") from error
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
        stamp.write_text(wanted)
    return python


def _run(command: Sequence[str | Path], text: str = "") -> None:
    try:
        done = subprocess.run(
            list(map(str, command)), input=text, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{type(error).__name__} on Python {sys.version.split()[0]}") from error
    if done.returncode:
        raise Unavailable((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
