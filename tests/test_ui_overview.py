"""The pages of a table and the overview: what they count, what that costs, and what they never tell."""

from __future__ import annotations

import datetime
import html
import re
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event

from flask_pg_audit import Access
from flask_pg_audit.context.statements import is_harmless_select
from flask_pg_audit.history.activity import Amount, count_transactions
from flask_pg_audit.ui.chart import format_amount
from flask_pg_audit.ui.span import read_span, span_names
from tests.capture import rewriting
from tests.orders import Shop, links, main_part, shop, text_of
from tests.server import Database

UTC = datetime.timezone.utc


@pytest.fixture
def site(database: Database) -> Iterator[Shop]:
    # Who looks is recorded on a connection of its own, and has tests of its own.
    with shop(database.url(), AUDIT_LOG_VIEWS=False) as made:
        yield made


def narrow(site: Shop, **rules: Any) -> None:
    site.audit.access_loader(lambda: Access(**rules))


def section(page: str, name: str) -> str:
    """The part of the page below the heading with this id."""
    return page.partition(f'id="{name}"')[2].partition("</section>")[0]


def numbers(part: str) -> list[tuple[str, str]]:
    """The rows of the tables in a part of a page: what, and how many."""
    rows = re.findall(r'<th scope="row"[^>]*>(.*?)</th>\s*<td class="fpa-number">(.*?)</td>', part, re.DOTALL)
    return [(text_of(what), number) for what, number in rows]


def age(site: Shop, interval: str, *tables: str) -> None:
    """Make it look as if everything had happened earlier."""
    earlier = [f"UPDATE audit_transaction SET issued_at = issued_at - interval '{interval}'"]
    for table in tables:
        earlier.append(
            f"UPDATE {table}_audit SET audit_operation_timestamp = audit_operation_timestamp - interval '{interval}'"
        )
    site.run(rewriting(*earlier))


# The overview


def test_what_happened_where_and_by_whom(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1), (2), (3)', "INSERT INTO line VALUES (1, 1, 'tea')")
    with site.app.test_request_context(), site.audit.context(username="alice"):
        site.db.session.add(site.Order(id=7))
        site.db.session.commit()
    page = site.get("overview")
    [(when, count)] = numbers(section(page, "fpa-activity"))
    assert count == "3" and "Highest: 3 transactions" in page
    assert numbers(section(page, "fpa-tables")) == [("order", "4"), ("line", "1")]
    assert numbers(section(page, "fpa-actors")) == [("nobody", "2"), ("alice", "1")]
    assert "Among 3 transactions since" in page
    assert "Everything is recorded as declared." in page
    assert links(page, "alice") == ["/audit/?q=actor:alice"] and links(page, "nobody") == ["/audit/?q=actor:nobody"]
    assert links(page, "order") == ["/audit/table?name=order"]
    assert re.fullmatch(r"/audit/\?q=at:[\dT:-]+\.\.[\dT:-]+", links(page, when)[0])


def test_bars_and_numbers_lead_to_the_same_place(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)')
    age(site, "3 days")
    site.run('INSERT INTO "order" VALUES (2), (3)', "INSERT INTO line VALUES (1, 1, 'tea')")
    for name in span_names():
        page = section(site.get("overview", range=name), "fpa-activity")
        drawn = re.findall(r'<a href="([^"]+)" tabindex="-1">', page)
        listed = re.findall(r'<th scope="row"><a href="([^"]+)"', page)
        assert drawn == listed[::-1] and len(drawn) == (1 if name in ("24h",) else len(drawn)) and drawn
        assert not re.search(r"style=|<script(?! src=)|on\w+=", page)
    assert "Nothing happened" not in page


def test_an_empty_log_says_so(site: Shop) -> None:
    page = site.get("overview")
    assert "Nothing happened in this time." in page and "<svg" not in page
    assert "Nobody, in this time." in page and "None, in this time." in page
    assert "Nothing happened" in site.get("table", name="order")


def test_what_is_too_much_to_count_is_estimated(site: Shop) -> None:
    site.run(*["INSERT INTO line (product) VALUES ('tea')"] * 7)
    now = datetime.datetime.now(UTC)
    edges = [now - datetime.timedelta(hours=2), now - datetime.timedelta(hours=1), now + datetime.timedelta(hours=1)]
    with site.app.app_context(), site.db.engine.connect() as connection:
        exact = count_transactions(connection, site.db.metadata, edges, 7)
        rough = count_transactions(connection, site.db.metadata, edges, 3)
    assert exact == [Amount(0), Amount(7)]
    assert rough == [Amount(0), Amount(7, is_estimated=True)]
    assert [format_amount(Amount(1234)), format_amount(rough[1])] == ["1,234", "about 7"]
    assert format_amount(Amount(10_000, is_capped=True)) == "10,000+"


def test_changes_are_counted_up_to_a_limit(site: Shop) -> None:
    site.run("INSERT INTO line SELECT g FROM generate_series(1, 12000) g", 'INSERT INTO "order" VALUES (1)')
    overview = site.get("overview")
    assert numbers(section(overview, "fpa-tables")) == [("line", "10,000+"), ("order", "1")]
    assert "Counted up to 10,000 changes of each table." in overview
    table = site.get("table", name="line")
    [(_, count)] = numbers(section(table, "fpa-activity"))
    assert re.fullmatch(r"3,\d{3}\+", count) and f"counted up to {count[:-1]} for each bar" in table
    assert "10,000+" in section(table, "fpa-size")
    assert "Among 10,000 changes" in table
    narrow(site, scope=lambda query, table: query)
    restricted = site.get("overview")
    assert numbers(section(restricted, "fpa-tables"))[0] == ("line", "10,000+")
    assert "Highest: " in restricted and "changes" in section(restricted, "fpa-activity")


def test_nothing_is_read_to_its_end(site: Shop) -> None:
    """50,000 changes by as many transactions, and as many by one: each question of the pages looks at a part."""
    site.run(
        "INSERT INTO audit_transaction (issued_at, db_role, username) SELECT now() - interval '1 second' * g, 'x',"
        " 'user ' || g % 50 FROM generate_series(50000, 1, -1) g",
        "INSERT INTO line_audit (audit_transaction_id, audit_id, audit_operation, audit_operation_timestamp,"
        " audit_current_user, id) SELECT id, id, 'I', issued_at, 'x', id FROM audit_transaction",
        'INSERT INTO "order" SELECT g FROM generate_series(1, 50000) g',
        "ANALYZE",
    )
    with site.app.app_context():
        engine = site.db.engine
    asked: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        if context is not None and context.compiled is not None:
            asked.append((statement, parameters))

    for path in ("overview?range=24h", "overview?range=1y", "table?name=line", "table?name=order", "table"):
        asked.clear()
        assert site.client.get(f"/audit/{path}").status_code == 200
        questions = list(asked)
        assert len(questions) <= 10
        with engine.connect() as connection:
            for statement, parameters in questions:
                assert is_harmless_select(statement), statement
                explained = connection.exec_driver_sql(
                    f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", parameters
                )
                plan = explained.scalar_one()
                assert most_rows(plan[0]["Plan"]) <= 25_000, (path, statement, plan)


def most_rows(plan: dict[str, Any]) -> int:
    """The rows that the busiest step of a plan gave or threw away."""
    own = plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0)
    return int(max(own, *(most_rows(part) for part in plan.get("Plans", ())), 0))


def test_the_number_of_questions_does_not_depend_on_what_there_is(site: Shop) -> None:
    with site.app.app_context():
        engine = site.db.engine
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    site.get("overview")  # looks for what is wrong, too
    counts = []
    for _ in range(2):
        asked.clear()
        site.get("overview", range="24h")
        counts.append(len(asked))
        site.run(*['INSERT INTO "order" DEFAULT VALUES'] * 5)
    assert counts[0] == counts[1] <= 12


# Ranges


@pytest.mark.parametrize("name", span_names())
@pytest.mark.parametrize("zone", ["UTC", "Europe/Rome", "Asia/Kathmandu"])
def test_a_range_ends_after_now_and_has_no_holes(name: str, zone: str) -> None:
    for moment in ("2026-03-29T00:30", "2026-03-29T12:00", "2026-10-25T01:30", "2026-10-25T23:59", "2026-01-01T00:00"):
        now = datetime.datetime.fromisoformat(moment).replace(tzinfo=UTC)
        span = read_span(name, now, ZoneInfo(zone))
        instants = [edge.astimezone(UTC) for edge in span.edges]
        assert instants == sorted(set(instants))
        assert instants[-2] <= now < instants[-1]
        length = {"24h": 1, "7d": 7, "30d": 30, "1y": 365}[name]
        assert datetime.timedelta(days=length - 1) <= now - instants[0] <= datetime.timedelta(days=length + 8)


def test_days_are_those_of_the_viewers_zone(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)')
    yesterday = "date_trunc('day', now(), 'Europe/Rome') - interval '1 minute'"
    site.run(rewriting(f"UPDATE audit_transaction SET issued_at = {yesterday}"))
    rome = datetime.datetime.now(ZoneInfo("Europe/Rome")).date() - datetime.timedelta(days=1)
    page = site.get("overview", range="30d", tz="Europe/Rome")
    assert numbers(section(page, "fpa-activity")) == [(str(rome), "1")]
    assert links(page, str(rome)) == [f"/audit/?tz=Europe/Rome&q=at:{rome}"]
    assert links(page, "24 hours") == ["/audit/overview?range=24h&tz=Europe/Rome"]


@pytest.mark.parametrize("path", ["overview?range=2d", "overview?range=", "table?name=order&range=x"])
def test_a_range_that_there_is_not_is_one_sentence(site: Shop, path: str) -> None:
    answer = site.client.get(f"/audit/{path}")
    assert answer.status_code == 400 and "none of 24h, 7d, 30d, 1y" in answer.text


# Tables


def test_the_list_of_tables(site: Shop) -> None:
    site.run("INSERT INTO line SELECT g FROM generate_series(1, 100) g", "ANALYZE line_audit")
    page = site.get("table")
    assert [links(page, name) for name in ("line", "order", "order_tag")] == [
        [f"/audit/table?name={name}"] for name in ("line", "order", "order_tag")
    ]
    line, order, _ = re.findall(r"<tr>(.*?)</tr>", main_part(page).partition("<tbody>")[2], re.DOTALL)
    assert text_of(line).startswith("line 100 ") and "kB" in text_of(line)
    assert text_of(order).startswith("order –")
    assert page.count("as declared") == 3


def test_the_page_of_a_table(site: Shop) -> None:
    site.run("INSERT INTO line SELECT g FROM generate_series(1, 100) g", "DELETE FROM line WHERE id > 50", "ANALYZE")
    page = site.get("table", name="line")
    size = text_of(section(page, "fpa-size"))
    assert "changes 150" in size and "the table about 50 rows, " in size and "its history about 150 rows, " in size
    assert numbers(section(page, "fpa-actors")) == [("nobody", "150")]
    assert links(page, "nobody") == ["/audit/?q=table:line+actor:nobody"]
    assert links(page, "Its changes") == ["/audit/?q=table:line"]
    assert "Its changes are recorded as declared." in page


def test_a_table_that_there_is_not(site: Shop) -> None:
    assert "no such table" in site.get("table", 404, name="nope")
    assert "no such table" in site.get("table", 404, name="audit_transaction")


# Health


def test_what_check_finds_is_shown_with_its_way_out(site: Shop) -> None:
    site.run('ALTER TABLE "order" DISABLE TRIGGER ALL', "ALTER TABLE line ADD COLUMN extra text")
    overview = text_of(site.get("overview"))
    assert "Recording needs attention" in overview
    assert "trigger-disabled order What" in overview
    assert "Why it matters changes leave no record The way out flask audit install" in overview
    assert "column-undeclared line" in overview
    order, line, tag = (section(site.get("table", name=name), "fpa-health") for name in ("order", "line", "order_tag"))
    assert "trigger-disabled" in order and "column-undeclared" not in order
    assert "column-undeclared" in line and "trigger-disabled" not in line
    assert "recorded as declared" in tag
    assert site.get("table").count("needs attention") == 2


def test_it_is_looked_for_once_a_minute(site: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    site.get("overview")
    site.run('ALTER TABLE "order" DISABLE TRIGGER ALL')
    assert "trigger-disabled" not in site.get("overview")
    monkeypatch.setattr("flask_pg_audit.web.health.KEPT_FOR", -1)
    assert "trigger-disabled" in site.get("overview")


def test_looking_for_it_asks_nobody_who_is_there(site: Shop) -> None:
    """The user's loader may need a connection of its own, and the app has one."""
    site.audit.actor_loader(lambda: site.db.session.scalar(site.db.select(site.Order.note)))
    assert site.client.get("/audit/overview").status_code == 200
    assert site.client.get("/audit/table?name=order").status_code == 200


# What may be seen


def test_out_of_scope_nothing_counts(site: Shop) -> None:
    site.run('INSERT INTO "order" (tenant) SELECT 7 FROM generate_series(1, 3)')
    with site.app.test_request_context(), site.audit.context(username="mallory"):
        for _ in range(4):
            site.db.session.add(site.Order(tenant=8))
            site.db.session.commit()
    site.run("INSERT INTO line VALUES (1, 1, 'tea')", 'ALTER TABLE "order" DISABLE TRIGGER ALL', "ANALYZE")

    def scope(query: Any, table: Any) -> Any:
        return query.where(query.selected_columns.tenant == 7) if table.name == "order" else query.where(False)

    narrow(site, scope=scope)
    page = site.get("overview")
    assert numbers(section(page, "fpa-tables")) == [("order", "3")]
    assert numbers(section(page, "fpa-actors")) == [("nobody", "3")]
    assert [count for _, count in numbers(section(page, "fpa-activity"))] == ["3"]
    assert "Changes that you may see" in page and "Among 3 changes" in page
    table = site.get("table", name="order")
    assert "3 that you may see" in text_of(section(table, "fpa-size"))
    for shown in (page, table, site.get("table"), site.get("table", name="line")):
        own = text_of(shown)
        assert "mallory" not in own and not re.search(r"\b[78]\b(?! (days|hours))", own) and "about" not in own
        assert "trigger-disabled" not in own and "kB" not in own


def test_hidden_tables_and_columns_are_nowhere(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)', "INSERT INTO line VALUES (1, 1, 'tea')")
    site.run("ALTER TABLE line DISABLE TRIGGER ALL", 'ALTER TABLE "order" ALTER secret TYPE text USING secret')
    narrow(site, tables=lambda table: table.name != "line", columns=lambda table, name: name != "secret")
    pages = [site.get("overview"), site.get("table"), site.get("table", name="order")]
    for page in pages:
        assert not {"line", "secret"} & set(re.findall(r"\w+", text_of(page)))
    assert "shown to those who see everything" in pages[0]
    assert numbers(section(pages[0], "fpa-tables")) == [("order", "1")]
    assert [count for _, count in numbers(section(pages[0], "fpa-activity"))] == ["1"]
    assert site.get("table", 404, name="line") == site.get("table", 404, name="nope")


def test_whoever_sees_no_table_sees_none(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)')
    narrow(site, tables=lambda table: False)
    site.get("")
    assert "None, in this time." in site.get("overview")
    assert "There is no table that you may see." in site.get("table")


# Hostile names

HOSTILE = "<script>alert(1)</script>\"' \u202egnp.exe, x" + "y" * 4_000


def test_hostile_names_are_shown_and_do_nothing(site: Shop) -> None:
    for name in (HOSTILE, 'say "hi", you', "", "nobody", "a:b"):
        with site.app.test_request_context(), site.audit.context(username=name or None):
            site.db.session.add(site.Line(product="tea"))
            site.db.session.commit()
    for path, before in (("overview", ""), ("table?name=line", "table:line ")):
        page = site.client.get(f"/audit/{path}").text
        assert "<script>" not in page and "\u202e" not in page and len(page) < 25_000
        assert "⟨U+202E⟩gnp.exe" in page
        found = [html.unescape(url) for url in re.findall(r'href="([^"]*actor:[^"]*)"', page)]
        assert len(found) == 4  # not the one whose name is not known whole
        with site.app.test_request_context():
            terms = sorted(site.app.test_request_context(url).request.args["q"] for url in found)
        actors = ['"nobody"', '"say ""hi"", you"', "a:b", "nobody"]
        assert terms == [f"{before}actor:{actor}" for actor in actors]
