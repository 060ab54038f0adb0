"""Whether history can hold a column's values, told from two types as ``format_type`` writes them."""

from __future__ import annotations

import re
from typing import NamedTuple

_INTEGER_DIGITS = {"smallint": 5, "integer": 10, "bigint": 19}
_UNLIMITED_TEXT = ("text", "character varying")

#: Which numbers others keep as they are; ``numeric`` depends on its digits.
_NUMBERS: dict[str, tuple[str, ...]] = {
    "smallint": (),
    "integer": ("smallint",),
    "bigint": ("smallint", "integer"),
    "real": ("smallint",),
    "double precision": ("smallint", "integer", "real"),
    "numeric": (),
}

#: Types whose limit can be raised, or taken away, by changing nothing but the catalog.
_STRETCH_IN_PLACE = ("character varying", "bit varying", "numeric")

#: Types whose text is the same in every session, and is read back as the same value.
_SAME_AS_TEXT = ("smallint", "integer", "bigint", "numeric", "boolean", "uuid")

_TYPE = re.compile(
    r"(?P<name>[^(\[]*?[^(\[ ])(?:\((?P<limits>[\d,-]+)\))?(?P<rest>(?: with(?:out)? time zone)?(?:\[\])*)"
)


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


#: What SQLAlchemy calls otherwise than ``format_type`` does.
_ALIASES = {"varchar": "character varying", "char": "character", "float": "double precision"}

_COMPARED = (
    *_NUMBERS, *_STRETCH_IN_PLACE, *_SAME_AS_TEXT, *_UNLIMITED_TEXT, "character", "date", "timestamp", "jsonb", "json",
    "inet", "bytea",
)  # fmt: skip


def declared_type(compiled: str) -> str | None:
    """What ``format_type`` makes of a type as SQLAlchemy writes it; ``None`` for one that is not to be compared."""
    type_ = ColumnType.parse(compiled.lower().replace(", ", ","))
    name = _ALIASES.get(type_.name, type_.name)
    if name not in _COMPARED:
        return None
    limits = _full_limits(name, type_.limits)
    return f"{name}{limits}{type_.rest}"


def _full_limits(name: str, limits: tuple[int, ...]) -> str:
    if name == "numeric" and len(limits) == 1:
        limits = (*limits, 0)
    elif name == "character" and not limits:
        limits = (1,)
    return f"({','.join(map(str, limits))})" if limits else ""


_PLAIN_TEXT = tuple(ColumnType(name, (), "") for name in _UNLIMITED_TEXT)


def holds(kept: str, live: str) -> bool:
    """Whether every value of the type ``live`` can be stored as ``kept`` without being refused or altered."""
    if kept == live:
        return True
    old, new = ColumnType.parse(kept), ColumnType.parse(live)
    if new.rest == "" and old in _PLAIN_TEXT and new.name in _SAME_AS_TEXT:
        return True
    if live == "date" and (old.name, old.rest) == ("timestamp", " without time zone"):
        return True
    if old.rest != new.rest:
        return False
    if old.name in _NUMBERS and new.name in _NUMBERS and old.name != new.name:
        return new.name in _NUMBERS[old.name] or (old.name == "numeric" and _has_digits_for(old, new))
    if old.name == new.name == "numeric":
        return _has_digits_for(old, new)
    is_text = old.name in _UNLIMITED_TEXT and new.name in _UNLIMITED_TEXT
    return (is_text and not old.limits) or (old.name == new.name and old.reaches(new))


def _digits(type_: ColumnType) -> tuple[int, int] | None:
    """Before and after the point; ``None`` for any number of them."""
    if type_.name in _INTEGER_DIGITS:
        return _INTEGER_DIGITS[type_.name], 0
    if not type_.limits:
        return None
    precision, scale = (*type_.limits, 0)[:2]
    return precision - scale, scale


def _has_digits_for(numeric: ColumnType, other: ColumnType) -> bool:
    old, new = _digits(numeric), _digits(other)
    return old is None or (new is not None and old[0] >= new[0] and old[1] >= new[1])


def numeric_for_both(kept: str, live: str) -> tuple[int, int] | None:
    """Precision and scale of the ``numeric`` that holds both, where ``kept`` as ``live`` would be rounded or refused.

    ``None`` where no such type is needed or known.
    """
    old, new = ColumnType.parse(kept), ColumnType.parse(live)
    if old.name != "numeric" or old.rest or new.rest or new.name not in ("numeric", *_INTEGER_DIGITS):
        return None
    before, after = _digits(old), _digits(new)
    if before is None or after is None:
        return None
    scale = max(before[1], after[1])
    return max(before[0], after[0]) + scale, scale


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
