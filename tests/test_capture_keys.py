"""Rows are told apart by the declared key, and nothing is lost where there is none or the database has another."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, Text
from sqlalchemy.dialects.postgresql import UUID

from tests.capture import audited_table, column, install, recorded, rows, run

LEVELS = pytest.mark.parametrize("level", ["statement", "row"])


def person(engine: Engine, level: str, key: bool = True, **options: Any) -> None:
    """Audit ``person (id, name)``, made by hand without a key of the database's own."""
    metadata = MetaData()
    audited_table(
        metadata,
        "person",
        column("id", Integer, primary_key=key),
        column("name", Text),
        options={"level": level, **options},
    )
    run(engine, "CREATE TABLE person (id int, name text)")
    install(engine, metadata)


@LEVELS
def test_null_in_a_key_that_the_database_does_not_enforce_loses_no_image(engine: Engine, level: str) -> None:
    """The join finds no partner for such a row: what became of it must be recorded all the same."""
    person(engine, level)
    run(engine, "INSERT INTO person VALUES (NULL, 'a'), (2, 'b')", "UPDATE person SET name = upper(name)")
    changes = recorded(engine, "person", "id", "name")[2:]
    assert ("U", 2, "B") in changes
    assert any(operation in "IU" and (key, name) == (None, "A") for operation, key, name in changes)
    assert (None, None) not in [change[1:] for change in changes]


@LEVELS
def test_a_keyless_update_pairs_the_rows_that_belong_together(engine: Engine, level: str) -> None:
    person(engine, level, key=False)
    run(
        engine,
        "INSERT INTO person SELECT n, 'a' FROM generate_series(1, 1000) AS n",
        "UPDATE person SET name = CASE WHEN id % 2 = 0 THEN 'b' ELSE 'a' END",
    )
    updates = "SELECT count(*), count(*) FILTER (WHERE id % 2 = 0) FROM person_audit WHERE audit_operation = 'U'"
    assert rows(engine, updates) == [(500, 500)]


@LEVELS
def test_a_keyless_unchanged_update_is_recorded_when_asked_for(engine: Engine, level: str) -> None:
    person(engine, level, key=False, skip_unchanged=False)
    run(engine, "INSERT INTO person VALUES (1, 'a'), (1, 'a')", "UPDATE person SET name = 'a'")
    assert recorded(engine, "person", "id", "name")[2:] == [("U", 1, "a")] * 2


@LEVELS
@pytest.mark.parametrize("key", [True, False])
def test_columns_named_like_the_functions_own_names(engine: Engine, level: str, key: bool) -> None:
    names = ["audit_marker", "audit_marker_", "audit_position", "new_rows", "old_rows", "live", "setting_n", "found"]
    metadata = MetaData()
    settings = [Column("n", Integer), Column("live", Text)]
    audited_table(
        metadata,
        "thing",
        column("n", Integer, primary_key=key),
        *(column(name, Integer) for name in names),
        options={"level": level, "session_settings": settings},
    )
    install(engine, metadata)
    run(
        engine,
        f"INSERT INTO thing VALUES (0, {', '.join(map(str, range(1, 9)))})",
        "UPDATE thing SET found = 9",
        "UPDATE thing SET n = 1",
        "DELETE FROM thing",
    )
    changes = recorded(engine, "thing", "n", *names)
    assert changes[:2] == [("I", *range(9)), ("U", *range(8), 9)]
    assert changes[-1] == ("D", 1, *range(1, 8), 9)


@LEVELS
def test_a_table_of_which_every_column_is_excluded(engine: Engine, level: str) -> None:
    person(engine, level, key=False, exclude=["id", "name"])
    run(engine, "INSERT INTO person VALUES (1, 'a')", "UPDATE person SET name = 'b'", "DELETE FROM person")
    assert recorded(engine, "person") == [("I",), ("D",)]


def test_keys_that_are_foreign_keys_of_foreign_keys(engine: Engine) -> None:
    """Their type is known only when the last table of the chain is."""
    metadata = MetaData()
    audited_table(metadata, "a", Column("id", ForeignKey("b.id"), primary_key=True), Column("n", Integer))
    audited_table(metadata, "b", Column("id", ForeignKey("c.id"), primary_key=True))
    audited_table(metadata, "c", Column("id", UUID, primary_key=True), Column("parent", ForeignKey("c.id")))
    install(engine, metadata)
    key = "'00000000-0000-0000-0000-000000000001'"
    run(engine, *(f"INSERT INTO {name} VALUES ({key})" for name in "cba"), "UPDATE a SET n = 1")
    assert [row[0] for row in recorded(engine, "a")] == ["I", "U"]
    types = (
        "SELECT DISTINCT data_type FROM information_schema.columns "
        "WHERE table_name LIKE '__audit' AND column_name IN ('id', 'parent')"
    )
    assert rows(engine, types) == [("uuid",)]


@LEVELS
def test_a_model_may_call_its_columns_otherwise(engine: Engine, level: str) -> None:
    metadata = MetaData()
    audited_table(
        metadata,
        "thing",
        Column("id", Integer, primary_key=True, key="number"),
        Column("x", Integer, key="y"),  # each under the other's name
        Column("y", Integer, key="x"),
        Column("z", Integer, key="hidden"),
        options={"level": level, "exclude": ["z"]},
    )
    install(engine, metadata)
    run(engine, "INSERT INTO thing VALUES (1, 5, 6, 7)", "UPDATE thing SET z = 8", "UPDATE thing SET x = 9")
    assert recorded(engine, "thing", "id", "x", "y") == [("I", 1, 5, 6), ("U", 1, 9, 6)]


def test_postgresqls_own_columns_in_a_model(engine: Engine) -> None:
    """Mapping ``xmin`` is SQLAlchemy's recipe for row versions that the server counts."""
    metadata = MetaData()
    audited_table(metadata, "thing", column("id", Integer, primary_key=True), Column("xmin", Integer, system=True))
    install(engine, metadata)
    run(engine, "INSERT INTO thing VALUES (1)")
    assert recorded(engine, "thing", "id") == [("I", 1)]
