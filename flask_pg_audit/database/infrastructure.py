"""Planning what all audit tables share: schemas, the sequence, functions, and tables such as ``audit_transaction``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sqlalchemy import Sequence, Table
from sqlalchemy.schema import CreateSequence

from .action import Action, Problem, lock_sql
from .audit_table import histories_taken_over, plan_history, set_schema_sql
from .declared import Declared
from .function import Infrastructure
from .installed import Installed, InstalledRelation
from .mask_key import plan_mask_key_table
from .name import QualifiedName
from .recording import drop_function, plan_function
from .render import DIALECT, ident, literal, qualified, render
from .seal_tables import installed_seal_tables, plan_seal_tables, taken_seal_names
from .view_table import has_view_log, is_name_taken, plan_view_table


def plan_infrastructure(declared: Declared, installed: Installed) -> Iterator[Action]:
    """The steps for what is shared; before those for the tables, which call it."""
    shared = declared.infrastructure
    schemas = {shared.schema} | {name.schema for name in declared.audit_tables}
    for schema in sorted(schemas - installed.schemas):
        create = f"CREATE SCHEMA IF NOT EXISTS {ident(schema)}"
        yield Action("schema-missing", "create", f"schema {schema}", "missing", (create,))
    former = find_former_schema(declared, installed)
    if former is None:
        yield from _plan_sequence(declared, installed)
        existing = installed.relations.get(shared.transaction_table)
        actions = plan_history(declared.transaction_table, shared.transaction_table, existing, None, installed)
        yield from (_continue_numbers(action, declared, installed) for action in actions)
    else:
        yield from _plan_move(former, declared, installed)
    for table, name in _logs(declared, shared):
        yield from _plan_log(table, name, installed, former)
    yield from plan_view_table(declared, installed, former)
    yield from plan_mask_key_table(declared, installed, former)
    yield from plan_seal_tables(declared, installed, former)
    for function in shared.functions():
        yield from plan_function(function, None, installed)


def shared_tables(declared: Declared, installed: Installed) -> tuple[QualifiedName, ...]:
    """The tables that hold what is said of all history; nobody may rewrite them either."""
    shared = declared.infrastructure
    tables = [shared.transaction_table, shared.maintenance_table, shared.redaction_table]
    if declared.view_table is not None and not is_name_taken(declared, installed):
        tables.append(shared.view_table)
    taken = {*taken_seal_names(declared, installed)}
    return (*tables, *(name for _, name in declared.seal_tables if name not in taken))


def _logs(declared: Declared, shared: Infrastructure) -> Iterator[tuple[Table, QualifiedName]]:
    """The tables that tell what was done to history."""
    yield declared.maintenance_table, shared.maintenance_table
    yield declared.redaction_table, shared.redaction_table


def _plan_log(
    table: Table, name: QualifiedName, installed: Installed, former: Infrastructure | None
) -> Iterator[Action]:
    existing = installed.relations.get(name)
    if existing is None and former is not None:
        existing = installed.relations.get(QualifiedName(former.schema, name.name))
    yield from plan_history(table, name, existing, None, installed)


def plan_former_infrastructure(declared: Declared, installed: Installed) -> Iterator[Action]:
    """Drop the shared functions that were left in an earlier AUDIT_SCHEMA; after the tables no longer call them."""
    former = find_former_schema(declared, installed)
    if former is not None:
        for function in reversed(former.functions()):
            if installed.is_ours(function.name):
                yield drop_function(function.name, installed.functions[function.name], "moved", None)


def find_former_schema(declared: Declared, installed: Installed) -> Infrastructure | None:
    """Where ``audit_transaction`` and the sequence are, when they are to move to another AUDIT_SCHEMA.

    Told by the functions that record our tables from another schema: into our audit tables, or for triggers that
    ours replace.
    """
    if declared.infrastructure.transaction_table in installed.relations:
        return None
    schemas = {
        function.schema
        for table in declared.tables
        for function, audit_table in installed.histories_of(table.name)
        if function.schema != declared.infrastructure.schema
        and (
            audit_table == table.trigger.audit_table
            or (function, audit_table) in histories_taken_over(table, installed)
        )
    }
    former = [shared for shared in _shared_in(schemas) if shared.transaction_table in installed.relations]
    return former[0] if len(former) == 1 else None


def _shared_in(schemas: Iterable[str]) -> Iterator[Infrastructure]:
    for schema in schemas:
        yield Infrastructure(schema, is_keyed=True)  # whatever may be there


def find_shared_schema(declared: Declared, installed: Installed) -> Iterator[Problem]:
    """Another application's tables in the schema that is to be left: they need what would be moved."""
    former = find_former_schema(declared, installed)
    if former is None:
        return
    ours = {table.name for table in declared.tables}
    ours |= {partition.name for table in ours for partition in installed.partitions.get(table, ())}
    others = sorted(
        table.display
        for table in installed.triggers
        if table not in ours
        and any(
            trigger.definition.function.schema == former.schema
            and trigger.definition.function != former.refuse_rewriting  # it is moved along
            for trigger in installed.our_triggers(table)
        )
    )
    if others:
        yield Problem(
            "audit-schema-shared",
            None,
            f"AUDIT_SCHEMA is {declared.infrastructure.schema} now, but {former.transaction_table.display} also serves "
            f"tables that this application does not audit: {', '.join(others)}",
            f"set AUDIT_SCHEMA back to {former.schema!r}, or stop auditing those tables first",
            fatal=True,
        )


def _plan_move(former: Infrastructure, declared: Declared, installed: Installed) -> Iterator[Action]:
    shared = declared.infrastructure
    # Else a writer that is on its way to the old schema would not find it.
    lock = lock_sql({table.name for table in declared.tables} & installed.relations.keys(), "ACCESS EXCLUSIVE")
    moves = [
        ("TABLE", former.transaction_table, shared.transaction_table),
        ("SEQUENCE", former.sequence, shared.sequence),
        ("TABLE", former.maintenance_table, shared.maintenance_table),
        ("TABLE", former.redaction_table, shared.redaction_table),
    ]
    if has_view_log(declared, installed, former):
        moves.append(("TABLE", former.view_table, shared.view_table))
    if declared.mask_key_table is not None:
        moves.append(("TABLE", former.mask_key_table, shared.mask_key_table))
    for old in installed_seal_tables(declared, installed, former):
        moves.append(("TABLE", old, QualifiedName(shared.schema, old.name)))
    for kind, old, new in moves:
        if old in installed.relations and new not in installed.relations:
            yield Action(
                "audit-table-elsewhere",
                "move",
                f"{kind.lower()} {old.display} to {new.display}",
                "AUDIT_SCHEMA",
                (*lock, set_schema_sql(kind, old, new.schema)),
                undo=(*lock, set_schema_sql(kind, new, old.schema)),
                relations=(old, new),
            )


def _plan_sequence(declared: Declared, installed: Installed) -> Iterator[Action]:
    name = declared.infrastructure.sequence
    if name not in installed.relations:
        create = CreateSequence(Sequence(name.name, schema=name.schema), if_not_exists=True)
        statement = str(create.compile(dialect=DIALECT)).strip()
        action = Action("sequence-missing", "create", f"sequence {name.display}", "missing", (statement,))
        yield _continue_numbers(action, declared, installed)


def drop_sequence_sql(shared: Infrastructure) -> str:
    """For who drops history: without it the numbers mean nothing."""
    return f"DROP SEQUENCE IF EXISTS {qualified(shared.sequence)}"


def _continue_numbers(action: Action, declared: Declared, installed: Installed) -> Action:
    """Where history exists but what numbered it is gone, go on behind its highest number, never at 1 again."""
    shared = declared.infrastructure
    histories = sorted(name for name in declared.audit_tables if _has_ids(installed.relations.get(name)))
    if not histories or action.verb != "create":
        return action
    if action.code == "sequence-missing":
        sequence, column = literal(qualified(shared.sequence)), "audit_id"
    else:
        sequence = f"pg_catalog.pg_get_serial_sequence({literal(qualified(shared.transaction_table))}, 'id')"
        column = "audit_transaction_id"
    statement = render("continue_numbers", sequence=sequence, column=column, histories=histories)
    return replace(action, reason="lost", statements=(*action.statements, statement))


def _has_ids(relation: InstalledRelation | None) -> bool:
    return relation is not None and {"audit_id", "audit_transaction_id"} <= relation.columns.keys()
