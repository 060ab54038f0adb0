"""Planning ``audit_seal`` and ``audit_seal_leaves``, where ``flask audit seal`` keeps what it sealed.

They are kept like history, and are none: no trigger writes them, and no change waits for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import Table

from .action import Action
from .audit_table import plan_history
from .declared import Declared
from .function import Infrastructure
from .installed import Installed, InstalledRelation
from .name import QualifiedName

MISSING, OUTDATED = "seal-table-missing", "seal-table-outdated"


def plan_seal_tables(declared: Declared, installed: Installed, former: Infrastructure | None) -> Iterator[Action]:
    """Create them, or add the columns that they lack; nothing where a name is taken.

    :param former: where they come from when AUDIT_SCHEMA changed.
    """
    for table, name in declared.seal_tables:
        existing = installed.relations.get(name)
        if existing is not None and not _is_ours(table, existing):
            continue
        if existing is None and former is not None:
            existing = _ours(table, QualifiedName(former.schema, name.name), installed)
        for action in plan_history(table, name, existing, None, installed):
            yield replace(action, code=MISSING if action.verb == "create" else OUTDATED)


def installed_seal_tables(declared: Declared, installed: Installed, shared: Infrastructure) -> Iterator[QualifiedName]:
    """Those that are there, in the schema of ``shared``; the leaves before the seals."""
    for table, name in reversed(declared.seal_tables):
        place = QualifiedName(shared.schema, name.name)
        if _ours(table, place, installed) is not None:
            yield place


def taken_seal_names(declared: Declared, installed: Installed) -> Iterator[QualifiedName]:
    """The names under which there is something else."""
    for table, name in declared.seal_tables:
        relation = installed.relations.get(name)
        if relation is not None and not _is_ours(table, relation):
            yield name


def _ours(table: Table, name: QualifiedName, installed: Installed) -> InstalledRelation | None:
    relation = installed.relations.get(name)
    return relation if relation is not None and _is_ours(table, relation) else None


def _is_ours(table: Table, relation: InstalledRelation) -> bool:
    """Whether it has the key of ours, and most of the columns: what it lacks is added."""
    key, there = {column.name for column in table.primary_key}, relation.columns.keys()
    known = there & {column.name for column in table.columns}
    return relation.is_table and key <= there and 2 * len(known) > len(table.columns)
