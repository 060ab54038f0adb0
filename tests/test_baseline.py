"""``flask audit baseline``: every row that was there before auditing gets its first image, whoever writes meanwhile."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import (
    ARRAY,
    Column,
    Computed,
    Connection,
    Engine,
    Enum,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Text,
    create_engine,
    event,
)
from sqlalchemy.dialects.postgresql import DOMAIN, JSON, UUID

from flask_pg_audit import AuditConfigError, AuditInstallError, install_audit_triggers
from flask_pg_audit.database import baseline as baseline_module
from flask_pg_audit.database.baseline import Baselined, baseline
from flask_pg_audit.database.verify import verify
from flask_pg_audit.declare.registry import audited_tables
from tests.capture import audited_table, column, execute, install, recorded, role, rows, run
from tests.classic import classic
from tests.load import replayed, writers
from tests.server import Database, DatabaseServer


def thing(*columns: Column[Any], key: bool = True, **options: Any) -> MetaData:
    metadata = MetaData()
    columns = columns or (column("name", Text),)
    audited_table(
        metadata, "thing", Column("id", Integer, primary_key=key, autoincrement=False), *columns, options=options
    )
    return metadata


def with_rows(engine: Engine, metadata: MetaData, count: int) -> MetaData:
    """Rows from before auditing, called ``a``."""
    metadata.create_all(engine)
    run(engine, f"INSERT INTO thing (id, name) SELECT n, 'a' FROM generate_series(1, {count}) AS n")
    install_audit_triggers(metadata, engine)
    return metadata


def assert_complete(engine: Engine, metadata: MetaData) -> None:
    """Every live row has history, and the history says what is there."""
    assert [found.counts for found in verify(metadata, engine)] == [{}] * (len(audited_tables(metadata)) + 1)


# What is written


def test_rows_without_history_get_their_image(engine: Engine) -> None:
    metadata = with_rows(engine, thing(), 3)
    run(engine, "UPDATE thing SET name = 'b' WHERE id = 2", "INSERT INTO thing VALUES (4, 'c')")
    assert baseline(metadata, engine) == (Baselined("thing", 2),)
    assert recorded(engine, "thing", "id", "name") == [("U", 2, "b"), ("I", 4, "c"), ("S", 1, "a"), ("S", 3, "a")]
    assert_complete(engine, metadata)


def test_a_row_whose_history_ended_is_not_made_to_look_alive(engine: Engine) -> None:
    metadata = with_rows(engine, thing(), 2)
    run(engine, "DELETE FROM thing WHERE id = 1")
    assert baseline(metadata, engine) == (Baselined("thing", 1),)
    assert recorded(engine, "thing", "id") == [("D", 1), ("S", 2)]


def test_a_second_run_does_nothing(engine: Engine) -> None:
    metadata = with_rows(engine, thing(), 3)
    baseline(metadata, engine)
    before = rows(engine, "SELECT * FROM audit_transaction")
    assert baseline(metadata, engine) == (Baselined("thing", 0),)
    assert rows(engine, "SELECT * FROM audit_transaction") == before


def test_each_batch_is_a_transaction(engine: Engine) -> None:
    metadata = with_rows(engine, thing(), 10)
    told: list[tuple[int, int]] = []
    baseline(metadata, engine, batch_size=4, progress=lambda done, total: told.append((done, total)))
    assert told == [(4, 10), (8, 10), (10, 10)]
    per_transaction = "SELECT count(*) FROM thing_audit GROUP BY audit_transaction_id ORDER BY audit_transaction_id"
    assert rows(engine, per_transaction) == [(4,), (4,), (2,)]
    assert rows(engine, "SELECT count(*) FROM audit_transaction") == [(3,)]


def test_an_interrupted_run_is_continued(engine: Engine) -> None:
    metadata = with_rows(engine, thing(), 10)

    def interrupt(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        baseline(metadata, engine, batch_size=3, progress=interrupt)
    assert rows(engine, "SELECT count(*) FROM thing_audit") == [(6,)]
    assert baseline(metadata, engine, batch_size=3) == (Baselined("thing", 4),)
    assert [row[1] for row in recorded(engine, "thing", "id")] == list(range(1, 11))


def test_only_the_tables_that_are_named(engine: Engine) -> None:
    metadata = thing()
    audited_table(metadata, "other", column("id", Integer, primary_key=True), schema="s")
    run(engine, "CREATE SCHEMA s")
    metadata.create_all(engine)
    run(engine, "INSERT INTO s.other VALUES (1)", "INSERT INTO thing VALUES (1, 'a')")
    install_audit_triggers(metadata, engine)
    assert baseline(metadata, engine, tables=["s.other"]) == (Baselined("s.other", 1),)
    assert baseline(metadata, engine, tables=["thing", "thing"]) == (Baselined("thing", 1),)


def test_the_settings_of_the_session_are_recorded_and_none_is_demanded(engine: Engine, database: Database) -> None:
    settings = [
        Column("username", String, nullable=False),
        Column("job", UUID(), nullable=False),
        Column("kind", Enum("x", "y", name="kind")),
    ]
    metadata = with_rows(engine, thing(session_settings=settings), 1)
    baseline(metadata, engine)
    job = uuid.uuid4()
    settings_of_session = f"-c audit.username=ann -c audit.job={job} -c audit.kind=y"
    acting = create_engine(database.url(), connect_args={"options": settings_of_session})
    run(engine, "ALTER TABLE thing DISABLE TRIGGER USER", "INSERT INTO thing VALUES (2, 'b')")
    run(engine, "ALTER TABLE thing ENABLE TRIGGER USER")
    baseline(metadata, acting)
    acting.dispose()
    images = recorded(engine, "thing", "audit_username", "audit_job::text", "audit_kind::text", "id")
    assert images == [("S", None, None, None, 1), ("S", "ann", str(job), "y", 2)]
    assert rows(engine, "SELECT username FROM audit_transaction ORDER BY id") == [(None,), ("ann",)]


# Tables of all kinds


KEYS: dict[str, tuple[list[Column[Any]], str]] = {
    "composite": ([Column("a", Integer), Column("b", Text)], "n / 3, 'x' || n"),
    "uuid": ([Column("a", UUID())], "md5(n::text)::uuid"),
    "enum": ([Column("a", Enum(*(f"e{n}" for n in range(1, 10)), name="letters"))], "('e' || n)::letters"),
    "numeric": ([Column("a", Numeric(10, 2))], "n / 4.0"),
    "binary": ([Column("a", LargeBinary)], r"convert_to('\' || n, 'UTF8')"),
    "char": ([Column("a", String(3)), Column("b", Text)], "'ü' || n, ''';%:x \"\\'"),
    "array": ([Column("a", ARRAY(Integer))], "ARRAY[n, 1]"),
    "domain": ([Column("a", DOMAIN("positive", Integer, check="VALUE > 0"))], "n"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_all_types(engine: Engine, kind: str) -> None:
    columns, values = KEYS[kind]
    metadata = MetaData()
    keys = [Column(c.name, c.type, primary_key=True, autoincrement=False) for c in columns]
    audited_table(metadata, "thing", *keys, column("value", Integer))
    metadata.create_all(engine)
    run(engine, f"INSERT INTO thing SELECT {values}, n FROM generate_series(1, 9) AS n")
    install_audit_triggers(metadata, engine)
    assert baseline(metadata, engine, batch_size=2) == (Baselined("thing", 9),)
    assert baseline(metadata, engine, batch_size=2) == (Baselined("thing", 0),)
    assert rows(engine, "SELECT value FROM thing_audit ORDER BY value") == [(n,) for n in range(1, 10)]
    for size in (1, 2, 100):
        assert [found.counts for found in verify(metadata, engine, batch_size=size)] == [{}, {}]


def test_exotic_names_and_types(engine: Engine, server: DatabaseServer) -> None:
    run(engine, 'CREATE SCHEMA "we""ird %s"', 'CREATE SCHEMA "a:b"')
    metadata = MetaData(schema='we"ird %s')
    name = "user %(x)s ü" + "n" * 40
    columns: list[Column[Any]] = [
        Column('K"ey %', Integer, primary_key=True, key="key"),
        Column("k1", JSON),
        Column("c1", Text),
        Column("order:by", ARRAY(Text), key="order"),
        Column("secret", Text),
        Column("twice", Integer, Computed('"K""ey %" * 2', persisted=True)),
    ]
    audited_table(metadata, name, *columns, options={"exclude": ["secret"], "schema_name": "a:b"})
    metadata.create_all(engine)
    quoted = '"' + name.replace('"', '""') + '"'
    run(
        engine,
        f'INSERT INTO "we""ird %s".{quoted} ("K""ey %", k1, c1, "order:by", secret) '
        """VALUES (1, '{"a":  1}', 'x', '{a}', 's'), (2, NULL, NULL, NULL, NULL), (3, '1', '', '{}', '')""",
    )
    install_audit_triggers(metadata, engine)
    assert baseline(metadata, engine, batch_size=1)[0].rows == 3
    assert [found.counts for found in verify(metadata, engine, batch_size=1)] == [{}, {}]
    [audit_table] = [table for table in metadata.tables.values() if table.schema == "a:b"]
    with engine.connect() as connection:
        [first, *_] = connection.execute(audit_table.select().order_by(audit_table.c.audit_id)).mappings()
    assert (first["key"], first["k1"], first["order"], first["twice"]) == (1, {"a": 1}, ["a"], 2)
    assert "secret" not in first


def test_a_virtual_column_is_left_out(engine: Engine, server: DatabaseServer) -> None:
    if server.version < 18:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    metadata = thing(column("name", Text), Column("twice", Integer, Computed("id * 2")))
    run(engine, "CREATE TABLE thing (id int PRIMARY KEY, name text, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL)")
    run(engine, "INSERT INTO thing VALUES (1, 'a')")
    install(engine, metadata)
    baseline(metadata, engine)
    assert recorded(engine, "thing", "id", "name") == [("S", 1, "a")]
    assert_complete(engine, metadata)


def test_partitions_of_all_depths(engine: Engine) -> None:
    metadata = MetaData()
    columns = (column("region", Text, primary_key=True), column("id", Integer, primary_key=True))
    audited_table(metadata, "thing", *columns, column("name", Text), postgresql_partition_by="LIST (region)")
    metadata.create_all(engine)
    run(
        engine,
        "CREATE TABLE north PARTITION OF thing FOR VALUES IN ('n') PARTITION BY HASH (id)",
        "CREATE TABLE north_1 PARTITION OF north FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE north_2 PARTITION OF north FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "CREATE TABLE other PARTITION OF thing DEFAULT",
        "INSERT INTO thing SELECT r, n, 'a' FROM generate_series(1, 10) AS n, unnest(ARRAY['n', 's']) AS r",
    )
    install_audit_triggers(metadata, engine)
    run(
        engine, "UPDATE thing SET region = 's', id = 99 WHERE region = 'n' AND id = 3", "DELETE FROM other WHERE id = 4"
    )
    assert baseline(metadata, engine, batch_size=3) == (Baselined("thing", 18),)
    assert baseline(metadata, engine, batch_size=3) == (Baselined("thing", 0),)
    assert_complete(engine, metadata)


def test_rows_of_tables_that_inherit(engine: Engine) -> None:
    """A statement on the table is recorded for their rows too."""
    metadata = with_rows(engine, thing(), 2)
    run(engine, "CREATE TABLE child (extra int) INHERITS (thing)", "INSERT INTO child VALUES (3, 'c')")
    assert baseline(metadata, engine) == (Baselined("thing", 3),)
    run(engine, "UPDATE thing SET name = 'b'")
    assert_complete(engine, metadata)


def test_a_table_without_a_key_is_done_at_once(engine: Engine) -> None:
    metadata = with_rows(engine, thing(key=False), 3)
    assert baseline(metadata, engine, batch_size=1) == (Baselined("thing", 3),)
    assert recorded(engine, "thing", "id", "name") == [("S", 1, "a"), ("S", 2, "a"), ("S", 3, "a")]
    assert rows(engine, "SELECT count(*) FROM audit_transaction") == [(1,)]
    run(engine, "INSERT INTO thing VALUES (4, 'b')")
    assert baseline(metadata, engine, tables=["thing"]) == (Baselined("thing", 0),)


def test_a_table_without_a_key_is_refused_once_it_has_history(engine: Engine) -> None:
    metadata = with_rows(engine, thing(key=False), 3)
    audited_table(metadata, "other", column("id", Integer, primary_key=True))
    metadata.create_all(engine)
    run(engine, "INSERT INTO other VALUES (1)", "INSERT INTO thing VALUES (4, 'b')")
    install_audit_triggers(metadata, engine)
    reason = (
        "has no primary key, and changes have been recorded already: which rows lack history cannot be told; "
        "declare a primary key"
    )
    with pytest.raises(AuditInstallError) as error:
        baseline(metadata, engine, tables=["other", "thing"])
    assert str(error.value) == f"thing: {reason}"
    assert baseline(metadata, engine) == (Baselined("other", 1), Baselined("thing", 0, reason))


# What is refused


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DROP TABLE thing_audit", "create table thing_audit (missing)"),
        ("ALTER TABLE thing DISABLE TRIGGER public_thing_audit_update", "(disabled); run flask audit install first"),
        ("DROP FUNCTION public_thing_audit CASCADE", "create function public_thing_audit (missing), and 4 more"),
        ("DROP TABLE audit_transaction", "create table audit_transaction (lost); run flask audit install first"),
        ("DROP TABLE thing", "thing: the table is declared but not in the database; run your migrations"),
        ("ALTER TABLE thing DROP COLUMN name", "declared but not in the database: column name; run your migrations"),
        ("DROP INDEX ix_thing_audit_key", "CREATE INDEX CONCURRENTLY ix_thing_audit_key"),
    ],
)
def test_what_is_not_recorded_as_declared_is_refused(engine: Engine, statement: str, words: str) -> None:
    """It could change unseen meanwhile."""
    metadata = with_rows(engine, thing(), 1)
    run(engine, statement)
    with pytest.raises(AuditInstallError) as error:
        baseline(metadata, engine)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_an_adoption_that_is_not_finished_is_refused(engine: Engine) -> None:
    metadata = classic(engine)
    for function in (baseline, verify):
        with pytest.raises(AuditInstallError, match="run flask audit install first"):
            function(metadata, engine)


def test_an_unknown_table_and_what_is_no_engine(engine: Engine) -> None:
    metadata = with_rows(engine, thing(), 1)
    with pytest.raises(AuditConfigError, match="no audited table is called 'nope'; there are: thing"):
        baseline(metadata, engine, tables=["nope"])
    with engine.connect() as connection, pytest.raises(AuditConfigError, match="an Engine is needed"):
        baseline(metadata, connection)  # type: ignore[arg-type]


@pytest.mark.superuser
def test_a_role_that_may_not_write_history_is_told_who_may(engine: Engine, database: Database) -> None:
    metadata = with_rows(engine, thing(), 1)
    with role(
        engine, "weak", "GRANT SELECT, UPDATE ON thing TO {role}", "GRANT SELECT ON thing_audit TO {role}"
    ) as name:
        weak = create_engine(database.url().set(username=name))
        with pytest.raises(AuditInstallError, match=r"permission denied .*; run it as the owner of the tables"):
            baseline(metadata, weak)
        weak.dispose()


@pytest.mark.superuser
def test_rows_that_a_policy_hides_are_an_error(engine: Engine, database: Database) -> None:
    """They would be left out, or look as if they were gone."""
    metadata = with_rows(engine, thing(), 2)
    grant = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    with role(engine, "reader", grant) as name:
        run(engine, "ALTER TABLE thing ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON thing USING (id = 1)")
        reader = create_engine(database.url().set(username=name))
        with pytest.raises(AuditInstallError, match="row-level security"):
            verify(metadata, reader)
        reader.dispose()


# While others write


@contextmanager
def transaction(database: Database, statement: str) -> Iterator[Connection]:
    """Somebody who has done something and not committed."""
    engine = create_engine(database.url())
    with engine.connect() as connection:
        execute(connection, statement)
        yield connection
        connection.rollback()
    engine.dispose()


def test_rows_that_others_hold_are_waited_for_at_the_end(engine: Engine, database: Database) -> None:
    metadata = with_rows(engine, thing(), 20)
    told: list[int] = []
    with ThreadPoolExecutor(1) as thread:
        with transaction(database, "SELECT FROM thing WHERE id IN (2, 3, 11) FOR UPDATE"):
            done = thread.submit(
                baseline, metadata, engine, batch_size=5, lock_timeout=0, progress=lambda n, _: told.append(n)
            )
            wait_for(engine, "SELECT count(*) FROM thing_audit", 17)
            wait_for(engine, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 1)
            # It holds no row while it waits for one.
            run(engine, "SET LOCAL lock_timeout = '5s'; UPDATE thing SET name = 'b' WHERE id = 1")
        assert done.result(60) == (Baselined("thing", 20),)
    assert sorted(row[1] for row in recorded(engine, "thing", "id") if row[0] == "S") == list(range(1, 21))


def wait_for(engine: Engine, query: str, count: int) -> None:
    until = time.monotonic() + 30
    while rows(engine, query) != [(count,)]:
        assert time.monotonic() < until, query


def test_a_transaction_that_never_ends_is_given_up_with_a_line(engine: Engine, database: Database) -> None:
    metadata = with_rows(engine, thing(), 10)
    with (
        transaction(database, "SELECT FROM thing WHERE id = 4 FOR UPDATE"),
        pytest.raises(AuditInstallError) as error,
    ):
        baseline(metadata, engine, batch_size=3, lock_timeout=0.05, tries=2)
    assert str(error.value).startswith(
        "PostgreSQL refused: canceling statement due to lock timeout; a transaction holds the table or a row of it"
    )
    assert rows(engine, "SELECT count(*) FROM thing_audit") == [(9,)]
    assert baseline(metadata, engine) == (Baselined("thing", 1),)


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_a_change_on_its_way_is_the_first_image_or_none(engine: Engine, database: Database, ends: str) -> None:
    metadata = with_rows(engine, thing(), 3)
    with ThreadPoolExecutor(1) as thread:
        with transaction(database, "UPDATE thing SET name = 'b' WHERE id = 2") as other:
            done = thread.submit(baseline, metadata, engine, lock_timeout=0)
            wait_for(engine, "SELECT count(*) FROM thing_audit", 2)
            getattr(other, ends)()
        done.result(60)
    expected = ("U", 2, "b") if ends == "commit" else ("S", 2, "a")
    assert set(recorded(engine, "thing", "id", "name")) == {("S", 1, "a"), ("S", 3, "a"), expected}


CHANGES = {
    "update": "UPDATE thing SET name = 'b' WHERE id = 2",
    "delete": "DELETE FROM thing WHERE id = 2",
    "replace": "DELETE FROM thing WHERE id = 2; INSERT INTO thing VALUES (2, 'c')",
    "move": "UPDATE thing SET id = 9 WHERE id = 2",
    "truncate": "TRUNCATE thing",
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("before", ["LOCK TABLE", "WITH batch", "INSERT INTO public.thing_audit"])
def test_a_change_at_any_moment_is_not_contradicted(
    engine: Engine, database: Database, change: str, before: str
) -> None:
    """Somebody changes a row just before the table or the row is locked, or tries to while it is."""
    metadata = with_rows(engine, thing(), 3)
    other = create_engine(database.url())

    @event.listens_for(engine, "before_cursor_execute")
    def interfere(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith(before) and not futures:
            futures.append(thread.submit(run, other, CHANGES[change]))
            is_kept_waiting = before.startswith("INSERT") or (before, change) == ("WITH batch", "truncate")
            if not is_kept_waiting:
                futures[-1].result(60)

    futures: list[Any] = []
    with ThreadPoolExecutor(1) as thread:
        baseline(metadata, engine)
    [future] = futures
    future.result()
    other.dispose()
    assert replayed(engine, "thing", "id", "name") == rows(engine, "SELECT id, name FROM thing ORDER BY id")
    assert_complete(engine, metadata)


def test_two_runs_at_a_time_write_each_row_once(engine: Engine, database: Database) -> None:
    metadata = with_rows(engine, thing(), 5)
    other = create_engine(database.url())
    futures: list[Any] = []

    @event.listens_for(engine, "before_cursor_execute")
    def interfere(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        """The first run has its locks and has written nothing; the second finds the same rows and waits."""
        if statement.startswith("INSERT INTO") and not futures:
            futures.append(thread.submit(baseline, metadata, other, lock_timeout=0))
            wait_for(other, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 1)

    with ThreadPoolExecutor(1) as thread:
        assert baseline(metadata, engine) == (Baselined("thing", 5),)
        assert futures[0].result(60) == (Baselined("thing", 0),)
    other.dispose()
    assert [row[1] for row in recorded(engine, "thing", "id")] == [1, 2, 3, 4, 5]


def test_foreign_keys_are_not_held_up(engine: Engine, database: Database) -> None:
    metadata = with_rows(engine, thing(), 1)
    run(engine, "CREATE TABLE part (thing_id int REFERENCES thing)")
    other = create_engine(database.url())

    @event.listens_for(engine, "before_cursor_execute")
    def interfere(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT INTO"):
            run(other, "SET LOCAL lock_timeout = '5s'; INSERT INTO part VALUES (1)")

    assert baseline(metadata, engine) == (Baselined("thing", 1),)
    other.dispose()


def test_a_repair_and_a_run_wait_for_each_other(engine: Engine, database: Database) -> None:
    metadata = with_rows(engine, thing(), 5)
    other = create_engine(database.url())
    futures: list[Any] = []

    @event.listens_for(engine, "before_cursor_execute")
    def interfere(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT INTO") and not futures:
            futures.append(thread.submit(baseline, metadata, other, lock_timeout=0))
            wait_for(other, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 1)

    with ThreadPoolExecutor(1) as thread:
        verify(metadata, engine, repair=True)
        assert futures[0].result(60) == (Baselined("thing", 0),)
    other.dispose()
    assert len(recorded(engine, "thing")) == 5


def test_a_change_of_a_table_without_a_key_is_waited_for(engine: Engine, database: Database) -> None:
    metadata = with_rows(engine, thing(key=False), 2)
    with ThreadPoolExecutor(1) as thread:
        with transaction(database, "INSERT INTO thing VALUES (3, 'b')") as other:
            done = thread.submit(baseline, metadata, engine, lock_timeout=0)
            wait_for(engine, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 1)
            other.commit()
        [result] = done.result(60)
    assert (result.rows, result.skipped is None) == (0, False)
    assert recorded(engine, "thing", "id") == [("I", 3)]


def test_another_isolation_level_makes_no_difference(engine: Engine, database: Database) -> None:
    """The second statement of a batch has to see what was committed before the first one got its locks."""
    metadata = with_rows(engine, thing(), 3)
    strict = create_engine(database.url(), isolation_level="SERIALIZABLE")

    @event.listens_for(strict, "before_cursor_execute")
    def interfere(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("WITH batch"):
            run(engine, "UPDATE thing SET name = 'b' WHERE id = 2")

    baseline(metadata, strict)
    strict.dispose()
    assert ("S", 2, "b") not in recorded(engine, "thing", "id", "name")
    assert_complete(engine, metadata)


def change_something(connection: Connection, dice: random.Random) -> None:
    """A row of those that are there or may be, in one of many ways, alone or with others."""
    for _ in range(dice.randint(1, 3)):
        low = dice.randint(1, 3000)
        where = f"id = {low}" if dice.random() < 0.8 else f"id BETWEEN {low} AND {low + 20}"
        statement = dice.choice(
            [
                f"UPDATE thing SET name = '{dice.random()}' WHERE {where}",
                f"DELETE FROM thing WHERE {where}",
                f"INSERT INTO thing VALUES ({dice.randint(1, 4000)}, 'new') ON CONFLICT DO NOTHING",
                f"INSERT INTO thing VALUES ({low}, 'new') ON CONFLICT (id) DO UPDATE SET name = 'again'",
                f"SELECT FROM thing WHERE {where} FOR UPDATE",
            ]
        )
        execute(connection, "SAVEPOINT s")
        try:
            # Two of them may want the same rows in another order; that is their business.
            execute(connection, "SET LOCAL lock_timeout = '200ms'")
            execute(connection, statement)
        except Exception:
            execute(connection, "ROLLBACK TO SAVEPOINT s")


def test_under_load(engine: Engine, database: Database) -> None:
    metadata = with_rows(engine, thing(), 3000)
    with writers(database, change_something) as done:
        before = done()
        [result] = baseline(metadata, engine, batch_size=100)
        assert done() > before
    assert result.rows > 1000
    assert baseline(metadata, engine) == (Baselined("thing", 0),)
    assert replayed(engine, "thing", "id", "name") == rows(engine, "SELECT id, name FROM thing ORDER BY id")
    assert_complete(engine, metadata)


def test_the_reasons_are_written_down() -> None:
    """The order of the two statements is what makes it right; whoever changes them should read why."""
    assert "FOR NO KEY UPDATE" in (baseline_module.__doc__ or "")
