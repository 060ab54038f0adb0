"""The versions of one record: which it had at a moment, and what differs between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Boolean, Connection, FromClause, Select
from sqlalchemy.dialects.postgresql import array

from .changes import Changes
from .equality import differ
from .feed import read_places
from .filter import ChangeFilter
from .moment import Moment, recorded_by
from .position import Position
from .recorded import RecordedTable
from .timeline import is_truncate, record_places, select_places


@dataclass(frozen=True)
class RowState:
    """What became of a row by some moment.

    :ivar place: its last change by then; of the truncate that removed it, the change before.
    :ivar is_there: the row was there, as that change left it.
    """

    place: Position
    is_there: bool


def read_row_state(
    connection: Connection, recorded: RecordedTable, key: Mapping[str, Any], when: Moment | None = None
) -> RowState | None:
    """What became of the row with ``key`` by ``when``, or by now; ``None`` if nothing was recorded of it by then.

    Read through the index on the key, and through what ``recorded`` shows: a change outside of its scope did not
    happen.
    """
    row = connection.execute(select_row_state(recorded, key, when)).one_or_none()
    if row is None:
        return None
    is_left = row.truncated is None or row.audit_id > row.truncated
    return RowState(Position(row.audit_transaction_id, row.audit_id), is_left and row.audit_operation != "D")


def select_row_state(recorded: RecordedTable, key: Mapping[str, Any], when: Moment | None = None) -> Select[Any]:
    """The query behind :func:`read_row_state`."""
    changes = Changes(recorded)
    new, truncates = changes.new, recorded.history("truncates")
    newest = sa.select(sa.func.max(truncates.c.audit_id)).where(*is_truncate(recorded, truncates))
    last = ChangeFilter(key=key).apply(select_places(recorded, new).add_columns(new.c.audit_operation), changes)
    if when is not None:
        metadata = recorded.table.metadata
        newest = newest.where(recorded_by(truncates, when, metadata))
        last = last.where(recorded_by(new, when, metadata))
    last = last.add_columns(newest.scalar_subquery().label("truncated"))
    return last.order_by(new.c.audit_id.desc()).limit(1)


def find_versions(
    connection: Connection, recorded: RecordedTable, key: Mapping[str, Any], places: Sequence[Position]
) -> frozenset[Position]:
    """Those of ``places`` that are changes of the record with ``key``."""
    of_record = sa.union_all(*record_places(recorded, key)).subquery("of_record")
    place = sa.tuple_(of_record.c.audit_transaction_id, of_record.c.audit_id)
    found = read_places(connection, sa.select(of_record).where(place.in_(list(places))))
    return frozenset(position for _, position in found)


def read_differing(
    connection: Connection, recorded: RecordedTable, first: Position, second: Position
) -> frozenset[str]:
    """The columns whose values differ between two images, which need not follow one another.

    Compared on the server and in full, however long the values are.
    """
    one, other = recorded.history("one"), recorded.history("other")
    # The type is for an array of no elements: every column may be hidden.
    differ_: array[Any] = array([differ(one.c[n], other.c[n]) for n in recorded.column_names], type_=Boolean())
    both = one.join(other, sa.true())
    query = sa.select(differ_).select_from(both).where(*_is_at(one, first), *_is_at(other, second))
    flags = connection.execute(query).scalar_one_or_none() or []
    return frozenset(name for name, differs in zip(recorded.column_names, flags, strict=False) if differs)


def _is_at(images: FromClause, place: Position) -> Sequence[sa.ColumnElement[bool]]:
    return (
        images.c.audit_transaction_id == sa.literal(place.transaction_id, sa.BigInteger),
        images.c.audit_id == sa.literal(place.audit_id, sa.BigInteger),
    )
