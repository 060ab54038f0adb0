"""The plugin that Alembic 1.18 and later loads by the entry point group ``alembic.plugins``.

Alembic loads it while it is itself being imported, so nothing of Alembic is imported here at that time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import CreateTableOp, OpContainer, UpgradeOps
    from alembic.runtime.plugins import Plugin
    from alembic.util import PriorityDispatchResult

_PREFIX = "audit."


def setup(plugin: Plugin) -> None:
    """Called by Alembic when it is imported."""
    from alembic.util import DispatchPriority

    plugin.add_autogenerate_comparator(_leave_out_options, "schema", priority=DispatchPriority.LAST)


def _leave_out_options(
    context: AutogenContext, upgrade_ops: UpgradeOps, schemas: set[str | None]
) -> PriorityDispatchResult:
    """Keep the audit options out of revisions.

    A revision must not carry the options of the day it was written, and Alembic could not write them down: it puts
    ``repr(table.info)`` into ``op.create_table()``, with the columns and tables in it.
    """
    from alembic.util import PriorityDispatchResult

    for op in _created_tables(upgrade_ops):
        op.info = {key: value for key, value in op.info.items() if not str(key).startswith(_PREFIX)}
    return PriorityDispatchResult.CONTINUE


def _created_tables(container: OpContainer) -> Iterator[CreateTableOp]:
    from alembic.operations.ops import CreateTableOp, OpContainer

    for op in container.ops:
        if isinstance(op, CreateTableOp):
            yield op
        elif isinstance(op, OpContainer):
            yield from _created_tables(op)
