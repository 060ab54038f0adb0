"""Drift as ``flask audit check`` reports it: every finding with what, why it matters, and the way out."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import MetaData

from .action import Action, Plan, Problem
from .column_mark import NEW_COLUMN
from .install import Bind, plan_installation
from .weaknesses import find_weaknesses

_INSTALL = "flask audit install"

#: Why each finding matters, by its code; the documentation lists the same.
WHY = {
    "adoption-blocked": "rows from before cannot get their place in the order of changes",
    "adoption-unfinished": "rows from before have no place in the order of changes yet",
    "audit-schema-shared": "moving the numbering would stop those tables from being recorded",
    "audit-table-elsewhere": "the history would be in two places",
    "audit-table-missing": "every change of the table fails, or leaves no record",
    "audit-table-owner": "a trigger that its owner hangs on it runs with the rights of who writes it",
    "audit-table-writable": "whoever may write history can rewrite it",
    "child-unrecorded": "changes leave no record",
    "column-absent": "every change of the table would fail",
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
    "history-split": "one table shows only a part of what happened",
    "index-missing": "reading takes time with every change that was ever made",
    "name-taken": "auditing cannot be installed",
    "partition-foreign": "changes leave no record",
    "partition-unrecorded": "a write that names the partition leaves no record",
    "row-trigger": "the newest record of a row may not be its newest state",
    "row-trigger-first": "changes that it makes are recorded before the one that fired it",
    "schema-missing": "auditing is not installed",
    "seal-table-missing": "history cannot be sealed",
    "seal-table-outdated": "history cannot be sealed",
    "sequence-missing": "every change fails, or would be numbered from 1 again",
    "table-absent": "nothing is recorded, and the installation stops",
    "trigger-disabled": "changes leave no record",
    "trigger-missing": "changes leave no record",
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


def check(metadata: MetaData, engine: Bind, beside: Collection[MetaData] = ()) -> tuple[Finding, ...]:
    """Compare the live catalog with what ``metadata`` declares; reads the catalog only, so any role will do.

    :param beside: other ``MetaData`` whose tables are in the same database: what records them is not left over.
    :raises AuditConfigError: no table is audited, or ``engine`` is not for PostgreSQL.

    .. versionadded:: 0.1
    """
    declared, installed, plan = plan_installation(metadata, engine, beside=beside)
    weaknesses = tuple(find_weaknesses(declared, installed))
    return tuple(_find(Plan(plan.actions, (*plan.problems, *weaknesses))))


def _find(plan: Plan) -> Iterator[Finding]:
    yield from map(_of_problem, plan.problems)
    absent = {problem.table for problem in plan.problems if problem.code == "table-absent"}
    for action in plan.actions:
        # Of a table that is not there, nothing can be.
        if action.code != NEW_COLUMN and (action.table is None or action.table not in absent):
            yield _of_action(action)


def _of_problem(problem: Problem) -> Finding:
    return Finding(
        problem.code, problem.table.display if problem.table else "", problem.what, WHY[problem.code], problem.fix
    )


def _of_action(action: Action) -> Finding:
    table = action.table.display if action.table else ""
    return Finding(action.code, table, f"{action.subject}: {action.reason}", WHY[action.code], _INSTALL)
