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

    @property
    def is_new_table(self) -> bool:
        return self.code in ("audit-table-missing", "seal-table-missing", "view-table-missing")

    @property
    def guards_history(self) -> bool:
        """Whether it changes a trigger on a table of history."""
        return self.code.startswith("guard-")

    @property
    def alters_history(self) -> bool:
        """Whether it alters an audit table that exists and stays where it is."""
        return self.code.startswith("column-") or self.verb == "adopt"


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
        """The locks to take before anything else, one by one in one order, on the tables that are there.

        A writer locks the table, then its audit table. An installation that began with the audit table, or that
        needed a stronger lock in its middle, could end in a deadlock, and the writer's transaction with it.
        """
        moves = [action for action in self.actions if action.code == "audit-table-elsewhere"]
        changed = [action for action in self.actions if action.changes_triggers]
        exclusive = {name for action in changed for name in action.relations if action.verb in ("drop", "rename")}
        exclusive |= {action.table for action in moves if action.table is not None}
        shared = {name for action in changed for name in action.relations} - exclusive
        if moves:  # they lock the audited tables as nothing else may
            exclusive, shared = exclusive | shared, set()
        altered = {name for action in self.actions if action.alters_history for name in action.relations}
        altered -= {name for action in moves for name in action.relations}  # not there yet, or moved under its table
        guarded = {name for action in self.actions if action.guards_history for name in action.relations} - altered
        guarded -= {name for action in self.actions if action.is_new_table for name in action.relations}
        guarded -= {name for action in moves for name in action.relations}
        return (
            *lock_sql(exclusive, "ACCESS EXCLUSIVE"),
            *lock_sql(shared, "SHARE ROW EXCLUSIVE"),
            *lock_sql(altered, "ACCESS EXCLUSIVE"),
            *lock_sql(guarded, "SHARE ROW EXCLUSIVE"),
        )

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
    """A ``LOCK TABLE`` for each, always in the order of the names."""
    return tuple(f"LOCK TABLE {qualified(name)} IN {mode} MODE" for name in sorted(tables))
