"""Which changes are wanted: one value for the feed, exports, commands and pages."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, Literal, TypedDict

import sqlalchemy as sa
from sqlalchemy import ColumnElement, FromClause, MetaData, Select, Table, Text

from ..declare.columns import OPERATION_LABELS
from ..declare.tables import indexed_part, request_id_of
from ..errors import AuditConfigError
from .changes import Changes
from .comparison import has_long_value, has_text, has_value
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


class Conditions(TypedDict, total=False):
    """The fields of a :class:`ChangeFilter`, as keyword arguments."""

    tables: Collection[object]
    operations: Collection[str]
    username: str | Literal[Any_.ANY] | None
    actor_id: str | Literal[Any_.ANY] | None
    role: str | None
    transaction_id: int | None
    request_id: str | None
    context: Mapping[str, str]
    key: Mapping[str, Any]
    since: datetime.datetime | None
    until: datetime.datetime | None
    changed: Collection[str]
    old: Mapping[str, Any]
    new: Mapping[str, Any]
    text: Collection[str]
    any_of: Collection[Collection[ChangeFilter]]
    excluding: Collection[ChangeFilter]


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
    :ivar text: texts, each of which occurs in a value of the recorded row, whether in capitals or not; the row that
        was deleted included. Only in the columns that are read, and not in ``bytea``.
    :ivar any_of: groups of filters; at least one of each group matches.
    :ivar excluding: filters, none of which matches.

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
    text: Collection[str] = ()
    any_of: Collection[Collection[ChangeFilter]] = ()
    excluding: Collection[ChangeFilter] = ()

    def __post_init__(self) -> None:
        self._check_types()
        unknown = [operation for operation in self.operations if operation not in OPERATION_LABELS]
        if unknown:
            known = ", ".join(f"{code} ({label})" for code, label in OPERATION_LABELS.items())
            raise AuditConfigError(f"there is no operation {unknown[0]!r}; there are {known}")
        for name in ("since", "until"):
            check_instant(getattr(self, name), name)

    def _check_types(self) -> None:
        for name in ("tables", "changed", "text"):
            value: object = getattr(self, name)
            if isinstance(value, (str, type, Table)) or not isinstance(value, Collection):
                raise AuditConfigError(f"{name} is {value!r}; give a list")
        for name in ("username", "actor_id", "role", "request_id"):
            value = getattr(self, name)
            if value is not None and value is not ANY and not isinstance(value, str):
                raise AuditConfigError(f"{name} is {value!r}, which is no text")
        for name in ("since", "until"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, datetime.datetime):
                raise AuditConfigError(f"{name} is {value!r}; give a datetime with a time zone")
        for text in (self.username, self.actor_id, self.role, self.request_id, *self.text, *self.context.values()):
            if isinstance(text, str) and "\0" in text:
                raise AuditConfigError(f"{text!r} has a NUL character, which PostgreSQL keeps in no text")

    def chosen(self, tables: Collection[RecordedTable]) -> tuple[RecordedTable, ...]:
        """Those of ``tables`` that may have matching changes; at least one, which is then found to have none.

        :raises AuditConfigError: a table is asked for that is not among them, or columns that none of them has.
        """
        for part in self._parts:
            part.chosen(tables)
        wanted = {_table_key(entity) for entity in self.tables}
        unknown = wanted - {table.table.key for table in tables}
        if unknown:
            known = ", ".join(sorted(table.table.key for table in tables))
            raise AuditConfigError(f"the table {min(unknown)!r} is not audited; audited are: {known}")
        named = [table for table in tables if not wanted or table.table.key in wanted]
        found = tuple(table for table in named if self.concerns(table))
        if named and not found:
            raise AuditConfigError(self._no_such_columns(named))
        return tuple(table for table in found if not self._excludes(table)) or found[:1]

    def concerns(self, table: RecordedTable) -> bool:
        """Whether ``table`` is asked for and has what is asked of it."""
        return (
            (not self.tables or table.table.key in map(_table_key, self.tables))
            and self._own_columns() <= set(table.column_names)
            and (not self.key or set(self.key) == set(table.key_names))
            and all(any(part.concerns(table) for part in group) for group in self.any_of)
        )

    def _excludes(self, table: RecordedTable) -> bool:
        """Whether it is said of the whole table, so that it need not be read."""
        return any(part == ChangeFilter(tables=part.tables) and part.concerns(table) for part in self.excluding)

    @property
    def _parts(self) -> Iterator[ChangeFilter]:
        yield from chain(self.excluding, *self.any_of)

    def _own_columns(self) -> set[str]:
        return {*self.changed, *self.old, *self.new, *self.key}

    def _columns(self) -> set[str]:
        return self._own_columns().union(*(part._columns() for part in chain(*self.any_of))) - set(self.key)

    def _no_such_columns(self, tables: Collection[RecordedTable]) -> str:
        where = ", ".join(f'"{table.table.fullname}" ({", ".join(table.column_names)})' for table in tables)
        key = f"the primary key {', '.join(self.key)}" if self.key else ""
        columns = f"the columns {', '.join(sorted(self._columns()))}" if self._columns() else ""
        missing = " and ".join(filter(None, (key, columns))) or "all that is asked for"
        return f"no table has {missing}; looked for in {where}"

    # Criteria

    def apply(self, query: Select[Any], changes: Changes) -> Select[Any]:
        """Add the conditions to a query that selects from ``changes.new``; joins what they need and nothing else.

        ``changes`` are those of a table that is :meth:`chosen`.
        """
        span = self.span(changes.recorded.table.metadata)
        return self.conditions(query, changes).where(*span.not_later(changes.new.c.audit_transaction_id))

    def span(self, metadata: MetaData) -> Span:
        """The time that it is about."""
        return Span(metadata, self.since, self.until)

    def conditions(self, query: Select[Any], changes: Changes, *, in_order: bool = False) -> Select[Any]:
        """As :meth:`apply`, without what only tells where to begin to read.

        :param in_order: the changes are read in the order of the feed, within :meth:`span`.
        """
        joins = self.joins_transactions
        if joins:
            query = query.join(changes.transaction, _is_of_transaction(changes))
            query = query.where(*self.of_transaction(changes.transaction))
        return self._rest(query, changes, in_order=in_order, has_transaction=joins)

    def within_transaction(self, query: Select[Any], changes: Changes) -> Select[Any]:
        """As :meth:`conditions`, for the changes of one transaction that is known to meet :meth:`of_transaction`."""
        return self._rest(query, changes, in_order=True, has_transaction=False)

    def _rest(self, query: Select[Any], changes: Changes, *, in_order: bool, has_transaction: bool) -> Select[Any]:
        table = changes.recorded
        if not has_transaction and self._parts_need_transaction(table):
            # A change whose transaction's row is gone was not made by whoever is excluded.
            query = query.outerjoin(changes.transaction, _is_of_transaction(changes))
        if self._needs_old(table):
            query = query.outerjoin(changes.old, sa.true())
        return query.where(*self._of_the_change(changes, in_order=in_order), *self._of_the_images(changes))

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
        return self.joins_transactions and not self._is_narrow

    @property
    def _is_narrow(self) -> bool:
        narrow = self.tables or self._own_columns() or self.transaction_id is not None or self._is_of_truncates
        return bool(narrow) or any(part._is_narrow for part in chain(*self.any_of))

    @property
    def _is_of_truncates(self) -> bool:
        return set(self.operations) == {"T"}

    def _parts_need_transaction(self, table: RecordedTable) -> bool:
        return any(
            part.joins_transactions or part._parts_need_transaction(table)
            for part in self._parts
            if part.concerns(table)
        )

    def _needs_old(self, table: RecordedTable) -> bool:
        return bool(self.changed or self.old) or any(
            part._needs_old(table) for part in self._parts if part.concerns(table)
        )

    def _of_the_images(self, changes: Changes) -> Iterator[ColumnElement[bool]]:
        yield from self._of_the_row(changes)
        yield from self._of_the_row_before(changes)
        for group in self.any_of:
            yield sa.or_(sa.false(), *(part._condition(changes) for part in group))
        for part in self.excluding:
            # What cannot be told, because there is no value, is not excluded.
            yield sa.not_(sa.func.coalesce(part._condition(changes), sa.false()))

    def _condition(self, changes: Changes) -> ColumnElement[bool]:
        """All of it as one condition, for a query that joins what is needed."""
        if not self.concerns(changes.recorded):
            return sa.false()
        own = chain(self._of_the_change(changes, in_order=False), self.of_transaction(changes.transaction))
        return sa.and_(sa.true(), *own, *self._of_the_images(changes))

    def _of_the_change(self, changes: Changes, *, in_order: bool) -> Iterator[ColumnElement[bool]]:
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
            yield has_value(new[name], changes.recorded.column(name).type, value)
        # In order the index on the time is of no use, and PostgreSQL, where it plans without knowing the values, as it
        # does for prepared statements, would take it for the better one: the sum keeps it from that.
        at = new.audit_operation_timestamp + datetime.timedelta(0) if in_order else new.audit_operation_timestamp
        if self.since is not None:
            yield at >= self.since
        if self.until is not None:
            yield at < self.until

    def of_transaction(self, transaction: FromClause) -> Iterator[ColumnElement[bool]]:
        """What a row of ``audit_transaction`` has to meet."""
        for column, who in ((transaction.c.username, self.username), (transaction.c.actor_id, self.actor_id)):
            if who is None:
                yield sa.and_(transaction.c.id.is_not(None), indexed_part(column).is_(None))
            elif who is not ANY:
                yield from has_long_value(column, who)
        if self.request_id is not None:
            yield from has_long_value(request_id_of(transaction), self.request_id)
        for name, value in self.context.items():
            yield transaction.c.context.op("->>", return_type=Text())(sa.literal(name, Text)) == value

    def _of_the_row(self, changes: Changes) -> Iterator[ColumnElement[bool]]:
        new = changes.new.c
        if self.new:
            yield new.audit_operation.in_(("I", "U", "S"))
            yield from _have_values(changes, new, self.new)
        yield from (has_text([new[name] for name in changes.recorded.column_names], text) for text in self.text)

    def _of_the_row_before(self, changes: Changes) -> Iterator[ColumnElement[bool]]:
        if not (self.changed or self.old):
            return
        new, old, deleted = changes.new.c, changes.old.c, changes.new.c.audit_operation == "D"
        known = sa.func.coalesce(old.audit_operation != "D", sa.false())
        if self.changed:
            yield sa.and_(new.audit_operation == "U", known)
            yield from (differ(new[name], old[name]) for name in sorted(self.changed))
        if self.old:
            yield sa.or_(
                sa.and_(deleted, *_have_values(changes, new, self.old)),
                sa.and_(known, *_have_values(changes, old, self.old)),
            )


def _is_of_transaction(changes: Changes) -> ColumnElement[bool]:
    same: ColumnElement[bool] = changes.transaction.c.id == changes.new.c.audit_transaction_id
    return same


def _have_values(changes: Changes, image: Any, values: Mapping[str, Any]) -> Iterator[ColumnElement[bool]]:
    for name, value in values.items():
        yield has_value(image[name], changes.recorded.column(name).type, value)


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
