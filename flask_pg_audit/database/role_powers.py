"""Reading what the application's database roles may do in effect: by inheritance, ``SET ROLE``, attributes, owners."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from .name import QualifiedName
from .render import render

#: Predefined roles whose members need no privilege on a table, or no table.
POWERFUL_ROLES = {
    "pg_write_all_data": "may write every table",
    "pg_write_server_files": "may write the server's files",
    "pg_execute_server_program": "may run programs on the server, as its superuser",
}


@dataclass(frozen=True)
class RolePowers:
    """What is in the power of one role.

    :ivar reach: the roles that it may act as, itself the first.
    :ivar superuser: the one of them to whom nothing is forbidden, if there is one: then nothing else matters.
    :ivar creates_roles: it may make itself a member of every role but superusers (before PostgreSQL 16).
    :ivar replicates: it may read all that is written, and copy the cluster.
    :ivar sets_replica: it was granted the right to set ``session_replication_role``.
    """

    name: str
    reach: tuple[str, ...]
    superuser: str | None
    creates_roles: bool
    replicates: bool
    sets_replica: bool


@dataclass(frozen=True)
class Powers:
    """One reading for all of the roles, by schemas.

    :ivar privileges: by table or sequence, then by role, those that change something.
    :ivar views: by table, those through which a role may insert into it: name, owner and role.
    :ivar creators: by schema, the roles that may create something in it.
    :ivar owners: of the database and of schemas: kind, name and owner.
    """

    roles: tuple[RolePowers, ...]
    privileges: Mapping[QualifiedName, Mapping[str, tuple[str, ...]]]
    views: Mapping[QualifiedName, tuple[tuple[str, str, str], ...]]
    creators: Mapping[str, frozenset[str]]
    owners: tuple[tuple[str, str, str], ...]


def read_powers(connection: Connection, schemas: Iterable[str], roles: Collection[str], version: int) -> Powers:
    """Read it from the catalog; roles that are not there are left out."""
    names = sorted(set(roles))

    def rows(template: str, **parameters: object) -> list[tuple[object, ...]]:
        return [tuple(row) for row in connection.exec_driver_sql(render(template, version=version), parameters)]

    reach: dict[str, list[str]] = {}
    superusers: dict[str, str] = {}
    for role, other, is_superuser in rows("read_reach", roles=names):
        reach.setdefault(str(role), []).append(str(other))
        if is_superuser:
            superusers.setdefault(str(role), str(other))
    everybody = sorted({other for others in reach.values() for other in others})
    within = {"schemas": sorted(set(schemas)), "roles": everybody}
    privileges: dict[QualifiedName, dict[str, tuple[str, ...]]] = {}
    for schema, name, role, granted in rows("read_effective_privileges", **within):
        relation = privileges.setdefault(QualifiedName(str(schema), str(name)), {})
        relation[str(role)] = tuple(granted)  # type: ignore[arg-type]
    views: dict[QualifiedName, tuple[tuple[str, str, str], ...]] = {}
    for schema, name, *through in rows("read_views", **within):
        table, (view, owner, role) = QualifiedName(str(schema), str(name)), map(str, through)
        views[table] = (*views.get(table, ()), (view, owner, role))
    creators: dict[str, set[str]] = {}
    for schema, role in rows("read_schema_powers", **within):
        creators.setdefault(str(schema), set()).add(str(role))
    return Powers(
        tuple(
            RolePowers(str(name), tuple(reach[str(name)]), superusers.get(str(name)), bool(a), bool(b), bool(c))
            for name, a, b, c in rows("read_attributes", roles=names)
        ),
        privileges,
        views,
        {schema: frozenset(found) for schema, found in creators.items()},
        tuple((str(kind), str(name), str(owner)) for kind, name, owner in rows("read_owners", **within)),
    )
