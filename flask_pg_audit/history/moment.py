"""Points in the history: an instant, a change, a transaction."""

from __future__ import annotations

import datetime
from typing import TypeAlias

from sqlalchemy import BigInteger, ColumnElement, DateTime, FromClause, MetaData, func, literal, select

from ..declare.registry import audited_tables
from ..errors import AuditError
from .position import Position

#: An instant with a time zone; the place of a change, for the state right after it; or the id of a row of
#: ``audit_transaction``, for the state right after its last change.
Moment: TypeAlias = datetime.datetime | Position | int


def recorded_by(changes: FromClause, when: Moment, metadata: MetaData) -> ColumnElement[bool]:
    """Whether a row of ``changes``, an alias of an audit table of ``metadata``, belongs to the state at ``when``.

    :raises AuditError: ``when`` is a ``datetime`` without a time zone, or no moment at all.
    """
    recorded: ColumnElement[bool]
    if isinstance(when, datetime.datetime):
        _check_zone(when)
        recorded = changes.c.audit_operation_timestamp <= literal(when, DateTime(timezone=True))
    else:
        recorded = changes.c.audit_id <= _last_change(when, metadata)
    return recorded


def _last_change(when: object, metadata: MetaData) -> ColumnElement[int]:
    if isinstance(when, Position):
        return literal(when.audit_id, BigInteger)
    if isinstance(when, int) and not isinstance(when, bool):
        return _last_change_of(when, metadata)
    raise AuditError(
        f"{when!r} is no point in the history; give a datetime with a time zone, a Position, or the id of a "
        "row of audit_transaction"
    )


def _check_zone(when: datetime.datetime) -> None:
    if when.utcoffset() is None:
        raise AuditError(
            f"{when!r} has no time zone, so it is no instant; give it one, for example "
            "when.replace(tzinfo=datetime.timezone.utc)"
        )


def _last_change_of(transaction_id: int, metadata: MetaData) -> ColumnElement[int]:
    """The greatest ``audit_id`` of a transaction; one look into the primary key of each audit table."""
    newest = []
    for audited in audited_tables(metadata):
        own = audited.audit_table.alias("own")
        of_transaction = own.c.audit_transaction_id == literal(transaction_id, BigInteger)
        newest.append(select(func.max(own.c.audit_id)).where(of_transaction).scalar_subquery())
    return func.greatest(*newest)
