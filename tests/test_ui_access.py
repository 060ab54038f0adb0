"""Who may look at the log, and at what: closed by default, and what is hidden is nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Select, Table, text

from flask_pg_audit import Access, AuditConfigError
from tests.blog import Blog, blog
from tests.server import Database
from tests.ui_routes import pages, requests


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url()) as made:
        made.audit.access_loader(lambda: True)
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
        asked = list(requests(site))
        assert len(asked) >= 4
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
    for method, url in requests(site):
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
        site.audit.access_loader(lambda: False)
        assert client.get("/audit/").status_code == 403


def test_debugging_alone_opens_nothing(database: Database) -> None:
    with blog(database.url()) as site:
        site.app.debug = True
        assert site.app.test_client().get("/audit/").status_code == 403


def only_ours(query: Select[Any], table: Table) -> Select[Any]:
    return query.where(query.selected_columns.title.like("ours%")) if table.name == "post" else query


def test_what_is_out_of_scope_is_nowhere(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (title) SELECT 'theirs ' || n FROM generate_series(1, 7) n")
    change(site, "INSERT INTO post (title) VALUES ('theirs 8'), ('ours')")
    theirs, both = [row[0] for row in site.rows("SELECT DISTINCT audit_transaction_id FROM post_audit ORDER BY 1")]
    hidden = site.rows("SELECT audit_transaction_id, audit_id FROM post_audit WHERE title LIKE 'theirs%'")
    site.audit.access_loader(lambda: Access(scope=only_ours))
    feed = client.get("/audit/").text
    assert feed.count("<article") == 1 and "1 change<" in feed.replace("\n", "").replace(" <", "<")
    for url in (*pages(site), f"/audit/transaction?id={both}"):
        assert "theirs" not in client.get(url).text
    assert client.get(f"/audit/transaction?id={theirs}").status_code == 404
    for transaction, change_ in hidden:
        answer = client.get(f"/audit/change?table=post&at={transaction}.{change_}")
        assert answer.status_code == 404 and "theirs" not in answer.text


def test_what_was_before_is_in_scope_too(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (title) VALUES ('theirs')")
    change(site, "UPDATE post SET title = 'ours'")
    site.audit.access_loader(lambda: Access(scope=only_ours))
    for url in pages(site):
        assert "theirs" not in client.get(url).text
    assert "What was there before is not recorded" in client.get("/audit/").text


def test_a_hidden_table_is_nowhere(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (title) VALUES ('secret')", "INSERT INTO \"user\" (username) VALUES ('alice')")
    [(at,)] = site.rows("SELECT audit_transaction_id || '.' || audit_id FROM post_audit")
    site.audit.access_loader(lambda: Access(tables=lambda table: table.name != "post"))
    transaction = at.partition(".")[0]
    for url in ("/audit/", f"/audit/transaction?id={transaction}"):
        page = client.get(url).text
        assert "alice" in page and "secret" not in page and "post" not in page
        assert ("2 tables" not in page and "1 change" in page) or "1 row" in page
    for url in (f"/audit/change?table=post&at={at}", f"/audit/transaction?id={transaction}&table=post"):
        answer = client.get(url)
        assert answer.status_code == 404 and "post" not in answer.text


def test_a_hidden_column_is_nowhere(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (title) VALUES ('secret')")
    change(site, "UPDATE post SET title = 'confidential'")
    site.audit.access_loader(lambda: Access(columns=lambda table, name: name != "title"))
    for url in pages(site):
        page = client.get(url)
        assert page.status_code == 200
        assert not any(word in page.text for word in ("secret", "confidential", "title<"))
    newest = next(url for url in pages(site) if "/change" in url)
    answer = client.get(f"{newest}&column=title")
    assert answer.status_code == 404 and "confidential" not in answer.text


def test_a_hidden_key_still_pairs_images_and_a_hidden_column_still_narrows(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (id, title) VALUES (4711, 'ours'), (4712, 'theirs')")
    change(site, "UPDATE post SET title = title || ' now'")
    site.audit.access_loader(lambda: Access(columns=lambda table, name: name == "title", scope=only_ours))
    update, _ = client.get("/audit/").text.split("<article")[1:]
    assert ">ours</bdi></del>" in update and ">ours now</bdi></ins>" in update
    site.audit.access_loader(lambda: Access(columns=lambda table, name: name == "id", scope=only_ours))
    for url in pages(site):
        page = client.get(url).text
        assert "4712" not in page and "ours" not in page and "theirs" not in page


def test_columns_that_are_not_recorded_are_nowhere(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO \"user\" (username, password_hash) VALUES ('alice', 'hush')")
    [(at,)] = site.rows("SELECT audit_transaction_id || '.' || audit_id FROM user_audit")
    for url in ("/audit/", f"/audit/transaction?id={at.partition('.')[0]}", f"/audit/change?table=user&at={at}"):
        page = client.get(url).text
        assert "alice" in page and "hush" not in page and "password" not in page


def test_security_headers_are_on_every_answer(site: Blog, client: FlaskClient) -> None:
    for method, url in [*requests(site), ("GET", "/audit/?before=x"), ("GET", "/audit/change?table=no&at=1.1")]:
        with client.open(url, method=method) as answer:
            headers = answer.headers
        policy = headers["Content-Security-Policy"].split("; ")
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'"} <= set(policy)
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"


def test_pages_have_no_styles_or_scripts_of_their_own(site: Blog, client: FlaskClient) -> None:
    change(site, "INSERT INTO post (title) VALUES ('x')")
    for url in pages(site):
        with client.get(url) as answer:
            if answer.mimetype == "text/html":
                assert "<style" not in answer.text and "style=" not in answer.text and "onclick" not in answer.text


def test_only_reading_is_possible(client: FlaskClient) -> None:
    for path in ("/audit/", "/audit/transaction?id=1", "/audit/change?table=post&at=1.1"):
        for method in (client.post, client.put, client.delete):
            assert method(path).status_code == 405
