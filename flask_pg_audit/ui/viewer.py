"""Who looks at the log, at which database of the app, in which time zone: worked out once for each request."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from flask import current_app, g, request
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, MetaData, Table
from werkzeug.exceptions import BadRequest

from ..history.excerpts import Field
from ..history.position import Position
from ..history.recorded import RecordedTable, read_recorded_tables
from ..history.snapshot import snapshot
from .access import Access
from .language import gettext

_VIEWER = "_flask_pg_audit_viewer"


class Config(Protocol):
    """The configuration that the pages go by."""

    @property
    def page_size(self) -> int: ...
    @property
    def search_seconds(self) -> float | None: ...
    @property
    def preview_seconds(self) -> float | None: ...
    @property
    def ui_time_zone(self) -> str: ...
    @property
    def ui_base_template(self) -> str | None: ...
    @property
    def ui_revert(self) -> bool: ...
    @property
    def log_views(self) -> bool: ...


class Finding(Protocol):
    """Something that keeps changes from being recorded as declared, as ``flask audit check`` finds it."""

    @property
    def code(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def what(self) -> str: ...
    @property
    def why(self) -> str: ...
    @property
    def fix(self) -> str: ...


class RowPreview(Protocol):
    """A row that is about to be written; see :class:`flask_pg_audit.revert.preview.RowPreview`."""

    @property
    def table_key(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def operation(self) -> str: ...
    @property
    def key(self) -> tuple[Field, ...]: ...
    @property
    def fields(self) -> tuple[Field, ...]: ...


class Preview(Protocol):
    """What is about to be written to bring a record back; see :class:`flask_pg_audit.revert.preview.Preview`."""

    @property
    def rows(self) -> Sequence[RowPreview]: ...
    @property
    def count(self) -> int: ...
    @property
    def newest(self) -> Position | None: ...
    @property
    def is_as_recorded(self) -> bool: ...


@dataclass(frozen=True)
class Version:
    """A version of a record that is to be brought back.

    :ivar values: its key.
    :ivar to: the change right after which it was so.
    :ivar with_children: also what was deleted together with it.
    """

    audited: Table
    values: Mapping[str, Any]
    to: Position
    with_children: bool


class AppState(Protocol):
    """What the pages need to know of the app's auditing."""

    @property
    def db(self) -> SQLAlchemy: ...
    @property
    def config(self) -> Config: ...
    @property
    def metadatas(self) -> Mapping[str | None, MetaData]: ...
    def check(self, bind: str | None) -> Sequence[Finding]: ...
    def preview_revert(self, bind: str | None, version: Version) -> Preview: ...
    def revert(
        self, bind: str | None, version: Version, reason: str | None, agree: Callable[[Connection, Preview], None]
    ) -> Position | None:
        """Write it, and commit; ``agree`` is called when the rows are locked, before they are written."""

    def who(self) -> tuple[str | None, str | None, str | None]:
        """Name and id of the viewer, and the id of the request."""


@dataclass(frozen=True)
class Reading:
    """A look into the database: one moment of it, and what of it may be seen."""

    connection: Connection
    tables: tuple[RecordedTable, ...]

    def table(self, key: str) -> RecordedTable | None:
        """The table with this key in ``MetaData.tables``; ``None`` when there is none to be seen."""
        return next((table for table in self.tables if table.table.key == key), None)


@dataclass(frozen=True)
class Viewer:
    """Who looks.

    :ivar bind: the key of the database that is looked at; ``None`` is the default one.
    :ivar zone_name: of :attr:`zone`, as the query string has it; empty for UTC.
    """

    access: Access
    state: AppState
    bind: str | None
    zone: datetime.tzinfo
    zone_name: str

    @cached_property
    def metadata(self) -> MetaData:
        return self.state.metadatas[self.bind]

    @property
    def sees_everything(self) -> bool:
        """Whether no rule keeps a table, a column or a row from being seen."""
        access = self.access
        return access.scope is None and access.tables is None and access.columns is None

    @property
    def may_revert(self) -> bool:
        """Whether the pages offer to bring old rows back."""
        return self.state.config.ui_revert and self.access.read and self.access.revert

    def check(self) -> Sequence[Finding] | None:
        """What is wrong with the recording; ``None`` for those who do not see everything.

        What is found names tables and columns, and is of the whole database. Not to be asked for while :meth:`read`
        has a connection: the app's pool may have one only.
        """
        return self.state.check(self.bind) if self.sees_everything else None

    def connect(self) -> AbstractContextManager[Connection]:
        """As :meth:`read`, for what is no change: nothing narrows it to what may be seen."""
        return snapshot(self.state.db.engines[self.bind])

    @contextmanager
    def read(self) -> Iterator[Reading]:
        """Look into the database.

        On a connection of its own, so that nothing of the request's session is touched.
        """
        with self.connect() as connection:
            yield Reading(connection, self.access.visible(read_recorded_tables(connection, self.metadata)))


def open_viewer(access: Access) -> None:
    """Work out who looks at what, from the access that was granted and the query string.

    :raises werkzeug.exceptions.BadRequest: there is no such bind or time zone.
    """
    state = cast("AppState", current_app.extensions["audit"])
    # The page that says what is wrong with the query string goes by this.
    viewer = Viewer(access, state, next(iter(state.metadatas), None), datetime.timezone.utc, "")
    setattr(g, _VIEWER, viewer)
    zone_name = request.args.get("tz", "")
    bind, zone = _bind(state, request.args.get("bind")), _zone(state, zone_name)
    setattr(g, _VIEWER, replace(viewer, bind=bind, zone=zone, zone_name=zone_name))


def get_viewer() -> Viewer:
    """The running request's."""
    return cast("Viewer", getattr(g, _VIEWER))


def find_viewer() -> Viewer | None:
    """The running request's; ``None`` for one that was refused."""
    return cast("Viewer | None", g.get(_VIEWER))


def _bind(state: AppState, name: str | None) -> str | None:
    if name is not None:
        if name not in state.metadatas:
            raise BadRequest(gettext("There is no bind %(name)s with audited tables.", name=repr(name)))
        return name
    if not state.metadatas:
        raise BadRequest(gettext("No audited table is declared in this application."))
    return next(iter(state.metadatas))


def _zone(state: AppState, name: str) -> datetime.tzinfo:
    """UTC, ``local`` for the app's own zone, or any zone by its name."""
    if name == "":
        return datetime.timezone.utc
    try:
        return ZoneInfo(state.config.ui_time_zone if name == "local" else name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        problem = gettext("There is no time zone %(name)s; try %(example)s.", name=repr(name), example="Europe/Rome")
        raise BadRequest(problem) from error
