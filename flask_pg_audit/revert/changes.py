"""Undoing recorded changes, and whole transactions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Connection, MetaData

from ..declare.registry import audited_tables, transaction_table
from ..errors import AuditConfigError
from ..history.change import Change
from ..history.changes import Source
from ..history.entity import find_table
from ..history.position import Position
from ..history.recorded import RecordedTable, read_recorded_tables
from .apply import Options, apply_plan
from .effects import Effect, at_positions, of_transactions, read_effects
from .link import Link
from .moves import join_moves, read_moves
from .session import write_with
from .target import Plan, Reverted, Target

_GAP = (
    "between the given changes the row was changed by others: give these as well, or bring the record back to what it "
    "was with restore()"
)


def revert(
    connectable: Source,
    metadata: MetaData,
    changes: Change | Iterable[Change],
    *,
    columns: Iterable[str] | None = None,
    force: bool = False,
    values: Mapping[str, Any] | None = None,
    dry_run: bool = False,
) -> Reverted:
    """Undo recorded changes: an insert by a delete, a delete by an insert, an update by the values before it.

    Of an update the columns are compared that it changed: each must still have the value that it was given, and gets
    the one from before. What was changed in other columns since stays. Of an insert all recorded columns must still
    have their values. The row of a delete must not be there. Several changes of one record are undone together; they
    have to follow each other. Columns with ``onupdate``, and the ORM's ``version_id_col``, are not compared.

    A changed key is recorded as a delete and an insert; either brings the other along. A truncate brings back all the
    rows that it removed.

    Rows are locked with ``SELECT … FOR UPDATE``, tables by their names and rows by their keys, and written with one
    statement, inside a savepoint of the transaction of ``connectable``. Commit it yourself.

    :param connectable: a ``Connection``, or a ``Session``, which is flushed before, and whose objects are expired.
    :param metadata: the ``MetaData`` in which the tables are declared.
    :param changes: one or several, as the functions of ``flask_pg_audit.history`` return them.
    :param columns: bring back these columns only, of updates.
    :param force: write over what differs. Constraints hold all the same.
    :param values: for rows that are inserted: columns that the history does not have, or that are to be different,
        as ``"column"`` or ``"table.column"``.
    :param dry_run: find out what would be written, conflicts and constraints included, and take it back; the locks
        are released.
    :raises AuditConflictError: a row is not as the change left it, what it was before is not known, or it would
        violate a constraint; nothing was written.
    :raises AuditConfigError: a table is not audited or has no primary key, or a column does not exist.

    .. versionadded:: 0.1
    """
    given = [changes] if isinstance(changes, Change) else list(changes)
    if not given:
        raise AuditConfigError("there is no change to revert: the list is empty")
    if snapshots := [change for change in given if change.operation == "S"]:
        raise AuditConfigError(
            f"change {snapshots[0].position} of {snapshots[0].table} is a snapshot, which changed nothing; use "
            "restore() to bring the record back to it"
        )
    options = Options(columns, force, values or {}, dry_run)
    tables = {audited.table.fullname: audited.table for audited in audited_tables(metadata)}
    by_table: dict[str, list[Position]] = defaultdict(list)
    for change in given:
        if change.table not in tables:
            raise AuditConfigError(f'the table "{change.table}" is not audited; audited are: {", ".join(tables)}')
        by_table[change.table].append(change.position)

    def write(connection: Connection) -> Reverted:
        return apply_plan(connection, lambda: _plan_changes(connection, metadata, by_table), options)

    return write_with(connectable, tables[given[0].table], write)


def _plan_changes(connection: Connection, metadata: MetaData, by_table: Mapping[str, list[Position]]) -> Plan:
    recorded_tables = {table.table.fullname: table for table in read_recorded_tables(connection, metadata)}
    effects: list[tuple[RecordedTable, list[Effect]]] = []
    transaction_ids: set[int] = set()
    for name, positions in by_table.items():
        recorded = recorded_tables[name]
        _require_key(recorded)
        transactions = sorted({position.transaction_id for position in positions})
        transaction_ids.update(transactions)
        moves = read_moves(connection, recorded, transactions)
        whole = {*positions, *_other_halves(positions, moves)}
        own = read_effects(connection, recorded, at_positions(sorted(whole)))
        effects.append((recorded, join_moves(own, {old.audit_id: new.audit_id for old, new in moves.items()})))
    return make_plan(effects, transaction_ids)


def _other_halves(positions: Sequence[Position], moves: Mapping[Position, Position]) -> set[Position]:
    arrivals = {new: old for old, new in moves.items()}
    return {half for position in positions for half in (moves.get(position), arrivals.get(position)) if half}


def _require_key(recorded: RecordedTable) -> None:
    if not recorded.key_names:
        raise AuditConfigError(
            f'the table "{recorded.table.fullname}" has no primary key: its history does not tell which row a change '
            "was made to, so it cannot be undone"
        )


def revert_transaction(
    connectable: Source,
    metadata: MetaData,
    transaction_id: int,
    *,
    continued: bool = False,
    tables: Collection[object] = (),
    force: bool = False,
    values: Mapping[str, Any] | None = None,
    dry_run: bool = False,
) -> Reverted:
    """Undo everything that one transaction changed: each record becomes what it was before.

    Compared, locked and written as by :func:`revert`; the number of statements does not grow with that of the rows.

    :param transaction_id: a row of ``audit_transaction``.
    :param continued: also undo what the same database transaction changed under other rows of ``audit_transaction``,
        when who or why changed within it. Finding them reads that table once.
    :param tables: undo changes of these tables only: tables or mapped classes.
    :raises AuditConflictError: as :func:`revert`.
    :raises AuditConfigError: as :func:`revert`; or the transaction changed nothing that is recorded.

    .. versionadded:: 0.1
    """
    options = Options(None, force, values or {}, dry_run)
    chosen = {find_table(entity).key for entity in tables}
    transaction_table(metadata)  # raises where nothing is audited
    somewhere = next(iter(audited_tables(metadata))).table

    def write(connection: Connection) -> Reverted:
        def plan() -> Plan:
            ids = _continued(connection, metadata, transaction_id) if continued else [transaction_id]
            return _plan_transactions(connection, metadata, ids, chosen)

        return apply_plan(connection, plan, options)

    return write_with(connectable, somewhere, write)


def _continued(connection: Connection, metadata: MetaData, transaction_id: int) -> list[int]:
    """All rows of ``audit_transaction`` that belong to one database transaction."""
    transaction = transaction_table(metadata)
    first = transaction_id
    while (
        earlier := connection.scalar(sa.select(transaction.c.continues).where(transaction.c.id == first))
    ) is not None:
        first = earlier
    chain = sa.select(sa.cast(first, BigInteger).label("id")).cte("chain", recursive=True)
    following = sa.select(transaction.c.id).where(transaction.c.continues == chain.c.id)
    return list(connection.scalars(sa.select(chain.union(following).c.id)))


def _plan_transactions(connection: Connection, metadata: MetaData, ids: Sequence[int], chosen: Collection[str]) -> Plan:
    effects = []
    for recorded in read_recorded_tables(connection, metadata):
        if (not chosen or recorded.table.key in chosen) and _has_changes(connection, recorded, ids):
            _require_key(recorded)
            effects.append((recorded, _effects_of(connection, recorded, ids)))
    if not effects:
        where = f" in {', '.join(sorted(chosen))}" if chosen else ""
        raise AuditConfigError(f"transaction {', '.join(map(str, ids))} changed nothing{where} that is recorded")
    return make_plan(effects, ids)


def _has_changes(connection: Connection, recorded: RecordedTable, ids: Sequence[int]) -> bool:
    images = recorded.history("images")
    query = sa.select(sa.literal(1)).where(of_transactions(ids)(images), images.c.audit_operation != "S").limit(1)
    return connection.scalar(query.select_from(images)) is not None


def _effects_of(connection: Connection, recorded: RecordedTable, ids: Sequence[int]) -> list[Effect]:
    effects = read_effects(connection, recorded, of_transactions(ids))
    moves = read_moves(connection, recorded, ids)
    return join_moves(effects, {old.audit_id: new.audit_id for old, new in moves.items()})


def make_plan(effects: Iterable[tuple[RecordedTable, Sequence[Effect]]], transaction_ids: Collection[int]) -> Plan:
    """The plan that undoes ``effects``."""
    known = list(effects)
    targets = tuple((recorded, tuple(_targets(own))) for recorded, own in known)
    audit_ids = {number for _, own in known for effect in own for number in effect.changes}
    return Plan(targets, Link(tuple(transaction_ids), audit_ids))


def _targets(effects: Iterable[Effect]) -> Iterable[Target]:
    for effect in effects:
        at = effect.after or effect.before
        if at is not None:  # else inserted and deleted again
            yield Target(at, effect.after, effect.before, effect.unknown or (_GAP if effect.has_gap else None))
