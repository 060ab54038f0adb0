"""Removing the values of some columns from everything that was recorded of one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Engine, FromClause, MetaData, Select, Text

from ..database.batches import Batches, open_batches
from ..database.declared import DeclaredTable
from ..database.patience import LOCK_TIMEOUT, TRIES, Patience
from ..database.selection import Selection, select_tables
from ..errors import AuditConfigError, AuditError
from ..history.changes import Changes
from ..history.equality import differ
from ..history.filter import ChangeFilter
from ..history.key import format_key, key_of
from ..history.recorded import RecordedTable, read_recorded_tables
from .erasing import Row, begin, erase

#: What is written down where nobody says why.
REASON = "a data-protection request"


@dataclass(frozen=True)
class Redacted:
    """What was removed, or with ``dry_run`` what would be.

    :ivar table: the audited table.
    :ivar key: of the record, as PostgreSQL writes it; ``None`` where no single one was meant.
    :ivar changes: recorded changes from which values are removed.
    :ivar columns: by column, from how many of these.

    .. versionadded:: 0.1
    """

    table: str
    key: Mapping[str, str] | None
    changes: int
    columns: Mapping[str, int]
    dry_run: bool = False


def redact(
    metadata: MetaData,
    engine: Engine,
    table: str,
    key: object,
    columns: Sequence[str],
    *,
    reason: str = REASON,
    keep_live: bool = False,
    dry_run: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
    tries: int = TRIES,
) -> Redacted:
    """Remove the values of ``columns`` from every recorded change of one record, for good.

    All of it in one transaction: the values become null, and ``audit_redaction`` gets a row for each change, which is
    how timelines, exports and seals tell them from values that were null. The row itself is left alone: change or
    delete it first.

    Followed is the key and nothing else: not other keys that the row once had, nor rows of other tables.

    :param table: the name of an audited table, with its schema where that is not the default one.
    :param key: a value, a sequence of values, or a mapping.
    :param columns: of the table, or such as it lost. Not of its primary key, by which a record is known.
    :param reason: is kept in ``audit_redaction`` and ``audit_maintenance``.
    :param keep_live: remove the values although the row still has one of them, which its next change records again.
    :param dry_run: change nothing.
    :param lock_timeout: seconds to wait for the lock in one try; 0 waits without end.
    :param tries: how often to try.
    :raises AuditConfigError: there is no such table, column or key, or a column is one of the key.
    :raises AuditInstallError: the history is not installed as declared, or a privilege or the lock could not be had.
    :raises AuditError: nothing was recorded of the record, or its row still has one of the values.

    Locks: the audit table in ``SHARE ROW EXCLUSIVE`` mode until the end: who writes the table waits, readers do not.

    .. versionadded:: 0.1
    """
    selection = select_tables(metadata, engine, [table])
    selection.require_installed()
    declared = selection.tables[0]
    names = tuple(dict.fromkeys(columns))
    values = key_of(declared.audited, key)
    with open_batches(engine, Patience(lock_timeout, tries), ()) as batches:
        redaction = _Redaction(batches, selection, declared, values, names, reason, keep_live, dry_run)
        return batches.run(redaction.run)


@dataclass(frozen=True)
class _Redaction:
    batches: Batches
    selection: Selection
    table: DeclaredTable
    key: Mapping[str, Any]
    columns: tuple[str, ...]
    reason: str
    keep_live: bool
    dry_run: bool

    @property
    def connection(self) -> Connection:
        return self.batches.connection

    def run(self) -> Redacted:
        audit_table = self.table.trigger.audit_table
        recorded = find_recorded(self.connection, self.selection, self.table)
        check_columns(recorded, self.columns)
        if not self.dry_run:
            self.batches.lock(audit_table, "SHARE ROW EXCLUSIVE")
        written, rows = self._read(recorded)
        if not self.keep_live:
            self._refuse_live(recorded)
        if rows and not self.dry_run:
            log = begin(
                self.connection,
                self.selection.declared,
                self.selection.installed,
                self.reason,
                self.table.name,
                written,
            )
            erase(self.connection, self.selection.declared, log, audit_table, rows)
        return Redacted(self.table.name.display, written, len(rows), count(self.columns, rows), self.dry_run)

    def _read(self, recorded: RecordedTable) -> tuple[Mapping[str, str], list[Row]]:
        """The key as PostgreSQL writes it, and the changes that have values."""
        changes = Changes(recorded)
        new = changes.new
        key: list[Any] = [sa.cast(new.c[name], Text).label(f"key_{n}") for n, name in enumerate(self.key)]
        query: Select[Any] = sa.select(*key, *place_and_values(new, self.columns)).select_from(new)
        found = self.connection.execute(ChangeFilter(key=self.key).apply(query, changes)).all()
        if not found:
            shown = format_key(list(self.key.values()))
            raise AuditError(f"{self.table.name.display} {shown} has no history, so there is nothing to redact")
        written = {name: str(found[0]._mapping[f"key_{n}"]) for n, name in enumerate(self.key)}
        return written, rows_of(found, self.columns)

    def _refuse_live(self, recorded: RecordedTable) -> None:
        """The next change of the row would record the values again."""
        changes, table = Changes(recorded), self.table.audited.table
        new, live = changes.new, table.alias("live")
        by_name = {column.name: column for column in live.columns}
        masked = {mask.column for mask in self.table.trigger.masks}
        shown = [name for name in self.columns if name in by_name and name not in masked]
        same = [
            sa.and_(has_value(by_name[name]), ~differ(new.c[name], by_name[name])).label(f"same_{n}")
            for n, name in enumerate(shown)
        ]
        if not same:
            return
        joined = new.join(live, sa.and_(*(by_name[name] == value for name, value in self.key.items())))
        flags_: list[Any] = [_any(flag) for flag in same]
        compared: Select[Any] = sa.select(*flags_).select_from(joined)
        query = ChangeFilter(key=self.key).apply(compared, changes)
        flags = self.connection.execute(query).one()
        if still := [name for name, flag in zip(shown, flags, strict=True) if flag]:
            raise AuditError(
                f"the row of {self.table.name.display} still has what is to be removed in {', '.join(still)}, and its "
                "next change would record it again: change or delete the row first, or say --keep-live (keep_live=True)"
            )


def _any(flag: ColumnElement[bool]) -> ColumnElement[bool]:
    return sa.func.coalesce(sa.func.bool_or(flag), sa.false())


def find_recorded(connection: Connection, selection: Selection, table: DeclaredTable) -> RecordedTable:
    """What the history of ``table`` has."""
    metadata = selection.declared.metadata
    found = (each for each in read_recorded_tables(connection, metadata) if each.table is table.audited.table)
    return next(found)


def check_columns(recorded: RecordedTable, columns: Sequence[str]) -> None:
    """
    :raises AuditConfigError: none are given, the history has none of that name, or one is of the primary key.
    """
    if not columns:
        raise AuditConfigError("say which columns are to be redacted")
    for name in columns:
        recorded.column(name)
        if name in recorded.key_names:
            raise AuditConfigError(
                f"{name!r} is of the primary key of {recorded.table.fullname!r}: without it nothing tells which record "
                "a change belongs to, so it is not redacted"
            )


def place_and_values(images: FromClause, columns: Sequence[str]) -> list[Any]:
    """Where an image is, and which of the columns have a value in it."""
    flags = (has_value(images.c[name]).label(f"has_{n}") for n, name in enumerate(columns))
    return [images.c.audit_transaction_id, images.c.audit_id, *flags]


def has_value(column: ColumnElement[Any]) -> ColumnElement[bool]:
    """Of a composite value with a null in it, ``IS NOT NULL`` is false, and the other parts would stay."""
    return column.is_distinct_from(sa.null())


def rows_of(found: Sequence[sa.Row[Any]], columns: Sequence[str]) -> list[Row]:
    """Those that have values, in the order of their numbers."""
    rows = []
    for row in found:
        has = tuple(name for n, name in enumerate(columns) if row._mapping[f"has_{n}"])
        if has:
            rows.append((row.audit_transaction_id, row.audit_id, has))
    return sorted(rows)


def count(columns: Sequence[str], rows: Sequence[Row]) -> dict[str, int]:
    """From how many rows each column's value goes."""
    return {name: sum(name in has for *_, has in rows) for name in columns}
