"""Bringing a version back in all kinds of apps: several databases, few connections, tables of all kinds."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import JSON, URL, Column, Computed, Integer, String, Table, Text, create_engine, text

from flask_pg_audit import Access, FlaskAudit, audited, install_audit_triggers
from tests.blog import blog
from tests.orders import links, text_of
from tests.server import Database, DatabaseServer
from tests.ui_reverting import FIRST, THIRD, form_of, revertible


def bring_back(client: Any, page: str, which: int = -1) -> Any:
    """Follow the links of a record's page, and press the button."""
    url = links(client.get(page).text, "Bring this version back")[which]
    return client.post(url, data=form_of(url, client.get(url).text))


def test_as_the_logged_in_user_with_three_connections(database: Database) -> None:
    """Flask-Login asks the database who it is, on a connection that the request's session keeps."""
    pool = {"pool_size": 3, "max_overflow": 0, "pool_timeout": 3}
    with blog(database.url(), pool=pool, AUDIT_UI_REVERT=True) as site:
        site.audit.access_loader(lambda: Access(revert=True))
        client = site.app.test_client()
        client.post("/signup/alice")
        with site.app.app_context():
            site.db.session.execute(text("UPDATE post SET title = 'spoilt'"))
            site.db.session.commit()
        assert bring_back(client, "/audit/record?table=post&key=1").status_code == 303
        assert site.posts()[-1] == ("hello", "alice", "1")
        views = "SELECT username, row_count FROM audit_view WHERE action = 'revert'"
        assert site.rows(views) == [("alice", 1)]


def test_what_the_requests_session_has_begun_is_not_committed(database: Database) -> None:
    with blog(database.url(), pool={"pool_size": 3, "max_overflow": 0}, AUDIT_UI_REVERT=True) as site:
        site.audit.access_loader(lambda: Access(revert=True))

        @site.app.before_request
        def begin() -> None:
            site.db.session.add(site.Post(title="unfinished"))
            site.db.session.flush()

        client = site.app.test_client()
        with site.app.app_context():
            for statement in ("INSERT INTO post VALUES (100, 'first')", "UPDATE post SET title = 'second'"):
                site.db.session.execute(text(statement))
                site.db.session.commit()
        assert bring_back(client, "/audit/record?table=post&key=100").status_code == 303
        assert site.rows("SELECT title FROM post") == [("first",)]


def test_on_an_engine_in_autocommit_mode(database: Database) -> None:
    options = {"isolation_level": "AUTOCOMMIT", "pool_size": 1, "max_overflow": 0}
    with blog(database.url(), install=False, pool=options, AUDIT_UI_REVERT=True) as site:
        engine = create_engine(database.url())
        install_audit_triggers(site.db.metadata, engine)
        engine.dispose()
        site.audit.access_loader(lambda: Access(revert=True))
        client = site.app.test_client()
        with site.app.app_context(), site.db.engine.connect() as connection:
            connection.execute(text("INSERT INTO post VALUES (1, 'first')"))
            connection.execute(text("UPDATE post SET title = 'second'"))
        url = links(client.get("/audit/record?table=post&key=1").text, "Bring this version back")[-1]
        fields = form_of(url, client.get(url).text)
        assert site.rows("SELECT title FROM post") == [("second",)]  # a preview is taken back
        assert client.post(url, data=fields).status_code == 303
        assert site.rows("SELECT title FROM post") == [("first",)]


@contextmanager
def two_databases(first: URL, second: URL) -> Iterator[tuple[Flask, SQLAlchemy]]:
    db, audit = SQLAlchemy(), FlaskAudit()

    class Here(db.Model):  # type: ignore[name-defined, misc]
        __table_args__ = {"info": audited()}  # noqa: RUF012
        id = Column(Integer, primary_key=True)
        name = Column(String)

    class There(db.Model):  # type: ignore[name-defined, misc]
        __bind_key__ = "there"
        __table_args__ = {"info": audited()}  # noqa: RUF012
        id = Column(Integer, primary_key=True)
        name = Column(String)

    app = Flask(__name__)
    app.config.update(
        TESTING=True,
        SECRET_KEY="test",
        AUDIT_UI_REVERT=True,
        SQLALCHEMY_DATABASE_URI=first,
        SQLALCHEMY_BINDS={"there": second},
    )
    db.init_app(app)
    audit.init_app(app, db)
    audit.access_loader(lambda: Access(revert=True))
    audit.actor_loader(lambda: "alice")
    with app.app_context():
        db.create_all()
        for bind in (None, "there"):
            install_audit_triggers(db.metadatas[bind], db.engines[bind])
        yield app, db
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()


def test_in_the_database_that_is_looked_at(database: Database, server: DatabaseServer, template: str) -> None:
    with server.database(template) as other, two_databases(database.url(), other.url()) as (app, db):
        for bind, table in ((None, "here"), ("there", "there")):
            with db.engines[bind].begin() as connection:
                connection.execute(text(f"INSERT INTO {table} VALUES (1, 'first')"))
            with db.engines[bind].begin() as connection:
                connection.execute(text(f"UPDATE {table} SET name = 'second'"))
        answer = bring_back(app.test_client(), "/audit/record?table=there&key=1&bind=there")
        assert answer.status_code == 303 and "bind=there" in answer.location
        assert "Done:" in app.test_client().get(answer.location).text
        with db.engines["there"].connect() as connection:
            done = connection.execute(
                text("SELECT name, audit_username FROM there_audit ORDER BY audit_id DESC LIMIT 1")
            )
            assert done.one() == ("first", "alice")
            assert connection.scalar(text("SELECT count(*) FROM audit_view WHERE action = 'revert'")) == 1
        with db.engine.connect() as connection:
            assert connection.scalar(text("SELECT name FROM here")) == "second"


def test_tables_of_all_kinds(database: Database) -> None:
    """Without a class, with a key of two columns and of hostile names, types without equality, and what is computed."""
    app, db, audit = Flask(__name__), SQLAlchemy(), FlaskAudit()
    weird = Table(
        'we"ird: %(name)s',
        db.metadata,
        Column("the, %key", Text, primary_key=True, key="one"),
        Column("and", Integer, primary_key=True),
        Column("live", JSON, key="document"),
        Column("place", Integer, Computed('"and" + 1', persisted=True)),
        info=audited(),
    )
    app.config.update(TESTING=True, SECRET_KEY="test", AUDIT_UI_REVERT=True, SQLALCHEMY_DATABASE_URI=database.url())
    db.init_app(app)
    audit.init_app(app, db)
    audit.access_loader(lambda: Access(revert=True))
    with app.app_context():
        db.create_all()
        install_audit_triggers(db.metadata, db.engine)
        for statement in (
            weird.insert().values(one='a,"b', **{"and": 2}, document={"a": 1}),
            weird.update().values(document={"a": 2}),
            weird.delete(),
        ):
            with db.engine.begin() as connection:
                connection.execute(statement)
        client = app.test_client()
        feed = client.get("/audit/").text
        record = html.unescape(re.findall(r'href="(/audit/record[^"]*)"', feed)[0])
        assert bring_back(client, record, 0).status_code == 303
        with db.engine.connect() as connection:
            assert tuple(connection.execute(weird.select()).one()) == ('a,"b', 2, {"a": 2}, 3)
        url = links(client.get(record).text, "Bring this version back")[-1]
        assert "live a from 2 to 1" in text_of(client.get(url).text)
        assert client.post(url, data=form_of(url, client.get(url).text)).status_code == 303
        db.engine.dispose()


def test_a_version_that_the_orm_counts_goes_on(database: Database) -> None:
    app, db, audit = Flask(__name__), SQLAlchemy(), FlaskAudit()

    class Page(db.Model):  # type: ignore[name-defined, misc]
        __table_args__ = {"info": audited()}  # noqa: RUF012
        id = Column(Integer, primary_key=True)
        body = Column(Text)
        revision = Column(Integer, nullable=False)
        __mapper_args__ = {"version_id_col": revision}  # noqa: RUF012

    app.config.update(TESTING=True, SECRET_KEY="test", AUDIT_UI_REVERT=True, SQLALCHEMY_DATABASE_URI=database.url())
    db.init_app(app)
    audit.init_app(app, db)
    audit.access_loader(lambda: Access(revert=True))
    with app.app_context():
        db.create_all()
        install_audit_triggers(db.metadata, db.engine)
        page: Any = Page(id=1, body="first")
        db.session.add(page)
        db.session.commit()
        page.body = "second"
        db.session.commit()
        db.session.remove()
    assert bring_back(app.test_client(), "/audit/record?table=page&key=1").status_code == 303
    with app.app_context():
        found: Any = db.session.get(Page, 1)
        assert (found.body, found.revision) == ("first", 3)
        db.session.remove()
        db.engine.dispose()


def test_below_a_prefix_and_in_another_zone(database: Database) -> None:
    with revertible(database.url(), AUDIT_URL_PREFIX="/back/log", AUDIT_UI_TIME_ZONE="Asia/Tokyo") as site:
        client, environ = site.client, {"SCRIPT_NAME": "/shop"}
        page = client.get("/back/log/record?table=order&key=1&tz=local", environ_overrides=environ).text
        url = links(page, "Bring this version back")[-1]
        assert url.startswith("/shop/back/log/revert?") and "tz=local" in url
        path = url.removeprefix("/shop")
        fields = form_of(url, client.get(path, environ_overrides=environ).text)
        assert site.orders() == THIRD
        answer = client.post(path, data=fields, environ_overrides=environ)
        assert answer.location.startswith("/shop/back/log/transaction?") and "tz=local" in answer.location
        assert site.orders() == FIRST
