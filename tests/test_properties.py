"""Random tables, random statements: replaying the history gives the live table."""

from __future__ import annotations

import os
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    Connection,
    Engine,
    Enum,
    Integer,
    MetaData,
    Numeric,
    Text,
    case,
    cast,
    create_engine,
    delete,
    insert,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB, UUID
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
#: Types of keys, and how to make one of a small number.
KEY_TYPES: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "integer": (Integer(), int),
    "text": (Text(), lambda number: f"key {number}"),
    "uuid": (UUID(), lambda number: uuid.UUID(int=number)),
    "enum": (Enum(*"abcd", name="letter"), lambda number: "abcd"[number - 1]),
}
#: How the table is made: on its own, with a key that may be violated until a statement ends (so that keys can change
#: places), or partitioned by the first column of its key.
KINDS = ["plain", "deferrable", "partitioned"]


@st.composite
def shapes(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """Which columns a table has and how it is audited."""
    values = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, unique=True))
    keys = draw(st.integers(0 if kind == "plain" else 1, 2))
    return {
        "keys": keys,
        "key_type": draw(st.sampled_from(sorted(KEY_TYPES))),
        "kind": kind,
        "values": values,
        "level": draw(st.sampled_from(["statement", "row"])),
        "skip_unchanged": draw(st.booleans()),
        "exclude": [name for name in values[1:] if draw(st.integers(0, 4)) == 0],
    }


@st.composite
def programs(draw: st.DrawFn, shape: dict[str, Any]) -> list[tuple[tuple[str, Any], bool]]:
    """Statements over the table: what, with which values, and whether a savepoint undoes it."""
    value_row = st.fixed_dictionaries({name: VALUES[name][1] for name in shape["values"]})
    keys = st.integers(1, 4).map(KEY_TYPES[shape["key_type"]][1])
    key_row = st.fixed_dictionaries({f"k{number}": keys for number in range(shape["keys"])})
    some_key = st.none() | keys
    statements = st.one_of(
        st.tuples(st.just("insert"), st.lists(st.tuples(key_row, value_row), min_size=1, max_size=4)),
        st.tuples(st.just("update"), st.tuples(some_key, value_row)),
        st.tuples(st.just("shift"), st.tuples(some_key, st.integers(-3, 3))),
        st.tuples(st.just("move"), st.tuples(some_key, keys)),
        st.tuples(st.just("swap"), st.tuples(keys, keys)),
        st.tuples(st.just("delete"), some_key),
        st.tuples(st.just("upsert"), st.tuples(st.lists(key_row, min_size=1, max_size=3), value_row)),
        st.tuples(st.just("truncate"), st.none()),
        st.tuples(st.just("commit"), st.none()),
        st.tuples(st.just("rollback"), st.none()),
    )
    undone = st.sampled_from([False, False, False, True])
    # Begin with rows: what follows should have something to change.
    numbers = map(KEY_TYPES[shape["key_type"]][1], (1, 2, 3))
    rows = [({key: number for key in ("k0", "k1")[: shape["keys"]]}, draw(value_row)) for number in numbers]
    return [(("insert", rows), False), *draw(st.lists(st.tuples(statements, undone), max_size=15))]


def build_table(shape: dict[str, Any]) -> Table:
    key_type = KEY_TYPES[shape["key_type"]][0]
    arguments = {"postgresql_partition_by": "HASH (k0)"} if shape["kind"] == "partitioned" else {}
    return audited_table(
        MetaData(),
        "thing",
        *(column(f"k{number}", key_type, primary_key=True, autoincrement=False) for number in range(shape["keys"])),
        *(column(name, VALUES[name][0]) for name in shape["values"]),
        options={key: shape[key] for key in ("level", "skip_unchanged", "exclude")},
        **arguments,
    )


def create(connection: Connection, table: Table, kind: str) -> None:
    """Make the table anew in an empty schema, and install."""
    connection.execute(text("DROP SCHEMA public CASCADE"))
    connection.execute(text("CREATE SCHEMA public"))
    table.metadata.create_all(connection)
    if kind == "partitioned":
        for number in range(2):
            bounds = f"WITH (modulus 2, remainder {number})"
            connection.execute(text(f"CREATE TABLE part{number} PARTITION OF thing FOR VALUES {bounds}"))
    if kind == "deferrable":
        keys = ", ".join(key.name for key in table.primary_key)
        connection.execute(text("ALTER TABLE thing DROP CONSTRAINT thing_pkey"))
        connection.execute(text(f"ALTER TABLE thing ADD PRIMARY KEY ({keys}) DEFERRABLE INITIALLY IMMEDIATE"))
    install_audit_triggers(table.metadata, connection)


def run_program(connection: Connection, table: Table, kind: str, program: list[tuple[tuple[str, Any], bool]]) -> None:
    """Statements that the table's key forbids, and those to be undone, leave no trace."""
    for (what, argument), undone in program:
        if what == "upsert" and kind == "deferrable":
            continue  # PostgreSQL cannot: such a key is no arbiter
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
    elif what == "shift" and keys and isinstance(keys[-1].type, Integer):
        key, shift = argument
        connection.execute(_where(update(table).values({keys[-1].name: keys[-1] + shift}), keys, key))
    elif what == "move" and keys:
        key, target = argument
        connection.execute(_where(update(table).values({keys[-1].name: target}), keys, key))
    elif what == "swap" and keys:
        one, other = argument
        swapped = case((keys[-1] == one, cast(other, keys[-1].type)), else_=cast(one, keys[-1].type))
        connection.execute(update(table).values({keys[-1].name: swapped}).where(keys[-1].in_([one, other])))
    elif what == "delete":
        connection.execute(_where(delete(table), keys, argument))
    elif what == "upsert" and keys:
        new, values = argument
        statement = upsert(table).values([{**key, **values} for key in {tuple(k.values()): k for k in new}.values()])
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values))
    elif what == "truncate":
        connection.execute(text("TRUNCATE thing"))


def _where(statement: Any, keys: list[Any], key: int | None) -> Any:
    return statement.where(keys[0] == key) if keys and key is not None else statement


def history(connection: Connection, columns: list[str]) -> list[tuple[str, tuple[Any, ...]]]:
    """Every recorded operation with its image."""
    names = ", ".join(f"{name}::text" for name in columns)
    found = connection.execute(text(f"SELECT audit_operation, {names} FROM thing_audit ORDER BY audit_id"))
    return [(operation, tuple(image)) for operation, *image in found]


def replay(
    changes: list[tuple[str, tuple[Any, ...]]], keys: int, skip_unchanged: bool, may_take_over: bool
) -> list[tuple[Any, ...]]:
    """The table as its history tells it, by key.

    :param may_take_over: keys can change places, one row at a time: the insert of a key may then replace another row.
    """
    live: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for operation, image in changes:
        key = image[:keys]
        if operation == "T":
            live.clear()
        elif operation == "D":
            assert live.pop(key) == image, "the image of a delete is the last one of its row"
        else:
            assert may_take_over or (key in live) == (operation == "U"), "inserted twice, or updated out of nowhere"
            assert not (operation == "U" and skip_unchanged) or live[key] != image, "an update that changed nothing"
            live[key] = image
    return sorted(live.values(), key=repr)


def check_without_key(changes: list[tuple[str, tuple[Any, ...]]], live: list[tuple[Any, ...]]) -> None:
    """Rows without a key cannot be followed; but their number can, and each must have come from somewhere."""
    count, images = 0, Counter[tuple[Any, ...]]()
    for operation, image in changes:
        count = {"I": count + 1, "D": count - 1, "U": count, "T": 0}[operation]
        assert count >= 0
        if operation == "D":
            assert images[image] > 0, "deleted out of nowhere"
        elif operation == "T":
            images.clear()
        else:
            images[image] += 1
    assert count == len(live)
    assert Counter(live) <= images
    if all(operation != "U" for operation, _ in changes):
        last = max((n for n, (operation, _) in enumerate(changes) if operation == "T"), default=-1)
        rest = changes[last + 1 :]
        gone = Counter(image for operation, image in rest if operation == "D")
        assert Counter(live) == Counter(image for operation, image in rest if operation == "I") - gone


@pytest.fixture
def postgres(database: Database) -> Any:
    engine = create_engine(database.url())
    yield engine
    engine.dispose()


@pytest.mark.parametrize("kind", KINDS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="AUDIT_TEST_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
@given(data=st.data())
def test_replaying_the_history_gives_the_live_table(postgres: Engine, kind: str, data: st.DataObject) -> None:
    shape = data.draw(shapes(kind), label="shape")
    program = data.draw(programs(shape), label="program")
    table = build_table(shape)
    columns = [c.name for c in table.columns if c.name not in shape["exclude"]]
    with postgres.begin() as connection:
        create(connection, table, kind)
    with postgres.connect() as connection:
        run_program(connection, table, kind, program)
        names = ", ".join(f"{name}::text" for name in columns)
        live = sorted((tuple(row) for row in connection.execute(text(f"SELECT {names} FROM thing"))), key=repr)
        changes = history(connection, columns)
        if shape["keys"]:
            may_take_over = (kind, shape["level"]) == ("deferrable", "row")
            assert replay(changes, shape["keys"], shape["skip_unchanged"], may_take_over) == live
        else:
            check_without_key(changes, live)
        orphans = (
            "SELECT count(*) FROM audit_transaction t "
            "WHERE NOT EXISTS (SELECT FROM thing_audit a WHERE a.audit_transaction_id = t.id)"
        )
        assert connection.scalar(text(orphans)) == 0
