"""What is installed: one reading of the catalog, as plain values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from .function import Fingerprint, digest
from .name import QualifiedName
from .trigger import TriggerDefinition

#: ``pg_trigger.tgenabled``: fires in ordinary sessions, and in those that replay a replication as well.
ORIGIN, ALWAYS, REPLICA, DISABLED = "O", "A", "R", "D"


@dataclass(frozen=True)
class InstalledIndex:
    """An index of a table."""

    name: str
    columns: tuple[str, ...]
    primary: bool


@dataclass(frozen=True)
class InstalledRelation:
    """A table, sequence, view or the like and its columns: name to ``format_type`` text.

    :ivar required: the columns that are NOT NULL.
    :ivar virtual: the generated columns whose values are not stored (PostgreSQL 18).
    :ivar writers: the roles but the owner that may write it, each with the privileges that allow it.
    """

    kind: str
    columns: Mapping[str, str] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    virtual: frozenset[str] = frozenset()
    indexes: tuple[InstalledIndex, ...] = ()
    owner: str = ""
    comment: str | None = None
    writers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def is_table(self) -> bool:
        return self.kind in ("r", "p")

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"


@dataclass(frozen=True)
class InstalledFunction:
    """A function as ``pg_proc`` has it.

    :ivar definition: the statement that would make it again (``pg_get_functiondef``).
    :ivar callers: the roles but the owner that may call it.
    :ivar owner_is_superuser: nothing is forbidden to the function.
    """

    source: str
    signature: str = ""
    definition: str = ""
    language: str = "plpgsql"
    security_definer: bool = True
    has_settings: bool = False
    is_volatile: bool = True
    comment: str | None = None
    callers: tuple[str, ...] = ()
    owner: str = ""
    owner_is_superuser: bool = False

    @property
    def fingerprint(self) -> Fingerprint | None:
        return Fingerprint.parse(self.comment)

    @property
    def is_ours(self) -> bool:
        """Whether this package generated the function: its comment or its header says so."""
        return self.fingerprint is not None or "flask_pg_audit" in self.source

    @property
    def is_edited(self) -> bool:
        """Whether somebody changed the body since this package made it."""
        return self.fingerprint is not None and self.fingerprint.sha256 != digest(self.source)


@dataclass(frozen=True)
class InstalledTrigger:
    """A trigger as ``pg_trigger`` has it; ``enabled`` is its ``tgenabled``."""

    definition: TriggerDefinition
    enabled: str

    @property
    def is_enabled(self) -> bool:
        return self.enabled in (ORIGIN, ALWAYS)


@dataclass(frozen=True)
class Partition:
    """A partition, of whatever depth, of a partitioned table.

    :ivar has_rows: it is not partitioned further.
    :ivar is_foreign: it is a foreign table, on which no trigger can see what a statement changed.
    """

    name: QualifiedName
    has_rows: bool
    is_foreign: bool = False


@dataclass(frozen=True)
class Installed:
    """One consistent reading of the catalog, limited to the schemas that matter.

    :ivar enums: the enum types.
    :ivar triggers: by table; those of other people as well.
    :ivar partitions: by partitioned table, at every depth.
    :ivar children: by table, those that inherit from it (``INHERITS``).
    :ivar cascading_self_references: by table, its foreign keys to itself that change rows when a key changes.
    :ivar server_version: as ``server_version_num``; 0 without a server.
    """

    schemas: frozenset[str] = frozenset()
    relations: Mapping[QualifiedName, InstalledRelation] = field(default_factory=dict)
    enums: frozenset[QualifiedName] = frozenset()
    functions: Mapping[QualifiedName, InstalledFunction] = field(default_factory=dict)
    triggers: Mapping[QualifiedName, tuple[InstalledTrigger, ...]] = field(default_factory=dict)
    partitions: Mapping[QualifiedName, tuple[Partition, ...]] = field(default_factory=dict)
    children: Mapping[QualifiedName, tuple[QualifiedName, ...]] = field(default_factory=dict)
    cascading_self_references: Mapping[QualifiedName, tuple[str, ...]] = field(default_factory=dict)
    server_version: int = 0

    def is_ours(self, function: QualifiedName) -> bool:
        """Whether the function is installed and made by this package."""
        return function in self.functions and self.functions[function].is_ours

    def our_triggers(self, table: QualifiedName) -> tuple[InstalledTrigger, ...]:
        """The triggers on ``table`` that call functions of this package."""
        return tuple(found for found in self.triggers.get(table, ()) if self.is_ours(found.definition.function))

    def histories_of(
        self, table: QualifiedName, names: Collection[str] | None = None
    ) -> frozenset[tuple[QualifiedName, QualifiedName]]:
        """Where the triggers on ``table`` record now: pairs of a function and the audit table that it writes.

        :param names: of triggers, when only these are meant.
        """
        triggers = (found.definition for found in self.our_triggers(table))
        functions = {found.function for found in triggers if names is None or found.name in names}
        return frozenset(self._with_audit_tables(functions))

    def _with_audit_tables(self, functions: Iterable[QualifiedName]) -> Iterable[tuple[QualifiedName, QualifiedName]]:
        for function in functions:
            fingerprint = self.functions[function].fingerprint
            if fingerprint is not None and fingerprint.audit_table is not None:
                yield function, fingerprint.audit_table
