"""When a column of an audit table was not recorded, told by the comment on that column.

A column that is added to a table later reads as null in every row recorded before, and one that was dropped or
excluded reads as null in every row recorded since. The comment tells these nulls from values that were null. It is
where it follows the column: through renames, other schemas, dumps and restores.

The text is ``flask_pg_audit absent 0-120,340-``: the half-open ranges of ``audit_id`` whose rows lack the column, the
last one without an end when it still is not recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

COMMENT_PREFIX = "flask_pg_audit absent "

_COMMENT = re.compile(rf"{re.escape(COMMENT_PREFIX)}((?:\d+-\d*)(?:,\d+-\d*)*)")


@dataclass(frozen=True)
class Absence:
    """The rows with ``start <= audit_id < end``; without an end, all rows from ``start`` on."""

    start: int
    end: int | None

    def __contains__(self, audit_id: int) -> bool:
        return self.start <= audit_id and (self.end is None or audit_id < self.end)


def parse_absences(comment: str | None) -> tuple[Absence, ...]:
    """Read the comment on an audit table's column; any other comment, or none, says that it was always recorded."""
    match = _COMMENT.fullmatch(comment or "")
    if match is None:
        return ()
    bounds = (part.split("-") for part in match[1].split(","))
    return tuple(Absence(int(start), int(end) if end else None) for start, end in bounds)


def is_absent(absences: Iterable[Absence], audit_id: int) -> bool:
    """Whether the row ``audit_id`` was recorded while the column was not.

    A value that is there counts, whatever the ranges say: ask for nulls only.
    """
    return any(audit_id in absence for absence in absences)


def is_recorded(absences: tuple[Absence, ...]) -> bool:
    """Whether the column is recorded now, as far as its comment tells."""
    return not absences or absences[-1].end is not None
