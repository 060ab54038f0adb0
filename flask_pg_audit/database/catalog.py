"""What is installed, read from the live catalog. Takes no locks beyond those of a ``SELECT``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from .name import QualifiedName
from .render import render
from .trigger import TriggerDefinition

ENABLED = frozenset({"O", "A"})  # fires in ordinary sessions: origin, always (pg_trigger.tgenabled)


@dataclass(frozen=True)
class InstalledRelation:
    """A table, sequence, view or the like and its columns: name to ``format_type`` text.

    :ivar virtual: the generated columns whose values are not stored (PostgreSQL 18).
    """

    kind: str
    columns: Mapping[str, str]
    virtual: frozenset[str] = frozenset()

    @property
    def is_table(self) -> bool:
        return self.kind in ("r", "p")

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"


@dataclass(frozen=True)
class InstalledFunction:
    """A function as ``pg_proc`` has it."""

    source: str
    security_definer: bool
    has_settings: bool

    @property
    def is_ours(self) -> bool:
        """Whether this package generated the function: its header says so."""
        return "flask_pg_audit" in self.source


@dataclass(frozen=True)
class InstalledTrigger:
    """A trigger as ``pg_trigger`` has it."""

    definition: TriggerDefinition
    enabled: str

    @property
    def is_enabled(self) -> bool:
        return self.enabled in ENABLED


@dataclass(frozen=True)
class Partition:
    """A partition, of whatever depth, of a partitioned table."""

    name: QualifiedName
    has_rows: bool


@dataclass(frozen=True)
class Installed:
    """One consistent reading of the catalog, limited to the schemas that matter."""

    schemas: frozenset[str] = frozenset()
    relations: Mapping[QualifiedName, InstalledRelation] = field(default_factory=dict)
    functions: Mapping[QualifiedName, InstalledFunction] = field(default_factory=dict)
    triggers: Mapping[QualifiedName, tuple[InstalledTrigger, ...]] = field(default_factory=dict)
    partitions: Mapping[QualifiedName, tuple[Partition, ...]] = field(default_factory=dict)


def read_installed(connection: Connection, schemas: Iterable[str], function_names: Iterable[str]) -> Installed:
    """Read what the database has in ``schemas``.

    Triggers and partitions are read whatever their schema, since a partition may live in another one.
    """
    wanted = {"schemas": sorted(set(schemas)), "names": sorted(set(function_names))}
    return Installed(
        schemas=frozenset(_read_schemas(connection)),
        relations=_read_relations(connection, wanted),
        functions=_read_functions(connection, wanted),
        triggers=_read_triggers(connection),
        partitions=_read_partitions(connection, wanted),
    )


def _rows(connection: Connection, template: str, wanted: Mapping[str, Any]) -> Iterable[Any]:
    return connection.exec_driver_sql(render(template), dict(wanted)).all()


def _read_schemas(connection: Connection) -> Iterable[str]:
    return connection.exec_driver_sql("SELECT nspname FROM pg_catalog.pg_namespace").scalars()


def _read_relations(connection: Connection, wanted: Mapping[str, Any]) -> dict[QualifiedName, InstalledRelation]:
    kinds: dict[QualifiedName, str] = {}
    columns: dict[QualifiedName, dict[str, str]] = defaultdict(dict)
    virtual: dict[QualifiedName, set[str]] = defaultdict(set)
    for schema, name, kind, column, type_, is_virtual in _rows(connection, "read_columns", wanted):
        relation = QualifiedName(schema, name)
        kinds[relation] = kind
        if column is not None:
            columns[relation][column] = type_
        if is_virtual:
            virtual[relation].add(column)
    return {
        relation: InstalledRelation(kind, columns[relation], frozenset(virtual[relation]))
        for relation, kind in kinds.items()
    }


def _read_functions(connection: Connection, wanted: Mapping[str, Any]) -> dict[QualifiedName, InstalledFunction]:
    return {
        QualifiedName(schema, name): InstalledFunction(source, security_definer, has_settings)
        for schema, name, source, security_definer, has_settings in _rows(connection, "read_functions", wanted)
    }


def _read_triggers(connection: Connection) -> dict[QualifiedName, tuple[InstalledTrigger, ...]]:
    triggers: dict[QualifiedName, list[InstalledTrigger]] = defaultdict(list)
    for schema, table, name, type_, function_schema, function, old, new, enabled in _rows(
        connection, "read_triggers", {}
    ):
        definition = TriggerDefinition(name, type_, QualifiedName(function_schema, function), old, new)
        triggers[QualifiedName(schema, table)].append(InstalledTrigger(definition, enabled))
    return {table: tuple(found) for table, found in triggers.items()}


def _read_partitions(connection: Connection, wanted: Mapping[str, Any]) -> dict[QualifiedName, tuple[Partition, ...]]:
    partitions: dict[QualifiedName, list[Partition]] = defaultdict(list)
    for root_schema, root, schema, name, kind in _rows(connection, "read_partitions", wanted):
        root_name = QualifiedName(root_schema, root)
        partitions[root_name].append(Partition(QualifiedName(schema, name), has_rows=kind == "r"))
    return {root: tuple(found) for root, found in partitions.items()}
