"""One record's changes; and what one transaction changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, MetaData, Select, Text

from .change import Change
from .changes import Changes, Source, connection_of
from .entity import find_audited
from .feed import load, places, read_places
from .filter import ChangeFilter
from .key import key_of
from .position import Position
from .recorded import RecordedTable, read_recorded_tables, recorded_table


def timeline(
    entity: object,
    key: object = None,
    *,
    before: Position | None = None,
    after: Position | None = None,
    limit: int | None = None,
) -> Select[Any]:
    """Where one record's changes are, newest first: ``table_key``, ``audit_transaction_id`` and ``audit_id`` of each.

    A truncate that removed the record is one of them. Read through the index on the key; the order is that of
    ``audit_id``, which for one record is the order of commits.

    :param entity: a ``Table``, a mapped class, or the instance itself, which needs no ``key``.
    :param key: a value, a sequence of values, or a mapping.
    :param before: only changes that were made earlier than the one there.
    :param after: only changes that were made later; **oldest first** then.
    :raises AuditConfigError: the table is not audited or has no primary key, or ``key`` is no key of it.

    .. versionadded:: 0.1
    """
    values = key_of(find_audited(entity), entity if key is None else key)
    return order_places(record_places(recorded_table(entity), values), before, after, limit)


def order_places(
    parts: Sequence[Select[Any]], before: Position | None, after: Position | None, limit: int | None
) -> Select[Any]:
    """A page of places by ``audit_id``: the newest first, or after one of them, the oldest first."""
    # No part is read further than the page goes: sorted behind the union, all of a record's changes would be.
    pages = [_page_of(part.subquery(), before, after, limit).subquery().select() for part in parts]
    merged = sa.union(*pages).subquery("timeline")
    return sa.select(merged).order_by(_directed(merged, after)).limit(limit)


def _page_of(part: FromClause, before: Position | None, after: Position | None, limit: int | None) -> Select[Any]:
    query = sa.select(part)
    if before is not None:
        query = query.where(part.c.audit_id < before.audit_id)
    if after is not None:
        query = query.where(part.c.audit_id > after.audit_id)
    return query if limit is None else query.order_by(_directed(part, after)).limit(limit)


def _directed(places: FromClause, after: Position | None) -> ColumnElement[Any]:
    number = places.c.audit_id
    return number.asc() if after is not None else number.desc()


def record_places(recorded: RecordedTable, key: Mapping[str, Any]) -> tuple[Select[Any], ...]:
    """The changes under a key, and the truncates that removed it; in no order, none in both."""
    changes = Changes(recorded)
    new, has_key = changes.new, ChangeFilter(key=key)
    return has_key.apply(select_places(recorded, new), changes), _truncates(recorded, key)


def select_places(recorded: RecordedTable, images: FromClause, next_: FromClause | None = None) -> Select[Any]:
    """Where the changes in ``images`` are, or those that ``next_`` finds for each of them."""
    table_key = sa.literal(recorded.table.key, Text).label("table_key")
    source = images if next_ is None else images.join(next_, sa.true())
    found = images if next_ is None else next_
    return sa.select(table_key, found.c.audit_transaction_id, found.c.audit_id).select_from(source)


def _truncates(recorded: RecordedTable, key: Mapping[str, Any]) -> Select[Any]:
    """The truncates that removed the record: it was there, and no other truncate lies between.

    Found through the index on the key: the key of a truncate's row is null, and no other's is.
    """
    changes = Changes(recorded)
    last, truncate = changes.new, recorded.history("truncate")
    between = recorded.history("between")
    newest = (
        ChangeFilter(key=key)
        .apply(sa.select(last.c.audit_id, last.c.audit_operation).select_from(last), changes)
        .where(last.c.audit_id < truncate.c.audit_id)
        .order_by(last.c.audit_id.desc())
        .limit(1)
        .lateral("newest")
    )
    another = (
        sa.select(sa.literal(1))
        .where(*is_truncate(recorded, between))
        .where(between.c.audit_id > newest.c.audit_id, between.c.audit_id < truncate.c.audit_id)
        .correlate(newest, truncate)
    )
    return (
        select_places(recorded, truncate)
        .join(newest, sa.true())
        .where(*is_truncate(recorded, truncate), newest.c.audit_operation != "D", ~another.exists())
    )


def is_truncate(recorded: RecordedTable, images: FromClause) -> Iterator[ColumnElement[bool]]:
    """Whether ``images`` are those of truncates: they have no key."""
    yield images.c.audit_operation == "T"
    yield from (images.c[name].is_(None) for name in recorded.key_names)


def read_transaction(
    source: Source, metadata: MetaData, transaction_id: int, *, after: Position | None = None, limit: int = 1000
) -> list[Change]:
    """What one transaction changed, in the order in which it did, at most ``limit`` changes at once.

    :param transaction_id: a row of ``audit_transaction``. A database transaction in which the user or the context
        changed has several; each names the previous one as ``continues``.
    :param after: the position of the last change that is known already.
    :raises AuditConfigError: no table of ``metadata`` is audited.

    .. versionadded:: 0.1
    """
    connection = connection_of(source)
    tables = read_recorded_tables(connection, metadata)
    start = after or Position(transaction_id, -(2**63))
    query = places(tables, ChangeFilter(transaction_id=transaction_id), after=start, limit=limit)
    return load(connection, tables, read_places(connection, query))
