"""Two versions of a record side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import BadRequest, NotFound

from ..history.excerpts import Excerpt, Value, read_excerpts
from ..history.recorded import RecordedTable
from ..history.versions import find_versions, read_differing
from .arguments import read_position
from .viewer import Reading

#: Characters of a value.
VALUE_LENGTH = 2_000


@dataclass(frozen=True)
class Pair:
    """One column of two versions.

    :ivar old: ``None`` when the column was not recorded then, or there was no row.
    """

    name: str
    old: Value | None
    new: Value | None
    differs: bool


@dataclass(frozen=True)
class Comparison:
    """Two versions of a record, the earlier one first."""

    first: Excerpt
    second: Excerpt
    pairs: tuple[Pair, ...]

    @property
    def different(self) -> tuple[Pair, ...]:
        """The columns that differ."""
        return tuple(pair for pair in self.pairs if pair.differs)

    @property
    def same(self) -> tuple[Pair, ...]:
        """The columns that do not."""
        return tuple(pair for pair in self.pairs if not pair.differs)


def read_comparison(reading: Reading, table: RecordedTable, key: Mapping[str, Any]) -> Comparison | None:
    """Read the two versions that the query string's ``a`` and ``b`` name; ``None`` when it names none.

    :raises werkzeug.exceptions.BadRequest: it names one, or something that is no position.
    :raises werkzeug.exceptions.NotFound: the record has no such version.
    """
    a, b = read_position("a"), read_position("b")
    if a is None and b is None:
        return None
    if a is None or b is None:
        raise BadRequest("Give a and b, the positions of two versions.")
    places = sorted((a, b), key=lambda place: place.audit_id)
    if not set(places) <= find_versions(reading.connection, table, key, places):
        raise NotFound("The record has no such version, or it is not yours to see.")
    wanted = [(table.table.key, place) for place in places]
    first, second = read_excerpts(reading.connection, [table], wanted, VALUE_LENGTH)
    differing = read_differing(reading.connection, table, *places)
    return Comparison(first, second, tuple(_pairs(table, first, second, differing)))


def _pairs(table: RecordedTable, first: Excerpt, second: Excerpt, differing: frozenset[str]) -> list[Pair]:
    old, new = ({field.name: field.value for field in change.fields} for change in (first, second))
    names = [name for name in table.column_names if name in old or name in new]
    # What was not recorded and what was null are two things, though both are null in the table.
    return [
        Pair(n, old.get(n), new.get(n), n in differing or (old.get(n) is None) != (new.get(n) is None)) for n in names
    ]
