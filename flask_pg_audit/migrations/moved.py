"""Columns of audit tables that Alembic compares with nothing: of one that is moved, or where it does not look."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from alembic.operations.ops import AlterColumnOp, ModifyTableOps
from sqlalchemy import MetaData, Table, event

from ..database.audit_table import find_former
from ..database.declared import Declared
from ..database.installed import Installed
from ..database.name import QualifiedName
from .history import keep_part

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext


def compare_columns(
    context: AutogenContext, declared: Declared, installed: Installed, ours: Collection[QualifiedName | None]
) -> Iterator[ModifyTableOps]:
    """Alembic's comparison of columns, of types above all, for those of ``ours`` that are in the database.

    For when they are where they belong: under the new name.
    """
    for table in declared.tables:
        name = table.trigger.audit_table
        existing = find_former(table, declared, installed) or name
        if name in ours and existing in installed.relations:
            changes = ModifyTableOps(name.name, [], schema=table.audited.audit_table.schema)
            for op in _changed_columns(context, table.audited.audit_table, _reflect(context, existing)):
                changes.ops += keep_part(op, is_new=False)
            if not changes.is_empty():
                yield changes


def _changed_columns(context: AutogenContext, declared: Table, found: Table) -> Iterator[AlterColumnOp]:
    assert context.dialect is not None  # noqa: S101 - Alembic has one when it compares
    compare = context.comparators.dispatch("column", qualifier=context.dialect.name)
    for column in declared.columns:
        if column.name in found.columns:
            op = AlterColumnOp(declared.name, column.name, schema=declared.schema)
            compare(context, op, declared.schema, declared.name, column.name, found.columns[column.name], column)
            if op.has_changes():
                yield op


def _reflect(context: AutogenContext, name: QualifiedName) -> Table:
    table = Table(name.name, MetaData(), schema=name.schema)
    # As Alembic itself: what PostgreSQL makes of a SERIAL is no default.
    listener = context.migration_context.impl._compat_autogen_column_reflect(context.inspector)
    event.listen(table, "column_reflect", listener)
    context.inspector.reflect_table(table, None)
    return table
