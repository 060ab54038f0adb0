"""Watching what SQLAlchemy executes, for drivers whose cursors cannot be watched: asyncpg, psycopg's asynchronous side.

State hangs on the connection's ``info`` together with the transaction it belongs to, so that it is worthless in any
other transaction, whoever uses the connection next. What an application sends on the raw asynchronous connection is
not seen; it can call ``set_session_vars()`` first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.engine.interfaces import ExecutionContext

from .resolving import Resolver, resolve_guarded
from .settings import is_autocommit, render_set_config
from .statements import Autocommit, ends_settings, may_write, plan_autocommit

_APPLIED = "flask_pg_audit.applied"
_SESSION = "flask_pg_audit.session"


def watch_executions(engine: Engine, resolve: Resolver) -> None:
    """Tell the server who acts before SQLAlchemy sends a write on ``engine``."""

    @event.listens_for(engine, "before_cursor_execute")
    def before(
        connection: Connection, cursor: Any, sql: str, parameters: Any, context: ExecutionContext | None, many: bool
    ) -> None:
        if not may_write(context):
            return
        if not is_autocommit(connection):
            _apply(connection, resolve_guarded(resolve))
        elif plan_autocommit(sql) is not Autocommit.LEAVE:
            _apply_to_session(connection, resolve_guarded(resolve))

    @event.listens_for(engine, "after_cursor_execute")
    def after(
        connection: Connection, cursor: Any, sql: str, parameters: Any, context: ExecutionContext | None, many: bool
    ) -> None:
        _take_back(connection)
        if ends_settings(sql):
            _forget(connection)

    @event.listens_for(engine, "handle_error")
    def handle_error(context: ExceptionContext) -> None:
        if context.connection is not None and not context.is_disconnect:
            _take_back(context.connection)

    @event.listens_for(engine, "rollback_savepoint")
    def rollback_savepoint(connection: Connection, name: str, context: object) -> None:
        # Of a connection that was lost, there is nothing to forget, and asking for it is an error.
        if not connection.invalidated:
            _forget(connection)


def _apply(connection: Connection, wanted: Mapping[str, str] | None) -> None:
    if wanted is None:
        return
    transaction = connection.get_transaction()
    if connection.info.get(_APPLIED) != (transaction, wanted):
        _send(connection, wanted, local=True)
        connection.info[_APPLIED] = (transaction, wanted)


def _forget(connection: Connection) -> None:
    """``ROLLBACK TO SAVEPOINT`` undoes a setting made since the savepoint (trap T11): apply again."""
    connection.info.pop(_APPLIED, None)


def _apply_to_session(connection: Connection, wanted: Mapping[str, str] | None) -> None:
    """In AUTOCOMMIT mode the transaction's setting would be gone before the statement: the session's, around it."""
    if wanted is not None:
        connection.info[_SESSION] = wanted
        _send(connection, wanted, local=False)


def _take_back(connection: Connection) -> None:
    applied = connection.info.pop(_SESSION, None)
    if applied is not None:
        _send(connection, dict.fromkeys(applied, ""), local=False)


def _send(connection: Connection, settings: Mapping[str, str], local: bool) -> None:
    """On the driver's own cursor: no compilation, no events, one round trip."""
    statement, parameters = render_set_config(connection.dialect.paramstyle, settings, local)
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement, parameters)
    finally:
        cursor.close()
