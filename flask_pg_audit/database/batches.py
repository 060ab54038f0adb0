"""A long job as many short transactions: nobody waits for it, and what is done stays done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Engine
from sqlalchemy.exc import DBAPIError

from ..errors import AuditConfigError, AuditInstallError, driver_message, sqlstate
from .name import QualifiedName
from .patience import LOCK_NOT_AVAILABLE, Patience
from .render import qualified, render

#: Keys that one transaction handles.
BATCH_SIZE = 5_000

# A plan that reads a whole table is cheap for one batch, in the eyes of a planner whose statistics are of yesterday,
# and quadratic for all of them.

#: What the planner is to do without so that a batch walks along the indexes of the keys until it has enough.
WALK = ("enable_seqscan", "enable_bitmapscan", "enable_sort", "enable_hashjoin", "enable_mergejoin")

#: What it is to do without so that a batch reads two ranges and joins them once.
JOIN_RANGES = ("enable_seqscan", "enable_bitmapscan", "enable_nestloop")

_INSUFFICIENT_PRIVILEGE = "42501"

_T = TypeVar("_T")


class Batches:
    """Runs the transactions of a job, each under ``lock_timeout`` and again when it did not get its locks.

    :param off: what the planner is to do without.
    """

    def __init__(self, connection: Connection, patience: Patience, off: tuple[str, ...]) -> None:
        self._connection = connection
        self._patience = patience
        self._off = off

    @property
    def connection(self) -> Connection:
        """What the transactions run on."""
        return self._connection

    def run(self, work: Callable[[], _T]) -> _T:
        """Call ``work`` in a transaction of its own; again, from its beginning, if it did not get a lock."""

        def attempt() -> _T:
            with self._connection.begin():
                self._patience.limit(self._connection)
                self.execute(render("plan_batches", off=self._off))
                return work()

        return self._patience.retry(attempt)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return [tuple(row) for row in self.execute(statement)]

    def execute(self, statement: str) -> CursorResult[Any]:
        """Without parameters, nothing reads the ``%`` of a name."""
        return self._connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    def lock(self, table: QualifiedName, mode: str) -> None:
        """Lock the table, and its partitions, until the transaction ends.

        :param mode: ``ROW EXCLUSIVE`` is what a writer has; ``SHARE ROW EXCLUSIVE`` keeps writers out.
        """
        self.execute(f"LOCK TABLE {qualified(table)} IN {mode} MODE")

    def count(self, template: str, **values: Any) -> int:
        """A number, in a transaction of its own; it may read whole tables."""
        with self._connection.begin():
            return int(self.execute(render(template, **values)).scalar_one())


@contextmanager
def open_batches(engine: Engine, patience: Patience, off: tuple[str, ...]) -> Iterator[Batches]:
    """A connection for the transactions of one job.

    ``READ COMMITTED``, whatever the engine has: each statement sees what was committed when it began.

    :raises AuditConfigError: ``engine`` is none for PostgreSQL.
    :raises AuditInstallError: what PostgreSQL refused, with the way out.
    """
    if not isinstance(engine, Engine):
        raise AuditConfigError(f"an Engine is needed, since every batch is a transaction of its own; got {engine!r}")
    try:
        with engine.connect() as connection:
            yield Batches(connection.execution_options(isolation_level="READ COMMITTED"), patience, off)
    except DBAPIError as error:
        way_out = _WAYS_OUT.get(sqlstate(error) or "", "")
        raise AuditInstallError(f"PostgreSQL refused: {driver_message(error)}{way_out}") from error


_WAYS_OUT = {
    _INSUFFICIENT_PRIVILEGE: "; run it as the owner of the tables and of the functions, or as a superuser",
    LOCK_NOT_AVAILABLE: "; a transaction holds the table or a row of it (pg_stat_activity shows which): what is done "
    "stays done, so run it again when that has ended, or wait for longer with --lock-timeout",
}
