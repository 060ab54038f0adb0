"""Locking the rows of a plan, and comparing what they are with what they should be; all of it in the database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Boolean, ColumnElement, Connection, FromClause, Integer, Row, Select, Text
from sqlalchemy.dialects.postgresql import ARRAY, array

from ..history.changes import reading_type
from ..history.equality import differ
from ..history.excerpts import value_head, value_length
from ..history.position import Position
from ..history.value import Value, kind_of_type
from .live import LiveTable, is_at, place_table
from .target import Target
from .versions import VersionColumn

#: Where the keys begin in a row of the comparison.
_KEYS = 10


@dataclass(frozen=True)
class Comparison:
    """One row of a plan, its columns by name.

    :ivar key: as the row has it now.
    :ivar new_key: as it is wanted.
    :ivar version: the current value of the column by which the ORM counts versions.
    :ivar modified: the columns that differ from the expected image.
    :ivar undone: the columns in which the expected image and the wanted one differ.
    :ivar missing: the columns that differ from the wanted image.
    :ivar unrecorded: the columns that the wanted image does not have.
    :ivar masked: the columns of which the wanted image has a mask.
    """

    target: Target
    exists: bool
    key: Mapping[str, Any]
    new_key: Mapping[str, Any]
    version: Any
    modified: frozenset[str]
    undone: frozenset[str]
    missing: frozenset[str]
    unrecorded: frozenset[str]
    masked: frozenset[str] = frozenset()


@dataclass(frozen=True)
class _Sources:
    """What a comparison selects from: places, the images at them, and the rows."""

    table: LiveTable
    places: FromClause
    at: FromClause
    expected: FromClause
    wanted: FromClause
    live: FromClause

    @classmethod
    def of(cls, table: LiveTable, targets: Sequence[Target]) -> _Sources:
        history = table.recorded.history
        places = place_table(
            "places",
            at=[target.at for target in targets],
            expected=[_position(target.expected) for target in targets],
            wanted=[target.wanted for target in targets],
        )
        at, expected, wanted = (history(name) for name in ("at", "expected", "wanted"))
        return cls(table, places, at, expected, wanted, table.clause().alias("live"))

    @property
    def joined(self) -> FromClause:
        joined: FromClause = self.places.join(self.at, is_at(self.at, self.places, "at"))
        for images, name in ((self.expected, "expected"), (self.wanted, "wanted")):
            joined = joined.outerjoin(images, is_at(images, self.places, name))
        return joined.outerjoin(self.live, self.table.same_key(self.live, self.at))

    def values(self, images: FromClause) -> dict[str, ColumnElement[Any]]:
        """The values of an image that have a place in the table, by their columns."""
        return {name: self.table.value(images, name) for name in self.table.written}


def _position(expected: object) -> Position | None:
    return expected if isinstance(expected, Position) else None


def lock_rows(connection: Connection, table: LiveTable, targets: Sequence[Target]) -> None:
    """``SELECT … FOR UPDATE`` of the rows that are there, in the order of their keys."""
    places = place_table("places", at=[target.at for target in targets])
    at, live = table.recorded.history("at"), table.clause().alias("live")
    rows = (
        sa.select(sa.literal(1).label("one"))
        .select_from(places.join(at, is_at(at, places, "at")).join(live, table.same_key(live, at)))
        .order_by(*(live.c[name] for name in table.key_names))
        .with_for_update(of=live)
        .subquery("locked")
    )
    connection.execute(sa.select(sa.func.count()).select_from(rows))


def compare_rows(
    connection: Connection, table: LiveTable, targets: Sequence[Target], version: VersionColumn | None
) -> list[Comparison]:
    """Compare each row with its images, in the order of ``targets``; one query."""
    sources = _Sources.of(table, targets)
    names = _Names(table.written)
    return [_build(row, table, targets[row.n], names) for row in connection.execute(_compare(sources, version))]


def _compare(sources: _Sources, version: VersionColumn | None) -> Select[Any]:
    table, live = sources.table, sources.live
    expected, wanted = sources.values(sources.expected), sources.values(sources.wanted)
    counted = live.c[version.name] if version is not None and version.name in live.c else sa.null()
    return (
        sa.select(
            sources.places.c.n,
            live.c[table.key_names[0]].is_not(None).label("exists_"),
            counted.label("version"),
            _flags(differ(live.c[name], expected[name]) for name in expected).label("modified"),
            _flags(_is_undone(sources, name, expected, wanted) for name in expected).label("undone"),
            _flags(differ(live.c[name], wanted[name]) for name in wanted).label("missing"),
            _flags(table.is_absent(sources.expected, name) for name in expected).label("no_expected"),
            _flags(table.is_absent(sources.wanted, name) for name in wanted).label("no_wanted"),
            _flags(table.is_masked(sources.expected, name) for name in expected).label("masked_expected"),
            _flags(table.is_masked(sources.wanted, name) for name in wanted).label("masked_wanted"),
            *_labelled(table, "key", sources.at),
            *_labelled(table, "new", sources.wanted),
        )
        .select_from(sources.joined)
        .order_by(sources.places.c.n)
    )


def _is_undone(
    sources: _Sources, name: str, expected: Mapping[str, ColumnElement[Any]], wanted: Mapping[str, ColumnElement[Any]]
) -> ColumnElement[bool]:
    if sources.table.recorded.column(name).masks:  # of the two masks, neither of which the table could take
        return differ(sources.expected.c[name], sources.wanted.c[name])
    return differ(expected[name], wanted[name])


def _labelled(table: LiveTable, label: str, images: FromClause) -> Iterator[ColumnElement[Any]]:
    for n, name in enumerate(table.key_names):
        yield sa.type_coerce(images.c[name], reading_type(table.type_of(name))).label(f"{label}_{n}")


def _flags(flags: Iterator[ColumnElement[bool]]) -> ColumnElement[Any]:
    """One digit for each column: an array would be a list in Python, for each of 10,000s of rows."""
    digits = sa.cast(array(list(flags), type_=Boolean()), ARRAY(Integer))
    return sa.func.array_to_string(digits, "", "0")


def _build(row: Row[Any], table: LiveTable, target: Target, names: _Names) -> Comparison:
    unexpected, unrecorded = names[row.no_expected] | names[row.masked_expected], names[row.no_wanted]
    return Comparison(
        target=target,
        exists=row.exists_,
        key=dict(zip(table.key_names, row[_KEYS:], strict=False)),
        new_key=dict(zip(table.key_names, row[_KEYS + len(table.key_names) :], strict=False)),
        version=row.version,
        modified=names[row.modified] - unexpected,
        undone=names[row.undone] - names[row.no_expected] - unrecorded,
        missing=(names[row.missing] | names[row.masked_wanted]) - unrecorded,
        unrecorded=unrecorded,
        masked=names[row.masked_wanted],
    )


class _Names(dict[str, frozenset[str]]):
    """The columns that a row of digits stands for; most rows have the same few."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._names = names

    def __missing__(self, digits: str) -> frozenset[str]:
        self[digits] = found = frozenset(n for n, digit in zip(self._names, digits, strict=True) if digit == "1")
        return found


def read_differences(
    connection: Connection, table: LiveTable, targets: Sequence[Target]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Of each row what was expected, and what is there, as values; to be told to a person."""
    sources = _Sources.of(table, targets)
    columns = []
    for label, images in (("expected", sources.expected), ("found", sources.live)):
        for n, name in enumerate(table.written):
            type_ = table.type_of(name) if images is sources.live else table.recorded.column(name).type
            value = sa.type_coerce(images.c[name], reading_type(type_))
            columns.append(value.label(f"{label}_{n}"))
    query = sa.select(*columns).select_from(sources.joined).order_by(sources.places.c.n)
    return [(_values(row, "expected", table), _values(row, "found", table)) for row in connection.execute(query)]


def _values(row: Row[Any], label: str, table: LiveTable) -> Mapping[str, Any]:
    return {name: row._mapping[f"{label}_{n}"] for n, name in enumerate(table.written)}


def read_heads(
    connection: Connection, table: LiveTable, targets: Sequence[Target], length: int
) -> list[tuple[Mapping[str, Value], Mapping[str, Value]]]:
    """Of each row what is there, and what is wanted, as PostgreSQL writes it; so many characters of each value."""
    sources = _Sources.of(table, targets)
    live = {name: sources.live.c[name] for name in table.written}
    sides = (live, sources.values(sources.wanted))
    query = sa.select(*(array_ for values in sides for array_ in _heads(values, length)))
    rows = connection.execute(query.select_from(sources.joined).order_by(sources.places.c.n))
    return [(_shown(table, *row[:2]), _shown(table, *row[2:])) for row in rows]


def _heads(values: Mapping[str, ColumnElement[Any]], length: int) -> Iterator[ColumnElement[Any]]:
    """As arrays: a table may have more columns than a query may return."""
    yield array([value_head(value, length) for value in values.values()], type_=Text())
    yield array([value_length(value) for value in values.values()], type_=BigInteger())


def _shown(table: LiveTable, heads: Sequence[str | None], lengths: Sequence[int | None]) -> Mapping[str, Value]:
    columns = zip(table.written, heads, lengths, strict=True)
    return {name: Value(head, long, kind=kind_of_type(table.type_of(name))) for name, head, long in columns}
