"""Bringing a version back from the pages: what is shown is what is written, by those who may."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Select, Table, create_engine

from flask_pg_audit import Access
from tests.orders import changes_on, links, shop, text_of
from tests.server import Database
from tests.ui_reverting import FIRST, THIRD, Site, form_of, revertible


@pytest.fixture
def site(database: Database) -> Iterator[Site]:
    with revertible(database.url()) as made:
        yield made


# What is shown, and done


def test_a_version_is_brought_back(site: Site) -> None:
    url = site.url("note = 'first'")
    text = text_of(site.get(url))
    assert "What would be written: 1 row ~ update order 1 note from third to first" in text
    assert "Changed since then ~ updated nobody" in text and text.count(": note") == 2
    assert site.orders() == THIRD
    answer = site.press(url, reason="typed by mistake")
    assert answer.status_code == 303
    assert site.orders() == FIRST
    [(transaction, *who)] = site.shop.rows(
        "SELECT id, username, context->>'reason', context->>'endpoint', context->'reverts'->>'to' "
        "FROM audit_transaction ORDER BY id DESC LIMIT 1"
    )
    assert who == ["alice", "typed by mistake", "audit.do_revert", url.partition("to=")[2]]
    last = "SELECT audit_operation, audit_username, note FROM order_audit ORDER BY audit_id DESC LIMIT 1"
    assert site.shop.rows(last) == [("U", "alice", "first")]
    assert answer.location == f"/audit/transaction?id={transaction}&done=revert"
    page = site.get(answer.location)
    assert "Done: this transaction brought the record back." in text_of(page) and "typed by mistake" in page
    assert site.recorded() == [("alice", "audit.do_revert", "1", 1)]


def test_that_it_was_done_is_only_said_where_it_was(site: Site) -> None:
    transaction = site.shop.place("line").partition(".")[0]
    assert "Done:" not in site.get(f"/audit/transaction?id={transaction}&done=revert")


def test_the_pages_lead_to_the_preview(site: Site) -> None:
    record = site.get("/audit/record?table=order&key=1&with=lines")
    urls = links(record, "Bring this version back")
    assert len(urls) == 3 == len(changes_on(record)) - 1  # not of the line
    assert "first" in site.get(urls[-1])
    at = site.shop.place("order", "note = 'first'")
    change = site.get(f"/audit/change?table=order&at={at}")
    assert links(change, "Bring this version back") == [urls[-1]]


def test_of_many_changes_since_then_the_newest_are_listed(site: Site) -> None:
    site.shop.run(*(f'UPDATE "order" SET tenant = {number}' for number in range(2, 27)))
    text = text_of(site.get(site.url("note = 'first'")))
    assert text.count("~ updated nobody") == 20 and "And more before these." in text
    assert text.partition("~ updated")[2].startswith(" nobody") and "tenant from 26 to 1" in text
    newest = site.shop.place("order")
    assert f"at={newest}" in site.get(site.url("note = 'first'"))


def test_what_is_so_already_is_not_written(site: Site) -> None:
    page = site.get(site.url())
    assert "there is nothing to write" in page and "<form" not in page.partition("<main")[2]


def test_a_deleted_row_comes_back_alone_or_with_what_was_deleted_with_it(site: Site) -> None:
    site.shop.run('WITH gone AS (DELETE FROM line) DELETE FROM "order"')
    [url] = links(site.get("/audit/record?table=order&key=1"), "Bring the row back")
    change = site.get(f"/audit/change?table=order&at={site.shop.place('order')}")
    assert links(change, "Bring the row back") == [url]
    page = site.get(url)
    assert "1 row + insert again order 1 id 1 tenant 1 note third secret pin" in text_of(page)
    [with_children] = links(page, "Bring back also what was deleted together with it")
    text = text_of(site.get(with_children))
    assert "2 rows + insert again order 1" in text and "+ insert again line 1" in text
    assert links(site.get(with_children), "Bring back the row alone") == [url]
    assert site.press(with_children).status_code == 303
    assert site.orders() == THIRD and site.shop.rows("SELECT * FROM line") == [(1, 1, "tea")]
    assert site.recorded()[0][3] == 2


def test_children_are_for_rows_that_are_gone(site: Site) -> None:
    assert "nothing can have been deleted" in site.get(f"{site.url()}&children=1", 400)
    site.shop.run("DELETE FROM line", 'DELETE FROM "order"')
    for condition in ("note = 'first'", "true"):
        assert "nothing can have been deleted" in site.get(f"{site.url(condition)}&children=1", 400)


def test_a_truncated_row_comes_back(site: Site) -> None:
    site.shop.run('TRUNCATE "order", line, order_tag')
    [url] = links(site.get("/audit/record?table=order&key=1"), "Bring the row back")
    [with_children] = links(site.get(url), "Bring back also what was deleted together with it")
    assert site.press(with_children).status_code == 303
    assert site.orders() == THIRD and site.shop.rows("SELECT * FROM line") == [(1, 1, "tea")]


def test_an_insert_is_undone(site: Site) -> None:
    at = site.shop.place("line")
    [url] = links(site.get(f"/audit/change?table=line&at={at}"), "Undo the insert")
    text = text_of(site.get(url))
    assert "1 row \N{MINUS SIGN} delete line 1 id 1 order_id 1 product tea" in text and "As it was after" not in text
    assert site.press(url).status_code == 303
    assert site.shop.rows("SELECT * FROM line") == []
    # To what it was after a delete: not there.
    [back] = links(site.get("/audit/record?table=line&key=1"), "Bring the row back")
    assert site.press(back).status_code == 303
    assert "\N{MINUS SIGN} delete line 1" in text_of(site.get(site.url("audit_operation = 'D'", "line")))


def test_looking_changes_nothing(site: Site) -> None:
    counts = "SELECT (SELECT count(*) FROM audit_transaction), (SELECT count(*) FROM order_audit)"
    before = site.shop.rows(counts)
    site.get(site.url("note = 'first'"))
    assert site.shop.rows(counts) == before and site.orders() == THIRD


def test_hostile_values_and_reasons(site: Site) -> None:
    site.shop.run(
        "UPDATE \"order\" SET note = '<b>x</b>' || U&'\\202E' || repeat('y', 50000)", "UPDATE \"order\" SET note = ''"
    )
    url = site.url("note LIKE '<b>%'")
    page = site.get(url)
    assert "&lt;b&gt;x&lt;/b&gt;⟨U+202E⟩" in page and "50,009 characters" in page and len(page) < 200_000
    assert "at most 1,000 characters" in site.press(url, reason="x" * 1001).text
    assert site.press(url, reason='<i>"\0').status_code == 303
    assert "<i>" not in site.get("/audit/")


# What is in the way


def test_what_was_changed_meanwhile_is_not_overwritten(site: Site) -> None:
    url = site.url("note = 'first'")
    fields = site.fields(url)
    site.shop.run('UPDATE "order" SET tenant = 2')
    answer = site.client.post(url, data={**fields, "reason": "because"})
    assert answer.status_code == 409
    text = text_of(answer.text)
    assert "Meanwhile something was changed, and nothing was written." in text and "tenant from 2 to 1" in text
    assert 'value="because"' in answer.text
    assert site.orders() == [(1, 2, "third", "pin")]
    assert site.recorded() == [("alice", "audit.do_revert", "1", 0)]
    again = site.client.post(url, data=form_of(url, answer.text))
    assert again.status_code == 303 and site.orders() == FIRST


def test_a_change_that_was_changed_back_counts(site: Site) -> None:
    """What would be written is the same; but somebody has been there."""
    url = site.url("note = 'first'")
    fields = site.fields(url)
    site.shop.run('UPDATE "order" SET tenant = 2', 'UPDATE "order" SET tenant = 1')
    assert site.client.post(url, data=fields).status_code == 409 and site.orders() == THIRD


def test_a_change_past_the_log_counts(site: Site) -> None:
    url = site.url("note = 'first'")
    fields = site.fields(url)
    site.shop.run('SET session_replication_role = replica; UPDATE "order" SET tenant = 2')
    assert site.client.post(url, data=fields).status_code == 409
    assert "something was written past the log" in text_of(site.get(url))
    assert site.press(url).status_code == 303 and site.orders() == FIRST


def test_a_form_is_good_for_one_time(site: Site) -> None:
    url = site.url("note = 'first'")
    fields = site.fields(url)
    assert [site.client.post(url, data=fields).status_code for _ in range(2)] == [303, 409]


def test_of_two_who_press_at_once_one_is_told(site: Site) -> None:
    url = site.url("note = 'first'")
    forms = {name: form_of(url, site.client.get(url, headers={"X-User": name}).text) for name in ("ann", "bob")}
    holder = create_engine(site.shop.app.config["SQLALCHEMY_DATABASE_URI"])
    codes: dict[str, int] = {}

    def press(name: str) -> None:
        client = site.shop.app.test_client()
        codes[name] = client.post(url, data=forms[name], headers={"X-User": name}).status_code

    with holder.connect() as connection:
        connection.exec_driver_sql('SELECT 1 FROM "order" FOR UPDATE')
        threads = [threading.Thread(target=press, args=[name]) for name in forms]
        for thread in threads:
            thread.start()
        connection.rollback()
    for thread in threads:
        thread.join()
    holder.dispose()
    assert sorted(codes.values()) == [303, 409] and site.orders() == FIRST


def test_a_row_that_is_locked_is_not_waited_for(site: Site) -> None:
    holder = create_engine(site.shop.app.config["SQLALCHEMY_DATABASE_URI"])
    with holder.connect() as connection:
        connection.exec_driver_sql('SELECT 1 FROM "order" FOR UPDATE')
        page = site.get(site.url("note = 'first'"))
    holder.dispose()
    assert "Somebody else is changing the row just now. Try again" in page and "fpa_token" not in page


def test_a_constraint_is_a_sentence(site: Site) -> None:
    at = site.shop.place("order", "note = 'first'")
    url = f"/audit/revert?table=order&key=1&before={at}"
    text = text_of(site.get(url))
    assert "It cannot be brought back" in text and "still referenced from table" in text and "line" in text
    site.shop.run("DELETE FROM line", 'DELETE FROM "order"')
    text = text_of(site.get(site.url("audit_operation = 'I'", "line")))
    assert 'violates foreign key constraint "line_order_id_fkey"' in text


def test_a_constraint_that_comes_meanwhile_is_one_too(site: Site) -> None:
    site.shop.run("DELETE FROM line")
    url = site.url("audit_operation = 'I'", "line")
    fields = site.fields(url)
    site.shop.run('DELETE FROM "order"')
    answer = site.client.post(url, data=fields)
    assert answer.status_code == 409 and "violates foreign key constraint" in answer.text
    as_json = site.client.post(url, data=fields, headers={"Accept": "application/json"})
    assert as_json.status_code == 409 and "violates foreign key" in as_json.text
    assert site.recorded() == [("alice", "audit.do_revert", "1", 0)] * 2


def test_what_was_not_recorded_cannot_be_brought_back(site: Site) -> None:
    site.shop.run(
        "SET session_replication_role = replica",
        "INSERT INTO \"order\" VALUES (2, 1, 'unseen')",
        "RESET session_replication_role",
        "UPDATE \"order\" SET note = 'seen' WHERE id = 2",
    )
    at = site.shop.place("order")
    text = text_of(site.get(f"/audit/revert?table=order&key=2&before={at}"))
    assert "the history begins later, with a change that does not tell what the row was before" in text


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("P0001", "The database refused it (hands off)."),
        ("42501", "The application's database role may not do that (hands off)."),
        ("40001", "Somebody else is changing the row just now. Try again (hands off)."),
        ("XX000", "The database refused it (hands off)."),
    ],
)
def test_what_a_trigger_says_is_a_sentence(site: Site, code: str, sentence: str) -> None:
    site.shop.run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION 'hands off' USING ERRCODE = '{code}'; END $$",
    )
    url = site.url("note = 'first'")
    fields = site.fields(url)
    site.shop.run('CREATE TRIGGER refuse BEFORE UPDATE ON "order" FOR EACH ROW EXECUTE FUNCTION refuse()')
    assert sentence in text_of(site.get(url))
    answer = site.client.post(url, data=fields)
    assert answer.status_code == 409 and sentence in text_of(answer.text)


def test_a_change_that_needs_a_name_is_refused_without(database: Database) -> None:
    with shop(database.url(), AUDIT_UI_REVERT=True, SECRET_KEY="test", AUDIT_REQUIRE_USERNAME=True) as made:
        made.audit.access_loader(lambda: Access(revert=True))
        made.run("SET audit.username = 'ann'; INSERT INTO \"order\" VALUES (1)", 'UPDATE "order" SET tenant = 1')
        page = made.get("revert", table="order", key="1", to=made.place("order", "audit_operation = 'I'"))
        assert "It cannot be brought back" in page and "audit.username" in page


@pytest.mark.parametrize("arguments", ["", "&to=x", "&to=1.1&before=1.1", "&to=9.9"])
def test_nonsense_is_refused(site: Site, arguments: str) -> None:
    status = 404 if arguments == "&to=9.9" else 400
    site.get(f"/audit/revert?table=order&key=1{arguments}", status)
    assert site.client.post(f"/audit/revert?table=order&key=1{arguments}").status_code == status


def test_a_version_of_another_record_is_none(site: Site) -> None:
    site.shop.run('INSERT INTO "order" VALUES (2)')
    at = site.shop.place("order")
    site.get(f"/audit/revert?table=order&key=1&to={at}", 404)
    site.get(f"/audit/revert?table=order&key=3&to={at}", 404)
    site.get(f"/audit/revert?table=line&key=1&to={at}", 404)


# Who may


def test_it_is_off_unless_switched_on(database: Database) -> None:
    with shop(database.url(), SECRET_KEY="test") as made:
        made.audit.access_loader(lambda: Access(revert=True))
        made.run('INSERT INTO "order" VALUES (1)', 'UPDATE "order" SET tenant = 1')
        record = made.get("record", table="order", key="1")
        assert "Bring" not in record
        url = f"/audit/revert?table=order&key=1&to={made.place('order')}"
        for answer in (made.client.get(url), made.client.post(url)):
            assert answer.status_code == 403 and "switched off" in answer.text


@pytest.mark.parametrize("access", [Access(), Access(read=False, revert=True), None])
def test_who_may_not_is_not_offered_it(site: Site, access: Access | None) -> None:
    url = site.url("note = 'first'")
    fields = site.fields(url)
    site.allow(access)
    assert "Bring" not in site.client.get("/audit/record?table=order&key=1").text
    for answer in (site.client.get(url), site.client.post(url, data=fields)):
        assert answer.status_code == 403 and "You may not" in answer.text
    as_json = site.client.post(url, data=fields, headers={"Accept": "application/json"})
    assert as_json.status_code == 403 and '"error":"You may not' in as_json.text
    assert site.orders() == THIRD and site.recorded() == []


def test_the_opening_for_debugging_does_not_revert(database: Database) -> None:
    with shop(database.url(), SECRET_KEY="test", AUDIT_UI_REVERT=True, AUDIT_UI_OPEN_IN_DEBUG=True) as made:
        made.audit._callbacks.access_loader = None
        made.app.debug = True
        made.run('INSERT INTO "order" VALUES (1)')
        assert "Bring" not in made.get("record", table="order", key="1")
        made.get("revert", 403, table="order", key="1", to=made.place("order"))


def own(query: Select[Any], table: Table) -> Select[Any]:
    return query.where(query.selected_columns.tenant == 1) if table.name == "order" else query


def test_in_scope_it_works(site: Site) -> None:
    site.allow(Access(revert=True, scope=own))
    url = site.url("note = 'first'")
    answer = site.press(url)
    assert answer.status_code == 303 and site.orders() == FIRST
    assert "Done:" in site.get(answer.location)


def test_versions_and_rows_out_of_scope_are_not_there(site: Site) -> None:
    site.shop.run("UPDATE \"order\" SET tenant = 2, note = 'theirs'")
    mine, theirs = site.url("note = 'first'"), site.url("note = 'theirs'")
    forms = {url: site.fields(url) for url in (mine,)}
    site.allow(Access(revert=True, scope=own))
    for url in (mine, theirs):
        assert "theirs" not in site.get(url, 404)
    assert site.client.post(mine, data=forms[mine]).status_code == 404
    site.shop.run('UPDATE "order" SET tenant = 1')
    site.get(theirs, 404)  # the row is in scope, the version is not
    assert site.client.post(theirs).status_code == 404
    assert site.orders() == [(1, 1, "theirs", "pin")]


def test_a_row_that_leaves_the_scope_meanwhile_is_left_alone(site: Site) -> None:
    """Between the look at the version and the lock."""
    site.allow(Access(revert=True, scope=own))
    url = site.url("note = 'first'")
    fields = site.fields(url)
    holder = create_engine(site.shop.app.config["SQLALCHEMY_DATABASE_URI"])
    codes = []
    with holder.connect() as connection:
        connection.exec_driver_sql('UPDATE "order" SET tenant = 2')
        thread = threading.Thread(
            target=lambda: codes.append(site.shop.app.test_client().post(url, data=fields).status_code)
        )
        thread.start()
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        while not site.shop.rows(waiting)[0][0]:
            pass
        connection.commit()
    thread.join()
    holder.dispose()
    assert codes == [404] and site.orders() == [(1, 2, "third", "pin")]


def test_a_row_that_is_not_as_the_log_has_it_may_be_anybodys(site: Site) -> None:
    site.shop.run("SET session_replication_role = replica; UPDATE \"order\" SET tenant = 2, secret = 'theirs'")
    site.allow(Access(revert=True, scope=own))
    page = site.get(site.url("note = 'first'"))
    assert "cannot be told whether it is yours" in page and "theirs" not in page and "fpa_token" not in page


def test_who_does_not_see_everything_is_not_told_what_the_database_says(site: Site) -> None:
    site.allow(Access(revert=True, tables=lambda table: table.name == "order"))
    at = site.shop.place("order", "note = 'first'")
    page = site.get(f"/audit/revert?table=order&key=1&before={at}")
    assert "stands in the way" in page and "line" not in text_of(page)


def test_a_hidden_table_is_not_there(site: Site) -> None:
    url = site.url("note = 'first'")
    fields = site.fields(url)
    site.allow(Access(revert=True, tables=lambda table: table.name != "order"))
    site.get(url, 404)
    assert site.client.post(url, data=fields).status_code == 404 and site.orders() == THIRD


def test_a_hidden_column_is_neither_shown_nor_written(site: Site) -> None:
    first = site.url("note = 'first'")
    site.shop.run("UPDATE \"order\" SET secret = 'other'")
    other = site.url("note = 'third' AND secret = 'other'")
    fields = site.fields(first)
    site.allow(Access(revert=True, columns=lambda table, name: name != "secret"))
    page = site.get(first)
    assert "A column would change that you may not see" in page
    assert "secret" not in page and "other" not in page and "fpa_token" not in page
    answer = site.client.post(first, data=fields)
    assert answer.status_code == 409 and "that you may not see" in answer.text
    site.shop.run("UPDATE \"order\" SET note = 'fourth'")
    assert site.press(other).status_code == 303  # the hidden one stays as it is
    assert site.orders() == [(1, 1, "third", "other")]


def test_rows_with_a_hidden_column_are_neither_inserted_nor_deleted(site: Site) -> None:
    site.shop.run("DELETE FROM line")
    at = site.shop.place("order", "note = 'first'")
    site.allow(Access(revert=True, columns=lambda table, name: name != "secret"))
    assert "that you may not see" in site.get(f"/audit/revert?table=order&key=1&before={at}")
    site.shop.run('DELETE FROM "order"')
    assert "that you may not see" in site.get(site.url("note = 'third' AND audit_operation = 'U'"))


def test_a_hidden_key_is_no_record(site: Site) -> None:
    site.allow(Access(revert=True, columns=lambda table, name: name != "id"))
    site.get(site.url("note = 'first'"), 404)
    change = site.get(f"/audit/change?table=order&at={site.shop.place('order')}")
    assert "Bring" not in change


# What is recorded of it


def test_what_cannot_be_recorded_is_not_done(site: Site) -> None:
    url = site.url("note = 'first'")
    fields = site.fields(url)
    site.shop.run("DROP TABLE audit_view")
    answer = site.client.post(url, data=fields)
    assert answer.status_code == 503 and "flask audit install" in answer.text
    assert site.orders() == THIRD


def test_it_can_be_done_unrecorded(database: Database) -> None:
    with shop(database.url(), SECRET_KEY="test", AUDIT_UI_REVERT=True, AUDIT_LOG_VIEWS=False) as made:
        made.audit.access_loader(lambda: Access(revert=True))
        made.run('INSERT INTO "order" VALUES (1, 1)', 'UPDATE "order" SET tenant = 2')
        site = Site(made, made.client)
        assert site.press(site.url("tenant = 1")).status_code == 303
        assert site.orders() == [(1, 1, None, None)]
