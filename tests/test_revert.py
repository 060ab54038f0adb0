"""Revert, restore and undelete: rows in, rows out."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

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
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import DOMAIN, JSONB
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, scoped_session, sessionmaker

from flask_pg_audit import (
    AuditConfigError,
    AuditConflictError,
    audited,
    enable,
    install_audit_triggers,
    set_session_vars,
)
from flask_pg_audit.history.change import Change
from flask_pg_audit.history.feed import read_changes, read_feed
from flask_pg_audit.history.filter import ChangeFilter
from flask_pg_audit.history.position import Position
from flask_pg_audit.history.timeline import timeline
from flask_pg_audit.revert import restore, revert, revert_transaction, undelete
from tests.blog import blog
from tests.capture import audited_table, column, execute, install, rows, run
from tests.server import Database

enable()

KEY = "id integer PRIMARY KEY"


def note(*columns: Any, metadata: MetaData | None = None, **options: Any) -> Table:
    key = Column("id", Integer, primary_key=True)
    return audited_table(metadata or MetaData(), "note", key, Column("text", Text), *columns, options=options)


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def history(engine: Engine, table: Table, **where: Any) -> list[Change]:
    """Oldest first."""
    with engine.connect() as connection:
        changes = read_feed(connection, table.metadata, ChangeFilter(tables=[table], **where), limit=500).changes
    return [*reversed(changes)]


def last(engine: Engine, table: Table, **where: Any) -> Change:
    return history(engine, table, **where)[-1]


def told(reverted: Any) -> list[tuple[Any, ...]]:
    return [(w.table, tuple(w.key.values()), w.operation, w.columns) for w in reverted.writes]


def reasons(conflict: pytest.ExceptionInfo[AuditConflictError]) -> list[tuple[Any, ...]]:
    return [(c.table, tuple(c.key.values()), c.column, c.expected, c.found) for c in conflict.value.conflicts]


def test_each_kind_of_change(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)

    def undo(change: Change) -> Any:
        with engine.begin() as connection:
            return revert(connection, table.metadata, change)

    run(engine, "INSERT INTO note VALUES (1, 'a')")
    assert told(undo(last(engine, table))) == [("note", (1,), "D", ())]
    assert rows(engine, "SELECT * FROM note") == []
    run(engine, "INSERT INTO note VALUES (1, 'a')", "UPDATE note SET text = 'b'")
    assert told(undo(last(engine, table))) == [("note", (1,), "U", ("text",))]
    assert rows(engine, "SELECT * FROM note") == [(1, "a")]
    run(engine, "DELETE FROM note")
    assert told(undo(last(engine, table))) == [("note", (1,), "I", ("id", "text"))]
    assert rows(engine, "SELECT * FROM note") == [(1, "a")]


def test_reverting_a_revert(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", "UPDATE note SET text = 'b'")
    for expected in ("a", "b", "a"):
        with engine.begin() as connection:
            revert(connection, table.metadata, last(engine, table))
        assert rows(engine, "SELECT text FROM note") == [(expected,)]


def test_what_others_changed_since_stays(engine: Engine) -> None:
    table = note(Column("mood", Text))
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a', 'x')", "UPDATE note SET text = 'b'", "UPDATE note SET mood = 'y'")
    change = history(engine, table)[1]
    with engine.begin() as connection:
        assert told(revert(connection, table.metadata, change)) == [("note", (1,), "U", ("text",))]
    assert rows(engine, "SELECT * FROM note") == [(1, "a", "y")]


def test_a_difference_is_a_conflict(engine: Engine, connection: Connection) -> None:
    table = note(Column("mood", Text))
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a', 'x')", "UPDATE note SET text = 'b'", "UPDATE note SET text = 'c'")
    change = history(engine, table)[1]
    with pytest.raises(AuditConflictError) as conflict:
        revert(connection, table.metadata, change)
    assert reasons(conflict) == [("note", (1,), "text", "b", "c")]
    assert str(conflict.value) == (
        "nothing was written, because:\n"
        "  note (id=1), text: the change left 'b', and now it is 'c'\n"
        "Bring back chosen columns only (columns=…), or write over what differs (force=True)."
    )
    assert connection.scalar(select(table.c.text)) == "c", "the transaction goes on"
    assert told(revert(connection, table.metadata, change, columns=["mood"])) == []
    revert(connection, table.metadata, change, force=True)
    assert connection.execute(select(table)).all() == [(1, "a", "x")]


def test_rows_that_are_gone_or_there_again(engine: Engine, connection: Connection) -> None:
    table = note()
    install(engine, table.metadata)
    run(
        engine,
        "INSERT INTO note VALUES (1, 'a')",
        "UPDATE note SET text = 'b'",
        "DELETE FROM note",
        "INSERT INTO note VALUES (1, 'c')",
        "DELETE FROM note",
    )
    inserted, updated, deleted, again, _ = history(engine, table)
    for change in (inserted, updated, again):
        with pytest.raises(AuditConflictError, match=r"note \(id=1\): the row is not there any more"):
            revert(connection, table.metadata, change)
    assert told(revert(connection, table.metadata, inserted, force=True)) == []
    assert told(revert(connection, table.metadata, updated, force=True)) == [("note", (1,), "I", ("id", "text"))]
    assert connection.execute(select(table)).all() == [(1, "a")]
    with pytest.raises(AuditConflictError, match="there is a row with this key again"):
        revert(connection, table.metadata, deleted)
    with pytest.raises(AuditConflictError, match="the change left 'c', and now it is 'a'"):
        revert(connection, table.metadata, again)
    revert(connection, table.metadata, deleted, force=True)
    assert connection.execute(select(table)).all() == [(1, "b")]
    revert(connection, table.metadata, again, force=True)
    assert connection.execute(select(table)).all() == []


def test_several_changes_of_one_record(engine: Engine, connection: Connection) -> None:
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", *(f"UPDATE note SET text = '{letter}'" for letter in "bcd"))
    _, b, c, d = history(engine, table)
    with pytest.raises(AuditConflictError, match="between the given changes the row was changed by others"):
        revert(connection, table.metadata, [b, d])
    revert(connection, table.metadata, [d, b, c])
    assert connection.scalar(select(table.c.text)) == "a"


def test_chosen_columns(engine: Engine, connection: Connection) -> None:
    table = note(Column("mood", Text), Column("size", Integer, Computed("length(text)", persisted=True)))
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a', 'x')", "UPDATE note SET text = 'bb', mood = 'y'", "DELETE FROM note")
    _, updated, deleted = history(engine, table)
    with pytest.raises(AuditConflictError, match="cannot come back with some of its columns"):
        revert(connection, table.metadata, deleted, columns=["text"])
    revert(connection, table.metadata, deleted)
    assert told(revert(connection, table.metadata, updated, columns=["mood"])) == [("note", (1,), "U", ("mood",))]
    assert connection.execute(select(table)).all() == [(1, "bb", "x", 2)]
    with pytest.raises(AuditConfigError, match="has no column 'moods'"):
        revert(connection, table.metadata, updated, columns=["moods"])
    with pytest.raises(AuditConfigError, match="column 'size' of \"note\" cannot be brought back: it is generated"):
        revert(connection, table.metadata, updated, columns=["size"])


def test_a_dry_run(engine: Engine) -> None:
    table = note(UniqueConstraint("text", name="one_text"))
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", "DELETE FROM note")
    deleted = last(engine, table)
    with engine.begin() as connection:
        reverted = revert(connection, table.metadata, deleted, dry_run=True)
    assert told(reverted) == [("note", (1,), "I", ("id", "text"))] and reverted.dry_run
    assert rows(engine, "SELECT * FROM note") == [] and len(history(engine, table)) == 2
    run(engine, "INSERT INTO note VALUES (2, 'a')")
    with engine.begin() as connection, pytest.raises(AuditConflictError, match="one_text"):
        revert(connection, table.metadata, deleted, dry_run=True)


def test_nothing_to_revert(engine: Engine, connection: Connection) -> None:
    table = note()
    install(engine, table.metadata)
    with pytest.raises(AuditConfigError, match="there is no change to revert"):
        revert(connection, table.metadata, [])
    with pytest.raises(AuditConfigError, match="transaction 99 changed nothing that is recorded"):
        revert_transaction(connection, table.metadata, 99)
    with pytest.raises(AuditConfigError, match="there is no history of note 7"):
        restore(connection, table, 7, to=Position(1, 1))
    with pytest.raises(AuditConfigError, match="no delete of note 7 is recorded"):
        undelete(connection, table, 7)
    with pytest.raises(AuditConfigError, match="without a time zone"):
        restore(connection, table, 7, to=datetime.datetime(2026, 1, 1))


def test_a_connection_without_transactions(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')")
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(AuditConfigError, match="a revert needs a transaction"),
    ):
        revert(connection, table.metadata, last(engine, table))


def test_a_table_without_primary_key(engine: Engine, connection: Connection) -> None:
    table = audited_table(MetaData(), "line", column("text", Text))
    install(engine, table.metadata)
    run(engine, "INSERT INTO line VALUES ('a')")
    change = last(engine, table)
    with pytest.raises(AuditConfigError, match='the table "line" has no primary key: its history does not tell which'):
        revert(connection, table.metadata, change)
    with pytest.raises(AuditConfigError, match='the table "line" has no primary key'):
        revert_transaction(connection, table.metadata, change.transaction_id)


def test_what_it_was_before_is_not_known(engine: Engine, connection: Connection) -> None:
    table = note()
    table.metadata.create_all(engine)
    run(engine, "INSERT INTO note VALUES (1, 'a')")
    install_audit_triggers(table.metadata, engine)
    run(engine, "UPDATE note SET text = 'b'")
    change = last(engine, table)
    for attempt in (
        lambda: revert(connection, table.metadata, change, force=True),
        lambda: revert_transaction(connection, table.metadata, change.transaction_id, force=True),
        lambda: restore(connection, table, 1, to=Position(1, 0), force=True),
    ):
        with pytest.raises(AuditConflictError, match="flask audit baseline"):
            attempt()


# Transactions


def family(engine: Engine, **foreign_key: Any) -> tuple[Table, Table, Table]:
    metadata = MetaData()
    parent = audited_table(metadata, "parent", column("id", Integer, primary_key=True), column("name", Text))
    child = audited_table(
        metadata,
        "child",
        column("id", Integer, primary_key=True),
        Column("parent_id", ForeignKey("parent.id", name="child_parent", **foreign_key)),
        Column("elder_id", ForeignKey("child.id", name="child_elder", **foreign_key)),
    )
    toy = audited_table(
        metadata,
        "toy",
        column("id", Integer, primary_key=True),
        Column("child_id", ForeignKey("child.id", name="toy_child", **foreign_key)),
    )
    install(engine, metadata)
    return parent, child, toy


EVERYTHING = (
    "SELECT 'parent', id, name, NULL::int FROM parent "
    "UNION ALL SELECT 'child', id, parent_id::text, elder_id FROM child "
    "UNION ALL SELECT 'toy', id, child_id::text, NULL FROM toy ORDER BY 1, 2"
)


@pytest.mark.parametrize(
    "foreign_key",
    [{}, {"deferrable": True, "initially": "DEFERRED"}, {"ondelete": "CASCADE"}, {"ondelete": "RESTRICT"}],
)
def test_a_transaction_across_tables(engine: Engine, foreign_key: dict[str, Any]) -> None:
    parent, _, _ = family(engine, **foreign_key)
    fill = (
        "INSERT INTO parent VALUES (1, 'a'), (2, 'b'); INSERT INTO child VALUES (10, 1, NULL), (9, 1, 10), (11, 2, 9); "
        "INSERT INTO toy VALUES (100, 10), (101, 9)"
    )
    # Nets: parent 1 goes, child 11 moves to a new parent, which takes over its name, toys change, 9 comes and goes.
    change = (
        "INSERT INTO parent VALUES (3, 'c'); UPDATE child SET parent_id = 3, elder_id = NULL WHERE id = 11;"
        "DELETE FROM toy WHERE id = 101; UPDATE toy SET child_id = 11; DELETE FROM child WHERE id = 9;"
        "DELETE FROM child WHERE id = 10; DELETE FROM parent WHERE id = 1; UPDATE parent SET name = 'x' WHERE id = 2;"
        "UPDATE parent SET name = 'y' WHERE id = 2; INSERT INTO toy VALUES (102, 11); DELETE FROM toy WHERE id = 102"
    )
    run(engine, fill)
    before = rows(engine, EVERYTHING)
    run(engine, change)
    changed = rows(engine, EVERYTHING)
    for expected in (before, changed, before):
        with engine.begin() as connection:
            revert_transaction(connection, parent.metadata, last(engine, parent).transaction_id)
        assert rows(engine, EVERYTHING) == expected
    first = history(engine, parent)[0].transaction_id
    with engine.begin() as connection:
        revert_transaction(connection, parent.metadata, first)
    assert rows(engine, EVERYTHING) == []


def test_tables_that_refer_to_each_other(engine: Engine) -> None:
    metadata = MetaData()
    for name, other in (("hen", "egg"), ("egg", "hen")):
        audited_table(
            metadata,
            name,
            column("id", Integer, primary_key=True),
            Column("of", ForeignKey(f"{other}.id", name=f"{name}_of", use_alter=True)),
        )
    install(engine, metadata)
    run(
        engine,
        "INSERT INTO hen VALUES (1, NULL); INSERT INTO egg VALUES (1, 1); UPDATE hen SET of = 1",
        "UPDATE hen SET of = NULL; DELETE FROM egg; DELETE FROM hen",
    )
    hen = metadata.tables["hen"]
    with engine.begin() as connection:
        revert_transaction(connection, metadata, last(engine, hen).transaction_id)
    assert rows(engine, "SELECT * FROM hen, egg") == [(1, 1, 1, 1)]
    with engine.begin() as connection:
        revert_transaction(connection, metadata, last(engine, hen).transaction_id)
    assert rows(engine, "SELECT (SELECT count(*) FROM hen), (SELECT count(*) FROM egg)") == [(0, 0)]


def test_a_unique_value_that_another_row_took_over(engine: Engine) -> None:
    table = note(UniqueConstraint("text"))
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", "DELETE FROM note; INSERT INTO note VALUES (2, 'a')")
    with engine.begin() as connection:
        revert_transaction(connection, table.metadata, last(engine, table).transaction_id)
    assert rows(engine, "SELECT * FROM note") == [(1, "a")]


def test_a_transaction_in_which_who_changed(engine: Engine, connection: Connection) -> None:
    table = note()
    install(engine, table.metadata)
    for number, who in enumerate(("alice", "bob", "carol")):
        set_session_vars(connection, username=who)
        connection.execute(insert(table).values(id=number, text=who))
    connection.commit()
    middle = history(engine, table)[1].transaction_id
    with engine.begin() as other:
        assert len(revert_transaction(other, table.metadata, middle).writes) == 1
    run(engine, "INSERT INTO note VALUES (1, 'bob')")
    with engine.begin() as other:
        reverted = revert_transaction(other, table.metadata, middle, continued=True)
    assert len(reverted.writes) == 3 and len(reverted.reverts["transaction_ids"]) == 3
    assert rows(engine, "SELECT * FROM note") == []


def test_chosen_tables_of_a_transaction(engine: Engine) -> None:
    parent, child, _ = family(engine)
    line = audited_table(parent.metadata, "line", column("text", Text))
    install(engine, parent.metadata)
    run(engine, "INSERT INTO parent VALUES (1, 'a'); INSERT INTO child VALUES (1); INSERT INTO line VALUES ('a')")
    transaction_id = last(engine, line).transaction_id
    with engine.begin() as connection:
        revert_transaction(connection, parent.metadata, transaction_id, tables=[parent, child])
    assert rows(engine, EVERYTHING) == []


@pytest.mark.parametrize("level", ["statement", "row"])
def test_changed_keys(engine: Engine, level: str) -> None:
    table = note(Column("secret", Text, nullable=False), exclude=["secret"], level=level)
    audited_table(
        table.metadata,
        "child",
        column("id", Integer, primary_key=True),
        Column("note_id", ForeignKey("note.id", onupdate="CASCADE")),
    )
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a', 's1'), (2, 'b', 's2'); INSERT INTO child VALUES (5, 1)")
    everything = "SELECT note.*, child.id FROM note LEFT JOIN child ON note_id = note.id ORDER BY 1"
    before = rows(engine, everything)
    # With a trigger for each row nothing tells an update that changes more than the key.
    more = ", text = 'c'" if level == "statement" else ""
    run(engine, f"UPDATE note SET id = id + 10; UPDATE note SET id = 20{more} WHERE id = 12")
    transaction_id = last(engine, table).transaction_id
    with engine.begin() as connection:
        reverted = revert_transaction(connection, table.metadata, transaction_id)
    assert {write[2] for write in told(reverted)} == {"U"}
    assert rows(engine, everything) == before
    # Either half brings the other.
    for operation in "DI":
        run(engine, "UPDATE note SET id = 11 WHERE id = 1")
        half = last(engine, table, operations=[operation])
        with engine.begin() as connection:
            revert(connection, table.metadata, half)
        assert rows(engine, everything) == before


def test_keys_that_changed_places(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    run(
        engine,
        "INSERT INTO note VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        "UPDATE note SET id = 9 WHERE id = 1; UPDATE note SET id = 1 WHERE id = 2; UPDATE note SET id = 2 WHERE id = 9;"
        "UPDATE note SET id = 4 WHERE id = 3; UPDATE note SET id = 5 WHERE id = 4",
    )
    with engine.begin() as connection:
        revert_transaction(connection, table.metadata, last(engine, table).transaction_id)
    assert rows(engine, "SELECT * FROM note ORDER BY 1") == [(1, "a"), (2, "b"), (3, "c")]


def test_a_key_that_was_changed_before_the_row_was_deleted(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", "UPDATE note SET id = 2; DELETE FROM note")
    with engine.begin() as connection:
        revert_transaction(connection, table.metadata, last(engine, table).transaction_id)
    assert rows(engine, "SELECT * FROM note ORDER BY 1") == [(1, "a")]


def test_truncates(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    run(
        engine,
        "INSERT INTO note VALUES (7, 'long gone')",
        "TRUNCATE note",
        "INSERT INTO note VALUES (1, 'a'), (2, 'b'), (3, 'deleted')",
        "DELETE FROM note WHERE id = 3",
        "UPDATE note SET text = 'c' WHERE id = 1; TRUNCATE note; INSERT INTO note VALUES (1, 'z'), (8, 'y')",
    )
    with engine.begin() as connection:
        revert_transaction(connection, table.metadata, last(engine, table).transaction_id)
    assert rows(engine, "SELECT * FROM note ORDER BY 1") == [(1, "a"), (2, "b")]
    run(engine, "TRUNCATE note")
    with engine.begin() as connection:
        reverted = revert(connection, table.metadata, last(engine, table))
    assert sorted(told(reverted)) == [("note", (1,), "I", ("id", "text")), ("note", (2,), "I", ("id", "text"))]
    assert rows(engine, "SELECT * FROM note ORDER BY 1") == [(1, "a"), (2, "b")]
    run(engine, "TRUNCATE note")
    with engine.begin() as connection:
        undelete(connection, table, 2)
    assert rows(engine, "SELECT * FROM note ORDER BY 1") == [(2, "b")]


def _note(statements: list[str], *arguments: Any) -> None:
    statements.append(arguments[2])


def test_many_rows_take_no_more_statements_than_few(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    counts = []
    for number in (10, 10_000):
        run(
            engine,
            f"INSERT INTO note SELECT n, 'a' FROM generate_series(1, {number}) n",
            f"UPDATE note SET text = 'b' WHERE id % 3 = 0; DELETE FROM note WHERE id % 3 = 1;"
            f"INSERT INTO note SELECT n, 'c' FROM generate_series({number} + 1, {number} + {number}) n",
        )
        statements: list[str] = []
        with engine.begin() as connection:
            event.listen(connection, "before_cursor_execute", partial(_note, statements))
            revert_transaction(connection, table.metadata, last(engine, table).transaction_id)
        assert rows(engine, "SELECT count(*), min(text), max(text) FROM note") == [(number, "a", "a")]
        run(engine, "DELETE FROM note")
        counts.append(len(statements))
    assert counts[0] == counts[1] < 25


# One record


def test_restore_to_every_point(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    states: list[tuple[Any, list[tuple[Any, ...]]]] = []
    for statement in (
        "INSERT INTO note VALUES (1, 'a')",
        "UPDATE note SET text = 'b'",
        "TRUNCATE note",
        "INSERT INTO note VALUES (1, 'c')",
        "DELETE FROM note",
    ):
        before = rows(engine, "SELECT clock_timestamp()")[0][0]
        states.append((before, rows(engine, "SELECT * FROM note")))
        run(engine, statement)
        states.append((last(engine, table).position, rows(engine, "SELECT * FROM note")))
    for moment, expected in [*states, *reversed(states)]:
        with engine.begin() as connection:
            restore(connection, table, 1, to=moment)
        assert rows(engine, "SELECT * FROM note") == expected
    with engine.begin() as connection:
        assert restore(connection, table, 1, to=states[0][0]).writes == (), "it is as wanted already"


def test_restore_of_chosen_columns(engine: Engine, connection: Connection) -> None:
    table = note(Column("mood", Text))
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a', 'x')", "UPDATE note SET text = 'b', mood = 'y'")
    first = history(engine, table)[0].position
    assert told(restore(connection, table, 1, to=first, columns=["mood"])) == [("note", (1,), "U", ("mood",))]
    assert connection.execute(select(table)).all() == [(1, "b", "x")]
    with pytest.raises(AuditConflictError, match="did not exist then, so its columns have no value"):
        restore(connection, table, 1, to=Position(0, 0), columns=["mood"])
    connection.execute(table.delete())
    with pytest.raises(AuditConflictError, match="cannot come back with some of its columns"):
        restore(connection, table, 1, to=first, columns=["mood"])


@pytest.mark.parametrize("ondelete", [None, "CASCADE"])
def test_undelete_with_children(engine: Engine, ondelete: str | None) -> None:
    parent, _, _ = family(engine, ondelete=ondelete)
    run(
        engine,
        "INSERT INTO parent VALUES (1, 'a'), (2, 'b'); INSERT INTO child VALUES (10, 1, NULL), (9, 1, 10), (11, 2, 10),"
        "(12, 2, NULL); INSERT INTO toy VALUES (100, 10), (101, 11), (102, 12)",
        "DELETE FROM toy WHERE id = 102",
    )
    before = rows(engine, EVERYTHING)
    delete_all = (
        "DELETE FROM toy; DELETE FROM child WHERE id IN (9, 11, 10); DELETE FROM parent WHERE id = 1"
        if ondelete is None
        else "DELETE FROM parent WHERE id = 1"
    )
    run(engine, delete_all)
    deleted = last(engine, parent)
    with engine.begin() as connection:
        reverted = undelete(connection, parent, 1)
    assert rows(engine, EVERYTHING) == before
    assert [write[0] for write in told(reverted)] == ["parent", *["child"] * 3, *["toy"] * 2]
    assert reverted.reverts["transaction_id"] == deleted.transaction_id
    assert len(reverted.reverts["audit_ids"]) == 6
    run(engine, delete_all)
    with engine.begin() as connection:
        undelete(connection, parent, 1, cascade=False)
    assert [row for row in rows(engine, EVERYTHING) if row[0] != "parent"] == [("child", 12, "2", None)]


def test_undelete_of_what_was_not_deleted(engine: Engine, connection: Connection) -> None:
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", "UPDATE note SET id = 2")
    with pytest.raises(AuditConflictError, match="it was not deleted: its key was changed, by transaction 2"):
        undelete(connection, table, 1)
    run(engine, "DELETE FROM note", "INSERT INTO note VALUES (2, 'b')")
    with pytest.raises(AuditConflictError, match="there is a row with this key again"):
        undelete(connection, table, 2)
    undelete(connection, table, 2, force=True)
    assert connection.execute(select(table)).all() == [(2, "a")]


# Constraints


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
            revert_transaction(connection, table.metadata, last(engine, table).transaction_id)
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
    assert "note (id=1), secret: NOT NULL, without a default, and not in the history: give values=" in str(
        conflict.value
    )
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


# Who, and why


def context(engine: Engine) -> list[Any]:
    return [value for (value,) in rows(engine, "SELECT context FROM audit_transaction ORDER BY id")]


def test_the_context_links_to_what_is_reverted(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    run(
        engine,
        "INSERT INTO note SELECT n, 'a' FROM generate_series(1, 150) n",
        "UPDATE note SET text = 'b' WHERE id = 3",
    )
    with engine.begin() as connection:
        execute(connection, """SELECT set_config('audit.context', '{"reason": "x", "n": 1.50}', true)""")
        reverted = revert(connection, table.metadata, last(engine, table))
        connection.execute(insert(table).values(id=1000))
    assert context(engine)[2:] == [
        {"reason": "x", "n": 1.5, "reverts": {"transaction_id": 2, "audit_ids": [151]}},
        {"reason": "x", "n": 1.5},
    ]
    assert reverted.reverts == {"transaction_id": 2, "audit_ids": [151]}
    assert "1.50" in str(rows(engine, "SELECT context::text FROM audit_transaction WHERE id = 3"))
    run(engine, "DELETE FROM note WHERE id = 1000")
    with engine.begin() as connection:
        revert_transaction(connection, table.metadata, 1)
        connection.execute(insert(table).values(id=1000))
    link = context(engine)[-2]["reverts"]
    assert link == {"transaction_id": 1, "audit_ids": [*range(1, 101)], "count": 150}
    assert context(engine)[-1] is None, "nothing is left behind"


def test_the_context_of_a_restore_and_of_a_rollback(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", "UPDATE note SET text = 'b'", "DELETE FROM note")
    with engine.begin() as connection:
        savepoint = connection.begin_nested()
        restore(connection, table, 1, to=Position(1, 1))
        savepoint.rollback()
        assert connection.scalar(text("SELECT current_setting('audit.context', true)")) == ""
        restore(connection, table, 1, to=Position(1, 1))
    assert context(engine)[-1]["reverts"] == {
        "transaction_id": 3,
        "transaction_ids": [2, 3],
        "audit_ids": [2, 3],
        "to": "1.1",
    }


def test_a_revert_in_a_request(database: Database) -> None:
    with blog(database.url()) as made:

        @made.app.post("/revert")
        def revert_last() -> str:
            change = read_feed(made.db.session, made.db.metadata, ChangeFilter(tables=[made.Post])).changes[0]
            revert(made.db.session, made.db.metadata, change)
            made.db.session.add(made.Post(title="afterwards"))
            made.db.session.commit()
            return ""

        client = made.app.test_client()
        client.post("/signup/alice")
        client.post("/posts?title=oops")
        assert client.post("/revert", headers={"X-Request-ID": "r1"}).status_code == 200
        undone, after = made.rows(
            "SELECT DISTINCT t.id, t.username, context->>'path', context->'reverts' FROM post_audit p "
            "JOIN audit_transaction t ON t.id = p.audit_transaction_id ORDER BY t.id"
        )[-2:]
        assert undone[1:3] == after[1:3] == ("alice", "/revert")
        assert undone[3]["audit_ids"] and after[3] is None
        assert [title for title, *_ in made.posts()] == ["hello", "oops", "oops", "afterwards"]


def test_a_revert_in_a_request_after_other_writes(database: Database) -> None:
    with blog(database.url()) as made:

        @made.app.post("/revert")
        def revert_last() -> str:
            made.db.session.add(made.Post(title="before"))
            made.db.session.flush()
            with made.audit.context(reason="mistake"):
                undelete(made.db.session, made.Post, 1)
            made.db.session.commit()
            return ""

        client = made.app.test_client()
        client.post("/posts?title=a")
        with made.app.app_context():
            made.db.session.delete(made.db.session.get_one(made.Post, 1))
            made.db.session.commit()
        assert client.post("/revert").status_code == 200
        query = "SELECT context->>'reason', context->'reverts'->'audit_ids' FROM audit_transaction ORDER BY id"
        assert made.rows(query)[-2:] == [(None, None), ("mistake", [2])]


# The ORM


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[int] = mapped_column()
    changed_at: Mapped[datetime.datetime | None] = mapped_column(
        DateTime(timezone=True), onupdate=lambda: datetime.datetime.now(datetime.timezone.utc)
    )
    books: Mapped[list[Book]] = relationship(back_populates="author", order_by="Book.id", cascade="all, delete-orphan")
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Book(Base):
    __tablename__ = "book"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    token: Mapped[str] = mapped_column(String)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")
    __mapper_args__ = {"version_id_col": token, "version_id_generator": lambda version: uuid.uuid4().hex}  # noqa: RUF012


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    install(engine, Base.metadata)
    with Session(engine) as session:
        session.add(Author(id=1, name="a", books=[Book(id=1, title="x"), Book(id=2, title="y")]))
        session.commit()
        yield session


def changes_of(session: Session, entity: Any, key: Any) -> list[Change]:
    """Oldest first."""
    return [*reversed(read_changes(session, Base.metadata, timeline(entity, key)))]


def test_a_session_shows_the_truth(session: Session) -> None:
    author = session.get_one(Author, 1)
    author.name = "b"
    session.commit()
    assert len(author.books) == 2 and author.books[0].title == "x"
    author.name = "c"
    with pytest.raises(AuditConflictError, match="the change left 'b', and now it is 'c'"):
        revert(session, Base.metadata, changes_of(session, Author, 1)[1])
    author.name = "b"
    revert(session, Base.metadata, changes_of(session, Author, 1)[1])
    assert author.name == "a"
    book = author.books[1]
    session.delete(book)
    session.flush()
    undelete(session, Book, 2)
    assert [(each.id, each.title) for each in author.books] == [(1, "x"), (2, "y")]
    first = author.books[0]
    revert(session, Base.metadata, changes_of(session, Book, 1))
    assert first not in session and [each.id for each in author.books] == [2]
    session.commit()
    assert session.get(Book, 1) is None


def test_undelete_of_what_the_orm_cascaded(session: Session) -> None:
    session.delete(session.get_one(Author, 1))
    session.commit()
    sessions = scoped_session(sessionmaker(session.get_bind()))
    assert len(undelete(sessions, Author, 1).writes) == 3
    assert [book.title for book in sessions.get_one(Author, 1).books] == ["x", "y"]
    sessions.commit()
    sessions.remove()


def test_a_version_does_not_go_back(session: Session) -> None:
    author = session.get_one(Author, 1)
    author.name = "b"
    session.commit()
    assert author.version == 2
    stale = Session(session.get_bind())
    assert stale.get_one(Author, 1).version == 2
    update_ = changes_of(session, Author, 1)[1]
    revert(session, Base.metadata, update_)
    assert (author.name, author.version) == ("a", 3)
    stale.close()
    restore(session, author, to=update_.position)
    assert (author.name, author.version) == ("b", 4)
    session.delete(author)
    session.commit()
    undelete(session, Author, 1)
    assert session.get_one(Author, 1).version == 5
    book = session.get_one(Book, 1)
    token, book.title = book.token, "z"
    session.commit()
    changed = book.token
    revert(session, Base.metadata, changes_of(session, Book, 1)[-1])
    assert book.title == "x" and book.token not in (token, changed)


def test_what_every_update_sets(session: Session) -> None:
    """``onupdate`` neither makes a conflict of any other update, nor writes over what is brought back."""
    author = session.get_one(Author, 1)
    author.name = "b"
    session.commit()
    author.changed_at = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    session.commit()
    revert(session, Base.metadata, changes_of(session, Author, 1)[1])
    assert author.name == "a" and author.changed_at is None


# Concurrency


def test_a_change_that_another_transaction_is_making(engine: Engine) -> None:
    """The rows are locked before they are compared."""
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", "UPDATE note SET text = 'b'")
    change = last(engine, table)
    with engine.connect() as writer, engine.connect() as reverter:
        writer.execute(update(table).values(text="c"))
        execute(reverter, "SET lock_timeout = '50ms'")
        with pytest.raises(Exception, match="lock timeout"):
            revert(reverter, table.metadata, change)
        reverter.rollback()
        execute(reverter, "SET lock_timeout = '10s'")
        pid = reverter.scalar(text("SELECT pg_backend_pid()"))
        reverter.rollback()
        answer = _in_background(lambda: revert(reverter, table.metadata, change))
        while not rows(engine, f"SELECT 1 FROM pg_locks WHERE pid = {pid} AND NOT granted"):
            pass
        writer.commit()
        assert isinstance(answer(), AuditConflictError)


def _in_background(function: Callable[[], Any]) -> Callable[[], Any]:
    import threading

    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function())
        except AuditConflictError as error:
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()

    def answer() -> Any:
        thread.join(20)
        return outcome[0]

    return answer


def test_a_dry_run_keeps_no_locks(engine: Engine, database: Database) -> None:
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')")
    other = create_engine(database.url())
    with engine.begin() as connection:
        revert(connection, table.metadata, last(engine, table), dry_run=True)
        run(other, "SET lock_timeout = '1s'; UPDATE note SET text = 'b'")
    other.dispose()
