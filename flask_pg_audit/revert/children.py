"""What a transaction deleted together with a record, because it referred to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, ForeignKeyConstraint, Select, Table
from sqlalchemy.exc import NoReferenceError

from ..history.position import Position
from ..history.recorded import RecordedTable
from .effects import Effect, of_transactions, read_effects
from .live import is_at, place_table


@dataclass(frozen=True)
class DeletedRows:
    """The last images of deleted rows, and the changes that deleted them."""

    rows: list[tuple[RecordedTable, Sequence[Position]]]
    audit_ids: set[int]


def find_deleted_children(
    connection: Connection,
    tables: Sequence[RecordedTable],
    parent: RecordedTable,
    image: Position,
    transaction_id: int,
) -> DeletedRows:
    """The record itself, and what referred to it, and to that; among what ``transaction_id`` deleted."""
    deleted = _Deleted(connection, transaction_id)
    found = {parent.table.key: {image}}
    latest = [(parent, {image})]
    while latest:
        referred, images = latest.pop()
        for child, constraint in _references(tables, referred):
            new = deleted.referring(child, constraint, referred, images) - found.get(child.table.key, set())
            if new:
                found.setdefault(child.table.key, set()).update(new)
                latest.append((child, new))
    by_key = {table.table.key: table for table in tables}
    rows = [(by_key[key], sorted(positions)) for key, positions in found.items()]
    return DeletedRows([(table, positions) for table, positions in rows], deleted.audit_ids(found))


def _references(
    tables: Sequence[RecordedTable], referred: RecordedTable
) -> Iterator[tuple[RecordedTable, ForeignKeyConstraint]]:
    """The foreign keys of the models that lead to a table. One without a primary key has no single rows."""
    for table in tables:
        for constraint in sorted(table.table.foreign_key_constraints, key=lambda each: str(each.name)):
            if table.key_names and _leads_to(constraint, referred.table):
                yield table, constraint


def _leads_to(constraint: ForeignKeyConstraint, table: Table) -> bool:
    try:
        return constraint.referred_table is table
    except NoReferenceError:  # a table that the models do not declare
        return False


class _Deleted:
    """What a transaction deleted, a table at a time."""

    def __init__(self, connection: Connection, transaction_id: int) -> None:
        self._connection = connection
        self._transaction_id = transaction_id
        self._effects: dict[str, dict[Position, Effect]] = {}

    def referring(
        self, child: RecordedTable, constraint: ForeignKeyConstraint, parent: RecordedTable, images: set[Position]
    ) -> set[Position]:
        """The last images of deleted rows of ``child`` that refer to ``images``."""
        deleted = self._of(child)
        if not deleted:
            return set()
        query = _referring(child, constraint, parent, sorted(deleted), sorted(images))
        return {Position(*row) for row in self._connection.execute(query)}

    def _of(self, table: RecordedTable) -> dict[Position, Effect]:
        key = table.table.key
        if key not in self._effects:
            effects = read_effects(self._connection, table, of_transactions([self._transaction_id]))
            self._effects[key] = {effect.removed: effect for effect in effects if effect.removed is not None}
        return self._effects[key]

    def audit_ids(self, found: dict[str, set[Position]]) -> set[int]:
        """The changes that removed these rows."""
        own = (self._effects.get(key, {}).get(position) for key, places in found.items() for position in places)
        return {effect.changes[-1] for effect in own if effect is not None}


def _referring(
    child: RecordedTable,
    constraint: ForeignKeyConstraint,
    parent: RecordedTable,
    deleted: Sequence[Position],
    images: Sequence[Position],
) -> Select[Any]:
    own, theirs = child.history("own"), parent.history("theirs")
    rows, parents = place_table("rows", rows=deleted), place_table("parents", parents=images)
    refers = (own.c[element.parent.name] == theirs.c[element.column.name] for element in constraint.elements)
    return (
        sa.select(own.c.audit_transaction_id, own.c.audit_id)
        .select_from(rows.join(own, is_at(own, rows, "rows")))
        .join(theirs, sa.and_(*refers))
        .join(parents, is_at(theirs, parents, "parents"))
    )
