"""Changes for a terminal: values in JSON as PostgreSQL writes them, no more of each than is asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Row

from ..declare.absence import is_absent
from ..declare.columns import OPERATION_LABELS
from .context import parse_context
from .export import is_at
from .feed import EVERYTHING
from .position import Position
from .recorded import RecordedTable
from .redacted import masked_names, redacted_names
from .snapshot import settle_output
from .written import WrittenChanges


@dataclass(frozen=True)
class SketchedValue:
    """A value in JSON.

    :ivar json: as much as was asked for; ``None`` for NULL.
    :ivar length: of the whole, in characters; ``None`` for NULL.
    """

    json: str | None
    length: int | None

    @property
    def is_cut(self) -> bool:
        """Whether there is more of it."""
        return self.json is not None and self.length is not None and self.length > len(self.json)


#: Column name to value; a column that was not recorded then is not in it.
SketchedImage = Mapping[str, SketchedValue]


@dataclass(frozen=True)
class Sketch:
    """One recorded change.

    :ivar at: wall clock of the statement in UTC, ``2026-01-31T12:00:00.000000Z``.
    :ivar username: who was logged in; ``None`` is nobody. Cut where values are, as ``request_id`` is.
    :ivar key: the primary key; empty for a truncate, and for tables without one.
    :ivar old: the row before; ``None`` when there was none, or when it was never recorded.
    :ivar new: the row after; ``None`` for a delete and a truncate.
    :ivar changed: the columns that an update changed; empty when ``old`` is not known.
    :ivar masked: the columns of which ``old`` or ``new`` has a mask instead of the value.
    :ivar redacted: the columns whose value was removed from ``old`` or ``new``.
    """

    position: Position
    table: str
    operation: str
    at: str
    username: str | None
    role: str
    request_id: str | None
    context: Mapping[str, Any]
    key: SketchedImage
    old: SketchedImage | None
    new: SketchedImage | None
    changed: tuple[str, ...]
    masked: tuple[str, ...] = ()
    redacted: tuple[str, ...] = ()

    @property
    def operation_label(self) -> str:
        """The operation as a word."""
        return OPERATION_LABELS[self.operation]


def read_sketches(
    connection: Connection,
    tables: Iterable[RecordedTable],
    wanted: Sequence[tuple[str, Position]],
    max_length: int = 200,
) -> list[Sketch]:
    """The changes at these places, pairs of table key and position, in their order; one query for each table.

    Values are cut to ``max_length`` characters on the server, so that a huge one never leaves it. A place that is not
    there any more is left out. How the connection writes values is set until the end of its transaction.
    """
    settle_output(connection)
    by_table: dict[str, list[Position]] = defaultdict(list)
    for key, position in wanted:
        by_table[key].append(position)
    found: dict[tuple[str, Position], Sketch] = {}
    for table in tables:
        if positions := by_table.get(table.table.key):
            written = WrittenChanges(table)
            query = written.select(EVERYTHING, *_columns(written, max_length)).where(is_at(written, positions))
            for row in connection.execute(query):
                sketch = _build(table, row)
                found[table.table.key, sketch.position] = sketch
    return [found[place] for place in wanted if place in found]


def _columns(written: WrittenChanges, max_length: int) -> Iterator[ColumnElement[Any]]:
    yield from written.about(max_length)
    yield sa.func.coalesce(written.old.c.audit_id, 0).label("old_id")
    yield written.has_old.label("has_old")
    yield written.differences().label("differ")
    yield redacted_names(written.recorded, written.new).label("new_redacted")
    yield redacted_names(written.recorded, written.old).label("old_redacted")
    for label, source in (("new", written.new), ("old", written.old)):
        yield written.heads(source, max_length).label(f"{label}_heads")
        yield written.lengths(source).label(f"{label}_lengths")


def _build(table: RecordedTable, row: Row[Any]) -> Sketch:
    operation = row.operation
    stored = _image(table, row.new_heads, row.new_lengths, row.audit_id, row.new_redacted)
    previous = _image(table, row.old_heads, row.old_lengths, row.old_id, row.old_redacted) if row.has_old else None
    masked = masked_names(table, row.audit_id) | masked_names(table, row.old_id if row.has_old else None)
    redacted = {*(row.new_redacted or ()), *((row.has_old and row.old_redacted) or ())}
    return Sketch(
        position=Position(row.audit_transaction_id, row.audit_id),
        table=row.table_name,
        operation=operation,
        at=row.at,
        username=row.username,
        role=row.role,
        request_id=row.request_id,
        context=parse_context(row.context),
        key={name: stored[name] for name in table.key_names if name in stored} if operation != "T" else {},
        old=stored if operation == "D" else previous,
        new=stored if operation in ("I", "U", "S") else None,
        changed=tuple(n for n, d in zip(table.column_names, row.differ, strict=True) if row.has_old and d),
        masked=tuple(name for name in table.column_names if name in masked and name in {*stored, *(previous or ())}),
        redacted=tuple(name for name in table.column_names if name in redacted),
    )


def _image(
    table: RecordedTable,
    heads: Sequence[str | None],
    lengths: Sequence[int | None],
    audit_id: int,
    redacted: Sequence[str] | None,
) -> SketchedImage:
    values = zip(table.columns, heads, lengths, strict=True)
    return {
        column.name: SketchedValue(head, length)
        for column, head, length in values
        if head is not None or not (is_absent(column.absences, audit_id) or column.name in (redacted or ()))
    }
