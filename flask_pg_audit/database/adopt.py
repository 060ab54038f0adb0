"""Numbering the rows of adopted audit tables, in steps of their own: each is kept, and a further run goes on.

What is left to do is read from the database, so that a run may be killed at any point.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine

from ..declare.naming import shorten
from .adoption import ADOPTED_FROM, adopted_sequence, is_unfinished
from .audit_table import index_definition, primary_key_name
from .declared import Declared, DeclaredTable
from .function import Infrastructure
from .installed import Installed
from .maintenance import begin_maintenance
from .name import QualifiedName
from .patience import Patience
from .progress import Progress
from .render import ident, literal, qualified, render

#: Rows that are numbered in one transaction; more when more have the same time.
BATCH_SIZE = 10_000

_CHECK = "audit_adopted"

#: Without parameters, nothing reads the % of a name.
_AS_IT_IS = {"no_parameters": True}

#: Key of the advisory lock of runs that number rows: "flask_pn" in ASCII.
ADOPTION_LOCK = 0x666C61736B5F706E


@dataclass(frozen=True)
class AdoptedTable:
    """An audit table some of whose rows have no ids.

    :ivar zone: the time zone in which its timestamps were written; empty when they had one of their own.
    """

    declared: DeclaredTable
    zone: str
    has_username: bool

    @property
    def name(self) -> QualifiedName:
        return self.declared.trigger.audit_table

    @property
    def oldest_index(self) -> str:
        """The name of the index that finds the oldest rows, for as long as there are any."""
        return shorten(self.name.name, "_adoption", "ix_")

    @property
    def unique_index(self) -> str:
        """The name of the index that becomes the primary key."""
        return shorten(self.name.name, "_adopted", "ix_")

    def indexes(self) -> Iterator[tuple[str, str]]:
        """The lasting indexes: name, and what comes behind it in ``CREATE INDEX``."""
        yield self.unique_index, f"ON {qualified(self.name)} (audit_transaction_id, audit_id)"
        for index in self.declared.audited.audit_table.indexes:
            yield str(index.name), index_definition(index, self.name)

    @property
    def finish_sql(self) -> tuple[str, ...]:
        """Make it an audit table like any other; the ids are known to be there, so nothing is read."""
        table = qualified(self.name)
        key = ident(primary_key_name(self.declared.audited.audit_table, self.name))
        return (
            f"ALTER TABLE {table} ADD CONSTRAINT {key} PRIMARY KEY USING INDEX {ident(self.unique_index)}",
            f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {_CHECK}",
            f"COMMENT ON COLUMN {table}.audit_operation_timestamp IS NULL",
        )


def is_unfinished_anywhere(declared: Declared, installed: Installed) -> bool:
    """Whether a table has rows without ids, or may have."""
    return any(is_unfinished(installed.relations.get(name)) for name in declared.audit_tables)


class Adoption:
    """Numbers the rows of all adopted tables together, the oldest first: ``audit_id`` orders them all.

    :param connection: not in a transaction, each step gets one of its own and indexes are built ``CONCURRENTLY``:
        others read and write meanwhile. In the caller's transaction, all of it is done there at once.
    """

    def __init__(
        self,
        connection: Connection,
        declared: Declared,
        installed: Installed,
        patience: Patience,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self._connection = connection
        self._shared: Infrastructure = declared.infrastructure
        self._installed = installed
        self._patience = patience
        self._batch_size = batch_size
        self._at_once = connection.in_transaction()
        self._tables = [
            self._build(table, installed)
            for table in declared.tables
            if is_unfinished(installed.relations.get(table.trigger.audit_table))
        ]

    def run(self, progress: Progress | None = None) -> int:
        """Number what is left and finish the tables; returns how many rows were numbered."""
        if not self._tables:
            return 0
        for table in self._tables:
            self._ensure_index(table, table.oldest_index, self._oldest(table))
        total, done = self._count(), 0
        for numbered in self._batches():
            done += numbered
            if progress is not None:
                progress(done, max(total, done))
        for table in self._tables:
            self._finish(table)
        self._alone(f"DROP SEQUENCE IF EXISTS {qualified(adopted_sequence(self._shared))}")
        return done

    def _build(self, table: DeclaredTable, installed: Installed) -> AdoptedTable:
        name = table.trigger.audit_table
        parameters = {"name": qualified(name)}
        with self._transaction():
            comment = self._connection.exec_driver_sql(render("read_unnumbered"), parameters).scalar() or ""
        zone = comment.removeprefix(ADOPTED_FROM) if comment.startswith(ADOPTED_FROM) else ""
        return AdoptedTable(table, zone, "audit_username" in installed.relations[name].columns)

    # Numbering

    def _count(self) -> int:
        with self._transaction():
            return int(self._scalar(render("count_unnumbered", tables=self._tables)))

    def _batches(self) -> Iterator[int]:
        numbered, is_last = 0, False
        while not is_last:
            numbered, is_last = self._patience.retry(self._number) if not self._at_once else self._number()
            yield numbered

    def _number(self) -> tuple[int, bool]:
        """One batch: how many rows it had, and whether nothing is left."""
        with self._transaction():
            if not self._at_once:
                # Rows are found by their place; a plan that reads whole tables would do so for every batch.
                self._run("SET LOCAL enable_hashjoin = off")
                self._run("SET LOCAL enable_mergejoin = off")
            begin_maintenance(self._connection, self._shared, self._installed, "rows of the classic library get ids")
            until, first = self._next_slice()
            statement = render("number_rows", tables=self._tables, shared=self._shared, first=first, until=until)
            count = int(self._scalar(statement))
            name = literal(qualified(adopted_sequence(self._shared)))
            self._scalar(f"SELECT pg_catalog.setval({name}, {first + count}, false)")
            return count, until is None

    def _next_slice(self) -> tuple[str | None, int]:
        """The time up to which there are about as many rows as a batch has, ``None`` for all; and the next id."""
        size = None if self._at_once else self._batch_size
        adopted = adopted_sequence(self._shared)
        statement = render("next_slice", tables=self._tables, size=size, adopted=adopted)
        until, first = self._connection.exec_driver_sql(statement, execution_options=_AS_IT_IS).one()
        return until.isoformat() if until is not None else None, int(first)

    # Finishing

    def _finish(self, table: AdoptedTable) -> None:
        name = qualified(table.name)
        self._alone(
            f"ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {_CHECK}",
            f"ALTER TABLE {name} ADD CONSTRAINT {_CHECK} "
            "CHECK (audit_transaction_id IS NOT NULL AND audit_id IS NOT NULL) NOT VALID",
        )
        self._alone(f"ALTER TABLE {name} VALIDATE CONSTRAINT {_CHECK}")
        for index, on in table.indexes():
            self._ensure_index(table, index, on, unique=index == table.unique_index)
        self._drop_index(table, table.oldest_index)
        self._alone(*table.finish_sql)

    @staticmethod
    def _oldest(table: AdoptedTable) -> str:
        return f"ON {qualified(table.name)} (audit_operation_timestamp) WHERE audit_id IS NULL"

    def _ensure_index(self, table: AdoptedTable, name: str, on: str, unique: bool = False) -> None:
        parameters = {"schema": table.name.schema, "name": name}
        with self._transaction():
            valid = self._connection.exec_driver_sql(render("read_index_state"), parameters).scalar()
        if valid is False:  # a run was killed while it was being built
            self._drop_index(table, name)
        if not valid:
            kind = "UNIQUE INDEX" if unique else "INDEX"
            self._outside(f"CREATE {kind}{self._concurrently} {ident(name)} {on}")

    def _drop_index(self, table: AdoptedTable, name: str) -> None:
        index = qualified(QualifiedName(table.name.schema, name))
        self._outside(f"DROP INDEX{self._concurrently} IF EXISTS {index}")

    # Running

    @property
    def _concurrently(self) -> str:
        return "" if self._at_once else " CONCURRENTLY"

    def _transaction(self) -> Any:
        return nullcontext() if self._at_once else self._connection.begin()

    def _alone(self, *statements: str) -> None:
        """The statements in a transaction of their own, which gives way to others."""

        def attempt() -> None:
            with self._transaction():
                if not self._at_once:
                    self._patience.limit(self._connection)
                for statement in statements:
                    self._run(statement)

        attempt() if self._at_once else self._patience.retry(attempt)

    def _outside(self, statement: str) -> None:
        """``CONCURRENTLY`` is possible outside a transaction only."""
        if self._at_once:
            self._run(statement)
            return
        with self._connection.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.exec_driver_sql(statement, execution_options=_AS_IT_IS)

    def _run(self, statement: str) -> None:
        self._connection.exec_driver_sql(statement, execution_options=_AS_IT_IS)

    def _scalar(self, statement: str) -> Any:
        return self._connection.exec_driver_sql(statement, execution_options=_AS_IT_IS).scalar()


@contextmanager
def one_at_a_time(engine: Engine) -> Iterator[None]:
    """Wait until no other run numbers rows, and keep others out.

    The lock is a transaction's of its own, which does nothing else: it survives a connection pooler, and building an
    index ``CONCURRENTLY`` does not wait for it.
    """
    with engine.connect() as connection:
        connection.detach()  # the pool may have room for one only
        with connection.begin():
            # It is idle for as long as the numbering takes.
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            # Asking again and again: who waits within a statement is waited for by CREATE INDEX CONCURRENTLY, and that
            # would be for ever.
            attempt = f"SELECT pg_catalog.pg_try_advisory_xact_lock({ADOPTION_LOCK})"
            while not connection.exec_driver_sql(attempt).scalar():
                time.sleep(0.2)
            yield
