"""The log's pages: the feed, a transaction, a change; paged, in any time zone, in any host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from jinja2 import DictLoader, StrictUndefined
from sqlalchemy import create_engine, event, text
from sqlalchemy.pool import NullPool

from flask_pg_audit import Access, FlaskAudit, install_audit_triggers
from tests.blog import Blog, blog, other_table
from tests.capture import rewriting
from tests.orders import shop
from tests.server import Database
from tests.ui_routes import read_all, read_pages, urls


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url(), AUDIT_PAGE_SIZE=5, AUDIT_UI_TIME_ZONE="Asia/Tokyo", AUDIT_UI_REVERT=True) as made:
        made.audit.access_loader(lambda: Access(export=True, revert=True))
        yield made


@pytest.fixture
def client(site: Blog) -> FlaskClient:
    return site.app.test_client()


def execute(site: Blog, *statements: str) -> None:
    """As somebody with psql would, each in a transaction of its own."""
    engine = create_engine(site.app.config["SQLALCHEMY_DATABASE_URI"], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def groups(client: FlaskClient, url: str = "/audit/") -> list[str]:
    return client.get(url).text.split("<article")[1:]


def read(markup: str) -> str:
    """What somebody reads, in one line."""
    return " ".join(re.sub("<[^>]*>", "", f"<{markup}").split())


# What the feed says


def test_a_group_says_who_where_how_much_and_when(site: Blog, client: FlaskClient) -> None:
    with site.audit.context(reason="a customer called"):
        client.post("/signup/alice")
    # Somebody else reads the log: to know who alice is takes a connection, and the blog has but one.
    [group] = [group for group in groups(site.app.test_client()) if ">alice<" in group.partition("</header>")[0]]
    [(at,)] = site.rows("SELECT max(issued_at) FROM audit_transaction WHERE username = 'alice'")
    head = read(group.partition("</header>")[0])
    assert "alice POST /signup/alice endpoint signup “a customer called” 1 change ·" in head
    assert head.endswith(at.strftime("%H:%M:%S UTC"))
    assert f'datetime="{at.isoformat()}"' in group
    assert at.strftime("%A, ") in site.app.test_client().get("/audit/").text


def test_changes_of_one_transaction_are_one_group(site: Blog, client: FlaskClient) -> None:
    with site.app.app_context():
        site.db.session.add_all([site.User(username="bob"), site.Post(title="one"), site.Post(title="two")])
        site.db.session.commit()
    [group] = groups(client)
    assert "3 changes · 2 tables" in read(group)
    assert group.count('<li class="fpa-line') == 3


def test_who_changed_what_is_shown(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO post (title) VALUES ('hello')", "UPDATE post SET title = 'goodbye'")
    update, insert = map(read, groups(client))
    [(role,)] = site.rows("SELECT DISTINCT audit_current_user FROM post_audit")
    assert f"nobody database role {role}" in update
    assert "updated post 1 details title from hello to goodbye" in update
    assert "inserted post 1 details title hello" in insert


def test_deletes_and_truncates_are_shown(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO post (title) VALUES ('gone')", "DELETE FROM post", "TRUNCATE post")
    truncate, delete, _ = map(read, groups(client))
    assert "emptied post" in truncate and "Every row was removed" in truncate
    assert "deleted post 1" in delete and "gone" in delete


def test_a_bulk_statement_is_one_line_with_pages_inside(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO post (title) SELECT 't' || n FROM generate_series(100, 10200) n")
    [group] = groups(client)
    assert "10,000+ changes" in group and "10,000+ rows" in read(group)
    assert group.count("fpa-bulk") == 1
    assert "The first 4 rows" in group and "t103" in group and "t104" not in group
    [link] = re.findall(r'href="(/audit/transaction\?[^"]*table=post[^"]*)"', group)
    seen = [titles for _, titles in follow(client, "next", link.replace("&amp;", "&"), stop=3)]
    assert seen == [[f"t{n}" for n in range(start, start + 5)] for start in (100, 105, 110)]
    page = client.get(link.replace("&amp;", "&")).text
    assert "10,000+ rows" in read(page)


def test_a_bulk_statement_hides_no_other_change_of_its_transaction(site: Blog, client: FlaskClient) -> None:
    with site.app.app_context():
        site.db.session.execute(text("INSERT INTO post (title) SELECT 'x' FROM generate_series(1, 9)"))
        site.db.session.execute(text("INSERT INTO \"user\" (username) VALUES ('alice')"))
        site.db.session.commit()
    text_ = read(groups(client)[0])
    assert "10 changes · 2 tables" in text_ and "inserted post 9 rows" in text_ and "inserted user 1 row" in text_


def test_an_empty_log_says_so(client: FlaskClient) -> None:
    assert "Nothing has been recorded yet." in client.get("/audit/").text


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("audit.username", "repeat('u', 1000000)"),
        ("audit.actor_id", "repeat('u', 1000000)"),
        ("audit.context", "'{\"path\": \"' || repeat('p', 1000000) || '\"}'"),
        ("audit.context", "'{\"path\": \"' || repeat('p', 15000) || '\"}'"),
        ("audit.context", "'[1]'"),
        ("audit.context", "repeat('[', 3000) || repeat(']', 3000)"),
        ("audit.context", "'{\"path\": ' || repeat('9', 5000) || '}'"),
        ("audit.context", '\'{"path": {"a": [1]}, "method": null}\''),
    ],
)
def test_nobody_can_make_the_pages_unreadable(site: Blog, client: FlaskClient, setting: str, value: str) -> None:
    engine = create_engine(site.app.config["SQLALCHEMY_DATABASE_URI"])
    with engine.begin() as connection:
        connection.execute(text(f"SELECT set_config(:setting, {value}, true)"), {"setting": setting})
        connection.execute(text("INSERT INTO post (title) VALUES ('x')"))
    engine.dispose()
    for page in read_pages(site, client):
        assert len(page) < 20_000


# Paging


def follow(client: FlaskClient, rel: str, url: str, stop: int = 100) -> Iterator[tuple[str, list[str]]]:
    """The titles on each page from ``url`` on, following the links of one kind."""
    for _ in range(stop):
        page = client.get(url).text
        yield url, re.findall(r">(t\d+)<", page)
        link = re.search(f'<a rel="{rel}" href="([^"]+)"', page)
        if link is None:
            return
        url = link.group(1).replace("&amp;", "&")


def test_paging_both_ways_neither_skips_nor_repeats_while_changes_arrive(site: Blog, client: FlaskClient) -> None:
    titles = [f"t{number}" for number in range(100, 117)]
    execute(site, *(f"INSERT INTO post (title) VALUES ('{title}')" for title in titles))
    older: list[str] = []
    for url, page in follow(client, "next", "/audit/"):
        older += page
        last = url
        execute(site, "INSERT INTO post (title) VALUES ('late')")
    assert older == titles[::-1]
    newer = [page for _, page in follow(client, "prev", last)]
    assert [title for page in newer[::-1] for title in page] == titles[::-1]
    assert all(page == sorted(page, reverse=True) for page in newer)


def test_a_transaction_is_paged_both_ways(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO post (title) SELECT 't' || n FROM generate_series(100, 111) n")
    [(id_,)] = site.rows("SELECT id FROM audit_transaction")
    forward = list(follow(client, "next", f"/audit/transaction?id={id_}"))
    titles = [[f"t{n}" for n in range(start, min(start + 5, 112))] for start in (100, 105, 110)]
    assert [list(dict.fromkeys(page)) for _, page in forward] == titles
    back = list(follow(client, "prev", forward[-1][0]))
    assert [list(dict.fromkeys(page)) for _, page in back] == titles[::-1]
    assert client.get(f"/audit/transaction?id={id_}&before=1&after=1").status_code == 400


def test_pages_are_linked_in_the_header_too(site: Blog, client: FlaskClient) -> None:
    execute(site, *["INSERT INTO post (title) VALUES ('x')"] * 12)
    first = client.get("/audit/")
    assert re.fullmatch(r'</audit/\?before=\d+>; rel="next"', first.headers["Link"])
    second = client.get(re.findall("<(.*)>", first.headers["Link"])[0])
    assert sorted(re.findall('rel="(.*?)"', ",".join(second.headers.getlist("Link")))) == ["next", "prev"]


@pytest.mark.parametrize(
    "path",
    [
        *(
            f"?{q}"
            for q in ("before=x.y", "after=1.", "before=1&after=1", "bind=nope", "before=" + "9" * 30, "tz=Mars")
        ),
        *("transaction", "transaction?id=x", "transaction?id=1&after=x", "change", "change?at=1", "change?at=9.x"),
    ],
)
def test_a_malformed_query_is_one_sentence(client: FlaskClient, path: str) -> None:
    answer = client.get(f"/audit/{path}")
    assert answer.status_code == 400
    assert len(read(answer.text.partition("<main")[2])) < 300
    as_json = client.get(f"/audit/{path}", headers={"Accept": "application/json"}).json
    assert as_json is not None and as_json.keys() == {"error"}


@pytest.mark.parametrize("path", ["transaction?id=77", "change?table=post&at=7.7", "change?table=no&at=7.7"])
def test_what_is_not_there_is_not_found(client: FlaskClient, path: str) -> None:
    assert client.get(f"/audit/{path}").status_code == 404


def test_links_lead_somewhere(site: Blog, client: FlaskClient) -> None:
    """Also from an address that somebody made up, or whose changes are pruned."""
    execute(site, "INSERT INTO post (title) VALUES ('x')")
    for url, shown in (("/audit/?before=999999999", True), ("/audit/?after=0", True), ("/audit/?after=99", False)):
        page = client.get(url).text
        assert ("<article" in page) is shown
        assert 'rel="prev"' not in page
        # From a place behind everything the way leads back to what there is.
        assert ('<a rel="next" href="/audit/?before=100">' in page) is not shown
        assert '<a href="/audit/">Newest</a>' in page
        assert "Nothing has been recorded" not in page


def test_numbers_may_be_as_large_as_the_database_has_them(site: Blog, client: FlaskClient) -> None:
    execute(
        site,
        "ALTER TABLE audit_transaction ALTER id RESTART 9000000000000000000",
        *["INSERT INTO post (title) VALUES ('t100')"] * 7,
    )
    assert [len(titles) for _, titles in follow(client, "next", "/audit/")] == [5, 2]
    assert {status for _, status, _ in read_all(site, client)} <= {200, 403}


# Times


def test_times_are_in_utc_or_in_a_zone_of_choice(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO post (title) VALUES ('x')")
    execute(site, rewriting("UPDATE audit_transaction SET issued_at = '2026-03-01 20:30:00Z'"))
    page = client.get("/audit/").text
    assert "Sunday, 1 March 2026" in page and "20:30:00 UTC" in page and "Times are in UTC" in page
    [local] = re.findall(r'href="([^"]*)">Show Asia/Tokyo', page)
    page = client.get(local).text
    assert "Monday, 2 March 2026" in page and "05:30:00 JST" in page
    assert 'datetime="2026-03-01T20:30:00+00:00"' in page
    assert all("tz=local" in url for url in re.findall(r'href="(/audit/(?:transaction|change)[^"]*)"', page))
    assert "21:30:00 CET" in client.get("/audit/?tz=Europe/Rome").text


# Other states of the database


@pytest.mark.parametrize("argument", ["endpoint=x", "_anchor=x", "_method=x", "_scheme=javascript&_external=1"])
def test_no_argument_is_taken_for_one_of_the_function_that_makes_urls(
    site: Blog, client: FlaskClient, argument: str
) -> None:
    execute(site, "INSERT INTO post (id, title) VALUES (1, 'x')")
    for path in ("?", "record?table=post&key=1&with=&"):
        page = client.get(f"/audit/{path}tz=Asia/Tokyo&{argument}")  # a link leads back to UTC
        assert page.status_code == 200
        assert "javascript:" not in page.text


def test_missing_tables_are_explained(database: Database) -> None:
    with blog(database.url(), install=False) as site:
        site.audit.access_loader(lambda: True)
        execute(site, "DROP TABLE post_audit")
        answer = site.app.test_client().get("/audit/")
        assert answer.status_code == 503
        assert "flask audit install" in answer.text


def test_reading_the_log_leaves_the_requests_session_alone(site: Blog, client: FlaskClient) -> None:
    client.get("/audit/")
    with site.app.app_context(), site.db.engine.connect() as connection:
        assert connection.scalar(text("SHOW transaction_read_only")) == "off"


def test_an_unreadable_table_is_explained(site: Blog, client: FlaskClient) -> None:
    role = f"reader_{site.app.config['SQLALCHEMY_DATABASE_URI'].database}"
    execute(site, f"CREATE ROLE {role} NOLOGIN")
    try:
        with site.app.app_context():
            engine = site.db.engine
            engine.dispose()

        @event.listens_for(engine, "connect")
        def become_reader(dbapi_connection: Any, record: object) -> None:
            with dbapi_connection.cursor() as cursor:
                cursor.execute(f"SET ROLE {role}")
            dbapi_connection.commit()

        answer = client.get("/audit/")
        assert answer.status_code == 503
        assert "Grant it SELECT" in answer.text
    finally:
        execute(site, f"DROP ROLE {role}")


@pytest.mark.parametrize("limit", ["statement_timeout", "lock_timeout"])
def test_a_limit_of_the_database_is_explained(database: Database, limit: str) -> None:
    """A migration holds the table, say."""
    options = {"connect_args": {"options": f"-c {limit}=200ms"}}
    with shop(database.url(), SQLALCHEMY_ENGINE_OPTIONS=options) as made:
        made.run('INSERT INTO "order" VALUES (1)')
        place = made.place("order")
        with create_engine(database.url(), poolclass=NullPool).begin() as connection:
            connection.execute(text("LOCK order_audit"))
            assert "The database took longer than it may" in made.get("change", 503, table="order", at=place)
        made.get("change", 200, table="order", at=place)


def test_a_pool_that_is_used_up_is_explained(site: Blog, client: FlaskClient) -> None:
    """The blog has one connection, and the rule keeps it."""
    site.audit.access_loader(lambda: site.db.session.scalar(text("SELECT true")))
    answer = client.get("/audit/")
    assert answer.status_code == 503
    assert "No database connection was free" in answer.text


def test_an_engine_in_autocommit_mode_is_read_in_a_transaction_all_the_same(database: Database) -> None:
    options = {"isolation_level": "AUTOCOMMIT", "pool_size": 1, "max_overflow": 0}
    with blog(database.url(), install=False, pool=options) as site:
        with site.app.app_context():
            install_audit_triggers(site.db.metadata, site.db.engine.execution_options(isolation_level="READ COMMITTED"))
        site.audit.access_loader(lambda: True)
        client = site.app.test_client()
        client.post("/posts?title=before")
        assert "before" in client.get("/audit/").text
        client.post("/posts?title=after")
        assert "after" in client.get("/audit/").text


def test_databases_are_shown_one_at_a_time(database: Database) -> None:
    name = "other <b>"
    app, db = Flask(__name__), SQLAlchemy()
    app.config.update(SQLALCHEMY_DATABASE_URI=database.url(), SQLALCHEMY_BINDS={name: database.url()})
    db.init_app(app)
    other_table(db.metadata, "here")
    with app.app_context():
        other_table(db.metadatas[name], "there")
    FlaskAudit(app, db).access_loader(lambda: True)
    with app.app_context():
        db.create_all()
        for key, metadata in db.metadatas.items():
            install_audit_triggers(metadata, db.engines[key])
        with db.engine.begin() as connection:
            for table in ("here", "there"):
                connection.execute(text(f"INSERT INTO {table} VALUES (1), (2)"))
    client = app.test_client()
    default = client.get("/audit/").text
    second = client.get("/audit/", query_string={"bind": name}).text
    change = re.findall(r'href="(/audit/change[^"]*)"', second)[0].replace("&amp;", "&")
    shown = client.get(change)
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
    assert "<bdi>here</bdi>" in default and "<bdi>there</bdi>" not in default
    assert "<bdi>there</bdi>" in second and "<bdi>here</bdi>" not in second
    assert "other &lt;b&gt;" in default and "<b>" not in default
    assert shown.status_code == 200 and "<bdi>there</bdi>" in shown.text
    for page in (default, second):
        binds = page.partition('aria-label="Databases"')[2].partition("</nav>")[0]
        assert binds.count('aria-current="page"') == 1


# Other hosts


def test_the_pages_move_with_the_prefix(database: Database) -> None:
    with blog(database.url(), AUDIT_URL_PREFIX="/back/log") as site:
        site.audit.access_loader(lambda: True)
        assert site.app.test_client().get("/back/log/").status_code == 200
        assert site.app.test_client().get("/audit/").status_code == 404


def test_a_host_can_put_the_pages_into_its_own(database: Database) -> None:
    with blog(database.url(), AUDIT_UI_BASE_TEMPLATE="shop.html", AUDIT_UI_REVERT=True) as site:
        site.audit.access_loader(lambda: Access(export=True, revert=True))
        site.app.jinja_loader = DictLoader(
            {
                "shop.html": "<title>{% block title %}Shop{% endblock %} | Shop</title>{% block head %}{% endblock %}"
                "<nav>our own</nav><main>{% block content %}{% endblock %}</main>"
            }
        )
        execute(site, "INSERT INTO post (title) VALUES ('x')")
        client = site.app.test_client()
        found = list(read_pages(site, client))
        assert len(found) >= 7
        for page in found:
            assert "<nav>our own</nav>" in page and "Audit log | Shop</title>" in page
            assert page.count("<main") == page.count(" | Shop</title>") == 1
            assert "audit.css" in page and "fpa-body" not in page


def test_what_a_hosts_template_sets_or_imports_is_its_own(database: Database) -> None:
    host = (
        "{% set page, viewer = 'home', none %}{% from 'macros.html' import link, when %}<title>{% block title %}"
        "{% endblock %}</title>{% block nav %}{{ page }}: {{ link('news') }}{% endblock %}"
        "{% block head %}{% endblock %}{% block content %}{% endblock %}"
    )
    macros = "{% macro link(to) %}host to {{ to }}{% endmacro %}{% macro when() %}{% endmacro %}"
    with blog(database.url(), AUDIT_UI_BASE_TEMPLATE="host.html", AUDIT_UI_REVERT=True) as site:
        site.audit.access_loader(lambda: Access(export=True, revert=True))
        site.app.jinja_loader = DictLoader({"host.html": host, "macros.html": macros})
        execute(site, "INSERT INTO post (title) VALUES ('x')")
        for page in read_pages(site, site.app.test_client()):
            assert page.count("home: host to news") == page.count("host to") == 1
            assert page.count("Audit log</title>") == 1 and '<div class="fpa-main"' in page


def test_the_stylesheet_reaches_nothing_of_a_host(client: FlaskClient) -> None:
    with client.get("/audit/static/audit.css") as answer:
        sheet = re.sub(r"/\*.*?\*/", "", answer.get_data(as_text=True), flags=re.DOTALL)
    selectors = [part.strip() for part in re.findall(r"([^{}]+)\{", sheet) if not part.strip().startswith("@")]
    assert len(selectors) > 50
    for selector in selectors:
        assert selector.startswith((".fpa-root", ".fpa-body", ".fpa-document")), selector
    assert not re.search(r"\b(left|right|(margin|padding|border)-(left|right))\s*:", sheet)  # right-to-left


def test_a_hosts_templates_cannot_break_or_open_the_pages(site: Blog, client: FlaskClient) -> None:
    app = site.app
    app.context_processor(lambda: {"page": None, "url_for": None, "change": None, "fpa_room": None, "link": None})
    app.jinja_env.autoescape = False
    app.jinja_env.block_start_string, app.jinja_env.block_end_string = "<%", "%>"
    app.jinja_env.line_statement_prefix = "#"
    execute(site, "INSERT INTO post (title) VALUES ('<script>alert(1)</script>')")
    for page in read_pages(site, client):
        assert "<script>" not in page
    assert "&lt;script&gt;" in client.get("/audit/").text
    assert "fpa_visible" not in app.jinja_env.filters


def test_a_host_may_be_strict_and_have_filters_of_its_own(site: Blog, client: FlaskClient) -> None:
    site.app.jinja_env.undefined = StrictUndefined
    site.app.jinja_env.filters["truncate"] = lambda text: text[:10]
    execute(site, "INSERT INTO post (id, title) VALUES (1, 'x')")
    execute(site, "UPDATE post SET title = 'y'")
    pages = [
        "/audit/?q=op:insert",
        "/audit/?q=no:such",
        "/audit/transaction?id=1&done=revert",
        "/audit/views",
        *urls(site),
    ]
    for url in pages:
        with client.get(url) as answer:
            assert answer.status_code in (200, 403), url
    assert site.app.jinja_env.undefined is StrictUndefined


def test_a_hosts_context_processor_that_fails_is_left_out(
    site: Blog, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    @site.app.context_processor
    def broken() -> dict[str, object]:
        raise RuntimeError("the host's own")

    assert client.get("/audit/").status_code == 200
    assert client.get("/audit/?before=x").status_code == 400
    assert "the host's own" in caplog.text


def test_headings_are_in_order_and_landmarks_are_named(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO post (title) VALUES ('x')", "UPDATE post SET title = 'y'")
    for page in read_pages(site, client):
        levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert all("aria-label" in nav for nav in re.findall("<nav[^>]*>", page))
        assert page.count("<main") == 1 and 'lang="en"' in page


def test_a_table_that_is_left_out_may_be_one_whose_changes_the_rest_cannot_match(
    site: Blog, client: FlaskClient
) -> None:
    """To exclude it from what is asked of another table is no mistake."""
    client.post("/signup/alice")
    for query in ("-table:user", "table:post -table:user", "new.title:hello -table:user", "actor:nobody -table:post"):
        # Somebody else reads: to know who alice is takes a connection, and the blog has but one.
        answer = site.app.test_client().get("/audit/", query_string={"q": query})
        assert answer.status_code == 200, query
        assert "fpa-group" in answer.text, query
