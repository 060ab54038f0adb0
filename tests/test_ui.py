"""The audit-log page: closed by default, paged, safe against what is in the database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, String, create_engine, event, text

from flask_pg_audit import Access, AuditConfigError, FlaskAudit, install_audit_triggers
from flask_pg_audit.ui.text import visible
from tests.blog import Blog, blog, other_table
from tests.server import Database


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url(), AUDIT_PAGE_SIZE=5) as made:
        made.audit.access_loader(lambda: True)
        yield made


@pytest.fixture
def client(site: Blog) -> FlaskClient:
    return site.app.test_client()


def execute(site: Blog, *statements: str) -> None:
    """As somebody with psql would."""
    engine = create_engine(site.app.config["SQLALCHEMY_DATABASE_URI"], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def routes(site: Blog) -> list[str]:
    """Every URL of the blueprint, made concrete."""
    rules = [rule for rule in site.app.url_map.iter_rules() if rule.endpoint.startswith("audit.")]
    return [re.sub("<[^>]+>", "audit.css", str(rule)) for rule in rules]


@pytest.mark.parametrize("rule", [None, lambda: None, lambda: False, lambda: Access(read=False)])
def test_every_route_is_closed_without_access(database: Database, rule: object) -> None:
    with blog(database.url(), install=False) as site:
        site.audit._callbacks.access_loader = rule  # type: ignore[assignment]
        urls = routes(site)
        assert len(urls) >= 2
        for url in urls:
            answer = site.app.test_client().get(url)
            assert answer.status_code == 403
            assert "You may not read the audit log" in answer.text
            assert site.app.test_client().get(url, headers={"Accept": "application/json"}).json == {
                "error": "You may not read the audit log."
            }


def test_the_log_says_how_to_open_the_page(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with blog(database.url(), install=False) as site:
        site.app.test_client().get("/audit/")
    assert "Register one with @audit.access_loader" in caplog.text


def test_an_exception_in_the_rule_never_opens_the_page(site: Blog, client: FlaskClient) -> None:
    site.audit.access_loader(lambda: 1 / 0)
    for url in routes(site):
        with pytest.raises(ZeroDivisionError):
            client.get(url)


def test_a_rule_that_returns_anything_else_is_an_error(site: Blog, client: FlaskClient) -> None:
    site.audit.access_loader(lambda: "yes")
    with pytest.raises(AuditConfigError, match="must return True, an Access"):
        client.get("/audit/")


def test_who_changed_what_is_shown(site: Blog, client: FlaskClient) -> None:
    client.post("/signup/alice")
    execute(site, "UPDATE post SET title = 'goodbye'")
    page = client.get("/audit/").text
    update, insert, *_ = page.split("<article")[1:]
    assert ">update</span>" in update
    assert "hello" in update and "goodbye" in update
    assert "nobody" in update and "database role" in update
    assert ">insert</span>" in insert
    assert "alice" in insert
    assert "POST /signup/alice" in insert
    [(at,)] = site.rows("SELECT max(audit_operation_timestamp) FROM post_audit")
    assert f'datetime="{at.isoformat()}"' in update


def test_the_password_hash_is_nowhere(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO \"user\" (username, password_hash) VALUES ('alice', 'hush')")
    assert "hush" not in client.get("/audit/").text


def test_null_and_empty_look_different(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO post (title) VALUES (NULL)")
    assert "fpa-null" in client.get("/audit/").text
    execute(site, "TRUNCATE post_audit", "INSERT INTO post (title) VALUES ('')")
    assert "fpa-empty" in client.get("/audit/").text
    assert "fpa-null" not in client.get("/audit/").text


def test_deletes_and_truncates_are_shown(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO post (title) VALUES ('gone')", "DELETE FROM post", "TRUNCATE post")
    truncate, delete, _ = client.get("/audit/").text.split("<article")[1:]
    assert "Every row was removed" in truncate
    assert ">delete</span>" in delete and "gone" in delete


HOSTILE = "<script>alert(1)</script>\"' onload=x {{ 7*7 }} \u202egnp.exe\u0007"


def test_hostile_values_are_shown_and_do_nothing(site: Blog, client: FlaskClient) -> None:
    with site.app.app_context(), site.audit.context(username=HOSTILE, path=HOSTILE, method=HOSTILE):
        site.db.session.add(site.Post(title=HOSTILE))
        site.db.session.commit()
    page = client.get("/audit/").text
    assert "<script" not in page
    assert "49" not in re.sub(r"\d{4}-.*? UTC", "", page).replace("7*7", "")
    assert "\u202e" not in page and "\u0007" not in page
    assert page.count("⟨U+202E⟩gnp.exe⟨U+0007⟩") >= 3


def test_huge_values_stay_in_the_database(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO post (title) SELECT repeat('x', 1000000)")
    page = client.get("/audit/").text
    assert len(page) < 10_000
    assert "1,000,000 characters" in page


def follow(client: FlaskClient, rel: str, url: str) -> Iterator[tuple[str, list[str]]]:
    """The titles on each page from ``url`` on, following the links of one kind."""
    while True:
        page = client.get(url).text
        yield url, re.findall(r"t\d+", page)
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


def test_pages_are_linked_in_the_header_too(site: Blog, client: FlaskClient) -> None:
    execute(site, "INSERT INTO post (title) SELECT 'x' FROM generate_series(1, 12)")
    first = client.get("/audit/")
    assert re.fullmatch(r'</audit/\?before=\d+\.\d+>; rel="next"', first.headers["Link"])
    second = client.get(re.findall("<(.*)>", first.headers["Link"])[0])
    assert sorted(re.findall('rel="(.*)"', ",".join(second.headers.getlist("Link")).replace(",", "\n"))) == [
        "next",
        "prev",
    ]


@pytest.mark.parametrize(
    "query", ["before=1", "before=x.y", "after=1.", "before=1.1&after=1.1", "bind=nope", "before=9" * 30]
)
def test_a_malformed_query_is_one_sentence(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/audit/?{query}")
    assert answer.status_code == 400
    assert "<p>" in answer.text


def test_only_reading_is_possible(client: FlaskClient) -> None:
    assert client.head("/audit/").status_code == 200
    for method in (client.post, client.put, client.delete):
        assert method("/audit/").status_code == 405


def test_security_headers_are_on_every_answer(site: Blog, client: FlaskClient) -> None:
    for url in [*routes(site), "/audit/?before=x"]:
        with client.get(url) as answer:
            headers = answer.headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "script" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def test_missing_tables_are_explained(database: Database) -> None:
    with blog(database.url(), install=False) as site:
        site.audit.access_loader(lambda: True)
        execute(site, "DROP TABLE post_audit")
        answer = site.app.test_client().get("/audit/")
        assert answer.status_code == 503
        assert "flask audit install" in answer.text


def test_an_empty_log_says_so(client: FlaskClient) -> None:
    assert "Nothing has been recorded yet." in client.get("/audit/").text


def test_the_pages_move_with_the_prefix(database: Database) -> None:
    with blog(database.url(), AUDIT_URL_PREFIX="/back/log") as site:
        site.audit.access_loader(lambda: True)
        assert site.app.test_client().get("/back/log/").status_code == 200
        assert site.app.test_client().get("/audit/").status_code == 404


def test_reading_the_log_leaves_the_requests_session_alone(site: Blog, client: FlaskClient) -> None:
    client.get("/audit/")
    with site.app.app_context(), site.db.engine.connect() as connection:
        assert connection.scalar(text("SHOW transaction_read_only")) == "off"


def test_visible() -> None:
    assert visible("a\u202eb\u200d\x00\n\tö💥") == "a⟨U+202E⟩b⟨U+200D⟩⟨U+0000⟩\n\tö💥"


def record(site: Blog, setting: str, value: str) -> None:
    """A change made by somebody who sends SQL and sets what they like."""
    engine = create_engine(site.app.config["SQLALCHEMY_DATABASE_URI"])
    with engine.begin() as connection:
        connection.execute(text(f"SELECT set_config(:setting, {value}, true)"), {"setting": setting})
        connection.execute(text("INSERT INTO post (title) VALUES ('x')"))
    engine.dispose()


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
def test_nobody_can_make_the_page_unreadable(site: Blog, client: FlaskClient, setting: str, value: str) -> None:
    record(site, setting, value)
    answer = client.get("/audit/")
    assert answer.status_code == 200
    assert len(answer.text) < 5_000


def test_request_role_and_reason_are_shown(site: Blog, client: FlaskClient) -> None:
    with site.audit.context(reason="a customer called"):
        client.post("/signup/alice")
    [(role,)] = site.rows("SELECT DISTINCT audit_current_user FROM post_audit")
    change = client.get("/audit/").text.split("<article")[1]
    assert "endpoint <bdi>signup</bdi>" in change
    assert "“<bdi>a customer called</bdi>”" in change
    assert f"database role <bdi>{role}</bdi>" in change


def test_the_log_says_once_how_to_open_the_page(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    with blog(database.url(), install=False) as site:
        for _ in range(3):
            site.app.test_client().get("/audit/")
    assert caplog.text.count("access_loader") == 1


def test_a_hosts_templates_cannot_break_or_open_the_page(site: Blog, client: FlaskClient) -> None:
    app = site.app
    app.context_processor(lambda: {"page": None, "url_for": None, "change": None})
    app.jinja_env.autoescape = False
    app.jinja_env.block_start_string, app.jinja_env.block_end_string = "<%", "%>"
    app.jinja_env.line_statement_prefix = "#"
    execute(site, "INSERT INTO post (title) VALUES ('<script>alert(1)</script>')")
    answer = client.get("/audit/")
    assert answer.status_code == 200
    assert "&lt;script&gt;" in answer.text and "<script" not in answer.text
    assert "fpa_visible" not in app.jinja_env.filters


def test_a_hosts_context_processor_that_fails_is_left_out(
    site: Blog, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    @site.app.context_processor
    def broken() -> dict[str, object]:
        raise RuntimeError("the host's own")

    assert client.get("/audit/").status_code == 200
    assert client.get("/audit/?before=x").status_code == 400
    assert "the host's own" in caplog.text


def test_links_lead_somewhere(site: Blog, client: FlaskClient) -> None:
    """Also from an address that somebody made up, or whose changes are pruned."""
    execute(site, "INSERT INTO post (title) VALUES ('x')")
    for url, shown in (("/audit/?before=999999999.1", True), ("/audit/?after=0.0", True), ("/audit/?after=9.9", False)):
        page = client.get(url).text
        assert ("<article" in page) is shown
        assert 'rel="prev"' not in page and 'rel="next"' not in page
        assert '<a href="/audit/">Newest</a>' in page
        assert "Nothing has been recorded" not in page


def test_numbers_may_be_as_large_as_the_database_has_them(site: Blog, client: FlaskClient) -> None:
    execute(
        site,
        "ALTER TABLE audit_transaction ALTER id RESTART 9000000000000000000",
        "INSERT INTO post (title) SELECT 't100' FROM generate_series(1, 7)",
    )
    assert [len(titles) for _, titles in follow(client, "next", "/audit/")] == [5, 2]


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
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()
    assert "<bdi>here</bdi>" in default and "<bdi>there</bdi>" not in default
    assert "<bdi>there</bdi>" in second and "<bdi>here</bdi>" not in second
    assert "other &lt;b&gt;" in default and "<b>" not in default
    assert default.count('aria-current="page"') == second.count('aria-current="page"') == 1


def test_a_row_is_open_unless_it_is_wide(database: Database) -> None:
    app, db = Flask(__name__), SQLAlchemy()
    app.config.update(SQLALCHEMY_DATABASE_URI=database.url())
    db.init_app(app)
    for name, number in (("narrow", 3), ("wide", 100)):
        other_table(db.metadata, name)
        for column in range(number):
            db.metadata.tables[name].append_column(Column(f"c{column}", String))
    FlaskAudit(app, db).access_loader(lambda: True)
    with app.app_context():
        db.create_all()
        install_audit_triggers(db.metadata, db.engine)
        with db.engine.begin() as connection:
            connection.execute(text("INSERT INTO narrow (id) VALUES (1)"))
            connection.execute(text("INSERT INTO wide (id) VALUES (1)"))
        wide, narrow = app.test_client().get("/audit/").text.split("<article")[1:]
        db.engine.dispose()
    assert '<details class="fpa-row" open>' in narrow
    assert '<details class="fpa-row">' in wide
    assert "41 more columns are not shown here." in wide
