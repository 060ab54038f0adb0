"""Alembic's own operations on audit tables, changed so that no revision drops history."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from alembic.operations.ops import (
    AddColumnOp,
    AlterColumnOp,
    CreateIndexOp,
    CreateTableOp,
    DropColumnOp,
    DropTableOp,
    MigrateOperation,
    ModifyTableOps,
    UpgradeOps,
)
from sqlalchemy import Table

from ..database.name import QualifiedName
from ..declare.absence import COMMENT_PREFIX
from ..declare.mask_key import MASK_KEY_TABLE_NAME
from ..declare.redaction_table import REDACTION_TABLE_NAME
from ..declare.seal_tables import SEAL_LEAVES_TABLE_NAME, SEAL_TABLE_NAME
from ..declare.tables import MAINTENANCE_TABLE_NAME, TRANSACTION_TABLE_NAME, VIEW_TABLE_NAME
from .operations import (
    AddHistoryColumnOp,
    AlterHistoryColumnOp,
    CreateHistoryIndexOp,
    CreateHistoryTableOp,
    keeping_history,
    leave_wide_enough,
)

#: What an audit table has, the classic library's as well; and what the tables have that they share.
_AUDIT_COLUMNS = {"audit_operation", "audit_operation_timestamp", "audit_current_user"}
_TRANSACTION_COLUMNS = {"id", "issued_at", "db_role", "application_name", "client_addr", "context"}
_VIEW_COLUMNS = {"id", "viewed_at", "username", "action", "page", "query", "row_count"}
_MAINTENANCE_COLUMNS = {"id", "began_at", "xact", "db_role", "reason", "transaction_id"}
_REDACTION_COLUMNS = {"id", "redacted_at", "columns", "audit_transaction_id", "audit_id", "leaf_before", "leaf_after"}
_MASK_KEY_COLUMNS = {"id", "created_at", "inner_pad", "outer_pad"}
_SEAL_COLUMNS = {"id", "sealed_at", "format", "previous", "tables", "hash"}
_LEAVES_COLUMNS = {"seal_id", "place", "chunk", "ids", "leaves"}


def holds_history(table: Table) -> bool:
    """Whether ``table``, as reflected from the database, is an audit table or one that audit tables share."""
    columns = set(table.columns.keys())
    own = {
        TRANSACTION_TABLE_NAME: _TRANSACTION_COLUMNS,
        VIEW_TABLE_NAME: _VIEW_COLUMNS,
        MAINTENANCE_TABLE_NAME: _MAINTENANCE_COLUMNS,
        REDACTION_TABLE_NAME: _REDACTION_COLUMNS,
        MASK_KEY_TABLE_NAME: _MASK_KEY_COLUMNS,
        SEAL_TABLE_NAME: _SEAL_COLUMNS,
        SEAL_LEAVES_TABLE_NAME: _LEAVES_COLUMNS,
    }
    return columns >= _AUDIT_COLUMNS or (table.name in own and columns >= own[table.name])


@dataclass(frozen=True)
class HistoryKeeper:
    """Goes through what Alembic found.

    :ivar default_schema: the schema of tables that name none.
    :ivar declared: the audit tables of the models, and those that they share.
    :ivar ours: those that Alembic gets wrong: it sees a drop and a create where one is moved, by its old and new name,
        and a create where one is in a schema that it does not look into.
    :ivar may_drop: somebody asked for history to be dropped.
    """

    default_schema: str
    declared: Collection[QualifiedName]
    ours: Collection[QualifiedName | None]
    may_drop: bool = False

    def keep(self, upgrade_ops: UpgradeOps) -> None:
        """Change ``upgrade_ops`` in place."""
        upgrade_ops.ops = [op for op in upgrade_ops.ops if self.name_of(op) not in self.ours]
        if self.may_drop:
            return
        dropped = {self.name_of(op) for op in upgrade_ops.ops if isinstance(op, DropTableOp) and self._is_history(op)}
        created = {self.name_of(op) for op in upgrade_ops.ops if isinstance(op, CreateTableOp)}
        upgrade_ops.ops = [
            kept for op in upgrade_ops.ops if self.name_of(op) not in dropped for kept in self._keep(op, created)
        ]
        # As writers do, a migration locks a table before its audit table; the other way round is a deadlock.
        upgrade_ops.ops.sort(key=lambda op: isinstance(op, ModifyTableOps) and self.name_of(op) in self.declared)

    def name_of(self, op: MigrateOperation) -> QualifiedName | None:
        """The table that ``op`` is about."""
        if isinstance(op, (CreateTableOp, DropTableOp, ModifyTableOps)):
            return QualifiedName(op.schema or self.default_schema, op.table_name)
        return None

    def _is_history(self, op: DropTableOp) -> bool:
        return holds_history(op.to_table())

    def _keep(self, op: MigrateOperation, created: Collection[QualifiedName | None]) -> Iterator[MigrateOperation]:
        name = self.name_of(op)
        if name not in self.declared:
            yield op
        elif isinstance(op, CreateTableOp):
            yield keeping_history(op, CreateHistoryTableOp)
        elif isinstance(op, ModifyTableOps):
            op.ops = [kept for part in op.ops for kept in keep_part(part, is_new=name in created)]
            if op.ops:
                yield op
        else:
            yield op


def keep_part(op: MigrateOperation, is_new: bool) -> Iterator[MigrateOperation]:
    """What becomes of a change of an audit table; ``is_new``: the same revision creates the table."""
    if isinstance(op, AddColumnOp):
        yield keeping_history(op, AddHistoryColumnOp)
    elif isinstance(op, AlterColumnOp):
        leave_wide_enough(op)
        if (op.existing_comment or "").startswith(COMMENT_PREFIX):
            op.modify_comment = False  # it tells when the column was recorded; the models do not know
        if op.has_changes():
            # Another plugin's kind, one that writes USING say, stays what it is.
            yield keeping_history(op, AlterHistoryColumnOp) if type(op) is AlterColumnOp else op
    elif isinstance(op, CreateIndexOp) and is_new:
        yield keeping_history(op, CreateHistoryIndexOp)
    elif not isinstance(op, DropColumnOp):
        yield op
