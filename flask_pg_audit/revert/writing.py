"""The one statement that writes all rows of a plan.

All of it in one, because foreign keys are checked at the end of a statement: parents and children may come in any
order, refer to each other in circles, and change places. Within it deletes go first, so that a unique value is free
again when it is inserted; each part waits for the one before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CTE, BigInteger, ColumnElement, Connection, Select, Table
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.ddl import sort_tables_and_constraints

from ..errors import AuditConflictError, Conflict
from .decision import Rules, Write
from .live import LiveTable, is_at, place_table, value_table
from .versions import VersionColumn

_ORDER = {"D": 0, "U": 1, "I": 2}


class _OverridingSelect(Select[Any]):
    """What is inserted, identity columns included; the words change nothing for a table without one."""

    inherit_cache = True


@compiles(_OverridingSelect)
def _compile(select: _OverridingSelect, compiler: SQLCompiler, **arguments: Any) -> str:
    return f"OVERRIDING SYSTEM VALUE {compiler.visit_select(select, **arguments)}"  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Batch:
    """Rows of one table to which the same is done: the operation, and the columns."""

    rules: Rules
    operation: str
    columns: tuple[str, ...]
    writes: tuple[Write, ...]

    @property
    def table(self) -> LiveTable:
        return self.rules.table


def make_batches(decided: Iterable[tuple[Rules, Sequence[Write]]]) -> list[Batch]:
    """In the order in which they are written: deletes, the children first; updates; inserts, the parents first."""
    batches = [
        Batch(rules, operation, columns, tuple(group))
        for rules, writes in decided
        for (operation, columns), group in groupby(sorted(writes, key=_kind), key=_kind)
    ]
    places = _places({batch.table.recorded.table for batch in batches})

    def order(batch: Batch) -> tuple[int, int]:
        place = places[batch.table.recorded.table]
        return _ORDER[batch.operation], -place if batch.operation == "D" else place

    return sorted(batches, key=order)


def _kind(write: Write) -> tuple[str, tuple[str, ...]]:
    return write.operation, write.columns


def _places(tables: Iterable[Table]) -> dict[Table, int]:
    """The place of each table in the order of foreign keys; in a circle, by name."""
    by_name = sorted(tables, key=lambda table: table.fullname)
    ordered = sort_tables_and_constraints(by_name)  # type: ignore[no-untyped-call]
    return {table: place for place, (table, _) in enumerate(ordered) if table is not None}


def write_batches(connection: Connection, batches: Sequence[Batch]) -> None:
    """Write them.

    :raises AuditConflictError: a row was held back, by a trigger or by row security.
    """
    parts: list[CTE] = []
    for number, batch in enumerate(batches):
        after = [] if not parts else [_count(parts[-1]) >= 0]
        parts.append(_WRITERS[batch.operation](batch, after).cte(f"write_{number}"))
    if not parts:
        return
    written = connection.execute(sa.select(*(_count(part).label(part.name) for part in parts))).one()
    held_back = [
        Conflict(batch.table.name, {}, None, len(batch.writes), count, f"{len(batch.writes) - count} rows {_HELD_BACK}")
        for batch, count in zip(batches, written, strict=True)
        if count != len(batch.writes)
    ]
    if held_back:
        raise AuditConflictError(held_back)


_HELD_BACK = "were not written: a trigger of the table, or row security, held them back"


def _count(part: CTE) -> ColumnElement[int]:
    return sa.select(sa.func.count()).select_from(part).scalar_subquery()


def _delete(batch: Batch, after: list[ColumnElement[bool]]) -> Any:
    live, rows = batch.table.clause(), _rows(batch)
    return sa.delete(live).where(*_same_row(batch, live, rows), *after).returning(sa.literal_column("1").label("one"))


def _update(batch: Batch, after: list[ColumnElement[bool]]) -> Any:
    live, rows = batch.table.clause(), _rows(batch)
    values: dict[Any, Any] = {live.c[name]: rows.c[f"value_{n}"] for n, name in enumerate(batch.columns)}
    version = batch.rules.version
    if version is not None and version.next is not None and version.name in live.c:
        counted = sa.func.coalesce(live.c[version.name], 0) + 1
        values[live.c[version.name]] = counted if version.is_counter else rows.c.version
    updated = sa.update(live).values(values).where(*_same_row(batch, live, rows), *after)
    return updated.returning(sa.literal_column("1").label("one"))


def _same_row(batch: Batch, live: Any, rows: Any) -> list[ColumnElement[bool]]:
    return [live.c[name] == rows.c[f"key_{n}"] for n, name in enumerate(batch.table.key_names)]


def _rows(batch: Batch) -> Any:
    """The keys that the rows have now, with the values that they are to have."""
    table, columns = batch.table, batch.columns
    targets = [write.comparison.target for write in batch.writes]
    places = place_table("places", at=[t.at for t in targets], wanted=[t.wanted for t in targets])
    at, wanted = (table.recorded.history(name) for name in ("at", "wanted"))
    joined: Any = places.join(at, is_at(at, places, "at"))
    selected = [table.value(at, name).label(f"key_{n}") for n, name in enumerate(table.key_names)]
    if columns:
        joined = joined.join(wanted, is_at(wanted, places, "wanted"))
        selected += [table.value(wanted, name).label(f"value_{n}") for n, name in enumerate(columns)]
    version = batch.rules.version
    if batch.operation == "U" and version is not None and version.next is not None and not version.is_counter:
        versions = [version.next(write.comparison.version) for write in batch.writes]
        made = _per_row({"version": (versions, table.type_of(version.name))})
        joined = joined.join(made, made.c.n == places.c.n)
        selected.append(made.c.version)
    return sa.select(*selected).select_from(joined).subquery("rows")


def _per_row(values: dict[str, tuple[list[Any], Any]]) -> Any:
    """Values made in Python, one for each row."""
    length = len(next(iter(values.values()))[0])
    columns: dict[str, Any] = {"n": sa.cast(list(range(length)), ARRAY(sa.Integer))}
    columns |= {name: sa.cast(made, ARRAY(type_)) for name, (made, type_) in values.items()}
    return value_table("made", columns)


def _insert(batch: Batch, after: list[ColumnElement[bool]]) -> Any:
    table, recorded = batch.table, frozenset(batch.columns)
    places = place_table("places", wanted=[write.comparison.target.wanted for write in batch.writes])
    wanted = table.recorded.history("wanted")
    joined: Any = places.join(wanted, is_at(wanted, places, "wanted"))
    values: dict[str, ColumnElement[Any]] = {name: table.value(wanted, name) for name in batch.columns}
    values |= batch.rules.supplied.constants(table, recorded)
    made = {
        f"made_{n}": (name, [function(None) for _ in batch.writes])
        for n, (name, function) in enumerate(batch.rules.supplied.callables(table, recorded).items())
    }
    version = batch.rules.version
    if version is not None and version.next is not None and version.name in table.columns:
        if version.is_counter and version.name in recorded:
            values[version.name] = _next_version(table, wanted, version)
        else:
            made["version"] = (version.name, [version.next(None) for _ in batch.writes])
    if made:
        per_row = _per_row({label: (each, table.type_of(name)) for label, (name, each) in made.items()})
        joined = joined.join(per_row, per_row.c.n == places.c.n)
        values |= {name: per_row.c[label] for label, (name, _) in made.items()}
    selected = [value.label(f"value_{n}") for n, value in enumerate(values.values())]
    rows = _OverridingSelect(*selected).select_from(joined).where(*after).order_by(places.c.n)
    live = table.clause()
    inserted = sa.insert(live).from_select([live.c[name] for name in values], rows)
    return inserted.returning(sa.literal_column("1").label("one"))


def _next_version(table: LiveTable, wanted: Any, version: VersionColumn) -> ColumnElement[Any]:
    """After all versions that there ever were of the row."""
    ever = table.recorded.history("ever")
    newest = sa.select(sa.func.max(sa.cast(ever.c[version.name], BigInteger))).where(
        *(ever.c[name] == wanted.c[name] for name in table.key_names)
    )
    return sa.func.coalesce(newest.scalar_subquery(), 0) + 1


_WRITERS = {"D": _delete, "U": _update, "I": _insert}
