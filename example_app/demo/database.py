"""The demo's database: started or found, then brought to the state that the application needs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask
from flask_migrate import upgrade
from sqlalchemy import URL, create_engine, select
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from flask_pg_audit import AuditError, install_audit_triggers
from tools.embedded_postgres import EmbeddedPostgres

from ..config import database_url
from ..extensions import db
from ..models import User
from . import DemoError


@contextmanager
def open_database() -> Iterator[URL]:
    """The address of a database: that of ``DATABASE_URL``, or one that is gone after the block.

    :raises DemoError: ``DATABASE_URL`` leads nowhere.
    :raises EmbeddedPostgresError: there is no PostgreSQL to start.
    """
    if address := os.environ.get("DATABASE_URL"):
        yield _reach(address)
        return
    with EmbeddedPostgres() as server:
        server.create_database("shop")
        yield server.url("shop")


def prepare(app: Flask) -> None:
    """What ``flask db upgrade`` and ``flask audit install`` do.

    :raises DemoError: something in the database is in the way.
    """
    try:
        with app.app_context():
            upgrade()
            install_audit_triggers(db.metadata, db.engine)
    except (SQLAlchemyError, AuditError) as error:
        raise DemoError(f"the database cannot be prepared: {_first_line(error)}") from error
    except SystemExit:  # how Flask-Migrate ends when Alembic refuses; it has said why
        raise DemoError("the database cannot be migrated; start with an empty one") from None


def is_in_use(app: Flask) -> bool:
    """Whether somebody has been here before."""
    with app.app_context():
        return db.session.scalar(select(User.id).limit(1)) is not None


def _reach(address: str) -> URL:
    try:
        url = database_url(address)
    except ArgumentError:
        raise DemoError("DATABASE_URL is no address such as postgresql://user:password@host/database") from None
    if url.get_backend_name() != "postgresql":
        raise DemoError(f"DATABASE_URL is for {url.get_backend_name()}, but the audit trail needs PostgreSQL")
    try:
        engine = create_engine(url)
        engine.connect().close()
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        shown = url.render_as_string(hide_password=True)
        raise DemoError(f"DATABASE_URL, {shown}, cannot be reached: {_first_line(error)}") from error
    return url


def _first_line(error: BaseException) -> str:
    original = getattr(error, "orig", None) or error
    return next(iter(str(original).strip().splitlines()), type(original).__name__)
