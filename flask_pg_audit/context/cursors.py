"""Watching the cursors of psycopg2 and psycopg 3.

Everything that reaches the server goes through a cursor: what SQLAlchemy sends, and what an application sends on the
raw connection, ``COPY`` included. So the driver's cursor class is replaced by a subclass of itself that first sees to
the transaction's settings.

What was applied is remembered per connection, and forgotten when it may be gone: at the start of another transaction
(the driver knows, without asking the server), after ``ROLLBACK TO SAVEPOINT``, and after anything that SQLAlchemy did
not send, since nobody can tell what that did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import ExecutionContext
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from ..errors import AuditContextError
from .drivers import execute, in_pipeline, is_idle, plain_cursor_class, set_config
from .resolving import Resolver, resolve_guarded
from .settings import render_set_config
from .statements import Autocommit, ends_settings, is_harmless_text, may_write, plan_autocommit


def watch_cursors(engine: Engine, resolve: Resolver) -> None:
    """Make every cursor of ``engine``'s connections tell the server who acts, before it sends a write."""
    watcher = _Watcher(resolve)

    # At checkout, not at connect: what SQLAlchemy asks a new connection about the server concerns nobody.
    @event.listens_for(engine, "checkout")
    def checkout(dbapi_connection: Any, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
        watcher.watch(dbapi_connection)

    @event.listens_for(engine, "before_cursor_execute")
    def before_cursor_execute(
        connection: Connection, cursor: Any, sql: str, parameters: Any, context: ExecutionContext | None, many: bool
    ) -> None:
        writes = may_write(context)
        if hasattr(cursor, "audit_may_write"):
            cursor.audit_may_write = writes
        elif writes:  # a connection that was checked out before the engine was watched
            watcher.apply(cursor.connection, trust=False)

    @event.listens_for(engine, "rollback_savepoint")
    def rollback_savepoint(connection: Connection, name: str, context: object) -> None:
        # SQLAlchemy comes here with a connection that was lost as well, and asking for it then is an error.
        if not connection.invalidated:
            watcher.forget(connection.connection.dbapi_connection)


class _Watcher:
    """One engine's: its watched cursor classes, and what was applied on which connection."""

    def __init__(self, resolve: Resolver) -> None:
        self._resolve = resolve
        self._applied: WeakKeyDictionary[Any, Mapping[str, str]] = WeakKeyDictionary()
        self._classes: dict[Any, type] = {}

    def watch(self, connection: Any) -> None:
        """Replace the classes of ``connection``'s future cursors."""
        for attribute in ("cursor_factory", "server_cursor_factory"):
            if hasattr(connection, attribute):
                base = getattr(connection, attribute) or plain_cursor_class(connection)
                if not hasattr(base, "audit_may_write"):
                    if base not in self._classes:
                        self._classes[base] = _build_watched_class(base, self)
                    setattr(connection, attribute, self._classes[base])

    def forget(self, connection: Any) -> None:
        """Whatever was applied on ``connection`` may be gone."""
        self._applied.pop(connection, None)

    def apply(self, connection: Any, trust: bool) -> None:
        """Send the settings, unless they are known (``trust``) to be in force."""
        settings = self._lacking(connection, trust)
        if settings is not None:
            set_config(connection, settings)
            self._applied[connection] = settings

    def _lacking(self, connection: Any, trust: bool) -> Mapping[str, str] | None:
        settings = resolve_guarded(self._resolve)
        return None if trust and self._applied.get(connection) == settings else settings

    def execute_together(self, method: Callable[..., Any], cursor: Any, statement: str, parameters: Any) -> Any:
        """Send the settings, if they are lacking, and a write of SQLAlchemy's in one round trip; psycopg2 only.

        psycopg2 puts values into the text itself, so that two statements can be one text. The line break keeps the
        settings out of what PostgreSQL quotes in an error.
        """
        connection = cursor.connection
        if is_idle(connection):
            self.forget(connection)  # its transaction is over
        settings = self._lacking(connection, trust=True)
        if settings is None:
            done = method(cursor, statement, parameters)
        else:
            told = cursor.mogrify(*render_set_config("format", settings))
            done = method(cursor, told + b";\n" + cursor.mogrify(statement, parameters))
            self._applied[connection] = settings
        if ends_settings(statement):
            self.forget(connection)
        return done

    @contextmanager
    def sending(self, cursor: Any, statement: object) -> Iterator[None]:
        """Around one call that sends a statement."""
        connection, by_sqlalchemy = cursor.connection, cursor.audit_may_write is not None
        idle = is_idle(connection)
        if idle:
            self.forget(connection)  # its transaction is over
        if cursor.audit_may_write is False or (not by_sqlalchemy and is_harmless_text(statement)):
            yield
        elif idle and connection.autocommit:
            with self._autocommitted(cursor, statement):
                yield
        else:
            self.apply(connection, trust=by_sqlalchemy)
            yield
            if not by_sqlalchemy or ends_settings(statement):
                self.forget(connection)

    @contextmanager
    def _autocommitted(self, cursor: Any, statement: object) -> Iterator[None]:
        """On an AUTOCOMMIT connection a setting for the transaction would be gone before the statement."""
        plan = plan_autocommit(statement)
        settings = None if plan is Autocommit.LEAVE else resolve_guarded(self._resolve)
        if settings is None:
            yield
        elif plan is Autocommit.SESSION:
            with _session_settings(cursor.connection, settings):
                yield
        else:
            with _transaction(cursor):
                set_config(cursor.connection, settings)
                yield


@contextmanager
def _transaction(cursor: Any) -> Iterator[None]:
    connection = cursor.connection
    if getattr(cursor, "name", None) or in_pipeline(connection):
        raise AuditContextError(
            "a server-side cursor or a pipeline that might write cannot be used on an AUTOCOMMIT connection: the "
            "database could not be told who writes; use a transaction"
        )
    execute(connection, "BEGIN")
    try:
        yield
    except BaseException:
        if not connection.closed:
            execute(connection, "ROLLBACK")
        raise
    execute(connection, "COMMIT")


@contextmanager
def _session_settings(connection: Any, settings: Mapping[str, str]) -> Iterator[None]:
    """For procedures, which may commit: settings of the session, taken back at once, whatever happens."""
    set_config(connection, settings, local=False)
    try:
        yield
    finally:
        if not connection.closed:
            set_config(connection, dict.fromkeys(settings, ""), local=False)


def _build_watched_class(base: Any, watcher: _Watcher) -> type:
    """A subclass of a driver's cursor class whose sending methods are watched.

    ``audit_may_write`` is what is known of the next statement; None on a cursor that SQLAlchemy does not use.
    """
    methods: dict[str, Any] = {"audit_may_write": None}
    for names, watch in (
        (("execute", "executemany", "callproc", "copy_expert", "copy_from", "copy_to"), _watched_call),
        (("copy",), _watched_context),
        (("stream",), _watched_generator),
    ):
        methods |= {name: watch(getattr(base, name), watcher) for name in names if hasattr(base, name)}
    if hasattr(base, "mogrify") and hasattr(base, "copy_expert"):
        methods["execute"] = _watched_execute(base.execute, methods["execute"], watcher)
    return type(f"Audit{base.__name__}", (base,), methods)


def _watched_call(method: Callable[..., Any], watcher: _Watcher) -> Callable[..., Any]:
    def call(cursor: Any, *args: Any, **kwargs: Any) -> Any:
        if cursor.audit_may_write is False:  # what sending() comes to for a read, without its cost
            if is_idle(cursor.connection):
                watcher.forget(cursor.connection)
            return method(cursor, *args, **kwargs)
        with watcher.sending(cursor, _statement(args, kwargs)):
            return method(cursor, *args, **kwargs)

    return call


def _watched_execute(
    method: Callable[..., Any], otherwise: Callable[..., Any], watcher: _Watcher
) -> Callable[..., Any]:
    """psycopg2's: a write of SQLAlchemy's in a transaction takes the settings along."""

    def send(cursor: Any, query: Any, vars: Any = None) -> Any:
        together = cursor.audit_may_write and cursor.name is None and isinstance(query, str)
        if together and not cursor.connection.autocommit:
            return watcher.execute_together(method, cursor, query, vars)
        return otherwise(cursor, query, vars)

    return send


def _watched_context(method: Callable[..., Any], watcher: _Watcher) -> Callable[..., Any]:
    @contextmanager
    def enter(cursor: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with watcher.sending(cursor, _statement(args, kwargs)), method(cursor, *args, **kwargs) as entered:
            yield entered

    return enter


def _watched_generator(method: Callable[..., Any], watcher: _Watcher) -> Callable[..., Any]:
    def generate(cursor: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with watcher.sending(cursor, _statement(args, kwargs)):
            yield from method(cursor, *args, **kwargs)

    return generate


def _statement(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> object:
    return args[0] if args else next((kwargs[name] for name in ("query", "sql", "statement") if name in kwargs), None)
