"""The feed: the changes of all audited tables, newest first, a page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, MetaData, Select

from .budget import Budget
from .change import Change
from .changes import Changes, Source, connection_of
from .extent import read_parts
from .filter import ChangeFilter
from .paging import Slice
from .places import places, places_in
from .position import Position
from .recorded import RecordedTable, read_recorded_tables, recorded_tables
from .windows import MAX_ID, Found, Search, Window

__all__ = ["Page", "Position", "feed", "places", "read_changes", "read_feed"]

EVERYTHING = ChangeFilter()

_MIN_ID = -(2**63)


def feed(
    metadata: MetaData,
    where: ChangeFilter = EVERYTHING,
    *,
    before: Position | None = None,
    after: Position | None = None,
    limit: int = 50,
) -> Select[Any]:
    """Where the newest changes are: ``table_key``, ``audit_transaction_id`` and ``audit_id`` of each.

    With ``before`` the next older changes, newest first; with ``after`` the next newer ones, **oldest first**. Each
    audit table is read through an index and for no more than ``limit`` rows, whatever the length of the history, where
    the filter is one that an index serves: none, a table, who, a request, a transaction, a key, a time.

    :raises AuditConfigError: no table of ``metadata`` is audited, or the filter names what there is not.

    .. versionadded:: 0.1
    """
    return places(recorded_tables(metadata), where, before=before, after=after, limit=limit)


@dataclass(frozen=True)
class Page:
    """A page of the feed, newest first.

    :ivar newer: give it as ``after`` for the page of newer changes; ``None`` when there are none.
    :ivar older: give it as ``before`` for the page of older changes; ``None`` when there are none.

    .. versionadded:: 0.1
    """

    changes: tuple[Change, ...]
    newer: Position | None
    older: Position | None


def read_feed(
    source: Source,
    metadata: MetaData,
    where: ChangeFilter = EVERYTHING,
    *,
    before: Position | None = None,
    after: Position | None = None,
    limit: int = 50,
) -> Page:
    """Read one page of the feed; ``before`` and ``after`` are those of another page.

    Paging never shows a change twice. It does not show what is committed later under a lower number: see the page on
    time and order in the documentation.

    :raises AuditConfigError: as :func:`feed`; or both ``before`` and ``after`` are given.

    .. versionadded:: 0.1
    """
    connection = connection_of(source)
    tables = read_recorded_tables(connection, metadata)
    found = read_places(connection, places(tables, where, before=before, after=after, limit=limit + 1))
    ahead, found = len(found) > limit, found[:limit]
    if after is not None:
        found.reverse()
    behind = bool(found) and _has_more_behind(connection, tables, where, found, before, after)
    newer, older = (ahead, behind) if after is not None else (behind, ahead)
    return Page(
        tuple(load(connection, tables, found)),
        newer=found[0][1] if found and newer else None,
        older=found[-1][1] if found and older else None,
    )


def _has_more_behind(
    connection: Connection,
    tables: Iterable[RecordedTable],
    where: ChangeFilter,
    found: Sequence[tuple[str, Position]],
    before: Position | None,
    after: Position | None,
) -> bool:
    """Whether there is anything where the reader comes from: it may be pruned, and a position may be made up."""
    if before is None and after is None:
        return False
    if after is None:
        return bool(read_places(connection, places(tables, where, after=found[0][1], limit=1)))
    return bool(read_places(connection, places(tables, where, before=found[-1][1], limit=1)))


def read_places(connection: Connection, query: Select[Any]) -> list[tuple[str, Position]]:
    """Table key and position of each row."""
    return [(row.table_key, Position(row.audit_transaction_id, row.audit_id)) for row in connection.execute(query)]


def search_places(
    connection: Connection, tables: Iterable[RecordedTable], where: ChangeFilter, slice_: Slice, budget: Budget
) -> Found[tuple[str, Position]]:
    """The places of :func:`.places.places`, as far as there is time to look for them."""
    chosen = where.chosen(tuple(tables))
    if not chosen:
        return Found([])

    def read(window: Window, limit: int) -> list[tuple[str, Position]]:
        before, after = _earlier(slice_.before, window.end), _later(slice_.after, window.first)
        part = Slice(before, after, limit, slice_.is_upwards)
        return read_places(connection, places_in(chosen, where, part, is_piece=window.is_piece))

    first = None if slice_.after is None else slice_.after.transaction_id
    end = None if slice_.before is None else _end(slice_.before)
    search = Search(connection, budget, slice_.is_upwards, read, partial(read_parts, connection, chosen, where))
    return search.find(Window(first, end), slice_.limit)


def _end(before: Position) -> int:
    """The first transaction of which nothing is before the place."""
    is_inside = before.audit_id > _MIN_ID and before.transaction_id < MAX_ID
    return before.transaction_id + 1 if is_inside else before.transaction_id


def _earlier(place: Position | None, end: int | None) -> Position | None:
    """What is before both."""
    edge = None if end is None else Position(end, _MIN_ID)
    return min((each for each in (place, edge) if each is not None), default=None)


def _later(place: Position | None, first: int | None) -> Position | None:
    edge = None if first is None else Position(first, _MIN_ID)
    return max((each for each in (place, edge) if each is not None), default=None)


def read_changes(source: Source, metadata: MetaData, query: Select[Any]) -> list[Change]:
    """The changes to which :func:`feed` or :func:`timeline` lead, in the order of their rows.

    A place that is not there any more is left out.

    .. versionadded:: 0.1
    """
    connection = connection_of(source)
    return load(connection, read_recorded_tables(connection, metadata), read_places(connection, query))


def load(
    connection: Connection, tables: Iterable[RecordedTable], wanted: Sequence[tuple[str, Position]]
) -> list[Change]:
    """The changes at these places, in their order; one query for each table, by primary key."""
    by_table: dict[str, list[Position]] = defaultdict(list)
    for key, position in wanted:
        by_table[key].append(position)
    found: dict[tuple[str, Position], Change] = {}
    for table in tables:
        positions = by_table.get(table.table.key)
        if positions:
            changes = Changes(table)
            for change in changes.read(connection, changes.at(positions)):
                found[table.table.key, change.position] = change
    return [found[place] for place in wanted if place in found]
