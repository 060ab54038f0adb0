"""The plugin that Alembic 1.18 and later loads by the entry point group ``alembic.plugins``.

Alembic loads it while it is itself being imported: its operations are there by then, its autogenerate is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import UpgradeOps
    from alembic.runtime.plugins import Plugin
    from alembic.util import PriorityDispatchResult


def setup(plugin: Plugin) -> None:
    """Called by Alembic when it is imported."""
    from alembic.util import DispatchPriority

    from .operations import register

    register()
    # After the comparison of schemas: what Alembic and other plugins found there is put in order.
    plugin.add_autogenerate_comparator(_compare, "autogenerate", priority=DispatchPriority.LAST)


def _compare(context: AutogenContext, upgrade_ops: UpgradeOps) -> PriorityDispatchResult:
    from alembic.util import PriorityDispatchResult

    from . import rendering  # noqa: F401 - registers how our operations are written
    from .compare import compare

    compare(context, upgrade_ops)
    return PriorityDispatchResult.CONTINUE
