"""Changes for people to look at: values as PostgreSQL writes them, cut on the server, with what was there before."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, ColumnElement, Connection, FromClause, Row, Select, Text
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.types import TypeEngine

from ..declare.absence import is_absent, is_within
from ..declare.columns import OPERATION_LABELS
from .changes import Changes
from .context import MAX_CONTEXT_LENGTH, parse_context
from .equality import differ, is_binary
from .far_differences import MAX_FAR, read_far_differences
from .position import Position
from .recorded import RecordedColumn, RecordedTable
from .redacted import redacted_names
from .text_diff import Segment, word_diff
from .value import Value, kind_of_type

__all__ = ["Excerpt", "Field", "Value", "read_excerpts", "select_excerpts"]

#: Bytes of which the SHA-256 is computed.
MAX_DIGESTED = 64 * 2**20

#: Characters of who and which program; the client chooses how many there are.
MAX_NAME_LENGTH = 200


@dataclass(frozen=True)
class Field:
    """One column of a change.

    :ivar value: what was stored: after the change, before it for a delete; ``None`` when the column was not recorded.
    :ivar old: the value before an update or in the snapshot before; ``None`` when that is not known or there was none.
    :ivar changed: an update changed it.
    :ivar nearby: the old value and the new one where they first differ, for values that are the same as far as they
        were read.
    """

    name: str
    value: Value | None
    old: Value | None
    changed: bool
    is_key: bool
    nearby: tuple[Value, Value] | None = None

    @cached_property
    def words(self) -> tuple[Segment, ...]:
        """The way from the old value to the new one, as far as they were read, word by word."""
        old, new = self.nearby or (self.old, self.value)
        return word_diff((old and old.text) or "", (new and new.text) or "")

    @property
    def differs_further(self) -> bool:
        """The values differ, but not as far as they were read."""
        old, new = self.old, self.value
        if not self.changed or old is None or new is None or new.kind == "bytes":
            return False
        if old.text is None or new.text is None:
            return False
        length = min(len(old.text), len(new.text))
        return (old.is_cut or new.is_cut) and old.text[:length] == new.text[:length]


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
    *,
    depth: int = 200_000,
    only: str | None = None,
    digests: bool = False,
) -> list[Excerpt]:
    """Read the changes at ``places``, pairs of table key and position, in the order given.

    One query per table, by primary key. Values are cut to ``max_length`` characters on the server, so that a huge one
    never leaves it; those that an update changed to ``max_changed_length``, so that they can be compared. Where these
    first differ further inside, they are read around there. A place that is not there any more is left out.

    :param depth: how many characters of a long value are searched for the first difference.
    :param only: the one column to be read, besides the key.
    :param digests: read the SHA-256 of bytes too, of up to 64 MB.
    """
    by_table: dict[str, list[Position]] = defaultdict(list)
    for key, position in places:
        by_table[key].append(position)
    lengths = _Lengths(max_length, max_changed_length or max_length, digests)
    found: dict[tuple[str, Position], Excerpt] = {}
    for table in tables:
        positions = by_table.get(table.table.key)
        if positions:
            shown = table if only is None else table.only(only)
            for row in connection.execute(select_excerpts(shown, positions, lengths)):
                change = _build_excerpt(shown, row)
                found[table.table.key, change.position] = change
    changes = [found[place] for place in places if place in found]
    return _look_further(connection, tables, changes, depth)


def _look_further(
    connection: Connection, tables: Sequence[RecordedTable], changes: list[Excerpt], depth: int
) -> list[Excerpt]:
    """Where values are the same as far as they were read, those that were asked for are read again, further inside."""
    left = MAX_FAR
    looked = []
    for change in changes:
        names = [field.name for field in change.fields if field.differs_further][:left]
        if names:
            left -= len(names)
            table = next(table for table in tables if table.table.key == change.table_key)
            far = read_far_differences(connection, table, change.position, names, depth)
            fields = (_add_nearby(field, *far[field.name]) if field.name in far else field for field in change.fields)
            change = replace(change, fields=tuple(fields))
        looked.append(change)
    return looked


def _add_nearby(field: Field, start: int, old: str, new: str) -> Field:
    if field.old is None or field.value is None:
        return field
    return replace(
        field, nearby=(replace(field.old, text=old, start=start), replace(field.value, text=new, start=start))
    )


@dataclass(frozen=True)
class _Lengths:
    """How many characters of a value are read, and whether the SHA-256 of bytes is."""

    unchanged: int
    changed: int
    digests: bool = False


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
            _digests(new, "new", differences, lengths),
            _digests(changes.old, "old", differences, lengths),
            _array(list(differences.values()), Boolean()).label("changed"),
            redacted_names(table, new).label("new_redacted"),
            redacted_names(table, changes.old).label("old_redacted"),
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
        _array([value_length(images.c[name]) for name in differences], BigInteger()).label(f"{label}_lengths"),
    )


def _digests(images: FromClause, label: str, names: Iterable[str], lengths: _Lengths) -> ColumnElement[Any]:
    values = [images.c[name] for name in names if lengths.digests]
    return _array([_digest(value) for value in values], Text()).label(f"{label}_digests")


def _digest(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Bounded, since it takes the server a second for some hundred megabytes."""
    if not is_binary(value):
        return sa.null()
    digest = sa.func.encode(sa.func.sha256(value), "hex")
    return sa.case((sa.func.octet_length(value) <= MAX_DIGESTED, digest))


def _head(value: ColumnElement[Any], difference: ColumnElement[bool], lengths: _Lengths) -> ColumnElement[Any]:
    if lengths.changed == lengths.unchanged:
        return value_head(value, lengths.unchanged)
    return sa.case((difference, value_head(value, lengths.changed)), else_=value_head(value, lengths.unchanged))


def value_head(value: ColumnElement[Any], length: int) -> ColumnElement[str]:
    """The first characters of a value as PostgreSQL writes it."""
    # Written as text, bytes double: half a gigabyte of them would be more than a text can hold.
    part = sa.func.substring(value, 1, length, type_=value.type) if is_binary(value) else value
    return sa.func.left(sa.cast(part, Text), length)


def value_length(value: ColumnElement[Any]) -> ColumnElement[int]:
    """How many characters PostgreSQL writes of a value."""
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
        value = _build_value(column, row, "new", index, row.audit_id)
        old = _build_value(column, row, "old", index, row.old_id) if has_old else None
        if value is not None or old is not None:
            changed = has_old and row.changed[index]
            yield Field(column.name, value, old, changed, is_key=column.name in table.key_names)


def _build_value(column: RecordedColumn, row: Row[Any], label: str, index: int, audit_id: int) -> Value | None:
    texts, lengths, digests = (row._mapping[f"{label}_{part}"] for part in ("texts", "lengths", "digests"))
    kind = kind_of_type(column.type)
    if texts[index] is None:
        if column.name in (row._mapping[f"{label}_redacted"] or ()):
            return Value(None, None, kind=kind, is_redacted=True)
        if is_absent(column.absences, audit_id):
            return None
    digest, masked = digests[index] if digests else None, is_within(column.masks, audit_id)
    return Value(texts[index], lengths[index], kind=kind, digest=digest, is_masked=masked)
