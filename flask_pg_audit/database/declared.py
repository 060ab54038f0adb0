"""Everything that a ``MetaData`` declares about auditing, compiled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from sqlalchemy import MetaData, Table

from ..declare.registry import (
    AuditedTable,
    audit_metadata,
    find_mask_key_table,
    find_seal_tables,
    find_view_table,
    maintenance_table,
    redaction_table,
    transaction_table,
)
from ..declare.tables import IS_AUDIT_TABLE
from ..errors import AuditConfigError
from .function import AuditFunction, Infrastructure
from .installed import Installed
from .name import QualifiedName
from .trigger import AuditTrigger, build_audit_trigger, build_infrastructure


@dataclass(frozen=True)
class DeclaredTable:
    """One audited table: what SQLAlchemy knows of it and the trigger compiled from that."""

    audited: AuditedTable
    trigger: AuditTrigger

    @property
    def name(self) -> QualifiedName:
        return self.trigger.table


@dataclass(frozen=True)
class Declared:
    """Everything that a ``MetaData`` declares.

    :ivar others: its tables that are neither audited nor audit tables.
    :ivar beside: the functions of other ``MetaData`` in the same database, so of no concern here.
    """

    metadata: MetaData
    infrastructure: Infrastructure
    tables: tuple[DeclaredTable, ...]
    others: frozenset[QualifiedName] = frozenset()
    beside: frozenset[QualifiedName] = frozenset()

    @property
    def schemas(self) -> set[str]:
        """The schemas to read from the catalog."""
        names = {self.infrastructure.schema}
        for table in self.tables:
            names |= {table.trigger.table.schema, table.trigger.audit_table.schema}
        return names

    @cached_property
    def functions(self) -> tuple[AuditFunction, ...]:
        """The shared functions and one per table; rendering them is work, so once."""
        return (*self.infrastructure.functions(), *(table.trigger.function for table in self.tables))

    @cached_property
    def function_names(self) -> frozenset[QualifiedName]:
        """The names of :attr:`functions`."""
        return frozenset(function.name for function in self.functions)

    @property
    def audit_tables(self) -> frozenset[QualifiedName]:
        return frozenset(table.trigger.audit_table for table in self.tables)

    @property
    def transaction_table(self) -> Table:
        return transaction_table(self.metadata)

    @property
    def maintenance_table(self) -> Table:
        return maintenance_table(self.metadata)

    @property
    def view_table(self) -> Table | None:
        """``None`` where it is not recorded who reads the log."""
        return find_view_table(self.metadata)

    @property
    def redaction_table(self) -> Table:
        return redaction_table(self.metadata)

    @property
    def mask_key_table(self) -> Table | None:
        """``None`` where no column is masked with a key."""
        return find_mask_key_table(self.metadata)

    @property
    def seal_tables(self) -> tuple[tuple[Table, QualifiedName], ...]:
        """``audit_seal`` and ``audit_seal_leaves``, each with its name."""
        schema = self.infrastructure.schema
        return tuple((table, QualifiedName(schema, table.name)) for table in find_seal_tables(self.metadata))

    def as_in(self, installed: Installed) -> Declared:
        """The same with what a model may not say and the catalog knows: partitioning, and virtual columns.

        PostgreSQL 18 fails an update whose trigger joins transition tables and reads a virtual column.
        """

        def refresh(table: DeclaredTable) -> DeclaredTable:
            relation = installed.relations.get(table.name)
            if relation is None:
                return table
            stored = tuple(name for name in table.trigger.columns if name not in relation.virtual)
            return replace(table, trigger=replace(table.trigger, partitioned=relation.is_partitioned, columns=stored))

        return replace(self, tables=tuple(map(refresh, self.tables)))


def build_declared(metadata: MetaData, default_schema: str) -> Declared:
    """Compile what ``metadata`` declares; tables without a schema are in ``default_schema``.

    Picks up tables that were declared before ``enable()``.

    :raises AuditConfigError: no table is audited.
    """
    audit_metadata(metadata)
    transaction_table(metadata)
    return build_declared_or_empty(metadata, default_schema)


def build_declared_or_empty(metadata: MetaData, default_schema: str) -> Declared:
    """As :func:`build_declared`, also for a ``metadata`` without audited tables."""
    tables = tuple(
        DeclaredTable(audited, build_audit_trigger(audited, default_schema)) for audited in audit_metadata(metadata)
    )
    _check_names_are_distinct(tables)
    audited_names = {table.name for table in tables}
    everything = {
        QualifiedName(table.schema or default_schema, table.name)
        for table in metadata.tables.values()
        if IS_AUDIT_TABLE not in table.info
    }
    infrastructure = build_infrastructure(metadata, default_schema)
    return Declared(metadata, infrastructure, tables, frozenset(everything - audited_names))


def names_of_functions(metadatas: Iterable[MetaData], default_schema: str) -> frozenset[QualifiedName]:
    """The names of all functions that ``metadatas`` declare."""
    return frozenset(
        name for metadata in metadatas for name in build_declared_or_empty(metadata, default_schema).function_names
    )


def _check_names_are_distinct(tables: tuple[DeclaredTable, ...]) -> None:
    """A convention without %(schema)s may give two tables of one name one function."""
    owners: dict[QualifiedName, QualifiedName] = {}
    for table in tables:
        owner = owners.setdefault(table.trigger.function_name, table.name)
        if owner != table.name:
            raise AuditConfigError(
                f"the tables {owner.display} and {table.name.display} would share the function "
                f"{table.trigger.function_name.display}; put %(schema)s into the naming convention 'audit.function'"
            )
