"""What a revert writes into which column, and what the table does not take."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import (
    ARRAY,
    JSON,
    CheckConstraint,
    Column,
    Computed,
    Connection,
    DateTime,
    Engine,
    Enum,
    ForeignKey,
    Identity,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    Text,
    UniqueConstraint,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import DOMAIN, JSONB
from sqlalchemy.exc import IntegrityError

from flask_pg_audit import AuditConfigError, AuditConflictError, install_audit_triggers
from flask_pg_audit.history.position import Position
from flask_pg_audit.revert import restore, revert, revert_transaction, undelete
from tests.capture import audited_table, execute, install, rows, run
from tests.reverting import family, history, last, note, told


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def test_a_parent_that_is_gone(engine: Engine, connection: Connection) -> None:
    _, child, _ = family(engine)
    run(engine, "INSERT INTO parent VALUES (1, 'a'); INSERT INTO child VALUES (10, 1)", "DELETE FROM child")
    run(engine, "DELETE FROM parent")
    with pytest.raises(AuditConflictError, match="child_parent") as conflict:
        undelete(connection, child, 10, force=True)
    assert isinstance(conflict.value.__cause__, IntegrityError)
    assert conflict.value.conflicts[0].table == "child"
    assert "Key (parent_id)=(1) is not present in table" in str(conflict.value)


def test_a_constraint_that_is_checked_at_the_end(engine: Engine, connection: Connection) -> None:
    _, child, _ = family(engine, deferrable=True, initially="DEFERRED")
    run(engine, "INSERT INTO parent VALUES (1, 'a'); INSERT INTO child VALUES (10, 1)", "DELETE FROM child")
    run(engine, "DELETE FROM parent")
    with pytest.raises(AuditConflictError, match="child_parent"):
        undelete(connection, child, 10)
    # It is checked at the end again: the child first.
    execute(connection, "INSERT INTO child VALUES (1, 5); INSERT INTO parent VALUES (5, 'b')")
    connection.commit()


def test_a_unique_constraint(engine: Engine, connection: Connection) -> None:
    table = note(UniqueConstraint("text", name="one_text"))
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", "DELETE FROM note", "INSERT INTO note VALUES (2, 'a')")
    with pytest.raises(AuditConflictError, match='"one_text" Key \\(text\\)=\\(a\\) already exists'):
        undelete(connection, table, 1, force=True)
    undelete(connection, table, 1, values={"text": "b"})
    assert connection.execute(select(table).order_by(table.c.id)).all() == [(1, "b"), (2, "a")]


@pytest.mark.parametrize(("ondelete", "what"), [("CASCADE", "deleted with it"), ("SET NULL", "set to NULL")])
def test_rows_that_would_go_with_a_deleted_one(
    engine: Engine, connection: Connection, ondelete: str, what: str
) -> None:
    parent, child, _ = family(engine, ondelete=ondelete)
    run(engine, "INSERT INTO parent VALUES (1, 'a')", "INSERT INTO child VALUES (10, 1)")
    inserted = last(engine, parent)
    with pytest.raises(AuditConflictError, match=f"1 rows of child refer .* by child_parent, and would be {what}"):
        revert(connection, parent.metadata, inserted)
    with pytest.raises(AuditConflictError, match="child_parent"):
        restore(connection, parent, 1, to=Position(0, 0))
    # The child goes as well, or refers to another one: nothing happens to it that nobody asked for.
    revert(connection, parent.metadata, [inserted, last(engine, child)], dry_run=True)
    revert(connection, parent.metadata, inserted, force=True)
    assert connection.scalar(select(func.count()).select_from(parent)) == 0


# Columns


def test_values_come_back_as_they_were_stored(engine: Engine) -> None:
    """Nothing passes through Python, where JSON loses its spaces and null, and a month becomes 30 days."""
    table = note(
        Column("raw", JSON),
        Column("data", JSONB),
        Column("price", Numeric),
        Column("span", Interval),
        Column("tags", ARRAY(Text)),
        Column("file", LargeBinary),
        Column("at", DateTime(timezone=True)),
        Column("colour", Enum("red", "blue", name="colour")),
        Column("positive", DOMAIN("positive", Integer, check="VALUE > 0")),
    )
    install(engine, table.metadata)
    run(
        engine,
        "ALTER TABLE note ADD COLUMN place point",
        r"""INSERT INTO note VALUES (1, E'\n%s:a', '{"b":  1, "a": 1.50}', 'null', '1.50', '1 mon 30 days', '{a,NULL}',
        '\x00ff', 'infinity', 'red', 5, '(1,2)')""",
    )
    everything = (
        "SELECT text, raw::text, data::text, price::text, span::text, tags, file, at::text, colour::text, positive "
        "FROM note"
    )
    before = rows(engine, everything)
    run(
        engine,
        "UPDATE note SET text = 'b', raw = '{}', data = NULL, price = 1.5, span = '60 days', tags = '{}', file = NULL, "
        "at = now(), colour = 'blue', positive = 6",
    )
    for statement in (None, "DELETE FROM note"):
        if statement is not None:
            run(engine, statement)
        with engine.begin() as connection:
            # Some of this no driver reads: infinity, for one.
            newest = connection.scalar(text("SELECT max(audit_transaction_id) FROM note_audit"))
            revert_transaction(connection, table.metadata, newest)
        assert rows(engine, everything) == before


def test_generated_and_identity_columns(engine: Engine) -> None:
    metadata = MetaData()
    table = audited_table(
        metadata,
        "item",
        Column("id", Integer, Identity(always=True), primary_key=True),
        Column("number", Integer),
        Column("double", Integer, Computed("number * 2", persisted=True)),
    )
    install(engine, metadata)
    run(engine, "INSERT INTO item (number) VALUES (4)", "UPDATE item SET number = 5")
    for statement in (None, "DELETE FROM item"):
        if statement is not None:
            run(engine, statement)
        with engine.begin() as connection:
            restore(connection, table, 1, to=history(engine, table)[0].position)
        assert rows(engine, "SELECT * FROM item") == [(1, 4, 8)]


def test_columns_that_are_not_recorded(engine: Engine, connection: Connection) -> None:
    table = note(
        Column("secret", Text, nullable=False),
        Column("kind", Text, server_default="plain"),
        Column("token", Text, default=lambda: uuid.uuid4().hex),
        Column("size", Integer, default=7),
        exclude=["secret", "kind", "token", "size"],
    )
    install(engine, table.metadata)
    run(
        engine,
        "INSERT INTO note VALUES (1, 'a', 's', 'fine', 't', 1), (2, 'a', 's', 'fine', 't', 2)",
        "UPDATE note SET text = 'b'",
    )
    with engine.begin() as other:
        revert_transaction(other, table.metadata, last(engine, table).transaction_id)
    assert rows(engine, "SELECT * FROM note WHERE id = 1") == [(1, "a", "s", "fine", "t", 1)], "left alone"
    run(engine, "DELETE FROM note")
    transaction_id = last(engine, table).transaction_id
    with pytest.raises(AuditConflictError) as conflict:
        revert_transaction(connection, table.metadata, transaction_id, force=True)
    assert {c.column for c in conflict.value.conflicts} == {"secret"}
    message = str(conflict.value)
    assert "note (id=1), secret: NOT NULL, without a default, and not in the history: give values=" in message
    assert "force=True" not in message
    with pytest.raises(AuditConfigError, match="values has 'secrets', and no table that is written"):
        revert_transaction(connection, table.metadata, transaction_id, values={"secrets": ""})
    revert_transaction(connection, table.metadata, transaction_id, values={"note.secret": "new"})
    found = connection.execute(select(table).order_by(table.c.id)).all()
    assert [(row.id, row.text, row.secret, row.kind, row.size) for row in found] == [
        (1, "a", "new", "plain", 7),
        (2, "a", "new", "plain", 7),
    ]
    assert len({row.token for row in found}) == 2, "a default is called for each row"


def test_columns_that_came_and_went(engine: Engine, connection: Connection) -> None:
    old = note(Column("lost", Text))
    install(engine, old.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a', 'x')", "UPDATE note SET text = 'b', lost = 'y'")
    run(engine, "ALTER TABLE note DROP COLUMN lost", "ALTER TABLE note ADD COLUMN mood text NOT NULL DEFAULT 'good'")
    now = note(Column("mood", Text, nullable=False, server_default="good"))
    install_audit_triggers(now.metadata, engine)
    run(engine, "UPDATE note SET mood = 'bad'")
    first = history(engine, now)[0].position
    assert told(restore(connection, now, 1, to=first)) == [("note", (1,), "U", ("text",))]
    assert connection.execute(select(now)).all() == [(1, "a", "bad")], "not recorded then, so left alone"
    connection.execute(now.delete())
    assert told(restore(connection, now, 1, to=first)) == [("note", (1,), "I", ("id", "text"))]
    assert connection.execute(select(now)).all() == [(1, "a", "good")]


def test_columns_whose_type_changed(engine: Engine, connection: Connection) -> None:
    table = note(Column("size", Text))
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a', '7')", "UPDATE note SET size = 'many'", "UPDATE note SET size = '8'")
    run(engine, "ALTER TABLE note ALTER COLUMN size TYPE integer USING size::integer")
    now = note(Column("size", Integer))
    first, second, _ = (Position(*row) for row in rows(engine, "SELECT audit_transaction_id, audit_id FROM note_audit"))
    with pytest.raises(AuditConflictError, match='invalid input syntax for type integer: "many"'):
        restore(connection, now, 1, to=second)
    restore(connection, now, 1, to=first)
    assert connection.execute(select(now)).all() == [(1, "a", 7)]


def test_a_value_that_the_table_no_longer_takes(engine: Engine, connection: Connection) -> None:
    table = note(CheckConstraint("text <> 'b'", name="no_b"))
    table.metadata.create_all(engine)
    run(engine, "ALTER TABLE note DROP CONSTRAINT no_b")
    install_audit_triggers(table.metadata, engine)
    run(engine, "INSERT INTO note VALUES (1, 'b')", "UPDATE note SET text = NULL", "UPDATE note SET text = 'c'")
    run(engine, "ALTER TABLE note ADD CONSTRAINT no_b CHECK (text <> 'b')", "ALTER TABLE note ALTER text SET NOT NULL")
    first, second, _ = history(engine, table)
    with pytest.raises(AuditConflictError, match='violates check constraint "no_b"'):
        restore(connection, table, 1, to=first.position, force=True)
    with pytest.raises(AuditConflictError, match='note, text: null value in column "text"'):
        restore(connection, table, 1, to=second.position, force=True)


def test_a_trigger_that_holds_a_row_back(engine: Engine, connection: Connection) -> None:
    table = note()
    install(engine, table.metadata)
    run(
        engine,
        "INSERT INTO note VALUES (1, 'a'), (2, 'a')",
        "DELETE FROM note",
        "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS "
        "' BEGIN RETURN CASE NEW.id WHEN 2 THEN NEW END; END'",
        "CREATE TRIGGER hold BEFORE INSERT ON note FOR EACH ROW EXECUTE FUNCTION hold()",
    )
    with pytest.raises(AuditConflictError, match="note: 1 rows were not written: a trigger of the table"):
        revert_transaction(connection, table.metadata, last(engine, table).transaction_id)
    assert connection.execute(select(table)).all() == []


NAMES = ["user", "Order", 'we"ird', "50% :off", "naïve table", "x" * 63]


@pytest.mark.parametrize("name", NAMES)
def test_exotic_names(engine: Engine, name: str) -> None:
    run(engine, 'CREATE SCHEMA "a.b"')
    metadata = MetaData(schema="a.b")
    parent = audited_table(
        metadata,
        name,
        Column(name, Integer, primary_key=True, key="k"),
        Column('v"%', Text, key="v"),
        Column("%s", Text),
    )
    child = audited_table(
        metadata,
        f"{name[:50]}!",
        Column("id", Integer, primary_key=True),
        Column(":of", ForeignKey(parent.c.k, ondelete="CASCADE", deferrable=True, initially="DEFERRED", name="f%:")),
    )
    install(engine, metadata)
    with engine.begin() as connection:
        connection.execute(insert(parent).values(k=1, v="a"))
        connection.execute(insert(child).values({"id": 1, ":of": 1}))
    with engine.begin() as connection:
        connection.execute(update(parent).values(v="b"))
    with engine.begin() as connection:
        connection.execute(parent.delete())
    with engine.begin() as connection:
        undelete(connection, parent, 1)
        revert(connection, metadata, history(engine, parent)[1])
        assert connection.execute(select(parent.c.v)).all() == [("a",)]
        with pytest.raises(AuditConflictError, match="f%:"):
            revert(connection, metadata, history(engine, parent)[0])
        revert_transaction(connection, metadata, 1, force=True)
        assert connection.execute(select(parent)).all() == connection.execute(select(child)).all() == []


@pytest.mark.parametrize("level", ["statement", "row"])
def test_partitioned_tables(engine: Engine, level: str) -> None:
    table = note(level=level)
    table.dialect_options["postgresql"]["partition_by"] = "HASH (id)"
    table.metadata.create_all(engine)
    for number in range(2):
        run(engine, f"CREATE TABLE p{number} PARTITION OF note FOR VALUES WITH (modulus 2, remainder {number})")
    install_audit_triggers(table.metadata, engine)
    run(
        engine,
        "INSERT INTO note SELECT n, 'a' FROM generate_series(1, 9) n",
        "UPDATE note SET id = id + 5 WHERE id > 4",
    )
    run(engine, "DELETE FROM note WHERE id % 2 = 0")
    for _ in range(2):
        with engine.begin() as connection:
            revert_transaction(connection, table.metadata, last(engine, table).transaction_id)
    for transaction_id in (2, 1):
        with engine.begin() as connection:
            if transaction_id == 2:
                revert_transaction(connection, table.metadata, 3)
            revert_transaction(connection, table.metadata, transaction_id)
    assert rows(engine, "SELECT * FROM note") == []
