"""``seal`` and ``verify_seals``: what is settled is sealed once, and stays so whatever becomes of the tables."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, create_engine

from flask_pg_audit import AuditConfigError, AuditInstallError, AuditSealError, install_audit_triggers
from flask_pg_audit.database.install import plan_installation
from flask_pg_audit.database.removal import plan_history_removal
from flask_pg_audit.declare.registry import set_audit_schema
from flask_pg_audit.seal import VerifiedSeals, seal, verify_seals
from tests.capture import audited_table, execute, install, role, rows, run
from tests.sealing import covered, found, open_shop, sealed, shop
from tests.tamper import tamper


@pytest.fixture
def metadata(engine: Engine) -> MetaData:
    metadata = shop()
    install(engine, metadata)
    open_shop(engine)
    return metadata


def test_what_is_settled_is_sealed_once(engine: Engine, metadata: MetaData) -> None:
    first = sealed(metadata, engine)
    assert (first.id, first.previous, first.key_id, first.signature) == (1, None, None, None)
    assert covered(first) == {
        "audit_transaction": (None, 2, 2),
        "audit_maintenance": (None, 0, 0),
        "audit_redaction": (None, 0, 0),
        "audit_view": (None, 1, 1),
        "item_audit": (None, 2, 3),
        "place_audit": (None, 2, 1),
    }
    assert seal(metadata, engine) is None, "nothing is new"
    run(engine, "DELETE FROM item WHERE id = 2")
    second = sealed(metadata, engine)
    assert (second.id, second.previous) == (2, first.hash)
    assert covered(second)["item_audit"] == (2, 3, 1)
    assert covered(second)["audit_view"] == (1, 1, 0)
    assert verify_seals(metadata, engine) == VerifiedSeals(2, 9, {}, ())


def test_a_heartbeat_says_that_there_was_nothing(engine: Engine, metadata: MetaData) -> None:
    sealed(metadata, engine)
    second = sealed(metadata, engine, heartbeat=True)
    assert (second.id, second.rows) == (2, 0)
    assert found(metadata, engine) == []


def test_nothing_was_recorded_yet(engine: Engine) -> None:
    metadata = shop()
    install(engine, metadata)
    assert seal(metadata, engine) is None
    with pytest.raises(AuditSealError, match="nothing is sealed yet; run flask audit seal"):
        verify_seals(metadata, engine)
    assert sealed(metadata, engine, heartbeat=True).rows == 0
    run(engine, "INSERT INTO place VALUES (1)")
    assert sealed(metadata, engine).rows == 2
    assert found(metadata, engine) == []


def test_a_table_that_is_audited_later_is_sealed_from_its_beginning(engine: Engine, metadata: MetaData) -> None:
    sealed(metadata, engine)
    later = shop(more="tag")
    install(engine, later)
    run(engine, "INSERT INTO tag VALUES (1)")
    assert covered(sealed(later, engine))["tag_audit"] == (None, 3, 1)
    assert found(later, engine) == []


def test_a_table_that_is_audited_no_longer_stays_sealed(engine: Engine, metadata: MetaData) -> None:
    sealed(metadata, engine)
    fewer = shop(only="place")
    install_audit_triggers(fewer, engine, prune=True)
    run(engine, "UPDATE place SET name = 'y'")
    assert "item_audit" in covered(sealed(fewer, engine))
    assert found(fewer, engine) == []
    tamper(engine, "UPDATE item_audit SET name = 'forged' WHERE audit_id = 1")
    assert found(fewer, engine) == ["row-changed: item_audit (audit_transaction_id=1, audit_id=1), seal 1"]


def test_what_is_not_installed_cannot_be_sealed(engine: Engine, metadata: MetaData) -> None:
    run(engine, "DROP TABLE audit_seal")
    for function in (seal, verify_seals):
        with pytest.raises(AuditSealError, match="the table audit_seal is not in the database; run flask audit inst"):
            function(metadata, engine)
    run(engine, "DROP TABLE item_audit CASCADE")
    with pytest.raises(AuditInstallError, match="item: the database is not as declared"):
        seal(metadata, engine)


def test_a_connection_is_no_engine(engine: Engine, metadata: MetaData) -> None:
    with engine.connect() as connection:
        for function in (seal, verify_seals):
            with pytest.raises(AuditConfigError, match="an Engine is needed"):
                function(metadata, connection)  # type: ignore[arg-type]


@pytest.mark.superuser
def test_whoever_may_not_write_is_told_so(engine: Engine, metadata: MetaData) -> None:
    with role(engine, "reader", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}") as reader:
        run(engine, f"GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {reader}")
        as_reader = create_engine(engine.url.set(username=reader))
        with pytest.raises(
            AuditSealError, match=r"permission denied .*; run it as the owner of the tables, or as a su"
        ):
            seal(metadata, as_reader)
        sealed(metadata, engine)
        assert found(metadata, as_reader) == []
        as_reader.dispose()


def test_seals_move_with_what_auditing_installs(engine: Engine, metadata: MetaData) -> None:
    first = sealed(metadata, engine)
    moved = shop()
    set_audit_schema(moved, "auditing")
    done = [str(action) for action in install_audit_triggers(moved, engine).actions]
    assert "move table audit_seal to auditing.audit_seal (AUDIT_SCHEMA)" in done
    assert "move table audit_seal_leaves to auditing.audit_seal_leaves (AUDIT_SCHEMA)" in done
    run(engine, "UPDATE place SET name = 'moved'")
    notes = tuple(f"auditing.{name} was sealed as {name}" for name in ("audit_transaction", "audit_view"))
    assert verify_seals(moved, engine) == VerifiedSeals(1, 7, {}, (), notes=notes)
    second = sealed(moved, engine)
    assert (second.previous, second.tables[0].formerly) == (first.hash, ("public", "audit_transaction"))
    assert verify_seals(moved, engine) == VerifiedSeals(2, 9, {}, ())


def test_a_renamed_table_is_known_again(engine: Engine, metadata: MetaData) -> None:
    sealed(metadata, engine)
    run(engine, "ALTER TABLE place RENAME TO spot")
    renamed = shop(only="spot")
    install_audit_triggers(renamed, engine)
    assert verify_seals(renamed, engine).notes == ("spot_audit was sealed as place_audit",)
    run(engine, "UPDATE spot SET name = 'there'")
    assert covered(sealed(renamed, engine))["spot_audit"] == (2, 3, 1)
    tamper(engine, "UPDATE spot_audit SET name = 'forged' WHERE audit_transaction_id = 1")
    changed = "row-changed: spot_audit (audit_transaction_id=1, audit_id=3) of id=1, seal 1"
    assert found(renamed, engine) == [changed]


def test_a_column_that_is_added_changes_no_seal(engine: Engine, metadata: MetaData) -> None:
    sealed(metadata, engine)
    run(engine, "ALTER TABLE item_audit ADD colour text")
    assert found(metadata, engine) == []
    tamper(engine, "UPDATE item_audit SET colour = 'red' WHERE audit_id = 1")
    assert found(metadata, engine) == ["row-changed: item_audit (audit_transaction_id=1, audit_id=1) of id=1, seal 1"]


def test_a_column_that_is_renamed_is_known_again(engine: Engine, metadata: MetaData) -> None:
    sealed(metadata, engine)
    run(engine, 'ALTER TABLE item_audit RENAME name TO "we""ird"', "ALTER TABLE item_audit ADD other text")
    verified = verify_seals(metadata, engine)
    assert (verified.counts, verified.notes) == ({}, ('item_audit: we"ird was sealed as name',))


def test_a_column_that_is_dropped_is_named(engine: Engine, metadata: MetaData) -> None:
    sealed(metadata, engine)
    run(engine, "ALTER TABLE item_audit DROP name")
    assert found(metadata, engine) == [
        "column-missing: item_audit, seal 1: name",
        "row-changed: item_audit (audit_transaction_id=1, audit_id=1) of id=1, seal 1",
        "row-changed: item_audit (audit_transaction_id=2, audit_id=4) of id=1, seal 1",
    ]


def test_a_table_that_is_dropped_is_named(engine: Engine, metadata: MetaData) -> None:
    sealed(metadata, engine)
    run(engine, "DROP TABLE place_audit")
    assert found(metadata, engine) == ["table-missing: place_audit, seal 1"]


def test_rows_that_are_kept_for_a_while_only(engine: Engine, metadata: MetaData) -> None:
    run(engine, *["INSERT INTO audit_view (action, page, query) VALUES ('view', 'p', '{}')"] * 3)
    sealed(metadata, engine)
    tamper(engine, "DELETE FROM audit_view WHERE id <= 2")
    assert found(metadata, engine) == [f"row-missing: audit_view (id={number}), seal 1" for number in (1, 2)]
    assert verify_seals(metadata, engine, pruned=["audit_view"]).pruned == {"audit_view": 2}
    tamper(engine, "DELETE FROM audit_view WHERE id = 4")
    assert found(metadata, engine, pruned=["audit_view"]) == ["row-missing: audit_view (id=4), seal 1"]


def test_the_database_was_taken_back_to_an_earlier_state(engine: Engine, metadata: MetaData) -> None:
    sealed(metadata, engine)
    run(engine, "ALTER TABLE audit_transaction ALTER id RESTART WITH 2")
    with pytest.raises(AuditSealError, match="is 1, and it was sealed up to 2: the database was taken back"):
        seal(metadata, engine)


def test_whatever_ends_a_run_leaves_nothing(engine: Engine, metadata: MetaData) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise Stopped

    with pytest.raises(Stopped):
        seal(metadata, engine, progress=stop)
    counts = "SELECT (SELECT count(*) FROM audit_seal), (SELECT count(*) FROM audit_seal_leaves)"
    assert rows(engine, counts) == [(0, 0)]
    assert sealed(metadata, engine).id == 1


def test_progress_counts_rows(engine: Engine, metadata: MetaData) -> None:
    told: list[tuple[int, int]] = []
    sealed(metadata, engine, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == [1, 2, 3, 4, 5, 6, 7]
    told.clear()
    verify_seals(metadata, engine, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (7, 7)


def test_exotic_names(engine: Engine) -> None:
    """Of the table, of its columns and of the schema."""
    name = '100% "we:ird" ü'
    metadata = shop(more=name, column='a%b:c"d')
    set_audit_schema(metadata, 'odd % "s"')
    run(engine, 'CREATE SCHEMA "odd % ""s"""')
    install(engine, metadata)
    with engine.begin() as connection:
        connection.execute(metadata.tables[name].insert(), {"id": 1, "name": "x", 'a%b:c"d': "y"})
    assert sealed(metadata, engine).rows == 2
    assert found(metadata, engine) == []
    tamper(engine, """UPDATE "100% ""we:ird"" ü_audit" SET name = 'forged'""")
    assert [line.partition(":")[0] for line in found(metadata, engine)] == ["row-changed"]


def test_many_rows_are_chunks(engine: Engine, metadata: MetaData) -> None:
    run(engine, "INSERT INTO place SELECT n, 'n' || n FROM generate_series(2, 2500) AS n")
    made = sealed(metadata, engine)
    assert rows(engine, "SELECT sum(row_count), count(*) FROM audit_seal_leaves") == [(made.rows, 6)]
    update = "UPDATE place_audit SET name = NULL WHERE id IN (1001, 2002)"
    tamper(engine, update, "DELETE FROM place_audit WHERE id = 1500")
    shown = [line.split(" of ")[-1] for line in found(metadata, engine)]
    assert shown[:2] == ["id=1001, seal 1", "id=2002, seal 1"]
    limited = verify_seals(metadata, engine, limit=1)
    assert limited.counts == {"row-changed": 2, "row-missing": 1}
    assert len(limited.findings) == 2


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "REPEATABLE READ", "SERIALIZABLE"])
def test_whatever_the_engine_has(engine: Engine, metadata: MetaData, level: str) -> None:
    """An isolation level, and a pool with room for one connection."""
    other = create_engine(engine.url, isolation_level=level, pool_size=1, max_overflow=0, pool_timeout=1)
    assert sealed(metadata, other).rows == 7
    assert found(metadata, other) == []
    with other.connect() as connection:
        assert execute(connection, "SHOW search_path").scalar() == '"$user", public'
    other.dispose()


@pytest.mark.parametrize("name", ["audit_seal", "audit_seal_leaves"])
def test_a_name_that_is_taken(engine: Engine, name: str) -> None:
    """By something in the database, and by a table of the models."""
    run(engine, f"CREATE TABLE {name} (id int)")
    with pytest.raises(AuditInstallError, match=f"the name of the table {name} is taken"):
        install(engine, shop())
    metadata = MetaData()
    Table(name, metadata, Column("id", Integer, primary_key=True))
    with pytest.raises(
        AuditConfigError, match=f'"{name}" is needed by flask_pg_audit and already taken; set another AU'
    ):
        audited_table(metadata, "item", Column("id", Integer, primary_key=True))


def test_tables_of_seals_are_completed_and_dropped_with_history(engine: Engine, metadata: MetaData) -> None:
    run(engine, "ALTER TABLE audit_seal DROP signature", "DROP TABLE audit_seal_leaves")
    assert [str(action) for action in install_audit_triggers(metadata, engine).actions] == [
        "add column signature to audit_seal (missing)",
        "create table audit_seal_leaves (missing)",
        "create trigger audit_refuse_rewriting on audit_seal_leaves (missing)",
    ]
    declared, installed, _ = plan_installation(metadata, engine)
    drops = [str(action) for action in plan_history_removal(declared, installed).actions]
    assert {"drop table audit_seal (history)", "drop table audit_seal_leaves (history)"} <= {*drops}
