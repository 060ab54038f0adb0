"""Bringing one record back: to what it was at some time, or from its deletion."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, FromClause, Select, Table

from ..errors import AuditConfigError, AuditConflictError, Conflict
from ..history.changes import Changes, Source
from ..history.entity import find_audited
from ..history.filter import ChangeFilter, check_instant
from ..history.key import format_key, key_of
from ..history.position import Position
from ..history.recorded import RecordedTable, read_recorded_tables
from .apply import Options, apply_plan
from .children import find_deleted_children
from .link import Link
from .moves import read_moves
from .session import write_with
from .target import ANYTHING, Plan, Reverted, Target

_UNKNOWN = (
    "the history begins later, with a change that does not tell what the row was before; flask audit baseline records "
    "what rows are, so that they can be brought back to it from then on"
)


@dataclass(frozen=True)
class _Event:
    """A change of the record, or a truncate of its table."""

    position: Position
    operation: str
    at: datetime.datetime


def restore(
    connectable: Source,
    entity: object,
    key: object = None,
    *,
    to: Position | datetime.datetime,
    columns: Iterable[str] | None = None,
    force: bool = False,
    values: Mapping[str, Any] | None = None,
    dry_run: bool = False,
) -> Reverted:
    """Bring one record to what it was, whatever happened since: by an update, an insert, or a delete.

    Nothing is compared but with what is wanted: only what differs from it is written. Locks, savepoint and statement
    are those of :func:`~flask_pg_audit.revert.revert`. A record is its key: one whose key was changed since did
    not exist under the new one.

    :param entity: a ``Table``, a mapped class, or the instance itself, which needs no ``key``.
    :param key: a value, a sequence of values, or a mapping.
    :param to: the state right after the change there; or after all statements up to an instant, by the clock of the
        server, with a time zone.
    :param columns: bring back these only; the record must be there, and must have been there.
    :param force: delete it even if that deletes or changes rows that refer to it.
    :raises AuditConflictError: what it was then is not known, or it would violate a constraint; nothing was written.
    :raises AuditConfigError: the table is not audited or has no primary key, the record has no history, ``to`` has no
        time zone, or a column does not exist.

    .. versionadded:: 0.1
    """
    if isinstance(to, datetime.datetime):
        check_instant(to, "to")
    elif not isinstance(to, Position):
        raise AuditConfigError(f"to is {to!r}; give the position of a change, or a datetime with a time zone")
    table, wanted_key = _record(entity, key)
    options = Options(columns, force, values or {}, dry_run)

    def write(connection: Connection) -> Reverted:
        def plan() -> Plan:
            return plan_restore(connection, table, wanted_key, to)

        return apply_plan(connection, plan, options)

    return write_with(connectable, table, write)


def _record(entity: object, key: object) -> tuple[Table, dict[str, Any]]:
    audited = find_audited(entity)
    return audited.table, key_of(audited, entity if key is None else key)


def recorded_as_installed(connection: Connection, table: Table) -> RecordedTable:
    """An audited table, with what the catalog knows of its history."""
    return next(each for each in read_recorded_tables(connection, table.metadata) if each.table is table)


def plan_restore(
    connection: Connection, table: Table, key: Mapping[str, Any], to: Position | datetime.datetime
) -> Plan:
    """What :func:`restore` does."""
    recorded = recorded_as_installed(connection, table)
    events = _read_events(connection, recorded, key)
    images = [event for event in events if event.operation != "T"]
    if not images:
        raise AuditConfigError(f"there is no history of {_name(recorded, key)}")
    count = sum(_is_until(event, to) for event in events)
    until, since = events[:count], events[count:]
    unknown = _UNKNOWN if not any(e in images for e in until) and images[0].operation != "I" else None
    target = Target(images[-1].position, ANYTHING, _state(until), unknown)
    undone = [event for event in since if event.operation != "S"]
    moment = str(to) if isinstance(to, Position) else to.isoformat()
    link = Link([e.position.transaction_id for e in undone], [e.position.audit_id for e in undone], moment)
    return Plan(((recorded, (target,)),), link)


def _is_until(event: _Event, to: Position | datetime.datetime) -> bool:
    return event.position.audit_id <= to.audit_id if isinstance(to, Position) else event.at <= to


def _state(events: Iterable[_Event]) -> Position | None:
    """The image of the record after ``events``."""
    image = None
    for event in events:
        image = None if event.operation in "DT" else event.position
    return image


def _name(recorded: RecordedTable, key: Mapping[str, Any]) -> str:
    return f"{recorded.table.fullname} {format_key([*key.values()])}"


def _read_events(connection: Connection, recorded: RecordedTable, key: Mapping[str, Any]) -> list[_Event]:
    """The record's changes, and the truncates of its table that removed it, oldest first."""
    changes = Changes(recorded)
    own = ChangeFilter(key=key).apply(_select_event(changes.new), changes)
    truncates = recorded.history("truncates")
    is_truncate = (truncates.c.audit_operation == "T", *(truncates.c[name].is_(None) for name in recorded.key_names))
    query = sa.union_all(own, _select_event(truncates).where(*is_truncate))
    rows = [_Event(Position(row[0], row[1]), row[2], row[3]) for row in connection.execute(query)]
    return list(_of_the_record(sorted(rows, key=lambda event: event.position.audit_id)))


def _of_the_record(events: Iterable[_Event]) -> Iterator[_Event]:
    """Without the truncates that found no such row."""
    is_there = False
    for event in events:
        if event.operation != "T" or is_there:
            yield event
        is_there = event.operation not in ("D", "T")


def _select_event(images: FromClause) -> Select[Any]:
    return sa.select(
        images.c.audit_transaction_id,
        images.c.audit_id,
        images.c.audit_operation,
        images.c.audit_operation_timestamp,
    )


def undelete(
    connectable: Source,
    entity: object,
    key: object = None,
    *,
    cascade: bool = True,
    force: bool = False,
    values: Mapping[str, Any] | None = None,
    dry_run: bool = False,
) -> Reverted:
    """Bring a deleted record back, as it was when it was deleted last, with what was deleted together with it.

    Locks, savepoint and statement are those of :func:`~flask_pg_audit.revert.revert`.

    :param entity: a ``Table`` or a mapped class.
    :param key: a value, a sequence of values, or a mapping.
    :param cascade: bring back also the rows of audited tables that the same transaction deleted and that referred to
        it by a foreign key of the models; and those that referred to them.
    :param force: write over a row that has the key now.
    :raises AuditConflictError: there is a row with the key again, its key was changed and not deleted, or it would
        violate a constraint; nothing was written.
    :raises AuditConfigError: the table is not audited or has no primary key, or no delete of the record is recorded.

    .. versionadded:: 0.1
    """
    table, wanted_key = _record(entity, key)
    options = Options(None, force, values or {}, dry_run)

    def write(connection: Connection) -> Reverted:
        return apply_plan(connection, lambda: plan_undelete(connection, table, wanted_key, cascade), options)

    return write_with(connectable, table, write)


def plan_undelete(connection: Connection, table: Table, key: Mapping[str, Any], cascade: bool) -> Plan:
    """What :func:`undelete` does."""
    tables = read_recorded_tables(connection, table.metadata)
    recorded = next(each for each in tables if each.table is table)
    removal = _newest_removal(_read_events(connection, recorded, key))
    if removal is None:
        raise AuditConfigError(f"no delete of {_name(recorded, key)} is recorded")
    image, event = removal
    _check_not_moved(connection, recorded, key, event)
    found: list[tuple[RecordedTable, Sequence[Position]]] = [(recorded, [image])]
    audit_ids = {event.position.audit_id}
    if cascade:
        children = find_deleted_children(connection, tables, recorded, image, event.position.transaction_id)
        found = children.rows
        audit_ids |= children.audit_ids
    targets = tuple((each, tuple(Target(p, None, p) for p in positions)) for each, positions in found)
    return Plan(targets, Link([event.position.transaction_id], audit_ids))


def _newest_removal(events: Iterable[_Event]) -> tuple[Position, _Event] | None:
    """The last image of the record before it was removed, and by what."""
    image: Position | None = None
    removal: tuple[Position, _Event] | None = None
    for event in events:
        if event.operation != "T":
            image = event.position
        if event.operation in "DT" and image is not None:
            removal = image, event
    return removal


def _check_not_moved(connection: Connection, recorded: RecordedTable, key: Mapping[str, Any], event: _Event) -> None:
    if event.operation == "D":
        moves = read_moves(connection, recorded, [event.position.transaction_id])
        if event.position in moves:
            reason = (
                f"it was not deleted: its key was changed, by transaction {event.position.transaction_id}; revert that"
            )
            raise AuditConflictError([Conflict(recorded.table.fullname, key, None, None, None, reason)])
