"""What is recorded about the request besides the user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint
from opentelemetry.sdk.trace import TracerProvider
from werkzeug.middleware.proxy_fix import ProxyFix

from flask_pg_audit import AuditContextError
from tests.blog import Blog, blog
from tests.server import Database


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url()) as made:
        yield made


def context(site: Blog) -> dict[str, Any]:
    """The context of the newest transaction."""
    [(found,)] = site.rows("SELECT context FROM audit_transaction ORDER BY id DESC LIMIT 1")
    return dict(found or {})


def test_the_request_is_recorded(site: Blog) -> None:
    pages = Blueprint("pages", __name__)

    @pages.post("/add/<title>")
    def add(title: str) -> str:
        site.db.session.add(site.Post(title=title))
        site.db.session.commit()
        return ""

    site.app.register_blueprint(pages)
    site.app.test_client().post("/add/x?token=secret", headers={"User-Agent": "test", "X-Request-ID": "req-1"})
    assert context(site) == {
        "method": "POST",
        "path": "/add/x",
        "endpoint": "pages.add",
        "blueprint": "pages",
        "remote_addr": "127.0.0.1",
        "user_agent": "test",
        "request_id": "req-1",
    }


def test_nothing_secret_is_recorded(site: Blog) -> None:
    client = site.app.test_client()
    client.set_cookie("session_cookie", "hush-cookie")
    client.post(
        "/posts?title=hush-query", data={"password": "hush-body"}, headers={"Authorization": "Bearer hush-token"}
    )
    assert "hush" not in str(site.rows("SELECT * FROM audit_transaction"))


def test_keys_can_be_switched_off(database: Database) -> None:
    with blog(database.url(), AUDIT_CONTEXT_EXCLUDE=["user_agent", "remote_addr", "request_id"]) as site:
        site.app.test_client().post("/posts?title=x")
        assert sorted(context(site)) == ["endpoint", "method", "path"]


@pytest.mark.parametrize("sent", ["", "x" * 200, "with space", "a\tb", "<script>", "é"])
def test_an_implausible_request_id_is_replaced(site: Blog, sent: str) -> None:
    site.app.test_client().post("/posts?title=x", environ_overrides={"HTTP_X_REQUEST_ID": sent})
    assert len(context(site)["request_id"]) == 32


def test_the_request_id_is_readable_and_the_same_all_request_long(site: Blog) -> None:
    seen: list[str | None] = []

    @site.app.before_request
    def before() -> None:
        seen.append(site.audit.request_id)

    @site.app.after_request
    def after(response: Any) -> Any:
        seen.append(site.audit.request_id)
        return response

    client = site.app.test_client()
    client.post("/posts?title=x&title=y")
    client.post("/posts?title=z")
    assert seen[0] == seen[1] != seen[2] == seen[3]
    assert site.rows("SELECT context->>'request_id' FROM audit_transaction ORDER BY id") == [
        (seen[0],),
        (seen[0],),
        (seen[2],),
    ]
    with site.app.app_context():
        assert site.audit.request_id is None


def test_the_request_id_header_is_configurable(database: Database) -> None:
    with blog(database.url(), AUDIT_REQUEST_ID_HEADER="X-Trace") as site:
        site.app.test_client().post("/posts?title=x", headers={"X-Trace": "t-1", "X-Request-ID": "r-1"})
        assert context(site)["request_id"] == "t-1"


def test_requests_that_share_an_outer_application_context_have_ids_of_their_own(site: Blog) -> None:
    with site.app.app_context():
        client = site.app.test_client()
        client.post("/posts?title=x")
        client.post("/posts?title=y")
    assert site.rows("SELECT count(DISTINCT context->>'request_id') FROM audit_transaction") == [(2,)]


def test_a_forwarded_address_counts_only_when_the_proxy_is_trusted(site: Blog) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.7"}
    site.app.test_client().post("/posts?title=x", headers=forwarded)
    assert context(site)["remote_addr"] == "127.0.0.1"
    site.app.wsgi_app = ProxyFix(site.app.wsgi_app)  # type: ignore[method-assign]
    site.app.test_client().post("/posts?title=x", headers=forwarded)
    assert context(site)["remote_addr"] == "203.0.113.7"


def test_the_trace_is_recorded(site: Blog) -> None:
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("request") as span:
        site.app.test_client().post("/posts?title=x")
    assert context(site)["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert context(site)["span_id"] == f"{span.get_span_context().span_id:016x}"


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}, b"bytes"])
def test_values_that_are_no_json_are_refused(site: Blog, value: object) -> None:
    site.audit.context_loader(lambda context: {"value": value})
    with site.app.test_request_context(), pytest.raises(AuditContextError, match="must be JSON"):
        site.db.session.add(site.Post(title="x"))
        site.db.session.commit()
    assert site.rows("SELECT count(*) FROM post") == [(0,)]


def test_huge_context_is_refused(site: Blog) -> None:
    with (
        site.app.app_context(),
        site.audit.context(reason="x" * 20_000),
        pytest.raises(AuditContextError, match="at most 16,384 are recorded"),
    ):
        site.db.session.add(site.Post(title="x"))
        site.db.session.commit()


@pytest.mark.parametrize("who", ["username", "actor_id"])
def test_a_name_or_id_that_is_endless_is_refused(site: Blog, who: str) -> None:
    for length in (4_096, 4_097):
        with site.app.app_context(), site.audit.context(**{"username": "ann", who: "x" * length}):
            site.db.session.add(site.Post(title="x"))
            if length == 4_096:
                site.db.session.commit()
            else:
                with pytest.raises(AuditContextError, match=f"its {who} is 4,097 characters; at most 4,096 are"):
                    site.db.session.commit()
    assert site.rows("SELECT count(*) FROM post_audit") == [(1,)]


def test_hostile_text_arrives_as_it_is(site: Blog) -> None:
    hostile = "'; DROP TABLE post; -- \\u0000 \\\\u0000 %s {0} \u202e 💥"
    with site.app.app_context(), site.audit.context(username=hostile, reason=f"\x00{hostile}"):
        site.db.session.add(site.Post(title="x"))
        site.db.session.commit()
    assert site.posts()[0][1] == hostile
    assert context(site)["reason"] == f"\ufffd{hostile}"


def test_a_context_loader_that_fails_or_returns_no_dictionary_fails_the_write(site: Blog) -> None:
    for loader, message in (
        (lambda context: 1 / 0, "context_loader failed: ZeroDivisionError"),
        (lambda context: None, "must return a dictionary"),
    ):
        site.audit.context_loader(loader)  # type: ignore[type-var]
        with site.app.test_request_context(), pytest.raises(AuditContextError, match=message):
            site.db.session.add(site.Post(title="x"))
            site.db.session.commit()
