"""Transactions that go wrong by themselves, or because of others: all of it is recorded, or nothing is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flask_pg_audit.errors import sqlstate
from tests.faults import Scene, do, scene, wait_until
from tests.server import Database


@pytest.fixture
def place(database: Database, tmp_path: Path) -> Iterator[Scene]:
    with scene(database.url(), tmp_path) as made:
        yield made


@pytest.mark.parametrize(
    ("kind", "met"),
    [
        ("rollback", "changed its mind"),
        ("refused by a trigger", "refused by a trigger"),
        ("statement timeout", "statement timed out or cancelled"),
        ("session terminated", "connection lost"),
    ],
)
def test_a_transaction_that_fails_leaves_nothing(place: Scene, kind: str, met: str) -> None:
    client = place.client()
    do(client, "several statements", 3)
    do(client, "insert")
    changes = client.ledger.changes
    do(client, kind, 5)
    assert client.rolled_back == 5
    # psycopg 3 keeps the server's last word, psycopg2 does not.
    assert sum(client.met[name] for name in (met, "session terminated")) == 5
    assert client.ledger.changes == changes
    do(client, "several statements", 3)
    place.assert_clean()


def test_a_savepoint_that_is_rolled_back_leaves_nothing_and_the_rest_is_kept(place: Scene) -> None:
    client = place.client()
    do(client, "insert", 2)
    do(client, "savepoint", 5)
    assert (client.ledger.transactions, client.ledger.changes) == (7, 12)
    place.assert_clean()


def test_a_transaction_that_touches_no_row_leaves_nothing(place: Scene) -> None:
    do(place.client(), "no row", 3)
    do(place.client(), "insert")
    place.assert_clean()


def test_a_lock_timeout_leaves_nothing(place: Scene) -> None:
    client = place.client()
    with place.bank.desk.begin() as connection:
        connection.execute(text("LOCK TABLE counter IN SHARE MODE"))
        do(client, "lock timeout", 3)
    assert client.met["lock timeout"] == 3
    do(client, "lock timeout")
    assert client.ledger.changes == 7
    place.assert_clean()


@pytest.mark.parametrize(
    ("kind", "met"),
    [
        ("shared rows", "deadlock"),
        ("shared rows, SERIALIZABLE", "serialization failure"),
        ("shared rows, REPEATABLE READ", "serialization failure"),
    ],
)
@pytest.mark.superuser
def test_what_is_tried_again_within_a_request_is_recorded_once(place: Scene, kind: str, met: str) -> None:
    with place.bank.desk.begin() as connection:
        database = connection.scalar(text("SELECT quote_ident(current_database())"))
        connection.execute(text(f"ALTER DATABASE {database} SET deadlock_timeout = '5ms'"))
    place.bank.desk.dispose()
    clients = [place.client() for _ in range(4)]

    def has_met(number: int) -> bool:
        do(clients[number], kind)
        return bool(place.met[met])

    def write(number: int) -> None:
        wait_until(lambda: has_met(number))
        do(clients[number], kind, 5)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    place.assert_clean()


def test_everything_at_once(place: Scene) -> None:
    with place.load(clients=6):
        wait_until(lambda: sum(client.ledger.transactions for client in place.clients) > 200)
    place.assert_clean()


def test_a_broken_constraint_in_commit_leaves_nothing(place: Scene) -> None:
    """It fails after everything was recorded."""
    with place.bank.desk.begin() as connection:
        connection.execute(text("UPDATE account SET note = 'seed ' || id"))
    with place.bank.desk.begin() as connection:
        connection.execute(text("ALTER TABLE account ADD UNIQUE (note) DEFERRABLE INITIALLY DEFERRED"))

    def write(session: Session) -> None:
        session.execute(text("UPDATE account SET note = 'the same'"))
        session.commit()

    with pytest.raises(DBAPIError) as error:
        place.bank.serve(write, "ann")
    assert sqlstate(error.value) == "23505"
    with place.bank.desk.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM audit_transaction WHERE username = 'ann'")) == 0
        assert connection.scalar(text("SELECT count(*) FROM account_audit WHERE note = 'the same'")) == 0
