"""What a query may name: the tables and columns that its reader sees, and nothing else."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...history.recorded import RecordedTable
from ..language import gettext, ngettext

#: An error names this many of the things that are allowed.
_MAX_NAMED = 20


class NotUnderstood(Exception):
    """A term says nothing.

    :ivar suggestion: what may be meant.
    """

    def __init__(self, message: str, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.suggestion = suggestion


@dataclass(frozen=True)
class Sight:
    """What a query is read against.

    :ivar tables: those that the reader sees, narrowed to what the query asks for.
    """

    tables: tuple[RecordedTable, ...]
    zone: datetime.tzinfo
    now: datetime.datetime

    def table(self, name: str) -> RecordedTable:
        """The table called ``name``.

        :raises NotUnderstood: there is none that the reader sees.
        """
        for table in self.tables:
            if table.table.key == name:
                return table
        problem = gettext("there is no table %(name)s", name=repr(name))
        raise unknown(problem, name, [table.table.key for table in self.tables])

    def check_column(self, name: str) -> None:
        """See that a table has the column ``name``.

        :raises NotUnderstood: none has it.
        """
        if not any(name in table.column_names for table in self.tables):
            raise self._unknown_column(name)

    def columns(self, name: str) -> list[tuple[RecordedTable | None, str]]:
        """What ``name`` may be: a column of any table, ``None``, and columns of a certain one, ``table.column``.

        :raises NotUnderstood: it is neither.
        """
        found: list[tuple[RecordedTable | None, str]] = [
            (table, column)
            for table in self.tables
            for column in table.column_names
            if f"{table.table.key}.{column}" == name
        ]
        if any(name in table.column_names for table in self.tables):
            found.append((None, name))
        if not found:
            raise self._unknown_column(name)
        return found

    def _unknown_column(self, name: str) -> NotUnderstood:
        return unknown(gettext("there is no column %(name)s", name=repr(name)), name, self._columns())

    def _columns(self) -> list[str]:
        return list(dict.fromkeys(column for table in self.tables for column in table.column_names))


def unknown(problem: str, name: str, known: Sequence[str], alike: Sequence[str] | None = None) -> NotUnderstood:
    """The error that there is no such thing, with what there is.

    :param problem: that there is no ``name``, without a full stop.
    :param alike: what to suggest from, where that is not ``known``.
    """
    suggestion = closest(name, known if alike is None else alike)
    if suggestion is None:
        return NotUnderstood(gettext("%(problem)s; there are: %(known)s", problem=problem, known=listed(known)))
    sentences = gettext(
        "%(problem)s; did you mean %(suggestion)s? There are: %(known)s",
        problem=problem,
        suggestion=suggestion,
        known=listed(known),
    )
    return NotUnderstood(sentences, suggestion)


def closest(name: str, known: Iterable[str]) -> str | None:
    """Which of ``known`` is most like ``name``."""
    by_lower = {other.lower(): other for other in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def listed(names: Sequence[str]) -> str:
    """``names``, but not hundreds of them."""
    if not names:
        return gettext("none")
    more, shown = len(names) - _MAX_NAMED, ", ".join(names[:_MAX_NAMED])
    if more <= 0:
        return shown
    return ngettext("%(names)s and %(num)s more", "%(names)s and %(num)s more", more, names=shown)
