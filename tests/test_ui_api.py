"""The search box, downloads, the API for programs, and who reads the log."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from sqlalchemy import Column, String, text

from flask_pg_audit import Access, audited
from tests.blog import Blog, blog
from tests.server import Database
from tests.ui_routes import urls

#: The viewer's session keeps one connection while who reads the log is recorded on another.
POOL = {"pool_size": 3, "max_overflow": 0, "pool_timeout": 3}


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url(), pool=POOL, AUDIT_PAGE_SIZE=5) as site:
        site.audit.access_loader(lambda: Access(export=True))
        client = site.app.test_client()
        client.post("/signup/alice")
        client.post("/posts?title=first&title=second&title==cmd|x")
        with site.app.app_context(), site.audit.context(username="bob"):
            post: Any = site.db.session.get(site.Post, 2)
            post.title = "changed"
            site.db.session.commit()
        yield site


@pytest.fixture
def client(site: Blog) -> FlaskClient:
    return site.app.test_client()


def views(site: Blog) -> list[tuple[Any, ...]]:
    """(action, page, rows, q) of every look at the log."""
    return site.rows("SELECT action, page, row_count, query->>'q' FROM audit_view ORDER BY id")


def test_a_search(client: FlaskClient) -> None:
    page = client.get("/audit/?q=actor:bob").text
    assert "changed" in page and "hello" not in page
    assert 'value="actor:bob"' in page and 'aria-label="Remove actor:bob"' in page
    assert "Nothing matches." in client.get("/audit/?q=actor:carol").text


def test_the_controls_write_the_same_text(client: FlaskClient) -> None:
    answer = client.get("/audit/?form.actor=bob&form.op=update&form.rest=table:post")
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/audit/?q=actor:bob+op:update+table:post"
    page = client.get(answer.headers["Location"]).text
    assert 'name="form.actor" value="bob"' in page and "<option selected>update</option>" in page


def test_a_mistake_is_shown_where_it_is(client: FlaskClient) -> None:
    answer = client.get("/audit/?q=actor:bob+tabel:post")
    assert answer.status_code == 200
    assert "<mark>tabel:post</mark>" in answer.text and answer.text.count("did you mean table?") == 1
    assert "Nothing was searched for." in answer.text and "<article" not in answer.text


def test_a_search_is_no_script(client: FlaskClient) -> None:
    for query in ("<script>alert(1)</script>", '"><script>', "x:<script>"):
        assert "<script>" not in client.get("/audit/", query_string={"q": query}).text


def test_downloads(site: Blog, client: FlaskClient) -> None:
    answer = client.get("/audit/export?format=csv&q=table:post")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="audit-log.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.get_data(as_text=True))))
    assert [row["operation"] for row in rows] == ["insert"] * 4 + ["update"]
    assert rows[0]["at"].endswith("Z") and json.loads(rows[-1]["old"])["title"] == "first"
    lines = client.get("/audit/export?format=ndjson&q=table:post").text.splitlines()
    assert [json.loads(line)["position"] for line in lines] == [row["position"] for row in rows]
    listed: Any = client.get("/audit/export?format=json&q=table:post").json
    assert listed == [json.loads(line) for line in lines]
    assert [view[:3] for view in views(site)] == [
        row for _ in range(3) for row in (("export", "audit.export", None), ("export", "audit.export", 5))
    ]


@pytest.mark.parametrize(
    ("query", "status", "message"),
    [
        ("format=xls", 400, "format: there is no &#39;xls&#39;; there are csv, ndjson, json."),
        ("q=tabel:post", 400, "q: there is no condition"),
    ],
)
def test_what_cannot_be_downloaded(client: FlaskClient, query: str, status: int, message: str) -> None:
    answer = client.get(f"/audit/export?{query}")
    assert answer.status_code == status and message in answer.text


def test_whoever_may_only_read_gets_no_download(site: Blog, client: FlaskClient) -> None:
    site.audit.access_loader(lambda: True)
    assert client.get("/audit/export").status_code == 403
    assert client.get("/audit/").status_code == 200


API = [
    ("/tables", "", "Tables"),
    ("/transactions", "", "Transactions"),
    ("/transactions", "limit=1", "Transactions"),
    ("/transactions", "q=actor:bob", "Transactions"),
    ("/changes", "", "Changes"),
    ("/changes", "limit=2", "Changes"),
    ("/changes", "before=4.4&limit=1", "Changes"),
    ("/changes", "after=1.1&limit=1", "Changes"),
    ("/changes", "q=table:post+op:update", "Changes"),
    ("/record", "table=post&key=2", "Changes"),
    ("/record", "table=post&key=99", "Changes"),
    ("/record", "table=nothing&key=1", "Error"),
    ("/record", "table=post&key=x", "Error"),
    ("/changes", "limit=0", "Error"),
    ("/changes", "before=x", "Error"),
    ("/changes", "before=1.1&after=1.1", "Error"),
    ("/transactions", "q=tabel:post", "Error"),
    ("/transactions", "bind=nope", "Error"),
]


@pytest.mark.parametrize(("path", "query", "schema"), API)
def test_answers_are_as_described(client: FlaskClient, path: str, query: str, schema: str) -> None:
    document: Any = client.get("/audit/api/openapi.json").json
    answer = client.get(f"/audit/api{path}?{query}")
    described = document["paths"][path]["get"]
    assert str(answer.status_code) in described["responses"]
    assert (answer.status_code == 200) is (schema != "Error")
    names = {part.partition("=")[0] for part in query.split("&") if part}
    assert names <= {parameter["name"] for parameter in described["parameters"]}
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    Draft202012Validator(whole).validate(answer.json)


def test_every_path_of_the_api_is_described(site: Blog, client: FlaskClient) -> None:
    document: Any = client.get("/audit/api/openapi.json").json
    Draft202012Validator.check_schema({"$defs": document["components"]["schemas"]})
    routes = {str(rule).removeprefix("/audit/api") for rule in site.app.url_map.iter_rules() if "/api/" in str(rule)}
    assert set(document["paths"]) == routes - {"/openapi.json"}
    assert document["servers"] == [{"url": "/audit/api"}]
    assert {path for path, _, _ in API} == set(document["paths"])


def test_the_api_pages_both_ways(client: FlaskClient) -> None:
    everything: Any = client.get("/audit/api/changes").json
    first: Any = client.get("/audit/api/changes?limit=4").json
    second: Any = client.get(f"/audit/api/changes?limit=4&before={first['older']}").json
    assert first["changes"] + second["changes"] == everything["changes"]
    assert first["newer"] is None and second["older"] is None
    assert client.get(f"/audit/api/changes?limit=4&after={second['newer']}").json["changes"] == first["changes"]  # type: ignore[index]


@pytest.mark.parametrize("path", ["changes?q=op:update", "record?table=post&key=1"])
def test_an_answer_of_the_api_ends_where_it_gets_large(site: Blog, client: FlaskClient, path: str) -> None:
    """And the next one goes on there, in both directions: nothing is skipped and nothing repeated."""
    with site.app.app_context(), site.audit.context(username="bob"):
        for number in range(8):
            site.db.session.execute(
                text("UPDATE post SET title = repeat(:letter, 1000000) WHERE id = 1"), {"letter": str(number)}
            )
            site.db.session.commit()
    every = [change["position"] for change in _follow(client, path, "older", most=5)]
    assert every == sorted(every, key=lambda position: int(position.partition(".")[2]), reverse=True)
    assert len(every) == len(set(every)) == 9
    back = _follow(client, f"{path}&after={every[-1]}", "newer", most=5)
    assert sorted(change["position"] for change in back) == sorted(every[:-1])


def _follow(client: FlaskClient, path: str, link: str, most: int) -> Iterator[Any]:
    """The changes of an answer and of those that follow it; ``most`` of them at once."""
    url: str | None = path
    while url is not None:
        answer = client.get(f"/audit/api/{url}").get_json()
        assert 1 <= len(answer["changes"]) <= most and not answer["is_partial"]
        yield from answer["changes"]
        place, argument = answer[link], "before" if link == "older" else "after"
        url = f"{path.partition('&after')[0]}&{argument}={place}" if place is not None else None


def test_the_api_under_another_root(site: Blog) -> None:
    document: Any = site.app.test_client().get("/audit/api/openapi.json", base_url="http://localhost/shop").json
    assert document["servers"] == [{"url": "/shop/audit/api"}]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("record?table=post&key=1%00", "key"),
        ("record?table=post&key=", "key"),
        ("changes?limit=000000001000", "limit"),  # its first nine digits are a 1
        ("changes?limit=501", "limit"),
        ("changes?limit=%D9%A3", "limit"),
    ],
)
def test_an_argument_of_the_api_that_makes_no_sense(client: FlaskClient, path: str, name: str) -> None:
    answer = client.get(f"/audit/api/{path}")
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith(f"{name}: ")


def test_the_api_takes_no_text_with_a_null_character_for_a_key(site: Blog, client: FlaskClient) -> None:
    class Tag(site.db.Model):  # type: ignore[name-defined, misc]
        __table_args__ = {"info": audited()}  # noqa: RUF012
        name = Column(String, primary_key=True)

    with site.app.app_context():
        site.db.create_all()
    answer = client.get("/audit/api/record?table=tag&key=a%00")
    assert answer.status_code == 400 and "U+0000" in answer.get_json()["error"]


def test_reading_is_recorded_before_it_is_shown(site: Blog, client: FlaskClient) -> None:
    client.get("/audit/")
    client.get("/audit/?q=actor:bob")
    client.get("/audit/record?table=post&key=2")
    client.get("/audit/api/changes?limit=3")
    assert views(site) == [
        ("view", "audit.index", 5, None),
        ("search", "audit.index", 1, "actor:bob"),
        ("view", "audit.record", 2, None),
        ("search", "audit.api_changes", 3, None),
    ]
    page = client.get("/audit/views").text
    assert page.index("api_changes") < page.index("record") < page.index("actor:bob")


def test_nobody_can_hide_what_they_asked_for(site: Blog, client: FlaskClient) -> None:
    """By what no page understands, nor behind terms that say nothing."""
    junk = {f"junk{number}": "x" * 900 for number in range(20)}
    hidden = f'-"{chr(1) * 1_900}" alice'
    client.get("/audit/", query_string={**junk, "key": "x" * 9_000, "as-of": "x" * 9_000, "q": hidden, "tz": "UTC"})
    [(query,)] = site.rows("SELECT query FROM audit_view")
    assert query == {"q": hidden, "tz": "UTC"}
    assert client.get(f"/audit/record?table=post&key={'0' * 2_000}1").status_code == 400
    assert client.get(f"/audit/api/record?table=post&key={'0' * 2_000}1").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "record?table=post&key=77",
        "record?table=post&key=1&with=no",
        "record?table=post&key=1&as-of=no",
        "export?q=no:x",
    ],
)
def test_what_was_asked_for_in_vain_is_recorded(site: Blog, client: FlaskClient, path: str) -> None:
    """Whether there is a record can be told from what the answer complains of."""
    assert client.get(f"/audit/{path}").status_code in (400, 404)
    assert client.get("/audit/static/no.css").status_code == 404
    asked = dict(parse_qsl(urlsplit(path).query))
    assert site.rows("SELECT page, query, row_count FROM audit_view") == [(f"audit.{path.partition('?')[0]}", asked, 0)]


def test_what_each_page_is_asked_for_is_recorded(site: Blog, client: FlaskClient) -> None:
    for url in urls(site):
        with client.get(url) as answer:
            answer.get_data()
        asked = dict(parse_qsl(urlsplit(url).query))
        [(query,)] = site.rows("SELECT query FROM audit_view ORDER BY id DESC LIMIT 1") or [({},)]
        assert answer.status_code != 200 or asked.items() <= query.items(), url


def test_what_cannot_be_recorded_is_not_shown(site: Blog, client: FlaskClient) -> None:
    with site.app.app_context(), site.db.engine.begin() as connection:
        connection.execute(text("DROP TABLE audit_view"))
    for path in ("/audit/", "/audit/export", "/audit/api/changes", "/audit/record?table=post&key=2"):
        answer = client.get(path)
        assert answer.status_code == 503 and "changed" not in answer.text and "flask audit install" in answer.text


def test_it_can_be_switched_off_on_the_server(database: Database) -> None:
    with blog(database.url(), AUDIT_LOG_VIEWS=False) as site:
        site.audit.access_loader(lambda: True)
        client = site.app.test_client()
        assert client.get("/audit/").status_code == 200
        assert client.get("/audit/views").status_code == 404
        assert site.rows("SELECT to_regclass('audit_view')") == [(None,)]


def test_whoever_sees_a_part_does_not_see_what_others_looked_for(site: Blog, client: FlaskClient) -> None:
    site.audit.access_loader(lambda: Access(tables=lambda table: table.name == "post"))
    assert client.get("/audit/views").status_code == 403
    assert client.get("/audit/").status_code == 200
