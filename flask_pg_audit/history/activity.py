"""How much was changed, when, where and by whom: counted as far as the work for it is limited."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Connection, DateTime, FromClause, Integer, MetaData, Select, Text

from ..declare.registry import transaction_table
from .changes import Changes
from .excerpts import MAX_NAME_LENGTH
from .recorded import RecordedTable


@dataclass(frozen=True)
class Amount:
    """A number of transactions or changes.

    :ivar is_capped: there are more than ``count``, and nobody counted them.
    :ivar is_estimated: ``count`` is about what there is.
    """

    count: int
    is_capped: bool = False
    is_estimated: bool = False


@dataclass(frozen=True)
class TableActivity:
    """How many changes of a table were made.

    :ivar table: the table's key in ``MetaData.tables``.
    """

    table: str
    changes: Amount


@dataclass(frozen=True)
class ActorActivity:
    """How much somebody did.

    :ivar username: ``None`` is nobody; of a longer one no more than the beginning.
    """

    username: str | None
    count: int

    @property
    def is_cut(self) -> bool:
        """Whether there is more of the name."""
        return self.username is not None and len(self.username) > MAX_NAME_LENGTH


@dataclass(frozen=True)
class Actors:
    """Who did most among the newest transactions or changes that were looked at.

    :ivar looked_at: how many those are.
    :ivar since: when the oldest of them was made; ``None`` if there is none.
    """

    top: tuple[ActorActivity, ...]
    looked_at: int
    since: datetime.datetime | None


def read_first_ids(connection: Connection, metadata: MetaData, edges: Sequence[datetime.datetime]) -> list[int]:
    """The first transaction at or after each of ``edges``; behind the last one, the number that follows it.

    One look each into the index on ``issued_at``. Transactions get their numbers in the order of time, within the
    moment that lies between taking a number and looking at the clock.
    """
    transaction = transaction_table(metadata).alias("transaction")
    later = transaction_table(metadata).alias("later")
    wanted = sa.values(sa.column("place", Integer), sa.column("edge", DateTime(timezone=True)), name="wanted").data(
        list(enumerate(edges))
    )
    first = (
        sa.select(later.c.id)
        .where(later.c.issued_at >= wanted.c.edge)
        .order_by(later.c.issued_at, later.c.id)
        .limit(1)
        .correlate(wanted)
        .scalar_subquery()
    )
    end = sa.select(sa.func.max(transaction.c.id) + 1).scalar_subquery()
    query = sa.select(sa.func.coalesce(first, end, 0)).select_from(wanted).order_by(wanted.c.place)
    return list(connection.execute(query).scalars())


def count_transactions(
    connection: Connection, metadata: MetaData, edges: Sequence[datetime.datetime], cap: int
) -> list[Amount]:
    """The transactions between each of ``edges`` and the next.

    Counted up to ``cap``; where there are more, estimated from their numbers, of which each failed transaction has
    used up one, too.
    """
    transaction = transaction_table(metadata).alias("transaction")
    buckets = _buckets(edges, DateTime(timezone=True))
    few = (
        sa.select(sa.literal(1).label("one"))
        .where(transaction.c.issued_at >= buckets.c.start, transaction.c.issued_at < buckets.c.end)
        .limit(cap + 1)
    )
    ids = read_first_ids(connection, metadata, edges)
    spans = [following - first for first, following in pairwise(ids)]
    return [
        Amount(max(span, count), is_estimated=True) if count > cap else Amount(count)
        for count, span in zip(_count(connection, buckets, few), spans, strict=True)
    ]


def count_changes(
    connection: Connection,
    tables: Sequence[RecordedTable],
    first_ids: Sequence[int],
    cap: int,
    look_at: int | None = None,
) -> list[Amount]:
    """The changes made by transactions from each of ``first_ids`` to the next, those of all ``tables`` together.

    Counted up to ``cap`` for each table, through its primary key.

    :param look_at: no more than so many of each table are looked at, those included that the scope hides; nobody then
        learns how many these are: there may be more of everything.
    """
    buckets = _buckets(first_ids, BigInteger())
    if not tables:
        return [Amount(0)] * (len(first_ids) - 1)
    numbers = [_few(table, buckets, cap, look_at) for table in tables]
    return [
        Amount(sum(min(count, cap) for count in counts), is_capped=look_at is not None or max(counts) > cap)
        for counts in connection.execute(sa.select(*numbers).select_from(buckets).order_by(buckets.c.place))
    ]


def _few(table: RecordedTable, buckets: sa.Values, cap: int, look_at: int | None) -> ColumnElement[int]:
    """How many changes there are in a bucket."""

    def within(rows: FromClause) -> Select[Any]:
        return sa.select(rows).where(
            rows.c.audit_transaction_id >= buckets.c.start, rows.c.audit_transaction_id < buckets.c.end
        )

    if look_at is None:
        return _number(within(table.history("changes")).limit(cap + 1), buckets)
    looked = replace(table, part=lambda rows: within(rows).limit(look_at).correlate(buckets))
    return _number(sa.select(looked.history("changes")).limit(cap + 1), buckets)


def _number(rows: Select[Any], buckets: sa.Values) -> ColumnElement[int]:
    only: Select[Any] = rows.with_only_columns(sa.literal(1).label("one"), maintain_column_froms=True)
    return sa.select(sa.func.count()).select_from(only.correlate(buckets).subquery("few")).scalar_subquery()


def _buckets(edges: Sequence[Any], type_: sa.types.TypeEngine[Any]) -> sa.Values:
    rows = [(place, *pair) for place, pair in enumerate(pairwise(edges))]
    columns = (sa.column("place", Integer), sa.column("start", type_), sa.column("end", type_))
    return sa.values(*columns, name="buckets").data(rows)


def _count(connection: Connection, buckets: sa.Values, few: Select[Any]) -> list[int]:
    """How many rows ``few`` has for each of ``buckets``."""
    count = sa.select(sa.func.count()).select_from(few.correlate(buckets).subquery("few"))
    query = sa.select(count.scalar_subquery()).select_from(buckets).order_by(buckets.c.place)
    return list(connection.execute(query).scalars())


def read_table_activity(
    connection: Connection,
    tables: Sequence[RecordedTable],
    first_id: int | None,
    cap: int,
    look_at: int | None = None,
) -> list[TableActivity]:
    """The tables with changes by transactions from ``first_id`` on, the most active first.

    Counted up to ``cap`` for each table; among those that have more, the one whose newest ``cap`` changes were made
    in the fewest transactions' time is the most active.

    :param look_at: as of :func:`count_changes`; of the newest.
    """
    if not tables:
        return []
    counted = [_select_activity(table, first_id, cap, look_at) for table in tables]
    found: list[tuple[int, int, TableActivity]] = []
    for key, count, oldest in connection.execute(sa.union_all(*counted)):
        is_capped = count > cap or look_at is not None
        if count or is_capped:
            amount = Amount(min(count, cap), is_capped=is_capped)
            found.append((amount.count, oldest or 0, TableActivity(key, amount)))
    return [activity for *_, activity in sorted(found, key=lambda one: (*one[:2], one[2].table), reverse=True)]


def _select_activity(table: RecordedTable, first_id: int | None, cap: int, look_at: int | None) -> Select[Any]:
    if look_at is not None:
        table = _only_newest(table, first_id, look_at)
    newest = _newest(Changes(table), first_id, cap + 1).subquery("newest")
    key, oldest = sa.literal(table.table.key, Text), sa.func.min(newest.c.audit_transaction_id)
    columns: tuple[ColumnElement[Any], ...] = (key, sa.func.count(), oldest)
    return sa.select(*columns).select_from(newest)


def _only_newest(table: RecordedTable, first_id: int | None, number: int) -> RecordedTable:
    """The table as if it had its newest changes only."""
    return replace(table, part=lambda rows: _newest_rows(rows, first_id, number))


def _newest_rows(rows: FromClause, first_id: int | None, number: int) -> Select[Any]:
    place = (rows.c.audit_transaction_id, rows.c.audit_id)
    query = sa.select(rows).order_by(*(column.desc() for column in place)).limit(number)
    return query if first_id is None else query.where(place[0] >= sa.literal(first_id, BigInteger))


def _newest(changes: Changes, first_id: int | None, limit: int) -> Select[Any]:
    """The newest changes by transactions from ``first_id`` on, read backwards through the primary key."""
    place = (changes.new.c.audit_transaction_id, changes.new.c.audit_id)
    query = sa.select(place[0]).order_by(*(column.desc() for column in place)).limit(limit)
    return query if first_id is None else query.where(place[0] >= sa.literal(first_id, BigInteger))


def read_transaction_actors(
    connection: Connection, metadata: MetaData, since: datetime.datetime, limit: int, top: int
) -> Actors:
    """Who made most of the newest ``limit`` transactions since a time."""
    transaction = transaction_table(metadata).alias("transaction")
    newest = (
        sa.select(_name(transaction.c.username), transaction.c.issued_at.label("at"))
        .where(transaction.c.issued_at >= since)
        .order_by(transaction.c.issued_at.desc(), transaction.c.id.desc())
        .limit(limit)
    )
    return _read_actors(connection, newest, top)


def read_change_actors(
    connection: Connection,
    tables: Sequence[RecordedTable],
    first_id: int | None,
    limit: int,
    top: int,
    look_at: int | None = None,
) -> Actors:
    """Who made most of the newest changes of ``tables``, ``limit`` of each, by transactions from ``first_id`` on.

    :param look_at: as of :func:`read_table_activity`.
    """
    if not tables:
        return Actors((), 0, None)
    if look_at is not None:
        tables = [_only_newest(table, first_id, look_at) for table in tables]
    parts = [_newest_actors(table, first_id, limit).subquery().select() for table in tables]
    return _read_actors(connection, sa.union_all(*parts), top)


def _newest_actors(table: RecordedTable, first_id: int | None, limit: int) -> Select[Any]:
    changes = Changes(table)
    own = sa.cast(changes.own_username, Text).label("own")
    newest = _newest(changes, first_id, limit).add_columns(changes.new.c.audit_operation_timestamp.label("at"), own)
    few = newest.subquery("few")
    # With a limit, each is looked up by its id; joined, all transactions may be read for the sake of some.
    who = (
        sa.select(changes.transaction.c.username)
        .where(changes.transaction.c.id == few.c.audit_transaction_id)
        .limit(1)
        .lateral("who")
    )
    username = sa.func.coalesce(few.c.own, who.c.username)
    return sa.select(_name(username), few.c.at).select_from(few.outerjoin(who, sa.true()))


def _read_actors(connection: Connection, newest: sa.SelectBase, top: int) -> Actors:
    few = newest.subquery("few")
    count = sa.func.count().label("number")
    totals = sa.select(
        few.c.username,
        count,
        sa.func.sum(sa.func.count()).over().label("looked_at"),
        sa.func.min(sa.func.min(few.c.at)).over().label("since"),
    )
    order = (count.desc(), sa.collate(few.c.username, "C").nulls_first())
    rows = connection.execute(totals.group_by(few.c.username).order_by(*order).limit(top)).all()
    if not rows:
        return Actors((), 0, None)
    who = tuple(ActorActivity(row.username, row.number) for row in rows)
    return Actors(who, int(rows[0].looked_at), rows[0].since.astimezone(datetime.timezone.utc))


def _name(username: ColumnElement[Any]) -> ColumnElement[Any]:
    return sa.func.left(username, MAX_NAME_LENGTH + 1).label("username")
