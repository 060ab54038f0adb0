"""Ways in which the application's own database role could falsify the history, by whatever way it came by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .action import Problem
from .app_role import allowed_on, history_tables
from .declared import Declared
from .installed import Installed
from .name import QualifiedName
from .render import ident, qualified
from .role_powers import POWERFUL_ROLES, Powers, RolePowers

#: From here on CREATEROLE is no way to become a member of any role.
_ADMIN_NEEDED = 160_000


def find_role_problems(declared: Declared, installed: Installed, powers: Powers) -> Iterator[Problem]:
    """Every power of the roles beyond reading history; a superuser's are one."""
    for role in powers.roles:
        if role.superuser is not None:
            yield _power(role, f"{_acting(role, role.superuser)} is a superuser", _no_superuser(role))
            continue
        yield from _find_attributes(role, declared, installed)
        yield from _find_owned(role, declared, installed, powers)
        yield from _find_privileges(role, declared, installed, powers)
        yield from _find_triggers(role, declared, installed, powers)
        yield from _find_views(role, declared, installed, powers)
        yield from _find_creating(role, declared, powers)


def _no_superuser(role: RolePowers) -> str:
    if role.superuser == role.name:
        return f"ALTER ROLE {ident(role.name)} NOSUPERUSER"
    return f"REVOKE {ident(str(role.superuser))} FROM {ident(role.name)}"


def _find_attributes(role: RolePowers, declared: Declared, installed: Installed) -> Iterator[Problem]:
    name = ident(role.name)
    if role.creates_roles and installed.server_version < _ADMIN_NEEDED:
        what = f"{role.name} has CREATEROLE, and may make itself a member of the role that owns the history"
        yield _power(role, what, f"ALTER ROLE {name} NOCREATEROLE")
    if role.replicates:
        what = f"{role.name} has REPLICATION, and may copy the whole cluster and all that is written"
        yield _power(role, what, f"ALTER ROLE {name} NOREPLICATION")
    if role.sets_replica and not all(table.trigger.always for table in declared.tables):
        what = f"{role.name} may set session_replication_role, and so switch off the triggers that record"
        fix = f"REVOKE ALL ON PARAMETER session_replication_role FROM {name}, or set AUDIT_ENABLE_ALWAYS"
        yield _power(role, what, fix)
    for power in sorted(POWERFUL_ROLES.keys() & set(role.reach) - {role.name}):
        what = f"{_acting(role, power)} {POWERFUL_ROLES[power]}"
        yield _power(role, what, f"REVOKE {power} FROM {name}")


def _power(role: RolePowers, what: str, fix: str) -> Problem:
    return Problem("app-role-power", None, what, fix)


def _acting(role: RolePowers, other: str) -> str:
    """The role, and as whom it acts."""
    return role.name if other == role.name else f"{role.name}, which may act as {other},"


def _find_owned(role: RolePowers, declared: Declared, installed: Installed, powers: Powers) -> Iterator[Problem]:
    """One for each audited table with its history and function, and one for what all tables share."""
    owned: dict[QualifiedName | None, list[_Owned]] = {}
    for thing in (*_owned_by_anybody(declared, installed), *_places(powers)):
        if thing.owner in role.reach:
            owned.setdefault(thing.table, []).append(thing)
    borrowed = {thing.owner for things in owned.values() for thing in things} - {role.name}
    for owner in sorted(borrowed):
        what = f"{_acting(role, owner)} owns what is audited, or its history, and may do with it what it likes"
        fix = f"REVOKE {ident(owner)} FROM {ident(role.name)}, or from the role between them"
        yield Problem("app-role-owner", None, what, fix)
    for table, things in owned.items():
        own = [thing for thing in things if thing.owner == role.name]
        if own:
            what = f"{role.name} owns {', '.join(thing.what for thing in own)}"
            alter = ", ".join(f"ALTER {thing.sql} OWNER TO ..." for thing in own)
            yield Problem("app-role-owner", table, what, f"let the role that runs the migrations own it: {alter}")


@dataclass(frozen=True)
class _Owned:
    """Something by whose ownership history can be falsified.

    :ivar what: with what its owner may do.
    :ivar sql: its kind and name, as ``ALTER`` takes them.
    """

    what: str
    sql: str
    owner: str
    table: QualifiedName | None = None


def _owned_by_anybody(declared: Declared, installed: Installed) -> Iterator[_Owned]:
    for table in declared.tables:
        relation = installed.relations.get(table.name)
        if relation is not None:
            what = "the table, and may disable or drop the triggers that record it"
            yield _Owned(what, f"TABLE {qualified(table.name)}", relation.owner, table.name)
    for history in history_tables(declared, installed):
        relation = installed.relations.get(history.found_as)
        if relation is not None:
            what = f"{history.name.display}, and may rewrite it"
            yield _Owned(what, f"TABLE {qualified(history.name)}", relation.owner, history.audited)
    for function in declared.functions:
        found = installed.functions.get(function.name)
        if found is not None and found.is_ours:
            what = f"the function {function.name.display}, and may replace it"
            yield _Owned(what, f"FUNCTION {found.signature}", found.owner, function.table)


def _places(powers: Powers) -> Iterator[_Owned]:
    for kind, name, owner in powers.owners:
        yield _Owned(f"the {kind} {name}, and may drop what is in it", f"{kind.upper()} {ident(name)}", owner)


def _find_privileges(role: RolePowers, declared: Declared, installed: Installed, powers: Powers) -> Iterator[Problem]:
    """Those that come from other roles: what it and everybody were granted themselves, an installation takes away."""
    tables = {table.found_as: (table.name, table.audited) for table in history_tables(declared, installed)}
    tables[declared.infrastructure.sequence] = (declared.infrastructure.sequence, None)
    # What the members of this role may do with every table is a finding of its own.
    known = {"INSERT", "UPDATE", "DELETE"} if "pg_write_all_data" in role.reach else set()
    for found_as, (name, audited) in tables.items():
        relation = installed.relations.get(found_as)
        everybodys = installed.grants.relations.get(found_as, {}).get("PUBLIC", frozenset())
        expected = known | everybodys | allowed_on(name, declared)
        for other in role.reach:
            more = sorted(set(powers.privileges.get(found_as, {}).get(other, ())) - expected)
            # The owner's privileges are those of an owner, which is found above.
            if more and other != role.name and relation is not None and relation.owner != other:
                what = f"{_acting(role, other)} may {', '.join(more)} on {name.display}"
                kind = "SEQUENCE" if relation.kind == "S" else "TABLE"
                fix = f"REVOKE ALL ON {kind} {qualified(name)} FROM {ident(other)}"
                yield Problem("app-role-writes", audited, what, fix)


def _find_triggers(role: RolePowers, declared: Declared, installed: Installed, powers: Powers) -> Iterator[Problem]:
    """A trigger on an audited table runs with the rights of whoever writes it, its owner for one."""
    for table in declared.tables:
        relation = installed.relations.get(table.name)
        for other in role.reach:
            has = "TRIGGER" in powers.privileges.get(table.name, {}).get(other, ())
            if has and relation is not None and relation.owner != other:
                what = f"{_acting(role, other)} may create triggers on it, which run with the rights of who writes it"
                fix = f"REVOKE TRIGGER ON TABLE {qualified(table.name)} FROM {ident(other)}, or from PUBLIC"
                yield Problem("app-role-writes", table.name, what, fix)


def _find_views(role: RolePowers, declared: Declared, installed: Installed, powers: Powers) -> Iterator[Problem]:
    """What is inserted through a view is inserted with the rights of the view's owner."""
    for history in history_tables(declared, installed):
        if "INSERT" in allowed_on(history.name, declared):
            continue
        for view, owner, other in powers.views.get(history.found_as, ()):
            if other in role.reach and owner != other:
                what = f"{_acting(role, other)} may INSERT into {history.name.display} through the view {view}"
                fix = f"REVOKE INSERT ON {view} FROM {ident(other)}, or from PUBLIC"
                yield Problem("app-role-writes", history.audited, what, fix)


def _find_creating(role: RolePowers, declared: Declared, powers: Powers) -> Iterator[Problem]:
    owned = {name for kind, name, owner in powers.owners if kind == "schema" and owner in role.reach}
    schemas = {declared.infrastructure.schema, *(table.trigger.audit_table.schema for table in declared.tables)}
    for schema in sorted(schemas - owned):
        others = [other for other in role.reach if other in powers.creators.get(schema, ())]
        if others:
            what = f"{_acting(role, others[0])} may create things in the schema {schema}, where history is"
            fix = f"REVOKE CREATE ON SCHEMA {ident(schema)} FROM PUBLIC, {ident(others[0])}"
            yield Problem("app-role-creates", None, what, fix)
