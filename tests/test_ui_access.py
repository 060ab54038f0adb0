"""Who may look at the log, and at what: closed by default, and what is hidden is nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Select, Table, text

from flask_pg_audit import Access, AuditConfigError
from tests.blog import Blog, blog
from tests.server import Database
from tests.ui_routes import read_all, read_pages, routes, urls


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url(), AUDIT_UI_REVERT=True) as made:
        made.audit.access_loader(lambda: Access(export=True, revert=True))
        yield made


@pytest.fixture
def client(site: Blog) -> FlaskClient:
    return site.app.test_client()


def change(site: Blog, *statements: str) -> None:
    """In one transaction."""
    with site.app.app_context():
        for statement in statements:
            site.db.session.execute(text(statement))
        site.db.session.commit()


@pytest.mark.parametrize("rule", [None, lambda: None, lambda: False, lambda: Access(read=False)])
def test_every_route_is_closed_without_access(database: Database, rule: Any) -> None:
    with blog(database.url(), install=False) as site:
        site.audit._callbacks.access_loader = rule
        asked = routes(site)
        assert len(asked) >= 14
        client = site.app.test_client()
        for method, url in asked:
            answer = client.open(url, method=method)
            assert answer.status_code == 403
            assert "You may not read the audit log" in answer.text
            as_json = client.open(url, method=method, headers={"Accept": "application/json"})
            assert as_json.json == {"error": "You may not read the audit log."}


def test_the_log_says_once_how_to_open_the_pages(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with blog(database.url(), install=False) as site:
        for _ in range(3):
            site.app.test_client().get("/audit/")
    assert caplog.text.count("Register one with @audit.access_loader") == 1


def test_an_exception_in_the_rule_never_opens_a_page(site: Blog, client: FlaskClient) -> None:
    site.audit.access_loader(lambda: 1 / 0)
    for method, url in routes(site):
        with pytest.raises(ZeroDivisionError):
            client.open(url, method=method)


def test_a_rule_that_returns_anything_else_is_an_error(site: Blog, client: FlaskClient) -> None:
    site.audit.access_loader(lambda: "yes")
    with pytest.raises(AuditConfigError, match="must return True, an Access"):
        client.get("/audit/")


def test_the_log_is_open_to_this_machine_while_debugging(database: Database) -> None:
    with blog(database.url(), AUDIT_UI_OPEN_IN_DEBUG=True) as site:
        client = site.app.test_client()
        assert client.get("/audit/").status_code == 403
        site.app.debug = True
        assert client.get("/audit/").status_code == 200
        assert client.get("/audit/", environ_overrides={"REMOTE_ADDR": "::1"}).status_code == 200
        assert client.get("/audit/", environ_overrides={"REMOTE_ADDR": "10.0.0.7"}).status_code == 403
        for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            assert client.get("/audit/", headers={header: "127.0.0.1"}).status_code == 403
        for host in ("localhost:5000", "127.0.0.1:5000", "[::1]:5000"):
            assert client.get("/audit/", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "localhost.evil.example:5000", "127.0.0.1.evil.example"):  # DNS rebinding
            assert client.get("/audit/", headers={"Host": host}).status_code == 403
        site.audit.access_loader(lambda: False)
        assert client.get("/audit/").status_code == 403


def test_debugging_alone_opens_nothing(database: Database) -> None:
    with blog(database.url()) as site:
        site.app.debug = True
        assert site.app.test_client().get("/audit/").status_code == 403


def only_mine(query: Select[Any], table: Table) -> Select[Any]:
    return query.where(query.selected_columns.title.like("mine%")) if table.name == "post" else query


def test_what_is_out_of_scope_is_nowhere(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (title) SELECT 'theirs ' || n FROM generate_series(1, 7) n")
    change(site, "INSERT INTO post (title) VALUES ('theirs 8'), ('mine')")
    theirs, both = (row[0] for row in site.rows("SELECT DISTINCT audit_transaction_id FROM post_audit ORDER BY 1"))
    hidden = site.rows("SELECT audit_transaction_id, audit_id FROM post_audit WHERE title LIKE 'theirs%'")
    site.audit.access_loader(lambda: Access(export=True, revert=True, scope=only_mine))
    feed = client.get("/audit/").text
    assert feed.count("<article") == 1 and ">1 change" in feed
    assert "mine" in client.get(f"/audit/transaction?id={both}").text
    for url, status, body in read_all(site, client):
        assert status in (200, 403, 404) and "theirs" not in body, url
    assert client.get(f"/audit/transaction?id={theirs}").status_code == 404
    for position in hidden:
        answer = client.get("/audit/change?table=post&at={}.{}".format(*position))
        assert answer.status_code == 404 and "theirs" not in answer.text


def test_what_was_before_is_in_scope_too(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (title) VALUES ('theirs')")
    change(site, "UPDATE post SET title = 'mine'")
    site.audit.access_loader(lambda: Access(export=True, revert=True, scope=only_mine))
    for url, _, body in read_all(site, client):
        assert "theirs" not in body, url
    assert "What was there before is not recorded" in client.get("/audit/").text


def test_a_hidden_table_is_nowhere(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (title) VALUES ('secret')", "INSERT INTO \"user\" (username) VALUES ('alice')")
    [(at,)] = site.rows("SELECT audit_transaction_id || '.' || audit_id FROM post_audit")
    asked = urls(site)
    site.audit.access_loader(lambda: Access(export=True, revert=True, tables=lambda table: table.name != "post"))
    transaction = at.partition(".")[0]
    feed = client.get("/audit/").text
    assert "alice" in feed and ">1 change" in feed and "2 tables" not in feed
    for url in (*asked, f"/audit/transaction?id={transaction}&table=post"):
        with client.get(url) as answer:
            body = answer.get_data(as_text=True)
        assert "secret" not in body, url
        assert not re.search(r"\bpost\b", body.replace(url.replace("&", "&amp;"), "").replace("table=post", "")), url


def test_a_hidden_column_is_nowhere(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (title) VALUES ('secret')")
    change(site, "UPDATE post SET title = 'confidential'")
    site.audit.access_loader(lambda: Access(export=True, revert=True, columns=lambda table, name: name != "title"))
    for url, status, body in read_all(site, client):
        assert status in (200, 403), url
        assert not re.search("secret|confidential|>title<", body), url
    answer = client.get(f"{next(url for url in urls(site) if '/change' in url)}&column=title")
    assert answer.status_code == 404 and "confidential" not in answer.text


def test_a_hidden_key_still_pairs_images_and_a_hidden_column_still_narrows(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (id, title) VALUES (4711, 'mine'), (4712, 'theirs')")
    change(site, "UPDATE post SET title = title || ' now'")
    site.audit.access_loader(
        lambda: Access(export=True, revert=True, columns=lambda table, name: name == "title", scope=only_mine)
    )
    update, _ = client.get("/audit/").text.split("<article")[1:]
    assert ">mine</bdi></del>" in update and ">mine now</bdi></ins>" in update
    site.audit.access_loader(
        lambda: Access(export=True, revert=True, columns=lambda table, name: name == "id", scope=only_mine)
    )
    for url, _, body in read_all(site, client):
        assert not re.search("4712|mine|theirs", body), url


def test_columns_that_are_not_recorded_are_nowhere(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO \"user\" (username, password_hash) VALUES ('alice', 'hush')")
    [(at,)] = site.rows("SELECT audit_transaction_id || '.' || audit_id FROM user_audit")
    for url in ("/audit/", f"/audit/transaction?id={at.partition('.')[0]}", f"/audit/change?table=user&at={at}"):
        page = client.get(url).text
        assert "alice" in page and "hush" not in page and "password" not in page


def test_security_headers_are_on_every_answer(site: Blog, client: FlaskClient) -> None:
    for method, url in [*routes(site), ("GET", "/audit/?before=x"), ("GET", "/audit/change?table=no&at=1.1")]:
        with client.open(url, method=method) as answer:
            headers = answer.headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"


def test_pages_have_no_styles_or_scripts_of_their_own(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (title) VALUES ('x')")
    for page in read_pages(site, client):
        assert not re.search(r"<style| style=|<script(?! src=)| on\w+=|javascript:", page)


def test_only_reading_is_possible(client: FlaskClient) -> None:
    for path in ("/audit/", "/audit/transaction?id=1", "/audit/change?table=post&at=1.1"):
        for method in (client.post, client.put, client.delete):
            assert method(path).status_code == 405


def test_a_row_that_moves_is_seen_by_each_as_long_as_it_is_theirs(site: Blog, client: FlaskClient) -> None:
    """Not the move by those it leaves, nor by those it comes to what was before."""
    with site.app.app_context():
        post = site.Post(title="ours: draft")
        site.db.session.add(post)
        site.db.session.commit()
        post.title = "theirs: final"
        site.db.session.commit()
        url = f"/audit/record?table=post&key={post.id}"
    for mine, other in (("ours", "theirs"), ("theirs", "ours")):
        site.audit.access_loader(partial(Access, scope=partial(_narrow, mine)))
        for path in (url, "/audit/?q=table:post"):
            page = client.get(path).text
            assert mine in page and other not in page, path


def _narrow(beginning: str, query: Any, table: Any) -> Any:
    """To the posts with titles that begin so."""
    return query.where(query.selected_columns.title.like(f"{beginning}%")) if table.name == "post" else query
