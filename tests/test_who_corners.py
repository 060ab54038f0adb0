"""Corners of an application where a user could get lost or mixed up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest
from flask import Response, copy_current_request_context, stream_with_context
from sqlalchemy import event, insert
from sqlalchemy.orm import Session

from tests.blog import Blog, blog
from tests.server import Database


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    pool = {"pool_size": 2, "max_overflow": 0, "pool_timeout": 3}
    with blog(database.url(), pool=pool) as made:
        yield made


def add(site: Blog, title: str) -> None:
    site.db.session.add(site.Post(title=title))
    site.db.session.commit()


def test_a_streamed_response_that_writes_after_the_view_returned(site: Blog) -> None:
    @site.app.get("/stream")
    def stream() -> Response:
        def generate() -> Iterator[str]:
            for number in range(2):
                add(site, f"streamed {number}")
                yield "."

        return Response(stream_with_context(generate()))

    client = site.app.test_client()
    client.post("/signup/alice")
    assert client.get("/stream").text == ".."
    assert [row[:2] for row in site.posts()[1:]] == [("streamed 0", "alice"), ("streamed 1", "alice")]


def test_a_thread_with_a_copy_of_the_request(site: Blog) -> None:
    @site.app.post("/thread")
    def start() -> str:
        @copy_current_request_context
        def work() -> None:
            add(site, "in a thread")
            site.db.session.remove()

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return ""

    client = site.app.test_client()
    client.post("/signup/alice")
    client.post("/thread")
    assert site.posts()[-1] == ("in a thread", "alice", "1")


def test_another_session_that_writes_in_a_hook(site: Blog) -> None:
    def log(session: Session) -> None:
        with Session(site.db.engine) as other, other.begin():
            other.execute(insert(site.Post).values(title="from the hook"))

    client = site.app.test_client()
    client.post("/signup/alice")
    event.listen(site.db.session, "after_commit", log)
    client.post("/posts?title=x")
    event.remove(site.db.session, "after_commit", log)
    assert sorted(row[:2] for row in site.posts()[1:]) == [("from the hook", "alice"), ("x", "alice")]


def test_writes_added_in_before_flush_and_in_the_teardown(site: Blog) -> None:
    @site.app.teardown_request
    def note(error: BaseException | None) -> None:
        with site.db.engine.begin() as connection:
            connection.execute(insert(site.Post).values(title="teardown"))

    @event.listens_for(site.db.session, "before_flush")
    def add_more(session: Session, *_: object) -> None:
        if not any(getattr(item, "title", "") == "more" for item in session.new):
            session.add(site.Post(title="more"))

    client = site.app.test_client()
    client.post("/signup/alice")
    event.remove(site.db.session, "before_flush", add_more)
    by = {(title, user) for title, user, _ in site.posts()}
    assert ("teardown", "alice") in by
    assert ("more", None) in by  # flushed with the user's own row, before the login


def test_a_block_of_the_drivers_own(database: Database) -> None:
    with blog(database.url("psycopg")) as site, site.app.app_context(), site.audit.context(username="alice"):
        with site.db.engine.connect() as connection:
            connection.execute(insert(site.Post).values(title="before"))
            raw = connection.connection.driver_connection
            assert raw is not None
            with pytest.raises(ZeroDivisionError), raw.transaction(), closing(raw.cursor()) as cursor:
                cursor.execute("INSERT INTO post (title) VALUES ('undone')")
                raise ZeroDivisionError
            connection.execute(insert(site.Post).values(title="after"))
            connection.commit()
        assert [row[:2] for row in site.posts()] == [("before", "alice"), ("after", "alice")]


def test_a_connection_that_changes_its_isolation_level_in_the_pool(site: Blog) -> None:
    with site.app.app_context():
        for level, user in (("AUTOCOMMIT", "a"), ("SERIALIZABLE", "b"), ("AUTOCOMMIT", "c"), ("READ COMMITTED", None)):
            with site.audit.context(username=user), site.db.engine.connect() as connection:
                isolated = connection.execution_options(isolation_level=level)
                isolated.execute(insert(site.Post).values(title=level))
                isolated.commit()
    assert [row[1] for row in site.posts()] == ["a", "b", "c", None]


def test_triggers_that_write_other_audited_tables_record_the_same_user(site: Blog) -> None:
    with site.app.app_context(), site.db.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS "
            '$$ BEGIN INSERT INTO "user" (username) VALUES (NEW.title); RETURN NULL; END $$'
        )
        connection.exec_driver_sql(
            "CREATE CONSTRAINT TRIGGER follow AFTER INSERT ON post DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION follow()"
        )
    with site.app.app_context(), site.audit.context(username="alice"):
        add(site, "x")  # the deferred trigger fires at COMMIT
    assert site.rows("SELECT username, audit_username FROM user_audit") == [("x", "alice")]
    assert site.rows("SELECT count(*) FROM audit_transaction") == [(1,)]


def test_two_apps_that_share_their_models_keep_their_users_apart(database: Database) -> None:
    with blog(database.url()) as first:
        second = type(first.app)("second")
        second.config.update(first.app.config)
        first.db.init_app(second)
        first.audit.init_app(second, first.db)
        with first.app.app_context(), first.audit.context(username="one"):
            add(first, "first app")
        with second.app_context():
            with first.audit.context(username="two"):
                add(first, "second app")
            add(first, "nobody")
            first.db.session.remove()
            first.db.engine.dispose()
        assert [row[:2] for row in first.posts()] == [("first app", "one"), ("second app", "two"), ("nobody", None)]
