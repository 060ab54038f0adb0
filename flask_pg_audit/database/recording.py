"""Planning what records: the functions, and the triggers on tables and partitions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace

from .action import Action
from .adoption import UNFINISHED, is_classic_function
from .audit_table import find_former
from .declared import Declared, DeclaredTable
from .function import AuditFunction, comment_sql, revoke_sql
from .installed import REPLICA, Installed, InstalledFunction, InstalledTrigger
from .name import QualifiedName
from .render import TEMPLATE_VERSION, ident
from .trigger import AuditTrigger, TriggerDefinition


def plan_recording(table: DeclaredTable, declared: Declared, installed: Installed) -> Iterator[Action]:
    """The steps for the function and triggers of one audited table."""
    trigger = table.trigger
    yield from plan_function(trigger.function, trigger.table, installed)
    yield from _plan_triggers(trigger, trigger.table, trigger.triggers, installed)
    partitions = installed.partitions.get(trigger.table, ())
    for partition in partitions:
        if not partition.is_foreign:
            wanted = trigger.partition_triggers(partition.has_rows)
            yield from _plan_triggers(trigger, partition.name, wanted, installed)
    # A partition that was detached keeps its triggers, and would go on to write into this table's history.
    for other in sorted(installed.triggers.keys() - {trigger.table, *(partition.name for partition in partitions)}):
        yield from _plan_triggers(trigger, other, (), installed)
    yield from _plan_earlier(table, declared, installed)


def plan_function(function: AuditFunction, table: QualifiedName | None, installed: Installed) -> Iterator[Action]:
    """Create the function, or replace it where body, properties or comment differ."""
    subject = f"function {function.name.display}"
    existing = installed.functions.get(function.name)
    if existing is None:
        undo = (function.drop_sql,)
        yield Action("function-missing", "create", subject, "missing", function.create_statements, table, undo)
        return
    difference = _difference(function, existing)
    if difference is not None:
        code, reason = difference
        yield Action(code, "replace", subject, reason, function.create_statements, table, _recreate(existing))
    elif existing.callers:
        revokes = tuple(revoke_sql(existing.signature, _role(role)) for role in existing.callers)
        reason = f"callable by {', '.join(existing.callers)}"
        yield Action("function-callable", "alter", subject, reason, revokes, table)


def _role(name: str) -> str:
    return name if name == "PUBLIC" else ident(name)


def _difference(wanted: AuditFunction, found: InstalledFunction) -> tuple[str, str] | None:
    """The code and the reason for which ``found`` has to be replaced; ``None`` when it is as it should be."""
    if is_classic_function(found, wanted.audit_table):
        return UNFINISHED, "classic library"
    if found.is_edited:
        return "function-edited", "edited by hand"
    if found.source != wanted.source:
        made_by = found.fingerprint.template if found.fingerprint else None
        of_template = f": template {made_by}, now {TEMPLATE_VERSION}" if made_by not in (None, TEMPLATE_VERSION) else ""
        return "function-outdated", f"outdated{of_template}"
    properties = (found.security_definer, found.language, found.is_volatile, found.has_settings)
    if properties != (wanted.security_definer, wanted.language, True, False):
        return "function-altered", "altered"
    return ("function-altered", "comment") if found.fingerprint != wanted.fingerprint else None


def _recreate(found: InstalledFunction) -> tuple[str, ...]:
    """The statements that bring a function back as it was; a replaced one keeps its owner and privileges."""
    return (found.definition.rstrip(), comment_sql(found.signature, found.comment))


def drop_function(name: QualifiedName, found: InstalledFunction, reason: str, table: QualifiedName | None) -> Action:
    """Drop a function that nothing calls any more."""
    create, comment = _recreate(found)
    undo = (create, revoke_sql(found.signature, "PUBLIC"), comment)
    statement = f"DROP FUNCTION IF EXISTS {found.signature}"
    return Action("function-orphaned", "drop", f"function {name.display}", reason, (statement,), table, undo)


def drop_trigger(
    found: InstalledTrigger, on: QualifiedName, reason: str, table: QualifiedName | None, code: str = "trigger-unwanted"
) -> Action:
    """Drop a trigger of ours."""
    definition = found.definition
    subject = f"trigger {definition.name} on {on.display}"
    undo = definition.create_statements(on)
    return Action(code, "drop", subject, reason, (definition.drop_sql(on),), table, undo, (on,))


def _plan_triggers(
    trigger: AuditTrigger, on: QualifiedName, wanted: tuple[TriggerDefinition, ...], installed: Installed
) -> Iterator[Action]:
    existing = {found.definition.name: found for found in installed.triggers.get(on, ())}
    names = {definition.name for definition in wanted}
    unwanted = [
        found
        for found in existing.values()
        if found.definition.function == trigger.function_name and found.definition.name not in names
    ]
    for definition in wanted:
        found = existing.get(definition.name)
        renamed = [other for other in unwanted if _is_renamed(other.definition, definition)]
        if found is None and renamed:
            unwanted.remove(renamed[0])
            yield _rename(renamed[0], definition, on, trigger.table)
        else:
            yield from _plan_trigger(definition, found, on, trigger)
    for found in unwanted:
        yield drop_trigger(found, on, "no longer wanted", trigger.table)


def _is_renamed(found: TriggerDefinition, wanted: TriggerDefinition) -> bool:
    return replace(found, name=wanted.name, always=wanted.always) == wanted


def _rename(found: InstalledTrigger, wanted: TriggerDefinition, on: QualifiedName, table: QualifiedName) -> Action:
    """Put the trigger under its own name; ``ALTER TRIGGER`` would leave out the partitions before PostgreSQL 15."""
    old = found.definition
    return Action(
        "trigger-renamed",
        "rename",
        f"trigger {old.name} on {on.display}",
        f"was {wanted.name}",
        (*wanted.create_statements(on), old.drop_sql(on)),
        table,
        (*old.create_statements(on), wanted.drop_sql(on)),
        (on,),
    )


def _plan_trigger(
    wanted: TriggerDefinition, found: InstalledTrigger | None, on: QualifiedName, trigger: AuditTrigger
) -> Iterator[Action]:
    subject = f"trigger {wanted.name} on {on.display}"
    create = wanted.create_statements(on)
    if found is None:
        code = "trigger-missing" if on == trigger.table else "partition-unrecorded"
        yield Action(code, "create", subject, "missing", create, trigger.table, (wanted.drop_sql(on),), (on,))
    elif found.definition == wanted and found.is_enabled:
        return
    elif replace(found.definition, always=wanted.always) != wanted:
        undo = found.definition.create_statements(on)
        yield Action("trigger-outdated", "replace", subject, "outdated", create, trigger.table, undo, (on,))
    elif not found.is_enabled:
        code, reason = ("trigger-replica", "replica only") if found.enabled == REPLICA else _DISABLED
        yield Action(code, "replace", subject, reason, create, trigger.table, relations=(on,))
    else:
        code, reason = _NOT_ALWAYS if wanted.always else _ALWAYS
        undo = found.definition.create_statements(on)
        yield Action(code, "replace", subject, reason, create, trigger.table, undo, (on,))


_DISABLED = ("trigger-disabled", "disabled")
_NOT_ALWAYS = ("trigger-not-always", "does not fire in replication")
_ALWAYS = ("trigger-always", "fires in replication, too")


def _plan_earlier(table: DeclaredTable, declared: Declared, installed: Installed) -> Iterator[Action]:
    """Drop what an earlier name left on the table, else every change would be recorded twice.

    After a rename of the table, or of functions and triggers by another naming convention, the old triggers are
    still there, and so after a move to another AUDIT_SCHEMA. What records elsewhere and is not next to ours is
    somebody else's.
    """
    trigger = table.trigger
    wanted = {trigger.table: trigger.triggers}
    for partition in installed.partitions.get(trigger.table, ()):
        wanted[partition.name] = trigger.partition_triggers(partition.has_rows)
    functions = set()
    for on, definitions in wanted.items():
        names = {definition.name for definition in definitions}
        for found in installed.triggers.get(on, ()):
            function = found.definition.function
            if function in declared.function_names or not _is_earlier(function, table, declared, installed):
                continue  # ours, or somebody else's
            functions.add(function)
            if found.definition.name not in names:
                yield drop_trigger(found, on, "of an earlier name", trigger.table)
    for function in sorted(functions):
        if not _has_triggers(function, installed, besides=wanted.keys()):
            yield drop_function(function, installed.functions[function], "of an earlier name", trigger.table)


def _is_earlier(function: QualifiedName, table: DeclaredTable, declared: Declared, installed: Installed) -> bool:
    if is_classic_function(installed.functions.get(function), table.trigger.audit_table):
        return True
    if not installed.is_ours(function):
        return False
    fingerprint = installed.functions[function].fingerprint
    histories = {table.trigger.audit_table, find_former(table, declared, installed)} - {None}
    records_here = fingerprint is not None and fingerprint.audit_table in histories
    return records_here or function.schema == declared.infrastructure.schema


def _has_triggers(function: QualifiedName, installed: Installed, besides: Collection[QualifiedName]) -> bool:
    return any(
        found.definition.function == function
        for on, triggers in installed.triggers.items()
        if on not in besides
        for found in triggers
    )
