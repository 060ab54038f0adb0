"""Installing while others write: no change is lost, and nobody waits for long."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Text, create_engine

from flask_pg_audit import AuditInstallError, install_audit_triggers
from tests.capture import audited_table, column, execute, install, recorded, rows, run
from tests.server import Database

WRITERS = 4


def item(*names: str, convention: dict[str, str] | None = None, **options: Any) -> MetaData:
    metadata = MetaData(naming_convention=convention)
    columns = [column(name, Text) for name in ("name", *names)]
    audited_table(metadata, "item", column("id", Integer, primary_key=True), *columns, options=options)
    return metadata


@contextmanager
def writers(database: Database) -> Iterator[list[int]]:
    """Insert, update and delete without a pause; the counts of committed changes are there when all have stopped."""
    stop, started = Event(), [Event() for _ in range(WRITERS)]
    counts: list[int] = []

    def write(number: int) -> int:
        engine = create_engine(database.url())
        changes, key = 0, number
        while not stop.is_set():
            for statement in (
                f"INSERT INTO item (id, name) VALUES ({key}, 'a')",
                f"UPDATE item SET name = 'b' WHERE id = {key}",
                f"DELETE FROM item WHERE id = {key} AND id % 3 = 0",
            ):
                with engine.begin() as connection:
                    changes += execute(connection, statement).rowcount
            started[number].set()
            key += WRITERS
        engine.dispose()
        return changes

    with ThreadPoolExecutor(WRITERS) as threads:
        futures: list[Future[int]] = [threads.submit(write, number) for number in range(WRITERS)]
        try:
            for event in started:
                assert event.wait(30)
            yield counts
        finally:
            stop.set()
            counts += [future.result() for future in futures]


def assert_all_recorded(engine: Engine, counts: list[int]) -> None:
    assert rows(engine, "SELECT count(*) FROM item_audit") == [(sum(counts),)]
    # The newest image of every row is the row; those that are gone end with their delete.
    assert rows(
        engine,
        """
        WITH newest AS (
            SELECT DISTINCT ON (id) id, name, audit_operation FROM item_audit ORDER BY id, audit_id DESC
        )
        SELECT count(*) FROM newest FULL JOIN item USING (id)
        WHERE (item.name IS DISTINCT FROM newest.name AND newest.audit_operation <> 'D')
            OR (item.name IS NULL) <> (newest.audit_operation = 'D') OR newest.id IS NULL
        """,
    ) == [(0,)]


def test_replacing_functions_and_triggers_loses_no_change(engine: Engine, database: Database) -> None:
    install(engine, item())
    other_names = {"audit.function": "f_%(table_name)s", "audit.trigger": "t_%(table_name)s"}
    done = 0
    with writers(database) as counts:
        for _ in range(5):
            for metadata in (item(level="row"), item(convention=other_names), item(skip_unchanged=False), item()):
                done += len(install_audit_triggers(metadata, engine).actions)
    assert done >= 60
    assert sum(counts) > 100
    assert_all_recorded(engine, counts)


def test_adding_columns_loses_no_change(engine: Engine, database: Database) -> None:
    install(engine, item())
    names: list[str] = []
    with writers(database) as counts:
        for number in range(8):
            names.append(f"extra_{number}")
            run(engine, f"ALTER TABLE item ADD COLUMN {names[-1]} text DEFAULT 'x'")
            assert len(install_audit_triggers(item(*names), engine).actions) == 3
    assert_all_recorded(engine, counts)


def test_moving_the_history_loses_no_change(engine: Engine, database: Database) -> None:
    install(engine, item())
    with writers(database) as counts:
        for name in ("%(table_name)s_log", "%(table_name)s_audit") * 4:
            install_audit_triggers(item(convention={"audit.table": name}), engine)
    assert_all_recorded(engine, counts)


def test_adding_a_column_does_not_rewrite_the_history(engine: Engine) -> None:
    install(engine, item())
    run(engine, "INSERT INTO item (id) SELECT generate_series(1, 100)", "ALTER TABLE item ADD COLUMN extra text")
    file = rows(engine, "SELECT pg_relation_filenode('item_audit')")
    install_audit_triggers(item("extra"), engine)
    assert rows(engine, "SELECT pg_relation_filenode('item_audit')") == file


@contextmanager
def busy(database: Database) -> Iterator[None]:
    """Somebody has written the table and not committed."""
    engine = create_engine(database.url())
    with engine.connect() as connection:
        execute(connection, "INSERT INTO item VALUES (1000000)")
        yield
        connection.rollback()
    engine.dispose()


def test_a_busy_table_is_given_up_with_a_line_and_nothing_is_changed(engine: Engine, database: Database) -> None:
    metadata = item()
    metadata.create_all(engine)
    with busy(database), pytest.raises(AuditInstallError) as error:
        install_audit_triggers(metadata, engine, lock_timeout=0.05, tries=2)
    assert str(error.value) == (
        "PostgreSQL refused: canceling statement due to lock timeout; a transaction holds a table that has to be "
        "altered (pg_stat_activity shows which): try again when it has ended, or wait for longer with --lock-timeout"
    )
    assert rows(engine, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]
    assert len(install_audit_triggers(metadata, engine).actions) == 16


def test_others_get_through_between_two_tries(engine: Engine, database: Database) -> None:
    """Whoever waits for a lock holds up those who come later; a try is short, so they do not wait for long."""
    metadata = item()
    metadata.create_all(engine)
    with ThreadPoolExecutor(1) as thread:
        with busy(database):
            installation = thread.submit(install_audit_triggers, metadata, engine, lock_timeout=0.2, tries=1000)
            other = create_engine(database.url())
            for number in range(10):
                run(other, f"INSERT INTO item VALUES ({number})")
            other.dispose()
            assert not installation.done()
        assert len(installation.result(60).actions) == 16
    run(engine, "INSERT INTO item VALUES (10)")
    assert recorded(engine, "item", "id") == [("I", 10)]


def test_the_callers_own_lock_timeout_is_left_alone(engine: Engine, database: Database) -> None:
    metadata = item()
    metadata.create_all(engine)
    with engine.begin() as connection:
        execute(connection, "SET LOCAL lock_timeout = '7s'")
        install_audit_triggers(metadata, connection)
        assert execute(connection, "SHOW lock_timeout").scalar() == "7s"
    with engine.connect() as connection:
        assert execute(connection, "SHOW lock_timeout").scalar() == "0"


def two_tables(*names: str) -> MetaData:
    metadata = MetaData()
    for table in ("aa", "bb"):
        columns = [column(name, Text) for name in names]
        audited_table(metadata, table, Column("id", Integer, primary_key=True), *columns)
    return metadata


def wait_for_the_installation_to_wait(engine: Engine, table: str) -> None:
    query = f"SELECT count(*) FROM pg_locks WHERE relation = '{table}'::regclass AND NOT granted"
    while rows(engine, query) == [(0,)]:
        pass


@pytest.mark.superuser
@pytest.mark.parametrize("step", ["triggers", "columns"])
def test_who_writes_several_tables_is_not_ended_as_a_deadlock(engine: Engine, database: Database, step: str) -> None:
    """The installation has one table and waits for the other, which somebody has who goes on to write the first.

    PostgreSQL would end one of the two; this writer looks first. Cure: once it has a lock, the installation waits for
    less than the 1 second after which anybody looks.
    """
    metadata, waits_for = two_tables(), "bb"
    if step == "triggers":
        metadata.create_all(engine)
    else:
        install(engine, metadata)
        run(engine, "ALTER TABLE aa ADD COLUMN x text", "ALTER TABLE bb ADD COLUMN x text")
        metadata, waits_for = two_tables("x"), "bb_audit"
    writer = create_engine(database.url())
    with ThreadPoolExecutor(1) as thread:
        with writer.begin() as connection:
            execute(connection, "SET LOCAL deadlock_timeout = '800ms'")
            execute(connection, "INSERT INTO bb (id) VALUES (1)")
            installation = thread.submit(install_audit_triggers, metadata, engine, lock_timeout=30, tries=1000)
            wait_for_the_installation_to_wait(engine, waits_for)
            execute(connection, "INSERT INTO aa (id) VALUES (1)")
        assert installation.result(60).actions
    writer.dispose()


@pytest.mark.superuser
def test_a_reader_that_goes_on_to_write_is_not_ended_as_a_deadlock(engine: Engine, database: Database) -> None:
    """Moving the history needs the strongest lock; taking a weaker one first would close a circle with a reader."""
    install(engine, item())
    run(engine, "DROP TRIGGER public_item_audit_truncate ON item")
    metadata = item(convention={"audit.table": "%(table_name)s_log"})
    reader = create_engine(database.url())
    with ThreadPoolExecutor(1) as thread:
        with reader.begin() as connection:
            execute(connection, "SET LOCAL deadlock_timeout = '800ms'")
            execute(connection, "SELECT FROM item")
            installation = thread.submit(install_audit_triggers, metadata, engine, lock_timeout=30, tries=1)
            wait_for_the_installation_to_wait(engine, "item")
            execute(connection, "INSERT INTO item VALUES (1)")
        assert installation.result(60).actions
    reader.dispose()
    assert rows(engine, "SELECT count(*) FROM item_log") == [(1,)]


def test_a_very_short_patience_is_not_an_endless_one(engine: Engine, database: Database) -> None:
    metadata = item()
    metadata.create_all(engine)
    with busy(database), pytest.raises(AuditInstallError, match="lock timeout"):
        install_audit_triggers(metadata, engine, lock_timeout=0.0001, tries=1)
