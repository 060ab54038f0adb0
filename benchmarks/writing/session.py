"""Runs statements and tells what they cost the server.

The time on the processor, of the one process that serves the connection, is what counts: other work on the machine does
not change it much. Linux tells it (``/proc/<pid>/schedstat``); elsewhere it is the time that passed.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

RAW = {"no_parameters": True}


@dataclass(frozen=True)
class Cost:
    """In microseconds."""

    cpu: float
    wall: float

    def per(self, count: int) -> Cost:
        """Of one of so many."""
        return Cost(self.cpu / count, self.wall / count)


class Session:
    """A connection of its own to a database of a contender, each statement a transaction."""

    def __init__(self, connection: Connection, begin: str = "") -> None:
        self._connection = connection
        self._begin = begin
        self._schedule = Path(f"/proc/{self.ask('SELECT pg_backend_pid()')}/schedstat")

    def ask(self, sql: str) -> Any:
        """The one value that a query returns."""
        return self._connection.exec_driver_sql(sql).scalar_one()

    def do(self, sql: str) -> None:
        """Execute what is not measured."""
        self._connection.exec_driver_sql(sql, execution_options=RAW)

    def loop(self, statements: str, times: int) -> Cost:
        """So many times, ``i`` from 1, in one transaction of one block of PL/pgSQL: what one of them costs."""
        block = f"FOR i IN 1..{times} LOOP {statements}; END LOOP;"
        return self._measure(lambda: self.do(self._block(block))).per(times)

    def transactions(self, statements: str, times: int, first: int = 1) -> Cost:
        """The same, each in a transaction of its own, with all that its program sends: what one costs."""
        block = f"FOR i IN {first}..{first + times - 1} LOOP {self._begin} {statements}; COMMIT; END LOOP;"
        return self._measure(lambda: self.do(f"DO $do$ BEGIN {block} END $do$")).per(times)

    def statement(self, sql: str) -> Cost:
        """One statement."""
        with self._transaction():
            return self._measure(lambda: self.do(sql))

    def copy(self, table: str, data: bytes) -> Cost:
        """``COPY`` from the client; needs psycopg2."""
        with self._transaction(), closing(self._connection.connection.cursor()) as cursor:
            return self._measure(lambda: cursor.copy_expert(f"COPY {table} FROM STDIN", io.BytesIO(data)))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Of several statements: the connection commits each by itself otherwise."""
        self.do("BEGIN")
        if self._begin:
            self.do(self._block(""))
        yield
        self.do("COMMIT")

    def _block(self, statements: str) -> str:
        return f"DO $do$ BEGIN {self._begin} {statements} END $do$"

    def _measure(self, action: Callable[[], object]) -> Cost:
        cpu, wall = self._cpu(), time.perf_counter()
        action()
        passed = (time.perf_counter() - wall) * 1e6
        return Cost((self._cpu() - cpu) / 1e3 if self._schedule.exists() else passed, passed)

    def _cpu(self) -> int:
        """Nanoseconds; right to the last one, since the server waits for us when it is read."""
        return int(self._schedule.read_text().split()[0]) if self._schedule.exists() else 0


@contextmanager
def session(engine: Engine, begin: str = "") -> Iterator[Session]:
    """A connection, closed afterwards: a new one, if the engine has no pool."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        yield Session(connection, begin)
