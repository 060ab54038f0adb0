"""What a plan is made of: the steps that mend the database, and the problems that no step can mend."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from .name import QualifiedName
from .render import qualified


@dataclass(frozen=True)
class Action:
    """One step: what is done to what, and why.

    :ivar code: what is wrong, in the terms of ``flask audit check``: ``trigger-missing``.
    :ivar verb: ``create``, ``add``, ``replace``, ``alter``, ``mark``, ``rename``, ``move`` or ``drop``.
    :ivar subject: readable: ``trigger public_account_audit_insert on account``.
    :ivar relations: the tables that it changes, or whose triggers it changes; the old and the new name of a moved one.
    :ivar undo: the statements that bring back what was there before; never any that drop history.
    :ivar table: the audited table that needs it; ``None`` for what all tables share.
    """

    code: str
    verb: str
    subject: str
    reason: str
    statements: tuple[str, ...]
    table: QualifiedName | None = None
    undo: tuple[str, ...] = ()
    relations: tuple[QualifiedName, ...] = ()

    def __str__(self) -> str:
        return f"{self.verb} {self.subject} ({self.reason})"

    @property
    def changes_triggers(self) -> bool:
        return self.code.startswith("trigger-") or self.code == "partition-unrecorded"


@dataclass(frozen=True)
class Problem:
    """Why a table cannot be audited as declared, or not reliably; ``fatal`` ones stop an installation.

    :ivar code: as of an :class:`Action`.
    :ivar table: the audited table; ``None`` for what concerns all tables.
    :ivar fix: what somebody has to do about it.
    """

    code: str
    table: QualifiedName | None
    what: str
    fix: str
    fatal: bool = False

    @property
    def message(self) -> str:
        return f"{self.what}; {self.fix}"

    def __str__(self) -> str:
        return f"{self.table.display}: {self.message}" if self.table else self.message


@dataclass(frozen=True)
class Plan:
    """The actions that bring the database to what is declared, in order, and what stands in the way."""

    actions: tuple[Action, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def statements(self) -> tuple[str, ...]:
        return tuple(statement for action in self.actions for statement in action.statements)

    @property
    def locks(self) -> tuple[str, ...]:
        """The locks to take before anything else, in one order, on the tables whose triggers change.

        A writer locks the table, then its audit table. An installation that began with the audit table, or that
        needed a stronger lock in its middle, could end in a deadlock, and the writer's transaction with it.
        """
        changed = [action for action in self.actions if action.changes_triggers]
        exclusive = {name for action in changed for name in action.relations if action.verb in ("drop", "rename")}
        shared = {name for action in changed for name in action.relations} - exclusive
        return (*lock_sql(exclusive, "ACCESS EXCLUSIVE"), *lock_sql(shared, "SHARE ROW EXCLUSIVE"))

    @property
    def fatal(self) -> tuple[Problem, ...]:
        """The problems that stop an installation."""
        return tuple(problem for problem in self.problems if problem.fatal)

    def for_table(self, table: QualifiedName, with_shared: bool = False) -> Plan:
        """The part that concerns one audited table; ``with_shared`` adds what all tables need."""
        wanted = (table, None) if with_shared else (table,)
        return Plan(
            tuple(action for action in self.actions if action.table in wanted),
            tuple(problem for problem in self.problems if problem.table in wanted),
        )


def lock_sql(tables: Collection[QualifiedName], mode: str) -> tuple[str, ...]:
    """``LOCK TABLE``, always in the order of the names; nothing for no table."""
    names = ", ".join(qualified(name) for name in sorted(tables))
    return (f"LOCK TABLE {names} IN {mode} MODE",) if names else ()
