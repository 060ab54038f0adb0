"""Whoever uses the application: names, ids, reasons and what a request says of itself; and as much of it as they like.

The change fails with one error, or is recorded with the right user; what is recorded is what was given, or says that it
was cut, and no page, download or command fails on it.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text

from flask_pg_audit import Access, AuditContextError
from flask_pg_audit.web.resolve import MAX_WHO_LENGTH
from tests.attacks.payloads import TEXTS
from tests.blog import Blog, blog
from tests.server import Database
from tests.ui_routes import read_all

PATIENCE = 20


@pytest.fixture(scope="module")
def site(shared_database: Database) -> Iterator[Blog]:
    with blog(shared_database.url()) as made:
        made.audit.access_loader(lambda: Access(export=True))
        made.app.testing = False

        @made.app.post("/write/<path:anything>")
        def write(anything: str) -> str:
            made.db.session.add(made.Post(title="written"))
            made.db.session.commit()
            return ""

        with made.app.app_context():
            made.db.session.execute(text("CREATE TABLE canary (id int)"))
            made.db.session.add(made.Post(title="first"))
            made.db.session.commit()
        yield made
        assert made.rows("SELECT count(*) FROM canary") == [(0,)]
        # After all that was recorded.
        for url, status, body in read_all(made, made.app.test_client()):
            assert status in (200, 403, 404), url
            assert "<script>alert" not in body or url.endswith("ndjson") or "/api/" in url, url


def newest(site: Blog) -> tuple[Any, ...]:
    """Number of changes, and who made the last one, and in what."""
    [row] = site.rows(
        "SELECT (SELECT count(*) FROM post_audit), p.title, p.audit_username, t.username, t.actor_id, t.context "
        "FROM post_audit p JOIN audit_transaction t ON t.id = p.audit_transaction_id ORDER BY p.audit_id DESC LIMIT 1"
    )
    return row


def posts(site: Blog) -> int:
    return int(site.rows("SELECT count(*) FROM post")[0][0])


def is_storable(value: str) -> bool:
    return (
        len(value) <= MAX_WHO_LENGTH
        and "\0" not in value
        and not any("\ud800" <= character <= "\udfff" for character in value)
    )


# Values


@pytest.mark.parametrize("payload", TEXTS)
@pytest.mark.parametrize("what", ["username", "actor_id"])
def test_a_name_is_recorded_as_it_is_or_refuses_the_change(site: Blog, what: str, payload: str) -> None:
    """What is too long, or PostgreSQL cannot store, refuses the change: else it would be another user's name."""
    value, before = TEXTS[payload], posts(site)
    is_name = is_storable(value) and len(value) <= MAX_WHO_LENGTH
    values = {"username": "somebody", what: value}
    with site.app.test_request_context(), site.audit.context(**values):
        site.db.session.add(site.Post(title="named"))
        if is_name:
            site.db.session.commit()
        else:
            with pytest.raises(AuditContextError, match=r"NUL|surrogate|at most 4,096"):
                site.db.session.commit()
            site.db.session.rollback()
    if is_name:
        _, title, username, of_transaction, actor_id, _ = newest(site)
        assert (title, username, of_transaction) == ("named", values["username"] or None, values["username"] or None)
        assert actor_id == (values.get("actor_id") or None)
    else:
        assert posts(site) == before


@pytest.mark.parametrize("payload", TEXTS)
@pytest.mark.parametrize("what", ["reason", "key"])
def test_a_context_value_is_recorded_or_refuses_the_change(site: Blog, what: str, payload: str) -> None:
    """``jsonb`` stores neither U+0000 nor half a character: U+FFFD says where they were."""
    value, before = TEXTS[payload], posts(site)
    site.audit.context_loader(lambda values: {**values, **({"reason": value} if what == "reason" else {value: 1})})
    try:
        with site.app.test_request_context(), site.audit.context(username="alice"):
            site.db.session.add(site.Post(title="why"))
            if len(value) > 16_000:
                with pytest.raises(AuditContextError, match="at most 16,384"):
                    site.db.session.commit()
                site.db.session.rollback()
                assert posts(site) == before
                return
            site.db.session.commit()
    finally:
        site.audit._callbacks.context_loader = None
    _, _, username, _, _, context = newest(site)
    shown = value.replace("\0", "\ufffd").replace("\ud800", "\ufffd")
    assert username == "alice"
    assert context.get("reason") == shown if what == "reason" else context[shown] == 1


@pytest.mark.parametrize("payload", [name for name in TEXTS if name not in ("empty", "lone surrogate")])
@pytest.mark.parametrize("part", ["path", "X-Request-ID", "User-Agent", "Authorization", "query", "Referer"])
def test_what_a_request_says_of_itself_is_recorded_and_no_more(site: Blog, part: str, payload: str) -> None:
    value = TEXTS[payload].encode().decode("latin-1")  # as WSGI has it
    environ = {"path": "PATH_INFO", "query": "QUERY_STRING"}.get(part) or "HTTP_" + part.upper().replace("-", "_")
    given = {environ: "/write/" + value if part == "path" else value}
    before = posts(site)
    answer = site.app.test_client().post("/write/x", environ_overrides=given)
    assert answer.status_code in (200, 308, 404)
    assert not answer.headers.get("Set-Cookie") and "\n" not in str(list(answer.headers.values()))
    if answer.status_code == 200:
        _, title, username, _, _, context = newest(site)
        assert (title, username, posts(site)) == ("written", None, before + 1)
        assert len(json.dumps(context)) < 16_384 and "\r" not in context["request_id"]


@pytest.mark.parametrize("user", ["\0", "a\0", "\ud800", "\udfff" * 10])
def test_a_name_that_cannot_be_stored_is_nobody_elses(site: Blog, user: str) -> None:
    before = posts(site)
    site.audit.actor_loader(lambda: user)
    try:
        with site.app.test_request_context():
            site.db.session.add(site.Post(title="unnamed"))
            with pytest.raises(AuditContextError):
                site.db.session.commit()
            site.db.session.rollback()
    finally:
        site.audit._callbacks.actor_loader = None
    assert posts(site) == before


# Too much


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


LOOP: list[Any] = []
LOOP.append(LOOP)

TOO_MUCH: dict[str, Any] = {
    "megabytes": "x" * 5_000_000,
    "thousands of keys": {f"key{number}": number for number in range(10_000)},
    "nested": nested(900),
    "nested deeply": nested(100_000),
    "a circle": LOOP,
    "an enormous integer": 10**5_000,
    "an enormous integer that is a key": {10**5_000: 1},
    "not a number": float("nan"),
    "infinity": {"a": [float("-inf")]},
    "bytes": b"\xff",
    "an object": object(),
    "a set": {1, 2},
    "keys of several kinds": {1: 2, "a": 3},
    "a key that is a tuple": {(1, 2): 3},
    "many characters that take six": "\u0001" * 4_000,
    "half a character": ["\ud800", {"\udfff": "\ud83d"}],
    "escapes": "\\u0000\\\\u0000\\\0",
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_too_much_context_is_one_error_or_recorded(site: Blog, what: str) -> None:
    before, began = posts(site), time.monotonic()
    with site.app.test_request_context():
        try:
            with site.audit.context(username="alice", reason=TOO_MUCH[what]):
                site.db.session.add(site.Post(title=what))
                site.db.session.commit()
        except AuditContextError as error:
            assert len(str(error)) < 1_000
            site.db.session.rollback()
            assert posts(site) == before
        else:
            assert newest(site)[1:3] == (what, "alice")
    assert time.monotonic() - began < PATIENCE
    with site.app.test_request_context():  # nothing of it is left behind
        site.db.session.add(site.Post(title="next"))
        site.db.session.commit()
    assert newest(site)[1:3] == ("next", None)


@pytest.mark.parametrize("what", TOO_MUCH)
def test_too_much_for_a_setting_is_one_error_or_recorded(site: Blog, what: str) -> None:
    """``username`` takes text; whatever else somebody gives is refused by name."""
    before = posts(site)
    with site.app.test_request_context():
        try:
            with site.audit.context(username=TOO_MUCH[what]):
                site.db.session.add(site.Post(title="x"))
                site.db.session.commit()
        except AuditContextError as error:
            assert len(str(error)) < 1_000 and "username" in str(error)
            site.db.session.rollback()
            assert posts(site) == before
        else:
            assert newest(site)[1:3] == ("x", str(TOO_MUCH[what]))


@pytest.mark.parametrize(
    "payload",
    [
        "=1+1",
        "+1+1",
        "-1+cmd",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "'=1",
        "''=1",
        "\uff1d1",
        "=cmd|' /C calc'!A0",
        '=HYPERLINK("http://evil.example")',
        "-2+3",
        "+A1",
        "=\u202e1",
        "%0A=1",
        ";=1",
        "\ufeff=1",
    ],
)
@pytest.mark.parametrize("where", ["username", "reason", "title"])
def test_no_cell_of_a_download_is_a_formula(site: Blog, where: str, payload: str) -> None:
    """Values are inside JSON, which begins with a brace; names are cells of their own."""
    who = {"username": payload if where == "username" else "alice", "reason": payload}
    with site.app.test_request_context(), site.audit.context(**who):
        post = site.Post(title=payload if where == "title" else "x")
        site.db.session.add(post)
        site.db.session.commit()
        query = urlencode({"q": f"table:post key:{post.id}", "format": "csv"})
    with site.app.test_client().get(f"/audit/export?{query}") as answer:
        names, cells = csv.reader(io.StringIO(answer.get_data(as_text=True), newline=""))
    given = dict(zip(names, cells, strict=True))
    assert given["username"].lstrip("'") == who["username"].lstrip("'")
    assert json.loads(given["context"])["reason"] == payload
    assert json.loads(given["new"])["title"] == (payload if where == "title" else "x")
    assert not [cell for cell in cells if re.match("[=+@\t\r\n\uff1d]|-[^0-9.]|-.*[^0-9.]", cell)]


def test_a_hundred_savepoints_of_the_session_keep_who(site: Blog) -> None:
    with site.app.test_request_context(), site.audit.context(username="alice"):
        for number in range(100):
            savepoint = site.db.session.begin_nested()
            site.db.session.add(site.Post(title=f"nested {number}"))
            site.db.session.flush()
            if number % 2:
                savepoint.rollback()
        site.db.session.commit()
    assert site.rows(
        "SELECT count(*), min(audit_username), max(audit_username), count(DISTINCT audit_transaction_id) "
        "FROM post_audit WHERE title LIKE 'nested %'"
    ) == [(50, "alice", "alice", 1)]
