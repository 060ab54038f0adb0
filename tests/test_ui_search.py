"""The search: what every documented form finds, what is said of mistakes, and that no text whatever breaks it."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    Connection,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Text,
    Uuid,
    create_engine,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON

from flask_pg_audit import Access, install_audit_triggers
from flask_pg_audit.history.feed import places, read_places
from flask_pg_audit.history.filter import ChangeFilter
from flask_pg_audit.history.recorded import RecordedTable, read_recorded_tables, recorded_tables
from flask_pg_audit.history.transactions import read_page
from flask_pg_audit.ui.search import MAX_LENGTH, NAMES, Form, Query, Term, form_of, parse
from flask_pg_audit.ui.search.scan import scan
from tests.capture import audited_table, column
from tests.documentation import ROOT
from tests.server import DatabaseServer

EXAMPLES = int(os.environ.get("AUDIT_TEST_EXAMPLES", "40"))

UTC = datetime.timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime.datetime(2026, 2, 6, 12, tzinfo=UTC)

HISTORY: list[tuple[str, dict[str, Any], str]] = [
    (
        "2026-01-01T10:00Z",
        {"username": "alice"},
        """INSERT INTO "order" VALUES (7, 'Ada', 'free', 5, NULL, '\\x4d6f6e646179', '{}')""",
    ),
    (
        "2026-01-31T10:00Z",
        {
            "username": "bob",
            "actor_id": "42",
            "context": '{"request_id": "r-2", "remote_addr": "203.0.113.9", "path": "/orders/7", '
            '"endpoint": "orders.update", "reason": "called in"}',
        },
        """UPDATE "order" SET plan = 'pro', note = 'deliver on Monday'""",
    ),
    ("2026-01-31T23:30Z", {}, """UPDATE "order" SET price = 2.5"""),
    ("2026-02-03T10:00Z", {"username": "nobody"}, "INSERT INTO line VALUES (7, 1, '50% off_\\ \"x\"')"),
    ("2026-02-05T10:00Z", {"username": "alice"}, """DELETE FROM "order" """),
    ("2026-02-06T10:20Z", {"username": "two words"}, "TRUNCATE line"),
    ("2026-02-06T11:00Z", {"username": "alice"}, "INSERT INTO line VALUES (7, 1, '-x'), (7, 2, 'http://example.org')"),
    (
        "2026-02-06T11:30Z",
        {"username": "carol"},
        """INSERT INTO "order" VALUES (8, 'null', NULL, NULL, '', NULL, '{"say": "hi"}')""",
    ),
    ("2026-02-06T11:40Z", {}, """INSERT INTO "s p"."we""ird" VALUES (1, 'say "hi"')"""),
]
#: The row of ``audit_transaction`` is deleted.
WITHOUT_TRANSACTION = 7
BASELINE = 8


def declare() -> MetaData:
    metadata = MetaData()
    audited_table(
        metadata,
        "order",
        column("id", Integer, primary_key=True),
        column("customer", Text),
        column("plan", String(10)),
        column("price", Numeric(8, 2)),
        column("note", Text),
        column("photo", LargeBinary),
        column("data", JSON),
    )
    audited_table(
        metadata,
        "line",
        column("order_id", Integer, primary_key=True),
        column("number", SmallInteger, primary_key=True),
        column("product", Text),
    )
    audited_table(metadata, 'we"ird', column("two words", Integer), column("a:b%c", Text), schema="s p")
    audited_table(
        metadata,
        "event",
        column("id", Uuid, primary_key=True),
        column("day", Date, primary_key=True),
        column("at", DateTime(timezone=True), primary_key=True),
        column("tags", ARRAY(Text)),
    )
    return metadata


@dataclass
class Log:
    """A history to search in."""

    connection: Connection
    tables: tuple[RecordedTable, ...]

    def parse(self, text: str, zone: ZoneInfo = BERLIN) -> Query:
        return parse(text, self.tables, zone, NOW)

    def find(self, text: str, zone: ZoneInfo = BERLIN) -> str:
        """The transactions of the changes that ``text`` finds, in order."""
        query = self.parse(text, zone)
        assert query.errors == (), text
        return self.run(query.where)

    def run(self, where: ChangeFilter) -> str:
        found = read_places(self.connection, places(self.tables, where, limit=100))
        grouped = read_page(self.connection, self.tables, where, None, None, 100)
        ids = [place.transaction_id for _, place in found]
        assert list(dict.fromkeys(ids)) == [transaction.id for transaction in grouped.transactions]
        assert len(ids) == sum(transaction.count for transaction in grouped.transactions)
        return " ".join(map(str, reversed(ids)))

    def hidden(self, table: str, *columns: str) -> Log:
        """As somebody sees it to whom these are not shown; the whole table without ``columns``."""
        access = Access(
            tables=lambda shown: bool(columns) or shown.key != table,
            columns=lambda shown, name: shown.key != table or name not in columns,
        )
        return Log(self.connection, access.visible(self.tables))


@pytest.fixture(scope="module")
def log(server: DatabaseServer, template: str) -> Iterator[Log]:
    metadata = declare()
    with server.database(template) as database:
        engine = create_engine(database.url())
        with engine.begin() as connection:
            connection.execute(text('CREATE SCHEMA "s p"'))
            metadata.create_all(connection)
            install_audit_triggers(metadata, connection)
        for number, (at, who, statement) in enumerate(HISTORY, 1):
            with engine.begin() as connection:
                act(connection, metadata, number, at, who, statement)
        with engine.connect() as connection:
            yield Log(connection, read_recorded_tables(connection, metadata))
        engine.dispose()


def act(connection: Connection, metadata: MetaData, number: int, at: str, who: dict[str, Any], statement: str) -> None:
    for name, value in who.items():
        connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": f"audit.{name}", "value": value})
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    instant = datetime.datetime.fromisoformat(at.replace("Z", "+00:00"))
    connection.execute(text("SELECT audit_begin_maintenance('a test')"))
    connection.execute(
        text("UPDATE audit_transaction SET issued_at = :at WHERE id = :id"), {"at": instant, "id": number}
    )
    for table in ('"order_audit"', "line_audit", '"s p"."we""ird_audit"'):
        connection.execute(
            text(f"UPDATE {table} SET audit_operation_timestamp = :at WHERE audit_transaction_id = :id"),
            {"at": instant, "id": number},
        )
    if number == WITHOUT_TRANSACTION:
        connection.execute(text("DELETE FROM audit_transaction WHERE id = :id"), {"id": number})
    if number == BASELINE:
        connection.execute(
            text("UPDATE order_audit SET audit_operation = 'S' WHERE audit_transaction_id = :id"), {"id": number}
        )


ALL = "1 2 3 4 5 6 7 7 8 9"

#: Every form that the documentation shows, and which transactions it finds.
DOCUMENTED = {
    "actor:alice": "1 5",
    'actor:"two words"': "6",
    'new.customer:"say ""hi"""': "",
    "op:update,delete": "2 3 5",
    "op:update op:delete": "2 3 5",
    "-op:update": "1 4 5 6 7 7 8 9",
    "-op:update,delete": "1 4 6 7 7 8 9",
    "Monday": "2 3 5",
    '"on Monday"': "2 3 5",
    "deliver Monday": "2 3 5",
    '"http://example.org"': "7",
    '"-x"': "7",
    "-Monday": "1 4 6 7 7 8 9",
    "actor:nobody": "3 9",
    'actor:"nobody"': "4",
    "actor-id:42": "2",
    "actor-id:nobody": "1 3 4 5 6 8 9",
    "role:app": "",
    "request:r-2": "2",
    "transaction:4": "4",
    "ip:203.0.113.9": "2",
    "path:/orders/7": "2",
    "endpoint:orders.update": "2",
    'reason:"called in"': "2",
    "table:order": "1 2 3 5 8",
    "-table:order": "4 6 7 7 9",
    "table:order key:7": "1 2 3 5",
    "table:line key:7,1": "4 7",
    "op:insert": "1 4 7 7 9",
    "op:U": "2 3",
    "changed:note": "2",
    "changed:order.note": "2",
    "changed:note,price": "2 3",
    "new.plan:pro": "2 3",
    "old.plan:free": "2",
    "old.plan:free new.plan:pro": "2",
    "new.note:null": "1",
    'new.customer:"null"': "8",
    'new.note:""': "8",
    "new.price:2.50": "3",
    'new."two words":1': "9",
    "at:2026-01-31": "2",
    "at:2026-01": "1 2",
    "at:2026-01-31T11:00": "2",
    "at:2026-01-31T11:00:00": "2",
    'at:"2026-01-31 11:00"': "2",
    "at:2026-01-31T10:00Z": "2",
    "at:2026-01-31T05:00-05:00": "2",
    "at:2026-01-01..2026-01-31": "1 2",
    "at:2026-02-01..": "3 4 5 6 7 7 8 9",
    "at:..2026-01-31": "1 2",
    "at:today": "6 7 7 8 9",
    "at:yesterday": "5",
    "at:last-7-days": "2 3 4 5 6 7 7 8 9",
    "at:last-24-hours": "6 7 7 8 9",
    "at:last-90-minutes": "7 7 8 9",
    "at:..yesterday": "1 2 3 4 5",
}

#: More than the documentation shows.
FOUND = {
    "": ALL,
    "\t \u3000": ALL,
    "monday": "2 3 5",
    "ADA": "1 2 3 5",
    "off_\\": "4",
    "of_": "",
    "50%": "4",
    "5%": "",
    "deliver pro": "2 3 5",
    "deliver free": "",
    'say "hi"': "8 9",
    '"say ""hi"""': "9",
    'say""': "",
    "4d6f6e": "",
    '-"on Monday" -off_': "1 6 7 7 8 9",
    "--x": "1 2 3 4 5 6 7 8 9",
    "-": "7",
    "actor:alice,bob": "1 2 5",
    "actor:bob,nobody": "2 3 9",
    "actor:bob actor:nobody": "2 3 9",
    "-actor:alice": "2 3 4 6 7 7 8 9",
    "-actor:nobody": "1 2 4 5 6 7 7 8",
    '-actor:"nobody"': "1 2 3 5 6 7 7 8 9",
    "-actor:alice,nobody -actor:bob": "4 6 7 7 8",
    "-actor-id:nobody": "2 7 7",
    "-ip:203.0.113.9": "1 3 4 5 6 7 7 8 9",
    "-request:r-2": "1 3 4 5 6 7 7 8 9",
    "actor:alice -op:delete": "1",
    "table:order,line": "1 2 3 4 5 6 7 7 8",
    "table:order -table:order": "",
    '-table:order,line,event,"s p.we""ird"': "",
    'table:"s p.we""ird"': "9",
    'new."a:b%c":"say ""hi"""': "9",
    "table:order -key:7": "8",
    "table:order key:7 key:8": "1 2 3 5 8",
    "table:line key:7,2": "7",
    "table:event key:12345678-1234-5678-1234-567812345678,2026-01-01,2026-01-01T00:00+23:59": "",
    "table:order table:line -changed:note": "1 3 4 5 6 7 7 8",
    "-changed:order.note op:update": "3",
    "changed:plan,product": "2",
    "-new.note:null": "2 3 4 5 6 7 7 8 9",
    "-old.plan:free": "1 3 4 5 6 7 7 8 9",
    "new.plan:pro,null": "2 3 8",
    "old.note:null": "2",
    "old.plan:pro op:delete": "5",
    "new.price:abc": "",
    "new.price:2.5": "",
    'new.data:"{""say"": ""hi""}"': "8",
    "new.data:null": "",
    "op:s": "8",
    "op:baseline,T": "6 8",
    "transaction:4,5": "4 5",
    "transaction:9223372036854775807": "",
    "-transaction:4": "1 2 3 5 6 7 7 8 9",
    "-at:2026-02": "1 2",
    "at:2026-01-01,2026-02-05": "1 5",
    "at:2026-02-06T10:20Z..2026-02-06T11:00Z": "6 7 7",
    "at:last-6-days": "3 4 5 6 7 7 8 9",
    "at:last-1-day": "6 7 7 8 9",
    "at:yesterday..today": "5 6 7 7 8 9",
    "at:2026-01-31T11:00:00.000": "2",
    "at:2026-01-31T11:00:00.000001": "",
    "role:postgres,app": ALL,
}


@pytest.mark.parametrize("query", DOCUMENTED)
def test_documented_forms(log: Log, query: str) -> None:
    assert log.find(query) == DOCUMENTED[query]


def test_every_form_in_the_documentation_is_tested() -> None:
    shown = re.findall(r"^\| `(.+?)` \| [^|]+ \|$", (ROOT / "docs" / "search.md").read_text(), re.MULTILINE)
    assert set(shown) == set(DOCUMENTED) and len(shown) >= len(DOCUMENTED)
    assert {name.replace("COLUMN", "") for name in NAMES} <= {
        match[0] for form in shown for match in re.finditer(r"(?<![\w.\"])[a-z-]+(?:(?=:)|\.)", form)
    }


@pytest.mark.parametrize("query", FOUND)
def test_what_is_found(log: Log, query: str) -> None:
    assert log.find(query) == FOUND[query]


MISTAKES = {
    "foo:bar": ("foo:bar", "there is no condition 'foo'; there are: actor, actor-id, table, ", None),
    "x actr:alice y": ("actr:alice", "there is no condition 'actr'; did you mean actor? There are: ", "actor"),
    "Actor:alice": ("Actor:alice", "did you mean actor?", "actor"),
    "http://example.org": ("http://example.org", "Text with a colon is written in quotes", None),
    "new:x": ("new:x", "new is followed by a column: new.COLUMN:VALUE", "new.COLUMN"),
    "new.:x": ("new.:x", "there is no column ''", None),
    "table:ordr": (
        "table:ordr",
        "there is no table 'ordr'; did you mean order? There are: event, line, order, ",
        "order",
    ),
    "-table:ordr": ("-table:ordr", "there is no table 'ordr'", "order"),
    "table:order_audit": ("table:order_audit", "there is no table 'order_audit'", "order"),
    "op:updat": ("op:updat", "there is no operation 'updat'; did you mean update? There are: insert (I), ", "update"),
    "op:update,x": ("op:update,x", "there is no operation 'x'", None),
    "changed:notes": ("changed:notes", "there is no column 'notes'; did you mean note?", "note"),
    "changed:line.note": ("changed:line.note", "there is no column 'line.note'", "note"),
    "table:line new.note:x": ("new.note:x", "there is no column 'note'; ", None),
    "table:line -changed:note": ("-changed:note", "there is no column 'note'", None),
    "new.note:x new.product:y": ("new.product:y", "no table has both this and what the other terms ask for", None),
    "table:order changed:line.product": ("changed:line.product", "there is no column 'line.product'", None),
    "key:7": ("key:7", "a key is that of one table; name it: table:NAME key:VALUE", None),
    "table:order,line key:7": ("key:7", "a key is that of one table", None),
    "table:order key:7,1": ("key:7,1", 'is no key of "order", whose primary key is id', None),
    "table:order key:seven": ("key:seven", "'seven' is no int, as order.id is", None),
    "table:order key:2147483648": ("key:2147483648", "2147483648 is too large for order.id", None),
    "table:line key:7,-32769": ("key:7,-32769", "-32769 is too large for line.number", None),
    'table:"s p.we""ird" key:1': ("key:1", "have no key to find them by", None),
    "table:event key:12345678-1234-5678-1234-567812345678,2026-01-01,0001-01-01T00:00+23:59": (
        "key:12345678-1234-5678-1234-567812345678,2026-01-01,0001-01-01T00:00+23:59",
        "is too early or too late",
        None,
    ),
    "transaction:x": ("transaction:x", "'x' is no transaction; it is a whole number from 0 to ", None),
    "transaction:9223372036854775808": ("transaction:9223372036854775808", "is no transaction", None),
    "transaction:\u0661": ("transaction:\u0661", "is no transaction", None),
    "at:x": ("at:x", "'x' is no time; a time is 2026-01-31, ", None),
    "at:2026-02-30": ("at:2026-02-30", "'2026-02-30' is not in the calendar: ", None),
    "at:2026-13": ("at:2026-13", "is not in the calendar", None),
    "at:2026-01-01T24:00": ("at:2026-01-01T24:00", "is not in the calendar", None),
    "at:2026-01-01T10:00+24:00": ("at:2026-01-01T10:00+24:00", "is not in the calendar", None),
    "at:2026-01-01T10:00+01:60": ("at:2026-01-01T10:00+01:60", "an hour has 60 minutes", None),
    "at:0001-01-01": ("at:0001-01-01", "years are 1900 to 9998", None),
    "at:9999-12-31": ("at:9999-12-31", "years are 1900 to 9998", None),
    "at:..": ("at:..", "a range has a beginning or an end", None),
    "at:2026-01-02..2026-01-01": ("at:2026-01-02..2026-01-01", "2026-01-02 is not before 2026-01-01", None),
    '""': ('""', "there is no text to search for between the quotes", None),
    "actor: alice": ("actor:", 'a value is missing; the empty text is written ""', None),
    "op:update, op:delete": ("op:update,", "a value is missing", None),
    "op:,update x": ("op:,update", "a value is missing", None),
    'a "b c': ('"b c', "the quotation is not closed", None),
    'a actor:"b c ': ('actor:"b c ', "the quotation is not closed", None),
    'a "b"c"d e': ('"b"c"d', "after a closing quote comes a space or a comma", None),
    'actor:"b"c d': ('actor:"b"c', "after a closing quote comes a space or a comma", None),
    "a\0b c": ("a\0b", "there is a character that PostgreSQL keeps in no text", None),
    'actor:"\ud800"': ('actor:"\ud800"', "there is a character that PostgreSQL keeps in no text", None),
}


@pytest.mark.parametrize("query", MISTAKES)
def test_mistakes_point_at_the_term_and_say_what_is_allowed(log: Log, query: str) -> None:
    source, message, suggestion = MISTAKES[query]
    found = log.parse(query)
    [mistake] = found.errors
    assert mistake.source == query[mistake.start : mistake.end] == source
    assert message in mistake.message
    assert mistake.suggestion == suggestion
    assert log.parse(str(found)) == found
    log.run(found.where)


def test_what_is_right_beside_a_mistake_is_still_searched_for(log: Log) -> None:
    query = log.parse("actor:bob foo:bar op:update")
    assert [str(term) for term in query.terms] == ["actor:bob", "op:update"] and log.run(query.where) == "2"
    assert [query.text[term.start : term.end] for term in query.terms] == ["actor:bob", "op:update"]


def test_a_query_is_not_too_long(log: Log) -> None:
    assert log.parse("x" * MAX_LENGTH).errors == ()
    query = log.parse("op:update " * 200 + "x")
    [mistake] = query.errors
    assert (mistake.message, mistake.start, mistake.end) == (
        "the query has 2,001 characters; it may have 2,000",
        0,
        2001,
    )
    assert query.terms == () and query.where == ChangeFilter()


@pytest.mark.parametrize("text", ["a " * 49 + "b cd  e", "op:" + "I," * 48 + "I b cd  e", '"" ' * 49 + "b cd  e"])
def test_a_query_has_not_too_many_terms(log: Log, text: str) -> None:
    query = log.parse(text)
    mistake = query.errors[-1]
    assert mistake.source == "cd  e" and "a query may have 50 terms, each value counts" in mistake.message
    assert log.parse(str(query)) == query


def test_long_lists_of_what_is_allowed_are_cut(log: Log) -> None:
    metadata = MetaData()
    for number in range(30):
        audited_table(metadata, f"t{number}", column("id", Integer, primary_key=True))
    [mistake] = parse("table:x", recorded_tables(metadata), BERLIN, NOW).errors
    assert mistake.message.endswith(", t25, t26 and 10 more")


@pytest.mark.parametrize("query", ["x", "op:insert", "table:order", "changed:note", "key:1", "-table:order", "-x"])
def test_somebody_who_sees_no_table(query: str) -> None:
    assert parse(query, (), BERLIN, NOW).text == query


# Times


@pytest.mark.parametrize(
    ("query", "since", "until"),
    [
        ("at:2026-03-29", "2026-03-28T23:00", "2026-03-29T22:00"),  # 23 hours
        ("at:2026-10-25", "2026-10-24T22:00", "2026-10-25T23:00"),  # 25 hours
        ("at:2026-12", "2026-11-30T23:00", "2026-12-31T23:00"),
        ("at:2024-02", "2024-01-31T23:00", "2024-02-29T23:00"),
        ("at:2026-10-25T02:30", "2026-10-25T00:30", "2026-10-25T01:31"),  # shown twice
        ("at:2026-10-25T02:30+01:00", "2026-10-25T01:30", "2026-10-25T01:31"),
        ("at:2026-10-25T02:30..2026-10-25T02:30", "2026-10-25T00:30", "2026-10-25T01:31"),
        ("at:2026-01-01T00:00:00.5Z", "2026-01-01T00:00:00.500", "2026-01-01T00:00:00.600"),
        ("at:today", "2026-02-05T23:00", "2026-02-06T23:00"),
        ("at:yesterday", "2026-02-04T23:00", "2026-02-05T23:00"),
        ("at:last-1-days", "2026-02-05T23:00", None),
        ("at:last-2-hours", "2026-02-06T10:00", None),
        ("at:last-9999-days", "1998-09-22T22:00", None),
        ("at:..today", None, "2026-02-06T23:00"),
    ],
)
def test_times_are_those_of_the_readers_zone(log: Log, query: str, since: str | None, until: str | None) -> None:
    def utc(text: str | None) -> datetime.datetime | None:
        return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None

    assert log.parse(query).where == ChangeFilter(since=utc(since), until=utc(until))


def test_a_day_depends_on_where_the_reader_is(log: Log) -> None:
    assert log.find("at:2026-01-31", ZoneInfo("UTC")) == "2 3"
    assert log.find("at:2026-02-01", BERLIN) == "3"
    assert log.find("at:2026-02-06", ZoneInfo("Pacific/Kiritimati")) == "5"
    midnight_that_is_not = log.parse("at:2018-11-04", ZoneInfo("America/Sao_Paulo")).where
    assert midnight_that_is_not.since == datetime.datetime(2018, 11, 4, 3, tzinfo=UTC)


# What is hidden


def test_what_is_hidden_is_neither_found_nor_told_from_what_does_not_exist(log: Log) -> None:
    masked = log.hidden("order", "note", "id")
    assert masked.find("Monday") == "" and masked.find("Ada changed:price") == "3"
    for query in ("changed:{}", "changed:order.{}", "new.{}:x", "-old.{}:x"):
        [mistake] = masked.parse(query.format("note")).errors
        [other] = masked.parse(query.format("nxte")).errors
        assert mistake.message == other.message.replace("nxte", "note")
    [mistake] = masked.parse("table:order key:7").errors
    assert mistake.message == 'the records of "order" have no key to find them by'
    unseen = log.hidden("order")
    assert unseen.find("Monday") == "" and unseen.find("-op:insert") == "6"
    for query in ("table:order", "changed:order.note", "new.plan:x", "foo:x", "op:x", "at:x", "key:7"):
        [mistake] = unseen.parse(query).errors
        named = mistake.message.replace(query.partition(":")[2], "").replace("plan", "", 1)
        assert not re.search(r"\border\b|note|plan|customer", named), named


# URLs


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('  actor:"alice"\t  op:"update","delete" ', "actor:alice op:update,delete"),
        ('"word" "-x" -"-x" "two words" "a:b" """a"', 'word "-x" --x "two words" "a:b" """a"'),
        (
            'actor:"nobody" actor:nobody new.note:"null" new.note:null',
            'actor:"nobody" actor:nobody new.note:"null" new.note:null',
        ),
        ('actor:"null" reason:"nobody" "nobody"', "actor:null reason:nobody nobody"),
        ('path:"a:b" path:"a,b" path:"""" path:""', 'path:a:b path:"a,b" path:"""" path:""'),
        ('new."note":x', "new.note:x"),
        ('new."two words":1  new."a:b%c":2', 'new."two words":1 new."a:b%c":2'),
        ("foo:bar   x", "foo:bar x"),
        ('5" 6"', '5" 6"'),
    ],
)
def test_the_shortest_text_of_a_query(log: Log, text: str, canonical: str) -> None:
    query = log.parse(text)
    assert str(query) == canonical
    assert log.parse(str(query)) == query


def test_links_to_other_queries(log: Log) -> None:
    query = log.parse('actor:alice x -op:update foo:bar x "a')
    actor, x, op, _ = query.terms
    assert query.without(actor) == 'x -op:update foo:bar x "a'
    assert query.without(x) == 'actor:alice -op:update foo:bar "a'
    assert query.without(Term("actor", ("alice",))) == query.without(actor)
    assert query.with_term("op", "insert") == 'op:insert actor:alice x foo:bar x "a'
    assert query.with_term("actor", None) == 'actor:nobody x -op:update foo:bar x "a'
    assert query.with_term("actor", "nobody").startswith('actor:"nobody" x')
    assert query.with_term("", "two words") == '"two words" actor:alice x -op:update foo:bar x "a'
    assert query.with_term("", "x") == 'x actor:alice -op:update foo:bar "a'
    assert log.parse("").with_term("new.two words", "a,b") == 'new."two words":"a,b"'
    assert query.without(op) != str(query) == query.text


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("", Form()),
        ("actor:alice table:order op:U", Form(actor="alice", table="order", op="update")),
        ("actor:nobody", Form(actor="nobody")),
        ('actor:"nobody"', Form(rest='actor:"nobody"')),
        ('actor:"two words"', Form(actor="two words")),
        ("actor:a,b -table:line op:I op:D", Form(rest="actor:a,b -table:line op:I op:D")),
        ("actor:a -actor:b", Form(actor="a", rest="-actor:b")),
        ("at:2026-01-01", Form(since="2026-01-01", until="2026-01-01")),
        ("at:2026-01-01..2026-01-02", Form(since="2026-01-01", until="2026-01-02")),
        ("at:2026-01-01..", Form(since="2026-01-01")),
        ("at:..2026-01-01", Form(until="2026-01-01")),
        ("at:today at:2026-01-01T10:00", Form(rest="at:today at:2026-01-01T10:00")),
        ("at:last-7-days", Form(rest="at:last-7-days")),
        ('x "a b" -y "a:b" "-z" """q"', Form(text='x "a b" a:b -z """q"', rest="-y")),
        ('foo:x x "a', Form(text="x", rest='foo:x "a')),
    ],
)
def test_a_form_shows_a_query_and_writes_it(log: Log, text: str, form: Form) -> None:
    query = log.parse(text)
    assert form_of(query) == form
    again = log.parse(str(form))
    assert sorted(map(str, again.terms)) == sorted(map(str, query.terms)) or text == "actor:alice table:order op:U"
    assert (log.run(again.where), again.errors) == (log.run(query.where), query.errors)


def test_a_control_takes_the_place_of_what_it_does_not_show(log: Log) -> None:
    form = form_of(log.parse('actor:a,b at:last-7-days -op:delete x role:app "a'))
    filled = replace(form, actor="two words", until="2026-01-31", op="insert")
    assert str(filled) == 'actor:"two words" op:insert at:..2026-01-31 x -op:delete role:app "a'


# Anything else

#: Occurs in no name.
WORDS = [
    "Zq9",
    "nobody",
    "null",
    "7",
    "today",
    "2026-01-31",
    "..",
    "update",
    "order",
    "note",
    "%",
    "_",
    "\\",
    "''",
    "%s",
]
VALUES = st.sampled_from(WORDS) | st.integers(-(2**70), 2**70).map(str)
COLUMNS = ["note", "price", "data", "photo", '"a:b%c"', "x"]
WRITTEN_NAMES = st.sampled_from([name.replace("COLUMN", column) for name in NAMES for column in COLUMNS])
SIGNS = [" ", " ", ":", ",", "-", '"', '""', ".", "(", ")", "\0", "\ud800", "\n", "table:order key:"]
PIECES = st.one_of(
    st.sampled_from(SIGNS),
    WRITTEN_NAMES.map(lambda name: name + ":"),
    st.tuples(WRITTEN_NAMES, VALUES).map(lambda pair: f" {pair[0]}:{pair[1]} "),
    VALUES,
    st.text(st.characters(), max_size=4),
)
TEXTS = st.lists(PIECES, max_size=30).map("".join) | st.text(st.characters())


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS)
@example("(" * MAX_LENGTH)
@example("%_\\" * 600)
@example("a " * 50)
@example(" ".join(f"-{c}" for c in "abcdefghijklmnopqrstuvwxyz"))
@example("at:" + ",".join(["today"] * 50))
@example("new.price:9e999999999 new.data:{ old.photo:x")
@example("-table:order -table:line")
@example('actor:"\n" path:"\r" "\t"')
@example('table:order key:"\n"')
@example('table:order key:"\r","')
def test_no_text_breaks_the_search(log: Log, text: str) -> None:
    query = log.parse(text)
    spans = sorted([(t.start, t.end) for t in query.terms] + [(e.start, e.end) for e in query.errors])
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert log.parse(str(query)) == query and len(str(query)) <= max(len(text), 1)
    assert str(log.parse(str(query))) == str(query)
    for term in query.terms:
        assert term not in log.parse(query.without(term)).terms
    assert log.parse(str(form_of(query))).where is not None
    assert "Zq9" not in str(places(log.tables, query.where).compile(log.connection))
    log.run(query.where)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(["", "actor", "path", "new.two words", 'new."', "new.a:b"]), st.text(st.characters()) | VALUES)
def test_a_term_is_read_as_it_was_written(log: Log, name: str, value: str) -> None:
    [token] = scan(str(Term(name, (value,))))
    assert (token.name, [found.text for found in token.values], token.problem) == (name, [value], None)


HOSTILE = 'Zq9\'); DROP TABLE "order"; --%(x)s%s:y'


@pytest.mark.parametrize("name", ["", *(name.replace("COLUMN", "note") for name in NAMES)])
@pytest.mark.parametrize("sign", ["", "-"])
def test_values_are_bound(log: Log, name: str, sign: str) -> None:
    query = log.parse(sign + str(Term(name, (HOSTILE,))))
    if query.errors:
        assert name in ("table", "op", "changed", "key", "at", "transaction")
        return
    compiled = places(log.tables, query.where).compile(log.connection)
    assert "Zq9" not in str(compiled) and any("Zq9" in str(value) for value in compiled.params.values())
    log.run(query.where)
