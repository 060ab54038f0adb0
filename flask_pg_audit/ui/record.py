"""The page of one record: its timeline, two of its versions side by side, and the row as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from flask import request
from sqlalchemy import Select, Table
from sqlalchemy.exc import DataError, DBAPIError, StatementError
from sqlalchemy.orm import Mapper
from werkzeug.exceptions import BadRequest, NotFound

from ..errors import AuditConfigError
from ..history.excerpts import Excerpt, Field, read_excerpts
from ..history.family import family_places, followable
from ..history.feed import read_places
from ..history.key import parse_key
from ..history.position import Position
from ..history.recorded import RecordedTable
from ..history.timeline import order_places, record_places
from ..history.versions import read_row_state
from .arguments import read_list, read_position, refuse_both
from .language import gettext, message
from .links import link
from .numbers import format_number
from .past import Past, read_past
from .versions import Comparison, read_comparison
from .view_log import MAX_ARGUMENT_LENGTH
from .viewer import Reading, Viewer

#: Characters of a value in the timeline, and of one that an update changed.
VALUE_LENGTH, CHANGED_LENGTH = 80, 1_000

_NOT_FOUND = message("There is no such record, or it is not yours to see.")


@dataclass(frozen=True)
class Record:
    """Whose page it is.

    :ivar text: the key as the query string has it.
    :ivar key: its columns and values, as PostgreSQL writes them.
    :ivar values: the same as the database is asked for them.
    :ivar mapper: of the class that is mapped to the table, if any is.
    """

    table: RecordedTable
    text: str
    key: tuple[Field, ...]
    values: Mapping[str, Any]
    mapper: Mapper[Any] | None

    def owns(self, change: Excerpt) -> bool:
        """Whether ``change`` is one of the record itself, not of what belongs to it."""
        is_of_table = change.table_key == self.table.table.key
        return is_of_table and (change.operation == "T" or _texts(change.key) == _texts(self.key))

    def is_version(self, change: Excerpt) -> bool:
        """Whether the change left a row behind that can be compared with others."""
        return self.owns(change) and change.operation in ("I", "U", "S")


@dataclass(frozen=True)
class RecordPage:
    """A part of a record's timeline, newest first, and what was asked about its versions.

    :ivar related: the relationships whose changes can be shown too.
    :ivar shown: those whose changes are.
    :ivar is_newest: no place was asked for.
    :ivar is_upwards: the reader comes from older ones.
    :ivar place_url: gives the page ``before`` or ``after`` a change.
    """

    record: Record
    changes: tuple[Excerpt, ...]
    newer_url: str | None
    older_url: str | None
    newest_url: str
    is_newest: bool
    related: tuple[str, ...]
    shown: tuple[str, ...]
    comparison: Comparison | None
    past: Past | None
    is_upwards: bool
    place_url: Callable[..., str]

    @property
    def row_count(self) -> int:
        """The changes that are shown."""
        return len(self.changes)

    def shortened(self, number: int) -> RecordPage:
        """The ``number`` that come first where the reader comes from."""
        if self.is_upwards:
            changes = self.changes[-number:]
            return replace(self, changes=changes, newer_url=self.place_url(after=changes[0].position))
        changes = self.changes[:number]
        return replace(self, changes=changes, older_url=self.place_url(before=changes[-1].position))

    @property
    def versions(self) -> tuple[Excerpt, ...]:
        """The changes on this page that can be compared."""
        return tuple(change for change in self.changes if self.record.is_version(change))

    @property
    def chosen(self) -> tuple[Position | None, Position | None]:
        """The versions that the form offers to compare: those that are compared, else the two newest."""
        if self.comparison is not None:
            return self.comparison.first.position, self.comparison.second.position
        places = [change.position for change in self.versions[:2]]
        newest = places[0] if places else None
        return (places[-1] if places else None), newest

    @property
    def elsewhere(self) -> tuple[Excerpt, ...]:
        """The versions that are compared and not on this page."""
        compared = (self.comparison.first, self.comparison.second) if self.comparison is not None else ()
        here = {change.position for change in self.versions}
        return tuple(change for change in compared if change.position not in here)


def read_record_page(viewer: Viewer, reading: Reading) -> RecordPage:
    """Read what the query string asks for.

    :raises werkzeug.exceptions.BadRequest: an argument makes no sense.
    :raises werkzeug.exceptions.NotFound: nothing of the record may be seen.
    """
    record = find_record(viewer, reading)
    related = followable(record.mapper, record.table, reading.tables) if record.mapper is not None else ()
    shown = _read_shown(related)
    before, after = read_position("before"), read_position("after")
    refuse_both(before, after)
    size = viewer.state.config.page_size
    found, newer, older = _read_page(reading, record, shown, before, after, size)
    kept = {"a": request.args.get("a"), "b": request.args.get("b"), "as-of": request.args.get("as-of")}
    here = partial(link, "record", table=record.table.table.key, key=record.text, **{"with": ",".join(shown)}, **kept)
    changes = read_excerpts(reading.connection, reading.tables, found, VALUE_LENGTH, CHANGED_LENGTH)
    return RecordPage(
        record,
        tuple(changes),
        newer_url=here(after=newer) if newer is not None else None,
        older_url=here(before=older) if older is not None else None,
        newest_url=here(),
        is_newest=before is None and after is None,
        related=related,
        shown=shown,
        comparison=read_comparison(reading, record.table, record.values),
        past=read_past(viewer, reading, record.table, record.values),
        is_upwards=after is not None,
        place_url=here,
    )


def find_record(viewer: Viewer, reading: Reading) -> Record:
    """The record that the query string names.

    :raises werkzeug.exceptions.BadRequest: it names none.
    :raises werkzeug.exceptions.NotFound: nothing of the record may be seen.
    """
    table_key, text = request.args.get("table", ""), request.args.get("key")
    if text is None:
        raise BadRequest(gettext("key: say which record."))
    table = reading.table(table_key)
    # With a part of the key out of sight no record can be told from another.
    if table is None or not set(table.key_names) <= set(table.column_names):
        raise NotFound(gettext(_NOT_FOUND))
    if not table.key_names:
        raise NotFound(gettext("The table has no primary key, so no record can be told from another."))
    values = read_key(table, text)
    key = _read_key(reading, table, values)
    return Record(table, text, key, values, _mapper_of(viewer, table.table))


def read_key(table: RecordedTable, text: str) -> Mapping[str, Any]:
    """The values of a key in the query string.

    :raises werkzeug.exceptions.BadRequest: it is none of ``table``.
    """
    if len(text) > MAX_ARGUMENT_LENGTH:  # more would not be recorded of it
        raise BadRequest(gettext("key: at most %(number)s characters.", number=format_number(MAX_ARGUMENT_LENGTH)))
    if "\0" in text:
        raise BadRequest(gettext("key: PostgreSQL has no text with U+0000 in it."))
    try:
        return parse_key(table.audited, text)
    except AuditConfigError as error:
        raise BadRequest(gettext("key: %(problem)s.", problem=error)) from error


def _read_key(reading: Reading, table: RecordedTable, values: Mapping[str, Any]) -> tuple[Field, ...]:
    """The key as PostgreSQL writes it.

    :raises werkzeug.exceptions.NotFound: nothing of the record may be seen.
    :raises werkzeug.exceptions.BadRequest: a value does not fit into its column.
    """
    try:
        state = read_row_state(reading.connection, table, values)
    except StatementError as error:
        if isinstance(error, DBAPIError) and not isinstance(error, DataError):
            raise
        names = ", ".join(table.key_names)
        raise BadRequest(gettext("key: this is no value of %(columns)s.", columns=names)) from error
    if state is None:
        raise NotFound(gettext(_NOT_FOUND))
    [change] = read_excerpts(reading.connection, [table], [(table.table.key, state.place)])
    return change.key


def _mapper_of(viewer: Viewer, table: Table) -> Mapper[Any] | None:
    """Of the classes in one table the first: the others' relationships are those of subclasses."""
    model: Any = viewer.state.db.Model
    own: list[Mapper[Any]] = [mapper for mapper in model.registry.mappers if mapper.local_table is table]
    return min(own, key=lambda mapper: len(list(mapper.iterate_to_root())), default=None)


def _read_shown(related: Sequence[str]) -> tuple[str, ...]:
    wanted = read_list("with")
    for name in wanted:
        if name not in related:
            raise BadRequest(_unknown_relationship(name, related))
    return tuple(name for name in related if name in wanted)


def _unknown_relationship(name: str, related: Sequence[str]) -> str:
    if not related:
        return gettext("with: there is no relationship %(name)s to show; there are: none.", name=repr(name[:60]))
    known = ", ".join(related)
    return gettext(
        "with: there is no relationship %(name)s to show; there are: %(known)s.", name=repr(name[:60]), known=known
    )


def _read_page(
    reading: Reading,
    record: Record,
    shown: Sequence[str],
    before: Position | None,
    after: Position | None,
    size: int,
) -> tuple[list[tuple[str, Position]], Position | None, Position | None]:
    """The places on the page, newest first, and where the newer and the older page begin."""

    def read(before: Position | None, after: Position | None, limit: int) -> list[tuple[str, Position]]:
        query = order_places(_places(reading, record, shown), before, after, limit)
        return read_places(reading.connection, query)

    found = read(before, after, size + 1)
    ahead, found = len(found) > size, found[:size]
    if after is not None:
        found.reverse()
    if not found:
        return [], None, None
    first, last = found[0][1], found[-1][1]
    if after is not None:
        older: bool = bool(read(last, None, 1))
        return found, first if ahead else None, last if older else None
    newer = before is not None and bool(read(None, first, 1))
    return found, first if newer else None, last if ahead else None


def _places(reading: Reading, record: Record, shown: Sequence[str]) -> Sequence[Select[Any]]:
    if record.mapper is None or not shown:
        return record_places(record.table, record.values)
    tables = {table.table: table for table in reading.tables}
    return family_places(record.mapper, record.table, record.values, shown, tables.__getitem__)


def _texts(key: Sequence[Field]) -> list[tuple[str, str | None]]:
    return [(field.name, field.value.text if field.value is not None else None) for field in key]
