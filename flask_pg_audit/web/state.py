"""What the extension keeps per app, in ``app.extensions["audit"]``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Engine, MetaData, String

from ..database.check import Finding
from ..declare.registry import (
    add_app_settings,
    audit_metadata,
    declare_view_table,
    enable_always,
    set_audit_schema,
)
from ..errors import AuditConfigError
from ..history.position import Position
from ..revert.preview import Agree, Preview
from ..ui.viewer import Version
from .config import AuditConfig
from .health import Health
from .reversal import carry_out, preview_revert

EXTENSION_KEY = "audit"


@dataclass
class Callbacks:
    """The functions an application registers on its :class:`FlaskAudit` object; shared by all apps it serves."""

    actor_loader: Callable[[], object] | None = None
    context_loader: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None
    access_loader: Callable[[], object] | None = None


@dataclass
class AuditState:
    """One app's auditing.

    :ivar db: the app's Flask-SQLAlchemy extension.
    :ivar config: its validated configuration.
    :ivar callbacks: the functions registered on the extension object.
    """

    db: SQLAlchemy
    config: AuditConfig
    callbacks: Callbacks
    _health: Health = field(default_factory=Health, repr=False)
    _setting_names: dict[int, frozenset[str]] = field(default_factory=dict, repr=False)

    def declare(self) -> None:
        """Add the app-wide settings to every ``MetaData`` and build the audit tables that are still lacking."""
        username = Column("username", String, nullable=not self.config.require_username)
        for metadata in self.db.metadatas.values():
            if self.config.schema is not None:
                set_audit_schema(metadata, self.config.schema)
            if self.config.enable_always:
                enable_always(metadata)
            if self.config.ui and self.config.log_views:
                declare_view_table(metadata)
            add_app_settings(metadata, [username])
            audit_metadata(metadata)

    @property
    def metadatas(self) -> dict[str | None, MetaData]:
        """The ``MetaData`` objects that have audited tables, by bind key."""
        return {key: metadata for key, metadata in self.db.metadatas.items() if audit_metadata(metadata)}

    def metadata(self, bind: str | None) -> MetaData:
        """That of one bind.

        :raises AuditConfigError: it has no audited tables.
        """
        metadatas = self.metadatas
        if bind not in metadatas:
            known = ", ".join(map(repr, metadatas)) or "none"
            raise AuditConfigError(f"the bind {bind!r} has no audited tables; those that have: {known}")
        return metadatas[bind]

    def beside(self, key: str | None) -> tuple[MetaData, ...]:
        """The ``MetaData`` of the other binds that are in the same database as the bind ``key``."""
        place = _place(self.db.engines[key])
        return tuple(
            metadata
            for other, metadata in self.metadatas.items()
            if other != key and _place(self.db.engines[other]) == place
        )

    def check(self, bind: str | None) -> tuple[Finding, ...]:
        """What ``flask audit check`` finds in a database, as of the last minute."""
        engine = self.db.engines[bind]
        return self._health.check(bind, self.metadatas[bind], engine, self.beside(bind), self.config.app_roles)

    def preview_revert(self, bind: str | None, version: Version) -> Preview:
        """What would be written to bring a version of a record back.

        :raises AuditError: it cannot be brought back; the message says why.
        """
        return preview_revert(self.db.engines[bind], version)

    def revert(self, bind: str | None, version: Version, reason: str | None, agree: Agree) -> Position | None:
        """Bring it back in a transaction of its own, as whoever is logged in; returns the record's newest change.

        :param agree: is called with the connection and what is about to be written, when the rows are locked.
        :raises AuditError: it could not be brought back, and nothing was written.
        """
        return carry_out(self.db.engines[bind], version, reason, agree)

    def who(self) -> tuple[str | None, str | None, str | None]:
        """Name and id of who is acting now, and the id of the running request.

        :raises AuditContextError: the user cannot be worked out.
        """
        from .resolve import find_actor  # which needs this module for its types

        actor, request_id = find_actor(self)
        return actor.username, actor.id, request_id

    @property
    def setting_names(self) -> frozenset[str]:
        """The names of all session settings that the app's audited tables record."""
        tables = sum(len(metadata.tables) for metadata in self.db.metadatas.values())
        if tables not in self._setting_names:  # models may still be imported; the number of tables tells
            names = {s.name for md in self.db.metadatas.values() for a in audit_metadata(md) for s in a.settings}
            self._setting_names = {tables: frozenset(names)}
        return self._setting_names[tables]


def _place(engine: Engine) -> tuple[str | None, int | None, str | None]:
    return engine.url.host, engine.url.port, engine.url.database


def get_state(app: Flask | None = None) -> AuditState:
    """The state of ``app``, by default the current one.

    :raises AuditConfigError: the app has no ``FlaskAudit`` extension.
    """
    state: AuditState | None = (app or current_app).extensions.get(EXTENSION_KEY)
    if state is None:
        raise AuditConfigError(
            "this app has no audit extension: call audit = FlaskAudit(app, db), or audit.init_app(app, db) "
            "in the application factory"
        )
    return state
