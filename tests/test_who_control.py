"""Statements that control a transaction: sent first where they have to be, and never in the way of who acts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from flask_pg_audit.context.statements import is_control_text
from tests.blog import Blog, blog
from tests.server import Database


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url()) as made:
        made.audit.actor_loader(lambda: "alice")
        yield made


def add(site: Blog, title: str) -> None:
    site.db.session.add(site.Post(title=title))
    site.db.session.flush()


@pytest.mark.parametrize(
    "statement",
    [
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "set local statement_timeout = 1000;",
        '-- why\n/* and */ SET "audit"."username" TO \'x\'',
        "SET ROLE clerk",
        "RESET ALL",
        "SHOW transaction_isolation",
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "START TRANSACTION READ ONLY",
        "SAVEPOINT s",
        "ROLLBACK TO SAVEPOINT s",
        b"RELEASE s",
    ],
)
def test_what_controls_a_transaction(statement: object) -> None:
    assert is_control_text(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SET CONSTRAINTS ALL IMMEDIATE",  # runs deferred triggers
        "SET /* */ CONSTRAINTS ALL IMMEDIATE",
        "COMMIT",  # does as well
        "SET a = 'b'; DELETE FROM c",
        "RESETTLE",
        "-- SET\nDELETE FROM a",
        "/* /* */ SET */ DELETE FROM a",
        "WITH a AS (SELECT 1) INSERT INTO b SELECT 1",
        "",
        None,
    ],
)
def test_what_might_do_more(statement: object) -> None:
    assert not is_control_text(statement)


def test_an_isolation_level_may_be_the_first_statement(site: Blog) -> None:
    with site.app.test_request_context():
        site.db.session.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
        add(site, "strict")
        assert site.db.session.scalar(text("SHOW transaction_isolation")) == "serializable"
        site.db.session.commit()
    assert site.posts() == [("strict", "alice", "alice")]


def test_on_the_raw_connection_too(site: Blog) -> None:
    with site.app.test_request_context(), closing(site.db.engine.raw_connection()) as raw:
        with closing(raw.cursor()) as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("INSERT INTO post (title) VALUES ('raw')")
        raw.commit()
    assert site.posts() == [("raw", "alice", "alice")]


def test_an_isolation_level_with_an_asynchronous_session(database: Database) -> None:
    with blog(database.url()) as site:
        engine = create_async_engine(database.url("asyncpg"))
        site.audit.watch(engine, site.app)

        async def write() -> None:
            async with AsyncSession(engine) as session:
                await session.execute(text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
                await session.execute(text("SET LOCAL audit.username = 'the boss'"))
                session.add(site.Post(title="strict"))
                await session.commit()
            await engine.dispose()

        with site.app.app_context(), site.audit.context(username="alice"):
            asyncio.run(write())
        assert site.posts() == [("strict", "alice", None)]


FORGERIES = [
    "SET LOCAL audit.username = 'the boss'",
    "SET audit.username = 'the boss'",
    "/**/ SET SESSION audit.username TO 'the boss'",
    "RESET audit.username",
    "RESET ALL",
    "DISCARD PLANS",
    "BEGIN; SET LOCAL audit.username = 'the boss'",
]


def test_settings_that_come_between_change_nobody(site: Blog) -> None:
    with site.app.test_request_context():
        for forgery in FORGERIES:
            site.db.session.execute(text(forgery))
            add(site, forgery)
            site.db.session.execute(text(forgery))
            add(site, forgery)
            site.db.session.commit()
    assert site.posts() == [(forgery, "alice", "alice") for forgery in FORGERIES for _ in range(2)]


def test_a_name_that_was_left_in_the_session_is_nobodys_in_the_next_request(site: Blog) -> None:
    with site.app.test_request_context():
        site.db.session.execute(text("SET audit.username = 'the boss'"))
        site.db.session.commit()
    site.audit.actor_loader(lambda: None)
    with site.app.test_request_context():
        add(site, "later")
        site.db.session.commit()
    assert site.posts() == [("later", None, None)]


def test_the_role_that_acts_is_the_one_that_was_set(site: Blog) -> None:
    with site.app.test_request_context():
        site.db.session.execute(text("CREATE ROLE clerk_of_posts"))
        site.db.session.execute(text("GRANT ALL ON post, post_id_seq TO clerk_of_posts"))
        site.db.session.execute(text("SET LOCAL ROLE clerk_of_posts"))
        add(site, "as a clerk")
        site.db.session.execute(text("RESET ROLE"))
        roles = site.db.session.execute(text("SELECT audit_current_user, audit_username FROM post_audit")).all()
        site.db.session.rollback()
    assert roles == [("clerk_of_posts", "alice")]


def test_a_failed_transaction_is_rolled_back_to_a_savepoint_by_text(site: Blog) -> None:
    """Anything sent before it would be refused."""
    with site.app.test_request_context():
        add(site, "kept")
        site.db.session.execute(text("SAVEPOINT s"))
        connection = site.db.session.connection()
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1 / 0"))
        connection.execute(text("ROLLBACK TO SAVEPOINT s"))
        add(site, "again")
        site.db.session.commit()
    assert [who for _, who, _ in site.posts()] == ["alice", "alice"]
