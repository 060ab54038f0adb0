"""What counts as a change of a row: every value is compared as it is stored, in updates of one row and of many."""

from __future__ import annotations

import pytest
from sqlalchemy import BigInteger, Boolean, Column, DateTime, Engine, Integer, MetaData, Numeric, Text
from sqlalchemy.dialects.postgresql import JSON

from tests.capture import audited_table, execute, install, recorded, rows, run


@pytest.fixture(params=["statement", "row"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[1, 3])
def size(request: pytest.FixtureRequest) -> int:
    """How many rows each statement touches: one row has a way of its own through the trigger function."""
    return int(request.param)


@pytest.fixture
def item(engine: Engine, level: str, size: int) -> Engine:
    """A database with the audited table ``item``, in it ``size`` rows."""
    metadata = MetaData()
    audited_table(
        metadata,
        "item",
        Column("id", Integer, primary_key=True),
        Column("count", Integer),
        Column("price", Numeric),
        Column("active", Boolean),
        Column("at", DateTime(timezone=True)),
        Column("note", Text),
        Column("document", JSON),
        options={"level": level},
    )
    install(engine, metadata)
    run(
        engine,
        "INSERT INTO item SELECT id, 1, 1.0, true, '2026-01-01', 'a', '{\"a\": 1}' "
        f"FROM generate_series(1, {size}) AS id",
    )
    return engine


CHANGES = [
    "count = 2",
    "count = NULL",
    "price = 1.00",  # equal, and written otherwise
    "price = 'NaN'",
    "active = NULL",
    "active = false",
    "at = at + interval '1 microsecond'",
    "note = 'A'",
    "note = ''",
    "note = NULL",
    "document = '{\"a\":1}'",  # the same document in other letters
    "document = NULL",
    "count = NULL, note = NULL",
]


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_stored_value_is_recorded(item: Engine, size: int, change: str) -> None:
    run(item, f"UPDATE item SET {change}", f"UPDATE item SET {change}" if "at + " not in change else "SELECT 1")
    assert [operation for operation, *_ in recorded(item, "item")] == ["I"] * size + ["U"] * size


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_recorded_where_its_transaction_is_known_already(item: Engine, size: int, change: str) -> None:
    """Which is another way through the trigger function than that of a transaction's first change."""
    with item.begin() as connection:
        execute(connection, "INSERT INTO item (id) VALUES (0)")
        execute(connection, "DELETE FROM item WHERE id = 0")
        execute(connection, f"UPDATE item SET {change}")
        execute(connection, "UPDATE item SET count = count")
        execute(connection, "UPDATE item SET count = 9 WHERE false")
        execute(connection, "UPDATE item SET id = id + 10")
    found = [operation for operation, *_ in recorded(item, "item")][size:]
    assert found[: 2 + size] == ["I", "D", *["U"] * size]
    assert sorted(found[2 + size :]) == ["D"] * size + ["I"] * size
    numbers = "count(DISTINCT audit_transaction_id), count(DISTINCT audit_id) = count(*)"
    assert rows(item, f"SELECT {numbers} FROM item_audit") == [(2, True)]


def test_null_that_stays_null_is_none(item: Engine, size: int) -> None:
    everything = "count = NULL, price = NULL, active = NULL, at = NULL, note = NULL, document = NULL"
    run(item, f"UPDATE item SET {everything}", f"UPDATE item SET {everything}")
    assert len(recorded(item, "item")) == 2 * size


def test_of_many_rows_those_that_changed_are_recorded(item: Engine, size: int) -> None:
    run(item, "UPDATE item SET count = CASE WHEN id = 1 THEN 5 ELSE count END")
    assert recorded(item, "item", "id", "count")[size:] == [("U", 1, 5)]


def test_a_type_without_equality_may_be_declared_as_text(engine: Engine, level: str, size: int) -> None:
    """Only columns whose types are sure to have one are compared by it (trap T7)."""
    metadata = MetaData()
    audited_table(
        metadata, "place", Column("id", Integer, primary_key=True), Column("at", Text), options={"level": level}
    )
    run(engine, "CREATE TABLE place (id int PRIMARY KEY, at point)")
    install(engine, metadata)
    run(
        engine,
        f"INSERT INTO place SELECT id, '(1,2)' FROM generate_series(1, {size}) AS id",
        "UPDATE place SET at = '(1,2)'",
        "UPDATE place SET at = '(1,3)'",
    )
    assert [operation for operation, *_ in recorded(engine, "place")] == ["I"] * size + ["U"] * size


def test_a_statement_that_touches_nothing_takes_no_transaction_number(item: Engine) -> None:
    """Neither one of ours nor one of PostgreSQL's, which would be written to its log."""
    with item.connect() as connection:
        execute(connection, "UPDATE item SET count = 9 WHERE false")
        execute(connection, "DELETE FROM item WHERE false")
        execute(connection, "INSERT INTO item SELECT 99 WHERE false")
        assert execute(connection, "SELECT pg_current_xact_id_if_assigned()").scalar_one() is None
    assert rows(item, "SELECT count(*) FROM audit_transaction") == [(1,)]


def test_an_update_that_changes_nothing_leaves_no_transaction(item: Engine) -> None:
    run(item, "UPDATE item SET count = count")
    assert rows(item, "SELECT count(*) FROM audit_transaction") == [(1,)]


def test_no_change_is_before_its_transaction(item: Engine) -> None:
    run(item, "UPDATE item SET count = 2", "DELETE FROM item", "INSERT INTO item VALUES (1)", "TRUNCATE item")
    joined = "item_audit JOIN audit_transaction AS t ON audit_transaction_id = t.id"
    counted = f"SELECT bool_and(audit_operation_timestamp >= issued_at), count(DISTINCT t.id) FROM {joined}"
    assert rows(item, counted) == [(True, 5)]


def test_the_servers_settings_are_as_they_were(engine: Engine, level: str) -> None:
    """An update of many rows borrows memory to pair them."""
    metadata = MetaData()
    audited_table(
        metadata, "number", Column("id", BigInteger, primary_key=True), Column("n", Integer), options={"level": level}
    )
    install(engine, metadata)
    run(engine, "INSERT INTO number SELECT n, n FROM generate_series(1, 500) AS n")
    for own in ("1.5", "40"):
        with engine.connect() as connection:
            execute(connection, f"SET hash_mem_multiplier = '{own}'")
            execute(connection, "UPDATE number SET n = n + 1")
            assert execute(connection, "SHOW hash_mem_multiplier").scalar_one() == own
            connection.commit()
            assert execute(connection, "SHOW hash_mem_multiplier").scalar_one() == own
    assert rows(engine, "SELECT count(*) FROM number_audit WHERE audit_operation = 'U'") == [(1000,)]
