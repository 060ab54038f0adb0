"""The ways to find changes: whichever PostgreSQL is led, the same ones come, in the same order, on each page."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, Text, create_engine

from flask_pg_audit import audited, enable, install_audit_triggers
from flask_pg_audit.history.changes import changes_of
from flask_pg_audit.history.feed import feed
from flask_pg_audit.history.filter import ANY, ChangeFilter
from flask_pg_audit.history.places import places
from flask_pg_audit.history.position import Position
from flask_pg_audit.history.transactions import read_transactions
from tests.capture import execute, rewriting
from tests.server import Database, DatabaseServer

enable()

metadata = MetaData()
ONE = Table("one", metadata, Column("id", Integer, primary_key=True), Column("text", Text), info=audited())
TWO = Table("two", metadata, Column("id", Integer, primary_key=True), Column("text", Text), info=audited())
KEYLESS = Table("keyless", metadata, Column("id", Integer), Column("text", Text), info=audited())

PEOPLE = ("alice", "bob", None)


@dataclass(frozen=True)
class Row:
    """A change as the audit table has it."""

    table: str
    position: Position
    operation: str
    at: datetime.datetime
    username: str | None
    path: str | None


@pytest.fixture(scope="module")
def history_database(server: DatabaseServer, template: str) -> Iterator[Database]:
    """Transactions that overlap, some of them long, by a few people; the module only reads."""
    with server.database(template) as database:
        engine = create_engine(database.url())
        metadata.create_all(engine)
        install_audit_triggers(metadata, engine)
        _write(engine, random.Random(7))
        engine.dispose()
        yield database


def _write(engine: Engine, chance: random.Random) -> None:
    """Each connection inserts keys of its own, so that none waits for another."""
    with ExitStack() as stack:
        connections = [stack.enter_context(engine.connect()) for _ in range(4)]
        for number in range(60):
            connection = chance.choice(connections)
            if not connection.in_transaction():
                _begin(connection, chance)
            table = chance.choice(("one", "one", "two", "keyless"))
            execute(connection, f"INSERT INTO {table} VALUES ({number}, 'x'), ({number + 1000}, 'y')")
            if chance.random() < 0.3:
                execute(connection, f"UPDATE {table} SET text = 'z' WHERE id = {number}")
            if chance.random() < 0.3:
                connection.commit()
        for connection in connections:
            connection.commit()
        execute(connections[0], "DELETE FROM one WHERE id = 1000 OR id < 3; TRUNCATE two, keyless")
        connections[0].commit()


def _begin(connection: Connection, chance: random.Random) -> None:
    person, path = chance.choice(PEOPLE), chance.choice(("/a", "/b"))
    execute(
        connection,
        f"SELECT set_config('audit.username', '{person or ''}', true), "
        f"""set_config('audit.context', '{{"path": "{path}"}}', true)""",
    )


@pytest.fixture
def history(history_database: Database) -> Iterator[Connection]:
    engine = create_engine(history_database.url())
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def recorded(history: Connection) -> list[Row]:
    """All of it, newest first."""
    rows = []
    for table in (ONE, TWO, KEYLESS):
        for c in changes_of(table).read(history, changes_of(table).select()):
            rows.append(Row(c.table, c.position, c.operation, c.at, c.username, c.context.get("path")))
    return sorted(rows, key=lambda row: row.position, reverse=True)


def test_the_history_is_worth_reading(recorded: list[Row]) -> None:
    """Transactions go on while others begin, and end."""
    assert len(recorded) > 130
    in_time = [row.position.transaction_id for row in sorted(recorded, key=lambda row: row.at)]
    assert sum(before > after for before, after in pairwise(in_time)) > 15


def wanted(rows: list[Row], where: ChangeFilter) -> list[Row]:
    """What the documentation says of each condition, in Python."""

    def matches(row: Row) -> bool:
        return (
            (not where.tables or row.table in where.tables)
            and (not where.operations or row.operation in where.operations)
            and (where.username is ANY or row.username == where.username)
            and (not where.context or row.path == where.context["path"])
            and (where.since is None or row.at >= where.since)
            and (where.until is None or row.at < where.until)
            and all(any(wanted([row], part) for part in group) for group in where.any_of)
            and not any(wanted([row], part) for part in where.excluding)
        )

    return [row for row in rows if matches(row)]


FILTERS: list[dict[str, Any]] = [
    {},
    {"username": "alice"},
    {"username": None},
    {"username": "carol"},
    {"username": "bob", "operations": ["U"]},
    {"username": "bob", "operations": ["D", "T"]},
    {"username": None, "operations": ["T"]},
    {"username": "alice", "tables": ["keyless"]},
    {"username": "alice", "context": {"path": "/a"}},
    {"context": {"path": "/b"}},
    {"context": {"path": "/b"}, "any_of": [[ChangeFilter(username="bob"), ChangeFilter(operations=["D"])]]},
    {"username": "alice", "excluding": [ChangeFilter(context={"path": "/a"}), ChangeFilter(tables=["two"])]},
    {"excluding": [ChangeFilter(username="alice"), ChangeFilter(operations=["U", "T"])]},
    {"any_of": [[ChangeFilter(username="alice"), ChangeFilter(username=None)]]},
    {"tables": ["one", "two"]},
    {"operations": ["T"]},
    {"operations": ["D"]},
]


def spans(rows: list[Row]) -> Iterator[dict[str, Any]]:
    """Times that begin and end at a change, in the middle of transactions."""
    times = sorted({row.at for row in rows})
    yield {}
    yield {"since": times[10], "until": times[30]}
    yield {"since": times[25], "until": times[26]}
    yield {"since": times[40]}
    yield {"until": times[20]}
    yield {"since": times[-1] + datetime.timedelta(hours=1)}


@pytest.mark.parametrize("about", FILTERS, ids=str)
def test_pages_of_the_feed(history: Connection, recorded: list[Row], about: dict[str, Any]) -> None:
    for span in spans(recorded):
        where = ChangeFilter(**about, **span)
        expected = [(row.table, *row.position) for row in wanted(recorded, where)]
        assert found(history, where, limit=500) == expected
        assert found(history, where, limit=3) == expected[:3]
        for row in recorded[20::50]:
            older = [place for place in expected if place[1:] < row.position]
            newer = [place for place in reversed(expected) if place[1:] > row.position]
            assert found(history, where, before=row.position, limit=4) == older[:4]
            assert found(history, where, after=row.position, limit=4) == newer[:4]


def found(connection: Connection, where: ChangeFilter, **page: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(feed(metadata, where, **page))]


@pytest.mark.parametrize("about", FILTERS, ids=str)
def test_pages_of_transactions(history: Connection, recorded: list[Row], about: dict[str, Any]) -> None:
    for span in spans(recorded):
        where = ChangeFilter(**about, **span)
        ids = list(dict.fromkeys(row.position.transaction_id for row in wanted(recorded, where)))
        page = read_transactions(history, metadata, where, limit=3)
        assert [each.id for each in page.transactions] == ids[:3]
        if page.older is not None:
            second = read_transactions(history, metadata, where, before=page.older, limit=3)
            assert [each.id for each in second.transactions] == ids[3:6]
            assert second.newer is not None
            back = read_transactions(history, metadata, where, after=second.newer, limit=3)
            assert back.transactions == page.transactions


def test_no_tables_have_no_changes(history: Connection) -> None:
    """A page may be allowed none."""
    assert history.execute(places((), ChangeFilter())).all() == []


def test_a_transaction_that_lost_its_row_is_in_the_feed(history: Connection) -> None:
    """Whoever deletes from audit_transaction loses who, not what."""
    everything = found(history, ChangeFilter(), limit=500)
    execute(history, rewriting("DELETE FROM audit_transaction WHERE id % 2 = 0"))
    assert found(history, ChangeFilter(), limit=500) == everything
    history.rollback()
