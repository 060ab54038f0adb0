"""Whoever owns the transaction: the app's session, a session of one's own, an engine, another bind, AUTOCOMMIT."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import gevent
import pytest
from flask_login import login_user
from sqlalchemy import Connection, create_engine, func, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from flask_pg_audit import AuditConfigError, AuditContextError, set_session_vars
from tests.blog import Blog, blog
from tests.server import Database


@pytest.fixture(params=["psycopg2", "psycopg"])
def site(request: pytest.FixtureRequest, database: Database) -> Iterator[Blog]:
    with blog(database.url(request.param)) as made:
        yield made


def own_session(site: Blog, title: str) -> None:
    with Session(site.db.engine) as session, session.begin():
        session.add(site.Post(title=title))


def engine_begin(site: Blog, title: str) -> None:
    with site.db.engine.begin() as connection:
        connection.execute(insert(site.Post).values(title=title))


def connection_begin_later(site: Blog, title: str) -> None:
    with site.db.engine.connect() as connection:
        connection.execute(select(site.Post.id)).all()
        connection.execute(insert(site.Post).values(title=title))
        connection.commit()


def raw_connection(site: Blog, title: str) -> None:
    raw = site.db.engine.raw_connection()
    try:
        with closing(raw.cursor()) as cursor:
            cursor.execute("INSERT INTO post (title) VALUES (%s)", (title,))
        raw.commit()
    finally:
        raw.close()


def _autocommit(site: Blog) -> Connection:
    return site.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT")


def autocommit_core(site: Blog, title: str) -> None:
    with _autocommit(site) as connection:
        connection.execute(insert(site.Post).values(title=title).returning(site.Post.id)).one()


def autocommit_text(site: Blog, title: str) -> None:
    with _autocommit(site) as connection:
        connection.execute(text("INSERT INTO post (title) VALUES (:title) RETURNING id"), {"title": title}).one()


def autocommit_block(site: Blog, title: str) -> None:
    with _autocommit(site) as connection:
        connection.exec_driver_sql(f"DO $$ BEGIN INSERT INTO post (title) VALUES ('{title}'); COMMIT; END $$")


def autocommit_own_begin(site: Blog, title: str) -> None:
    with _autocommit(site) as connection:
        connection.exec_driver_sql("BEGIN")
        connection.execute(insert(site.Post).values(title=title))
        connection.exec_driver_sql("COMMIT")


def two_phase(site: Blog, title: str) -> None:
    with site.db.engine.connect() as connection:
        transaction = connection.begin_twophase()
        connection.execute(insert(site.Post).values(title=title))
        transaction.commit()


OWNERS: list[Callable[[Blog, str], None]] = [
    own_session,
    engine_begin,
    connection_begin_later,
    raw_connection,
    autocommit_core,
    autocommit_text,
    autocommit_block,
    autocommit_own_begin,
    two_phase,
]


@pytest.mark.parametrize("owner", OWNERS, ids=lambda owner: owner.__name__)
def test_transaction_owner(site: Blog, owner: Callable[[Blog, str], None]) -> None:
    @site.app.post("/write")
    def write() -> str:
        site.db.session.remove()  # the pool has one connection
        owner(site, "anonymous")
        login_user(site.db.session.get(site.User, 1))
        site.db.session.remove()
        owner(site, "logged in")
        with site.audit.context(username="robot"):
            owner(site, "robot")
        return ""

    _add_alice(site)
    site.app.test_client().post("/write")
    site.app.test_client().post("/posts?title=next")
    assert site.posts() == [
        ("anonymous", None, None),
        ("logged in", "alice", "1"),
        ("robot", "robot", None),
        ("next", None, None),
    ]
    assert _left_behind(site) == ""


def _add_alice(site: Blog) -> None:
    with site.app.app_context():
        site.db.session.add(site.User(username="alice"))
        site.db.session.commit()


def _left_behind(site: Blog) -> str:
    """What the pooled connection still says about the user."""
    with site.app.app_context(), site.db.engine.connect() as connection:
        return connection.scalar(select(text("current_setting('audit.username', true)"))) or ""


def test_a_pipeline_of_psycopg(database: Database) -> None:
    with blog(database.url("psycopg")) as site, site.app.app_context(), site.audit.context(username="alice"):
        raw = site.db.engine.raw_connection()
        driver: Any = raw.driver_connection
        with driver.pipeline(), closing(raw.cursor()) as cursor:
            for number in range(3):
                cursor.execute("INSERT INTO post (title) VALUES (%s)", (str(number),))
        raw.commit()
        driver.autocommit = True
        with (
            pytest.raises(AuditContextError, match="pipeline that might write cannot be used on an AUTOCOMMIT"),
            driver.pipeline(),
            closing(raw.cursor()) as cursor,
        ):
            cursor.execute("INSERT INTO post (title) VALUES ('x')")
        driver.autocommit = False
        raw.close()
        assert [row[:2] for row in site.posts()] == [(str(number), "alice") for number in range(3)]


def test_a_server_side_cursor_that_writes(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="alice"):
        with site.db.engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE FUNCTION add_post(text) RETURNS int LANGUAGE sql AS "
                "'INSERT INTO post (title) VALUES ($1) RETURNING id'"
            )
        with site.db.engine.connect().execution_options(stream_results=True) as connection:
            connection.execute(select(func.add_post("streamed"))).all()
            connection.commit()
    assert [row[:2] for row in site.posts()] == [("streamed", "alice")]


def test_what_cannot_run_in_a_transaction_still_runs_on_an_autocommit_connection(site: Blog) -> None:
    with site.app.app_context(), _autocommit(site) as connection:
        connection.exec_driver_sql("VACUUM post")
        connection.exec_driver_sql("CREATE INDEX CONCURRENTLY post_title ON post (title)")


def test_an_error_on_an_autocommit_connection_leaves_it_usable(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="alice"), _autocommit(site) as connection:
        for statement in ("INSERT INTO post (id) VALUES (1), (1)", "DO $$ BEGIN RAISE 'no'; END $$"):
            with pytest.raises(DBAPIError):
                connection.exec_driver_sql(statement)
        connection.execute(insert(site.Post).values(title="after"))
        assert connection.connection.dbapi_connection is not None
    assert site.posts() == [("after", "alice", None)]
    assert _left_behind(site) == ""


def test_rollback_to_a_savepoint_typed_as_text(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="alice"), site.db.engine.begin() as connection:
        connection.execute(text("SAVEPOINT mine"))
        connection.execute(insert(site.Post).values(title="undone"))
        connection.execute(text("ROLLBACK TO SAVEPOINT mine"))
        connection.execute(insert(site.Post).values(title="after"))
    assert site.posts() == [("after", "alice", None)]


def test_rollback_of_a_savepoint_on_the_raw_connection(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="alice"), site.db.engine.connect() as connection:
        with closing(connection.connection.cursor()) as cursor:
            cursor.execute("SAVEPOINT mine")
            cursor.execute("INSERT INTO post (title) VALUES ('undone')")
            cursor.execute("ROLLBACK TO SAVEPOINT mine")
        connection.execute(insert(site.Post).values(title="after"))
        connection.commit()
    assert site.posts() == [("after", "alice", None)]


def test_discard_and_reset_are_noticed(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="alice"), site.db.engine.begin() as connection:
        connection.execute(insert(site.Post).values(title="first"))
        connection.execute(text("RESET ALL"))
        connection.execute(insert(site.Post).values(title="second"))
    assert [row[1] for row in site.posts()] == ["alice", "alice"]


def test_several_statements_in_one_text_are_not_trusted(database: Database) -> None:
    with blog(database.url("psycopg2")) as site, site.app.app_context(), site.audit.context(username="alice"):
        with site.db.engine.connect() as connection:
            connection.exec_driver_sql("INSERT INTO post (title) VALUES ('first'); COMMIT; BEGIN")
            connection.execute(insert(site.Post).values(title="second"))
            connection.commit()
        assert [row[1] for row in site.posts()] == ["alice", "alice"]


def test_a_lost_connection_is_replaced_and_told_again(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="alice"):
        with site.db.engine.connect() as connection:
            connection.execute(insert(site.Post).values(title="lost"))
            pid = connection.scalar(select(text("pg_backend_pid()")))
            killer = create_engine(site.app.config["SQLALCHEMY_DATABASE_URI"])
            with killer.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            killer.dispose()
            with pytest.raises(DBAPIError):
                connection.execute(insert(site.Post).values(title="lost too"))
        with site.db.engine.begin() as connection:
            connection.execute(insert(site.Post).values(title="kept"))
    assert site.posts() == [("kept", "alice", None)]


def test_a_connection_that_is_lost_within_a_savepoint_says_so(site: Blog) -> None:
    """Going back to the savepoint is what the context manager does then; it is no second error."""
    with site.app.app_context(), site.audit.context(username="alice"):
        site.db.session.add(site.Post(title="lost"))
        with pytest.raises(DBAPIError), site.db.session.begin_nested():
            site.db.session.add(site.Post(title="lost too"))
            site.db.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
        site.db.session.rollback()
        site.db.session.add(site.Post(title="kept"))
        site.db.session.commit()
    assert site.posts() == [("kept", "alice", None)]


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg_async"])
def test_an_async_connection_that_is_lost_within_a_savepoint_says_so(database: Database, driver: str) -> None:
    with blog(database.url("psycopg")) as site, site.app.app_context():
        engine = create_async_engine(database.url(driver), pool_size=1, max_overflow=0)
        site.audit.watch(engine)

        async def run() -> None:
            async with AsyncSession(engine) as session:
                with pytest.raises(DBAPIError):
                    async with session.begin_nested():
                        session.add(site.Post(title="lost"))
                        await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
                await session.rollback()
                session.add(site.Post(title="kept"))
                await session.commit()
            await engine.dispose()

        with site.audit.context(username="alice"):
            asyncio.run(run())
        assert site.posts() == [("kept", "alice", None)]


def test_set_session_vars_after_the_apps_own_settings_wins_for_the_transaction(site: Blog) -> None:
    with site.app.app_context(), site.audit.context(username="alice"):
        set_session_vars(site.db.session, username="bob")
        site.db.session.add(site.Post(title="by bob"))
        site.db.session.commit()
        site.db.session.add(site.Post(title="by alice"))
        site.db.session.commit()
    assert [row[1] for row in site.posts()] == ["bob", "alice"]


def test_set_session_vars_refuses_an_autocommit_connection(site: Blog) -> None:
    with (
        site.app.app_context(),
        _autocommit(site) as connection,
        pytest.raises(AuditContextError, match="AUTOCOMMIT mode"),
    ):
        set_session_vars(connection, username="bob")


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg_async"])
def test_async_session(database: Database, driver: str) -> None:
    with blog(database.url("psycopg")) as site, site.app.app_context():
        engine = create_async_engine(database.url(driver), pool_size=1, max_overflow=0)
        site.audit.watch(engine)

        async def add(title: str, isolation_level: str | None = None) -> None:
            options = {"isolation_level": isolation_level} if isolation_level else {}
            async with AsyncSession(engine) as session:
                await session.connection(execution_options=options)
                session.add(site.Post(title=title))
                await session.commit()

        async def undo_then_add(title: str) -> None:
            async with AsyncSession(engine) as session:
                savepoint = await session.begin_nested()
                session.add(site.Post(title="undone"))
                await session.flush()
                await savepoint.rollback()
                session.add(site.Post(title=title))
                await session.commit()

        async def run() -> None:
            await add("nobody")
            with site.audit.context(username="alice"):
                await add("alice")
                await asyncio.create_task(add("in a task"))
                await undo_then_add("after savepoint")
                await add("autocommit", "AUTOCOMMIT")
            await add("nobody again")
            await engine.dispose()

        asyncio.run(run())
        assert [row[:2] for row in site.posts()] == [
            ("nobody", None),
            ("alice", "alice"),
            ("in a task", "alice"),
            ("after savepoint", "alice"),
            ("autocommit", "alice"),
            ("nobody again", None),
        ]


def test_async_views_know_their_user(site: Blog) -> None:
    @site.app.post("/async/<title>")
    async def add(title: str) -> str:
        await asyncio.sleep(0)
        site.db.session.add(site.Post(title=title))
        site.db.session.commit()
        return ""

    client = site.app.test_client()
    client.post("/signup/alice")
    client.post("/async/x")
    assert site.posts()[-1] == ("x", "alice", "1")


def test_a_thread_inherits_the_context_by_copy_context_only(site: Blog) -> None:
    def add(title: str) -> None:
        with site.app.app_context():
            site.db.session.add(site.Post(title=title))
            site.db.session.commit()

    with site.audit.context(username="alice"):
        for target, title in ((contextvars.copy_context().run, "copied"), (lambda f, *a: f(*a), "fresh")):
            thread = threading.Thread(target=target, args=(add, title))
            thread.start()
            thread.join()
    assert [row[:2] for row in site.posts()] == [("copied", "alice"), ("fresh", None)]


def test_greenlets_keep_their_contexts_apart_and_inherit_by_copy_context(site: Blog) -> None:
    def add(title: str) -> None:
        gevent.sleep(0)
        with site.app.app_context():
            site.db.session.add(site.Post(title=title))
            site.db.session.commit()

    def add_as(name: str) -> None:
        with site.audit.context(username=name):
            gevent.sleep(0)
            add(f"as {name}")

    with site.audit.context(username="alice"):
        greenlets = [gevent.spawn(contextvars.copy_context().run, add, "copied"), gevent.spawn(add, "fresh")]
    greenlets += [gevent.spawn(add_as, "bob"), gevent.spawn(add_as, "carol")]
    gevent.joinall(greenlets, raise_error=True)
    assert sorted(row[:2] for row in site.posts()) == [
        ("as bob", "bob"),
        ("as carol", "carol"),
        ("copied", "alice"),
        ("fresh", None),
    ]


def test_only_postgresql_engines_can_be_watched(site: Blog) -> None:
    with site.app.app_context(), pytest.raises(AuditConfigError, match="only PostgreSQL engines can be watched"):
        site.audit.watch(create_engine("sqlite://"))
