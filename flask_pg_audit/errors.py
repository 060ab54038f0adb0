"""Everything this package raises on purpose: one base class and its few children."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class AuditError(Exception):
    """Base class of every error this package raises on purpose."""


class AuditConfigError(AuditError):
    """A declaration or a configuration is wrong; nothing was changed.

    Raised while tables are declared, when the Flask extension starts, or when a command reads its
    options. The message names the table or the key and lists what is allowed.
    """


class AuditContextError(AuditError):
    """A change was refused because the database could not be told who made it.

    Raised from the driver's error when a mandatory session setting is missing, and when the actor or
    the request's metadata cannot be worked out. The transaction has to be rolled back; after that the
    session is usable again.
    """


class AuditInstallError(AuditError):
    """Installing, uninstalling or inspecting the database failed; the database is as it was before.

    Taking a baseline and repairing are done batch by batch: what was committed before the error stays.
    """


class AuditSealError(AuditError):
    """History could not be sealed, or seals could not be read; nothing was written."""


@dataclass(frozen=True)
class Conflict:
    """Why one row cannot be brought back.

    :ivar table: the table's name, with its schema if it has one.
    :ivar key: the primary key's columns and values; empty where the database named a constraint and no row.
    :ivar column: the column that differs; ``None`` when the whole row is meant.
    :ivar expected: what the change that is being reverted left there.
    :ivar found: what is there now.
    :ivar reason: in words.

    .. versionadded:: 0.1
    """

    table: str
    key: Mapping[str, Any]
    column: str | None
    expected: Any
    found: Any
    reason: str

    def __str__(self) -> str:
        key = ", ".join(f"{name}={value!r}" for name, value in self.key.items())
        place = f"{self.table} ({key})" if key else self.table
        return f"{place}, {self.column}: {self.reason}" if self.column is not None else f"{place}: {self.reason}"


class AuditConflictError(AuditError):
    """Rows cannot be brought back as they were; nothing was written, and the transaction can go on.

    The message lists the conflicts and the way out.

    :ivar conflicts: each of them, a tuple of :class:`Conflict`; of a long list the first.

    .. versionadded:: 0.1
    """

    #: Lines of the message; the rest is in ``conflicts``.
    MAX_LINES = 10

    def __init__(self, conflicts: Sequence[Conflict], hint: str = "") -> None:
        super().__init__(tuple(conflicts), hint)
        self.conflicts = tuple(conflicts)
        self.hint = hint

    def __str__(self) -> str:
        shown = [f"  {conflict}" for conflict in self.conflicts[: self.MAX_LINES]]
        more = len(self.conflicts) - len(shown)
        lines = ["nothing was written, because:", *shown, *([f"  and {more} more"] if more else []), self.hint]
        return "\n".join(filter(None, lines))


def sqlstate(error: BaseException) -> str | None:
    """The five-character SQLSTATE of a SQLAlchemy or driver error; ``None`` when there is none."""
    original = getattr(error, "orig", None) or error
    # psycopg 3 and asyncpg call it sqlstate, psycopg2 pgcode.
    code = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    return str(code) if code else None


def driver_message(error: BaseException) -> str:
    """The first line of what the server or driver said, without SQLAlchemy's additions."""
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines()
    return lines[0] if lines else type(original).__name__
