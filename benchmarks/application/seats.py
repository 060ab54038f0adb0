"""Each contender in its database, with a process that works on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import URL, Engine

from benchmarks.application.contenders import Application
from benchmarks.application.steps import ONE
from benchmarks.application.worker import Worker, worker
from benchmarks.contenders import Unavailable
from benchmarks.writing.arena import OPENING
from benchmarks.writing.series import Say
from tools.embedded_postgres import EmbeddedPostgres

TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND NOT starts_with(n.nspname, 'pg_')
    AND c.relname NOT IN ('user', 'audit_maintenance', 'audit_redaction')
"""


@dataclass
class Seat:
    """A contender in its database, and the process that works on it just now."""

    contender: Application
    engine: Engine
    url: URL
    worker: Worker

    def tables(self) -> list[str]:
        with self.engine.connect() as connection:
            return list(connection.exec_driver_sql(TABLES, execution_options={"no_parameters": True}).scalars())

    def empty(self) -> None:
        """Leave nothing in the table nor in the history."""
        truncate = f"TRUNCATE {', '.join(self.tables())} CASCADE"
        sql = f"SET session_replication_role = replica; {OPENING}; {truncate}"
        with self.engine.begin() as connection:
            connection.exec_driver_sql(sql)

    def rows(self) -> dict[str, int]:
        """How many each table has."""
        with self.engine.connect() as connection:
            return {
                each: connection.exec_driver_sql(f"SELECT count(*) FROM {each}").scalar_one() for each in self.tables()
            }


@dataclass
class Entry:
    """A contender that can take part."""

    contender: Application
    python: Path
    url: URL
    engine: Engine


def install(
    server: EmbeddedPostgres, contenders: Sequence[Application], say: Say
) -> tuple[list[Entry], dict[str, str]]:
    """Those that can take part, and why the others cannot."""
    entries, skipped = [], {}
    for contender in contenders:
        say(f"{contender.title}: {contender.configuration}")
        try:
            entries.append(_install_one(server, contender))
        except Unavailable as error:
            skipped[contender.name] = str(error)
            say(f"  left out: {error}")
    return entries, skipped


def _install_one(server: EmbeddedPostgres, contender: Application) -> Entry:
    """A database for a contender, in which it was seen to record.

    :raises Unavailable: it cannot be installed or run.
    """
    python = contender.python()
    server.create_database(contender.name)
    url = server.url(contender.name)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with worker(python, contender.name, _text(url)) as started:
        started.answer()
        started.ask(call="install")
        seat = Seat(contender, engine, url, started)
        for step in ONE:
            started.do(step.task, 1)
        found = {name: rows for name, rows in seat.rows().items() if not name.endswith(".account")}
        if found and max(found.values()) < 3:
            raise Unavailable(f"recorded {max(found.values())} of 3 changes")
        seat.empty()
    return Entry(contender, python, url, engine)


@contextmanager
def seated(entries: Sequence[Entry], driver: str, port: int | None) -> Iterator[list[Seat]]:
    """All processes started.

    :param port: of the network; ``None`` is the socket.
    """
    with ExitStack() as stack:
        seats = []
        for entry in entries:
            url = entry.url.set(drivername=f"postgresql+{driver}")
            if port is not None:
                url = url.set(host="127.0.0.1", port=port, query={})
            process = stack.enter_context(worker(entry.python, entry.contender.name, _text(url)))
            seats.append(Seat(entry.contender, entry.engine, entry.url, process))
        for seat in seats:
            seat.worker.answer()
        yield seats


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)
