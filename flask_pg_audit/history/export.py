"""Changes out of the database: every value as PostgreSQL writes it, however many changes there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, CursorResult, MetaData, Row, Select

from ..declare.columns import OPERATION_LABELS
from .feed import EVERYTHING
from .filter import ChangeFilter
from .position import Position
from .recorded import RecordedTable, read_recorded_tables
from .snapshot import settle_order, settle_output
from .written import WrittenChanges

#: So many changes are held at once, or fewer: as many as have about so many characters.
MAX_BATCH = 500
MAX_CHARACTERS = 4_000_000


@dataclass(frozen=True)
class ExportRow:
    """One recorded change, written: every field is text, and ``None`` where nothing is known.

    Those of ``key``, ``context``, ``changed``, ``old``, ``new``, ``masked`` and ``redacted`` are JSON. What is in them
    is as PostgreSQL writes it in UTC: a NULL is ``null``, a column that was not recorded at the time is left out.

    :ivar position: the place in the order of all changes, as :meth:`Position.parse` reads it.
    :ivar at: wall clock of the statement: ``2026-01-31T12:00:00.000000Z``.
    :ivar table: the table's name, with its schema if it has one.
    :ivar operation: ``insert``, ``update``, ``delete``, ``truncate`` or ``baseline``.
    :ivar key: the primary key's columns and values; ``{}`` for a truncate, and for tables without one.
    :ivar username: who was logged in; ``None`` is nobody.
    :ivar role: the database role that acted.
    :ivar context: what else is known of the transaction.
    :ivar changed: the names of the columns that an update changed; empty when ``old`` is not known.
    :ivar old: the row before; ``None`` when there was none, or when it was never recorded.
    :ivar new: the row after; ``None`` for a delete and a truncate.
    :ivar masked: the names of the columns of which ``old`` or ``new`` has a mask instead of the value.
    :ivar redacted: the names of the columns whose value was removed from ``old`` or ``new``, where they are no more.

    .. versionadded:: 0.1
    """

    position: str
    at: str
    table: str
    operation: str
    key: str
    username: str | None
    actor_id: str | None
    role: str
    request_id: str | None
    application_name: str | None
    client_addr: str | None
    context: str | None
    changed: str
    old: str | None
    new: str | None
    masked: str
    redacted: str


def export_rows(
    connection: Connection, metadata: MetaData, where: ChangeFilter = EVERYTHING
) -> Generator[ExportRow, None, None]:
    """All matching changes of all audited tables, oldest first, by ``(audit_transaction_id, audit_id)``.

    One query, read through a server-side cursor: memory does not grow with the number of changes. Nothing is read
    before the first row is asked for. The connection has to be in a transaction, so no AUTOCOMMIT; how it writes values
    and sorts is set until that ends. A transaction of its own that is REPEATABLE READ and READ ONLY is
    :func:`~flask_pg_audit.history.snapshot.snapshot`. Who stops before the last row has to ``close()`` the generator
    before the connection.

    Locks: those of a ``SELECT``, for as long as rows are read.

    :raises AuditConfigError: no table of ``metadata`` is audited, or the filter names what there is not.

    .. versionadded:: 0.1
    """
    yield from export_tables(connection, read_recorded_tables(connection, metadata), where)


def export_tables(
    connection: Connection, tables: Iterable[RecordedTable], where: ChangeFilter = EVERYTHING
) -> Generator[ExportRow, None, None]:
    """As :func:`export_rows`, for tables that were read from the catalog."""
    query = select_written(tables, where)
    settle_output(connection)
    settle_order(connection, keep=replace(where, tables=()) == EVERYTHING)
    options = {"stream_results": True, "max_row_buffer": MAX_BATCH}
    with connection.execute(query, execution_options=options) as result:
        for batch in _batches(result):
            yield from map(build_row, batch)


def _batches(result: CursorResult[Any]) -> Iterator[Sequence[Row[Any]]]:
    """Fewer rows at once the longer they are; a few to begin with."""
    size = 20
    while batch := result.fetchmany(size):
        yield batch
        characters = sum(len(value) for row in batch for value in row if isinstance(value, str))
        fitting = len(batch) * MAX_CHARACTERS // max(characters, 1)
        size = max(1, min(MAX_BATCH, fitting, 5 * size))


def select_written(tables: Iterable[RecordedTable], where: ChangeFilter) -> Select[Any]:
    """All matching changes, oldest first.

    Each table is read in the order of its primary key, so that PostgreSQL has to merge and not to sort.
    """
    branches = (_branch(WrittenChanges(table), where) for table in where.chosen(tuple(tables)))
    merged = sa.union_all(*(branch.subquery().select() for branch in branches)).subquery("written")
    return sa.select(merged).order_by(merged.c.audit_transaction_id, merged.c.audit_id)


def _branch(written: WrittenChanges, where: ChangeFilter) -> Select[Any]:
    new = written.new.c
    return written.select(where, *_columns(written)).order_by(new.audit_transaction_id, new.audit_id)


def _columns(written: WrittenChanges) -> Iterator[ColumnElement[Any]]:
    yield from written.about()
    yield written.key().label("key")
    yield written.changed().label("changed")
    yield written.image(written.new).label("stored")
    yield sa.case((written.has_old, written.image(written.old))).label("previous")
    yield written.masked().label("masked")
    yield written.redacted().label("redacted")


def rows_at(
    connection: Connection, tables: Iterable[RecordedTable], wanted: Sequence[tuple[str, Position]]
) -> list[ExportRow]:
    """The changes at these places, pairs of table key and position, in their order; one query for each table.

    A place that is not there any more is left out.
    """
    settle_output(connection)
    by_table: dict[str, list[Position]] = defaultdict(list)
    for key, position in wanted:
        by_table[key].append(position)
    found: dict[tuple[str, str], ExportRow] = {}
    for table in tables:
        if positions := by_table.get(table.table.key):
            written = WrittenChanges(table)
            query = written.select(EVERYTHING, *_columns(written)).where(is_at(written, positions))
            found |= {(table.table.key, row.position): row for row in map(build_row, connection.execute(query))}
    places = ((key, str(position)) for key, position in wanted)
    return [found[place] for place in places if place in found]


def is_at(written: WrittenChanges, positions: Sequence[Position]) -> ColumnElement[bool]:
    """Whether a change is at one of these places."""
    return sa.tuple_(written.new.c.audit_transaction_id, written.new.c.audit_id).in_(list(positions))


def build_row(row: Row[Any]) -> ExportRow:
    """A row of :func:`select_written` as a value."""
    operation = row.operation
    return ExportRow(
        position=str(Position(row.audit_transaction_id, row.audit_id)),
        at=row.at,
        table=row.table_name,
        operation=OPERATION_LABELS[operation],
        key=row.key,
        username=row.username,
        actor_id=row.actor_id,
        role=row.role,
        request_id=row.request_id,
        application_name=row.application_name,
        client_addr=row.client_addr,
        context=row.context,
        changed=row.changed,
        old=row.stored if operation == "D" else row.previous,
        new=row.stored if operation in ("I", "U", "S") else None,
        masked=row.masked,
        redacted=row.redacted,
    )
