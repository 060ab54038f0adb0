"""Where in the order of transactions there is anything to look at, and how far somebody looked."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import BigInteger, Connection, MetaData

from ..declare.registry import transaction_table
from .filter import ChangeFilter
from .recorded import RecordedTable
from .windows import MAX_ID, Found, Window

_T = TypeVar("_T")


@dataclass(frozen=True)
class Reached:
    """How far a search went before its time was over.

    :ivar edge: as :attr:`.windows.Found.edge`.
    :ivar at: when the transaction there was made, or the next one, in UTC; ``None`` where nobody knows.
    :ivar searched: how many numbers of transactions were looked through.

    .. versionadded:: 0.1
    """

    edge: int
    at: datetime.datetime | None
    searched: int


def read_parts(
    connection: Connection, tables: Sequence[RecordedTable], where: ChangeFilter, window: Window
) -> Sequence[Window]:
    """The parts of ``window`` in which there may be changes of the filter's time.

    Two where the time has a beginning: those that began earlier, and those that began in it.
    """
    span = where.span(tables[0].table.metadata)
    ids = [table.audited.audit_table.c.audit_transaction_id for table in tables]
    lowest, highest = (
        [sa.select(function(id_)).scalar_subquery() for id_ in ids] for function in (sa.func.min, sa.func.max)
    )
    edges = sa.select(
        sa.func.coalesce(sa.func.least(*lowest), 0),
        sa.func.coalesce(sa.func.greatest(*highest) + 1, 0),
        span.first if where.since is not None else sa.literal(-MAX_ID, BigInteger),
        span.end if where.until is not None else sa.literal(MAX_ID, BigInteger),
    )
    first, end, since, until = connection.execute(edges).one()
    first = first if window.first is None else max(first, window.first)
    end = min(end if window.end is None else min(end, window.end), until)
    middle = min(max(since, first), end)
    return [Window(first, middle), Window(middle, end)] if since > first else [Window(first, end)]


def read_reached(connection: Connection, metadata: MetaData, found: Found[_T]) -> Reached | None:
    """How far the search went; ``None`` when it came to its end."""
    if found.edge is None:
        return None
    transaction = transaction_table(metadata).alias("transaction")
    next_ = sa.select(transaction.c.issued_at).where(transaction.c.id >= sa.literal(found.edge, BigInteger))
    at = connection.execute(next_.order_by(transaction.c.id).limit(1)).scalar()
    return Reached(found.edge, at.astimezone(datetime.timezone.utc) if at is not None else None, found.searched)
