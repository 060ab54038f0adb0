"""Changes as PostgreSQL writes them in JSON.

Values never become Python's: infinite dates, years before Christ, numbers of a thousand digits and half of a second's
millionth come out as they are stored, and no value of a table can keep its history from being read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, ColumnElement, FromClause, Select, Text
from sqlalchemy.dialects.postgresql import array

from ..declare.registry import transaction_table
from ..declare.tables import request_id_of
from .changes import Changes, own_username, previous_images
from .context import MAX_CONTEXT_LENGTH
from .equality import differ, is_binary
from .filter import ChangeFilter
from .recorded import RecordedColumn, RecordedTable
from .redacted import is_redacted

_UTC = "'UTC'"
_INSTANT = """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""


@dataclass(frozen=True)
class WrittenChanges:
    """The changes of one table with who made them and what was there before, as something to select from.

    The order of the audit table's primary key survives both joins: they are one index lookup for each change.
    """

    recorded: RecordedTable

    @cached_property
    def changes(self) -> Changes:
        """What a filter applies to."""
        return Changes(self.recorded)

    @property
    def new(self) -> FromClause:
        """The audit table."""
        return self.changes.new

    @cached_property
    def who(self) -> FromClause:
        """The row of ``audit_transaction``; a filter may join the table once more, to begin with it."""
        transaction = transaction_table(self.recorded.table.metadata).alias("transaction")
        return (
            sa.select(
                transaction.c.username,
                transaction.c.actor_id,
                transaction.c.application_name,
                sa.cast(transaction.c.client_addr, Text).label("client_addr"),
                sa.cast(transaction.c.context, Text).label("context"),
                request_id_of(transaction).label("request_id"),
            )
            .where(transaction.c.id == self.new.c.audit_transaction_id)
            .limit(1)  # unique anyway; but a join that is no lookup would lose the order
            .lateral("who")
        )

    @cached_property
    def old(self) -> FromClause:
        """As ``Changes.old``; a filter on old values joins that one."""
        return previous_images(self.recorded, self.new, "was")

    @property
    def has_old(self) -> ColumnElement[bool]:
        """Whether the previous image is known. After a delete comes an insert: else changes went unrecorded."""
        return sa.func.coalesce(self.old.c.audit_operation != "D", sa.false())

    def select(self, where: ChangeFilter, *columns: ColumnElement[Any]) -> Select[Any]:
        """The matching changes, in no order: position, and ``columns``, of the three."""
        new = self.new
        places = sa.select(new.c.audit_transaction_id, new.c.audit_id).select_from(new)
        found = where.apply(places, self.changes)
        return found.outerjoin(self.who, sa.true()).outerjoin(self.old, sa.true()).add_columns(*columns)

    def about(self, max_length: int | None = None) -> Iterator[ColumnElement[Any]]:
        """What is known of a change besides its images, each as text.

        :param max_length: what somebody may have made longer is cut.
        """
        new, who = self.new, self.who
        at = new.c.audit_operation_timestamp.op("AT TIME ZONE")(sa.literal_column(_UTC))
        yield sa.func.to_char(at, sa.literal_column(_INSTANT)).label("at")
        yield sa.literal(self.recorded.table.fullname, Text).label("table_name")
        yield new.c.audit_operation.label("operation")
        yield sa.cast(new.c.audit_current_user, Text).label("role")
        yield who.c.client_addr
        username = sa.func.coalesce(own_username(self.recorded, new), who.c.username).label("username")
        for value in (username, who.c.actor_id, who.c.request_id, who.c.application_name):
            yield _cut(value, max_length)
        yield _cut(who.c.context, max_length and MAX_CONTEXT_LENGTH + 1)

    # Images as one text: a JSON object each.

    def image(self, source: FromClause) -> ColumnElement[str]:
        """A row as a JSON object, without the columns that were not recorded then."""
        return _object(self._member(source, column) for column in self.recorded.columns)

    def key(self) -> ColumnElement[str]:
        """The primary key as a JSON object; empty for a truncate."""
        members = (self._member(self.new, self.recorded.column(name)) for name in self.recorded.key_names)
        return sa.case((self.new.c.audit_operation == "T", sa.literal_column("'{}'")), else_=_object(members))

    def changed(self) -> ColumnElement[str]:
        """The names of the columns that an update changed, as a JSON array."""
        names = (
            sa.case((differ(self.new.c[name], self.old.c[name]), sa.literal(_quote(name), Text)))
            for name in self.recorded.column_names
        )
        return sa.case((self.has_old, _enclose("[", names, "]")), else_=sa.literal_column("'[]'"))

    def masked(self) -> ColumnElement[str]:
        """The names of the columns of which an image is a mask, as a JSON array."""
        return self._names(
            sa.or_(
                *(
                    _within(source.c.audit_id, found.start, found.end)
                    for source in self._sources
                    for found in column.masks
                )
            )
            if column.masks
            else None
            for column in self.recorded.columns
        )

    def redacted(self) -> ColumnElement[str]:
        """The names of the columns whose value was removed from an image, as a JSON array."""
        return self._names(
            sa.or_(*(is_redacted(self.recorded, source, column) for source in self._sources))
            if column.is_redacted
            else None
            for column in self.recorded.columns
        )

    @property
    def _sources(self) -> tuple[FromClause, FromClause]:
        return self.new, self.old

    def _names(self, conditions: Iterator[ColumnElement[bool] | None]) -> ColumnElement[str]:
        pairs = zip(self.recorded.column_names, conditions, strict=True)
        names = [sa.case((holds, sa.literal(_quote(name), Text))) for name, holds in pairs if holds is not None]
        return _enclose("[", iter(names), "]") if names else sa.literal_column("'[]'", Text)

    def _member(self, source: FromClause, column: RecordedColumn) -> ColumnElement[Any]:
        value = write(source.c[column.name])
        member = sa.literal(f"{_quote(column.name)}: ", Text) + sa.func.coalesce(value, sa.literal_column("'null'"))
        absent = [_within(source.c.audit_id, absence.start, absence.end) for absence in column.absences]
        if column.is_redacted:
            absent.append(is_redacted(self.recorded, source, column))
        return sa.case((~sa.and_(value.is_(None), sa.or_(*absent)), member)) if absent else member

    # Images as arrays: an element for each column, cut where it is too long.

    def heads(self, source: FromClause, max_length: int) -> ColumnElement[Any]:
        """The first characters of each value in JSON."""
        return array([_head(source.c[name], max_length) for name in self.recorded.column_names], type_=Text())

    def lengths(self, source: FromClause) -> ColumnElement[Any]:
        """How many characters each value has in JSON."""
        return array([_length(source.c[name]) for name in self.recorded.column_names], type_=BigInteger())

    def differences(self) -> ColumnElement[Any]:
        """Whether each column differs from the previous image."""
        names = self.recorded.column_names
        return array([differ(self.new.c[name], self.old.c[name]) for name in names], type_=Boolean())


def _cut(value: Any, max_length: int | None) -> Any:
    return value if max_length is None else sa.func.left(value, max_length).label(value.name)


def write(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """A value in JSON; null for NULL, which JSON's own ``null`` is not."""
    # json, not jsonb: that has no negative zero, writes 1e300 with all its digits, and sorts the keys of a json.
    return sa.cast(sa.func.to_json(value), Text)


def _head(value: ColumnElement[Any], max_length: int) -> ColumnElement[Any]:
    # Written as text, bytes double: half a gigabyte of them would be more than a text can hold.
    part = sa.func.substring(value, 1, max_length, type_=value.type) if is_binary(value) else value
    return sa.func.left(write(part), max_length)


def _length(value: ColumnElement[Any]) -> ColumnElement[Any]:
    if is_binary(value):
        return 5 + 2 * sa.cast(sa.func.octet_length(value), BigInteger)  # as it is written: "\\x00ff"
    return sa.func.length(write(value))


def _within(audit_id: ColumnElement[Any], start: int, end: int | None) -> ColumnElement[bool]:
    bounds = [audit_id >= sa.literal(start, BigInteger)]
    return sa.and_(*bounds, *([audit_id < sa.literal(end, BigInteger)] if end is not None else []))


def _object(members: Iterator[ColumnElement[Any]]) -> ColumnElement[str]:
    return _enclose("{", members, "}")


def _enclose(opening: str, elements: Iterator[ColumnElement[Any]], closing: str) -> ColumnElement[str]:
    """Those that are not null. An array, since a function has 100 arguments at most, and a table 1,600 columns."""
    several: ColumnElement[Any] = array(list(elements), type_=Text())
    joined = sa.func.array_to_string(several, sa.literal_column("', '"))
    enclosed: ColumnElement[str] = sa.func.concat(
        sa.literal_column(f"'{opening}'"), joined, sa.literal_column(f"'{closing}'"), type_=Text()
    )
    return enclosed


def _quote(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)
