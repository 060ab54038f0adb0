"""Bringing a record back before somebody's eyes: what would be written is shown, and written if they agree to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Table

from ..history.excerpts import Field
from ..history.position import Position
from ..history.recorded import RecordedTable
from ..history.value import Value
from ..history.versions import read_row_state
from .apply import Options, apply_plan
from .comparison import compare_rows, read_heads
from .live import read_live_tables
from .record import plan_restore, plan_undelete, recorded_as_installed
from .target import Target
from .writing import Batch

#: Rows that are shown, and characters of each value.
MAX_ROWS, MAX_LENGTH = 100, 2_000


@dataclass(frozen=True)
class RowPreview:
    """A row that is about to be written.

    :ivar table_key: the table's key in ``MetaData.tables``.
    :ivar table: its name, with its schema if it has one.
    :ivar operation: ``I`` insert, ``U`` update, ``D`` delete.
    :ivar key: the primary key's columns, as the row has them afterwards.
    :ivar fields: what is written, from what to what; of a delete, what is lost.
    """

    table_key: str
    table: str
    operation: str
    key: tuple[Field, ...]
    fields: tuple[Field, ...]


@dataclass(frozen=True)
class Preview:
    """What is about to be written to bring a record back.

    :ivar rows: the first of them; none if the record is as it is wanted.
    :ivar count: how many there are.
    :ivar newest: the record's newest change; of a truncate that removed it, the change before.
    :ivar is_as_recorded: the row is what that change left, or is gone as the history says; nothing was written past it.
    """

    rows: tuple[RowPreview, ...]
    count: int
    newest: Position | None
    is_as_recorded: bool


#: Is called with the connection when the rows are locked; what it raises takes everything back.
Agree = Callable[[Connection, Preview], None]


def bring_back(
    connection: Connection,
    table: Table,
    key: Mapping[str, Any],
    to: Position,
    agree: Agree,
    *,
    with_children: bool = False,
    dry_run: bool = False,
) -> Position | None:
    """Bring one record back to what it was right after a change, as :func:`~flask_pg_audit.revert.restore` does.

    :param with_children: the record was deleted, and what was deleted with it comes back too, as by
        :func:`~flask_pg_audit.revert.undelete`.
    :returns: the record's newest change then.
    :raises AuditConflictError: see there.
    """

    def look(connection: Connection, batches: Sequence[Batch]) -> None:
        agree(connection, _preview(connection, recorded_as_installed(connection, table), key, batches))

    def plan() -> Any:
        if with_children:
            return plan_undelete(connection, table, key, cascade=True)
        return plan_restore(connection, table, key, to)

    apply_plan(connection, plan, Options(dry_run=dry_run, look=look))
    state = read_row_state(connection, recorded_as_installed(connection, table), key)
    return None if state is None else state.place


def _preview(
    connection: Connection, recorded: RecordedTable, key: Mapping[str, Any], batches: Sequence[Batch]
) -> Preview:
    state = read_row_state(connection, recorded, key)
    return Preview(
        rows=tuple(_rows(connection, batches)),
        count=sum(len(batch.writes) for batch in batches),
        newest=None if state is None else state.place,
        is_as_recorded=state is not None and _is_as_recorded(connection, recorded, state.place, state.is_there),
    )


def _is_as_recorded(connection: Connection, recorded: RecordedTable, newest: Position, is_there: bool) -> bool:
    [live] = read_live_tables(connection, [recorded])
    [compared] = compare_rows(connection, live, [Target(newest, newest, newest)], None)
    return compared.exists == is_there and not (compared.exists and compared.modified)


def _rows(connection: Connection, batches: Sequence[Batch]) -> Iterator[RowPreview]:
    left = MAX_ROWS
    for batch in batches:
        targets = [write.comparison.target for write in batch.writes[:left]]
        left -= len(targets)
        if targets:
            for live, wanted in read_heads(connection, batch.table, targets, MAX_LENGTH):
                yield _row(batch, live, wanted)


def _row(batch: Batch, live: Mapping[str, Value], wanted: Mapping[str, Value]) -> RowPreview:
    table, keys = batch.table, batch.table.key_names
    after = live if batch.operation == "D" else wanted
    is_update = batch.operation == "U"

    def fields(names: Sequence[str], with_old: bool) -> tuple[Field, ...]:
        return tuple(
            Field(name, after[name], live[name] if with_old else None, changed=with_old, is_key=name in keys)
            for name in names
            if name in after
        )

    names = table.written if batch.operation == "D" else batch.columns
    recorded = table.recorded.table
    return RowPreview(recorded.key, recorded.fullname, batch.operation, fields(keys, False), fields(names, is_update))
