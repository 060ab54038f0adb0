"""Where in the feed the changes are that a filter wants, so that PostgreSQL looks at few others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, FromClause, Select, Text

from ..declare.registry import transaction_table
from .changes import Changes
from .filter import ChangeFilter
from .paging import Slice
from .position import Position
from .recorded import RecordedTable
from .span import Span


def places(
    tables: Iterable[RecordedTable],
    where: ChangeFilter,
    *,
    before: Position | None = None,
    after: Position | None = None,
    limit: int = 50,
) -> Select[Any]:
    """As :func:`.feed.feed`, for tables that were read from the catalog."""
    return places_in(tables, where, Slice(before, after, limit))


def places_in(
    tables: Iterable[RecordedTable], where: ChangeFilter, slice_: Slice, *, is_piece: bool = False
) -> Select[Any]:
    """As :func:`places`; of a piece that is to be read from one end to the other."""
    chosen = where.chosen(tuple(tables))
    if not chosen:
        return _nowhere()
    span = where.span(chosen[0].table.metadata)
    if is_piece:
        span = replace(span, since=None)
    search = _Search(tuple(map(Changes, chosen)), where, span, slice_)
    return search.all_places() if span.since is None else search.places_since()


@dataclass(frozen=True)
class _Search:
    changes: tuple[Changes, ...]
    where: ChangeFilter
    span: Span
    slice: Slice

    def all_places(self) -> Select[Any]:
        found = self._by_transaction() if self.where.is_about_transactions else self._by_table()
        return self._cut(found.subquery("feed"))

    def _cut(self, found: FromClause) -> Select[Any]:
        return self.slice.cut(sa.select(found), found.c.audit_transaction_id, found.c.audit_id)

    def _by_table(self) -> sa.CompoundSelect[Any]:
        """The first of each table, through its primary key or whatever else the filter has an index for."""
        return sa.union_all(*(self._page_of(changes).subquery().select() for changes in self.changes))

    def _page_of(self, changes: Changes) -> Select[Any]:
        new = changes.new.c
        query = self._matching(changes, in_order=True).where(*self.span.begun_in_it(new.audit_transaction_id))
        if self.where.joins_transactions:
            # PostgreSQL knows of both ids that they are equal, and does not conclude that both are less than a third.
            own = changes.transaction.c.id
            query = query.where(*self.span.begun_in_it(own), *self.slice.reached(own))
        return self.slice.cut(query, new.audit_transaction_id, new.audit_id)

    def _by_transaction(self) -> Select[Any]:
        """Transaction by transaction, and what each changed: it changed something, so that few are enough.

        Table by table, somebody who changes much would be looked for in the whole history of each table that he never
        changes.
        """
        # Another name than that which parts of the filter may join within.
        transaction = transaction_table(self.span.metadata).alias("wanted")
        changed = sa.union_all(*(self._changed_by(transaction, changes) for changes in self.changes)).lateral("changed")
        query = sa.select(changed).select_from(transaction.join(changed, sa.true()))
        query = query.where(
            *self.where.of_transaction(transaction),
            *self.span.begun_in_it(transaction.c.id),
            *self.slice.reached(transaction.c.id),
        )
        return self.slice.cut(query, transaction.c.id, changed.c.audit_id)

    def _changed_by(self, transaction: FromClause, changes: Changes) -> Select[Any]:
        new = changes.new.c
        query = self.where.within_transaction(_select_places(changes), changes).where(
            new.audit_transaction_id == transaction.c.id,
            *self.slice.inside(new.audit_transaction_id, new.audit_id),
        )
        return self.slice.cut(query, new.audit_id).correlate(transaction)

    def _matching(self, changes: Changes, *, in_order: bool) -> Select[Any]:
        inside = self.slice.inside(changes.new.c.audit_transaction_id, changes.new.c.audit_id)
        return self.where.conditions(_select_places(changes), changes, in_order=in_order).where(*inside)

    def places_since(self) -> Select[Any]:
        """The transactions that began in the time asked for; and, where needed, the changes of earlier ones.

        The order of transactions says where to read, and where to stop, but a transaction may begin before a time and
        change something after it. Such changes are found by their own time, which is a look at each of that time: only
        when there are not enough without them, or when the page begins among them.
        """
        young = self.all_places().cte("begun_since")
        if self.slice.is_upwards and self.slice.after is not None:
            needed = self.span.began_earlier(sa.literal(self.slice.after.transaction_id, BigInteger))
        else:
            needed = sa.select(sa.func.count()).select_from(young).scalar_subquery() < self.slice.limit
        parts = (self._begun_earlier(changes) for changes in self.changes)
        # Cut first, so that PostgreSQL asks whether it is needed before it starts, and starts parallel workers.
        earlier = self._cut(sa.union_all(*parts).subquery("begun_earlier")).subquery("earlier")
        both = sa.union_all(sa.select(young), sa.select(earlier).where(needed))
        return self._cut(both.subquery("feed"))

    def _begun_earlier(self, changes: Changes) -> Select[Any]:
        earlier = self.span.began_earlier(changes.new.c.audit_transaction_id)
        return self._matching(changes, in_order=False).where(earlier)


def _nowhere() -> Select[Any]:
    numbers = ("audit_transaction_id", "audit_id")
    columns: list[ColumnElement[Any]] = [sa.literal("", Text).label("table_key")]
    columns += [sa.literal(0, BigInteger).label(name) for name in numbers]
    return sa.select(*columns).where(sa.false())


def _select_places(changes: Changes) -> Select[Any]:
    key, new = changes.recorded.table.key, changes.new
    return sa.select(sa.literal(key, Text).label("table_key"), new.c.audit_transaction_id, new.c.audit_id).select_from(
        new
    )
