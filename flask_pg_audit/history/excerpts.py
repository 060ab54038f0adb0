"""Changes for people to look at: values as PostgreSQL writes them, cut on the server, with what was there before."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, ColumnElement, Connection, FromClause, Row, Select, Text
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.types import TypeEngine

from ..declare.absence import is_absent
from ..declare.columns import OPERATION_LABELS
from .changes import Changes
from .context import MAX_CONTEXT_LENGTH, parse_context
from .equality import differ, is_binary
from .position import Position
from .recorded import RecordedColumn, RecordedTable

#: Characters of who and which program; the client chooses how many there are.
MAX_NAME_LENGTH = 200


@dataclass(frozen=True)
class Value:
    """One column's value as PostgreSQL writes it, at most so many characters of it.

    :ivar text: ``None`` for NULL.
    :ivar length: of the whole value, in characters; ``None`` for NULL.
    """

    text: str | None
    length: int | None

    @property
    def is_cut(self) -> bool:
        """Whether there is more of it."""
        return self.text is not None and self.length is not None and self.length > len(self.text)


@dataclass(frozen=True)
class Field:
    """One column of a change.

    :ivar value: what was stored: after the change, before it for a delete; ``None`` when the column was not recorded.
    :ivar old: the value before an update or in the snapshot before; ``None`` when that is not known or there was none.
    :ivar changed: an update changed it.
    """

    name: str
    value: Value | None
    old: Value | None
    changed: bool
    is_key: bool


@dataclass(frozen=True)
class Excerpt:
    """One recorded change for people to look at, its values as PostgreSQL writes them and cut.

    :ivar table_key: the table's key in ``MetaData.tables``.
    :ivar table: the table's name, with its schema if it has one.
    :ivar operation: ``I``, ``U``, ``D``, ``T`` or ``S``.
    :ivar at: wall clock of the statement, in UTC.
    :ivar username: the row's own where it records one, else the transaction's; ``None`` is nobody. Like ``actor_id``
        and ``application_name`` it is cut, with ``…`` at its end then.
    :ivar context: what else is known of the transaction; empty when that is too long, or no JSON object.
    :ivar has_old: what was there before is known.
    """

    position: Position
    table_key: str
    table: str
    operation: str
    at: datetime.datetime
    username: str | None
    actor_id: str | None
    role: str
    application_name: str | None
    context: Mapping[str, Any]
    has_old: bool
    fields: tuple[Field, ...]

    @property
    def operation_label(self) -> str:
        """The operation as a word."""
        return OPERATION_LABELS[self.operation]

    @property
    def key(self) -> tuple[Field, ...]:
        """The primary key; empty for a truncate and for tables without one."""
        return () if self.operation == "T" else tuple(field for field in self.fields if field.is_key)


def read_excerpts(
    connection: Connection,
    tables: Sequence[RecordedTable],
    places: Sequence[tuple[str, Position]],
    max_length: int = 200,
    max_changed_length: int | None = None,
) -> list[Excerpt]:
    """Read the changes at ``places``, pairs of table key and position, in the order given.

    One query per table, by primary key. Values are cut to ``max_length`` characters on the server, so that a huge one
    never leaves it; those that an update changed to ``max_changed_length``, so that they can be compared. A place that
    is not there any more is left out.
    """
    by_table: dict[str, list[Position]] = defaultdict(list)
    for key, position in places:
        by_table[key].append(position)
    lengths = _Lengths(max_length, max_changed_length or max_length)
    found: dict[tuple[str, Position], Excerpt] = {}
    for table in tables:
        positions = by_table.get(table.table.key)
        if positions:
            for row in connection.execute(select_excerpts(table, positions, lengths)):
                change = _build_excerpt(table, row)
                found[table.table.key, change.position] = change
    return [found[place] for place in places if place in found]


@dataclass(frozen=True)
class _Lengths:
    """How many characters of a value are read."""

    unchanged: int
    changed: int


def select_excerpts(table: RecordedTable, positions: Sequence[Position], lengths: _Lengths) -> Select[Any]:
    """The query behind :func:`read_excerpts`, for one table."""
    changes = Changes(table)
    new, transaction = changes.new, changes.transaction
    differences = {name: differ(new.c[name], changes.old.c[name]) for name in table.column_names}
    return (
        sa.select(
            new.c.audit_transaction_id,
            new.c.audit_id,
            new.c.audit_operation,
            new.c.audit_operation_timestamp,
            _name(changes.username, "username"),
            _name(transaction.c.actor_id, "actor_id"),
            new.c.audit_current_user,
            _name(transaction.c.application_name, "application_name"),
            sa.func.left(sa.cast(transaction.c.context, Text), MAX_CONTEXT_LENGTH + 1).label("context"),
            changes.old.c.audit_id.label("old_id"),
            # After a delete comes an insert: before an update it means that changes went unrecorded in between.
            sa.func.coalesce(changes.old.c.audit_operation != "D", sa.false()).label("has_old"),
            *_texts(new, "new", differences, lengths),
            *_texts(changes.old, "old", differences, lengths),
            _array(list(differences.values()), Boolean()).label("changed"),
        )
        .select_from(changes.joined)
        .where(sa.tuple_(new.c.audit_transaction_id, new.c.audit_id).in_(list(positions)))
    )


def _name(value: ColumnElement[Any], label: str) -> ColumnElement[Any]:
    return sa.func.left(value, MAX_NAME_LENGTH + 1).label(label)


def _texts(
    images: FromClause, label: str, differences: Mapping[str, ColumnElement[bool]], lengths: _Lengths
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The values and their lengths as two arrays: a table may have more columns than a query may return."""
    heads = [_head(images.c[name], difference, lengths) for name, difference in differences.items()]
    return (
        _array(heads, Text()).label(f"{label}_texts"),
        _array([_length(images.c[name]) for name in differences], BigInteger()).label(f"{label}_lengths"),
    )


def _head(value: ColumnElement[Any], difference: ColumnElement[bool], lengths: _Lengths) -> ColumnElement[Any]:
    if lengths.changed == lengths.unchanged:
        return _cut(value, lengths.unchanged)
    return sa.case((difference, _cut(value, lengths.changed)), else_=_cut(value, lengths.unchanged))


def _cut(value: ColumnElement[Any], length: int) -> ColumnElement[str]:
    # Written as text, bytes double: half a gigabyte of them would be more than a text can hold.
    part = sa.func.substring(value, 1, length, type_=value.type) if is_binary(value) else value
    return sa.func.left(sa.cast(part, Text), length)


def _length(value: ColumnElement[Any]) -> ColumnElement[int]:
    if is_binary(value):
        return 2 + 2 * sa.cast(sa.func.octet_length(value), BigInteger)  # as it is written: \\x00ff
    return sa.func.length(sa.cast(value, Text))


def _array(elements: Sequence[ColumnElement[Any]], type_: TypeEngine[Any]) -> ColumnElement[Any]:
    # The type is for an array of no elements: every column may be excluded.
    made: array[Any] = array(list(elements), type_=type_)
    return made


def _shorten(text: str | None) -> str | None:
    return f"{text[:MAX_NAME_LENGTH]}…" if text is not None and len(text) > MAX_NAME_LENGTH else text


def _build_excerpt(table: RecordedTable, row: Row[Any]) -> Excerpt:
    has_old = row.has_old and row.audit_operation in ("U", "S")
    return Excerpt(
        position=Position(row.audit_transaction_id, row.audit_id),
        table_key=table.table.key,
        table=table.table.fullname,
        operation=row.audit_operation,
        at=row.audit_operation_timestamp.astimezone(datetime.timezone.utc),
        username=_shorten(row.username),
        actor_id=_shorten(row.actor_id),
        role=row.audit_current_user,
        application_name=_shorten(row.application_name),
        context=parse_context(row.context),
        has_old=has_old,
        fields=tuple(_build_fields(table, row, has_old)),
    )


def _build_fields(table: RecordedTable, row: Row[Any], has_old: bool) -> Iterator[Field]:
    if row.audit_operation == "T":
        return
    for index, column in enumerate(table.columns):
        value = _build_value(column, row.new_texts[index], row.new_lengths[index], row.audit_id)
        old = _build_value(column, row.old_texts[index], row.old_lengths[index], row.old_id) if has_old else None
        if value is not None or old is not None:
            changed = has_old and row.changed[index]
            yield Field(column.name, value, old, changed, is_key=column.name in table.key_names)


def _build_value(column: RecordedColumn, text: str | None, length: int | None, audit_id: int) -> Value | None:
    return None if text is None and is_absent(column.absences, audit_id) else Value(text, length)
