"""Enum types that history uses: made once, and left when the models no longer use them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from alembic.operations.ops import CreateTableOp, MigrateOperation, OpContainer, UpgradeOps
from sqlalchemy import Column, Enum, MetaData, Table
from sqlalchemy.dialects.postgresql import ENUM

from ..database.audit_table import create_enum_sql
from ..database.installed import Installed
from ..database.name import QualifiedName
from .history import holds_history
from .operations import AuditDDLOp, CreateHistoryTableOp

_ENUM_PLUGIN = "alembic_postgresql_enum"


def create_no_type(upgrade_ops: UpgradeOps, names: Collection[str]) -> None:
    """Let audit tables be created without the types called ``names``, which are there: by us, or from the last time."""
    for op in upgrade_ops.ops:
        if isinstance(op, CreateHistoryTableOp):
            op.columns = [_without_type(item, names) if isinstance(item, Column) else item for item in op.columns]


def _without_type(column: Column[Any], names: Collection[str]) -> Column[Any]:
    """The models' own column is left as it is."""
    type_ = column.type
    if not isinstance(type_, Enum) or type_.name not in names:
        return column
    column = column._copy()
    column.type = ENUM(*type_.enums, name=type_.name, schema=type_.schema, create_type=False)
    return column


def keep_enums(upgrade_ops: UpgradeOps, metadata: MetaData, installed: Installed) -> None:
    """Change what alembic_postgresql_enum makes of types: it drops those that only history uses."""
    declared = {
        name: enum for table in metadata.tables.values() if holds_history(table) for name, enum in _enums(table)
    }
    upgrade_ops.ops = [kept for op in upgrade_ops.ops for kept in _keep(op, declared, installed)]


def _keep(op: MigrateOperation, declared: dict[str, Enum], installed: Installed) -> Iterator[MigrateOperation]:
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


def creates_enum(container: OpContainer, name: str) -> bool:
    """Whether an operation creates the enum type: with a table that uses it, or by itself. Audit tables create none."""
    for op in container.ops:
        if isinstance(op, OpContainer):
            if creates_enum(op, name):
                return True
        elif isinstance(op, CreateTableOp) and not isinstance(op, CreateHistoryTableOp):
            if any(name == found for found, _ in _enums(op.to_table())):
                return True
        elif type(op).__module__.startswith(_ENUM_PLUGIN) and getattr(op, "name", None) == name:
            return True
    return False


def _enums(table: Table) -> Iterator[tuple[str, Enum]]:
    for column in table.columns:
        type_ = getattr(column.type, "item_type", column.type)
        if isinstance(type_, Enum) and type_.name:
            yield type_.name, type_
