"""What stands in the way of auditing a table, or makes it unreliable, and no installation can mend."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Table

from ..declare.absence import first_clear, parse_absences, parse_masks
from .action import Problem
from .adoption import is_classic, is_classic_function, is_unfinished
from .audit_table import alter_type_sql, index_columns, index_definition, narrow_columns, primary_key_name
from .column_type import widens_in_place
from .declared import Declared, DeclaredTable
from .installed import Installed, InstalledRelation
from .name import QualifiedName
from .render import ident, qualified
from .seal_tables import taken_seal_names
from .trigger import AuditTrigger
from .view_table import is_name_taken


def find_problems(table: DeclaredTable, declared: Declared, installed: Installed) -> Iterator[Problem]:
    """The problems of one audited table."""
    yield from _find_absent(table, installed)
    relation = installed.relations.get(table.name)
    if relation is not None and relation.is_table:
        yield from _find_unrecorded_columns(table, relation)
        if not _is_something_else(installed.relations.get(table.trigger.audit_table)):
            yield from _find_column_types(table, installed)
            yield from _find_domains(table, installed)
            yield from _find_clear_history(table, installed)
            yield from _find_index(table, installed)
        yield from _find_unrecorded_tables(table, declared, installed)
        yield from _find_foreign_objects(table.trigger, installed)
        yield from _find_own_key(table, installed)
        yield from _find_row_triggers(table.trigger, installed)
        yield from _find_split_history(table, declared, installed)


def _find_absent(table: DeclaredTable, installed: Installed) -> Iterator[Problem]:
    """What is declared and not there."""
    name, relation = table.name, installed.relations.get(table.name)
    if relation is None:
        what, fix = "the table is declared but not in the database", "run your migrations or create_all() first"
        yield Problem("table-absent", name, what, fix, fatal=True)
    elif not relation.is_table:
        what, fix = "is no table in the database, and only tables can be audited", "take audited() away"
        yield Problem("table-absent", name, what, fix, fatal=True)
    else:
        absent = [column for column in table.trigger.columns if column not in relation.columns]
        if absent:
            what = f"declared but not in the database: column {', '.join(absent)}"
            yield Problem("column-absent", name, what, "run your migrations first", fatal=True)


def _find_clear_history(table: DeclaredTable, installed: Installed) -> Iterator[Problem]:
    """What was recorded before a column was masked."""
    history = installed.relations.get(table.trigger.audit_table)
    for mask in table.trigger.masks:
        comment = history.comments.get(mask.column) if history is not None else None
        masks = parse_masks(comment)
        clear = first_clear(parse_absences(comment), masks)
        if history is not None and masks and clear is not None:
            until = next((found.start for found in masks if found.start > clear), None)
            changes = f"from {clear} to {until}" if until is not None else f"from {clear} on"
            yield Problem(
                "mask-incomplete",
                table.name,
                f"column {mask.column} was not masked when the changes {changes} were recorded, which may have the "
                "values as they were",
                f"flask audit redact {table.name.display} --unmasked removes them",
            )


def _find_unrecorded_columns(table: DeclaredTable, relation: InstalledRelation) -> Iterator[Problem]:
    known = {column.name for column in table.audited.table.columns}
    unrecorded = [name for name in relation.columns if name not in known]
    if unrecorded:
        what = f"not declared, so changes are not recorded: column {', '.join(unrecorded)}"
        yield Problem("column-undeclared", table.name, what, "declare or exclude it")
    virtual = [column.name for column in table.audited.image_columns if column.name in relation.virtual]
    if virtual:
        # Trap T14. Computed() without persisted=... means virtual from SQLAlchemy 2.1 on PostgreSQL 18 on.
        yield Problem(
            "column-virtual",
            table.name,
            f"virtual generated column {', '.join(virtual)}: triggers cannot see its value, so null is recorded",
            "exclude it, or declare Computed(..., persisted=True) and migrate it to STORED",
        )


def _find_column_types(table: DeclaredTable, installed: Installed) -> Iterator[Problem]:
    audit_table = table.trigger.audit_table
    history = installed.relations.get(audit_table)
    for column, live, kept in narrow_columns(table, installed.relations[table.name], history):
        if not widens_in_place(kept, live) and column not in table.trigger.retyped:
            is_copy = column in table.trigger.columns
            types = f"is {live} and its history {kept}" if is_copy else f"should be {live} and is {kept} in its history"
            yield Problem(
                "column-type",
                table.name,
                f"column {column} {types}, which may refuse changes or alter values",
                f"change the history too, which rewrites it: {alter_type_sql(audit_table, column, live)}",
            )


def _find_domains(table: DeclaredTable, installed: Installed) -> Iterator[Problem]:
    """A domain that the application declares as something else than SQLAlchemy's ``DOMAIN`` reaches the history."""
    audit_table = table.trigger.audit_table
    history = installed.relations.get(audit_table)
    if history is None:
        return
    for column, domain in history.domains.items():
        what = f"column {column} of {audit_table.display} is of the domain {domain}, whose constraints hold there too"
        alter = alter_type_sql(audit_table, column, history.columns[column])
        fix = f"{alter}, and declare the column with SQLAlchemy's DOMAIN, else a migration brings it back"
        yield Problem("column-domain", table.name, what, fix)


def _find_index(table: DeclaredTable, installed: Installed) -> Iterator[Problem]:
    history = installed.relations.get(table.trigger.audit_table)
    if history is not None and not is_classic(history) and not is_unfinished(history):
        yield from _find_key(table, history)
        yield from _find_indexes(table.audited.audit_table, table.trigger.audit_table, table.name, installed)


def _find_indexes(
    history: Table, name: QualifiedName, audited: QualifiedName | None, installed: Installed
) -> Iterator[Problem]:
    """Not created by an installation: on a long history that would keep writers waiting."""
    relation = installed.relations.get(name)
    if relation is None:
        return
    existing = {index.columns for index in relation.indexes}
    for index in sorted(history.indexes, key=lambda index: str(index.name)):
        columns = index_columns(index)
        if {*filter(None, columns)} <= relation.columns.keys() and columns not in existing:
            yield Problem(
                "index-missing",
                audited,
                f"{name.display} lacks the index {index.name}, so reading the history is slow",
                f"CREATE INDEX CONCURRENTLY {ident(str(index.name))} {index_definition(index, name)}",
            )


def _find_key(table: DeclaredTable, history: InstalledRelation) -> Iterator[Problem]:
    if is_classic(history) or any(index.primary for index in history.indexes):
        return
    name = table.trigger.audit_table
    key = ident(primary_key_name(table.audited.audit_table, name))
    yield Problem(
        "index-missing",
        table.name,
        f"{name.display} has no primary key, so reading is slow",
        f"CREATE UNIQUE INDEX CONCURRENTLY {key} ON {qualified(name)} (audit_transaction_id, audit_id), "
        f"then ALTER TABLE {qualified(name)} ADD CONSTRAINT {key} PRIMARY KEY USING INDEX {key}",
    )


def _find_unrecorded_tables(table: DeclaredTable, declared: Declared, installed: Installed) -> Iterator[Problem]:
    audited = {other.name for other in declared.tables}
    children = [child for child in installed.children.get(table.name, ()) if child not in audited]
    if children:
        yield Problem(
            "child-unrecorded",
            table.name,
            f"writes to {', '.join(child.display for child in children)}, which inherit from it, are not recorded",
            "audit them as tables of their own, or make it a partitioned table",
        )
    foreign = [p.name.display for p in installed.partitions.get(table.name, ()) if p.is_foreign]
    if foreign:
        yield Problem(
            "partition-foreign",
            table.name,
            f"writes to the foreign table {', '.join(foreign)} are not recorded",
            "audit it on its own server",
        )


def _find_foreign_objects(trigger: AuditTrigger, installed: Installed) -> Iterator[Problem]:
    function = installed.functions.get(trigger.function_name)
    if function is not None and not function.is_ours and not is_classic_function(function, trigger.audit_table):
        what, convention = f"function called {trigger.function_name.display}", "audit.function"
        yield _taken(trigger, what, f'set a naming convention for "{convention}"')
    for name in _foreign_triggers(trigger, installed):
        yield _taken(trigger, f"trigger called {name}", 'set a naming convention for "audit.trigger"')
    history = installed.relations.get(trigger.audit_table)
    if _is_something_else(history):
        what = f"table called {trigger.audit_table.display}, which is no audit table"
        yield _taken(trigger, what, 'set a naming convention for "audit.table" or another "schema_name"')


def _find_own_key(table: DeclaredTable, installed: Installed) -> Iterator[Problem]:
    """A key that somebody gave to an audit table of the classic library, which made none."""
    name = table.trigger.audit_table
    history = installed.relations.get(name)
    if history is None or not (is_classic(history) or is_unfinished(history)):
        return
    for index in history.indexes:
        if index.primary and index.columns != ("audit_transaction_id", "audit_id"):
            yield Problem(
                "adoption-blocked",
                table.name,
                f"its history {name.display} has a primary key of its own",
                f"ALTER TABLE {qualified(name)} DROP CONSTRAINT {ident(index.name)}, and the ids become the key",
                fatal=True,
            )


def _is_something_else(history: InstalledRelation | None) -> bool:
    """Whether the audit table's name is taken."""
    return not is_classic(history) and _is_foreign(history, {"audit_transaction_id", "audit_id"})


def _taken(trigger: AuditTrigger, what: str, fix: str) -> Problem:
    return Problem("name-taken", trigger.table, f"there is another {what}", fix, fatal=True)


def _foreign_triggers(trigger: AuditTrigger, installed: Installed) -> list[str]:
    """Triggers that carry our names and call a function that this package did not generate."""
    names = {definition.name for definition in trigger.triggers}
    on_table = (found.definition for found in installed.triggers.get(trigger.table, ()))
    return [found.name for found in on_table if found.name in names and not installed.is_ours(found.function)]


def _is_foreign(relation: InstalledRelation | None, columns: set[str]) -> bool:
    """Whether a name of ours is taken by something that is no table or lacks ``columns``."""
    return relation is not None and not (relation.is_table and columns <= relation.columns.keys())


def find_shared_problems(declared: Declared, installed: Installed) -> Iterator[Problem]:
    """The problems of what all audited tables share."""
    for what in _taken_shared_names(declared, installed):
        yield Problem(
            "name-taken",
            None,
            f"the name of the {what} is taken by something that flask_pg_audit did not make",
            "rename that, or give auditing a schema of its own with AUDIT_SCHEMA",
            fatal=True,
        )
    yield from _find_indexes(declared.transaction_table, declared.infrastructure.transaction_table, None, installed)
    if declared.view_table is not None and not is_name_taken(declared, installed):
        yield from _find_indexes(declared.view_table, declared.infrastructure.view_table, None, installed)


def _taken_shared_names(declared: Declared, installed: Installed) -> Iterator[str]:
    shared = declared.infrastructure
    for function in shared.functions():
        if function.name in installed.functions and not installed.is_ours(function.name):
            yield f"function {function.name.display}"
    if _is_foreign(installed.relations.get(shared.transaction_table), {"id", "issued_at", "db_role"}):
        yield f"table {shared.transaction_table.display}"
    if _is_foreign(installed.relations.get(shared.maintenance_table), {"id", "began_at", "xact", "reason"}):
        yield f"table {shared.maintenance_table.display}"
    if _is_foreign(installed.relations.get(shared.redaction_table), {"id", "audit_id", "columns", "leaf_after"}):
        yield f"table {shared.redaction_table.display}"
    if declared.mask_key_table is not None and _is_foreign(
        installed.relations.get(shared.mask_key_table), {"id", "created_at", "inner_pad", "outer_pad"}
    ):
        yield f"table {shared.mask_key_table.display}"
    if is_name_taken(declared, installed):
        yield f"table {shared.view_table.display}"
    for name in taken_seal_names(declared, installed):
        yield f"table {name.display}"
    sequence = installed.relations.get(shared.sequence)
    if sequence is not None and sequence.kind != "S":
        yield f"sequence {shared.sequence.display}"


def _find_row_triggers(trigger: AuditTrigger, installed: Installed) -> Iterator[Problem]:
    """Trap T2: rows that another AFTER ROW trigger writes are recorded before the statement that fired it."""
    tables = (trigger.table, *(partition.name for partition in installed.partitions.get(trigger.table, ())))
    others = {(on, name) for on in tables for name in _others_row_triggers(trigger, on, installed)}
    shown = [name if on == trigger.table else f"{name} on {on.display}" for on, name in sorted(others)]
    if trigger.level == "statement" and shown:
        yield Problem(
            "row-trigger",
            trigger.table,
            f"has the row-level trigger {', '.join(shown)}; if that writes to this table, its changes are recorded "
            "before the change that fired it",
            'set level="row"',
        )
    references = installed.cascading_self_references.get(trigger.table, ())
    if trigger.level == "statement" and references:
        yield Problem(
            "row-trigger",
            trigger.table,
            f"its foreign key {', '.join(references)} to itself changes rows when a key changes, and those changes are "
            "recorded before the change of the key",
            'set level="row"',
        )
    first = min(definition.name for definition in trigger.triggers)
    earlier = sorted({name for _, name in others if name.encode() < first.encode()})
    if trigger.level == "row" and earlier:
        what = f"the trigger {', '.join(earlier)} fires before {first}"
        yield Problem("row-trigger-first", trigger.table, what, "rename it to sort behind")


def _others_row_triggers(trigger: AuditTrigger, table: QualifiedName, installed: Installed) -> Iterator[str]:
    """The AFTER ROW triggers on ``table`` that are not ours, those that it has from its parent not included."""
    for found in installed.triggers.get(table, ()):
        function = found.definition.function
        is_known = installed.is_ours(function) or is_classic_function(
            installed.functions.get(function), trigger.audit_table
        )
        if found.definition.is_after_row and not is_known:
            yield found.definition.name


def _find_split_history(table: DeclaredTable, declared: Declared, installed: Installed) -> Iterator[Problem]:
    """The table was renamed and a new audit table was made before its history could be renamed with it."""
    target = table.trigger.audit_table
    for function, audit_table in sorted(installed.histories_of(table.name)):
        is_ours = function.schema == table.trigger.function_name.schema
        if is_ours and audit_table != target and {audit_table, target} <= installed.relations.keys():
            fix = f"drop {target.display} if it is empty, and install again: the history is renamed then"
            if audit_table in declared.audit_tables:
                fix = (
                    "the tables have taken over each other's names: flask audit uninstall, rename the audit tables "
                    "after them, and install again"
                )
            what = f"its history so far is in {audit_table.display}, and {target.display} exists as well"
            yield Problem("history-split", table.name, what, fix, fatal=True)
