"""Planning what the application's database roles may do with history: read it, and add to the log of who read it.

Only roles that were named, and ``PUBLIC``, lose anything, and only on history; what the application may do with its
own tables is its own affair. What a role has by other ways than a grant to itself, ``role_problems`` tells.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from .action import Action, Problem
from .declared import Declared
from .function import revoke_sql
from .guard import GuardedTable, guarded_tables
from .installed import Installed
from .name import QualifiedName
from .render import ident, qualified, render

PRIVILEGES = "app-role-privileges"

_PUBLIC = "PUBLIC"


def history_tables(declared: Declared, installed: Installed) -> Iterator[GuardedTable]:
    """Everything that holds history, each once."""
    seen = set()
    for table in guarded_tables(declared, installed):
        if table.name not in seen:
            seen.add(table.name)
            yield table


def allowed_on(table: QualifiedName, declared: Declared) -> frozenset[str]:
    """What the application's role may do with a table of history."""
    is_view_log = table == declared.infrastructure.view_table
    return frozenset({"SELECT", "INSERT"} if is_view_log else {"SELECT"})


def plan_app_roles(declared: Declared, installed: Installed, roles: Collection[str]) -> Iterator[Action]:
    """Grant what the roles need, and revoke what else they and everybody were granted."""
    names = sorted(role for role in roles if not _is_absent(role, installed))
    if names:
        yield from _plan_schemas(declared, installed, names)
        for table in history_tables(declared, installed):
            yield from _plan_table(table, declared, installed, names)
        yield from _plan_sequence(declared, installed, names)
        yield from _plan_functions(declared, installed, names)


def find_app_role_problems(declared: Declared, installed: Installed, roles: Collection[str]) -> Iterator[Problem]:
    """Why the roles cannot be restricted."""
    for role in sorted(roles):
        if _is_absent(role, installed):
            fix = f"CREATE ROLE {ident(role)} LOGIN first, or correct the name"
            yield Problem("app-role-absent", None, f"there is no database role {role!r}", fix, fatal=True)
        elif role == installed.grants.acting:
            what = f"the installation runs as {role!r}, the application's role, which would own the history"
            yield Problem("app-role-owner", None, what, _OTHER_OWNER, fatal=True)
        elif owned := sorted(_owned(role, declared, installed)):
            # What is revoked from the owner, the functions that record cannot do either.
            what = f"{role!r}, the application's role, owns {', '.join(owned)}"
            yield Problem("app-role-owner", None, what, _OTHER_OWNER, fatal=True)


def _is_absent(role: str, installed: Installed) -> bool:
    """Known where there is a server to ask."""
    return bool(installed.server_version) and role not in installed.grants.known


_OTHER_OWNER = "let a role of its own own tables and history: run migrations and flask audit install as that"


def _owned(role: str, declared: Declared, installed: Installed) -> Iterator[str]:
    names = {table.found_as for table in history_tables(declared, installed)} | {declared.infrastructure.sequence}
    for name in names:
        if name in installed.relations and installed.relations[name].owner == role:
            yield name.display
    for function in declared.function_names:
        if installed.is_ours(function) and installed.functions[function].owner == role:
            yield f"{function.display}()"


def _plan_schemas(declared: Declared, installed: Installed, roles: Collection[str]) -> Iterator[Action]:
    schemas = {table.name.schema for table in history_tables(declared, installed)}
    for schema in sorted(schemas):
        lacking = [role for role in roles if (role, schema) not in installed.grants.usable]
        if lacking:
            grant = f"GRANT USAGE ON SCHEMA {ident(schema)} TO {_listed(lacking)}"
            yield Action(PRIVILEGES, "grant", f"USAGE on schema {schema} to {_named(lacking)}", "to read", (grant,))


def _plan_table(
    table: GuardedTable, declared: Declared, installed: Installed, roles: Collection[str]
) -> Iterator[Action]:
    wanted = allowed_on(table.name, declared)
    is_new = table.found_as not in installed.relations
    # Somebody's default privileges may grant much on a table that is created now.
    found = dict.fromkeys((*roles, _PUBLIC), _ANYTHING) if is_new else _granted(table.found_as, installed)
    differing = [role for role in roles if found.get(role, frozenset()) != wanted]
    stripped = [role for role in (*differing, _PUBLIC) if found.get(role)]
    name = qualified(table.name)
    statements = []
    if stripped:
        statements.append(f"REVOKE ALL ON TABLE {name} FROM {_listed(stripped)}")
    if differing:
        statements.append(f"GRANT {', '.join(sorted(wanted))} ON TABLE {name} TO {_listed(differing)}")
    if statements:
        subject = f"{_named(differing or stripped)} on table {table.name.display}"
        reason = f"to {' and '.join(sorted(wanted))}" if is_new else _difference(found, wanted, roles)
        yield Action(PRIVILEGES, "restrict", subject, reason, tuple(statements), table.audited)
    if table.name in _numbered(declared):
        yield from _plan_numbering(table, installed, roles)


def _plan_numbering(table: GuardedTable, installed: Installed, roles: Collection[str]) -> Iterator[Action]:
    """The sequence of an identity column: who inserts needs no right on it."""
    is_new = table.found_as not in installed.relations
    grantees = [*roles, _PUBLIC] if is_new else sorted(installed.grants.numberings.get(table.found_as, ()))
    if grantees:
        revoke = render("revoke_numbering", table=table.name, grantees=_listed(grantees))
        subject = f"{_named(roles if is_new else grantees)} on the numbers of {table.name.display}"
        yield Action(PRIVILEGES, "restrict", subject, "to nothing", (revoke,))


def _numbered(declared: Declared) -> Collection[QualifiedName]:
    shared = declared.infrastructure
    return {shared.transaction_table, shared.maintenance_table, shared.redaction_table, shared.view_table}


def _plan_sequence(declared: Declared, installed: Installed, roles: Collection[str]) -> Iterator[Action]:
    name = declared.infrastructure.sequence
    is_new = name not in installed.relations
    grantees = [*roles, _PUBLIC] if is_new else sorted(_granted(name, installed))
    if grantees:
        revoke = f"REVOKE ALL ON SEQUENCE {qualified(name)} FROM {_listed(grantees)}"
        subject = f"{_named(roles if is_new else grantees)} on sequence {name.display}"
        yield Action(PRIVILEGES, "restrict", subject, "to nothing", (revoke,))


def _plan_functions(declared: Declared, installed: Installed, roles: Collection[str]) -> Iterator[Action]:
    """Those that are created now; who may call the others is looked at by every installation."""
    for function in declared.functions:
        if function.name not in installed.functions:
            revoke = revoke_sql(function.signature, _listed(roles))
            subject = f"{_named(roles)} on function {function.name.display}"
            yield Action(PRIVILEGES, "restrict", subject, "to nothing", (revoke,), function.table)


#: Stands for what default privileges may have granted.
_ANYTHING = frozenset({"anything"})


def _granted(name: QualifiedName, installed: Installed) -> dict[str, frozenset[str]]:
    return dict(installed.grants.relations.get(name, {}))


def _difference(found: Mapping[str, frozenset[str]], wanted: frozenset[str], roles: Collection[str]) -> str:
    parts = []
    for role in (*roles, _PUBLIC):
        has, may = found.get(role, frozenset()), frozenset() if role == _PUBLIC else wanted
        if more := sorted(has - may):
            parts.append(f"{role} may {', '.join(more)}")
        if less := sorted(may - has):
            parts.append(f"{role} may not {', '.join(less)}")
    return "; ".join(parts)


def _named(roles: Collection[str]) -> str:
    return ", ".join(roles)


def _listed(roles: Collection[str]) -> str:
    return ", ".join(role if role == _PUBLIC else ident(role) for role in roles)
