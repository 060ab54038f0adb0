"""Two versions of a record side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import BadRequest, NotFound

from ..history.excerpts import Excerpt, Field, read_excerpts
from ..history.recorded import RecordedTable
from ..history.versions import find_versions, read_differing
from .arguments import read_position
from .language import gettext
from .viewer import Reading

#: Characters of a value.
VALUE_LENGTH = 2_000


@dataclass(frozen=True)
class Comparison:
    """Two versions of a record, the earlier one first.

    :ivar fields: every column, as if the second version came of the first by an update.
    """

    first: Excerpt
    second: Excerpt
    fields: tuple[Field, ...]

    @property
    def different(self) -> tuple[Field, ...]:
        """The columns that differ."""
        return tuple(field for field in self.fields if field.changed)

    @property
    def same(self) -> tuple[Field, ...]:
        """The columns that do not."""
        return tuple(field for field in self.fields if not field.changed)


def read_comparison(reading: Reading, table: RecordedTable, key: Mapping[str, Any]) -> Comparison | None:
    """Read the two versions that the query string's ``a`` and ``b`` name; ``None`` when it names none.

    :raises werkzeug.exceptions.BadRequest: it names one, or something that is no position.
    :raises werkzeug.exceptions.NotFound: the record has no such version.
    """
    a, b = read_position("a"), read_position("b")
    if a is None and b is None:
        return None
    if a is None or b is None:
        raise BadRequest(gettext("Give a and b, the positions of two versions."))
    places = sorted((a, b), key=lambda place: place.audit_id)
    if not set(places) <= find_versions(reading.connection, table, key, places):
        raise NotFound(gettext("The record has no such version, or it is not yours to see."))
    wanted = [(table.table.key, place) for place in places]
    first, second = read_excerpts(reading.connection, [table], wanted, VALUE_LENGTH)
    differing = read_differing(reading.connection, table, *places)
    return Comparison(first, second, tuple(_fields(table, first, second, differing)))


def _fields(table: RecordedTable, first: Excerpt, second: Excerpt, differing: frozenset[str]) -> Iterator[Field]:
    old, new = ({field.name: field.value for field in change.fields} for change in (first, second))
    for name in table.column_names:
        before, after = old.get(name), new.get(name)
        # What was not recorded and what was null are two things, though both are null in the table.
        differs = name in differing or (before is None) != (after is None)
        if before is not None or after is not None:
            yield Field(name, after, before, differs, is_key=name in table.key_names)
