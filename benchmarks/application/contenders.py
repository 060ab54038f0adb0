"""Who takes part, each with what its environment has installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.contenders.environment import DRIVER, interpreter

#: The same for all.
REQUIREMENTS = (
    "Flask==3.1.3",
    "Flask-SQLAlchemy==3.1.1",
    "Flask-Login==0.6.3",
    "SQLAlchemy==2.1.9",
    DRIVER,
    "psycopg[binary]==3.3.9",
)


@dataclass(frozen=True)
class Application:
    """A way to audit an application.

    :ivar name: that of a module in :mod:`benchmarks.application.programs`, and of its database.
    :ivar configuration: a phrase for the tables of the documentation.
    :ivar python: where it is installed. Raises :class:`~benchmarks.contenders.Unavailable`.
    """

    name: str
    title: str
    configuration: str
    python: Callable[[], Path]


def _here() -> Path:
    return Path(sys.executable)


def _from_pypi(name: str, version: str, configuration: str, *more: str) -> Application:
    python = partial(interpreter, f"application-{name}", (f"{name}=={version}", *more, *REQUIREMENTS))
    return Application(name.replace("-", "_"), f"{name} {version}", configuration, python)


def own() -> tuple[Application, ...]:
    """No auditing, and ours: what is there without PyPI."""
    return (
        Application("none", "no auditing", "the model and nothing else", _here),
        Application("ours", "flask-pg-audit", "`FlaskAudit(app, db)` and `audited()`, nothing configured", _here),
    )


def from_pypi() -> tuple[Application, ...]:
    """What one could use instead."""
    return (
        _from_pypi("postgresql-audit", "0.18.0", "`postgresql_audit.flask.versioning_manager`, `__versioned__ = {}`"),
        _from_pypi("flask-audit-logger", "2.0.0", "`AuditLogger(db)`, `audit_logged`"),
        _from_pypi("flask-postgresql-audit", "1.1.3", "`PostgreSQLAudit()` and `class Account(db.Model, Audit)`"),
        _from_pypi("sqlalchemy-continuum", "2.0.0", "`make_versioned(plugins=[FlaskPlugin()])`, `__versioned__ = {}`"),
        _from_pypi(
            "sqlalchemy-history",
            "2.2.1",
            "`make_versioned(user_cls=None)`, `__versioned__ = {}`; records nobody",
            # It imports what SQLAlchemy has for asyncio, and does not say what that needs.
            "greenlet==3.5.6",
        ),
    )
