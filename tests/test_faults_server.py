"""The server dies, the disk is full, a commit is never answered: afterwards the history tells what was committed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flask_pg_audit.errors import sqlstate
from soak.client import Client
from soak.disk import NoDiskError, SmallDisk, small_disk
from soak.faults import WAITING
from soak.run import move_history
from soak.server import MortalPostgres
from tests.capture import rows
from tests.faults import Scene, do, new_database, scene, wait_until


@pytest.fixture(scope="module")
def mortal() -> Iterator[MortalPostgres]:
    """A server with the durability of a real one, which may be killed."""
    with MortalPostgres() as server:
        yield server


@pytest.fixture
def place(mortal: MortalPostgres, tmp_path: Path) -> Iterator[Scene]:
    with scene(new_database(mortal), tmp_path) as made:
        yield made


#: Of those who write.
SESSIONS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


def test_a_killed_process_under_load(mortal: MortalPostgres, place: Scene) -> None:
    with place.load():
        mortal.crash(int(str(rows(place.bank.desk, f"SELECT pid {SESSIONS} LIMIT 1")[0][0])))
    place.assert_clean()


def test_a_killed_server_under_load(mortal: MortalPostgres, place: Scene) -> None:
    with place.load():
        for _ in range(3):
            mortal.kill()
            mortal.start()
    place.assert_clean()


def test_a_restart_under_load(mortal: MortalPostgres, place: Scene) -> None:
    with place.load():
        mortal.restart()
    place.assert_clean()


@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
def test_sessions_that_are_cut_off_under_load(place: Scene, function: str) -> None:
    with place.load():
        for _ in range(5):
            # In one statement: its own session is not among them.
            rows(place.bank.desk, f"SELECT {function}(pid) {SESSIONS}")
    place.assert_clean()


def test_numbers_go_on_after_a_crash(mortal: MortalPostgres, place: Scene) -> None:
    """A crash may leave a gap, since a sequence is logged ahead; it never gives a number twice."""
    client = place.client()
    highest = "SELECT max(audit_id), max(audit_transaction_id) FROM account_audit"
    do(client, "insert", 3)
    [before] = rows(place.bank.desk, highest)
    mortal.kill()
    mortal.start()
    do(client, "insert", 3)
    [after] = rows(place.bank.desk, highest)
    assert all(map(int.__gt__, after, before))
    place.assert_clean()


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
@pytest.mark.parametrize("between", ["nothing", "restart", "crash"])
def test_prepared_transactions(mortal: MortalPostgres, place: Scene, end: str, between: str) -> None:
    client = place.client()
    do(client, "insert", 3)
    do(client, "prepared")
    assert client.decide(end)
    assert rows(place.bank.desk, "SELECT count(*) FROM account_audit") == [(3,)]
    if between == "restart":
        mortal.restart()
    elif between == "crash":
        mortal.kill()
        mortal.start()
    client.finish_prepared()
    assert client.met == {f"prepared, {'committed' if end == 'COMMIT' else 'rolled back'}": 1}
    assert client.ledger.changes == (8 if end == "COMMIT" else 3)
    place.assert_clean()


def test_what_is_prepared_has_the_user_who_did_it_not_who_commits_it(place: Scene) -> None:
    client = place.client()
    do(client, "insert", 2)
    do(client, "prepared")
    client.decide("COMMIT")
    client.finish_prepared()
    [(user, changes)] = rows(
        place.bank.desk,
        "SELECT t.username, count(*) FROM audit_transaction AS t JOIN "
        '"Order Line_audit" AS h ON h.audit_transaction_id = t.id GROUP BY t.id',
    )
    assert (user, changes) == ("nightly import", 3)


def test_a_commit_that_was_never_answered_and_has_happened(mortal: MortalPostgres, place: Scene) -> None:
    """It waits for a standby that there is not; it has happened all the same."""
    client = place.client()
    do(client, "insert", 3)
    mortal.configure(synchronous_standby_names="nowhere")
    with ThreadPoolExecutor(1) as thread:
        working = thread.submit(do, client, "insert")
        wait_until(lambda: bool(rows(place.bank.desk, f"SELECT pid {WAITING}")))
        [(pid, _)] = rows(place.bank.desk, f"SELECT pid, pg_terminate_backend(pid) {WAITING}")
        # It must not be answered because it need not wait any more.
        wait_until(lambda: not rows(place.bank.desk, f"SELECT pid FROM pg_stat_activity WHERE pid = {pid}"))
        # The next to commit is to be answered.
        mortal.configure(synchronous_standby_names="")
        working.result()
    assert client.outcomes == {"committed": 1}
    assert client.ledger.changes == 4
    place.assert_clean()


def test_a_session_that_ends_within_its_commit_has_not_happened(mortal: MortalPostgres, place: Scene) -> None:
    """A deferred trigger runs in ``COMMIT``; this one is behind everything that was recorded."""
    client = place.client()
    do(client, "insert", 3)
    with place.bank.desk.begin() as connection:
        connection.execute(
            text("""
                CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;
                CREATE CONSTRAINT TRIGGER zzz AFTER UPDATE ON account DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION leave()
            """)
        )
    do(client, "update", 3)
    # To find out must need no commit of one's own, which might not be answered either.
    mortal.configure(synchronous_standby_names="nowhere")
    do(client, "update", 2)
    mortal.configure(synchronous_standby_names="")
    assert client.outcomes == {"rolled back": 5}
    with place.bank.desk.begin() as connection:
        connection.execute(text("DROP TRIGGER zzz ON account"))
    do(client, "update", 3)
    place.assert_clean()


@pytest.fixture
def disk(mortal: MortalPostgres, place: Scene) -> Iterator[SmallDisk]:
    """The history is on a disk of its own."""
    folder = mortal.folder("disk")
    try:
        with small_disk(folder) as mounted:
            with place.bank.desk.connect() as connection:
                database = connection.scalar(text("SELECT current_database()"))
            move_history(place.bank.desk, folder)
            yield mounted
            place.bank.close()
            mortal.drop(str(database), "history")
    except NoDiskError as error:
        pytest.skip(str(error))
    finally:
        folder.rmdir()


def test_a_full_disk_refuses_the_change(place: Scene, disk: SmallDisk) -> None:
    client = place.client()
    do(client, "insert", 3)
    disk.fill()

    def write(session: Session) -> None:
        session.execute(
            text("INSERT INTO account SELECT i, 1, repeat('x', 1000), 'full' FROM generate_series(1, 10000) AS i")
        )

    with pytest.raises(DBAPIError) as error:
        place.bank.serve(write, "ann")
    assert sqlstate(error.value) == "53100"
    assert rows(place.bank.desk, "SELECT count(*) FROM account WHERE stamp = 'full'") == [(0,)]
    disk.make_room()
    do(client, "several statements", 3)
    place.assert_clean()


def test_a_full_disk_under_load(place: Scene, disk: SmallDisk) -> None:
    with place.load():
        disk.fill()
        wait_until(lambda: place.met["disk full"] > 10)
        disk.make_room()
    place.assert_clean()


def test_a_crash_while_the_disk_is_full(mortal: MortalPostgres, place: Scene, disk: SmallDisk) -> None:
    with place.load():
        disk.fill()
        wait_until(lambda: place.met["disk full"] > 10)
        mortal.kill()
        disk.make_room()  # recovery writes, too
        mortal.start()
    place.assert_clean()


def test_a_client_knows_what_is_lost_from_what_is_refused(place: Scene) -> None:
    """What the database says about the program is no fault: it comes through."""
    client: Client = place.client()
    with place.bank.desk.begin() as connection:
        connection.execute(text("ALTER TABLE account RENAME COLUMN note TO remark"))
    with pytest.raises(DBAPIError, match="note"):
        do(client, "insert")
