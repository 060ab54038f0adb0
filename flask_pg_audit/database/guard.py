"""Planning the guard: a trigger on all that holds history, which refuses ``UPDATE``, ``DELETE`` and ``TRUNCATE``.

It lets pass what opened it in the same transaction by ``audit_begin_maintenance()``, and that leaves a row in
``audit_maintenance``, which the guard never lets anybody take back. It fires for everybody, superusers included, and
in replication as well. Inserts, which is what auditing does, do not meet it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from .action import Action
from .audit_table import find_former
from .declared import Declared
from .infrastructure import find_former_schema, shared_tables
from .installed import DISABLED, REPLICA, Installed, InstalledTrigger
from .name import QualifiedName
from .recording import drop_trigger
from .trigger import TriggerDefinition, build_guard


@dataclass(frozen=True)
class GuardedTable:
    """A table that holds history.

    :ivar name: as it is to be called.
    :ivar found_as: as it is called now.
    :ivar audited: the table whose history it is; ``None`` for what all tables share.
    """

    name: QualifiedName
    found_as: QualifiedName
    audited: QualifiedName | None


def guarded_tables(declared: Declared, installed: Installed) -> Iterator[GuardedTable]:
    """Everything that holds history: audit tables, their partitions, and what they share."""
    for table in (*_audit_tables(declared, installed), *_shared_tables(declared, installed)):
        yield table
        for partition in installed.partitions.get(table.found_as, ()):
            if not partition.is_foreign:  # on which there are no such triggers
                yield GuardedTable(partition.name, partition.name, table.audited)


def _audit_tables(declared: Declared, installed: Installed) -> Iterator[GuardedTable]:
    for table in declared.tables:
        name = table.trigger.audit_table
        yield GuardedTable(name, find_former(table, declared, installed) or name, table.name)


def _shared_tables(declared: Declared, installed: Installed) -> Iterator[GuardedTable]:
    former = find_former_schema(declared, installed)
    for name in shared_tables(declared, installed):
        old = name if former is None else QualifiedName(former.schema, name.name)
        yield GuardedTable(name, old if old in installed.relations else name, None)


def plan_guard(declared: Declared, installed: Installed) -> Iterator[Action]:
    """Put the guard on what lacks it, and back where somebody changed it."""
    guard = build_guard(declared.infrastructure)
    tables = [*guarded_tables(declared, installed)]
    tables += _guarded_from_former_schema(declared, installed, {table.found_as for table in tables})
    for table in tables:
        found = {found.definition.name: found for found in installed.triggers.get(table.found_as, ())}
        yield from _plan_trigger(guard, found.pop(guard.name, None), table)
        for other in found.values():
            if other.definition.function == guard.function:
                yield drop_trigger(other, table.name, "the guard under another name", table.audited, "guard-altered")


def _guarded_from_former_schema(
    declared: Declared, installed: Installed, known: set[QualifiedName]
) -> Iterator[GuardedTable]:
    """The history of tables that are no longer audited: its guard calls the function that is about to be dropped."""
    former = find_former_schema(declared, installed)
    for table, on_table in installed.triggers.items():
        functions = {found.definition.function for found in on_table}
        if former is not None and table not in known and former.refuse_rewriting in functions:
            yield GuardedTable(table, table, None)


def _plan_trigger(guard: TriggerDefinition, found: InstalledTrigger | None, table: GuardedTable) -> Iterator[Action]:
    subject = f"trigger {guard.name} on {table.name.display}"
    create = guard.create_statements(table.name)
    relations = (table.name,)
    audited = table.audited
    if found is None:
        undo: tuple[str, ...] = (guard.drop_sql(table.name),)
        yield Action("guard-missing", "create", subject, "missing", create, audited, undo, relations)
    elif found.enabled == DISABLED:
        yield Action("guard-disabled", "replace", subject, "switched off", create, audited, relations=relations)
    elif found.definition != guard:
        undo = found.definition.create_statements(table.name)
        reason = _difference(guard, found)
        yield Action("guard-altered", "replace", subject, reason, create, audited, undo, relations)


def _difference(guard: TriggerDefinition, found: InstalledTrigger) -> str:
    if replace(found.definition, always=True) != guard:
        return "outdated"
    return "fires in replication only" if found.enabled == REPLICA else "does not fire in replication"
