"""Which transactions made changes that a filter wants, so that PostgreSQL looks at few others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, FromClause, Integer, Select

from ..declare.registry import transaction_table
from .changes import Changes
from .filter import ChangeFilter
from .recorded import RecordedTable
from .span import Span
from .windows import Window


def transaction_ids(
    tables: Sequence[RecordedTable], where: ChangeFilter, window: Window, upwards: bool, limit: int
) -> Select[Any]:
    """The ids of at most ``limit`` transactions, the newest first, or the oldest.

    Its parameters can be given again, so that it need not be built again: see :func:`parameters`.

    :param tables: those that the filter chose.
    """
    if not tables:
        return sa.select(sa.literal(0, BigInteger).label("id")).where(sa.false())
    span = where.span(tables[0].table.metadata)
    if window.is_piece:
        # Those of the transactions that began before the time are among the others.
        span = replace(span, since=None)
    search = _Search(tuple(map(Changes, tables)), where, span, window, upwards, limit)
    return search.all_ids() if span.since is None else search.ids_since()


def parameters(window: Window, limit: int) -> Mapping[str, int]:
    """The parameters with which a statement for another window, with the same bounds, is one for this."""
    values = {_FIRST: window.first, _END: window.end, _LIMIT: limit}
    return {name: value for name, value in values.items() if value is not None}


#: Parameters by name, so that they can be given again.
_FIRST, _END, _LIMIT = "audit_first", "audit_end", "audit_limit"


@dataclass(frozen=True)
class _Search:
    changes: tuple[Changes, ...]
    where: ChangeFilter
    span: Span
    window: Window
    upwards: bool
    limit: int

    @property
    def _most(self) -> sa.BindParameter[int]:
        return sa.bindparam(_LIMIT, self.limit, Integer)

    def all_ids(self) -> Select[Any]:
        if self.where.is_about_transactions:
            return self._by_transaction()
        return self._cut(sa.union(*(self._ids_of(changes) for changes in self.changes)).subquery("ids"))

    def ids_since(self) -> Select[Any]:
        """As :meth:`.places._Search.places_since`, of transactions."""
        young = self.all_ids().cte("begun_since")
        if self.upwards and self.window.first is not None:
            needed = self.span.began_earlier(sa.bindparam(_FIRST, self.window.first, BigInteger) - 1)
        else:
            needed = sa.select(sa.func.count()).select_from(young).scalar_subquery() < self._most
        parts = (self._begun_earlier(changes) for changes in self.changes)
        earlier = self._cut(sa.union(*parts).subquery("begun_earlier")).subquery("earlier")
        return self._cut(sa.union(sa.select(young.c.id), sa.select(earlier.c.id).where(needed)).subquery("ids"))

    def _cut(self, found: FromClause) -> Select[Any]:
        return sa.select(found.c.id).order_by(self._directed(found.c.id)).limit(self._most)

    def _directed(self, id_: ColumnElement[Any]) -> ColumnElement[Any]:
        return id_.asc() if self.upwards else id_.desc()

    def _inside(self, id_: ColumnElement[Any]) -> Iterator[ColumnElement[bool]]:
        if self.window.end is not None:
            yield id_ < sa.bindparam(_END, self.window.end, BigInteger)
        if self.window.first is not None:
            yield id_ >= sa.bindparam(_FIRST, self.window.first, BigInteger)

    def _by_transaction(self) -> Select[Any]:
        """One by one: as good as each changed something, see :meth:`.places._Search._by_transaction`."""
        # Another name than that which parts of the filter may join within.
        transaction = transaction_table(self.span.metadata).alias("wanted")
        id_ = transaction.c.id
        made = sa.union_all(*(self._made_by(transaction, changes) for changes in self.changes))
        any_ = made.limit(1).lateral("any_change")
        query = sa.select(id_).select_from(transaction.join(any_, sa.true()))
        query = query.where(*self.where.of_transaction(transaction), *self.span.begun_in_it(id_), *self._inside(id_))
        return query.order_by(self._directed(id_)).limit(self._most)

    def _made_by(self, transaction: FromClause, changes: Changes) -> Select[Any]:
        own = changes.new.c.audit_transaction_id == transaction.c.id
        made = self.where.within_transaction(sa.select(sa.literal(1)).select_from(changes.new), changes)
        return made.where(own).correlate(transaction)

    def _begun_earlier(self, changes: Changes) -> Select[Any]:
        id_ = changes.new.c.audit_transaction_id
        matching = self._matching(changes, in_order=False)
        return matching.where(self.span.began_earlier(id_), *self._inside(id_))

    def _matching(self, changes: Changes, *, in_order: bool) -> Select[Any]:
        ids = sa.select(changes.new.c.audit_transaction_id.label("id")).select_from(changes.new)
        return self.where.conditions(ids, changes, in_order=in_order)

    # Table by table

    def _ids_of(self, changes: Changes) -> Select[Any]:
        """Distinct ones of one table, each found from the one before it: a step in the primary key's index."""
        first = self._next_id(changes, *self._inside(changes.new.c.audit_transaction_id))
        steps = sa.select(first.label("id"), sa.literal(1).label("step")).cte(recursive=True)
        following = Changes(changes.recorded)
        id_ = following.new.c.audit_transaction_id
        beyond = id_ > steps.c.id if self.upwards else id_ < steps.c.id
        next_ = self._next_id(following, beyond, *self._inside(id_))
        more = sa.select(next_, steps.c.step + 1).where(steps.c.id.is_not(None), steps.c.step < self._most)
        steps = steps.union_all(more)
        return sa.select(steps.c.id).where(steps.c.id.is_not(None))

    def _next_id(self, changes: Changes, *bounds: ColumnElement[bool]) -> ColumnElement[Any]:
        id_ = changes.new.c.audit_transaction_id
        query = self._matching(changes, in_order=True).where(*bounds, *self.span.begun_in_it(id_))
        return query.order_by(self._directed(id_)).limit(1).scalar_subquery()
