"""``plan(declared, installed)``: what has to be done, in order, and why. Pure: it neither reads nor writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import MetaData, Sequence, Table
from sqlalchemy.schema import (
    CreateIndex,
    CreateSequence,
    CreateTable,
    ExecutableDDLElement,
    SetColumnComment,
    SetTableComment,
)

from ..declare.columns import SETTING_KEY
from ..declare.registry import AuditedTable, audited_tables, transaction_table
from ..declare.tables import SEQUENCE_NAME
from ..errors import AuditConfigError
from .catalog import Installed, InstalledRelation, InstalledTrigger
from .name import QualifiedName
from .render import DIALECT, ident, qualified
from .trigger import (
    AuditFunction,
    AuditTrigger,
    Infrastructure,
    TriggerDefinition,
    build_audit_trigger,
    build_infrastructure,
)


@dataclass(frozen=True)
class DeclaredTable:
    """One audited table: what SQLAlchemy knows of it and the trigger compiled from that."""

    audited: AuditedTable
    trigger: AuditTrigger


@dataclass(frozen=True)
class Declared:
    """Everything that a ``MetaData`` declares."""

    metadata: MetaData
    infrastructure: Infrastructure
    tables: tuple[DeclaredTable, ...]

    @property
    def schemas(self) -> set[str]:
        """The schemas to read from the catalog."""
        names = {self.infrastructure.schema}
        for table in self.tables:
            names |= {table.trigger.table.schema, table.trigger.audit_table.schema}
        return names

    @property
    def functions(self) -> tuple[AuditFunction, ...]:
        """The shared functions and one per table."""
        return (*self.infrastructure.functions(), *(table.trigger.function for table in self.tables))


@dataclass(frozen=True)
class Action:
    """One step: a statement, what it is about, and why it is needed.

    :ivar verb: ``create``, ``add``, ``replace``, ``enable`` or ``drop``.
    :ivar subject: what it does it to, readable: ``trigger public_account_audit_insert on account``.
    :ivar table: the audited table that needs it; ``None`` for what all tables share.
    """

    verb: str
    subject: str
    reason: str
    statements: tuple[str, ...]
    table: QualifiedName | None = None

    def __str__(self) -> str:
        return f"{self.verb} {self.subject} ({self.reason})"


@dataclass(frozen=True)
class Problem:
    """Why a table cannot be audited as declared, or not reliably; ``fatal`` ones stop an installation.

    :ivar table: the audited table; ``None`` for what concerns all tables.
    """

    table: QualifiedName | None
    message: str
    fatal: bool

    def __str__(self) -> str:
        return f"{self.table.display}: {self.message}" if self.table else self.message


@dataclass(frozen=True)
class Plan:
    """The actions that bring the database to what is declared, in order, and what stands in the way."""

    actions: tuple[Action, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def statements(self) -> tuple[str, ...]:
        return tuple(statement for action in self.actions for statement in action.statements)

    def for_table(self, table: QualifiedName, with_shared: bool = False) -> Plan:
        """The part that concerns one audited table; ``with_shared`` adds what all tables need."""
        wanted = (table, None) if with_shared else (table,)
        return Plan(
            tuple(action for action in self.actions if action.table in wanted),
            tuple(problem for problem in self.problems if problem.table in wanted),
        )


def build_declared(metadata: MetaData, default_schema: str) -> Declared:
    """Compile what ``metadata`` declares; tables without a schema are in ``default_schema``.

    :raises AuditConfigError: no table is audited.
    """
    transaction_table(metadata)
    tables = tuple(
        DeclaredTable(audited, build_audit_trigger(audited, default_schema)) for audited in audited_tables(metadata)
    )
    _check_names_are_distinct(tables)
    return Declared(metadata, build_infrastructure(metadata, default_schema), tables)


def _check_names_are_distinct(tables: tuple[DeclaredTable, ...]) -> None:
    """A convention without %(schema)s may give two tables of one name one function."""
    owners: dict[QualifiedName, QualifiedName] = {}
    for table in tables:
        owner = owners.setdefault(table.trigger.function_name, table.trigger.table)
        if owner != table.trigger.table:
            raise AuditConfigError(
                f"the tables {owner.display} and {table.trigger.table.display} would share the function "
                f"{table.trigger.function_name.display}; put %(schema)s into the naming convention 'audit.function'"
            )


def plan(declared: Declared, installed: Installed) -> Plan:
    """Compare and return what is missing or differs; an empty plan means that all is well."""
    declared = _as_in_database(declared, installed)
    actions = (
        *_plan_infrastructure(declared, installed),
        *(action for table in declared.tables for action in _plan_table(table, installed)),
        *_plan_renamed(declared, installed),
    )
    problems = (
        *_find_foreign_infrastructure(declared.infrastructure, installed),
        *(problem for table in declared.tables for problem in find_problems(table, installed)),
    )
    return Plan(actions, problems)


def assume_tables(declared: Declared) -> Installed:
    """What to plan against when there is no database to read: the tables exist, nothing of ours does."""
    return Installed(schemas=frozenset(declared.schemas - {declared.infrastructure.schema} | {"public"}))


def plan_removal(declared: Declared, installed: Installed) -> Plan:
    """Drop the triggers and functions; audit tables and ``audit_transaction`` stay."""
    ours = {table.trigger.function_name for table in declared.tables}
    triggers = (
        _drop_trigger(found, table, "uninstall")
        for table, on_table in installed.triggers.items()
        for found in on_table
        if found.definition.function in ours
    )
    functions = (
        Action("drop", f"function {function.name.display}", "uninstall", (function.drop_sql,))
        for function in reversed(_removable_functions(declared, installed))
        if function.name in installed.functions and installed.functions[function.name].is_ours
    )
    return Plan((*triggers, *functions))


def _removable_functions(declared: Declared, installed: Installed) -> tuple[AuditFunction, ...]:
    """The shared functions stay while trigger functions of another application in this database call them."""
    ours = {function.name for function in declared.functions}
    call = qualified(declared.infrastructure.current_transaction)
    if any(call in found.source for name, found in installed.functions.items() if name not in ours):
        return tuple(table.trigger.function for table in declared.tables)
    return declared.functions


def plan_history_removal(declared: Declared, installed: Installed) -> Plan:
    """Drop the audit tables, ``audit_transaction`` and the sequence: the history is gone."""
    shared = declared.infrastructure
    tables = [table.trigger.audit_table for table in declared.tables] + [shared.transaction_table]
    drops = [
        Action("drop", f"table {name.display}", "history", (f"DROP TABLE {qualified(name)}",))
        for name in tables
        if name in installed.relations
    ]
    if shared.sequence in installed.relations:
        statement = f"DROP SEQUENCE {qualified(shared.sequence)}"
        drops.append(Action("drop", f"sequence {shared.sequence.display}", "history", (statement,)))
    return Plan(tuple(drops))


def _as_in_database(declared: Declared, installed: Installed) -> Declared:
    """What a model may not say and the catalog knows: partitioning, and which columns are virtual.

    PostgreSQL 18 fails an update whose trigger joins transition tables and reads a virtual column.
    """

    def refresh(table: DeclaredTable) -> DeclaredTable:
        relation = installed.relations.get(table.trigger.table)
        if relation is None:
            return table
        stored = tuple(name for name in table.trigger.columns if name not in relation.virtual)
        return replace(table, trigger=replace(table.trigger, partitioned=relation.is_partitioned, columns=stored))

    return replace(declared, tables=tuple(map(refresh, declared.tables)))


def _plan_infrastructure(declared: Declared, installed: Installed) -> Iterator[Action]:
    shared = declared.infrastructure
    schemas = {shared.schema} | {table.trigger.audit_table.schema for table in declared.tables}
    for schema in sorted(schemas - installed.schemas):
        yield Action("create", f"schema {schema}", "missing", (f"CREATE SCHEMA IF NOT EXISTS {ident(schema)}",))
    if shared.sequence not in installed.relations:
        sequence = Sequence(SEQUENCE_NAME, schema=shared.schema)
        create = _compile(CreateSequence(sequence, if_not_exists=True))
        yield Action("create", f"sequence {shared.sequence.display}", "missing", (create,))
    yield from _plan_audit_table(transaction_table(declared.metadata), shared.transaction_table, None, installed)
    for function in shared.functions():
        yield from _plan_function(function, None, installed)


def _plan_table(declared: DeclaredTable, installed: Installed) -> Iterator[Action]:
    trigger = declared.trigger
    yield from _plan_audit_table(declared.audited.audit_table, trigger.audit_table, trigger.table, installed)
    yield from _plan_function(trigger.function, trigger.table, installed)
    yield from _plan_triggers(trigger, trigger.table, trigger.triggers, installed)
    partitions = installed.partitions.get(trigger.table, ())
    for partition in partitions:
        wanted = trigger.partition_triggers(partition.has_rows)
        yield from _plan_triggers(trigger, partition.name, wanted, installed)
    # A partition that was detached keeps its triggers, and would go on to write into this table's history.
    for other in sorted(installed.triggers.keys() - {trigger.table, *(partition.name for partition in partitions)}):
        yield from _plan_triggers(trigger, other, (), installed)


def _plan_renamed(declared: Declared, installed: Installed) -> Iterator[Action]:
    """Drop what an earlier name left on audited tables, else every change would be recorded twice.

    After a rename of the table, or of functions and triggers by another naming convention, the old triggers are
    still there. Only those whose function is next to ours: auditing in another AUDIT_SCHEMA is somebody else's.
    """
    wanted = {table.trigger.function_name for table in declared.tables}
    for table in declared.tables:
        trigger = table.trigger
        names = {definition.name for definition in trigger.triggers}
        for found in installed.triggers.get(trigger.table, ()):
            function = found.definition.function
            is_ours = function in installed.functions and installed.functions[function].is_ours
            is_next_to_ours = function.schema == trigger.function_name.schema and function not in wanted
            if is_ours and is_next_to_ours and found.definition.name not in names:
                yield replace(_drop_trigger(found, trigger.table, "of an earlier name"), table=trigger.table)


def _plan_audit_table(
    table: Table, name: QualifiedName, audited: QualifiedName | None, installed: Installed
) -> Iterator[Action]:
    existing = installed.relations.get(name)
    if existing is None:
        yield Action("create", f"table {name.display}", "missing", tuple(_create_table(table)), audited)
        return
    for column in table.columns:
        if column.name not in existing.columns:
            type_ = column.type.compile(dialect=DIALECT)
            statements = [f"ALTER TABLE {qualified(name)} ADD COLUMN {ident(column.name)} {type_}"]
            if column.comment:
                statements.append(_compile(SetColumnComment(column)))
            why = "session setting" if SETTING_KEY in column.info else "missing"
            yield Action("add", f"column {column.name} to {name.display}", why, tuple(statements), audited)


def _create_table(table: Table) -> Iterator[str]:
    yield _compile(CreateTable(table, if_not_exists=True))
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        yield _compile(CreateIndex(index, if_not_exists=True))
    # As create_all() does; Alembic would find the comments missing.
    if table.comment:
        yield _compile(SetTableComment(table))
    for column in table.columns:
        if column.comment:
            yield _compile(SetColumnComment(column))


def _compile(element: ExecutableDDLElement) -> str:
    return str(element.compile(dialect=DIALECT)).strip()


def _plan_function(function: AuditFunction, table: QualifiedName | None, installed: Installed) -> Iterator[Action]:
    existing = installed.functions.get(function.name)
    if existing is None:
        verb, reason = "create", "missing"
    elif existing.source != function.source:
        verb, reason = "replace", "outdated"
    elif existing.security_definer != function.security_definer or existing.has_settings:
        verb, reason = "replace", "altered"
    else:
        return
    statements = (function.create_sql, function.revoke_sql)
    yield Action(verb, f"function {function.name.display}", reason, statements, table)


def _plan_triggers(
    trigger: AuditTrigger,
    table: QualifiedName,
    wanted: tuple[TriggerDefinition, ...],
    installed: Installed,
) -> Iterator[Action]:
    existing = {found.definition.name: found for found in installed.triggers.get(table, ())}
    for definition in wanted:
        found = existing.get(definition.name)
        reason = _why_create(definition, found)
        if reason is not None:
            subject = f"trigger {definition.name} on {table.display}"
            verb = "create" if found is None else "replace"
            yield Action(verb, subject, reason, (definition.create_sql(table),), trigger.table)
    names = {definition.name for definition in wanted}
    for found in existing.values():
        if found.definition.function == trigger.function_name and found.definition.name not in names:
            yield replace(_drop_trigger(found, table, "no longer wanted"), table=trigger.table)


def _why_create(wanted: TriggerDefinition, found: InstalledTrigger | None) -> str | None:
    if found is None:
        return "missing"
    if found.definition != wanted:
        return "outdated"
    return None if found.is_enabled else "disabled"


def _drop_trigger(found: InstalledTrigger, table: QualifiedName, reason: str) -> Action:
    subject = f"trigger {found.definition.name} on {table.display}"
    return Action("drop", subject, reason, (found.definition.drop_sql(table),))


def find_problems(declared: DeclaredTable, installed: Installed) -> Iterator[Problem]:
    """What an installation cannot mend by itself."""
    table = declared.trigger.table
    relation = installed.relations.get(table)
    if relation is None:
        yield Problem(
            table,
            "the table is declared but not in the database; run your migrations or create_all() first",
            True,
        )
        return
    if not relation.is_table:
        yield Problem(table, "is no table in the database, and only tables can be audited", True)
        return
    image = declared.trigger.columns
    absent = [name for name in image if name not in relation.columns]
    if absent:
        yield Problem(
            table,
            f"declared but not in the database: column {', '.join(absent)}; run your migrations first",
            True,
        )
    known = {column.name for column in declared.audited.table.columns}
    unrecorded = [name for name in relation.columns if name not in known]
    if unrecorded:
        yield Problem(
            table,
            f"not declared, so changes are not recorded: column {', '.join(unrecorded)}; declare or exclude it",
            False,
        )
    virtual = [column.name for column in declared.audited.image_columns if column.name in relation.virtual]
    if virtual:
        # Trap T14. Computed() without persisted=... means virtual from SQLAlchemy 2.1 on PostgreSQL 18 on.
        yield Problem(
            table,
            f"virtual generated column {', '.join(virtual)}: triggers cannot see its value, so null is recorded; "
            "exclude it, or declare Computed(..., persisted=True) and migrate it to STORED",
            False,
        )
    yield from _find_narrow_columns(declared.trigger, installed)
    yield from _find_foreign_objects(declared.trigger, installed)
    yield from _find_row_triggers(declared.trigger, installed)


def _find_narrow_columns(trigger: AuditTrigger, installed: Installed) -> Iterator[Problem]:
    """Trap T13: ``ALTER COLUMN TYPE`` on the table alone; the history may then refuse what the table takes."""
    history = installed.relations.get(trigger.audit_table)
    for column in trigger.columns:
        live = installed.relations[trigger.table].columns.get(column)
        kept = history.columns.get(column) if history else None
        if live is None or kept is None or _holds(kept, live):
            continue
        alter = f"ALTER TABLE {qualified(trigger.audit_table)} ALTER COLUMN {ident(column)} TYPE {live}"
        yield Problem(
            trigger.table,
            f"column {column} is {live} and its history {kept}, which may refuse changes or alter values; "
            f"change the history too: {alter}",
            False,
        )


#: What may hold a type's values without refusing or altering any.
_UNLIMITED_TEXT = frozenset(("text", "character varying"))


def _holds(kept: str, live: str) -> bool:
    """Whether every value of the type ``live`` can be stored as ``kept``: the same type, or without its limit."""
    plain = re.sub(r"\(.*?\)", "", live)
    return kept in (live, plain) or {kept, plain} <= _UNLIMITED_TEXT


def _find_foreign_objects(trigger: AuditTrigger, installed: Installed) -> Iterator[Problem]:
    function = installed.functions.get(trigger.function_name)
    if function is not None and not function.is_ours:
        yield Problem(
            trigger.table,
            f"there is another function called {trigger.function_name.display}; set a naming convention "
            'for "audit.function"',
            True,
        )
    for name in _foreign_triggers(trigger, installed):
        yield Problem(
            trigger.table,
            f'there is another trigger called {name}; set a naming convention for "audit.trigger"',
            True,
        )
    if _is_foreign(installed.relations.get(trigger.audit_table), {"audit_transaction_id", "audit_id"}):
        yield Problem(
            trigger.table,
            f"there is another table called {trigger.audit_table.display}, which is no audit table; set a naming "
            'convention for "audit.table" or another "schema_name"',
            True,
        )


def _foreign_triggers(trigger: AuditTrigger, installed: Installed) -> list[str]:
    """Triggers that carry our names and call a function that this package did not generate."""
    ours = {name for name, function in installed.functions.items() if function.is_ours}
    names = {definition.name for definition in trigger.triggers}
    on_table = (found.definition for found in installed.triggers.get(trigger.table, ()))
    return [found.name for found in on_table if found.name in names and found.function not in ours]


def _is_foreign(relation: InstalledRelation | None, columns: set[str]) -> bool:
    """Whether a name of ours is taken by something that is no table or lacks ``columns``."""
    return relation is not None and not (relation.is_table and columns <= relation.columns.keys())


def _find_foreign_infrastructure(shared: Infrastructure, installed: Installed) -> Iterator[Problem]:
    taken = [
        f"function {function.name.display}"
        for function in shared.functions()
        if function.name in installed.functions and not installed.functions[function.name].is_ours
    ]
    if _is_foreign(installed.relations.get(shared.transaction_table), {"id", "issued_at", "db_role"}):
        taken.append(f"table {shared.transaction_table.display}")
    sequence = installed.relations.get(shared.sequence)
    if sequence is not None and sequence.kind != "S":
        taken.append(f"sequence {shared.sequence.display}")
    for what in taken:
        yield Problem(
            None,
            f"the name of the {what} is taken by something that flask_pg_audit did not make; rename that, "
            "or give auditing a schema of its own with AUDIT_SCHEMA",
            True,
        )


def _find_row_triggers(trigger: AuditTrigger, installed: Installed) -> Iterator[Problem]:
    """Trap T2: rows that another AFTER ROW trigger writes are recorded before the statement that fired it."""
    others = [
        found.definition.name
        for found in installed.triggers.get(trigger.table, ())
        if found.definition.is_after_row and found.definition.function != trigger.function_name
    ]
    if trigger.level == "statement" and others:
        yield Problem(
            trigger.table,
            f"has the row-level trigger {', '.join(others)}; if that writes to this table, its changes are recorded "
            'before the change that fired it: set level="row"',
            False,
        )
    first = min(definition.name for definition in trigger.triggers)
    earlier = [name for name in others if name.encode() < first.encode()]
    if trigger.level == "row" and earlier:
        yield Problem(
            trigger.table,
            f"the trigger {', '.join(earlier)} fires before {first}; rename it to sort behind",
            False,
        )
