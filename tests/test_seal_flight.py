"""Sealing while others write: nothing that is still to come has a number that is sealed."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, MetaData, NullPool, create_engine, event, text

from flask_pg_audit import AuditSealError
from flask_pg_audit.database.adopt import ADOPTION_LOCK
from flask_pg_audit.database.install import ADVISORY_LOCK
from flask_pg_audit.seal import Seal, seal, verify_seals
from flask_pg_audit.seal.sealing import SEAL_LOCK
from tests.capture import execute, install, rows, run
from tests.sealing import covered, found, sealed, shop
from tests.server import Database


@pytest.fixture
def metadata(engine: Engine) -> MetaData:
    metadata = shop()
    install(engine, metadata)
    run(engine, "INSERT INTO place VALUES (1, 'x')")
    return metadata


@contextmanager
def open_transaction(database: Database, *statements: str) -> Iterator[Connection]:
    engine = create_engine(database.url(), poolclass=NullPool)
    with engine.connect() as connection:
        execute(connection, "SET application_name = 'import'")
        for statement in statements:
            execute(connection, statement)
        yield connection


#: The processes that are sealing.
SEALING = f"SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objid = {SEAL_LOCK & 0xFFFFFFFF}"

VIEW = "INSERT INTO audit_view (action, page, query) VALUES ('view', 'p', '{}')"


@pytest.mark.parametrize("statement", ["UPDATE place SET name = 'y'", VIEW])
def test_what_is_in_flight_is_waited_for_and_named(
    engine: Engine, metadata: MetaData, database: Database, statement: str
) -> None:
    with open_transaction(database, statement) as writer:
        pid = execute(writer, "SELECT pg_backend_pid()").scalar()
        still_open = (
            rf"nothing was sealed: after 0.05 seconds a transaction that writes history is still open: process {pid}, "
            r"application import, user \w+, since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC; end it, or wait .* --wait"
        )
        with pytest.raises(AuditSealError, match=still_open):
            seal(metadata, engine, wait=0.05)
        assert rows(engine, "SELECT count(*) FROM audit_seal") == [(0,)]
        timer = threading.Timer(0.2, writer.commit)
        timer.start()
        made = sealed(metadata, engine)
        timer.join()
    assert made.rows == (4 if "place" in statement else 3)
    assert found(metadata, engine) == []


def test_who_writes_no_history_is_not_waited_for(engine: Engine, metadata: MetaData, database: Database) -> None:
    with open_transaction(database, "CREATE TABLE other (id int)", "INSERT INTO other VALUES (1)", "TABLE place"):
        assert sealed(metadata, engine, wait=0).rows == 2


def test_a_transaction_that_changes_nothing_is_gone_when_it_is_undone(
    engine: Engine, metadata: MetaData, database: Database
) -> None:
    statements = ("SAVEPOINT s", "UPDATE place SET name = 'y'", "ROLLBACK TO SAVEPOINT s")
    with open_transaction(database, *statements):
        assert sealed(metadata, engine, wait=0).rows == 2


def test_who_comes_later_is_not_waited_for(engine: Engine, metadata: MetaData, database: Database) -> None:
    """A seal waits for one transaction, while another one begins and stays open."""
    with open_transaction(database, "UPDATE place SET name = 'y'") as first:
        has_looked = threading.Event()
        event.listen(engine, "after_cursor_execute", lambda *args: has_looked.set() if "pg_locks" in args[2] else None)
        made: list[Seal] = []
        sealing = threading.Thread(target=lambda: made.append(sealed(metadata, engine)))
        sealing.start()
        assert has_looked.wait(20)
        with open_transaction(database, "INSERT INTO place VALUES (2, 'later')") as second:
            first.commit()
            sealing.join(20)
            assert covered(made[0])["place_audit"] == (None, 2, 2)
            second.rollback()
    assert found(metadata, engine) == []


@pytest.mark.superuser
def test_a_prepared_transaction_is_waited_for_and_named(server_that_prepares: Engine) -> None:
    metadata = shop()
    install(server_that_prepares, metadata)
    with server_that_prepares.connect() as connection:
        execute(connection, "INSERT INTO place VALUES (1)")
        execute(connection, "PREPARE TRANSACTION 'transfer ''1'''")
    with pytest.raises(AuditSealError, match=r"open: prepared transaction 'transfer ''1''', user \w+, since 20"):
        seal(metadata, server_that_prepares, wait=0)
    with server_that_prepares.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        execute(connection, "COMMIT PREPARED 'transfer ''1'''")
    assert sealed(metadata, server_that_prepares, wait=0).rows == 2


@pytest.fixture
def server_that_prepares() -> Iterator[Engine]:
    from tests.server import DRIVER
    from tools.embedded_postgres import EmbeddedPostgres

    with EmbeddedPostgres(settings={"max_prepared_transactions": "2"}) as server:
        engine = create_engine(server.url(driver=DRIVER), poolclass=NullPool)
        yield engine
        engine.dispose()


def test_numbers_that_sessions_hold_back(engine: Engine, metadata: MetaData) -> None:
    run(engine, "ALTER SEQUENCE audit_transaction_id_seq CACHE 20")
    with pytest.raises(AuditSealError, match=r"has CACHE 20: .*; ALTER SEQUENCE .*audit_transaction_id_seq CACHE 1"):
        seal(metadata, engine)
    run(engine, "ALTER TABLE audit_transaction ALTER id DROP IDENTITY")
    with pytest.raises(AuditSealError, match=r"audit_transaction\.id has no sequence"):
        seal(metadata, engine)


@pytest.mark.parametrize("key", [SEAL_LOCK, ADVISORY_LOCK])
def test_another_run_and_an_installation_are_waited_for(
    engine: Engine, metadata: MetaData, database: Database, key: int
) -> None:
    is_running = pytest.raises(AuditSealError, match="another seal, an installation or a migration is running")
    with open_transaction(database, f"SELECT pg_advisory_xact_lock({key})"), is_running:
        seal(metadata, engine, wait=0.05)
    assert sealed(metadata, engine).id == 1


def test_an_adoption_hands_out_numbers(engine: Engine, metadata: MetaData, database: Database) -> None:
    with (
        open_transaction(database, f"SELECT pg_advisory_xact_lock({ADOPTION_LOCK})"),
        pytest.raises(AuditSealError, match="is numbering the rows of adopted tables"),
    ):
        seal(metadata, engine)


def test_two_at_once_make_two_links(engine: Engine, metadata: MetaData, database: Database) -> None:
    made: list[Seal] = []

    def run_once() -> None:
        own = create_engine(database.url(), poolclass=NullPool)
        made.append(sealed(metadata, own, heartbeat=True))

    threads = [threading.Thread(target=run_once) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seal.id for seal in made) == [1, 2, 3, 4]
    assert sum(seal.rows for seal in made) == 2
    assert found(metadata, engine) == []


def test_a_run_that_is_killed_leaves_nothing(engine: Engine, metadata: MetaData, database: Database) -> None:
    def kill(done: int, total: int) -> None:
        own = create_engine(database.url(), poolclass=NullPool)
        run(own, f"SELECT pg_terminate_backend(pid) FROM ({SEALING}) AS s")

    with pytest.raises(AuditSealError, match="nothing was sealed"):
        seal(metadata, engine, progress=kill)
    assert rows(engine, "SELECT (SELECT count(*) FROM audit_seal), (SELECT count(*) FROM audit_seal_leaves)") == [
        (0, 0)
    ]
    assert sealed(metadata, engine).id == 1


def test_under_writers_that_commit_late_everything_is_sealed_once(
    engine: Engine, metadata: MetaData, database: Database
) -> None:
    """Numbers are taken early, commits come late and out of order, some never; a reader adds to audit_view."""
    done = threading.Event()
    writers = [threading.Thread(target=write, args=(database, number, done)) for number in range(4)]
    for writer in writers:
        writer.start()
    made = [new for _ in range(25) if (new := seal(metadata, engine)) is not None]
    done.set()
    for writer in writers:
        writer.join()
    made += filter(None, [seal(metadata, engine)])
    assert len(made) > 5, "they were sealed while others wrote"
    everything = "SELECT sum(n) FROM (" + " UNION ALL ".join(
        f"SELECT count(*) AS n FROM {name}" for name in ("audit_transaction", "audit_view", "item_audit", "place_audit")
    )
    assert rows(engine, f"{everything}) AS t") == [(sum(seal.rows for seal in made),)]
    verified = verify_seals(metadata, engine)
    assert (verified.counts, verified.rows) == ({}, sum(seal.rows for seal in made))


def write(database: Database, seed: int, done: threading.Event) -> None:
    chance = random.Random(seed)
    engine = create_engine(database.url())
    while not done.is_set():
        with engine.connect() as connection:
            for _ in range(chance.randint(1, 3)):
                savepoint = connection.begin_nested()
                connection.execute(text(chance.choice(STATEMENTS)), {"id": chance.randint(0, 10**9)})
                connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": chance.random() / 50})
                (savepoint.rollback if chance.random() < 0.2 else savepoint.commit)()
            (connection.rollback if chance.random() < 0.2 else connection.commit)()
    engine.dispose()


STATEMENTS: list[Any] = [
    "INSERT INTO item (id) VALUES (:id) ON CONFLICT DO NOTHING",
    "INSERT INTO place (id) VALUES (:id) ON CONFLICT DO NOTHING",
    "INSERT INTO audit_view (action, page, query, row_count) VALUES ('view', 'p', '{}', :id)",
]
