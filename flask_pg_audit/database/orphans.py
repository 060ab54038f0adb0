"""What records although nothing declares it any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from .action import Action, Problem
from .declared import Declared
from .installed import Installed, InstalledTrigger
from .name import QualifiedName
from .recording import drop_function, drop_trigger


@dataclass(frozen=True)
class Orphan:
    """A function of ours that no declared table wants, with its triggers.

    :ivar table: the table that it records, or did; ``None`` when not even its comment tells.
    """

    function: QualifiedName
    table: QualifiedName | None
    triggers: tuple[tuple[QualifiedName, InstalledTrigger], ...]


def find_orphans(declared: Declared, installed: Installed) -> tuple[Orphan, ...]:
    """The orphans in our own schema; another application may have tables there that this one does not know."""
    return tuple(_iter_orphans(declared, installed))


def _iter_orphans(declared: Declared, installed: Installed) -> Iterator[Orphan]:
    handled = {table.name for table in declared.tables}
    known = declared.function_names | declared.beside
    handled |= {p.name for table in declared.tables for p in installed.partitions.get(table.name, ())}
    for name, function in sorted(installed.functions.items()):
        if not function.is_ours or name.schema != declared.infrastructure.schema or name in known:
            continue
        triggers = tuple(
            (table, found)
            for table, on_table in installed.triggers.items()
            for found in on_table
            if found.definition.function == name
        )
        fingerprint = function.fingerprint
        recorded = fingerprint.table if fingerprint else None
        on_declared = any(table in handled for table, _ in triggers)
        if not on_declared and (triggers or recorded is not None):
            tables = [table for table, _ in triggers]
            yield Orphan(name, recorded if recorded in tables or not tables else tables[0], triggers)


def find_orphan_problems(declared: Declared, installed: Installed) -> Iterator[Problem]:
    """One problem for each orphan."""
    for orphan in find_orphans(declared, installed):
        if orphan.triggers:
            what = f"still recorded by {orphan.function.display}, although no model asks for it"
            yield Problem("trigger-orphaned", orphan.table, what, "flask audit install --prune ends that")
        else:
            what = f"the function {orphan.function.display} is left over: no trigger calls it"
            yield Problem("function-orphaned", orphan.table, what, "flask audit install --prune drops it")


def plan_pruning(
    declared: Declared, installed: Installed, tables: Collection[QualifiedName] | None = None
) -> Iterator[Action]:
    """Drop the orphans, of ``tables`` only if given; the history stays."""
    for orphan in find_orphans(declared, installed):
        if tables is None or orphan.table in tables:
            for table, found in orphan.triggers:
                yield drop_trigger(found, table, "no longer audited", orphan.table)
            yield drop_function(
                orphan.function, installed.functions[orphan.function], "no longer audited", orphan.table
            )
