"""Which changes are wanted: one value for the feed, exports, commands and pages."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, MetaData, Select, String, Text
from sqlalchemy.types import Enum as EnumType

from ..declare.columns import OPERATION_LABELS
from ..declare.tables import INDEXED_LENGTH, indexed_part, request_id_of
from ..errors import AuditConfigError
from .changes import Changes
from .entity import find_table
from .equality import differ
from .recorded import RecordedTable
from .span import Span


class Any_(enum.Enum):
    """The type of :data:`ANY`."""

    ANY = "any"

    def __repr__(self) -> str:
        return "ANY"

    __str__ = __repr__


#: Whoever: what ``username`` and ``actor_id`` are when they do not matter. ``None`` is nobody.
ANY: Final = Any_.ANY


@dataclass(frozen=True)
class ChangeFilter:
    """Conditions that a change has to meet, all of them.

    :ivar tables: tables, mapped classes or names as in ``MetaData.tables``; empty for all.
    :ivar operations: some of ``I``, ``U``, ``D``, ``T`` and ``S``; empty for all.
    :ivar username: who was logged in, exactly; ``None`` is nobody.
    :ivar actor_id: the same by id.
    :ivar role: the database role that acted.
    :ivar transaction_id: the row of ``audit_transaction``.
    :ivar request_id: the request that made the change.
    :ivar context: other keys of ``audit_transaction.context`` and their values, as text.
    :ivar key: columns of the primary key and their values; tables with another primary key do not match.
    :ivar since: the time of the change is not earlier; with a time zone.
    :ivar until: it is earlier.
    :ivar changed: columns, each of which an update changed; tables without such a column do not match.
    :ivar old: columns, each of which had this value before an update or a delete.
    :ivar new: columns, each of which had this value after an insert or an update, or in a snapshot.

    A value that is a ``str`` is compared with the text that PostgreSQL writes for the column.

    :raises AuditConfigError: an operation that there is not, or a time without a time zone.

    .. versionadded:: 0.1
    """

    tables: Collection[object] = ()
    operations: Collection[str] = ()
    username: str | Literal[Any_.ANY] | None = ANY
    actor_id: str | Literal[Any_.ANY] | None = ANY
    role: str | None = None
    transaction_id: int | None = None
    request_id: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)
    key: Mapping[str, Any] = field(default_factory=dict)
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    changed: Collection[str] = ()
    old: Mapping[str, Any] = field(default_factory=dict)
    new: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = [operation for operation in self.operations if operation not in OPERATION_LABELS]
        if unknown:
            known = ", ".join(f"{code} ({label})" for code, label in OPERATION_LABELS.items())
            raise AuditConfigError(f"there is no operation {unknown[0]!r}; there are {known}")
        for name in ("since", "until"):
            check_instant(getattr(self, name), name)

    def chosen(self, tables: Collection[RecordedTable]) -> tuple[RecordedTable, ...]:
        """Those of ``tables`` that may have matching changes.

        :raises AuditConfigError: a table is asked for that is not among them, or a column that none of them has.
        """
        wanted = {_table_key(entity) for entity in self.tables}
        unknown = wanted - {table.table.key for table in tables}
        if unknown:
            known = ", ".join(sorted(table.table.key for table in tables))
            raise AuditConfigError(f"the table {min(unknown)!r} is not audited; audited are: {known}")
        named = [table for table in tables if not wanted or table.table.key in wanted]
        found = tuple(table for table in named if self._has_columns(table))
        if named and not found:
            raise AuditConfigError(self._no_such_columns(named))
        return found

    def _columns(self) -> set[str]:
        return {*self.changed, *self.old, *self.new}

    def _has_columns(self, table: RecordedTable) -> bool:
        return self._columns() <= set(table.column_names) and (not self.key or set(self.key) == set(table.key_names))

    def _no_such_columns(self, tables: Collection[RecordedTable]) -> str:
        where = ", ".join(f'"{table.table.fullname}" ({", ".join(table.column_names)})' for table in tables)
        key = f"the primary key {', '.join(self.key)}" if self.key else ""
        columns = f"the columns {', '.join(sorted(self._columns()))}" if self._columns() else ""
        return f"no table has {' and '.join(filter(None, (key, columns)))}; looked for in {where}"

    # Criteria

    def apply(self, query: Select[Any], changes: Changes) -> Select[Any]:
        """Add the conditions to a query that selects from ``changes.new``; joins what they need and nothing else."""
        query = self.conditions(query, changes)
        span = self.span(changes.recorded.table.metadata)
        return query.where(*span.not_later(changes.new.c.audit_transaction_id))

    def span(self, metadata: MetaData) -> Span:
        """The time that it is about."""
        return Span(metadata, self.since, self.until)

    def conditions(self, query: Select[Any], changes: Changes, *, in_order: bool = False) -> Select[Any]:
        """As :meth:`apply`, without what only tells where to begin to read.

        :param in_order: see :meth:`of_change`.
        """
        query = query.where(*self.of_change(changes, in_order=in_order))
        if self.joins_transactions:
            same = changes.transaction.c.id == changes.new.c.audit_transaction_id
            query = query.join(changes.transaction, same).where(*self.of_transaction(changes.transaction))
        about_values = tuple(self._of_the_values(changes))
        if about_values:
            query = query.outerjoin(changes.old, sa.true()).where(*about_values)
        return query

    @property
    def joins_transactions(self) -> bool:
        """Whether it asks for something that ``audit_transaction`` has."""
        who = self.username is not ANY or self.actor_id is not ANY
        return who or self.request_id is not None or bool(self.context)

    @property
    def is_about_transactions(self) -> bool:
        """Whether most changes of a transaction that it wants are wanted as well.

        A truncate, as a key, is better found in the index on the key.
        """
        narrower = self.tables or self.key or self._columns() or self.transaction_id is not None
        return self.joins_transactions and not narrower and not self._is_of_truncates

    @property
    def _is_of_truncates(self) -> bool:
        return set(self.operations) == {"T"}

    def of_change(self, changes: Changes, *, in_order: bool = False) -> Iterator[ColumnElement[bool]]:
        """What the row of the audit table itself has to meet, the images of old and new aside.

        :param in_order: the changes are read in the order of the feed, within :attr:`span`.
        """
        new = changes.new.c
        if self.operations:
            yield new.audit_operation.in_(sorted(self.operations))
        if self._is_of_truncates:
            # True of each, and what the index on the key finds them by.
            yield from (new[name].is_(None) for name in changes.recorded.key_names)
        if self.role is not None:
            yield new.audit_current_user == self.role
        if self.transaction_id is not None:
            yield new.audit_transaction_id == sa.literal(self.transaction_id, sa.BigInteger)
        for name, value in self.key.items():
            yield _is(new[name], changes.recorded.column(name).type, value)
        # In order the index on the time is of no use, and PostgreSQL, where it plans without knowing the values, as it
        # does for prepared statements, would take it for the better one: the sum keeps it from that.
        at = new.audit_operation_timestamp + datetime.timedelta(0) if in_order else new.audit_operation_timestamp
        if self.since is not None:
            yield at >= self.since
        if self.until is not None:
            yield at < self.until

    def of_transaction(self, transaction: FromClause) -> Iterator[ColumnElement[bool]]:
        """What a row of ``audit_transaction`` has to meet."""
        if self.username is not ANY:
            yield from _equals_or_null(transaction.c.username, self.username)
        if self.actor_id is not ANY:
            yield from _equals_or_null(transaction.c.actor_id, self.actor_id)
        if self.request_id is not None:
            yield from _equals_or_null(request_id_of(transaction), self.request_id)
        for name, value in self.context.items():
            yield transaction.c.context.op("->>", return_type=Text())(sa.literal(name, Text)) == value

    def _of_the_values(self, changes: Changes) -> Iterator[ColumnElement[bool]]:
        new, old, deleted = changes.new.c, changes.old.c, changes.new.c.audit_operation == "D"
        if self.changed:
            yield sa.and_(new.audit_operation == "U", sa.func.coalesce(old.audit_operation != "D", sa.false()))
            yield from (differ(new[name], old[name]) for name in sorted(self.changed))
        if self.old:
            known = sa.func.coalesce(old.audit_operation != "D", sa.false())
            yield sa.or_(
                sa.and_(deleted, *(_is(new[n], changes.recorded.column(n).type, v) for n, v in self.old.items())),
                sa.and_(known, *(_is(old[n], changes.recorded.column(n).type, v) for n, v in self.old.items())),
            )
        if self.new:
            yield new.audit_operation.in_(("I", "U", "S"))
            yield from (_is(new[n], changes.recorded.column(n).type, v) for n, v in self.new.items())


def check_instant(instant: datetime.datetime | None, name: str) -> None:
    """Refuse a time that may be any of 24 hours.

    :raises AuditConfigError: it has no time zone.
    """
    if instant is not None and instant.utcoffset() is None:
        raise AuditConfigError(
            f"{name} is {instant.isoformat()}, without a time zone; give it one, datetime.timezone.utc"
        )


def _table_key(entity: object) -> str:
    return entity if isinstance(entity, str) else find_table(entity).key


def _equals_or_null(column: ColumnElement[Any], value: str | None) -> Iterator[ColumnElement[bool]]:
    if value is None:
        yield indexed_part(column).is_(None)
    else:
        yield indexed_part(column) == indexed_part(sa.literal(value, Text))
        # Said twice where once is enough, PostgreSQL expects far fewer rows than there are.
        if len(value) >= INDEXED_LENGTH:
            yield column == value


def _is(column: ColumnElement[Any], type_: Any, value: Any) -> ColumnElement[bool]:
    """Typed where the value is, so that an index serves; else as text."""
    if value is None:
        return column.is_(None)
    is_text = isinstance(type_, String) and not isinstance(type_, EnumType)
    if isinstance(value, str) and not is_text:
        return sa.cast(column, Text) == value
    if not has_equality(type_):
        return sa.cast(column, Text) == sa.cast(sa.literal(value, type_), Text)
    same: ColumnElement[bool] = column == value
    return same


def has_equality(type_: Any) -> bool:
    """Whether PostgreSQL can compare values of the type with ``=``; json, xml and point cannot be (trap T7)."""
    return not isinstance(type_, (sa.JSON, sa.types.UserDefinedType)) or isinstance(type_, sa.dialects.postgresql.JSONB)
