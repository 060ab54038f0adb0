"""Audited tables as they are in the database now, to be written to from their history."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Connection, FromClause, Integer, TableClause
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine, UserDefinedType

from ..declare.absence import Absence
from ..errors import AuditConfigError
from ..history.position import Position
from ..history.recorded import RecordedTable
from ..history.redacted import is_redacted


@dataclass(frozen=True)
class LiveColumn:
    """A column of the table, or of its audit table.

    :ivar type_name: as PostgreSQL writes it.
    :ivar is_generated: its value is computed from other columns.
    :ivar is_identity: ``GENERATED ALWAYS AS IDENTITY``: it can be inserted, and not be updated.
    """

    name: str
    type_name: str
    is_not_null: bool
    has_default: bool
    is_generated: bool
    is_identity: bool


class _NamedType(UserDefinedType[Any]):
    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return self.name


@dataclass(frozen=True)
class LiveTable:
    """A table, its history, and which columns both have.

    :ivar oid: which table of the database it is, for as long as this transaction runs.
    :ivar images: the columns of the audit table.
    """

    recorded: RecordedTable
    oid: int
    columns: Mapping[str, LiveColumn]
    images: Mapping[str, LiveColumn]

    @property
    def name(self) -> str:
        return self.recorded.table.fullname

    @cached_property
    def key_names(self) -> tuple[str, ...]:
        return self.recorded.key_names

    @cached_property
    def written(self) -> tuple[str, ...]:
        """The columns that can be brought back: recorded, still there, and not generated."""
        shared = (name for name in self.recorded.column_names if name in self.columns and name in self.images)
        return tuple(name for name in shared if not self.columns[name].is_generated)

    def type_of(self, name: str) -> TypeEngine[Any]:
        """The model's type for a column; none for one that the model does not have."""
        declared = {column.name: column.type for column in self.recorded.table.columns}
        return declared.get(name, sa.types.NULLTYPE)

    def clause(self) -> TableClause:
        """The table without the model's defaults: ``onupdate`` must not have a say in what is written."""
        table = self.recorded.table
        return sa.table(table.name, *(sa.column(n, self.type_of(n)) for n in self.columns), schema=table.schema)

    def value(self, images: FromClause, name: str) -> ColumnElement[Any]:
        """A value of the history, as the table can take it."""
        now, then = self.columns[name], self.images[name]
        if now.type_name == then.type_name:
            return images.c[name]
        if self.recorded.column(name).masks:
            # A mask is none of the live column's type; it is never written back, and nothing is compared with it.
            return sa.cast(sa.case((~self.is_masked(images, name), images.c[name])), self._named(now))
        return sa.cast(images.c[name], self._named(now))

    def _named(self, column: LiveColumn) -> TypeEngine[Any]:
        # The drivers read % in what they send as a parameter's place.
        return _NamedType(column.type_name.replace("%", "%%"))

    def is_absent(self, images: FromClause, name: str) -> ColumnElement[bool]:
        """Whether the column was not recorded with that image, or its value was removed since."""
        column = self.recorded.column(name)
        if not (column.absences or column.is_redacted):
            return sa.false()
        absent = (_within(images, absence) for absence in column.absences)
        removed = is_redacted(self.recorded, images, column)
        return sa.or_(removed, sa.and_(images.c[name].is_(None), sa.or_(sa.false(), *absent)))

    def is_masked(self, images: FromClause, name: str) -> ColumnElement[bool]:
        """Whether that image has a mask instead of the value. Of a text, NULL says that there was none."""
        masks = self.recorded.column(name).masks
        if not masks:
            return sa.false()
        is_text = self.images[name].type_name.startswith(("text", "character varying", "citext"))
        there = images.c[name].is_not(None) if is_text else sa.true()
        return sa.and_(there, sa.or_(*(_within(images, mask) for mask in masks)))

    def same_key(self, one: FromClause, images: FromClause) -> ColumnElement[bool]:
        """Whether the row has the key of the image."""
        return sa.and_(*(one.c[name] == self.value(images, name) for name in self.key_names))


def _within(images: FromClause, absence: Absence) -> ColumnElement[bool]:
    after = images.c.audit_id >= absence.start
    return after if absence.end is None else sa.and_(after, images.c.audit_id < absence.end)


def place_table(name: str, **places: Sequence[Position | None]) -> FromClause:
    """Places in the history as a table: ``n``, and of each its ``<name>_transaction`` and ``<name>_id``."""
    length = len(next(iter(places.values())))
    columns: dict[str, ColumnElement[Any]] = {"n": _array(range(length), Integer())}
    for label, positions in places.items():
        columns[f"{label}_transaction"] = _array((p and p.transaction_id for p in positions), BigInteger())
        columns[f"{label}_id"] = _array((p and p.audit_id for p in positions), BigInteger())
    return value_table(name, columns)


def value_table(name: str, columns: Mapping[str, ColumnElement[Any]]) -> FromClause:
    """Arrays side by side, as the columns of a table."""
    typed = (sa.column(label, _item_type(array)) for label, array in columns.items())
    return sa.func.unnest(*columns.values()).table_valued(*typed).render_derived(name=name)


def _item_type(array: ColumnElement[Any]) -> TypeEngine[Any]:
    type_ = array.type
    return type_.item_type if isinstance(type_, ARRAY) else type_


def _array(values: Iterable[Any], type_: TypeEngine[Any]) -> ColumnElement[Any]:
    # With a cast, since an array of nothing but nulls has no type.
    return sa.cast(list(values), ARRAY(type_))


def is_at(images: FromClause, places: FromClause, label: str) -> ColumnElement[bool]:
    """Whether an image is the one at the place called ``label``."""
    return sa.and_(
        images.c.audit_transaction_id == places.c[f"{label}_transaction"], images.c.audit_id == places.c[f"{label}_id"]
    )


def read_live_tables(connection: Connection, tables: Sequence[RecordedTable]) -> tuple[LiveTable, ...]:
    """What the catalog knows of ``tables`` and their audit tables; one query.

    :raises AuditConfigError: one of them is not in the database.
    """
    names = [clause for table in tables for clause in (table.table, table.audited.audit_table)]
    quote = connection.dialect.identifier_preparer.format_table
    found = _read_columns(connection, [quote(clause).replace("%%", "%") for clause in names])
    for place, clause in enumerate(names):
        if place not in found:
            raise AuditConfigError(f'the table "{clause.fullname}" is not in the database, or not in the search_path')
    return tuple(
        LiveTable(table, found[2 * index][0], found[2 * index][1], found[2 * index + 1][1])
        for index, table in enumerate(tables)
    )


def _read_columns(connection: Connection, names: Sequence[str]) -> Mapping[int, tuple[int, dict[str, LiveColumn]]]:
    """By the place in ``names``: the table's oid, and its columns by their names."""
    wanted = sa.values(sa.column("place", Integer), sa.column("name", sa.Text), name="wanted").data(
        list(enumerate(names))
    )
    attributes = ("attrelid", "attname", "attnum", "attisdropped", "attnotnull", "atthasdef", "attgenerated")
    attribute = sa.table(
        "pg_attribute",
        *map(sa.column, (*attributes, "attidentity", "atttypid", "atttypmod")),
        schema="pg_catalog",
    )
    query = (
        sa.select(
            wanted.c.place,
            sa.cast(attribute.c.attrelid, BigInteger),
            sa.cast(attribute.c.attname, sa.Text),
            sa.func.format_type(attribute.c.atttypid, attribute.c.atttypmod),
            attribute.c.attnotnull,
            attribute.c.atthasdef,
            sa.cast(attribute.c.attgenerated, sa.Text),
            sa.cast(attribute.c.attidentity, sa.Text),
        )
        .join_from(wanted, attribute, attribute.c.attrelid == sa.func.to_regclass(wanted.c.name))
        .where(attribute.c.attnum > 0, ~attribute.c.attisdropped)
        .order_by(wanted.c.place, attribute.c.attnum)
    )
    found: dict[int, tuple[int, dict[str, LiveColumn]]] = defaultdict(lambda: (0, {}))
    for place, oid, name, type_name, not_null, has_default, generated, identity in connection.execute(query):
        columns = found[place][1] if place in found else {}
        columns[name] = LiveColumn(
            name, type_name, not_null, has_default or identity != "", generated != "", identity == "a"
        )
        found[place] = (oid, columns)
    return found
