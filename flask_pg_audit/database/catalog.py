"""Reading the live catalog into :class:`Installed`. Takes no locks beyond those of a ``SELECT``.

The catalog is everybody's to read, so any role that may connect will do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from .installed import (
    ALWAYS,
    Grants,
    Installed,
    InstalledFunction,
    InstalledIndex,
    InstalledRelation,
    InstalledTrigger,
    Partition,
)
from .name import QualifiedName
from .render import render
from .trigger import TriggerDefinition


def read_installed(
    connection: Connection, schemas: Iterable[str], function_names: Iterable[str], roles: Iterable[str] = ()
) -> Installed:
    """Read what the database has in ``schemas``, and in those where functions of this package record to.

    Triggers and partitions are read whatever their schema, since a partition may live in another one.

    :param roles: whose grants are to be read.
    """
    return _CatalogReader(connection, schemas, function_names, roles).read()


class _CatalogReader:
    def __init__(
        self, connection: Connection, schemas: Iterable[str], function_names: Iterable[str], roles: Iterable[str]
    ) -> None:
        self._connection = connection
        self._parameters = {
            "schemas": sorted(set(schemas)),
            "names": sorted(set(function_names)),
            "roles": sorted(set(roles)),
        }

    def read(self) -> Installed:
        functions = self._functions()
        self._parameters["schemas"] = sorted({*self._parameters["schemas"], *_schemas_of(functions)})
        return Installed(
            schemas=frozenset(self._schemas()),
            relations=self._relations(),
            enums=frozenset(QualifiedName(*row) for row in self._rows("read_enums")),
            functions=functions,
            triggers=self._triggers(),
            partitions=self._partitions(),
            children={
                table: tuple(QualifiedName(*row) for row in rows)
                for table, rows in self._by_relation("read_inheritance").items()
            },
            cascading_self_references={
                table: tuple(name for (name,) in rows)
                for table, rows in self._by_relation("read_self_references").items()
            },
            rules={table: dict(rows) for table, rows in self._by_relation("read_rules").items()},
            policies={table: tuple(names) for table, [(names,)] in self._by_relation("read_row_security").items()},
            replicas=tuple(setting for (setting,) in self._rows("read_replica_settings")),
            grants=self._grants() if self._parameters["roles"] else Grants(),
            server_version=self._server_version(),
        )

    def _grants(self) -> Grants:
        relations: dict[QualifiedName, dict[str, frozenset[str]]] = defaultdict(dict)
        numberings: dict[QualifiedName, dict[str, frozenset[str]]] = defaultdict(dict)
        for schema, name, is_numbering, role, privileges in self._rows("read_grants"):
            found = numberings if is_numbering else relations
            found[QualifiedName(schema, name)][role] = frozenset(privileges)
        query = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY (%(roles)s)"
        return Grants(
            acting=str(self._connection.exec_driver_sql("SELECT CURRENT_USER").scalar_one()),
            known=frozenset(self._connection.exec_driver_sql(query, dict(self._parameters)).scalars()),
            relations=relations,
            numberings=numberings,
            usable=frozenset((role, schema) for role, schema in self._rows("read_usable_schemas")),
        )

    def _server_version(self) -> int:
        query = "SELECT pg_catalog.current_setting('server_version_num')"
        return int(self._connection.exec_driver_sql(query).scalar_one())

    def _rows(self, template: str) -> Sequence[Any]:
        return self._connection.exec_driver_sql(render(template), dict(self._parameters)).all()

    def _by_relation(self, template: str) -> dict[QualifiedName, list[tuple[Any, ...]]]:
        """The rows by their first two columns, schema and relation, without these."""
        grouped: dict[QualifiedName, list[tuple[Any, ...]]] = defaultdict(list)
        for schema, name, *rest in self._rows(template):
            grouped[QualifiedName(schema, name)].append(tuple(rest))
        return grouped

    def _schemas(self) -> Iterable[str]:
        return self._connection.exec_driver_sql("SELECT nspname FROM pg_catalog.pg_namespace").scalars()

    def _functions(self) -> dict[QualifiedName, InstalledFunction]:
        return {
            QualifiedName(row.nspname, row.proname): InstalledFunction(
                source=row.prosrc,
                signature=row.signature,
                definition=row.definition,
                language=row.lanname,
                security_definer=row.prosecdef,
                has_settings=row.has_settings,
                is_volatile=row.is_volatile,
                comment=row.comment,
                callers=tuple(row.callers),
                owner=row.rolname,
                owner_is_superuser=row.rolsuper,
            )
            for row in self._rows("read_functions")
        }

    def _relations(self) -> dict[QualifiedName, InstalledRelation]:
        indexes = self._by_relation("read_indexes")
        writers = self._by_relation("read_writers")
        return {
            name: _build_relation(rows, indexes.get(name, ()), writers.get(name, ()))
            for name, rows in self._by_relation("read_columns").items()
        }

    def _triggers(self) -> dict[QualifiedName, tuple[InstalledTrigger, ...]]:
        return {table: tuple(map(_build_trigger, rows)) for table, rows in self._by_relation("read_triggers").items()}

    def _partitions(self) -> dict[QualifiedName, tuple[Partition, ...]]:
        return {
            root: tuple(
                Partition(QualifiedName(schema, name), has_rows=kind != "p", is_foreign=kind == "f")
                for schema, name, kind in rows
            )
            for root, rows in self._by_relation("read_partitions").items()
        }


def _schemas_of(functions: Mapping[QualifiedName, InstalledFunction]) -> Iterable[str]:
    """The schemas of our functions and of the history that they write."""
    for name, function in functions.items():
        if function.is_ours:
            yield name.schema
            if function.fingerprint is not None and function.fingerprint.audit_table is not None:
                yield function.fingerprint.audit_table.schema


def _build_relation(
    rows: Iterable[tuple[Any, ...]], indexes: Iterable[tuple[Any, ...]], writers: Iterable[tuple[Any, ...]]
) -> InstalledRelation:
    (kind, *_, owner, owner_is_superuser, numbered, is_unlogged, is_irregular, comment), *_ = rows = list(rows)
    columns = [row[1:8] for row in rows if row[1] is not None]
    privileges = {role: tuple(granted) for role, granted in writers}
    return InstalledRelation(
        kind=kind,
        columns={name: type_ for name, type_, *_ in columns},
        required=frozenset(name for name, _, required, *_ in columns if required),
        filled=frozenset(name for name, _, _, filled, *_ in columns if filled),
        virtual=frozenset(name for name, *_, virtual, _, _ in columns if virtual),
        domains={name: domain for name, *_, domain, _ in columns if domain is not None},
        comments={name: comment for name, *_, comment in columns if comment is not None},
        indexes=tuple(InstalledIndex(name, tuple(names), primary) for name, names, primary in indexes),
        owner=owner,
        owner_is_superuser=owner_is_superuser,
        numbered=numbered,
        is_unlogged=is_unlogged,
        is_irregular=bool(is_irregular),
        comment=comment,
        writers=_without_reading(privileges),
        readers=frozenset(role for role, granted in privileges.items() if "SELECT" in granted),
    )


def _without_reading(privileges: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    writing = ((role, tuple(name for name in granted if name != "SELECT")) for role, granted in privileges.items())
    return {role: granted for role, granted in writing if granted}


def _build_trigger(row: tuple[Any, ...]) -> InstalledTrigger:
    name, type_, function_schema, function, old_table, new_table, restricted, enabled = row
    definition = TriggerDefinition(
        name, type_, QualifiedName(function_schema, function), old_table, new_table, restricted, enabled == ALWAYS
    )
    return InstalledTrigger(definition, enabled)
