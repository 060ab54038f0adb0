"""Ways in which somebody other than the owner could falsify the history, read from owners and privileges."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .action import Problem
from .declared import Declared
from .installed import Installed
from .name import QualifiedName
from .render import ident, qualified
from .seal_tables import installed_seal_tables
from .view_table import has_view_log


def find_weaknesses(declared: Declared, installed: Installed) -> Iterator[Problem]:
    """What an installation leaves as it is, because somebody may have decided it: privileges and owners."""
    shared = declared.infrastructure
    for table in declared.tables:
        yield from _find_writers(table.trigger.audit_table, table.name, installed)
        yield from _find_owner(table.trigger.function_name, table.trigger.audit_table, table.name, installed)
        yield from _find_risk(table.trigger.function_name, table.trigger.audit_table, table.name, installed)
        yield from _find_table_owner(table.trigger.function_name, table.name, installed)
    seals = installed_seal_tables(declared, installed, shared)
    logs = (shared.transaction_table, shared.maintenance_table, shared.redaction_table, *seals)
    numberings = [
        name
        for name, relation in installed.relations.items()
        if relation.numbered is not None and QualifiedName(name.schema, relation.numbered) in (*logs, shared.view_table)
    ]
    for name in (*logs, shared.mask_key_table, shared.sequence):
        yield from _find_writers(name, None, installed)
    for name in sorted(numberings):
        # Who may write all data is told of the table.
        yield from _find_writers(name, None, installed, told=("pg_write_all_data",))
    if has_view_log(declared, installed, shared):
        # The application's role adds to it, and may not take anything back.
        yield from _find_writers(shared.view_table, None, installed, allowed=("INSERT",))
    for function in shared.functions():
        yield from _find_owner(function.name, shared.transaction_table, None, installed)
    yield from _find_risk(shared.begin_transaction, shared.transaction_table, None, installed)


def _find_writers(
    name: QualifiedName,
    table: QualifiedName | None,
    installed: Installed,
    allowed: Collection[str] = (),
    told: Collection[str] = (),
) -> Iterator[Problem]:
    relation = installed.relations.get(name)
    if relation is None:
        return
    for role, granted in relation.writers.items():
        privileges = tuple(privilege for privilege in granted if privilege not in (*allowed, *told))
        if not privileges:
            continue
        on = "SEQUENCE" if relation.kind == "S" else "TABLE"
        quoted = role if role == "PUBLIC" else ident(role)
        if privileges == ("pg_write_all_data",):
            fix = f"REVOKE pg_write_all_data FROM {quoted}"
        else:
            again = ", ".join(("SELECT", *allowed))
            fix = f"REVOKE ALL ON {on} {qualified(name)} FROM {quoted}, and grant it {again} again if it reads history"
        what = f"{role} may write {name.display} ({', '.join(privileges)})"
        yield Problem("audit-table-writable", table, what, fix)


def _find_owner(
    name: QualifiedName, history: QualifiedName, table: QualifiedName | None, installed: Installed
) -> Iterator[Problem]:
    function, relation = installed.functions.get(name), installed.relations.get(history)
    if function is None or relation is None or not function.is_ours or function.owner == relation.owner:
        return
    if function.owner_is_superuser:
        return  # may write anything, and nobody else may replace it
    if qualified(history) not in function.source:
        consequence = "may replace it, and it runs with the rights of others"
    elif "INSERT" in relation.writers.get(function.owner, ()):
        consequence = "may replace what is recorded"
    else:
        consequence = "may not write there, so changes fail"
    what = f"the function {name.display} belongs to {function.owner}, {history.display} to {relation.owner}"
    fix = f"ALTER FUNCTION {function.signature} OWNER TO {ident(relation.owner)}"
    yield Problem("function-owner", table, f"{what}; {function.owner} {consequence}", fix)


def _find_risk(
    name: QualifiedName, history: QualifiedName, table: QualifiedName | None, installed: Installed
) -> Iterator[Problem]:
    """The owner of a table decides what else runs when it is written: triggers, defaults, checks."""
    function, relation = installed.functions.get(name), installed.relations.get(history)
    if function is None or relation is None or not function.is_ours:
        return
    if function.owner_is_superuser and not relation.owner_is_superuser:
        what = (
            f"{history.display} belongs to {relation.owner}, and {function.owner}, a superuser, writes it through the "
            f"function {name.display}"
        )
        fix = f"ALTER TABLE {qualified(history)} OWNER TO {ident(function.owner)}"
        yield Problem("audit-table-owner", table, what, fix)


def _find_table_owner(name: QualifiedName, table: QualifiedName, installed: Installed) -> Iterator[Problem]:
    """The owner of an audited table may give a column a type of his own, with a cast that is a function of his.

    When the function writes such a value into the history, it calls the cast. It cannot refuse to: no expression of SQL
    keeps a user's cast from being found, and to look for one in the catalog would cost every change.
    """
    function, relation = installed.functions.get(name), installed.relations.get(table)
    if function is None or relation is None or not function.is_ours or relation.owner_is_superuser:
        return
    if function.owner != relation.owner:
        power = "a superuser" if function.owner_is_superuser else "who may write the history"
        what = f"belongs to {relation.owner}, and is recorded with the rights of {function.owner}, {power}"
        fix = f"ALTER TABLE {qualified(table)} OWNER TO {ident(function.owner)}"
        yield Problem("table-owner", table, what, fix)
