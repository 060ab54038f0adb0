"""``plan(declared, installed)``: what has to be done, in order, and why. Pure: it neither reads nor writes.

``flask audit install``, ``status`` and ``check`` and the Alembic integration all ask this one function.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from .action import Action, Plan, Problem
from .adoption import plan_adoption, plan_numbering
from .app_role import find_app_role_problems, plan_app_roles
from .audit_table import plan_audit_table
from .declared import Declared
from .guard import plan_guard
from .infrastructure import find_shared_schema, plan_former_infrastructure, plan_infrastructure
from .installed import Installed
from .name import QualifiedName
from .orphans import find_orphan_problems, plan_pruning
from .problems import find_problems, find_shared_problems
from .recording import plan_recording


def plan(
    declared: Declared,
    installed: Installed,
    *,
    prune: bool | Collection[QualifiedName] = False,
    time_zone: str | None = None,
    app_roles: Collection[str] = (),
) -> Plan:
    """Compare and return what is missing or differs; an empty plan means that all is well.

    :param prune: drop what records tables that are no longer audited: all of them, or only these.
    :param time_zone: of the timestamps in audit tables of the classic library; ``None`` is the session's.
    :param app_roles: the application's database roles, which are to read history and do nothing else with it.
    """
    declared = declared.as_in(installed)
    actions = [*_plan_declared(declared, installed, time_zone)] if declared.tables else []
    if prune:
        actions += plan_pruning(declared, installed, None if prune is True else prune)
    problems = [*_find_problems(declared, installed, prune is True)]
    if declared.tables:
        actions += plan_app_roles(declared, installed, app_roles)
        problems += find_app_role_problems(declared, installed, app_roles)
    return Plan(tuple(actions), tuple(problems))


def _plan_declared(declared: Declared, installed: Installed, time_zone: str | None) -> Iterator[Action]:
    yield from plan_infrastructure(declared, installed)
    yield from plan_adoption(declared, installed, time_zone)
    for table in declared.tables:
        yield from plan_audit_table(table, declared, installed)
        yield from plan_recording(table, declared, installed)
    yield from plan_guard(declared, installed)
    yield from plan_former_infrastructure(declared, installed)
    for table in declared.tables:
        yield from plan_numbering(table, installed)


def _find_problems(declared: Declared, installed: Installed, pruned: bool) -> Iterator[Problem]:
    if declared.tables:
        yield from find_shared_problems(declared, installed)
        yield from find_shared_schema(declared, installed)
    for table in declared.tables:
        yield from find_problems(table, declared, installed)
    if not pruned:
        yield from find_orphan_problems(declared, installed)


def assume_tables(declared: Declared) -> Installed:
    """What to plan against when there is no database to read: the tables exist, nothing of ours does."""
    return Installed(schemas=frozenset(declared.schemas - {declared.infrastructure.schema} | {"public"}))
