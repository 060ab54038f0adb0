"""Triggers on partitions, in revisions: which partitions there are is different in every database.

So the statement looks for them when it runs. Partitions that come later are the installation's to find.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ..database.action import Plan
from ..database.declared import Declared
from ..database.infrastructure import find_former_schema
from ..database.installed import Installed
from ..database.name import QualifiedName
from ..database.render import render
from ..database.trigger import TriggerDefinition
from .operations import AuditDDLOp

_Triggers = Collection[TriggerDefinition]


def plan_partitions(declared: Declared, installed: Installed, plan: Plan) -> Iterator[AuditDDLOp]:
    """An operation for each partitioned table whose partitions get or lose triggers."""
    wanted = {
        table.name: {*table.trigger.partition_triggers(True), *table.trigger.partition_triggers(False)}
        for table in declared.as_in(installed).tables
        if table.trigger.partitioned
    }
    changed = {name for action in plan.actions for name in action.relations}
    former = find_former_schema(declared, installed)
    schemas = {shared.schema for shared in (declared.infrastructure, former) if shared is not None}
    for table in sorted({*wanted, *installed.partitions} & _touched(changed, installed)):
        before = _existing(table, schemas, installed)
        after = wanted.get(table, set())
        if before or after:
            yield AuditDDLOp(
                _render(table, drop=before, create=after),
                comment=f"triggers on the partitions of {table.display}",
                undo=(_render(table, drop=after, create=before),),
            )


def _touched(changed: Collection[QualifiedName], installed: Installed) -> set[QualifiedName]:
    """The tables whose own triggers, or whose partitions' triggers, the plan changes."""
    roots = {root for root, partitions in installed.partitions.items() if any(p.name in changed for p in partitions)}
    return roots | set(changed)


def _existing(table: QualifiedName, schemas: Collection[str], installed: Installed) -> set[TriggerDefinition]:
    """The triggers that functions in our schema, now or until now, have on its partitions."""
    return {
        found.definition
        for partition in installed.partitions.get(table, ())
        for found in installed.our_triggers(partition.name)
        if found.definition.function.schema in schemas
    }


def _render(table: QualifiedName, drop: _Triggers, create: _Triggers) -> str:
    names = {trigger.name for trigger in create}

    def by_name(triggers: _Triggers) -> list[TriggerDefinition]:
        return sorted(triggers, key=lambda trigger: trigger.name)

    gone = [trigger for trigger in by_name(drop) if trigger.name not in names]
    return render("partition_triggers", table=table, drop=gone, create=by_name(create))
