"""Sending the settings: before the first statement of a transaction that might write, and when they change.

State hangs on the DBAPI connection's ``info`` together with the transaction it belongs to, so that it is worthless in
any other transaction, whoever uses the connection next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import ExecutionContext

from ..errors import AuditContextError
from .settings import render_set_config
from .statements import may_write

_APPLIED = "flask_pg_audit.applied"

#: Returns the settings to apply now, ``audit.<name>`` to text, or ``None`` to leave the transaction alone.
Resolver = Callable[[], Mapping[str, str] | None]

_resolving: ContextVar[bool] = ContextVar("flask_pg_audit.resolving", default=False)


def apply_context(engine: Engine, resolve: Resolver) -> None:
    """From now on, tell ``engine``'s transactions who acts, before they write.

    Reads cost nothing: ``resolve`` is not even called. The settings are local to the transaction, so nothing is
    left on a pooled connection.

    :raises AuditContextError: (at execution) on an AUTOCOMMIT connection there is no transaction to tell.
    """

    def before_cursor_execute(
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: ExecutionContext | None,
        executemany: bool,
    ) -> None:
        if may_write(context):
            _apply(connection, resolve)

    event.listen(engine, "before_cursor_execute", before_cursor_execute)
    event.listen(engine, "rollback_savepoint", _forget)


def _apply(connection: Connection, resolve: Resolver) -> None:
    with _guard():
        wanted = resolve()
    if wanted is None:
        return
    transaction = connection.get_transaction()
    applied_to, applied = connection.info.get(_APPLIED, (None, {}))
    if applied_to is transaction and applied == wanted:
        return
    _send(connection, wanted)
    connection.info[_APPLIED] = (transaction, wanted)


def _send(connection: Connection, settings: Mapping[str, str]) -> None:
    """On the driver's own cursor: no compilation, no events, one round trip."""
    statement, parameters = render_set_config(connection.dialect.paramstyle, settings)
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement, parameters)
    finally:
        cursor.close()


def _forget(connection: Connection, name: str, context: object) -> None:
    """``ROLLBACK TO SAVEPOINT`` undoes a setting made since the savepoint (trap T11): apply again."""
    connection.info.pop(_APPLIED, None)


@contextmanager
def _guard() -> Iterator[None]:
    """Refuse a write that is made in order to find out who writes."""
    if _resolving.get():
        raise AuditContextError(
            "the code that tells who is logged in (user loader, actor_loader or context_loader) changes data itself; "
            "who made that change cannot be told. Make it outside the loader, or inside audit.context(username=...)"
        )
    token = _resolving.set(True)
    try:
        yield
    finally:
        _resolving.reset(token)
