"""Where two long values first differ, found on the server: no more of them leaves it than what is near."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CTE, Column, Connection, Select, Text, func
from sqlalchemy.dialects.postgresql import array

from .changes import Changes
from .equality import as_bytes
from .position import Position
from .recorded import RecordedTable

#: Values for which this is done on one page: each takes the server some milliseconds.
MAX_FAR = 25

#: Characters that are read before the first difference, and from there on.
BEFORE, BEHIND = 200, 800

#: Characters to which a difference has to be found.
NEAR = 100


def read_far_differences(
    connection: Connection, table: RecordedTable, position: Position, names: Sequence[str], depth: int
) -> Mapping[str, tuple[int, str, str]]:
    """For each column: how many characters were left out, then the old and the new value from there on.

    Nothing for a value whose first ``depth`` characters are the same.
    """
    rows = connection.execute(select_far_differences(table, position, names, depth))
    return {names[row.place - 1]: (row.start, row.old, row.new) for row in rows if row.old != row.new}


def select_far_differences(table: RecordedTable, position: Position, names: Sequence[str], depth: int) -> Select[Any]:
    """The query: by halves, how long a beginning do both have in common."""
    texts = _texts(Changes(table), position, names, depth)
    halves = _halves(texts)
    common = sa.select(halves.c.place, func.max(halves.c.low).label("low")).group_by(halves.c.place).subquery("common")
    start = func.greatest(0, common.c.low - BEFORE)
    part = {side: func.substring(texts.c[side], start + 1, BEFORE + BEHIND).label(side) for side in ("old", "new")}
    return sa.select(texts.c.place, start.label("start"), part["old"], part["new"]).join_from(
        texts, common, common.c.place == texts.c.place
    )


def _texts(changes: Changes, position: Position, names: Sequence[str], depth: int) -> CTE:
    """The beginnings of both values, a row for each column."""
    sides: list[Any] = [
        array([func.left(as_bytes(images.c[name]), depth) for name in names], type_=Text())
        for images in (changes.old, changes.new)
    ]
    columns: list[Column[Any]] = [sa.Column("old", Text), sa.Column("new", Text)]
    pairs = func.unnest(*sides).table_valued(*columns, with_ordinality="place", name="pairs").render_derived()
    place = sa.tuple_(changes.new.c.audit_transaction_id, changes.new.c.audit_id)
    return (
        sa.select(pairs.c.place, pairs.c.old, pairs.c.new)
        .select_from(changes.joined.join(pairs, sa.true()))
        .where(place.in_([position]))
        .cte("texts")
    )


def _halves(texts: CTE) -> CTE:
    """The half in which the first difference is, and its half, and so on; ``low`` is how much is before it.

    Each step carries on no more than its half, so that all of them together are no more work than the first.
    """
    shorter = func.least(func.length(texts.c.old), func.length(texts.c.new))
    old, new = (func.left(texts.c[side], shorter).label(side) for side in ("old", "new"))
    halves = sa.select(texts.c.place, sa.literal(0).label("low"), old, new).cte("halves", recursive=True)
    middle = func.div(func.length(halves.c.old), 2).cast(sa.Integer)
    same = func.left(halves.c.old, middle) == func.left(halves.c.new, middle)
    return halves.union_all(
        sa.select(
            halves.c.place,
            halves.c.low + sa.case((same, middle), else_=0),
            *(
                sa.case((same, func.substr(halves.c[side], middle + 1)), else_=func.left(halves.c[side], middle))
                for side in ("old", "new")
            ),
        ).where(func.length(halves.c.old) > NEAR)
    )
