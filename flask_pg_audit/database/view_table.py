"""Planning ``audit_view``, where the Flask layer records who read the log.

It is kept like history, and is none: no trigger writes it, and no change waits for it. So its findings have codes of
their own, and it is not among the tables that an installation locks first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from .action import Action
from .audit_table import plan_history
from .declared import Declared
from .function import Infrastructure
from .installed import Installed, InstalledRelation

MISSING, OUTDATED = "view-table-missing", "view-table-outdated"

#: What tells it from something else of that name.
_COLUMNS = {"id", "viewed_at", "action", "query"}


def plan_view_table(declared: Declared, installed: Installed, former: Infrastructure | None) -> Iterator[Action]:
    """Create it, or add the columns that it lacks; nothing where it is not declared, or where its name is taken.

    :param former: where it comes from when AUDIT_SCHEMA changed.
    """
    if declared.view_table is None or is_name_taken(declared, installed):
        return
    name = declared.infrastructure.view_table
    existing = installed.relations.get(name)
    if existing is None and former is not None and has_view_log(declared, installed, former):
        existing = installed.relations[former.view_table]
    for action in plan_history(declared.view_table, name, existing, None, installed):
        yield replace(action, code=MISSING if action.verb == "create" else OUTDATED)


def has_view_log(declared: Declared, installed: Installed, shared: Infrastructure) -> bool:
    """Whether it is declared, and is there, in the schema of ``shared``."""
    relation = installed.relations.get(shared.view_table)
    return declared.view_table is not None and relation is not None and _is_view_log(relation)


def is_name_taken(declared: Declared, installed: Installed) -> bool:
    """Whether it is declared, and something else has its name."""
    relation = installed.relations.get(declared.infrastructure.view_table)
    return declared.view_table is not None and relation is not None and not _is_view_log(relation)


def _is_view_log(relation: InstalledRelation) -> bool:
    return relation.is_table and relation.columns.keys() >= _COLUMNS
