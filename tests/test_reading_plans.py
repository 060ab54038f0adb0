"""Reading stays fast on a long history: the plans, on a history that is just long enough to tell.

``make bench-reading`` measures the same readings on one of five million changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, create_engine

from benchmarks import page
from benchmarks.big_history import build
from benchmarks.plans import Plan, explain, problems, statements_of
from benchmarks.reading import measure
from benchmarks.readings import MOST_OF_TIME, Landmarks, Reading, read_landmarks, readings
from benchmarks.shop import SHAPES
from flask_pg_audit.history.as_of import as_of
from tests.capture import execute, rows
from tests.server import DatabaseServer

ROWS = 50_000

#: What is promised, by name; the same for each size.
PROMISED = tuple(each.name for each in readings(Landmarks(1, "", 1)) if each.budget is not None)


@pytest.fixture(scope="module")
def shop(server: DatabaseServer, template: str) -> Iterator[Engine]:
    with server.database(template) as database:
        engine = create_engine(database.url())
        build(engine, ROWS)
        yield engine
        engine.dispose()


@pytest.fixture
def connection(shop: Engine) -> Iterator[Connection]:
    with shop.connect() as connection:
        yield connection


def find(connection: Connection, name: str) -> Reading:
    return next(each for each in readings(read_landmarks(connection)) if each.name == name)


def plans(connection: Connection, name: str) -> list[Plan]:
    sent = statements_of(connection, find(connection, name).read)
    return [explain(connection, statement) for statement in sent]


@pytest.mark.parametrize("name", PROMISED)
def test_what_is_promised_is_bounded(connection: Connection, name: str) -> None:
    if find(connection, name).most_rows == MOST_OF_TIME:
        # The index knows a time to 128 pages; some tables here have no more, and reading them whole is as good.
        execute(connection, "SET LOCAL enable_seqscan = off")
    found = measure(connection, find(connection, name), times=1)
    assert found.problems == ()
    assert found.statements > 0


LOST = [
    ("ix_audit_transaction_username", "unknown user"),
    ("ix_audit_transaction_actor_id", "rare actor"),
    ("ix_audit_transaction_request_id", "request"),
    ("ix_audit_transaction_issued_at", "until"),
    ("ix_product_audit_key", "record"),
    ("ix_product_audit_key", "truncates"),
]


@pytest.mark.parametrize(("index", "name"), LOST)
def test_a_lost_index_is_noticed(connection: Connection, index: str, name: str) -> None:
    execute(connection, f"DROP INDEX {index}")
    reading = find(connection, name)
    assert [problem for plan in plans(connection, name) for problem in problems(plan, reading.most_rows)]


def test_a_lost_primary_key_is_noticed(connection: Connection) -> None:
    execute(connection, "ALTER TABLE product_audit DROP CONSTRAINT product_audit_pkey")
    assert any("Seq Scan on product_audit" in problems(plan, 5_000) for plan in plans(connection, "newest"))


def test_a_short_time_is_found_through_its_index(connection: Connection) -> None:
    used = {node.get("Index Name") for plan in plans(connection, "minute") for node in plan.nodes()}
    assert {"ix_audit_transaction_issued_at", "ix_product_audit_time"} <= used


def test_what_is_not_promised_is_measured_as_well(connection: Connection) -> None:
    """The check is worth something: it sees what grows with the history."""
    found = measure(connection, find(connection, "baseline"), times=1)
    assert found.problems and found.failures == ()


def test_the_page_has_the_figures_that_were_kept() -> None:
    text = page.PAGE.read_text()
    assert page.with_tables(text, page.read()) == text
    kept = {one["name"] for one in page.read()["readings"]}
    assert kept == {one.name for one in readings(Landmarks(1, "", 1))}, "run make bench-reading BENCH_ARGS=--write"


def test_the_history_is_what_triggers_would_have_left(shop: Engine) -> None:
    """The tables are the last images, the numbers go on behind it, and it has the size that was asked for."""
    total = 0
    for shape in SHAPES:
        name = shape.table.name
        total += rows(shop, f"SELECT count(*) FROM {name}_audit")[0][0]
        if shape.table.primary_key:
            columns = ", ".join(column.name for column in shape.table.columns)
            past = as_of(shape.table, read_end(shop))
            with shop.connect() as connection:
                compiled = past.select().compile(connection, compile_kwargs={"literal_binds": True})
            now = f"SELECT to_jsonb(now) FROM (SELECT {columns} FROM {name}) now"
            then = f"SELECT to_jsonb(past) FROM ({compiled}) past"
            assert rows(shop, f"({now}) EXCEPT ALL ({then})") == rows(shop, f"({then}) EXCEPT ALL ({now})") == []
    assert total == ROWS
    with shop.connect() as connection:
        execute(connection, "UPDATE product SET stock = -1 WHERE id = 1")
        newest = execute(connection, "SELECT audit_transaction_id, audit_id FROM product_audit WHERE stock = -1").one()
    assert tuple(newest) == (ROWS // 5 + 1, ROWS + 1)


def read_end(engine: Engine) -> int:
    """The id of the last transaction."""
    return int(rows(engine, "SELECT max(id) FROM audit_transaction")[0][0])


def test_a_history_too_small_for_everything_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="has no room for everything; give it 10000 at least"):
        build(engine, 100)
