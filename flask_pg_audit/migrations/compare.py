"""Autogenerate: what ``plan()`` finds, as operations with frozen SQL, in order with Alembic's own."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from alembic.operations.ops import (
    CreateTableOp,
    DropColumnOp,
    DropTableOp,
    MigrateOperation,
    ModifyTableOps,
    OpContainer,
    UpgradeOps,
)
from sqlalchemy import MetaData, Table

from ..database import seal_tables, view_table
from ..database.action import Action, Plan
from ..database.adoption import UNFINISHED
from ..database.catalog import read_installed
from ..database.declared import Declared, build_declared_or_empty
from ..database.infrastructure import drop_sequence_sql, shared_tables
from ..database.installed import Installed
from ..database.name import QualifiedName
from ..database.plan import plan
from ..errors import AuditInstallError
from .enums import create_types, enums_of_history, is_made_by_plugin, keep_enums
from .history import HistoryKeeper
from .moved import compare_columns
from .operations import AuditDDLOp
from .partitions import plan_partitions

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext

_MOVED = "audit-table-elsewhere"

#: Given to ``context.configure()``: let revisions drop audit tables and columns.
DROP_HISTORY_OPTION = "audit_drop_history"

_INFO_PREFIX = "audit."

#: What happens to a database without anybody deciding it in the models. No revision mends that; an installation does.
#: Types are those of the models; an installation goes by what the tables have.
_DRIFT = frozenset({"trigger-disabled", "trigger-replica", "guard-disabled", "function-callable", "column-type"})

#: What Alembic finds by itself, as audit tables are in the ``MetaData``.
_FOUND_BY_ALEMBIC = frozenset(
    {
        "audit-table-missing",
        "column-missing",
        view_table.MISSING,
        view_table.OUTDATED,
        seal_tables.MISSING,
        seal_tables.OUTDATED,
    }
)

#: What Alembic's own operations may need: before them. Everything else comes after tables and columns were added.
_NEEDED_FIRST = frozenset({"schema-missing", "type-missing", "sequence-missing", _MOVED})

#: What the triggers of partitions may still use.
_NEEDED_LAST = frozenset({"function-orphaned"})

#: What stands in the way now and is mended by the revision itself.
_ABOUT_TO_COME = frozenset({"table-absent", "column-absent"})


def compare(context: AutogenContext, upgrade_ops: UpgradeOps) -> None:
    """Add our operations to ``upgrade_ops`` and change Alembic's so that history stays.

    :raises AuditInstallError: a name of ours is taken, or a table has to be adopted first.
    """
    for op in _created_tables(upgrade_ops):
        # A revision must not carry the options of the day it was written, and Alembic could not write them down.
        op.info = {key: value for key, value in op.info.items() if not str(key).startswith(_INFO_PREFIX)}
    if context.dialect is not None and context.dialect.name == "postgresql":
        for metadata in _metadatas(context):
            _Comparison.of(context, metadata, upgrade_ops).add_to(upgrade_ops)


def _created_tables(container: OpContainer) -> Iterator[CreateTableOp]:
    for op in container.ops:
        if isinstance(op, CreateTableOp):
            yield op
        elif isinstance(op, OpContainer):
            yield from _created_tables(op)


def _metadatas(context: AutogenContext) -> Iterable[MetaData]:
    if context.metadata is None:
        return ()
    return (context.metadata,) if isinstance(context.metadata, MetaData) else context.metadata


@dataclass(frozen=True)
class _Comparison:
    """One ``MetaData`` against the database.

    :ivar moved: the changed columns of the keeper's ``ours``.
    :ivar left_out: the shared tables that ``include_object`` leaves out, so that no revision makes them.
    """

    declared: Declared
    installed: Installed
    plan: Plan
    keeper: HistoryKeeper
    moved: tuple[ModifyTableOps, ...]
    left_out: frozenset[QualifiedName]

    @classmethod
    def of(cls, context: AutogenContext, metadata: MetaData, upgrade_ops: UpgradeOps) -> _Comparison:
        connection = context.connection
        assert connection is not None  # noqa: S101 - Alembic refuses to autogenerate without one
        schema = connection.exec_driver_sql("SELECT pg_catalog.current_schema()").scalar() or "public"
        declared = build_declared_or_empty(metadata, schema)
        names = [name.name for name in declared.function_names]
        installed = read_installed(connection, declared.schemas, names)
        declared = _without_filtered(declared, context)
        may_drop = bool(context.opts.get(DROP_HISTORY_OPTION, False))
        keys = () if declared.mask_key_table is None else (declared.infrastructure.mask_key_table,)
        histories = declared.audit_tables.union(shared_tables(declared, installed), keys)
        keeper = HistoryKeeper(schema, histories, (), may_drop)
        dropped = {keeper.name_of(op) for op in upgrade_ops.ops if isinstance(op, DropTableOp)}
        todo = plan(declared, installed, prune={*declared.others, *filter(None, dropped)})
        moved: set[QualifiedName | None] = set()
        moved.update(*(action.relations for action in todo.actions if action.code == _MOVED))
        created = {keeper.name_of(op) for op in upgrade_ops.ops if isinstance(op, CreateTableOp)}
        # Without include_schemas Alembic does not look into the schema that a model names for its audit table.
        unseen = histories & created & installed.relations.keys()
        ours = frozenset(moved | unseen)
        changes = tuple(compare_columns(context, declared, installed, ours))
        views = declared.view_table
        is_left_out = views is not None and not _is_included(views, context)
        left_out = frozenset({declared.infrastructure.view_table} if is_left_out else ())
        return cls(declared, installed, todo, replace(keeper, ours=ours), changes, left_out)

    def add_to(self, upgrade_ops: UpgradeOps) -> None:
        """Change ``upgrade_ops`` in place."""
        self._refuse()
        self.keeper.keep(upgrade_ops)
        upgrade_ops.ops = [op for op in upgrade_ops.ops if not self._is_ours(op)]
        enums = enums_of_history(self.declared.metadata)
        types = create_types(upgrade_ops, enums, self.installed, self.keeper.default_schema)
        actions = [action for action in self._actions() if not _is_made(action, types, upgrade_ops)]
        if not self.keeper.may_drop:
            keep_enums(upgrade_ops, enums, self.installed)
        first = [self._build_op(action) for action in actions if action.code in _NEEDED_FIRST]
        first += types.values()
        then = [self._build_op(action) for action in actions if action.code not in _NEEDED_FIRST | _NEEDED_LAST]
        then += plan_partitions(self.declared, self.installed, self.plan)
        then += [self._build_op(action) for action in actions if action.code in _NEEDED_LAST]
        late = list(self._take_drops(upgrade_ops)) if then else []
        upgrade_ops.ops = [*first, *upgrade_ops.ops, *self.moved, *then, *late]

    def _refuse(self) -> None:
        fatal = [str(problem) for problem in self.plan.fatal if problem.code not in _ABOUT_TO_COME]
        if fatal:
            raise AuditInstallError("\n".join(fatal))

    def _actions(self) -> Iterator[Action]:
        """The part of the plan that belongs into a revision and that Alembic does not see by itself."""
        partitions = {p.name for found in self.installed.partitions.values() for p in found}
        for action in self.plan.actions:
            is_ours = bool(set(action.relations).intersection(self.keeper.ours))
            if action.code == UNFINISHED:
                raise AuditInstallError(
                    f"{action}: the audit table is one of the classic library; run flask audit install first"
                )
            if action.code in _DRIFT or (action.code in _FOUND_BY_ALEMBIC and not is_ours):
                continue
            if action.guards_history and not self.left_out.isdisjoint(action.relations):
                continue
            # Which partitions there are is different in every database: see plan_partitions().
            if partitions.isdisjoint(action.relations) or action.table in action.relations:
                yield action

    def _build_op(self, action: Action) -> AuditDDLOp:
        undo = action.undo
        if action.code == "sequence-missing" and self.keeper.may_drop:
            undo = (drop_sequence_sql(self.declared.infrastructure),)
        return AuditDDLOp(*action.statements, comment=str(action), undo=undo)

    def _is_ours(self, op: MigrateOperation) -> bool:
        """Whether alembic_utils wants to drop a function or trigger of ours, as it was not told of them."""
        target = getattr(op, "target", None)
        if not type(op).__module__.startswith("alembic_utils") or type(op).__name__ != "DropOp" or target is None:
            return False
        name = target.signature.partition("(")[0].strip('"')
        functions = {function for function in self.installed.functions if self.installed.is_ours(function)}
        triggers = {t.definition.name for table in self.installed.triggers for t in self.installed.our_triggers(table)}
        return QualifiedName(target.schema, name) in functions or name in triggers

    def _take_drops(self, upgrade_ops: UpgradeOps) -> Iterator[MigrateOperation]:
        """Take out the drops: before them the functions have to forget what is dropped."""
        dropped = {self.keeper.name_of(op) for op in upgrade_ops.ops if isinstance(op, DropTableOp)}
        audited = {table.name for table in self.declared.tables}
        kept: list[MigrateOperation] = []
        for op in upgrade_ops.ops:
            name = self.keeper.name_of(op)
            if name is not None and name in dropped:
                yield op
            elif isinstance(op, ModifyTableOps) and name in audited:
                drops = [part for part in op.ops if isinstance(part, DropColumnOp)]
                op.ops = [part for part in op.ops if not isinstance(part, DropColumnOp)]
                if drops:
                    yield ModifyTableOps(op.table_name, drops, schema=op.schema)
                if op.ops:
                    kept.append(op)
            else:
                kept.append(op)
        upgrade_ops.ops = kept


def _is_made(action: Action, types: Collection[str], upgrade_ops: UpgradeOps) -> bool:
    """Whether the step is an enum type that another operation creates."""
    name = action.relations[0].name if action.code == "type-missing" else ""
    return name in types or is_made_by_plugin(upgrade_ops, name)


def _without_filtered(declared: Declared, context: AutogenContext) -> Declared:
    """Without the tables that ``include_object`` in ``env.py`` leaves out, or whose history it leaves out.

    A trigger that finds nothing to write to would fail every change.
    """
    logs = (declared.maintenance_table, declared.redaction_table) if declared.tables else ()
    shared = (declared.transaction_table, *logs) if declared.tables else ()
    tables = tuple(
        table
        for table in declared.tables
        if all(_is_included(each, context) for each in (table.audited.table, table.audited.audit_table, *shared))
    )
    return replace(declared, tables=tables)


def _is_included(table: Table, context: AutogenContext) -> bool:
    return context.run_object_filters(table, table.name, "table", False, None)
