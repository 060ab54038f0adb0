"""What the actions of foreign keys change: all of it is one statement, which may change a row more than once."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import CITEXT, JSONB

from flask_pg_audit.database.verify import verify
from tests.capture import audited_table, install, recorded, rows, run


@pytest.fixture(params=["statement", "row"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def documents(engine: Engine, level: str, *columns: Column[int]) -> MetaData:
    metadata = MetaData()
    Table("person", metadata, Column("id", Integer, primary_key=True))
    audited_table(
        metadata,
        "doc",
        Column("id", Integer, primary_key=True),
        *columns,
        Column("note", Text),
        options={"level": level},
    )
    install(engine, metadata)
    return metadata


def assert_tells_what_there_is(engine: Engine, metadata: MetaData) -> None:
    assert not any(one.counts for one in verify(metadata, engine))


def refers(name: str, **actions: Any) -> Column[int]:
    return Column(name, Integer, ForeignKey("person.id", **actions))


@pytest.mark.parametrize("count", [1, 2, 1_000])
def test_rows_that_are_changed_twice(engine: Engine, level: str, count: int) -> None:
    """Of each of two references, the newest image is the last."""
    metadata = documents(engine, level, refers("made", ondelete="SET NULL"), refers("seen", ondelete="SET NULL"))
    run(
        engine,
        f"INSERT INTO person SELECT generate_series(1, {count + 1})",
        f"INSERT INTO doc SELECT g, g, g + 1 FROM generate_series(1, {count}) AS g",
        "DELETE FROM person",
    )
    found = "SELECT audit_operation, count(*), count(made), count(seen) FROM doc_audit GROUP BY 1 ORDER BY 1"
    [inserts, updates] = rows(engine, found)
    assert inserts == ("I", count, count, count)
    assert updates[:2] == ("U", 2 * count) and sum(updates[2:]) == count
    assert_tells_what_there_is(engine, metadata)


@pytest.mark.parametrize("count", [1, 3, 500])
def test_keys_that_are_changed_by_three_references(engine: Engine, level: str, count: int) -> None:
    metadata = documents(engine, level, *(refers(name, onupdate="CASCADE") for name in ("a", "b", "c")))
    run(
        engine,
        f"INSERT INTO person SELECT generate_series(1, {count + 2})",
        f"INSERT INTO doc SELECT g, g, g + 1, g + 2 FROM generate_series(1, {count}) AS g",
        "UPDATE person SET id = id + 10000",
    )
    assert len(recorded(engine, "doc")) == 4 * count
    assert_tells_what_there_is(engine, metadata)


@pytest.mark.parametrize("count", [2, 300])
def test_a_row_that_was_deleted_before_others_are_changed_is_gone(engine: Engine, level: str, count: int) -> None:
    metadata = documents(engine, level, refers("owner", ondelete="CASCADE"), refers("reader", ondelete="SET NULL"))
    run(
        engine,
        f"INSERT INTO person SELECT generate_series(1, {2 * count})",
        f"INSERT INTO doc SELECT g, g + 1, g FROM generate_series(1, {count}, 2) AS g",
        f"INSERT INTO doc SELECT g, NULL, g + 1 FROM generate_series(2, {count}, 2) AS g",
        f"DELETE FROM person WHERE id <= {count + 1}",
    )
    operations = {id_: "".join(o for o, i in recorded(engine, "doc", "id") if i == id_) for id_ in (1, 2)}
    # With one trigger for each statement the delete may stand there twice: before what was changed, and behind it.
    assert operations[1] in ("IUD", *(["IDUD"] if level == "statement" else []))
    assert operations[2] == "IU"
    assert_tells_what_there_is(engine, metadata)


def test_a_row_that_deletes_itself_with_the_other_in_the_usual_order(engine: Engine, level: str) -> None:
    metadata = documents(engine, level, refers("reader", ondelete="SET NULL"), refers("owner", ondelete="CASCADE"))
    run(engine, "INSERT INTO person VALUES (1)", "INSERT INTO doc VALUES (1, 1, 1)", "DELETE FROM person")
    assert [operation for (operation,) in recorded(engine, "doc")] in (["I", "U", "D"], ["I", "D"])
    assert_tells_what_there_is(engine, metadata)


@pytest.mark.parametrize("keyed", [True, False])
def test_a_key_that_changes_twice(engine: Engine, level: str, keyed: bool) -> None:
    """The key refers, by two constraints, to what moves."""
    metadata = MetaData()
    Table("person", metadata, Column("id", Integer, primary_key=True), Column("code", Integer, unique=True))
    key: list[Column[int]] = [
        Column("a", Integer, ForeignKey("person.id", onupdate="CASCADE"), primary_key=True),
        Column("b", Integer, ForeignKey("person.code", onupdate="CASCADE"), primary_key=keyed),
    ]
    audited_table(metadata, "doc", *key, options={"level": level})
    install(engine, metadata)
    run(
        engine,
        "INSERT INTO person SELECT g, g FROM generate_series(1, 3) AS g",
        "INSERT INTO doc SELECT g, g FROM generate_series(1, 3) AS g",
        "UPDATE person SET id = id + 100, code = code + 100",
    )
    assert_tells_what_there_is(engine, metadata)


def test_a_key_that_is_not_enforced(engine: Engine, level: str) -> None:
    """As of a table whose model knows more than the database."""
    metadata = MetaData()
    audited_table(
        metadata, "doc", Column("id", Integer, primary_key=True), Column("n", Integer), options={"level": level}
    )
    run(engine, "CREATE TABLE doc (id int, n int)")
    install(engine, metadata)
    run(engine, "INSERT INTO doc SELECT 1, g FROM generate_series(1, 30) AS g", "UPDATE doc SET n = n + 100")
    assert [(o, n) for o, n in recorded(engine, "doc", "n") if o == "U"] == [("U", 100 + n) for n in range(1, 31)]


@pytest.mark.parametrize("type_", [CITEXT, JSONB])
@pytest.mark.parametrize("count", [1, 2])
def test_a_key_that_becomes_one_that_is_equal(engine: Engine, level: str, type_: type, count: int) -> None:
    """Written otherwise, it is the same to who reads: what is newest of it is that it is there."""
    before, after = ("'Ab'", "'aB'") if type_ is CITEXT else ("'1'", "'1.0'")
    metadata = MetaData()
    audited_table(
        metadata, "doc", Column("id", type_, primary_key=True), Column("n", Integer), options={"level": level}
    )
    if type_ is CITEXT:
        if not rows(engine, "SELECT 1 FROM pg_available_extensions WHERE name = 'citext'"):
            pytest.skip("this server has no citext")
        run(engine, "CREATE EXTENSION citext")
    install(engine, metadata)
    run(engine, f"INSERT INTO doc VALUES ({before}, 1)")
    if count == 2:
        run(engine, "INSERT INTO doc VALUES ('\"other\"', 1)")
    run(engine, f"UPDATE doc SET id = CASE WHEN id = {before} THEN {after} ELSE id END, n = 2")
    of_key = [operation for operation, n in recorded(engine, "doc", "id::text ~ '[Aa1]'") if n]
    assert of_key == ["I", "D", "I"]
    assert_tells_what_there_is(engine, metadata)
