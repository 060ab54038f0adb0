"""Where in the order of transactions a time is: where to begin to read a long history, and where to stop."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, DateTime, Interval, MetaData

from ..declare.registry import transaction_table

#: How far the order of ``audit_transaction.id`` and that of ``issued_at`` may be apart: two transactions take number
#: and time in either order, and clocks are set.
CLOCK_SKEW = datetime.timedelta(minutes=1)


@dataclass(frozen=True)
class Span:
    """A time, open at either end, in terms of transactions.

    A transaction gets its number with its first change, so those with higher numbers than one that began after the
    time came later. Those with lower numbers than one that began in it may go on into it.
    """

    metadata: MetaData
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None

    def not_later(self, transaction_id: ColumnElement[Any]) -> Iterator[ColumnElement[bool]]:
        """What all changes of the time meet."""
        if self.until is not None:
            yield transaction_id < self.end

    def begun_in_it(self, transaction_id: ColumnElement[Any]) -> Iterator[ColumnElement[bool]]:
        """What the changes of the time meet, but for those of transactions that :meth:`began_earlier`."""
        yield from self.not_later(transaction_id)
        if self.since is not None:
            yield transaction_id >= self.first

    def began_earlier(self, transaction_id: ColumnElement[Any]) -> ColumnElement[bool]:
        """The opposite."""
        if self.since is None:
            return sa.false()
        # The sum keeps PostgreSQL from reading half of an index for a condition that leaves out little.
        earlier: ColumnElement[bool] = transaction_id + 0 < self.first
        return earlier

    @property
    def first(self) -> ColumnElement[Any]:
        """The first transaction that began in it; for a span with ``since``."""
        return _first_begun(self.metadata, sa.literal(self.since, DateTime(timezone=True)))

    @property
    def end(self) -> ColumnElement[Any]:
        """The first transaction of which it is sure that it began later; for a span with ``until``."""
        # Added by PostgreSQL: Python's last day has no next minute.
        latest = sa.literal(self.until, DateTime(timezone=True)) + sa.literal(CLOCK_SKEW, Interval)
        return _first_begun(self.metadata, latest)


def _first_begun(metadata: MetaData, after: ColumnElement[Any]) -> ColumnElement[Any]:
    """The id of the first transaction that made its first change later; greater than all when there is none."""
    later = transaction_table(metadata).alias("later")
    first = (
        sa.select(later.c.id)
        .where(later.c.issued_at > after)
        .order_by(later.c.issued_at, later.c.id)
        .limit(1)
        .scalar_subquery()
    )
    return sa.func.coalesce(first, sa.literal(2**63 - 1, BigInteger))
