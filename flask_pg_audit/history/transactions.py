"""Transactions as groups of changes: the newest with matching changes, and how many changes each made."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, MetaData, Row, Select, Subquery, Text

from ..declare.columns import OPERATION_LABELS
from ..declare.registry import transaction_table
from .budget import FOREVER, Budget
from .changes import Changes, Source, connection_of
from .context import MAX_CONTEXT_LENGTH, parse_context
from .extent import Reached, read_parts, read_reached
from .feed import EVERYTHING
from .filter import ChangeFilter
from .previews import each_of
from .recorded import RecordedTable, read_recorded_tables
from .transaction_ids import parameters, transaction_ids
from .windows import MAX_ID, Found, Search, Window

#: Changes of one transaction in one table are counted up to this many.
MAX_COUNT = 10_000

#: Of the time that a page may take, for looking for its transactions; the rest is for counting their changes.
_SEARCHING = 0.8


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
    :ivar is_counted: there was the time to count them; ``counts`` is empty otherwise.

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
    is_counted: bool = True

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
    :ivar reached: how far was looked for them, when there was no time to look further; ``newer`` or ``older`` then
        leads to what was not looked at.

    .. versionadded:: 0.1
    """

    transactions: tuple[Transaction, ...]
    newer: int | None
    older: int | None
    reached: Reached | None = None


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
    seconds: float | None = None,
) -> TransactionPage:
    """As :func:`read_transactions`, for tables that were read from the catalog.

    :param seconds: what all of it may take, the loading of the transactions excepted.
    """
    chosen, upwards = where.chosen(tables), after is not None
    if not chosen:
        return TransactionPage((), newer=None, older=None)
    window = Window(None if after is None else min(after + 1, MAX_ID), before)
    search = _search(connection, chosen, where, upwards, Budget(_share(seconds, _SEARCHING)))
    found = search.find(window, limit + 1)
    shown, ahead = found.items[:limit], len(found.items) > limit
    if upwards:
        shown.reverse()
    # Where to go on: at the last one that is shown, or where the search stopped.
    on = (shown[0] if upwards else shown[-1]) if ahead else None
    if found.edge is not None:
        on = found.edge - 1 if upwards else found.edge
    counting = _share(seconds, 1 - _SEARCHING)
    back = _way_back(connection, chosen, where, shown, window, upwards, Budget(counting).part(0.3))
    return TransactionPage(
        # A budget of its own: whatever was done before, there is some time to count.
        load_transactions(connection, chosen, where, shown, Budget(_share(counting, 0.7))),
        newer=on if upwards else back,
        older=back if upwards else on,
        reached=read_reached(connection, chosen[0].table.metadata, found),
    )


def find_newest(
    connection: Connection,
    tables: Sequence[RecordedTable],
    where: ChangeFilter,
    window: Window,
    limit: int,
    budget: Budget,
) -> Found[int]:
    """The ids of the newest ``limit`` transactions in ``window``, or of as many as there is time for."""
    chosen = where.chosen(tables)
    return _search(connection, chosen, where, False, budget).find(window, limit) if chosen else Found([])


def _share(seconds: float | None, share: float) -> float | None:
    return None if seconds is None else seconds * share


def _search(
    connection: Connection, tables: Sequence[RecordedTable], where: ChangeFilter, upwards: bool, budget: Budget
) -> Search[int]:
    built: dict[object, Select[Any]] = {}

    def read(window: Window, limit: int) -> list[int]:
        # With ten tables it takes longer to build than many a window to read.
        if budget.is_bounded and where.since is None:
            window = window.closed  # one for all
        kind = (window.is_piece and where.since is not None, window.first is None, window.end is None)
        if kind not in built:
            built[kind] = transaction_ids(tables, where, window, upwards, limit)
        return list(connection.execute(built[kind], parameters(window, limit)).scalars())

    return Search(connection, budget, upwards, read, partial(read_parts, connection, tables, where))


def _way_back(
    connection: Connection,
    tables: Sequence[RecordedTable],
    where: ChangeFilter,
    shown: Sequence[int],
    window: Window,
    upwards: bool,
    budget: Budget,
) -> int | None:
    """Where the page begins that the reader comes from; ``None`` when nothing is there.

    The place may be made up, or what was there pruned. When there is no time to see, something may be there.
    """
    if window.first is None and window.end is None:
        return None
    if upwards:
        edge = shown[-1] if shown else window.first
        behind = Window(None, edge)
    else:
        edge = shown[0] if shown else max((window.end or 0) - 1, -MAX_ID - 1)
        behind = Window(min(edge + 1, MAX_ID), None)
    there = budget.attempt(
        connection,
        lambda: connection.execute(transaction_ids(tables, where, behind, not upwards, 1)).scalars().all(),
    )
    return None if there is not None and not there else edge


def load_transactions(
    connection: Connection,
    tables: Iterable[RecordedTable],
    where: ChangeFilter,
    ids: Sequence[int],
    budget: Budget = FOREVER,
) -> tuple[Transaction, ...]:
    """The transactions with these ids, in their order, and their matching changes counted."""
    chosen = list(tables)
    if not ids or not chosen:
        return ()
    transaction = transaction_table(chosen[0].table.metadata).alias("transaction")
    rows = {row.id: row for row in connection.execute(_select_transactions(transaction, ids))}
    counts = _count(connection, chosen, where, ids, budget)
    return tuple(_build(id_, rows.get(id_), counts.get(id_)) for id_ in ids)


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


def _count(
    connection: Connection, tables: Sequence[RecordedTable], where: ChangeFilter, ids: Sequence[int], budget: Budget
) -> Mapping[int, tuple[Count, ...]]:
    """The counts of those for which there is time."""
    counts = budget.part(0.6).attempt(connection, lambda: _read_counts(connection, tables, where, ids))
    if counts is not None:
        return counts
    found: dict[int, tuple[Count, ...]] = {}
    for id_ in ids:
        one = budget.attempt(connection, partial(_read_counts, connection, tables, where, [id_]))
        if one is None:
            break
        found.update(one)
    return found


def _read_counts(
    connection: Connection, tables: Sequence[RecordedTable], where: ChangeFilter, ids: Sequence[int]
) -> Mapping[int, tuple[Count, ...]]:
    wanted = each_of(ids)
    parts = [_select_counts(table, where, wanted) for table in tables]
    rows = connection.execute(sa.union_all(*parts)).all()
    places = {table.table.key: place for place, table in enumerate(tables)}
    found: dict[int, list[Count]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (places[row.table_key], row.operation)):
        number: int = row.number
        found[row.id].append(Count(row.table_key, row.operation, min(number, MAX_COUNT), number > MAX_COUNT))
    return {id_: tuple(found[id_]) for id_ in ids}


def _select_counts(table: RecordedTable, where: ChangeFilter, wanted: Subquery) -> Select[Any]:
    changes = Changes(table)
    operations = sa.select(changes.new.c.audit_operation.label("operation")).select_from(changes.new)
    # Of transactions that are known to be wanted.
    matching = where.within_transaction(operations, changes)
    few = matching.where(changes.new.c.audit_transaction_id == wanted.c.id).limit(MAX_COUNT + 1)
    few_of_each = few.correlate(wanted).lateral("few")
    counted = sa.select(
        sa.literal(table.table.key, Text).label("table_key"),
        wanted.c.id,
        few_of_each.c.operation,
        sa.func.count().label("number"),
    )
    return counted.join_from(wanted, few_of_each, sa.true()).group_by(wanted.c.id, few_of_each.c.operation)


def _build(id_: int, row: Row[Any] | None, counts: tuple[Count, ...] | None) -> Transaction:
    is_counted, counts = counts is not None, counts or ()
    if row is None:
        return Transaction(id_, None, None, None, None, None, None, {}, None, counts, is_counted)
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
        is_counted=is_counted,
    )
