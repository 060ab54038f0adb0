"""When a column of an audit table was not recorded, told by the comment on that column.

A column that is added to a table later reads as null in every row recorded before, and one that was dropped or
excluded reads as null in every row recorded since. The comment tells these nulls from values that were null. It is
where it follows the column: through renames, other schemas, dumps and restores.

The text is ``flask_pg_audit absent 0-120,340-``: the half-open ranges of ``audit_id`` whose rows lack the column, the
last one without an end when it still is not recorded. In the same way ``flask_pg_audit masked 120-`` tells which rows
have the column masked, so that no mask is taken for a value, whatever the models say later. Both may be there:
``flask_pg_audit absent 0-120 masked 120-``. At its end, `` redacted`` says that values were removed from some rows:
which ones, ``audit_redaction`` tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

COMMENT_PREFIX = "flask_pg_audit "

ABSENT, MASKED = "absent", "masked"

#: What marks a column of which values were removed.
REDACTED = " redacted"

_RANGES = r"\d+-\d*(?:,\d+-\d*)*"
_COMMENT = re.compile(
    rf"flask_pg_audit(?: absent (?P<absent>{_RANGES}))?(?: masked (?P<masked>{_RANGES}))?(?P<redacted> redacted)?"
)


@dataclass(frozen=True)
class Absence:
    """The rows with ``start <= audit_id < end``; without an end, all rows from ``start`` on."""

    start: int
    end: int | None

    def __contains__(self, audit_id: int) -> bool:
        return self.start <= audit_id and (self.end is None or audit_id < self.end)


def parse_absences(comment: str | None) -> tuple[Absence, ...]:
    """Read the comment on an audit table's column; any other comment, or none, says that it was always recorded."""
    return _parse(comment, ABSENT)


def parse_masks(comment: str | None) -> tuple[Absence, ...]:
    """The rows whose values of the column are masked, by the same comment; nothing where none are."""
    return _parse(comment, MASKED)


def has_redactions(comment: str | None) -> bool:
    """Whether ``audit_redaction`` names rows from which the column's value was removed, by the same comment."""
    match = _COMMENT.fullmatch(comment or "")
    return match is not None and match["redacted"] is not None


def _parse(comment: str | None, kind: str) -> tuple[Absence, ...]:
    match = _COMMENT.fullmatch(comment or "")
    if match is None or match[kind] is None:
        return ()
    bounds = (part.split("-") for part in match[kind].split(","))
    return tuple(Absence(int(start), int(end) if end else None) for start, end in bounds)


def is_absent(absences: Iterable[Absence], audit_id: int) -> bool:
    """Whether the row ``audit_id`` was recorded while the column was not.

    A value that is there counts, whatever the ranges say: ask for nulls only.
    """
    return any(audit_id in absence for absence in absences)


def is_recorded(absences: tuple[Absence, ...]) -> bool:
    """Whether the column is recorded now, as far as its comment tells."""
    return not absences or absences[-1].end is not None


def is_within(ranges: Iterable[Absence], audit_id: int) -> bool:
    """Whether the row ``audit_id`` is in one of the ranges."""
    return any(audit_id in found for found in ranges)


def is_open(ranges: tuple[Absence, ...]) -> bool:
    """Whether the last range has no end, so that what is recorded now is in it."""
    return bool(ranges) and ranges[-1].end is None


def first_clear(absences: Iterable[Absence], masks: Iterable[Absence]) -> int | None:
    """The first ``audit_id`` whose row may have the column as it was, not masked; ``None`` when no row can."""
    reached = 0
    for found in sorted([*absences, *masks], key=lambda found: found.start):
        if found.start > reached:
            break
        if found.end is None:
            return None
        reached = max(reached, found.end)
    return reached
