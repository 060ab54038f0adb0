"""Whether history can hold a column's values, told from two types as ``format_type`` writes them."""

from __future__ import annotations

import re
from typing import NamedTuple

_INTEGERS = ("smallint", "integer", "bigint")
_UNLIMITED_TEXT = ("text", "character varying")

#: Types whose limit can be raised, or taken away, by changing nothing but the catalog.
_STRETCH_IN_PLACE = ("character varying", "bit varying", "numeric")

_TYPE = re.compile(r"(?P<name>[^(\[]*[^(\[ ])(?:\((?P<limits>[\d,-]+)\))?(?P<rest>.*)")


class ColumnType(NamedTuple):
    """``numeric(9,2)[]`` is ``("numeric", (9, 2), "[]")``; without a limit, ``limits`` is empty."""

    name: str
    limits: tuple[int, ...]
    rest: str

    @classmethod
    def parse(cls, text: str) -> ColumnType:
        match = _TYPE.fullmatch(text)
        if match is None:
            return cls(text, (), "")
        limits = tuple(int(limit) for limit in (match["limits"] or "").split(",") if limit)
        return cls(match["name"], limits, match["rest"])

    def reaches(self, other: ColumnType) -> bool:
        """Whether the limits leave room for every value of ``other``, a type of the same name."""
        if not self.limits:
            return True
        if not other.limits:
            return False
        return self.limits[0] >= other.limits[0] and self.limits[1:] == other.limits[1:]


def holds(kept: str, live: str) -> bool:
    """Whether every value of the type ``live`` can be stored as ``kept`` without being refused or altered."""
    if kept == live:
        return True
    old, new = ColumnType.parse(kept), ColumnType.parse(live)
    if old.rest != new.rest:
        return False
    if old.name in _INTEGERS and new.name in _INTEGERS:
        return _INTEGERS.index(old.name) >= _INTEGERS.index(new.name)
    is_text = old.name in _UNLIMITED_TEXT and new.name in _UNLIMITED_TEXT
    return (is_text and not old.limits) or (old.name == new.name and old.reaches(new))


def widens_in_place(kept: str, live: str) -> bool:
    """Whether ``ALTER COLUMN TYPE`` from ``kept`` to ``live`` neither rewrites nor reads the table.

    Source: the *Notes* of PostgreSQL's ``ALTER TABLE``, and the support functions of the types' casts.
    """
    old, new = ColumnType.parse(kept), ColumnType.parse(live)
    if old.rest or new.rest:  # arrays are rewritten
        return False
    if old.name in _UNLIMITED_TEXT and new.name in _UNLIMITED_TEXT:
        return not new.limits or new.reaches(old)
    return old.name == new.name and old.name in _STRETCH_IN_PLACE and new.reaches(old)
