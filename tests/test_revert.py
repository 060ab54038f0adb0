"""Revert, restore and undelete: rows in, rows out."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import (
    Column,
    Computed,
    Connection,
    DateTime,
    Engine,
    ForeignKey,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    event,
    func,
    insert,
    select,
    update,
)

from flask_pg_audit import AuditConfigError, AuditConflictError, install_audit_triggers, set_session_vars
from flask_pg_audit.history.change import Change
from flask_pg_audit.history.position import Position
from flask_pg_audit.revert import restore, revert, revert_transaction, undelete
from tests.capture import audited_table, column, install, rows, run
from tests.reverting import EVERYTHING, family, history, last, note, reasons, told


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


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


def test_keys_that_changed_places_row_by_row(engine: Engine, connection: Connection) -> None:
    """They are recorded as inserts under keys that are taken: nothing tells what was there before."""
    table = note(level="row")
    install(engine, table.metadata)
    run(engine, "ALTER TABLE note DROP CONSTRAINT note_pkey", "ALTER TABLE note ADD PRIMARY KEY (id) DEFERRABLE")
    run(engine, "INSERT INTO note VALUES (1, 'a'), (2, 'b')", "UPDATE note SET id = 3 - id")
    first, second = history(engine, table)[1].position, last(engine, table)
    with pytest.raises(AuditConflictError, match="an insert of the row while it was there"):
        revert_transaction(connection, table.metadata, second.transaction_id, force=True)
    for key in (1, 2):
        restore(connection, table, key, to=first)
    assert connection.execute(select(table).order_by(table.c.id)).all() == [(1, "a"), (2, "b")]


def test_a_bulk_change_of_keys_by_the_model(engine: Engine) -> None:
    """What changes with any update does not hide that two changes are one."""
    table = note(
        Column("at", DateTime, onupdate=func.now()), Column("double", Integer, Computed("id * 2", persisted=True))
    )
    install(engine, table.metadata)
    with engine.begin() as connection:
        connection.execute(insert(table), [{"id": 1, "text": "a"}, {"id": 2, "text": "b"}])
    with engine.begin() as connection:
        connection.execute(update(table).values(id=table.c.id + 10))
    with engine.begin() as connection:
        reverted = revert_transaction(connection, table.metadata, 2)
    assert sorted(told(reverted)) == [("note", (1,), "U", ("id", "at")), ("note", (2,), "U", ("id", "at"))]
    assert rows(engine, "SELECT * FROM note ORDER BY id") == [(1, "a", None, 2), (2, "b", None, 4)]


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


def test_restore_to_a_transaction_is_refused(engine: Engine) -> None:
    with engine.connect() as connection, pytest.raises(AuditConfigError, match="to is 1; give the position"):
        restore(connection, MetaData(), 1, to=1)  # type: ignore[arg-type]
