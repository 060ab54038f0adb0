"""The operations of revisions: frozen SQL, and what leaves history where it is.

A revision never asks the models or this package's templates what to do: everything is in its text.
"""

from __future__ import annotations

import re
import textwrap
from copy import copy
from typing import Any, TypeVar

from alembic.operations import MigrateOperation, Operations
from alembic.operations.ops import AddColumnOp, AlterColumnOp, CreateIndexOp, CreateTableOp
from sqlalchemy import Enum, Numeric

from ..database.column_type import holds, numeric_for_both
from ..database.render import DIALECT


class AuditDDLOp(MigrateOperation):
    """Statements about functions and triggers, with those that bring back what was there before."""

    def __init__(self, *statements: str, comment: str = "", undo: tuple[str, ...] = ()) -> None:
        self.statements = statements
        self.comment = comment
        self.undo = undo

    @classmethod
    def audit_ddl(cls, operations: Operations, *statements: str) -> None:
        """Run SQL statements byte for byte, online or into the script of ``--sql``.

        Unlike ``op.execute()`` nothing in them is taken for a parameter, neither ``:name`` nor ``%``. A text that
        begins with a line break is dedented first.

        :param statements: each one statement, without a semicolon at its end.

        .. versionadded:: 0.1
        """
        operations.invoke(cls(*map(_dedent, statements)))

    def reverse(self) -> AuditDDLOp:
        return AuditDDLOp(*self.undo, comment=f"undo: {self.comment}", undo=self.statements)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        return ("audit_ddl", self.comment)


def _dedent(statement: str) -> str:
    return textwrap.dedent(statement).strip() if statement.startswith("\n") else statement


def run_statements(operations: Operations, op: AuditDDLOp) -> None:
    """Carry out ``op.audit_ddl()``."""
    context = operations.migration_context
    for statement in op.statements:
        if context.as_sql:
            context.impl.static_output(f"{statement};")
        else:
            assert context.connection is not None  # noqa: S101 - Alembic's own invariant
            context.connection.exec_driver_sql(statement, execution_options={"no_parameters": True})


def register() -> None:
    """Make ``op.audit_ddl()`` known to Alembic."""
    Operations.register_operation("audit_ddl")(AuditDDLOp)
    Operations.implementation_for(AuditDDLOp)(run_statements)


class KeepHistoryOp(MigrateOperation):
    """What a downgrade does to history: nothing."""

    def __init__(self, subject: str) -> None:
        self.subject = subject

    def reverse(self) -> KeepHistoryOp:
        return self

    def to_diff_tuple(self) -> tuple[Any, ...]:
        return ("keep_history", self.subject)


class CreateHistoryTableOp(CreateTableOp):
    """``CREATE TABLE IF NOT EXISTS``, as a downgrade leaves the table and its history."""

    def reverse(self) -> Any:
        return KeepHistoryOp(f"{self.table_name} and its history")


class CreateHistoryIndexOp(CreateIndexOp):
    """The index of an audit table that stays."""

    def reverse(self) -> Any:
        return KeepHistoryOp(f"the index {self.index_name}")


class AddHistoryColumnOp(AddColumnOp):
    """``ADD COLUMN IF NOT EXISTS``, as a downgrade leaves the column and its history."""

    def reverse(self) -> Any:
        return KeepHistoryOp(f"the history of {self.column.name} in {self.table_name}")


class AlterHistoryColumnOp(AlterColumnOp):
    """A type that is only brought back when the history could not hold the earlier one's values."""

    def reverse(self) -> Any:
        back = super().reverse()
        leave_wide_enough(back)
        return back if back.has_changes() else KeepHistoryOp(f"the type of {self.column_name} in {self.table_name}")


def leave_wide_enough(op: AlterColumnOp) -> None:
    """Take a change of type out of ``op`` when the history's column holds the new type's values already.

    Where the new type would round what is in the history, the change is to one that holds both.
    """
    if op.modify_type is None or op.existing_type is None:
        return
    kept, wanted = (_as_catalog_writes(type_) for type_ in (op.existing_type, op.modify_type))
    # Labels are text, and history may have texts that are none, or no longer.
    if holds(kept, wanted) or (isinstance(op.modify_type, Enum) and holds(kept, "text")):
        op.modify_type = None
    elif digits := numeric_for_both(kept, wanted):
        op.modify_type = Numeric(*digits)


def _as_catalog_writes(type_: Any) -> str:
    """The type as ``format_type`` would write it, where the two differ and it matters."""
    text = str(type_.compile(dialect=DIALECT)).lower().replace(", ", ",")
    name = re.match("[a-z]*", text)
    assert name is not None  # noqa: S101 - for the type checker
    return _CATALOG_NAMES.get(name[0], name[0]) + text[name.end() :]


_CATALOG_NAMES = {"varchar": "character varying", "decimal": "numeric", "float": "double precision"}

_Op = TypeVar("_Op", bound=MigrateOperation)


def keeping_history(op: MigrateOperation, kind: type[_Op]) -> _Op:
    """``op`` as one of the kinds above, which differ from Alembic's own in what their reverse does."""
    kept = copy(op)
    kept.__class__ = kind
    assert isinstance(kept, kind)  # noqa: S101 - for the type checker
    if not isinstance(kept, AlterColumnOp):
        kept.if_not_exists = True  # type: ignore[attr-defined]
    return kept
