"""The application that is written to: three audited tables, and people who log in."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from flask import Flask, Request, request
from flask_login import LoginManager, UserMixin
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, BigInteger, Column, Engine, Integer, MetaData, Table, Text, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flask_pg_audit import FlaskAudit, audited, install_audit_triggers

#: Rows that nobody owns: every client changes them, in whatever order.
SHARED = 6

#: Rows that were there before auditing.
SEEDS = 200

#: Who logs in; ``None`` for somebody who does not.
USERS = ("ann", "bob", "O'Neil", "Zoë", "100%", "a:b", "x" * 60, None)

#: The names of the audited tables, by what they are for.
TABLES = {"account": "account", "line": "Order Line", "counter": "counter"}

#: A trigger of the application's own, after ours. It refuses what is below zero.
USER_TRIGGER = """
    CREATE FUNCTION refuse_debt() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF EXISTS (SELECT FROM changed WHERE amount < 0) THEN RAISE EXCEPTION 'no debts'; END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER zz_refuse_debt AFTER UPDATE ON account REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_debt();
"""


@dataclass
class Person(UserMixin):  # type: ignore[misc]
    """Somebody who is logged in."""

    username: str

    def get_id(self) -> str:
        return f"id-{self.username}"


@dataclass(frozen=True)
class Bank:
    """The application in one process.

    :ivar tables: by what they are for.
    :ivar Account: a row of ``account``, for the ORM.
    :ivar marker: not audited; a row tells that a transaction was committed.
    :ivar desk: an engine that the extension does not know, to look at the database from outside.
    """

    app: Flask
    db: SQLAlchemy
    audit: FlaskAudit
    tables: dict[str, Table]
    Account: Any
    marker: Table
    desk: Engine

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the database raises. The driver's own comes through where SQLAlchemy takes a connection back."""
        return DBAPIError, self.desk.dialect.loaded_dbapi.Error

    def serve(self, work: Callable[[Session], None], user: str | None) -> None:
        """Do ``work`` in a request that ``user`` makes. What it raises goes through."""
        headers = {"HTTP_X_USER": user.encode().decode("latin-1")} if user else {}
        body = self.app.wsgi_app({**_REQUEST, **headers, "soak.work": work, "wsgi.input": io.BytesIO()}, _ignore)
        close = getattr(body, "close", None)
        if close:
            close()

    @contextmanager
    def script(self, name: str) -> Iterator[Session]:
        """A session of a program that nobody is logged in to."""
        with self.app.app_context(), self.audit.context(username=name):
            yield self.db.session  # type: ignore[misc]

    def close(self) -> None:
        """Let go of all connections."""
        with self.app.app_context():
            self.db.engine.dispose()
        self.desk.dispose()


_REQUEST = {
    "REQUEST_METHOD": "POST",
    "PATH_INFO": "/work",
    "SCRIPT_NAME": "",
    "QUERY_STRING": "",
    "SERVER_NAME": "bank",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "192.0.2.1",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": io.StringIO(),
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


def _ignore(status: str, headers: object, error: object = None) -> Callable[[bytes], object]:
    return lambda data: None


def _declare(metadata: MetaData, options: Mapping[str, Any]) -> dict[str, Table]:
    return {
        purpose: Table(
            name,
            metadata,
            Column("id", BigInteger, primary_key=True, autoincrement=False),
            Column("amount", Integer, nullable=False),
            Column("note", Text),
            Column("stamp", Text, nullable=False),
            info=audited(**(options if purpose == "account" else {})),
        )
        for purpose, name in TABLES.items()
    }


def build(url: URL, connections: int = 4, **options: Any) -> Bank:
    """The application.

    :param connections: so many for all of its clients together.
    :param options: of ``account``, others than usual.
    """
    app = Flask(__name__)
    app.config.update(
        SQLALCHEMY_DATABASE_URI=url,
        # Fewer than there are clients would do: what one leaves behind, the next one finds.
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": connections, "max_overflow": 0, "pool_timeout": 60},
        PROPAGATE_EXCEPTIONS=True,
    )
    audit, db = FlaskAudit(), SQLAlchemy()
    tables = _declare(db.metadata, options)
    marker = Table(
        "marker",
        db.metadata,
        Column("client", Integer, primary_key=True, autoincrement=False),
        Column("number", Integer, primary_key=True, autoincrement=False),
    )
    db.init_app(app)

    class Account(db.Model):  # type: ignore[name-defined, misc]
        __table__ = tables["account"]

    _add_login(app)
    audit.init_app(app, db)
    audit.access_loader(lambda: True)

    @app.post("/work")
    def work() -> str:
        request.environ["soak.work"](db.session)
        return ""

    desk = create_engine(url, pool_size=connections, pool_pre_ping=True)
    return Bank(app, db, audit, tables, Account, marker, desk)


def _add_login(app: Flask) -> None:
    @LoginManager(app).request_loader  # type: ignore[untyped-decorator]
    def load(request: Request) -> Person | None:
        name = request.headers.get("X-User")
        return Person(name.encode("latin-1").decode()) if name else None


def create(bank: Bank, is_empty: bool = False) -> None:
    """The tables with rows from before auditing, if they are not to be empty, then the auditing of them."""
    with bank.desk.begin() as connection:
        bank.db.metadata.create_all(connection, tables=[*bank.tables.values(), bank.marker])
        for purpose, count in () if is_empty else (("account", SEEDS), ("counter", SHARED)):
            rows = [{"id": -n, "amount": 0, "note": "seed", "stamp": f"seed-{n}"} for n in range(1, count + 1)]
            connection.execute(bank.tables[purpose].insert(), rows)
        connection.exec_driver_sql(USER_TRIGGER, execution_options={"no_parameters": True})
    install_audit_triggers(bank.db.metadata, bank.desk)
