"""What is wrong is said in the log's own frame, with a way back, to those who may read it; and where downloads are."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from jinja2 import DictLoader
from sqlalchemy import text

from flask_pg_audit import Access
from tests.blog import Blog, blog
from tests.orders import Shop, links, main_part, shop, text_of
from tests.server import Database

HOST = "<html><body>the host{% block content %}{% endblock %}</body></html>"


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url()) as made:
        made.audit.access_loader(lambda: Access(export=True))
        made.app.test_client().post("/posts?title=hello")
        yield made


@pytest.fixture
def client(site: Blog) -> FlaskClient:
    return site.app.test_client()


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("?before=x", 400, "before: 'x' is no number of a transaction."),
        ("?tz=Nowhere", 400, "There is no time zone 'Nowhere'; try Europe/Rome."),
        ("?bind=nope", 400, "There is no bind 'nope' with audited tables."),
        ("transaction?id=99", 404, "There is no such transaction, or nothing of it is yours to see."),
        ("export?format=xls", 400, "format: there is no 'xls'; there are csv, ndjson, json."),
        ("static/nothing.css", 404, ""),
    ],
)
def test_a_problem_has_the_frame_of_the_log_and_a_way_back(
    client: FlaskClient, path: str, status: int, said: str
) -> None:
    answer = client.get(f"/audit/{path}")
    assert answer.status_code == status
    assert said in text_of(answer.text)
    assert "/audit/static/audit.css" in answer.text and 'aria-label="Pages of the log"' in answer.text
    assert links(main_part(answer.text), "Back to the changes") == ["/audit/"]
    assert client.get(f"/audit/{path}", headers={"Accept": "application/json"}).get_json()["error"]


def test_pages_below_a_prefix_with_api_in_it_are_pages(database: Database) -> None:
    with shop(database.url(), AUDIT_URL_PREFIX="/api/audit") as made:
        client = made.client
        assert client.get("/api/audit/?before=x").mimetype == "text/html"
        assert client.get("/api/audit/api/changes?before=x").mimetype == "application/json"


@pytest.mark.parametrize("path", ["?before=x", "export?format=xls", "transaction?id=x", "?tz=Nowhere"])
def test_what_was_searched_for_is_still_there(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/audit/{path}&q=a%22b")
    assert re.search(r'<input[^>]*name="q"[^>]*value="a&#34;b"', answer.text)
    assert links(main_part(answer.text), "Back to the changes") == ["/audit/?q=a%22b"]


def test_hostile_words_in_a_problem_are_shown_for_what_they_are(client: FlaskClient) -> None:
    answer = client.get("/audit/", query_string={"bind": "<b>\u202e"})
    assert "<b>" not in main_part(answer.text) and "\u202e" not in answer.text


def test_who_may_not_read_the_log_gets_nothing_of_it(site: Blog, client: FlaskClient) -> None:
    site.audit.access_loader(lambda: None)
    for path in ("?before=x", "?q=secret", "transaction?id=99", "export", "static/audit.css"):
        answer = client.get(f"/audit/{path}")
        assert answer.status_code == 403
        assert "fpa-" not in answer.text and "href" not in answer.text and "secret" not in answer.text


def test_a_part_of_the_log_that_is_not_for_the_reader_is_refused_within_it(site: Blog, client: FlaskClient) -> None:
    site.audit.access_loader(lambda: True)
    answer = client.get("/audit/export?q=actor:bob")
    assert answer.status_code == 403 and "You may read the audit log, but not export it." in text_of(answer.text)
    assert links(main_part(answer.text), "Back to the changes") == ["/audit/?q=actor:bob"]


def test_a_problem_is_told_within_the_host_s_own_page(database: Database) -> None:
    with blog(database.url(), AUDIT_UI_BASE_TEMPLATE="host.html") as site:
        site.audit.access_loader(lambda: True)
        site.app.jinja_loader = DictLoader({"host.html": HOST})
        answer = site.app.test_client().get("/audit/?before=x")
        assert answer.status_code == 400 and "the host" in answer.text and "is no number" in answer.text


def test_a_host_whose_page_fails_does_not_keep_the_problem_from_being_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """When no connection is free, a page that needs one to say who is logged in cannot be shown."""
    with blog(database.url(), AUDIT_UI_BASE_TEMPLATE="host.html") as site:
        site.audit.access_loader(lambda: site.db.session.scalar(text("SELECT true")))
        site.app.jinja_loader = DictLoader({"host.html": "{{ nothing.at.all }}"})
        with caplog.at_level(logging.ERROR):
            answer = site.app.test_client().get("/audit/")
        assert answer.status_code == 503 and "No database connection was free" in answer.text
        assert "the frame of the audit log failed" in caplog.text


def test_downloads_are_of_what_is_shown(site: Blog, client: FlaskClient) -> None:
    assert links(client.get("/audit/").text, "CSV") == ["/audit/export?format=csv"]
    page = client.get("/audit/", query_string={"q": 'table:post "hel', "tz": "Asia/Tokyo"}).text
    assert links(page, "CSV") == []  # nothing was searched for
    page = client.get("/audit/", query_string={"q": "table:post hello", "tz": "Asia/Tokyo"}).text
    for name in ("CSV", "NDJSON", "JSON"):
        [url] = links(page, name)
        assert url == f"/audit/export?tz=Asia/Tokyo&format={name.lower()}&q=table:post+hello"
        with client.get(url) as answer:
            assert answer.status_code == 200 and "hello" in answer.get_data(as_text=True)
    assert links(page, "The log for programs (JSON, OpenAPI)") == ["/audit/api/openapi.json?tz=Asia/Tokyo"]


def test_who_may_not_export_is_not_offered_it(site: Blog, client: FlaskClient) -> None:
    site.audit.access_loader(lambda: True)
    for path in ("", "table?name=post", "record?table=post&key=1", "transaction?id=1"):
        assert "/audit/export" not in client.get(f"/audit/{path}").text


@pytest.fixture
def orders(database: Database) -> Iterator[Shop]:
    with shop(database.url()) as made:
        made.audit.access_loader(lambda: Access(export=True))
        made.run(
            "INSERT INTO \"order\" VALUES (1, 1, 'mine'); INSERT INTO line VALUES (1, 1, 'tea')",
            "INSERT INTO order_tag VALUES (1, 'a, \"b\"'), (1, 'a')",
        )
        yield made


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("record?table=order&key=1", ["order"]),
        ("record?table=order_tag&key=1,%22a,+%22%22b%22%22%22", ["order_tag"]),
        ("table?name=order_tag", ["order_tag", "order_tag"]),
        ("transaction?id=1", ["order", "line"]),
        ("transaction?id=1&table=line", ["line"]),
    ],
)
def test_downloads_of_a_record_a_table_and_a_transaction(orders: Shop, path: str, rows: list[str]) -> None:
    [url] = links(orders.client.get(f"/audit/{path}").text, "NDJSON")
    with orders.client.get(html.unescape(url)) as answer:
        assert answer.status_code == 200, url
        assert re.findall(r'"table": ?"(\w+)"', answer.get_data(as_text=True)) == rows
