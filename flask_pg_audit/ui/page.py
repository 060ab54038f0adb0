"""One page of the feed: from the query string to changes and the links to the pages beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from flask import url_for
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Connection, MetaData
from werkzeug.exceptions import BadRequest

from ..history.excerpts import Excerpt, read_excerpts
from ..history.feed import feed
from ..history.position import Position
from ..history.recorded import read_recorded_tables


class _Config(Protocol):
    @property
    def page_size(self) -> int: ...


class AppState(Protocol):
    """What the pages need to know of the app's auditing."""

    @property
    def db(self) -> SQLAlchemy: ...
    @property
    def config(self) -> _Config: ...
    @property
    def metadatas(self) -> Mapping[str | None, MetaData]: ...


@dataclass(frozen=True)
class Page:
    """Changes, newest first, and the way to newer and older ones.

    :ivar is_newest: no place was asked for, so the page begins with the newest change.
    :ivar bind: the bind they are from; ``None`` is the default one.
    :ivar binds: all binds with audited tables, each with the URL of its newest page.
    """

    changes: tuple[Excerpt, ...]
    newer_url: str | None
    older_url: str | None
    newest_url: str
    is_newest: bool
    bind: str | None
    binds: Mapping[str | None, str]


def read_page(state: AppState, arguments: Mapping[str, str]) -> Page:
    """Read the page that the query string's ``before``, ``after`` and ``bind`` ask for.

    Reads on a connection of its own, so that nothing of the request's session is touched, in a transaction that cannot
    write and sees one moment, also where the app's engine is in AUTOCOMMIT mode.

    :raises werkzeug.exceptions.BadRequest: an argument makes no sense.
    """
    before, after = _position(arguments, "before"), _position(arguments, "after")
    if before is not None and after is not None:
        raise BadRequest("Give before or after, not both.")
    bind = _bind(state, arguments.get("bind"))
    metadata, size = state.metadatas[bind], state.config.page_size
    with state.db.engines[bind].connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # One more than fits tells whether there is a further page in the direction of reading.
        rows = connection.execute(feed(metadata, before=before, after=after, limit=size + 1)).all()
        places = [(row.table_key, Position(row.audit_transaction_id, row.audit_id)) for row in rows[:size]]
        if after is not None:
            places.reverse()
        changes = tuple(read_excerpts(connection, read_recorded_tables(connection, metadata), places))
        ahead = len(rows) > size
        back = _has_changes_behind(connection, metadata, changes, before, after)
    has_newer, has_older = (ahead, back) if after is not None else (back, ahead)
    return Page(
        changes,
        newer_url=_url(bind, after=changes[0].position) if changes and has_newer else None,
        older_url=_url(bind, before=changes[-1].position) if changes and has_older else None,
        newest_url=_url(bind),
        is_newest=before is None and after is None,
        bind=bind,
        binds={key: _url(key) for key in state.metadatas},
    )


def _has_changes_behind(
    connection: Connection,
    metadata: MetaData,
    changes: tuple[Excerpt, ...],
    before: Position | None,
    after: Position | None,
) -> bool:
    """Whether there is anything where the reader comes from: it may be pruned, and an address may be made up."""
    if not changes or (before is None and after is None):
        return False
    if after is None:
        statement = feed(metadata, after=changes[0].position, limit=1)
    else:
        statement = feed(metadata, before=changes[-1].position, limit=1)
    return connection.execute(statement).first() is not None


def _position(arguments: Mapping[str, str], name: str) -> Position | None:
    token = arguments.get(name)
    if token is None:
        return None
    try:
        return Position.parse(token)
    except ValueError as error:
        raise BadRequest(f"{name}: {error}.") from error


def _bind(state: AppState, name: str | None) -> str | None:
    if name is not None:
        if name not in state.metadatas:
            raise BadRequest(f"There is no bind {name!r} with audited tables.")
        return name
    if not state.metadatas:
        raise BadRequest("No audited table is declared in this application.")
    return next(iter(state.metadatas))


def _url(bind: str | None, before: Position | None = None, after: Position | None = None) -> str:
    # None is left out of the query string; a Position as it is would count as a list.
    return url_for("audit.index", bind=bind, before=before and str(before), after=after and str(after))
