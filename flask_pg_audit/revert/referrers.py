"""Rows that PostgreSQL would delete or change by itself when a row is deleted: nobody asked for that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Connection, Text
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from ..errors import Conflict
from .live import LiveTable, is_at, place_table
from .target import Target
from .writing import Batch

_ACTIONS = {"c": "deleted with it (ON DELETE CASCADE)", "n": "set to NULL", "d": "set to their default"}


@dataclass(frozen=True)
class _Reference:
    """A foreign key that acts when what it refers to is deleted."""

    constraint: str
    action: str
    oid: int
    schema: str
    table: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]


def find_referrers(connection: Connection, batches: Sequence[Batch]) -> list[Conflict]:
    """A conflict for each foreign key through which the deletes of ``batches`` would reach rows not among them."""
    return [
        conflict
        for batch in batches
        if batch.operation == "D"
        for reference in _read_references(connection, batch.table)
        for conflict in _check(connection, batch, reference, batches)
    ]


def _check(connection: Connection, batch: Batch, reference: _Reference, batches: Sequence[Batch]) -> list[Conflict]:
    table = batch.table
    places = place_table("places", at=[target.at for target in _targets(batch)])
    at, parent = table.recorded.history("at"), _columns_of(table, reference.referred).alias("parent")
    others = [other for other in batches if other.table.oid == reference.oid and _leaves(other, reference)]
    keys = {name for other in others for name in other.table.key_names}
    child = sa.table(reference.table, *map(sa.column, {*reference.columns, *keys}), schema=reference.schema).alias(
        "child"
    )
    refers = (child.c[own] == parent.c[its] for own, its in zip(reference.columns, reference.referred, strict=True))
    query = (
        sa.select(sa.func.count())
        .select_from(places.join(at, is_at(at, places, "at")).join(parent, table.same_key(parent, at)))
        .join(child, sa.and_(*refers))
        .where(*(~_is_among(child, other) for other in others))
    )
    count = connection.scalar(query) or 0
    if not count:
        return []
    reason = (
        f"{count} rows of {reference.table} refer to what would be deleted, by {reference.constraint}, and would be "
        f"{_ACTIONS[reference.action]}"
    )
    return [Conflict(table.name, {}, None, 0, count, reason)]


def _targets(batch: Batch) -> list[Target]:
    return [write.comparison.target for write in batch.writes]


def _columns_of(table: LiveTable, names: Sequence[str]) -> sa.TableClause:
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in {*names, *table.key_names}]
    return sa.table(table.recorded.table.name, *columns, schema=table.recorded.table.schema)


def _leaves(batch: Batch, reference: _Reference) -> bool:
    """Whether rows do not refer any more once they are written."""
    return batch.operation == "D" or (batch.operation == "U" and not set(reference.columns).isdisjoint(batch.columns))


def _is_among(child: Any, batch: Batch) -> ColumnElement[bool]:
    places = place_table("others", at=[target.at for target in _targets(batch)])
    at = batch.table.recorded.history("theirs")
    return sa.exists(
        sa.select(sa.literal(1))
        .select_from(places.join(at, is_at(at, places, "at")))
        .where(batch.table.same_key(child, at))
        .correlate(child)
    )


def _read_references(connection: Connection, table: LiveTable) -> list[_Reference]:
    constraint = sa.table(
        "pg_constraint",
        *map(sa.column, ("conname", "conrelid", "confrelid", "conkey", "confkey")),
        *map(sa.column, ("contype", "confdeltype", "conparentid")),
        schema="pg_catalog",
    )
    class_ = sa.table("pg_class", *map(sa.column, ("oid", "relname", "relnamespace")), schema="pg_catalog")
    namespace = sa.table("pg_namespace", *map(sa.column, ("oid", "nspname")), schema="pg_catalog")
    query = (
        sa.select(
            sa.cast(constraint.c.conname, Text),
            sa.cast(constraint.c.confdeltype, Text),
            sa.cast(constraint.c.conrelid, BigInteger),
            sa.cast(namespace.c.nspname, Text),
            sa.cast(class_.c.relname, Text),
            _names(constraint.c.conrelid, constraint.c.conkey),
            _names(constraint.c.confrelid, constraint.c.confkey),
        )
        .join_from(constraint, class_, class_.c.oid == constraint.c.conrelid)
        .join(namespace, namespace.c.oid == class_.c.relnamespace)
        .where(sa.cast(constraint.c.confrelid, BigInteger) == sa.cast(table.oid, BigInteger))
        .where(sa.cast(constraint.c.contype, Text) == "f", sa.cast(constraint.c.conparentid, BigInteger) == 0)
        .where(sa.cast(constraint.c.confdeltype, Text).in_(sorted(_ACTIONS)))
        .order_by(constraint.c.conname)
    )
    return [
        _Reference(name, action, oid, schema, child, tuple(columns), tuple(referred))
        for name, action, oid, schema, child, columns, referred in connection.execute(query)
    ]


def _names(table: ColumnElement[Any], numbers: ColumnElement[Any]) -> ColumnElement[Any]:
    """The names of columns by their numbers, in their order."""
    attribute = sa.table("pg_attribute", *map(sa.column, ("attrelid", "attnum", "attname")), schema="pg_catalog")
    number = sa.func.unnest(numbers).table_valued("value", with_ordinality="place").render_derived(name="numbers")
    names = aggregate_order_by(sa.cast(attribute.c.attname, Text), number.c.place)
    same = sa.and_(attribute.c.attrelid == table, attribute.c.attnum == number.c.value)
    return (
        sa.select(sa.func.array_agg(names, type_=ARRAY(Text)))
        .select_from(number.join(attribute, same))
        .correlate(table.table)
        .scalar_subquery()
    )
