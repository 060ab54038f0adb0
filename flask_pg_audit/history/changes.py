"""The changes of one audited table: something to select from, and to read as :class:`Change` objects."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import Boolean, ColumnElement, Connection, Dialect, FromClause, Row, Select, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.types import TypeEngine

from ..declare.absence import is_absent
from ..declare.registry import transaction_table
from ..errors import AuditConfigError
from .change import Change, Image
from .context import MAX_CONTEXT_LENGTH, parse_context
from .equality import differ
from .position import Position
from .recorded import RecordedColumn, RecordedTable, recorded_table
from .redacted import masked_names, redacted_names

#: PostgreSQL returns 1,664 columns at most (``MaxTupleAttributeNumber``): two images, and who and when.
MAX_COLUMNS = 800

Source = Connection | Session | scoped_session[Any]


def connection_of(source: Source) -> Connection:
    """The connection to read on: itself, or that of a session's default bind."""
    return source if isinstance(source, Connection) else source.connection()


@dataclass(frozen=True)
class Changes:
    """The recorded changes of one table, each with what was there before.

    ``new``, ``old`` and ``transaction`` are what :meth:`select` selects from, so that it can be refined::

        changes = changes_of(Post)
        query = changes.select().where(changes.old.c.title != changes.new.c.title)

    :ivar recorded: which columns there are.

    .. versionadded:: 0.1
    """

    recorded: RecordedTable

    @cached_property
    def new(self) -> FromClause:
        """The audit table: what was stored; for a delete that is the row before it."""
        return self.recorded.history("new")

    @cached_property
    def old(self) -> FromClause:
        """The previous image under the same key, for updates and snapshots; nulls for everything else.

        Found through the index on the key, one row for each change.
        """
        return previous_images(self.recorded, self.new, "old")

    @cached_property
    def transaction(self) -> FromClause:
        """``audit_transaction``."""
        return transaction_table(self.recorded.table.metadata).alias("transaction")

    @property
    def joined(self) -> FromClause:
        """The three of them, one row for each change."""
        return self.new.outerjoin(self.transaction, self.transaction.c.id == self.new.c.audit_transaction_id).outerjoin(
            self.old, sa.true()
        )

    @property
    def username(self) -> ColumnElement[Any]:
        """Who: as the audit table records it where it does, else as the transaction does."""
        return sa.func.coalesce(self.own_username, self.transaction.c.username)

    @property
    def own_username(self) -> ColumnElement[Any]:
        """Who, as the audit table records it; null where it does not."""
        return own_username(self.recorded, self.new)

    def select(self) -> Select[Any]:
        """All changes of the table, in no order: what :meth:`read` needs, to be refined by columns of the three."""
        names = self.recorded.column_names
        if len(names) > MAX_COLUMNS:
            raise AuditConfigError(
                f'the history of "{self.recorded.table.fullname}" has {len(names)} columns; with what was before them, '
                f"PostgreSQL cannot return more than {MAX_COLUMNS} at once"
            )
        return sa.select(*self._columns()).select_from(self.joined)

    def _columns(self) -> Iterator[ColumnElement[Any]]:
        settings = (setting.column_name for setting in self.recorded.audited.settings)
        yield from (
            self.new.c.audit_transaction_id,
            self.new.c.audit_id,
            self.new.c.audit_operation,
            self.new.c.audit_operation_timestamp,
            self.username.label("username"),
            self.transaction.c.actor_id,
            self.new.c.audit_current_user,
            self.transaction.c.application_name,
            sa.cast(self.transaction.c.client_addr, Text).label("client_addr"),
            sa.func.left(sa.cast(self.transaction.c.context, Text), MAX_CONTEXT_LENGTH + 1).label("context"),
            self.old.c.audit_id.label("old_id"),
            # After a delete comes an insert: before an update it means that changes went unrecorded in between.
            sa.func.coalesce(self.old.c.audit_operation != "D", sa.false()).label("has_old"),
            self._differences().label("differ"),
            redacted_names(self.recorded, self.new).label("new_redacted"),
            redacted_names(self.recorded, self.old).label("old_redacted"),
            *(self.new.c[name].label(f"setting_{index}") for index, name in enumerate(settings)),
            *self._images("new", self.new),
            *self._images("old", self.old),
        )

    def _differences(self) -> ColumnElement[Any]:
        names = self.recorded.column_names
        # The type is for an array of no elements: every column may be excluded.
        differences: array[Any] = array([differ(self.new.c[n], self.old.c[n]) for n in names], type_=Boolean())
        return differences

    def _images(self, label: str, source: FromClause) -> Iterator[ColumnElement[Any]]:
        for index, column in enumerate(self.recorded.columns):
            value = sa.type_coerce(source.c[column.name], reading_type(column.type))
            yield value.label(f"{label}_{index}")

    def at(self, positions: Sequence[Position]) -> Select[Any]:
        """The changes at these positions, by primary key."""
        place = sa.tuple_(self.new.c.audit_transaction_id, self.new.c.audit_id)
        return self.select().where(place.in_(list(positions)))

    def read(self, source: Source, query: Select[Any]) -> list[Change]:
        """Execute ``query``, a refined :meth:`select`, and return its rows as changes, in its order."""
        return [self._build(row) for row in connection_of(source).execute(query)]

    def _build(self, row: Row[Any]) -> Change:
        operation, stored = row.audit_operation, self._image(row, "new", row.audit_id)
        has_old = operation in ("U", "S") and row.has_old
        previous = self._image(row, "old", row.old_id) if has_old else None
        names = self.recorded.key_names
        masked = masked_names(self.recorded, row.audit_id) | masked_names(
            self.recorded, row.old_id if has_old else None
        )
        redacted = frozenset([*(row.new_redacted or ()), *((has_old and row.old_redacted) or ())])
        return Change(
            position=Position(row.audit_transaction_id, row.audit_id),
            table=self.recorded.table.fullname,
            operation=operation,
            at=row.audit_operation_timestamp.astimezone(datetime.timezone.utc),
            username=row.username,
            actor_id=row.actor_id,
            role=row.audit_current_user,
            application_name=row.application_name,
            client_addr=row.client_addr,
            context=parse_context(row.context),
            key={name: stored[name] for name in names if name in stored} if operation != "T" else {},
            old=stored if operation == "D" else previous,
            new=stored if operation in ("I", "U", "S") else None,
            changed=tuple(n for n, d in zip(self.recorded.column_names, row.differ, strict=True) if has_old and d),
            settings={
                setting.name: row._mapping[f"setting_{index}"]
                for index, setting in enumerate(self.recorded.audited.settings)
            },
            masked=masked & {*stored, *(previous or ())},
            redacted=redacted & {*self.recorded.column_names},
        )

    def _image(self, row: Row[Any], label: str, audit_id: int) -> Image:
        values = ((column, row._mapping[f"{label}_{index}"]) for index, column in enumerate(self.recorded.columns))
        redacted = row._mapping[f"{label}_redacted"] or ()
        return {column.name: value for column, value in values if not _is_absent(column, value, audit_id, redacted)}


def _is_absent(column: RecordedColumn, value: object, audit_id: int, redacted: Collection[str]) -> bool:
    return value is None and (is_absent(column.absences, audit_id) or column.name in redacted)


def previous_images(recorded: RecordedTable, new: FromClause, name: str) -> FromClause:
    """What :attr:`Changes.old` is, for another alias of the audit table."""
    earlier, names = recorded.history("earlier"), recorded.key_names
    # A key that is newer than the audit table is in none of its images.
    same_key = [earlier.c[column] == new.c[column] for column in names if column in earlier.c]
    return (
        sa.select(earlier)
        .where(
            sa.literal(bool(names) and len(same_key) == len(names)),
            new.c.audit_operation.in_(("U", "S")),
            *same_key,
            earlier.c.audit_id < new.c.audit_id,
        )
        .order_by(earlier.c.audit_id.desc())
        .limit(1)
        .lateral(name)
    )


def own_username(recorded: RecordedTable, new: FromClause) -> ColumnElement[Any]:
    """The audit table's own record of who, null if it has none; never a column of the table's that is called alike."""
    names = [setting.column_name for setting in recorded.audited.settings if setting.name == "username"]
    return sa.cast(new.c[names[0]] if names else sa.null(), Text)


def changes_of(entity: object) -> Changes:
    """The changes of a ``Table`` or mapped class.

    :raises AuditConfigError: it is not audited.

    .. versionadded:: 0.1
    """
    return Changes(recorded_table(entity))


def reading_type(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type with which a column of the history is read: as the model's, but for values that it lost since."""
    return _EverKnownEnum(type_) if isinstance(type_, sa.Enum) else type_


class _EverKnownEnum(TypeDecorator[Any]):
    """An enum whose older values, which the program no longer knows, are read as their text."""

    impl = Text
    cache_ok = True

    def __init__(self, enum: sa.Enum) -> None:
        super().__init__()
        self.enum = enum

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        convert: Any = self.enum.result_processor(dialect, None)  # type: ignore[no-untyped-call]
        try:
            return convert(value) if convert is not None else value
        except LookupError:
            return value

    def bind_expression(self, bindparam: Any) -> Any:
        return sa.type_coerce(bindparam, self.enum)

    @property
    def python_type(self) -> type[Any]:
        return cast("type[Any]", self.enum.python_type)
