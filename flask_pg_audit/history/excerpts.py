"""The changes at given places of the feed, as text, with what was there before."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    FromClause,
    MetaData,
    Row,
    Select,
    Text,
    and_,
    cast,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.types import TypeEngine

from ..declare.columns import OPERATION_LABELS
from ..declare.registry import AuditedTable, audited_tables, transaction_table
from .context import MAX_CONTEXT_LENGTH, parse_context
from .equality import differ, is_binary
from .position import Position


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

    :ivar old: the value before an update; ``None`` when that is not known or this is no update.
    :ivar changed: an update changed it.
    """

    name: str
    value: Value
    old: Value | None
    changed: bool
    is_key: bool


@dataclass(frozen=True)
class Excerpt:
    """One recorded change for people to look at, its values as PostgreSQL writes them and cut.

    :ivar table: the table's name, with its schema if it has one.
    :ivar operation: ``I``, ``U``, ``D``, ``T`` or ``S``.
    :ivar at: wall clock of the statement, in UTC.
    :ivar username: the row's own where it records one, else the transaction's; ``None`` is nobody. Like ``actor_id``
        and ``application_name`` it is cut where values are, with ``…`` at its end then.
    :ivar context: what else is known of the transaction; empty when that is too long, or no JSON object.
    """

    position: Position
    table: str
    operation: str
    at: datetime.datetime
    username: str | None
    actor_id: str | None
    role: str
    application_name: str | None
    context: Mapping[str, Any]
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
    connection: Connection, metadata: MetaData, places: Iterable[tuple[str, Position]], max_length: int = 200
) -> list[Excerpt]:
    """Read the changes at ``places``, pairs of table key and position, in the order given.

    One query per table, by primary key. Values are cut to ``max_length`` characters on the server, so that a huge one
    never leaves it. A place that is not there any more is left out.
    """
    wanted = list(places)
    by_table: dict[str, list[Position]] = defaultdict(list)
    for key, position in wanted:
        by_table[key].append(position)
    found: dict[tuple[str, Position], Excerpt] = {}
    for audited in audited_tables(metadata):
        positions = by_table.get(audited.table.key)
        if positions:
            for row in connection.execute(_select_changes(audited, metadata, positions, max_length)):
                change = _build_excerpt(audited, row, max_length)
                found[audited.table.key, change.position] = change
    return [found[place] for place in wanted if place in found]


def _select_changes(
    audited: AuditedTable, metadata: MetaData, positions: list[Position], max_length: int
) -> Select[Any]:
    current, transaction = audited.audit_table.alias("current"), transaction_table(metadata).alias("transaction")
    previous = _previous(audited, current)
    own_username = [cast(current.c[s.column_name], Text) for s in audited.settings if s.name == "username"]
    return (
        select(
            current.c.audit_transaction_id,
            current.c.audit_id,
            current.c.audit_operation,
            current.c.audit_operation_timestamp,
            func.left(func.coalesce(*own_username, transaction.c.username), max_length + 1).label("username"),
            func.left(transaction.c.actor_id, max_length + 1).label("actor_id"),
            current.c.audit_current_user,
            func.left(transaction.c.application_name, max_length + 1).label("application_name"),
            func.left(cast(transaction.c.context, Text), MAX_CONTEXT_LENGTH + 1).label("context"),
            # After a delete comes an insert: before an update it means that changes went unrecorded in between.
            func.coalesce(previous.c.audit_operation != "D", False).label("has_previous"),
            *_texts(audited, current, "new", max_length),
            *_texts(audited, previous, "old", max_length),
            _array([differ(current.c[c], previous.c[c]) for c in _names(audited)], Boolean()).label("changed"),
        )
        .select_from(current)
        .outerjoin(transaction, transaction.c.id == current.c.audit_transaction_id)
        .outerjoin(previous, literal(True))
        .where(tuple_(current.c.audit_transaction_id, current.c.audit_id).in_(positions))
    )


def _previous(audited: AuditedTable, current: FromClause) -> FromClause:
    """The image before an update: the newest earlier one under the same key, by the index on the key."""
    earlier = audited.audit_table.alias("earlier")
    same_key = [earlier.c[column.key] == current.c[column.key] for column in audited.key_columns]
    is_update = current.c.audit_operation == "U"
    has_key = literal(bool(same_key))
    return (
        select(earlier)
        .where(has_key, is_update, and_(*same_key, earlier.c.audit_id < current.c.audit_id))
        .order_by(earlier.c.audit_id.desc())
        .limit(1)
        .lateral("previous")
    )


def _names(audited: AuditedTable) -> list[str]:
    return [column.key for column in audited.image_columns]


def _texts(
    audited: AuditedTable, images: FromClause, label: str, max_length: int
) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    """The values and their lengths as two arrays: a table may have more columns than a query may return."""
    values = [images.c[key] for key in _names(audited)]
    return (
        _array([_head(value, max_length) for value in values], Text()).label(f"{label}_texts"),
        _array([_length(value) for value in values], BigInteger()).label(f"{label}_lengths"),
    )


def _head(value: ColumnElement[Any], max_length: int) -> ColumnElement[str]:
    # Written as text, bytes double: half a gigabyte of them would be more than a text can hold.
    part = func.substring(value, 1, max_length, type_=value.type) if is_binary(value) else value
    return func.left(cast(part, Text), max_length)


def _length(value: ColumnElement[Any]) -> ColumnElement[int]:
    if is_binary(value):
        return 2 + 2 * cast(func.octet_length(value), BigInteger)  # as it is written: \\x00ff
    return func.length(cast(value, Text))


def _array(elements: list[ColumnElement[Any]], type_: TypeEngine[Any]) -> ColumnElement[Any]:
    return array(elements, type_=type_)  # the type is for an array of no elements: every column may be excluded


def _shorten(text: str | None, max_length: int) -> str | None:
    return f"{text[:max_length]}…" if text is not None and len(text) > max_length else text


def _build_excerpt(audited: AuditedTable, row: Row[Any], max_length: int) -> Excerpt:
    return Excerpt(
        position=Position(row.audit_transaction_id, row.audit_id),
        table=audited.table.fullname,
        operation=row.audit_operation,
        at=row.audit_operation_timestamp.astimezone(datetime.timezone.utc),
        username=_shorten(row.username, max_length),
        actor_id=_shorten(row.actor_id, max_length),
        role=row.audit_current_user,
        application_name=_shorten(row.application_name, max_length),
        context=parse_context(row.context),
        fields=tuple(_build_fields(audited, row)),
    )


def _build_fields(audited: AuditedTable, row: Row[Any]) -> Iterable[Field]:
    if row.audit_operation == "T":
        return
    keys = {column.name for column in audited.key_columns}
    for index, column in enumerate(audited.image_columns):
        old = Value(row.old_texts[index], row.old_lengths[index]) if row.has_previous else None
        yield Field(
            name=column.name,
            value=Value(row.new_texts[index], row.new_lengths[index]),
            old=old,
            changed=old is not None and row.changed[index],
            is_key=column.name in keys,
        )
