"""Random tables, random statements: replaying the history gives the live table."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    Connection,
    Engine,
    Integer,
    MetaData,
    Numeric,
    Text,
    create_engine,
    delete,
    insert,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import Table

from flask_pg_audit import install_audit_triggers
from tests.capture import audited_table, column
from tests.server import Database

EXAMPLES = int(os.environ.get("AUDIT_TEST_EXAMPLES", "40"))

VALUES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "text": (Text(), st.none() | st.sampled_from(["", "a", "A", "é"])),
    "number": (Numeric(), st.none() | st.integers(-2, 2)),
    "data": (JSON(none_as_null=True), st.none() | st.sampled_from([{}, {"a": 1}, [1]])),
    "extra": (JSONB(none_as_null=True), st.none() | st.sampled_from([{}, {"a": 1}, [1]])),
    "tags": (ARRAY(Integer), st.none() | st.lists(st.integers(0, 2), max_size=2)),
}
KEYS = st.integers(1, 4)

Step = Callable[[Connection, Table], None]


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    """Which columns a table has and how it is audited."""
    values = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, unique=True))
    return {
        "keys": draw(st.integers(0, 2)),
        "values": values,
        "level": draw(st.sampled_from(["statement", "row"])),
        "skip_unchanged": draw(st.booleans()),
        "exclude": [name for name in values[1:] if draw(st.integers(0, 4)) == 0],
    }


@st.composite
def programs(draw: st.DrawFn, shape: dict[str, Any]) -> list[tuple[tuple[str, Any], bool]]:
    """Statements over the table: what, with which values, and whether a savepoint undoes it."""
    value_row = st.fixed_dictionaries({name: VALUES[name][1] for name in shape["values"]})
    key_row = st.fixed_dictionaries({f"k{number}": KEYS for number in range(shape["keys"])})
    some_key = st.none() | KEYS
    statements = st.one_of(
        st.tuples(st.just("insert"), st.lists(st.tuples(key_row, value_row), min_size=1, max_size=4)),
        st.tuples(st.just("update"), st.tuples(some_key, value_row)),
        st.tuples(st.just("rekey"), st.tuples(some_key, st.integers(-3, 3))),
        st.tuples(st.just("delete"), some_key),
        st.tuples(st.just("upsert"), st.tuples(key_row, value_row)),
        st.tuples(st.just("truncate"), st.none()),
        st.tuples(st.just("commit"), st.none()),
        st.tuples(st.just("rollback"), st.none()),
    )
    undone = st.sampled_from([False, False, False, True])
    return draw(st.lists(st.tuples(statements, undone), max_size=15))


def build_table(shape: dict[str, Any]) -> Table:
    return audited_table(
        MetaData(),
        "thing",
        *(column(f"k{number}", Integer, primary_key=True, autoincrement=False) for number in range(shape["keys"])),
        *(column(name, VALUES[name][0]) for name in shape["values"]),
        options={key: shape[key] for key in ("level", "skip_unchanged", "exclude")},
    )


def run_program(connection: Connection, table: Table, program: list[tuple[tuple[str, Any], bool]]) -> None:
    """Statements that the table's key forbids, and those to be undone, leave no trace."""
    for (what, argument), undone in program:
        if what in ("commit", "rollback"):
            getattr(connection, what)()
            continue
        savepoint = connection.begin_nested()
        try:
            _run_statement(connection, table, what, argument)
        except IntegrityError:
            undone = True
        savepoint.rollback() if undone else savepoint.commit()
    connection.commit()


def _run_statement(connection: Connection, table: Table, what: str, argument: Any) -> None:
    keys = list(table.primary_key)
    if what == "insert":
        connection.execute(insert(table), [{**key, **values} for key, values in argument])
    elif what == "update":
        key, values = argument
        connection.execute(_where(update(table).values(values), keys, key))
    elif what == "rekey" and keys:
        key, shift = argument
        connection.execute(_where(update(table).values({keys[-1].name: keys[-1] + shift}), keys, key))
    elif what == "delete":
        connection.execute(_where(delete(table), keys, argument))
    elif what == "upsert" and keys:
        key, values = argument
        statement = upsert(table).values({**key, **values})
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values))
    elif what == "truncate":
        connection.execute(text("TRUNCATE thing"))


def _where(statement: Any, keys: list[Any], key: int | None) -> Any:
    return statement.where(keys[0] == key) if keys and key is not None else statement


def replay(connection: Connection, table: Table, columns: list[str]) -> list[tuple[Any, ...]]:
    """The table as its history tells it, by key."""
    names = ", ".join(f"{name}::text" for name in columns)
    live: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    keys = len(table.primary_key.columns)
    for operation, *image in connection.execute(
        text(f"SELECT audit_operation, {names} FROM thing_audit ORDER BY audit_id")
    ):
        key = tuple(image[:keys])
        if operation == "T":
            live.clear()
        elif operation == "D":
            del live[key]  # a delete of what was not alive would be a lie, too
        else:
            assert (key in live) == (operation == "U"), "inserted twice, or updated out of nowhere"
            live[key] = tuple(image)
    return sorted(live.values(), key=repr)


def replay_counts(connection: Connection) -> int:
    """How many rows a table without a key has, as its history tells it."""
    count = 0
    for (operation,) in connection.execute(text("SELECT audit_operation FROM thing_audit ORDER BY audit_id")):
        count = {"I": count + 1, "D": count - 1, "U": count, "T": 0}[operation]
        assert count >= 0
    return count


@pytest.fixture
def postgres(database: Database) -> Any:
    engine = create_engine(database.url())
    yield engine
    engine.dispose()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="AUDIT_TEST_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
@given(data=st.data())
def test_replaying_the_history_gives_the_live_table(postgres: Engine, data: st.DataObject) -> None:
    shape = data.draw(shapes(), label="shape")
    program = data.draw(programs(shape), label="program")
    table = build_table(shape)
    columns = [c.name for c in table.columns if c.name not in shape["exclude"]]
    with postgres.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
        table.metadata.create_all(connection)
        install_audit_triggers(table.metadata, connection)
    with postgres.connect() as connection:
        run_program(connection, table, program)
        names = ", ".join(f"{name}::text" for name in columns)
        live = sorted((tuple(row) for row in connection.execute(text(f"SELECT {names} FROM thing"))), key=repr)
        if shape["keys"]:
            assert replay(connection, table, columns) == live
        else:
            assert replay_counts(connection) == len(live)
        orphans = (
            "SELECT count(*) FROM audit_transaction t "
            "WHERE NOT EXISTS (SELECT FROM thing_audit a WHERE a.audit_transaction_id = t.id)"
        )
        assert connection.scalar(text(orphans)) == 0
