"""Planning the way back: without triggers and functions, and, when asked, without the history."""

from __future__ import annotations

from collections.abc import Iterator

from .action import Action, Plan
from .declared import Declared
from .function import AuditFunction
from .guard import guarded_tables
from .infrastructure import shared_tables
from .installed import Installed, InstalledFunction, InstalledTrigger
from .recording import drop_function, drop_trigger
from .render import qualified
from .trigger import build_guard


def plan_removal(declared: Declared, installed: Installed) -> Plan:
    """Drop the triggers and functions; audit tables and ``audit_transaction`` stay."""
    ours = {table.trigger.function_name for table in declared.tables}
    triggers = (
        drop_trigger(found, table, "uninstall", table)
        for table, on_table in installed.triggers.items()
        for found in on_table
        if found.definition.function in ours
    )
    functions = (
        drop_function(function.name, installed.functions[function.name], "uninstall", function.table)
        for function in reversed(_removable_functions(declared, installed))
        if installed.is_ours(function.name)
    )
    return Plan((*triggers, *_drop_guards(declared, installed), *functions))


def _drop_guards(declared: Declared, installed: Installed) -> Iterator[Action]:
    """Those of our own history only, while another application's needs the function."""
    is_shared = _serves_others(declared, installed)
    own = {table.found_as: table.audited for table in guarded_tables(declared, installed)}
    for table, on_table in sorted(installed.triggers.items(), key=lambda item: item[0]):
        audited = own.get(table)
        for found in on_table:
            if found.definition.function == declared.infrastructure.refuse_rewriting and (audited or not is_shared):
                yield drop_trigger(found, table, "uninstall", audited)


def _removable_functions(declared: Declared, installed: Installed) -> tuple[AuditFunction, ...]:
    if _serves_others(declared, installed):
        return tuple(table.trigger.function for table in declared.tables)
    return declared.functions


def _serves_others(declared: Declared, installed: Installed) -> bool:
    """Whether trigger functions of another application in this database use what tables share."""
    call = qualified(declared.infrastructure.current_transaction)
    others = (function for name, function in installed.functions.items() if name not in declared.function_names)
    return any(call in function.source for function in others)


def plan_history_removal(declared: Declared, installed: Installed) -> Plan:
    """Drop the audit tables, what they share and the sequence: the history is gone.

    What is shared stays while another application records with them.
    """
    shared = declared.infrastructure
    is_shared = _serves_others(declared, installed)
    tables = [table.trigger.audit_table for table in declared.tables]
    if not is_shared:
        tables += shared_tables(declared, installed)
        tables.append(shared.mask_key_table)
    drops = [
        Action("uninstall", "drop", f"table {name.display}", "history", (f"DROP TABLE {qualified(name)}",))
        for name in tables
        if name in installed.relations
    ]
    if shared.sequence in installed.relations and not is_shared:
        statement = f"DROP SEQUENCE {qualified(shared.sequence)}"
        drops.append(Action("uninstall", "drop", f"sequence {shared.sequence.display}", "history", (statement,)))
    return Plan(tuple(drops))


def assume_installed(declared: Declared) -> Installed:
    """What to plan a removal against without a database to look at: what is declared, partitions not included."""
    return Installed(
        functions={
            function.name: InstalledFunction(function.source, function.signature, comment=function.fingerprint.render())
            for function in declared.functions
        },
        triggers={
            **{
                table.name: tuple(InstalledTrigger(definition, "O") for definition in table.trigger.triggers)
                for table in declared.tables
            },
            **{
                table.name: (InstalledTrigger(build_guard(declared.infrastructure), "A"),)
                for table in guarded_tables(declared, Installed())
            },
        },
    )
