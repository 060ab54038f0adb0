"""Who is recorded for what a Flask app writes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from flask import g, request
from sqlalchemy import insert, text

from flask_pg_audit import Actor, AuditConfigError, AuditContextError
from tests.blog import Blog, blog
from tests.server import Database


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url()) as made:
        yield made


def test_several_commits_in_one_request_record_the_user(site: Blog) -> None:
    client = site.app.test_client()
    client.post("/signup/alice")
    client.post("/posts?title=one&title=two&title=three")
    assert site.posts()[1:] == [("one", "alice", "1"), ("two", "alice", "1"), ("three", "alice", "1")]


def test_login_in_the_middle_of_a_transaction_counts_from_the_next_write(site: Blog) -> None:
    site.app.test_client().post("/signup/alice")
    assert site.rows("SELECT username, audit_username FROM user_audit") == [("alice", None)]
    assert site.posts() == [("hello", "alice", "1")]
    assert site.rows("SELECT username, continues FROM audit_transaction ORDER BY id") == [(None, None), ("alice", 1)]


def test_logout_counts_from_the_next_write(site: Blog) -> None:
    client = site.app.test_client()
    client.post("/signup/alice")
    client.post("/logout")
    assert site.posts()[1:] == [("before logout", "alice", "1"), ("after logout", None, None)]


def test_the_next_anonymous_request_on_the_same_connection_records_nobody(site: Blog) -> None:
    site.app.test_client().post("/signup/alice")
    site.app.test_client().post("/posts?title=anonymous")
    assert site.posts()[-1] == ("anonymous", None, None)


def test_two_users_take_turns_on_one_connection(site: Blog) -> None:
    alice, bob = site.app.test_client(), site.app.test_client()
    alice.post("/signup/alice")
    bob.post("/signup/bob")
    alice.post("/posts?title=a")
    bob.post("/posts?title=b")
    assert site.posts()[2:] == [("a", "alice", "1"), ("b", "bob", "2")]


def test_a_session_level_setting_is_never_taken_for_the_user(site: Blog) -> None:
    with site.app.app_context(), site.db.engine.connect() as connection:
        connection.execute(text("SET audit.username = 'mallory'"))
        connection.commit()
    site.app.test_client().post("/posts?title=anonymous")
    assert site.posts() == [("anonymous", None, None)]


def test_a_read_only_request_looks_nobody_up_and_sends_nothing(site: Blog) -> None:
    client = site.app.test_client()
    client.post("/signup/alice")
    site.user_lookups.clear()
    assert client.get("/posts").text == "hello"
    assert site.user_lookups == []


def test_request_metadata_is_recorded_without_the_query_string(site: Blog) -> None:
    site.app.test_client().post("/posts?title=secret", headers={"User-Agent": "x" * 1000})
    [(context,)] = site.rows("SELECT context FROM audit_transaction")
    assert (context["method"], context["path"], context["endpoint"]) == ("POST", "/posts", "add_posts")
    assert len(context["user_agent"]) == 400
    assert "secret" not in str(context)


def test_g_user_is_recorded(site: Blog) -> None:
    @site.app.before_request
    def remember() -> None:
        g.user = {"email": "carol@example.com", "id": 7}

    site.app.test_client().post("/posts?title=x")
    assert site.posts() == [("x", "carol@example.com", "7")]


def test_the_actor_loader_replaces_every_other_way(site: Blog) -> None:
    @site.audit.actor_loader
    def load() -> Actor:
        return Actor("robot", "r2")

    site.app.test_client().post("/signup/alice")
    assert site.posts() == [("hello", "robot", "r2")]


def test_the_actor_loader_is_not_asked_outside_of_requests(site: Blog) -> None:
    @site.audit.actor_loader
    def load() -> str:
        return request.headers["X-User"]

    with site.app.app_context():
        site.db.session.add(site.Post(title="x"))
        site.db.session.commit()
    assert site.posts() == [("x", None, None)]


def test_an_exception_in_the_actor_loader_fails_the_write(site: Blog) -> None:
    @site.audit.actor_loader
    def load() -> Actor:
        raise RuntimeError("directory is down")

    with pytest.raises(
        AuditContextError, match=r"finding out who is logged in failed: RuntimeError: directory is down"
    ):
        site.app.test_client().post("/posts?title=x")
    assert site.rows("SELECT count(*) FROM post") == [(0,)]


def test_a_loader_that_writes_is_refused(site: Blog) -> None:
    @site.audit.actor_loader
    def load() -> str:
        site.db.session.execute(text("UPDATE post SET title = 'seen'"))
        return "alice"

    with pytest.raises(AuditContextError, match="changes data itself"):
        site.app.test_client().post("/posts?title=x")


def test_a_loader_may_query_while_changes_are_pending(site: Blog) -> None:
    @site.audit.actor_loader
    def load() -> str:
        return f"one of {site.db.session.query(site.Post).count()}"

    with site.app.test_request_context():
        site.db.session.add(site.Post(title="pending"))
        site.db.session.execute(insert(site.Post).values(title="core"))
        site.db.session.commit()
    assert {row[1] for row in site.posts()} <= {"one of 0", "one of 1"}


def test_a_user_without_a_name_is_an_error_not_a_repr(site: Blog) -> None:
    @site.audit.actor_loader
    def load() -> object:
        return object()

    with pytest.raises(AuditContextError, match="has none of the attributes username, email, name, get_id"):
        site.app.test_client().post("/posts?title=x")


def test_the_username_attribute_is_configurable(database: Database) -> None:
    with blog(database.url(), AUDIT_USERNAME_ATTRIBUTE="nick") as site:
        site.audit.actor_loader(lambda: {"nick": "ally", "username": "alice", "id": 1})
        site.app.test_client().post("/posts?title=x")
        assert site.posts() == [("x", "ally", "1")]


def test_context_nests_and_comes_back_after_an_exception(site: Blog) -> None:
    def add(title: str) -> None:
        site.db.session.add(site.Post(title=title))
        site.db.session.commit()

    with site.app.app_context():
        with site.audit.context(username="job", actor_id=3, reason="nightly"):
            add("outer")
            with pytest.raises(ValueError), site.audit.context(username="inner"):
                add("inner")
                raise ValueError
            add("outer again")
        add("outside")
    assert [row[:2] for row in site.posts()] == [
        ("outer", "job"),
        ("inner", "inner"),
        ("outer again", "job"),
        ("outside", None),
    ]
    assert site.rows("SELECT context->>'reason', actor_id FROM audit_transaction ORDER BY id") == [
        ("nightly", "3"),
        ("nightly", "3"),
        ("nightly", "3"),
        (None, None),
    ]


def test_context_is_a_decorator(site: Blog) -> None:
    @site.audit.context(username="importer")
    def run() -> None:
        site.db.session.add(site.Post(title="x"))
        site.db.session.commit()

    with site.app.app_context():
        run()
        run()
    assert [row[1] for row in site.posts()] == ["importer", "importer"]


def test_context_decorates_coroutines_and_refuses_generators(site: Blog) -> None:
    @site.audit.context(username="importer")
    async def run() -> None:
        await asyncio.sleep(0)
        site.db.session.add(site.Post(title="x"))
        site.db.session.commit()

    with site.app.app_context():
        asyncio.run(run())
    assert [row[1] for row in site.posts()] == ["importer"]
    with pytest.raises(AuditConfigError, match="cannot decorate the generator"):

        @site.audit.context(username="importer")
        def generate() -> Iterator[int]:
            yield 1


def test_a_reason_keeps_the_logged_in_user(site: Blog) -> None:
    @site.app.post("/because")
    def because() -> str:
        with site.audit.context(reason="asked for"):
            site.db.session.add(site.Post(title="x"))
            site.db.session.commit()
        return ""

    client = site.app.test_client()
    client.post("/signup/alice")
    client.post("/because")
    assert site.rows("SELECT username, context->>'reason' FROM audit_transaction ORDER BY id DESC LIMIT 1") == [
        ("alice", "asked for")
    ]


def test_the_context_loader_adds_and_removes(site: Blog) -> None:
    @site.audit.context_loader
    def load(context: dict[str, object]) -> dict[str, object]:
        del context["remote_addr"]
        return {**context, "tenant": 5}

    site.app.test_client().post("/posts?title=x")
    [(context,)] = site.rows("SELECT context FROM audit_transaction")
    assert context["tenant"] == 5
    assert "remote_addr" not in context


def test_context_that_is_no_json_is_a_clear_error(site: Blog) -> None:
    site.audit.context_loader(lambda context: {"when": object()})
    with pytest.raises(AuditContextError, match="must be JSON"):
        site.app.test_client().post("/posts?title=x")


def test_a_command_is_recorded_by_its_name(site: Blog) -> None:
    @site.app.cli.command("import-posts")
    def import_posts() -> None:
        site.db.session.add(site.Post(title="imported"))
        site.db.session.commit()

    assert site.app.test_cli_runner().invoke(args=["import-posts"]).exit_code == 0
    assert site.posts() == [("imported", "cli:import-posts", None)]


def test_a_mandatory_username_refuses_anonymous_changes_and_leaves_the_session_usable(database: Database) -> None:
    with blog(database.url(), AUDIT_REQUIRE_USERNAME=True) as site, site.app.app_context():
        site.db.session.add(site.Post(title="anonymous"))
        with pytest.raises(AuditContextError, match=r'table "post" was refused.*"audit.username" is not set.*context'):
            site.db.session.commit()
        site.db.session.rollback()
        with site.audit.context(username="alice"):
            site.db.session.add(site.Post(title="by alice"))
            site.db.session.commit()
        assert site.posts() == [("by alice", "alice", None)]
