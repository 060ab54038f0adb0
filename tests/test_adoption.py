"""Audit tables of the classic library, taken over in place: every row kept, and ids in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Engine, Integer, MetaData, String, create_engine, event

from flask_pg_audit import AuditInstallError, FlaskAudit, audited, install_audit_triggers, set_session_vars
from flask_pg_audit.database import adopt
from flask_pg_audit.database.check import check
from flask_pg_audit.database.install import plan_installation
from tests.capture import audited_table, execute, install, rows, run
from tests.catalog import of_kinds, read_catalog
from tests.classic import classic, models
from tests.server import Database

AUDITED_KINDS = ("relation", "column", "index", "constraint", "function", "trigger", "sequence")

FEED = """
    SELECT audit_id, audit_transaction_id, audit_operation, 'bar', foo FROM bar_audr UNION ALL
    SELECT audit_id, audit_transaction_id, audit_operation, 'foo', bar FROM foo_audr ORDER BY 1
"""


@contextmanager
def acting(engine: Engine, username: str) -> Iterator[Any]:
    with engine.begin() as connection:
        set_session_vars(connection, username=username)
        yield lambda statement: execute(connection, statement)


@pytest.fixture
def metadata(engine: Engine) -> MetaData:
    """Two people have changed two tables."""
    metadata = classic(engine)
    with acting(engine, "ann") as do:
        do("INSERT INTO foo VALUES (1, 'a'), (2, 'a')")
        do("INSERT INTO bar VALUES ('x')")
    with acting(engine, "bob") as do:
        do("UPDATE bar SET foo = 'y'")
        do("UPDATE foo SET bar = 'b' WHERE id = 1")
    run(engine, "DELETE FROM bar")
    return metadata


def images(engine: Engine) -> list[tuple[Any, ...]]:
    """What the classic library wrote, without what is added."""
    foo = "audit_operation, audit_current_user, audit_username, audit_app_uuid::text, id, bar"
    bar = "audit_operation, audit_current_user, NULL, NULL, NULL, foo"
    return rows(engine, f"SELECT {foo} FROM foo_audr UNION ALL SELECT {bar} FROM bar_audr ORDER BY 1, 2, 3, 4, 5, 6")


def test_rows_are_kept_and_get_ids_in_the_order_of_time(engine: Engine, metadata: MetaData) -> None:
    before = images(engine)
    install_audit_triggers(metadata, engine)
    assert images(engine) == before
    found = rows(engine, FEED)
    assert [row[2:] for row in found] == [
        ("I", "bar", "x"),
        ("I", "foo", "a"),
        ("I", "foo", "a"),
        ("U", "bar", "y"),
        ("U", "foo", "b"),
        ("D", "bar", "y"),
    ]
    ids = [row[0] for row in found]
    assert ids == list(range(ids[0], ids[0] + 6))


def test_what_one_user_wrote_at_one_time_is_one_transaction(engine: Engine, metadata: MetaData) -> None:
    install_audit_triggers(metadata, engine)
    found = rows(engine, FEED)
    transactions = rows(engine, "SELECT id, username, db_role, context FROM audit_transaction ORDER BY id")
    [(role,)] = rows(engine, "SELECT current_user::text")
    assert [row[1:] for row in transactions] == [(name, role, {"adopted": True}) for name in ("ann", "bob", None)]
    ann, bob, nobody = (row[0] for row in transactions)
    assert [row[1] for row in found] == [ann, ann, ann, bob, bob, nobody]
    assert rows(
        engine,
        "SELECT count(*) FROM audit_transaction t JOIN foo_audr f ON f.audit_transaction_id = t.id "
        "WHERE t.issued_at = f.audit_operation_timestamp",
    ) == [(3,)]


def test_new_changes_come_behind_and_are_recorded_once(engine: Engine, metadata: MetaData) -> None:
    install_audit_triggers(metadata, engine)
    with acting(engine, "eve") as do:
        do("INSERT INTO bar VALUES ('new')")
        do("UPDATE foo SET bar = 'new'")
    assert [row[2:] for row in rows(engine, FEED)[6:]] == [
        ("I", "bar", "new"),
        ("U", "foo", "new"),
        ("U", "foo", "new"),
    ]
    triggers = rows(
        engine, "SELECT DISTINCT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgname !~ '_audit_|refuse'"
    )
    assert triggers == []


def test_what_is_adopted_is_as_if_it_had_always_been_ours(
    engine: Engine, metadata: MetaData, database: Database
) -> None:
    install_audit_triggers(metadata, engine)
    again = install_audit_triggers(metadata, engine)
    assert (again.actions, again.problems, check(metadata, engine)) == ((), (), ())
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), models()) == []
    adopted = of_kinds(read_catalog(engine), *AUDITED_KINDS)
    run(engine, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    models().create_all(engine)
    install_audit_triggers(models(), engine)
    assert adopted == of_kinds(read_catalog(engine), *AUDITED_KINDS)


@pytest.mark.parametrize("zone", ["Europe/Rome", "UTC", "America/New_York"])
def test_times_are_taken_for_those_of_the_zone_that_is_told(engine: Engine, zone: str) -> None:
    metadata = classic(engine)
    run(
        engine,
        "INSERT INTO bar_audr VALUES ('I', '2024-07-01 12:00', 'me', 'summer')",
        "INSERT INTO bar_audr VALUES ('I', '2024-12-01 12:00', 'me', 'winter')",
    )
    install_audit_triggers(metadata, engine, time_zone=zone)
    offsets = {"Europe/Rome": (2, 1), "UTC": (0, 0), "America/New_York": (-4, -5)}[zone]
    hours = rows(
        engine,
        "SELECT extract(hour FROM audit_operation_timestamp AT TIME ZONE 'UTC')::int FROM bar_audr ORDER BY audit_id",
    )
    assert hours == [(12 - offsets[0],), (12 - offsets[1],)]


def test_the_zone_is_the_sessions_own_unless_told(database: Database, engine: Engine) -> None:
    metadata = classic(engine)
    run(engine, "INSERT INTO bar_audr VALUES ('I', '2024-07-01 12:00', 'me', 'summer')")
    rome = create_engine(database.url(), connect_args={"options": "-cTimeZone=Europe/Rome"})
    install_audit_triggers(metadata, rome)
    rome.dispose()
    assert rows(engine, "SELECT (audit_operation_timestamp AT TIME ZONE 'UTC')::text FROM bar_audr") == [
        ("2024-07-01 10:00:00",)
    ]


def test_an_unknown_zone_changes_nothing(engine: Engine, metadata: MetaData) -> None:
    before = read_catalog(engine)
    with pytest.raises(AuditInstallError, match="PostgreSQL knows no time zone 'Rome'; give a name such as"):
        install_audit_triggers(metadata, engine, time_zone="Rome")
    assert read_catalog(engine) == before


def test_a_transaction_of_the_callers_has_all_of_it_or_nothing(engine: Engine, metadata: MetaData) -> None:
    before = images(engine), read_catalog(engine)
    with engine.connect() as connection, connection.begin() as transaction:
        install_audit_triggers(metadata, connection)
        transaction.rollback()
    assert (images(engine), read_catalog(engine)) == before
    with engine.begin() as connection:
        install_audit_triggers(metadata, connection)
    assert check(metadata, engine) == ()
    assert len(rows(engine, FEED)) == 6


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adopt.Adoption.__init__, "__defaults__", (2,))


STEPS = [
    "ix_bar_audr_adoption",
    "ordered AS",
    "VALIDATE",
    "ix_foo_audr_adopted",
    "ix_foo_audr_key",
    "PRIMARY KEY USING",
]


@pytest.mark.superuser
@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_point_it_goes_on_where_it_was(
    engine: Engine, metadata: MetaData, database: Database, step: str
) -> None:
    killer, victim = create_engine(database.url()), create_engine(database.url())
    seen: list[str] = []

    @event.listens_for(victim, "before_cursor_execute")
    def kill(connection: Any, cursor: Any, sql: str, *rest: Any) -> None:
        if step in sql:
            seen.append(sql)
            # The second batch, so that the first one is kept.
            if step != "ordered AS" or len(seen) == 2:
                pid = connection.connection.dbapi_connection.info.backend_pid
                run(killer, f"SELECT pg_terminate_backend({pid})")

    with pytest.raises(AuditInstallError):
        install_audit_triggers(metadata, victim)
    assert seen
    with acting(engine, "eve") as do:
        do("UPDATE foo SET bar = 'meanwhile' WHERE id = 1")
    assert {finding.code for finding in check(metadata, engine)} == {"adoption-unfinished"}
    install_audit_triggers(metadata, engine)
    assert check(metadata, engine) == ()
    found = rows(engine, FEED)
    assert [row[2:] for row in found] == [
        ("I", "bar", "x"),
        ("I", "foo", "a"),
        ("I", "foo", "a"),
        ("U", "bar", "y"),
        ("U", "foo", "b"),
        ("D", "bar", "y"),
        ("U", "foo", "meanwhile"),
    ]
    for other in (killer, victim):
        other.dispose()


@pytest.mark.superuser
@pytest.mark.usefixtures("small_batches")
def test_an_index_that_was_left_half_built_is_built_again(engine: Engine, metadata: MetaData) -> None:
    with engine.begin() as connection:
        # As far as the first transaction of an installation goes, and no further.
        run_plan_only(metadata, connection)
    run(
        engine,
        "CREATE INDEX ix_bar_audr_adoption ON bar_audr (audit_operation_timestamp) WHERE audit_id IS NULL",
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_bar_audr_adoption'::regclass",
    )
    install_audit_triggers(metadata, engine)
    assert check(metadata, engine) == ()


def run_plan_only(metadata: MetaData, connection: Any) -> None:

    plan = plan_installation(metadata, connection)[2]
    for statement in (*plan.locks, *plan.statements):
        execute(connection, statement)


def test_a_table_that_comes_later_goes_behind(engine: Engine, metadata: MetaData) -> None:
    """The other one was adopted and has recorded since."""
    only_foo = models()
    only_foo.remove(only_foo.tables["bar_audr"])
    only_foo.remove(only_foo.tables["bar"])
    install_audit_triggers(only_foo, engine)
    with acting(engine, "eve") as do:
        do("INSERT INTO foo VALUES (3, 'c')")
    install_audit_triggers(metadata, engine)
    assert check(metadata, engine) == ()
    found = rows(engine, FEED)
    assert len({row[0] for row in found}) == len(found) == 7
    assert [row[3] for row in found] == ["foo"] * 4 + ["bar"] * 3


@pytest.mark.usefixtures("small_batches")
def test_changes_made_meanwhile_are_recorded_once_each(engine: Engine, metadata: MetaData, database: Database) -> None:
    run(engine, *(f"INSERT INTO bar VALUES ('{number}')" for number in range(40)))
    before = len(images(engine))
    stop, started = Event(), Event()

    def write() -> int:
        own = create_engine(database.url())
        changes = 0
        while not stop.is_set():
            run(own, "INSERT INTO bar VALUES ('w')")
            changes += 1
            started.set()
        own.dispose()
        return changes

    with ThreadPoolExecutor(2) as threads:
        writers = [threads.submit(write) for _ in range(2)]
        assert started.wait(30)
        install_audit_triggers(metadata, engine)
        stop.set()
        written = sum(writer.result() for writer in writers)
    assert len(images(engine)) == before + written
    found = rows(engine, FEED)
    assert len({row[0] for row in found}) == before + written
    # In the order of ids is in the order of time.
    times = rows(engine, "SELECT audit_operation_timestamp FROM bar_audr ORDER BY audit_transaction_id, audit_id")
    adopted = before - 3
    assert times[:adopted] == sorted(times[:adopted])


def test_two_at_once(metadata: MetaData, database: Database) -> None:
    engines = [create_engine(database.url()) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda engine: install_audit_triggers(models(), engine), engines))
    assert check(metadata, engines[0]) == ()
    assert len(rows(engines[0], FEED)) == 6
    for engine in engines:
        engine.dispose()


def test_many_rows(engine: Engine) -> None:
    metadata = classic(engine)
    run(
        engine,
        "INSERT INTO bar_audr SELECT 'I', '2024-01-01'::timestamp + (i % 70000) * interval '1 s', 'me', 'v' || i "
        "FROM generate_series(1, 100000) AS i",
    )
    told: list[tuple[int, int]] = []
    install_audit_triggers(metadata, engine, progress=lambda done, total: told.append((done, total)))
    assert len(told) > 5
    assert told[-1] == (100_000, 100_000)
    assert rows(
        engine,
        "SELECT count(*), count(DISTINCT audit_id), count(DISTINCT audit_transaction_id), "
        "bool_and(in_order) FROM (SELECT *, audit_operation_timestamp >= "
        "lag(audit_operation_timestamp, 1, '-infinity') OVER (ORDER BY audit_id) AS in_order FROM bar_audr) AS r",
    ) == [(100_000, 100_000, 70_000, True)]


@pytest.mark.parametrize(
    "like",
    [
        "CREATE TABLE bar_audr (audit_operation text, audit_operation_timestamp text, audit_current_user text)",
        "CREATE VIEW bar_audr AS SELECT 'I' AS audit_operation, now() AS audit_operation_timestamp, "
        "'me' AS audit_current_user",
        "CREATE TABLE bar_audr (audit_operation text, foo text)",
    ],
)
def test_what_only_looks_like_it_is_left_alone(engine: Engine, like: str) -> None:
    metadata = MetaData(naming_convention={"audit.table": "%(table_name)s_audr"})
    audited_table(metadata, "bar", Column("foo", String))
    run(engine, "CREATE TABLE bar (foo varchar)", like)
    with pytest.raises(AuditInstallError, match="there is another table called bar_audr, which is no audit table"):
        install_audit_triggers(metadata, engine)


def test_a_function_of_somebody_else_under_our_name_is_left_alone(engine: Engine, metadata: MetaData) -> None:
    run(
        engine,
        "CREATE OR REPLACE FUNCTION public_bar_audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    )
    with pytest.raises(AuditInstallError, match="there is another function called public_bar_audit"):
        install_audit_triggers(metadata, engine)


def test_a_revision_is_not_the_place(engine: Engine, metadata: MetaData) -> None:
    with engine.connect() as connection, pytest.raises(AuditInstallError, match="run flask audit install first"):
        compare_metadata(MigrationContext.configure(connection), metadata)


def test_the_command(engine: Engine, database: Database) -> None:
    run(
        engine,
        "CREATE TABLE note (id int PRIMARY KEY, text varchar)",
        "CREATE TABLE note_audit (audit_operation varchar(1) NOT NULL, audit_operation_timestamp timestamp NOT NULL, "
        "audit_current_user varchar(64) NOT NULL, id int, text varchar)",
        "INSERT INTO note_audit VALUES ('I', '2024-07-01 12:00', 'me', 1, 'a')",
    )
    db = SQLAlchemy()
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = database.url()
    db.Table("note", Column("id", Integer, primary_key=True), Column("text", String), info=audited())
    db.init_app(app)
    FlaskAudit(app, db)
    result = app.test_cli_runner().invoke(args=["audit", "install", "--time-zone", "Europe/Rome"])
    assert result.exit_code == 0
    assert "adopt table note_audit (classic library)" in result.output.splitlines()
    assert result.stderr == ""
    assert rows(engine, "SELECT (audit_operation_timestamp AT TIME ZONE 'UTC')::text, text FROM note_audit") == [
        ("2024-07-01 10:00:00", "a")
    ]
    with app.app_context():
        db.engine.dispose()


def test_a_setting_that_is_declared_no_more_does_not_fail_changes(engine: Engine, metadata: MetaData) -> None:
    """The classic library made mandatory settings NOT NULL, and nobody fills this one any more."""
    run(engine, "ALTER TABLE bar_audr ADD COLUMN audit_reason varchar NOT NULL DEFAULT 'x'")
    run(engine, "ALTER TABLE bar_audr ALTER COLUMN audit_reason DROP DEFAULT")
    install_audit_triggers(metadata, engine)
    run(engine, "INSERT INTO bar VALUES ('new')")
    assert rows(engine, "SELECT foo, audit_reason FROM bar_audr WHERE foo = 'new'") == [("new", None)]


def test_a_pool_of_one_connection_will_do(database: Database, metadata: MetaData) -> None:
    engine = create_engine(database.url(), pool_size=1, max_overflow=0, pool_timeout=1)
    install_audit_triggers(metadata, engine)
    assert check(metadata, engine) == ()
    engine.dispose()


def test_a_limit_for_idle_transactions_does_not_end_it(engine: Engine, database: Database) -> None:
    """The transaction that keeps other runs out does nothing else meanwhile."""
    metadata = classic(engine)
    run(engine, "INSERT INTO bar_audr SELECT 'I', '2024-01-01', 'me', i FROM generate_series(1, 60000) AS i")
    arguments = {"options": "-c idle_in_transaction_session_timeout=400"}
    limited = create_engine(database.url(), connect_args=arguments)
    install_audit_triggers(metadata, limited)
    assert check(metadata, limited) == ()
    limited.dispose()


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            "ALTER TABLE bar_audr ADD COLUMN n serial PRIMARY KEY",
            "bar: its history bar_audr has a primary key of its own; "
            "ALTER TABLE public.bar_audr DROP CONSTRAINT bar_audr_pkey, and the ids become the key",
        ),
        (
            "CREATE VIEW v AS SELECT audit_operation_timestamp FROM bar_audr",
            "PostgreSQL refused: cannot alter type of a column used by a view or rule",
        ),
    ],
)
def test_what_would_stop_it_stops_it_before_anything_is_changed(
    engine: Engine, metadata: MetaData, made: str, message: str
) -> None:
    run(engine, made)
    before = read_catalog(engine)
    with pytest.raises(AuditInstallError) as error:
        install_audit_triggers(metadata, engine)
    assert str(error.value).startswith(message)
    assert read_catalog(engine) == before


def test_a_key_of_its_own_is_found(engine: Engine, metadata: MetaData) -> None:
    run(engine, "ALTER TABLE bar_audr ADD COLUMN n serial PRIMARY KEY")
    assert str(check(metadata, engine)[0]) == (
        "adoption-blocked: bar: its history bar_audr has a primary key of its own; rows from before cannot get their "
        "place in the order of changes; fix: ALTER TABLE public.bar_audr DROP CONSTRAINT bar_audr_pkey, and the ids "
        "become the key"
    )
    run(engine, "ALTER TABLE bar_audr DROP CONSTRAINT bar_audr_pkey")
    install_audit_triggers(metadata, engine)
    assert check(metadata, engine) == ()


def test_a_history_whose_rows_have_no_ids_yet_is_found(engine: Engine, metadata: MetaData) -> None:
    with engine.begin() as connection:
        todo = plan_installation(metadata, connection)[2]
        for statement in (*todo.locks, *todo.statements):
            execute(connection, statement)
    assert [str(finding) for finding in check(metadata, engine)] == [
        f"adoption-unfinished: {name}: the rows of {name}_audr: classic library; rows from before have no place in the "
        "order of changes yet; fix: flask audit install"
        for name in ("bar", "foo")
    ]


def test_other_tables_take_numbers_while_the_block_is_reserved(engine: Engine, metadata: MetaData) -> None:
    """Cure: some numbers are left out between those that are in use and the block."""
    other = MetaData()
    audited_table(other, "other", Column("id", Integer, primary_key=True))
    install(engine, other)
    run(engine, "INSERT INTO other VALUES (1)")
    [(last,)] = rows(engine, "SELECT last_value FROM audit_id_seq")
    install_audit_triggers(metadata, engine)
    [(lowest,)] = rows(
        engine, "SELECT least((SELECT min(audit_id) FROM bar_audr), (SELECT min(audit_id) FROM foo_audr))"
    )
    assert lowest > last + 1000
