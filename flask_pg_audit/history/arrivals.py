"""What has arrived since one last looked, transactions that commit late included.

A transaction takes its number at its first change and is seen from its commit on, so that one with a lower number may
arrive after one with a higher. Who asks for what is beyond the highest number misses it. A :class:`Mark` remembers
besides which transactions were under way: only when these have ended has everything below arrived. To tell them,
PostgreSQL's own snapshots are of no use: the newest transactions under way are in none. But whoever takes a number
holds a lock on ``audit_transaction`` from before that until its end.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import sqlalchemy as sa
from sqlalchemy import Connection, MetaData

from ..declare.registry import transaction_table

#: Lower than every number.
NOTHING = -(2**63)

#: So many transactions under way are remembered; a mark is to fit into a URL. With more it waits for fewer.
MANY = 40

#: Holds back for ever: a standby does not know who writes on its primary.
_STANDBY = "standby"


@dataclass(frozen=True)
class Sight:
    """What there was to be seen.

    :ivar newest: the highest number of a transaction, :data:`NOTHING` without any.
    :ivar writers: the database's names of the transactions that were under way after that and had written, or were
        about to write, ``audit_transaction``.
    """

    newest: int
    writers: frozenset[str]


@dataclass(frozen=True)
class Mark:
    """How much somebody knows.

    :ivar settled: everything up to this number has arrived, and was there when one last looked.
    :ivar newest: the highest number that was there.
    :ivar pending: will be ``settled`` as soon as none of ``writers`` is under way any more.
    """

    settled: int = NOTHING
    newest: int = NOTHING
    pending: int = NOTHING
    writers: frozenset[str] = frozenset()

    def advanced(self, sight: Sight) -> Mark:
        """The mark of who has read what is beyond :attr:`settled`, in a snapshot taken after ``sight``."""
        if not sight.writers:
            return Mark(sight.newest, sight.newest, sight.newest)
        if self.writers & sight.writers:
            return Mark(self.settled, sight.newest, self.pending, self.writers)
        if len(sight.writers) > MANY:
            return Mark(self.pending, sight.newest, self.pending)
        return Mark(self.pending, sight.newest, sight.newest, sight.writers)

    def held(self, sight: Sight) -> Mark:
        """The mark of who had no time to look for what came late: it is looked for again."""
        return replace(self, newest=sight.newest)


def read_newest(connection: Connection, metadata: MetaData) -> int:
    """The highest number of a transaction, :data:`NOTHING` without any; one look into an index.

    :raises AuditConfigError: no table of ``metadata`` is audited.
    """
    newest = connection.scalar(sa.select(sa.func.max(transaction_table(metadata).c.id)))
    return NOTHING if newest is None else int(newest)


def read_sight(connection: Connection, metadata: MetaData, newest: int) -> Sight:
    """Who is under way; ``newest`` was read before, or who ended in between would be missed.

    :raises AuditConfigError: no table of ``metadata`` is audited.
    """
    return Sight(newest, frozenset(_read_writers(connection, metadata)))


def _read_writers(connection: Connection, metadata: MetaData) -> Collection[str]:
    table = connection.dialect.identifier_preparer.format_table(transaction_table(metadata)).replace("%%", "%")
    locks = sa.table("pg_locks", *map(sa.column, ("database", "relation", "mode", "virtualtransaction")))
    databases = sa.table("pg_database", sa.column("oid"), sa.column("datname"))
    locks.schema = databases.schema = "pg_catalog"
    # A keyword, not a function: so the statement is known to be harmless, see context/statements.py.
    here = sa.select(databases.c.oid).where(databases.c.datname == sa.literal_column("current_catalog"))
    writers = sa.select(locks.c.virtualtransaction).where(
        locks.c.database == here.scalar_subquery(),
        locks.c.relation == sa.func.to_regclass(table),
        locks.c.mode == "RowExclusiveLock",
    )
    standby = sa.select(sa.literal(_STANDBY, sa.Text)).where(sa.func.current_setting("in_hot_standby") == "on")
    return connection.execute(writers.union_all(standby)).scalars().all()
