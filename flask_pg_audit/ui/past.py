"""A record as it was at some moment."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..history.excerpts import Excerpt, read_excerpts
from ..history.position import Position
from ..history.recorded import RecordedTable
from ..history.versions import read_row_state
from .arguments import read_moment
from .viewer import Reading, Viewer

#: Characters of a value.
VALUE_LENGTH = 2_000


@dataclass(frozen=True)
class Past:
    """What the row was at a moment.

    :ivar at: the instant that was asked for; ``None`` when it was the state after a change.
    :ivar place: that change.
    :ivar change: the last one by then; ``None`` if nothing was recorded by then.
    :ivar is_there: the row was there, as ``change`` left it.
    """

    at: datetime.datetime | None
    place: Position | None
    change: Excerpt | None
    is_there: bool


def read_past(viewer: Viewer, reading: Reading, table: RecordedTable, key: Mapping[str, Any]) -> Past | None:
    """Read what the query string's ``as-of`` asks for; ``None`` when it asks for nothing.

    :raises werkzeug.exceptions.BadRequest: it is no moment.
    """
    when = read_moment("as-of", viewer.zone)
    if when is None:
        return None
    at, place = (None, when) if isinstance(when, Position) else (when, None)
    state = read_row_state(reading.connection, table, key, when)
    if state is None:
        return Past(at, place, None, is_there=False)
    changes = read_excerpts(reading.connection, [table], [(table.table.key, state.place)], VALUE_LENGTH)
    return Past(at, place, next(iter(changes), None), state.is_there)
