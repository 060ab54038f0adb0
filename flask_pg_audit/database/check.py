"""Drift as ``flask audit check`` reports it: every finding with what, why it matters, and the way out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass

from sqlalchemy import Connection, MetaData

from .action import Action, Plan, Problem
from .column_mark import NEW_COLUMN
from .declared import Declared
from .install import Bind, plan_installation
from .installed import Installed
from .meddling import find_meddling
from .role_powers import Powers, read_powers
from .role_problems import find_role_problems
from .weaknesses import find_weaknesses

_INSTALL = "flask audit install"

#: Why each finding matters, by its code; the documentation lists the same.
WHY = {
    "adoption-blocked": "rows from before cannot get their place in the order of changes",
    "adoption-unfinished": "rows from before have no place in the order of changes yet",
    "app-role-absent": "what it may do cannot be told",
    "app-role-creates": "what it creates there, the next installation may take for history",
    "app-role-owner": "an owner is refused nothing: the application could falsify what it did",
    "app-role-power": "the application could falsify what it did",
    "app-role-privileges": "the application is to read history, and to do nothing else with it",
    "app-role-writes": "the application could falsify what it did",
    "audit-schema-shared": "moving the numbering would stop those tables from being recorded",
    "audit-table-elsewhere": "the history would be in two places",
    "audit-table-missing": "every change of the table fails, or leaves no record",
    "audit-table-owner": "a trigger that its owner hangs on it runs with the rights of who writes it",
    "audit-table-writable": "whoever may write history can rewrite it",
    "child-unrecorded": "changes leave no record",
    "column-absent": "every change of the table would fail",
    "column-domain": "a null of a truncate, a redaction, or a value from before a constraint may be refused",
    "column-missing": "changes of the table fail, or leave the column out",
    "column-required": "a null in it fails the change of the table",
    "column-type": "a value that does not fit fails the change of the table",
    "column-undeclared": "changes of the column leave no record",
    "column-unmarked": "where there was no value, the history would say that it was null",
    "column-virtual": "the history has no value for it",
    "function-altered": "it may fail, or trust what its caller prepared",
    "function-callable": "it runs with its owner's rights, and lets its caller write into the history",
    "function-edited": "what it records is not what was declared",
    "function-missing": "changes fail, or leave no record",
    "function-orphaned": "nobody would notice what it does",
    "function-outdated": "it records what was declared earlier, or as an earlier version did",
    "function-owner": "the owner of a function decides what it does",
    "guard-altered": "what was recorded can be rewritten, and nothing tells of it",
    "guard-disabled": "what was recorded can be rewritten, and nothing tells of it",
    "guard-missing": "what was recorded can be rewritten, and nothing tells of it",
    "history-policy": "what is recorded is hidden from who reads it, or refused",
    "history-rule": "what is recorded may get lost, or be another thing, and nothing fails",
    "history-split": "one table shows only a part of what happened",
    "history-trigger": "what is recorded may get lost, or be another thing, and nothing fails",
    "history-unlogged": "a crash of the server empties it",
    "index-missing": "reading takes time with every change that was ever made",
    "mask-incomplete": "what is masked now is in the older rows as it was",
    "mask-key-readable": "whoever has the key can try values until one has the mask",
    "name-taken": "auditing cannot be installed",
    "partition-foreign": "changes leave no record",
    "partition-unrecorded": "a write that names the partition leaves no record",
    "replica-setting": "triggers do not fire for them: their changes leave no record",
    "row-trigger": "the newest record of a row may not be its newest state",
    "row-trigger-first": "changes that it makes are recorded before the one that fired it",
    "schema-missing": "auditing is not installed",
    "seal-table-missing": "history cannot be sealed",
    "seal-table-outdated": "history cannot be sealed",
    "sequence-altered": "what has the higher number need not be what came later, and numbers tell what is newest",
    "sequence-missing": "every change fails, or would be numbered from 1 again",
    "table-absent": "nothing is recorded, and the installation stops",
    "table-owner": "a type of his, with a cast that is a function of his, makes a column run it with those rights",
    "table-rule": "what a statement says is not what is done, nor what is recorded",
    "trigger-always": "what replication brings is recorded here as well",
    "trigger-disabled": "changes leave no record",
    "trigger-missing": "changes leave no record",
    "trigger-not-always": "whoever may set session_replication_role changes rows that leave no record",
    "trigger-orphaned": "the history grows without anybody asking for it",
    "trigger-outdated": "what it records is not what was declared",
    "trigger-renamed": "triggers fire in the order of their names, and a second one would record everything twice",
    "trigger-replica": "it fires in replication only: changes leave no record",
    "trigger-unwanted": "changes are recorded twice, or for a table that they are not of",
    "type-missing": "the setting has nowhere to be kept",
    "view-table-missing": "who reads the log cannot be recorded, so it is not shown",
    "view-table-outdated": "who reads the log cannot be recorded, so it is not shown",
}


@dataclass(frozen=True)
class Finding:
    """One difference between what is declared and what the database does.

    :ivar code: stable, for ``--ignore`` and for programs.
    :ivar table: the audited table; empty for what concerns all of them.
    """

    code: str
    table: str
    what: str
    why: str
    fix: str

    def __str__(self) -> str:
        subject = f"{self.table}: " if self.table else ""
        return f"{self.code}: {subject}{self.what}; {self.why}; fix: {self.fix}"

    def is_ignored(self, patterns: tuple[str, ...]) -> bool:
        """Whether one of ``patterns`` is its code, or ``code:table``."""
        return self.code in patterns or f"{self.code}:{self.table}" in patterns


def check(
    metadata: MetaData, engine: Bind, beside: Collection[MetaData] = (), app_roles: Collection[str] = ()
) -> tuple[Finding, ...]:
    """Compare the live catalog with what ``metadata`` declares; reads the catalog only, so any role will do.

    :param beside: other ``MetaData`` whose tables are in the same database: what records them is not left over.
    :param app_roles: the database roles as which the application runs: what they could do to history is looked at too.
    :raises AuditConfigError: no table is audited, or ``engine`` is not for PostgreSQL.

    .. versionadded:: 0.1
    """
    declared, installed, plan = plan_installation(metadata, engine, beside=beside, app_roles=app_roles)
    # The role that asks is not about to install anything, and what a role owns is told by its powers.
    problems = [problem for problem in plan.problems if problem.code != "app-role-owner"]
    problems += find_weaknesses(declared, installed)
    problems += find_meddling(declared, installed)
    if app_roles:
        powers = _read_powers(engine, declared, installed, app_roles)
        problems += find_role_problems(declared, installed, powers)
    return tuple(_find(Plan(plan.actions, tuple(problems))))


def _read_powers(engine: Bind, declared: Declared, installed: Installed, app_roles: Collection[str]) -> Powers:
    with nullcontext(engine) if isinstance(engine, Connection) else engine.connect() as connection:
        return read_powers(connection, declared.schemas, app_roles, installed.server_version)


def _find(plan: Plan) -> Iterator[Finding]:
    yield from map(_of_problem, plan.problems)
    absent = {problem.table for problem in plan.problems if problem.code == "table-absent"}
    new = {name for action in plan.actions if action.is_new_table for name in action.relations}
    for action in plan.actions:
        # Of a table that is not there, nothing can be.
        is_of_absent = action.table in absent or (action.guards_history and not new.isdisjoint(action.relations))
        if action.code != NEW_COLUMN and not is_of_absent:
            yield _of_action(action)


def _of_problem(problem: Problem) -> Finding:
    return Finding(
        problem.code, problem.table.display if problem.table else "", problem.what, WHY[problem.code], problem.fix
    )


def _of_action(action: Action) -> Finding:
    table = action.table.display if action.table else ""
    return Finding(action.code, table, f"{action.subject}: {action.reason}", WHY[action.code], _INSTALL)
