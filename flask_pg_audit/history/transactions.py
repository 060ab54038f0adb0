"""Transactions as groups of changes: the newest with matching changes, and how many changes each made."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Connection, MetaData, Row, Select, Text

from ..declare.columns import OPERATION_LABELS
from ..declare.registry import transaction_table
from .changes import Changes, Source, connection_of
from .context import MAX_CONTEXT_LENGTH, parse_context
from .feed import EVERYTHING
from .filter import ChangeFilter
from .recorded import RecordedTable, read_recorded_tables
from .transaction_ids import transaction_ids

#: Changes of one transaction in one table are counted up to this many.
MAX_COUNT = 10_000


@dataclass(frozen=True)
class Count:
    """How many rows of one table a transaction changed in one way.

    :ivar table: the table's key in ``MetaData.tables``.
    :ivar is_capped: there are more than ``count``.
    """

    table: str
    operation: str
    count: int
    is_capped: bool

    @property
    def operation_label(self) -> str:
        """The operation as a word."""
        return OPERATION_LABELS[self.operation]


@dataclass(frozen=True)
class Transaction:
    """A row of ``audit_transaction`` and what it counts.

    :ivar at: when its first change was made, in UTC; ``None`` where the row is gone.
    :ivar continues: the row before, of the same database transaction, before who or why changed.
    :ivar counts: its changes that match, by table and operation, in the order of the tables.

    .. versionadded:: 0.1
    """

    id: int
    at: datetime.datetime | None
    username: str | None
    actor_id: str | None
    role: str | None
    application_name: str | None
    client_addr: str | None
    context: Mapping[str, Any]
    continues: int | None
    counts: tuple[Count, ...]

    @property
    def count(self) -> int:
        """The changes of all tables, as far as they are counted."""
        return sum(count.count for count in self.counts)

    @property
    def is_capped(self) -> bool:
        """Whether there are more than :attr:`count`."""
        return any(count.is_capped for count in self.counts)

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it changed."""
        return tuple(dict.fromkeys(count.table for count in self.counts))


@dataclass(frozen=True)
class TransactionPage:
    """Transactions, newest first.

    :ivar newer: give it as ``after`` for the page of newer ones; ``None`` when there are none.
    :ivar older: give it as ``before`` for the page of older ones; ``None`` when there are none.

    .. versionadded:: 0.1
    """

    transactions: tuple[Transaction, ...]
    newer: int | None
    older: int | None


def read_transactions(
    source: Source,
    metadata: MetaData,
    where: ChangeFilter = EVERYTHING,
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int = 25,
) -> TransactionPage:
    """The newest transactions that made changes which match ``where``.

    One that changed 200,000 rows costs no more than one that changed a single row, but for the counting, which ends at
    10,000 a table.

    :param before: only transactions with lower ids.
    :param after: only transactions with higher ids, those next to it.
    :raises AuditConfigError: as :func:`feed`.

    .. versionadded:: 0.1
    """
    connection = connection_of(source)
    return read_page(connection, read_recorded_tables(connection, metadata), where, before, after, limit)


def read_page(
    connection: Connection,
    tables: Sequence[RecordedTable],
    where: ChangeFilter,
    before: int | None,
    after: int | None,
    limit: int,
) -> TransactionPage:
    """As :func:`read_transactions`, for tables that were read from the catalog."""
    chosen = where.chosen(tables)
    found = _read_ids(connection, chosen, where, before, after, limit + 1)
    ahead, found = len(found) > limit, found[:limit]
    if after is not None:
        found.reverse()
    behind = bool(found) and _has_more_behind(connection, chosen, where, found, before, after)
    newer, older = (ahead, behind) if after is not None else (behind, ahead)
    return TransactionPage(
        load_transactions(connection, chosen, where, found),
        newer=found[0] if found and newer else None,
        older=found[-1] if found and older else None,
    )


def _has_more_behind(
    connection: Connection,
    tables: Sequence[RecordedTable],
    where: ChangeFilter,
    found: Sequence[int],
    before: int | None,
    after: int | None,
) -> bool:
    if before is None and after is None:
        return False
    if after is None:
        return bool(_read_ids(connection, tables, where, None, found[0], 1))
    return bool(_read_ids(connection, tables, where, found[-1], None, 1))


def _read_ids(
    connection: Connection,
    tables: Sequence[RecordedTable],
    where: ChangeFilter,
    before: int | None,
    after: int | None,
    limit: int,
) -> list[int]:
    return list(connection.execute(transaction_ids(tables, where, before, after, limit)).scalars())


def load_transactions(
    connection: Connection, tables: Iterable[RecordedTable], where: ChangeFilter, ids: Sequence[int]
) -> tuple[Transaction, ...]:
    """The transactions with these ids, in their order, and their matching changes counted."""
    chosen = list(tables)
    if not ids or not chosen:
        return ()
    transaction = transaction_table(chosen[0].table.metadata).alias("transaction")
    rows = {row.id: row for row in connection.execute(_select_transactions(transaction, ids))}
    counts = _read_counts(connection, chosen, where, ids)
    return tuple(_build(id_, rows.get(id_), counts[id_]) for id_ in ids)


def _select_transactions(transaction: Any, ids: Sequence[int]) -> Select[Any]:
    columns = transaction.c
    return sa.select(
        columns.id,
        columns.issued_at,
        columns.username,
        columns.actor_id,
        columns.db_role,
        columns.application_name,
        sa.cast(columns.client_addr, Text).label("client_addr"),
        sa.func.left(sa.cast(columns.context, Text), MAX_CONTEXT_LENGTH + 1).label("context"),
        columns.continues,
    ).where(columns.id.in_(list(ids)))


def _read_counts(
    connection: Connection, tables: Iterable[RecordedTable], where: ChangeFilter, ids: Sequence[int]
) -> Mapping[int, tuple[Count, ...]]:
    wanted = sa.values(sa.column("id", BigInteger), name="wanted").data([(id_,) for id_ in ids])
    found: dict[int, list[Count]] = defaultdict(list)
    for table in tables:
        changes = Changes(table)
        matching = where.apply(
            sa.select(changes.new.c.audit_operation.label("operation")).select_from(changes.new), changes
        )
        matching = matching.where(changes.new.c.audit_transaction_id == wanted.c.id).limit(MAX_COUNT + 1)
        few = matching.correlate(wanted).lateral("few")
        count = sa.func.count().label("number")
        grouped = sa.select(wanted.c.id, few.c.operation, count).join_from(wanted, few, sa.true())
        for row in connection.execute(grouped.group_by(wanted.c.id, few.c.operation).order_by(few.c.operation)):
            number: int = row.number
            count_ = Count(table.table.key, row.operation, min(number, MAX_COUNT), number > MAX_COUNT)
            found[row.id].append(count_)
    return {id_: tuple(found[id_]) for id_ in ids}


def _build(id_: int, row: Row[Any] | None, counts: tuple[Count, ...]) -> Transaction:
    if row is None:
        return Transaction(id_, None, None, None, None, None, None, {}, None, counts)
    return Transaction(
        id=id_,
        at=row.issued_at.astimezone(datetime.timezone.utc),
        username=row.username,
        actor_id=row.actor_id,
        role=row.db_role,
        application_name=row.application_name,
        client_addr=row.client_addr,
        context=parse_context(row.context),
        continues=row.continues,
        counts=counts,
    )
