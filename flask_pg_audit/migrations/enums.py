"""Enum types that history uses: made once, and left when the models no longer use them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from copy import copy
from typing import Any

from alembic.operations.ops import (
    AddColumnOp,
    CreateTableOp,
    DropTableOp,
    MigrateOperation,
    OpContainer,
    UpgradeOps,
)
from sqlalchemy import ARRAY, Column, Enum, MetaData, Table
from sqlalchemy.dialects.postgresql import ENUM
from sqlalchemy.types import TypeEngine

from ..database.audit_table import create_enum_sql
from ..database.installed import Installed
from ..database.name import QualifiedName
from .history import holds_history
from .operations import AuditDDLOp

_ENUM_PLUGIN = "alembic_postgresql_enum"


def enums_of_history(metadata: MetaData) -> dict[str, Enum]:
    """The enum types of the declared audit tables, by name."""
    return {name: enum for table in metadata.tables.values() if holds_history(table) for name, enum in _enums(table)}


def create_types(
    upgrade_ops: UpgradeOps, declared: Mapping[str, Enum], installed: Installed, default_schema: str
) -> dict[str, AuditDDLOp]:
    """The operations that make the types of history that new tables and columns need, by name.

    A table of Alembic's makes its types and fails if they are there: made for a table that is audited from now on,
    or left with the history of one that comes back. So none of ``declared`` is left to it.
    """
    needed = {name: declared[name] for name in _needed(upgrade_ops) if name in declared}
    for op in upgrade_ops.ops:
        if isinstance(op, CreateTableOp):
            _create_no_type(op, declared)
        elif isinstance(op, DropTableOp) and op._reverse is not None:
            _create_no_type(op._reverse, set(_left(op, installed, default_schema)))
    return {
        name: AuditDDLOp(create_enum_sql(enum), comment=f"create type {name} (missing)")
        for name, enum in sorted(needed.items())
        if QualifiedName(enum.schema or default_schema, name) not in installed.enums
        and not is_made_by_plugin(upgrade_ops, name)
    }


def _needed(container: OpContainer) -> Iterator[str]:
    for op in container.ops:
        if isinstance(op, OpContainer):
            yield from _needed(op)
        elif isinstance(op, CreateTableOp):
            yield from (name for name, _ in _enums(op.to_table()))
        elif isinstance(op, AddColumnOp):
            yield from (enum.name for enum in _enum(op.column.type) if enum.name)


def _left(op: DropTableOp, installed: Installed, default_schema: str) -> Iterator[str]:
    """The types that are still there when a downgrade brings the table back."""
    for name, enum in _enums(op.to_table()):
        if _is_used(QualifiedName(enum.schema or default_schema, name), installed):
            yield name


def _create_no_type(op: CreateTableOp, names: Collection[str]) -> None:
    op.columns = [_without_type(item, names) if isinstance(item, Column) else item for item in op.columns]


def _without_type(column: Column[Any], names: Collection[str]) -> Column[Any]:
    """The models' own column is left as it is."""
    if not any(enum.name in names for enum in _enum(column.type)):
        return column
    column = column._copy()
    column.type = _existing(column.type)
    return column


def _existing(type_: Any) -> TypeEngine[Any]:
    """The enum type, or the array of them, as one that is there already."""
    if isinstance(type_, ARRAY):
        array = copy(type_)
        array.item_type = _existing(type_.item_type)
        return array
    return _ExistingENUM(*type_.enums, name=type_.name, schema=type_.schema, create_type=False)


class _ExistingENUM(ENUM):
    """Says in a revision that it is there; before 2.1 SQLAlchemy leaves that out of a type's ``repr()``."""

    def __repr__(self) -> str:
        text = super().__repr__()
        return text if "create_type" in text else f"{text[:-1]}, create_type=False)"


# By these Alembic writes ``postgresql.ENUM(...)``.
_ExistingENUM.__name__, _ExistingENUM.__module__ = ENUM.__name__, ENUM.__module__


def keep_enums(upgrade_ops: UpgradeOps, declared: Mapping[str, Enum], installed: Installed) -> None:
    """Change what alembic_postgresql_enum makes of types: it drops those that only history uses."""
    upgrade_ops.ops = [kept for op in upgrade_ops.ops for kept in _keep(op, declared, installed)]


def _keep(op: MigrateOperation, declared: Mapping[str, Enum], installed: Installed) -> Iterator[MigrateOperation]:
    kind = type(op).__name__ if type(op).__module__.startswith(_ENUM_PLUGIN) else ""
    if kind == "CreateEnumOp" and op.name in declared:  # type: ignore[attr-defined]
        # A downgrade leaves the type with the history, so the next upgrade finds it.
        enum = declared[op.name]  # type: ignore[attr-defined]
        yield AuditDDLOp(create_enum_sql(enum), comment=f"create type {enum.name}")
    elif kind != "DropEnumOp" or not _is_used(QualifiedName(op.schema, op.name), installed):  # type: ignore[attr-defined]
        yield op


def _is_used(enum: QualifiedName, installed: Installed) -> bool:
    names = {enum.name, f"{enum.schema}.{enum.name}"}
    return any(
        type_.replace('"', "").removesuffix("[]") in names
        for relation in installed.relations.values()
        if "audit_operation" in relation.columns
        for type_ in relation.columns.values()
    )


def is_made_by_plugin(upgrade_ops: UpgradeOps, name: str) -> bool:
    """Whether alembic_postgresql_enum creates the enum type."""
    return any(
        type(op).__module__.startswith(_ENUM_PLUGIN) and getattr(op, "name", None) == name for op in upgrade_ops.ops
    )


def _enums(table: Table) -> Iterator[tuple[str, Enum]]:
    for column in table.columns:
        yield from ((enum.name, enum) for enum in _enum(column.type) if enum.name)


def _enum(type_: Any) -> Iterator[Enum]:
    """The enum type of a column, or of its array's items."""
    type_ = getattr(type_, "item_type", type_)
    if isinstance(type_, Enum):
        yield type_
