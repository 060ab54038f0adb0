"""``FlaskAudit``: auditing for a Flask app."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from ..context.apply import apply_context
from ..context.scope import ContextScope
from ..declare.registry import enable
from ..errors import AuditConfigError
from ..ui.blueprint import create_blueprint
from .commands import audit_cli
from .config import AuditConfig
from .history import HistoryMethods
from .links import LinkMethods
from .metadata import request_id
from .resolve import resolve_settings
from .revert import RevertMethods
from .state import EXTENSION_KEY, AuditState, Callbacks, get_state

ActorLoader = TypeVar("ActorLoader", bound=Callable[[], object])
ContextLoader = TypeVar("ContextLoader", bound=Callable[[dict[str, Any]], Mapping[str, Any]])
AccessLoader = TypeVar("AccessLoader", bound=Callable[[], object])


class FlaskAudit(HistoryMethods, LinkMethods, RevertMethods):
    """Auditing for one or several Flask apps.

    Create it before the models are imported, or at least before ``db.create_all()``; models that exist already are
    picked up. What belongs to an app is kept in ``app.extensions["audit"]``.

    :param app: initialise this app at once, see :meth:`init_app`.
    :param db: the app's ``flask_sqlalchemy.SQLAlchemy`` object; by default the one the app was initialised with.

    .. versionadded:: 0.1
    """

    def __init__(self, app: Flask | None = None, db: SQLAlchemy | None = None) -> None:
        enable()
        self._callbacks = Callbacks()
        if app is not None:
            self.init_app(app, db)

    def init_app(self, app: Flask, db: SQLAlchemy | None = None) -> None:
        """Audit ``app``: record who writes on its engines, and mount the audit-log pages.

        :raises AuditConfigError: called twice for one app, before ``db.init_app(app)``, with a wrong ``AUDIT_*``
            value, or for audited tables on a database that is not PostgreSQL.
        """
        if EXTENSION_KEY in app.extensions:
            raise AuditConfigError("this app has an audit extension already; call FlaskAudit.init_app() once per app")
        config = AuditConfig.of(app.config)
        state = AuditState(_require_sqlalchemy(app, db), config, self._callbacks)
        state.declare()
        with app.app_context():
            for key, engine in state.db.engines.items():
                _watch(engine, key, state)
        # The entry point serves "flask audit"; this serves app.cli, and so app.test_cli_runner().
        app.cli.add_command(audit_cli)
        if config.ui:
            app.register_blueprint(create_blueprint(), url_prefix=config.url_prefix)
        # A template of the app that has its own of that name keeps it.
        app.jinja_env.globals.setdefault("audit_url_for", self.url_for)
        app.extensions[EXTENSION_KEY] = state

    def actor_loader(self, function: ActorLoader) -> ActorLoader:
        """Register the function that returns who is logged in: a user object, a name, an ``Actor``, or ``None``.

        It is called in requests only, before each write, so it should be cheap, and it must not write. It replaces
        Flask-Login, ``g.user`` and whatever else is looked at. Outside of requests use :meth:`context`.
        """
        self._callbacks.actor_loader = function
        return function

    def context_loader(self, function: ContextLoader) -> ContextLoader:
        """Register the function that adds to or takes from what is recorded about a request.

        It is called in requests only, once for each user, request and :meth:`context` around it. It gets the
        dictionary collected so far and returns the one to record as ``audit_transaction.context``; what has the name
        of a declared session setting fills that too.
        """
        self._callbacks.context_loader = function
        return function

    def access_loader(self, function: AccessLoader) -> AccessLoader:
        """Register the rule for the audit-log pages: what the current user may do.

        It returns something false for nothing, ``True`` for reading, or an :class:`~flask_pg_audit.Access`. Without a
        rule every page answers 403.
        """
        self._callbacks.access_loader = function
        return function

    @property
    def request_id(self) -> str | None:
        """The id of the running request, as it is recorded; ``None`` outside of a request.

        :raises AuditConfigError: the current app has no audit extension.
        """
        return request_id(get_state().config.request_id_header)

    def watch(self, engine: Engine | AsyncEngine, app: Flask | None = None) -> None:
        """Record who writes on an engine that the app made itself, as on Flask-SQLAlchemy's own.

        :param engine: an ``Engine`` or ``AsyncEngine`` for PostgreSQL.
        :param app: the app whose configuration and loaders count; by default the current one.
        :raises AuditConfigError: the app has no audit extension, or the engine is not for PostgreSQL.
        """
        sync_engine = engine.sync_engine if isinstance(engine, AsyncEngine) else engine
        if sync_engine.dialect.name != "postgresql":
            raise AuditConfigError(f"only PostgreSQL engines can be watched, not {sync_engine.url!r}")
        apply_context(sync_engine, partial(resolve_settings, get_state(app)))

    def context(self, **values: object) -> ContextScope:
        """Say who and why for the code inside the block; also a decorator.

        ``username`` and ``actor_id`` replace the logged-in user; everything else, ``reason="…"`` say, is added to
        ``audit_transaction.context``, and fills the declared session setting of that name, if there is one.
        Nests; the outer values come back at the end, after an exception too.
        """
        return ContextScope(values)


def _require_sqlalchemy(app: Flask, db: SQLAlchemy | None) -> SQLAlchemy:
    initialised: SQLAlchemy | None = app.extensions.get("sqlalchemy")
    if initialised is None:
        raise AuditConfigError(
            "call db.init_app(app) before audit.init_app(app, db): the audit extension needs its engines"
        )
    if db is not None and db is not initialised:
        raise AuditConfigError(
            "the db object given to the audit extension is not the one this app was initialised with"
        )
    return initialised


def _watch(engine: Engine, key: str | None, state: AuditState) -> None:
    if engine.dialect.name == "postgresql":
        apply_context(engine, partial(resolve_settings, state))
    elif key in state.metadatas:
        bind = "SQLALCHEMY_DATABASE_URI" if key is None else f"SQLALCHEMY_BINDS[{key!r}]"
        raise AuditConfigError(
            f"audited tables need PostgreSQL, but {bind} is {engine.url.render_as_string(hide_password=True)}"
        )
