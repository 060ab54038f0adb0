"""Telling an engine's transactions who acts."""

from __future__ import annotations

from sqlalchemy import Engine

from .cursors import watch_cursors
from .executions import watch_executions
from .resolving import Resolver


def apply_context(engine: Engine, resolve: Resolver) -> None:
    """From now on, tell ``engine``'s transactions who acts, before they write.

    Reads cost nothing: ``resolve`` is not even called. The settings are local to the transaction, so nothing is
    left on a pooled connection. With psycopg2 and psycopg 3 the driver's cursors are watched, those included that an
    application takes from the raw connection; with other drivers, asyncpg for one, what SQLAlchemy executes.
    """
    if engine.dialect.driver in ("psycopg2", "psycopg") and not engine.dialect.is_async:
        watch_cursors(engine, resolve)
    else:
        watch_executions(engine, resolve)
