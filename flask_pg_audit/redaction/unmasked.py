"""Removing what was recorded of a column before it was masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Engine, MetaData

from ..database.batches import BATCH_SIZE, Batches, open_batches
from ..database.declared import DeclaredTable
from ..database.patience import LOCK_TIMEOUT, TRIES, Patience
from ..database.render import render
from ..database.selection import Selection, select_tables
from ..declare.absence import first_clear
from ..errors import AuditConfigError
from ..history.changes import Changes
from ..history.recorded import RecordedTable
from .erasing import Row, begin, erase
from .record import Redacted, find_recorded, has_value, rows_of

REASON = "recorded before the column was masked"


def redact_unmasked(
    metadata: MetaData,
    engine: Engine,
    table: str,
    *,
    reason: str = REASON,
    dry_run: bool = False,
    batch_size: int = BATCH_SIZE,
    lock_timeout: float = LOCK_TIMEOUT,
    tries: int = TRIES,
) -> Redacted:
    """Remove the values of masked columns from the changes that were recorded before they were masked.

    Batch by batch, each a transaction of its own; what an interrupted run leaves, the next one does. Each change is
    written down in ``audit_redaction``.

    :param table: the name of an audited table, with its schema where that is not the default one.
    :param batch_size: changes that one transaction handles.
    :raises AuditConfigError: there is no such table, or none of its columns is masked.
    :raises AuditInstallError: the history is not installed as declared, or a privilege or a lock could not be had.

    Locks: the rows that are changed, which nobody else writes, and for a moment the audit table in
    ``SHARE UPDATE EXCLUSIVE`` mode, which hinders neither readers nor writers.

    .. versionadded:: 0.1
    """
    selection = select_tables(metadata, engine, [table])
    selection.require_installed()
    declared = selection.tables[0]
    if not declared.trigger.masks:
        raise AuditConfigError(f"no column of {declared.name.display} is masked")
    with open_batches(engine, Patience(lock_timeout, tries), ()) as batches:
        return _Run(batches, selection, declared, reason, dry_run, batch_size).run()


@dataclass(frozen=True)
class _Run:
    batches: Batches
    selection: Selection
    table: DeclaredTable
    reason: str
    dry_run: bool
    batch_size: int

    def run(self) -> Redacted:
        masked = {mask.column for mask in self.table.trigger.masks}
        recorded = self.batches.run(lambda: find_recorded(self.batches.connection, self.selection, self.table))
        columns = [c for c in recorded.columns if c.name in masked and first_clear(c.absences, c.masks) is not None]
        names = tuple(column.name for column in columns)
        counts = dict.fromkeys(names, 0)
        changes, after = 0, (0, 0)
        while rows := self.batches.run(lambda after=after: self._batch(recorded, names, after)):  # type: ignore[misc]
            changes, after = changes + len(rows), rows[-1][:2]
            for *_, has in rows:
                counts |= {name: counts[name] + 1 for name in has}
        if not self.dry_run:
            self.batches.run(lambda: self._mark(names))
        return Redacted(self.table.name.display, None, changes, counts, self.dry_run)

    def _batch(self, recorded: RecordedTable, names: Sequence[str], after: tuple[int, int]) -> list[Row]:
        if not names:
            return []
        new = Changes(recorded).new
        clear = {name: _is_clear(new, recorded, name) for name in names}
        place = sa.tuple_(new.c.audit_transaction_id, new.c.audit_id)
        query = (
            sa.select(
                new.c.audit_transaction_id,
                new.c.audit_id,
                *(flag.label(f"has_{n}") for n, flag in enumerate(clear.values())),
            )
            .where(place > sa.tuple_(*(sa.literal(number, BigInteger) for number in after)), sa.or_(*clear.values()))
            .order_by(new.c.audit_transaction_id, new.c.audit_id)
            .limit(self.batch_size)
        )
        connection = self.batches.connection
        rows = rows_of(connection.execute(query).all(), names)
        if rows and not self.dry_run:
            declared, installed = self.selection.declared, self.selection.installed
            log = begin(connection, declared, installed, self.reason, self.table.name, None)
            erase(connection, declared, log, self.table.trigger.audit_table, rows)
        return rows

    def _mark(self, names: Sequence[str]) -> None:
        for name in names:
            self.batches.execute(render("mark_wholly_masked", table=self.table.trigger.audit_table, column=name))


def _is_clear(images: Any, recorded: RecordedTable, name: str) -> ColumnElement[bool]:
    masks = (
        images.c.audit_id >= mask.start
        if mask.end is None
        else sa.and_(images.c.audit_id >= mask.start, images.c.audit_id < mask.end)
        for mask in recorded.column(name).masks
    )
    return sa.and_(has_value(images.c[name]), ~sa.or_(sa.false(), *masks))
