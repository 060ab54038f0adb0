"""The page of one record: timeline, versions, the past, what belongs to it, and the way to it."""

from __future__ import annotations

import datetime
import enum
import html
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, DateTime, Enum, Integer, LargeBinary, String, Uuid, create_engine, event, text
from sqlalchemy.dialects.postgresql import JSON

from flask_pg_audit import Access, AuditConfigError, AuditError, FlaskAudit, audited, install_audit_triggers
from flask_pg_audit.context.statements import is_harmless_select
from flask_pg_audit.history.position import Position
from flask_pg_audit.history.recorded import recorded_table
from flask_pg_audit.history.timeline import order_places, record_places
from flask_pg_audit.history.versions import select_row_state
from tests.capture import rewriting
from tests.orders import Shop, changes_on, links, main_part, shop, text_of
from tests.server import Database


@pytest.fixture
def site(database: Database) -> Iterator[Shop]:
    with shop(database.url(), AUDIT_PAGE_SIZE=5) as made:
        yield made


def order(number: Any = 1, **arguments: Any) -> dict[str, Any]:
    return {"table": "order", "key": str(number), **arguments}


# The timeline


def test_everything_that_happened_to_one_record_the_newest_first(site: Shop) -> None:
    with site.app.test_request_context(), site.audit.context(username="alice"):
        site.db.session.add(site.Order(id=1, note="new"))
        site.db.session.commit()
    site.run("INSERT INTO \"order\" VALUES (2, 1, 'another')", "UPDATE \"order\" SET note = 'sent' WHERE id = 1")
    site.run('DELETE FROM "order" WHERE id = 1')
    delete, update, insert = changes_on(site.get("record", **order()))
    assert "deleted" in delete
    assert "from new to sent" in update
    assert "inserted" in insert
    page = text_of(site.get("record", **order()))
    assert "alice" in page and "nobody" in page and "another" not in page


def test_a_truncate_that_removed_it_is_one_of_its_changes(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)', 'TRUNCATE "order" CASCADE', 'TRUNCATE "order" CASCADE')
    truncate, insert = changes_on(site.get("record", **order()))
    assert "Every row was removed." in truncate and "inserted" in insert


def test_paging_both_ways_neither_skips_nor_repeats_while_changes_arrive(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)')
    site.run(*(f"UPDATE \"order\" SET note = 'n{number}'" for number in range(100, 116)))

    def follow(rel: str, url: str) -> Iterator[tuple[str, list[str]]]:
        while True:
            answer = site.client.get(url)
            yield url, re.findall(r"to (n\d+)", " ".join(changes_on(answer.text)))
            found = re.search(f'<a rel="{rel}" href="([^"]+)"', answer.text)
            if found is None:
                return
            url = found[1].replace("&amp;", "&")
            assert f'<{url}>; rel="{rel}"' in answer.headers.getlist("Link")
            site.run("UPDATE \"order\" SET note = 'late'")

    down = list(follow("next", "/audit/record?table=order&key=1"))
    assert [note for _, notes in down for note in notes] == [f"n{number}" for number in range(115, 99, -1)]
    assert [len(notes) for _, notes in down] == [5, 5, 5, 1]
    up = [notes for _, notes in follow("prev", down[-1][0]) if notes]
    assert [note for notes in up[::-1] for note in notes][-16:] == [f"n{number}" for number in range(115, 99, -1)]


def test_a_place_that_is_made_up_leads_back(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)')
    page = site.get("record", **order(before="1.0"))
    assert "No change is beyond this place." in page
    assert links(page, "Newest") == ["/audit/record?table=order&key=1"] * 2


def test_a_long_history_is_read_through_its_indexes(site: Shop) -> None:
    """50,000 changes of one record among as many of others: a page reads a page of them."""
    site.run('INSERT INTO "order" SELECT g FROM generate_series(1, 50000) g')
    site.run(
        "INSERT INTO order_audit (audit_transaction_id, audit_id, audit_operation, audit_operation_timestamp,"
        " audit_current_user, id, note) SELECT 1, 1000000 + g, 'U', now(), 'x', 1, g::text"
        " FROM generate_series(1, 50000) g",
        "ANALYZE order_audit",
    )
    with site.app.app_context(), site.db.engine.connect() as connection:
        table = recorded_table(site.Order)
        found = record_places(table, {"id": 1})
        for query in (
            order_places(found, None, None, 6),
            order_places(found, Position(1, 1_025_000), None, 6),
            order_places(found, None, Position(1, 1_025_000), 6),
            select_row_state(table, {"id": 1}),
            select_row_state(table, {"id": 1}, Position(1, 1_025_000)),
            select_row_state(table, {"id": 1}, datetime.datetime.now(datetime.timezone.utc)),
        ):
            assert is_harmless_select(str(query.compile(connection)))
            compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
            plan = connection.exec_driver_sql(
                f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF, FORMAT JSON) {compiled}",
                execution_options={"no_parameters": True},
            ).scalar_one()
            assert most_rows(plan[0]["Plan"]) < 100, plan
    assert len(changes_on(site.get("record", **order()))) == 5


def most_rows(plan: dict[str, Any]) -> int:
    """The rows that the busiest step of a plan gave or threw away."""
    own = plan["Actual Rows"] * plan["Actual Loops"] + plan.get("Rows Removed by Filter", 0)
    return int(max(own, *(most_rows(part) for part in plan.get("Plans", ())), 0))


def test_a_page_asks_the_same_number_of_questions_however_much_it_shows(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)')
    with site.app.app_context():
        engine = site.db.engine
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    few = ask(site, asked, **order())
    site.run(*['UPDATE "order" SET note = md5(random()::text)'] * 6)
    assert ask(site, asked, **order()) == few <= 8


def ask(site: Shop, asked: list[str], **arguments: Any) -> int:
    asked.clear()
    site.get("record", **arguments)
    return len(asked)


# Two versions


def test_two_versions_side_by_side(site: Shop) -> None:
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'first', 'one')", 'UPDATE "order" SET note = NULL')
    site.run("UPDATE \"order\" SET note = 'third', secret = 'two'")
    first, third = site.place("order", "note = 'first'"), site.place("order", "note = 'third'")
    for a, b in ((first, third), (third, first)):
        page = site.get("record", **order(a=a, b=b))
        section = page.partition('id="fpa-comparison"')[2].partition("</section>")[0]
        differs, same = section.split("<details")
        assert re.findall(r"<(?:del|ins)[^>]*>(.*?)</(?:del|ins)>", differs, re.DOTALL)
        assert re.findall(r'class="fpa-text">([^<]*)', differs) == ["first", "third", "one", "two"]
        assert "2 columns the same" in same and "<del" not in same
    assert page.count("checked") == 2


def test_the_versions_to_compare_are_chosen_on_the_page(site: Shop) -> None:
    """Also one that is on another page."""
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'n0')")
    site.run(*(f"UPDATE \"order\" SET note = 'n{number}'" for number in range(1, 8)), 'DELETE FROM "order"')
    page = site.get("record", **order())
    assert len(re.findall(r'type="radio"[^>]* name="a"', page)) == 4  # the delete left nothing to compare
    assert re.findall(r'name="(.)" value="([^"]+)"[^>]* checked', page) == [
        ("b", site.place("order", "note = 'n7' and audit_operation = 'U'")),
        ("a", site.place("order", "note = 'n6'")),
    ]
    oldest, newest = site.place("order", "note = 'n0'"), site.place("order", "note = 'n7' and audit_operation = 'U'")
    compared = site.get("record", **order(a=oldest, b=newest))
    assert "Not on this page: insert" in compared
    assert re.findall(r'name="(.)" value="([^"]+)"[^>]* checked', compared) == [("a", oldest), ("b", newest)]
    assert all(f"a={oldest}&b={newest}" in url for url in links(compared, "Older"))


def test_values_are_compared_in_full(site: Shop) -> None:
    """They differ beyond what is read of them; and in a type without equality."""
    site.run("INSERT INTO \"order\" VALUES (1, 1, repeat('x', 300000) || 'a', repeat('y', 300000))")
    site.run("UPDATE \"order\" SET note = repeat('x', 300000) || 'b'")
    first, second = site.place("order", "audit_operation = 'I'"), site.place("order", "audit_operation = 'U'")
    page = site.get("record", **order(a=first, b=second))
    section = text_of(page.partition('id="fpa-comparison"')[2].partition("</section>")[0])
    assert "differs further on" in section and "3 columns the same" in section
    assert len(page) < 60_000


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ({"a": "1.1"}, 400, "positions of two versions"),
        ({"a": "1.1", "b": "x"}, 400, "no position"),
        ({"a": "1.1", "b": "9.9"}, 404, "no such version"),
        ({"a": "{other}", "b": "{other}"}, 404, "no such version"),
        ({"as-of": "yesterday"}, 400, "no time"),
        ({"as-of": "2026-13-01"}, 400, "no time"),
        ({"as-of": "0001-01-01T00:00:00+14:00"}, 400, "no time"),
        ({"as-of": "9999-12-31T23:59:59", "tz": "America/New_York"}, 400, "no time"),
        ({"before": "1"}, 400, "no position"),
        ({"before": "1.1", "after": "1.1"}, 400, "not both"),
        ({"with": "customer"}, 400, "there are: lines, tags"),
        ({"key": "1,2"}, 400, "no key"),
        ({"key": "one"}, 400, "no int"),
        ({"key": ""}, 400, "no key"),
        ({"key": "1\n2"}, 400, "key"),
        ({"key": "9" * 5000}, 400, "key"),
        ({"key": "1\0"}, 400, "key"),
        ({"key": "77"}, 404, "no such record"),
        ({"table": "nope"}, 404, "no such record"),
        ({"table": "audit_transaction"}, 404, "no such record"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(site: Shop, arguments: dict[str, str], status: int, said: str) -> None:
    site.run('INSERT INTO "order" VALUES (1)', 'INSERT INTO "order" VALUES (2)')
    other = site.place("order", "id = 2")
    page = site.get("record", status, **order(**{k: v.replace("{other}", other) for k, v in arguments.items()}))
    assert said in text_of(page.partition("<p>")[2])


def test_the_key_is_asked_for(site: Shop) -> None:
    assert "say which record" in site.get("record", 400, table="order")


# The past


def test_the_row_as_of_any_instant(site: Shop) -> None:
    """Which may be before it was there, and after it was gone."""
    before = now(site)
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'new')")
    fresh = now(site)
    site.run("UPDATE \"order\" SET note = 'old'")
    gone = 'DELETE FROM "order"'
    stale = now(site)
    site.run(gone)
    assert "nothing had been recorded of it by then" in past(site, before)
    assert "new" in past(site, fresh) and "old" not in past(site, fresh)
    assert "old" in past(site, stale) and "new" not in past(site, stale)
    assert "It was not there: it had been deleted." in past(site, now(site))


def now(site: Shop) -> str:
    [(at,)] = site.rows("SELECT clock_timestamp()")
    return str(at.isoformat())


def past(site: Shop, when: str, **arguments: Any) -> str:
    page = site.get("record", **order(**{"as-of": when, **arguments}))
    return text_of(page.partition('id="fpa-past"')[2].partition("</section>")[0])


def test_the_row_after_a_change_and_after_a_truncate(site: Shop) -> None:
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'new')", "UPDATE \"order\" SET note = 'old'")
    site.run('TRUNCATE "order" CASCADE')
    assert "new" in past(site, site.place("order", "audit_operation = 'I'"))
    assert "old" in past(site, site.place("order", "audit_operation = 'U'"))
    truncated = past(site, site.place("order", "audit_operation = 'T'"))
    assert "It was not there: a truncate had removed every row of the table." in truncated
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'again')")
    assert "again" in past(site, now(site))


def test_a_time_without_an_offset_is_one_of_the_viewers_zone(site: Shop) -> None:
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'new')")
    site.run(rewriting("UPDATE order_audit SET audit_operation_timestamp = '2026-01-31 12:00:00+00'"))
    for when, zone, is_there in (
        ("2026-01-31T12:00", "", True),
        ("2026-01-31T11:59:59", "", False),
        ("2026-01-31T13:00", "Europe/Rome", True),
        ("2026-01-31T12:59", "Europe/Rome", False),
        ("2026-01-31T11:59Z", "Europe/Rome", False),
        ("2026-01-31T12:00Z", "Europe/Rome", True),
        ("2026-01-31T13:00:00+01:00", "", True),
        ("2026-01-31T13:00:00 01:00", "", True),
        ("2026-02-01", "", True),
    ):
        shown = past(site, when, tz=zone)
        assert ("new" in shown) is is_there, when
    assert 'value="2026-01-31T13:00:00"' in site.get(
        "record", **order(**{"as-of": "2026-01-31T12:00Z"}, tz="Europe/Rome")
    )


# What belongs to it


def test_the_changes_of_what_belongs_to_it_are_shown_on_demand(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1), (2)', "INSERT INTO line VALUES (1, 1, 'tea'), (2, 2, 'coffee')")
    site.run("INSERT INTO order_tag VALUES (1, 'urgent')", "UPDATE line SET product = 'green tea' WHERE id = 1")
    site.run("UPDATE line SET order_id = 1 WHERE id = 2")
    alone = site.get("record", **order())
    assert len(changes_on(alone)) == 1 and re.findall(r'name="with" value="(\w+)"', alone) == ["lines", "tags"]
    lines = changes_on(site.get("record", **order(**{"with": "lines"})))
    assert ["coffee" in lines[0], "green tea" in lines[1], "tea" in lines[2], len(lines)] == [True, True, True, 4]
    for both in ({"with": "lines,tags"}, {"with": ["lines", "tags"]}):
        page = site.get("record", **order(**both))
        assert "urgent" in main_part(page) and page.count(" checked") == 4
    # The page in another time zone shows the same.
    local = site.get("record", **order(**{"with": ["lines", "tags"]}, tz="Europe/Rome"))
    [utc] = links(local, "Show UTC")
    assert sorted(changes_on(site.client.get(utc).text)) == sorted(changes_on(page))


def test_only_its_own_changes_are_versions(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)', "INSERT INTO line VALUES (1, 1, 'tea')")
    page = site.get("record", **order(**{"with": "lines"}))
    assert page.count('type="radio"') == 2
    assert len(changes_on(page)) == 2


def test_the_record_that_it_belongs_to_can_be_shown_too(site: Shop) -> None:
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'the order')", "INSERT INTO line VALUES (5, 1, 'tea')")
    page = site.get("record", table="line", key="5", **{"with": "order"})
    assert "the order" in " ".join(changes_on(page))


# What may be seen


def test_out_of_scope_nothing_is_there(site: Shop) -> None:
    site.run("INSERT INTO \"order\" VALUES (1, 7, 'ours', 'pin'), (2, 8, 'theirs', 'pin')")
    site.run("UPDATE \"order\" SET tenant = 8, note = 'sold' WHERE id = 1", "INSERT INTO line VALUES (1, 1, 'tea')")
    narrow(
        site,
        scope=lambda query, table: (
            query.where(query.selected_columns.tenant == 7) if table.name == "order" else query.where(False)
        ),
    )
    assert "no such record" in site.get("record", 404, **order(2))
    page = site.get("record", **order(**{"with": "lines"}))
    assert "ours" in page and "sold" not in page and "tea" not in page
    assert "only the changes that you may see" in page
    assert "ours" in past(site, now(site)) and "sold" not in past(site, now(site))
    own = site.place("order", "note = 'ours'")
    assert "no such version" in site.get("record", 404, **order(a=own, b=site.place("order", "note = 'sold'")))
    assert "nothing had been recorded" not in past(site, site.place("order", "note = 'sold'"))


def narrow(site: Shop, **rules: Any) -> None:
    site.audit.access_loader(lambda: Access(**rules))


def test_a_hidden_column_is_nowhere(site: Shop) -> None:
    site.run("INSERT INTO \"order\" VALUES (1, 1, 'note', 'hush')", "UPDATE \"order\" SET secret = 'psst'")
    narrow(site, columns=lambda table, name: name != "secret")
    a, b = site.place("order", "audit_operation = 'I'"), site.place("order", "audit_operation = 'U'")
    page = site.get("record", **order(a=a, b=b, **{"as-of": b}))
    assert not {"hush", "psst", "secret"} & set(re.findall(r"\w+", page))
    assert "They are the same." in page


def test_without_a_part_of_the_key_there_is_no_record(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)', "INSERT INTO order_tag VALUES (1, 'urgent')")
    narrow(site, columns=lambda table, name: (table.name, name) != ("order_tag", "order_id"))
    answer = site.get("record", 404, table="order_tag", key="1,urgent")
    assert answer == site.get("record", 404, table="nope", key="1,urgent")
    # Nor does it tell what belongs to what.
    page = site.get("record", **order())
    assert re.findall(r'name="with" value="(\w+)"', page) == ["lines"]
    assert "there are: lines." in site.get("record", 400, **order(**{"with": "tags"}))
    assert "record?table=order_tag" not in site.get("")


def test_a_hidden_table_is_nowhere(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)', "INSERT INTO line VALUES (1, 1, 'tea')")
    narrow(site, tables=lambda table: table.name == "order")
    page = site.get("record", **order())
    assert "line" not in re.findall(r"\w+", main_part(page)) and 'name="with"' not in page
    assert site.get("record", 404, table="line", key="1") == site.get("record", 404, table="nope", key="1")


# Exotic keys, and the way to the page

HOSTILE = "<script>alert(1)</script>,\"' \u202egnp.exe & 100%\r\n:x"


class Colour(enum.Enum):
    RED = "red, dark"


@pytest.fixture
def exotic(database: Database) -> Iterator[Any]:
    app, db, audit = Flask(__name__), SQLAlchemy(), FlaskAudit()
    app.config.update(SQLALCHEMY_DATABASE_URI=database.url(), TESTING=True)

    class Thing(db.Model):  # type: ignore[name-defined, misc]
        __tablename__ = 'we"ird %(x)s :y'
        __table_args__ = {"schema": "Back Office", "info": audited()}  # noqa: RUF012
        number = Column("Nr. %", Integer, key="number", primary_key=True)
        name = Column(String, primary_key=True)
        at = Column(DateTime(timezone=True), primary_key=True)
        ident = Column(Uuid, primary_key=True)
        colour: Any = Column(Enum(Colour), primary_key=True)
        raw = Column(LargeBinary, primary_key=True)
        document = Column("do:c", JSON)

    class Keyless(db.Model):  # type: ignore[name-defined, misc]
        __table__ = db.Table("keyless", Column("id", Integer), info=audited())
        __mapper_args__ = {"primary_key": [__table__.c.id]}  # noqa: RUF012

    db.init_app(app)
    audit.init_app(app, db)
    audit.access_loader(lambda: True)
    with app.app_context():
        with db.engine.begin() as connection:
            connection.execute(text('CREATE SCHEMA "Back Office"'))
        db.create_all()
        install_audit_triggers(db.metadata, db.engine)
    with app.test_request_context():
        yield app, db, audit, Thing, Keyless
        db.session.remove()
        db.engine.dispose()


def test_an_object_leads_to_its_page_whatever_its_key_is(exotic: Any) -> None:
    app, db, audit, Thing, _ = exotic
    thing = Thing(
        number=-5,
        name=HOSTILE,
        at=datetime.datetime(2026, 1, 31, 12, 0, 0, 120_000, datetime.timezone.utc),
        ident=uuid.UUID(int=7),
        colour=Colour.RED,
        raw=b"\x00\xff,",
        document={"a": 1},
    )
    db.session.add(thing)
    db.session.commit()
    thing.document = {"a": 2}
    db.session.commit()
    url = audit.url_for(thing)
    db.session.remove()
    page = app.test_client().get(url)
    assert page.status_code == 200, page.text
    assert len(changes_on(page.text)) == 2
    assert "<script>" not in page.text and "\u202e" not in text_of(page.text)
    # The links of the log lead to the same page, with the key as PostgreSQL writes it.
    feed = app.test_client().get("/audit/").text
    [link] = set(re.findall(r'href="(/audit/record[^"]*)"', feed))
    followed = app.test_client().get(html.unescape(link))
    assert followed.status_code == 200, (link, followed.text)
    assert len(changes_on(followed.text)) == 2
    places = re.findall(r'name="a" value="([^"]+)"', page.text)
    compared = app.test_client().get(f"{url}&a={places[0]}&b={places[1]}")
    assert compared.status_code == 200 and "do:c" in compared.text


def test_an_object_without_a_page_is_a_readable_error(exotic: Any) -> None:
    _app, db, audit, Thing, Keyless = exotic
    with pytest.raises(AuditError, match="flush the session first"):
        audit.url_for(Thing(number=1))
    with pytest.raises(AuditConfigError, match="has no primary key"):
        audit.url_for(Keyless(id=1))
    for other in (Thing, Thing.__table__, 5, None):
        with pytest.raises(AuditConfigError, match="no object of a mapped class"):
            audit.url_for(other)

    class Other(db.Model):  # type: ignore[name-defined, misc]
        id = Column(Integer, primary_key=True)

    with pytest.raises(AuditConfigError, match="not audited"):
        audit.url_for(Other(id=1))


def test_an_app_without_pages_has_none_to_link_to(database: Database) -> None:
    with (
        shop(database.url(), AUDIT_UI=False) as site,
        site.app.test_request_context(),
        pytest.raises(AuditConfigError, match="AUDIT_UI is False"),
    ):
        site.audit.url_for(site.Order(id=1))


def test_templates_of_the_app_have_the_link_too(site: Shop) -> None:
    with site.app.test_request_context():
        made = site.Order(id=3)
        shown = render_template_string('{{ audit_url_for(order, _external=True, **{"with": "lines"}) }}', order=made)
        assert shown == "http://localhost/audit/record?table=order&amp;key=3&amp;with=lines"
        assert site.audit.url_for(made, **{"as-of": "2026-01-31T14:00"}).endswith("as-of=2026-01-31T14:00")


def test_the_link_names_the_database(database: Database) -> None:
    app, db, audit = Flask(__name__), SQLAlchemy(), FlaskAudit()
    app.config.update(SQLALCHEMY_DATABASE_URI=database.url(), SQLALCHEMY_BINDS={"other": database.url()})

    class Here(db.Model):  # type: ignore[name-defined, misc]
        __table_args__ = {"info": audited()}  # noqa: RUF012
        id = Column(Integer, primary_key=True)

    class There(db.Model):  # type: ignore[name-defined, misc]
        __bind_key__ = "other"
        __table_args__ = {"info": audited()}  # noqa: RUF012
        id = Column(Integer, primary_key=True)

    db.init_app(app)
    audit.init_app(app, db)
    with app.test_request_context():
        assert audit.url_for(Here(id=1)) == "/audit/record?table=here&key=1"
        assert audit.url_for(There(id=1)) == "/audit/record?table=there&key=1&bind=other"


def test_a_table_without_a_key_has_no_records(exotic: Any) -> None:
    app, *_ = exotic
    answer = app.test_client().get("/audit/record?table=keyless&key=1")
    assert answer.status_code == 404 and "no primary key" in answer.text


def test_a_key_of_another_type_of_text_finds_nothing_and_breaks_nothing(exotic: Any) -> None:
    app, *_ = exotic
    table = 'Back Office.we"ird %(x)s :y'
    good = ["1", "x", "2026-01-31 12:00:00+00", "00000000-0000-0000-0000-000000000007", "RED", "\\x00"]
    for place, wrong in ((2, "yesterday"), (3, "no-uuid"), (4, "BLUE"), (5, "\\xzz"), (1, "\ud7ff"), (0, "1.5")):
        key = ",".join([*good[:place], wrong, *good[place + 1 :]])
        answer = app.test_client().get("/audit/record", query_string={"table": table, "key": key})
        assert answer.status_code in (400, 404), answer.text


def test_reading_leaves_the_requests_session_alone(site: Shop) -> None:
    site.run('INSERT INTO "order" VALUES (1)')
    engine = create_engine(site.app.config["SQLALCHEMY_DATABASE_URI"])
    [(before,)] = site.rows("SELECT count(*) FROM audit_transaction")
    for path in ("record?table=order&key=1&with=lines", "table", "table?name=order", "overview"):
        assert site.client.get(f"/audit/{path}").status_code == 200
    assert site.rows("SELECT count(*) FROM audit_transaction") == [(before,)]
    engine.dispose()
