"""Bringing a record back for the pages: in a transaction of its own, as whoever is logged in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from ..context.scope import ContextScope
from ..errors import AuditError, driver_message, sqlstate
from ..history.position import Position
from ..revert.preview import Agree, Preview, bring_back
from ..ui.viewer import Version

#: Nobody waits longer in front of a page for a row that somebody else keeps locked; it may be the very request's own
#: session that does.
_PATIENCE = sa.select(
    sa.func.set_config(sa.literal_column("'lock_timeout'"), sa.literal_column("'3s'"), sa.literal_column("true"))
)


def preview_revert(engine: Engine, version: Version) -> Preview:
    """Find out what would be written, constraints included, and take it back.

    :raises AuditError: it cannot be done; the message says why.
    """
    found: list[Preview] = []
    with _transaction(engine) as connection:
        _bring_back(connection, version, lambda _, preview: found.append(preview), dry_run=True)
        connection.rollback()
    return found[0]


def carry_out(engine: Engine, version: Version, reason: str | None, agree: Agree) -> Position | None:
    """Do it, and commit; returns the record's newest change.

    :param reason: joins the context of the change.
    :raises AuditError: it could not be done; nothing was written.
    """
    with ContextScope({"reason": reason} if reason else {}), _transaction(engine) as connection:
        newest = _bring_back(connection, version, agree, dry_run=False)
        connection.commit()
    return newest


def _bring_back(connection: Connection, version: Version, agree: Agree, *, dry_run: bool) -> Position | None:
    children = version.with_children
    return bring_back(
        connection, version.audited, version.values, version.to, agree, with_children=children, dry_run=dry_run
    )


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    """A connection of its own, so that nothing is committed that the request's session has begun."""
    with _explained(), engine.connect() as connection:
        # Also on an AUTOCOMMIT engine; and each statement sees what was committed while it waited for a lock.
        connection.execution_options(isolation_level="READ COMMITTED")
        connection.execute(_PATIENCE)
        yield connection


_AGAIN = "somebody else is changing the row just now. Try again"
_REASONS = {
    "55P03": _AGAIN,
    "40P01": _AGAIN,
    "40001": _AGAIN,
    "42501": "the application's database role may not do that",
    "25006": "the database takes no writes here",
}

#: The audit tables are missing or outdated, which the pages explain themselves.
_NOT_INSTALLED = ("42P01", "3F000", "42703")


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        state = sqlstate(error)
        if state is None or state in _NOT_INSTALLED:
            raise
        reason = _REASONS.get(state, "the database refused it")
        raise AuditError(f"{reason} ({driver_message(error)})") from error
