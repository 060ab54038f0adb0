"""What was recorded is not rewritten: attacks on the history itself, by whoever may do most."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import Engine, Integer, MetaData, Text, create_engine
from sqlalchemy.exc import DBAPIError

from flask_pg_audit import install_audit_triggers, uninstall_audit_triggers
from flask_pg_audit.database.check import check
from flask_pg_audit.database.install import plan_installation, uninstall_with_history
from flask_pg_audit.declare.registry import declare_view_table, set_audit_schema
from flask_pg_audit.errors import sqlstate
from tests.capture import audited_table, column, execute, install, recorded, rewriting, role, rows, run
from tests.classic import classic
from tests.server import Database

#: Everything that holds history in the database of these tests.
GUARDED = ("item_audit", "audit_transaction", "audit_view", "audit_maintenance")


def item(schema: str | None = None, **arguments: object) -> MetaData:
    metadata = MetaData()
    if schema is not None:
        set_audit_schema(metadata, schema)
    audited_table(metadata, "item", column("id", Integer, primary_key=True), column("name", Text), **arguments)  # type: ignore[arg-type]
    declare_view_table(metadata)
    return metadata


@pytest.fixture
def metadata(engine: Engine) -> MetaData:
    """An item, its history, and a row in each other table."""
    metadata = item()
    install(engine, metadata)
    run(
        engine,
        "INSERT INTO item VALUES (1, 'a')",
        "INSERT INTO audit_view (action, page, query) VALUES ('view', 'p', '{}')",
        "SELECT audit_begin_maintenance('so that there is a row')",
    )
    return metadata


def refused(engine: Engine, *statements: str) -> DBAPIError:
    """The error with which the last of the statements of a transaction fails."""
    with engine.connect() as connection, pytest.raises(DBAPIError) as raised:
        for statement in statements:
            execute(connection, statement)
    assert sqlstate(raised.value) == "42501"
    assert "what flask_pg_audit recorded is not rewritten" in str(raised.value)
    return raised.value


def column_of(table: str) -> str:
    return {"item_audit": "name", "audit_transaction": "username", "audit_view": "username"}.get(table, "reason")


# Refused


@pytest.mark.parametrize("table", GUARDED)
@pytest.mark.parametrize("attack", ["UPDATE {0} SET {1} = 'forged'", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_nobody_rewrites_it_not_even_a_superuser(engine: Engine, metadata: MetaData, table: str, attack: str) -> None:
    before = rows(engine, f"SELECT * FROM {table}")
    assert before
    refused(engine, attack.format(table, column_of(table)))
    assert rows(engine, f"SELECT * FROM {table}") == before


@pytest.mark.parametrize(
    "attack",
    [
        "UPDATE item_audit SET name = 'x' WHERE false",
        "INSERT INTO item_audit SELECT * FROM item_audit ON CONFLICT (audit_transaction_id, audit_id) "
        "DO UPDATE SET name = 'x'",
        "WITH gone AS (DELETE FROM item_audit RETURNING *) SELECT count(*) FROM gone",
        "TRUNCATE item, item_audit",
        "DO $$BEGIN EXECUTE 'DELETE FROM item_audit'; END$$",
        "CREATE VIEW v AS SELECT * FROM item_audit; DELETE FROM v",
        "CREATE RULE r AS ON INSERT TO item DO ALSO DELETE FROM item_audit; INSERT INTO item VALUES (2)",
        pytest.param(
            "SET LOCAL session_replication_role = replica; DELETE FROM item_audit", marks=pytest.mark.superuser
        ),
        "SELECT set_config('audit.maintenance', 'on', true); DELETE FROM item_audit",
    ],
)
def test_nor_by_a_way_round(engine: Engine, metadata: MetaData, attack: str) -> None:
    refused(engine, *attack.split("; ")) if "$$" not in attack else refused(engine, attack)
    assert recorded(engine, "item", "name") == [("I", "a")]


def test_merge_neither(engine: Engine, metadata: MetaData) -> None:
    [(version,)] = rows(engine, "SELECT current_setting('server_version_num')::int")
    if version < 150_000:
        pytest.skip("PostgreSQL 14 has no MERGE")
    refused(engine, "MERGE INTO item_audit AS a USING item AS i ON a.id = i.id WHEN MATCHED THEN DELETE")


def test_the_error_says_what_and_the_way_out(engine: Engine, metadata: MetaData) -> None:
    error = refused(engine, "DELETE FROM item_audit")
    assert 'DELETE of table "item_audit" was refused' in str(error)
    assert "public.audit_begin_maintenance('why') in the same transaction" in str(error)
    assert "is never opened itself" in str(refused(engine, "DELETE FROM audit_maintenance"))


def test_recording_goes_on(engine: Engine, metadata: MetaData) -> None:
    run(engine, "UPDATE item SET name = 'b'", "DELETE FROM item", "TRUNCATE item")
    assert recorded(engine, "item", "name") == [("I", "a"), ("U", "b"), ("D", "b"), ("T", None)]


def test_no_trigger_is_on_the_way_of_an_insert(engine: Engine, metadata: MetaData) -> None:
    """4 is the bit of INSERT."""
    assert rows(engine, "SELECT count(*) FROM pg_trigger WHERE tgname = 'audit_refuse_rewriting'") == [(7,)]
    assert (
        rows(engine, "SELECT tgname FROM pg_trigger WHERE tgname = 'audit_refuse_rewriting' AND tgtype & 4 > 0") == []
    )


def test_a_partition_of_a_history_has_a_guard_of_its_own(engine: Engine) -> None:
    """A trigger for statements on the partitioned table is not asked when a partition is named (trap T3)."""
    metadata = item()
    run(
        engine,
        "CREATE TABLE item_audit (audit_transaction_id bigint, audit_id bigint, audit_operation varchar(1) NOT NULL, "
        "audit_operation_timestamp timestamptz NOT NULL, audit_current_user varchar(64) NOT NULL, id int, name text, "
        "PRIMARY KEY (audit_transaction_id, audit_id)) PARTITION BY RANGE (audit_transaction_id)",
        "CREATE TABLE item_audit_first PARTITION OF item_audit FOR VALUES FROM (0) TO (1000)",
    )
    install(engine, metadata)
    run(engine, "INSERT INTO item VALUES (1, 'a')")
    refused(engine, "DELETE FROM item_audit_first")
    refused(engine, "TRUNCATE item_audit_first")
    assert install_audit_triggers(metadata, engine).actions == ()


@pytest.mark.parametrize("level", ["statement", "row"])
def test_odd_names(engine: Engine, level: str) -> None:
    metadata = MetaData()
    set_audit_schema(metadata, 'au"dit 100%')
    audited_table(
        metadata, "we\"ird 50% :x '$", column("id", Integer, primary_key=True), options={"level": level}, schema="naïve"
    )
    run(engine, 'CREATE SCHEMA "au""dit 100%"', 'CREATE SCHEMA "naïve"')
    install(engine, metadata)
    name = '"naïve"."we""ird 50% :x \'$'
    run(engine, f'INSERT INTO {name}" VALUES (1)')
    error = refused(engine, f'DELETE FROM {name}_audit"')
    assert """"au""dit 100%".audit_begin_maintenance('why')""" in str(error)
    with engine.begin() as connection:
        execute(connection, """SELECT "au""dit 100%".audit_begin_maintenance('odd')""")
        execute(connection, f'DELETE FROM {name}_audit"')
    assert rows(engine, """SELECT reason FROM "au""dit 100%".audit_maintenance""") == [("odd",)]
    assert install_audit_triggers(metadata, engine).actions == ()


# Opened


def test_maintenance_opens_it_for_its_transaction_and_leaves_a_record(engine: Engine, metadata: MetaData) -> None:
    run(engine, rewriting("UPDATE item_audit SET name = 'b'"))
    assert recorded(engine, "item", "name") == [("I", "b")]
    assert rows(
        engine, "SELECT db_role, reason, began_at <= now() FROM audit_maintenance ORDER BY id DESC LIMIT 1"
    ) == [(engine.url.username, "a test", True)]
    refused(engine, "UPDATE item_audit SET name = 'c'")


def test_a_record_names_the_transaction_that_it_was_part_of(engine: Engine, metadata: MetaData) -> None:
    run(engine, f"INSERT INTO item VALUES (2); {rewriting('DELETE FROM item_audit WHERE id = 1')}")
    assert rows(engine, "SELECT transaction_id FROM audit_maintenance ORDER BY id") == [(None,), (2,)]


def test_maintenance_does_not_open_its_own_record(engine: Engine, metadata: MetaData) -> None:
    for attack in (
        "DELETE FROM audit_maintenance",
        "UPDATE audit_maintenance SET reason = ''",
        "TRUNCATE audit_maintenance",
        "DELETE FROM audit_redaction",
        "UPDATE audit_redaction SET reason = ''",
        "TRUNCATE audit_redaction",
    ):
        refused(engine, "SELECT audit_begin_maintenance('to remove the traces')", attack)
        with pytest.raises(DBAPIError, match="is not rewritten"):
            run(engine, rewriting(attack))


def test_a_rollback_to_a_savepoint_closes_it_again(engine: Engine, metadata: MetaData) -> None:
    refused(
        engine,
        "SAVEPOINT s",
        "SELECT audit_begin_maintenance('tried')",
        "DELETE FROM item_audit WHERE false",
        "ROLLBACK TO SAVEPOINT s",
        "DELETE FROM item_audit",
    )


def test_it_is_open_in_the_savepoints_of_its_transaction(engine: Engine, metadata: MetaData) -> None:
    with engine.begin() as connection:
        execute(connection, "SELECT audit_begin_maintenance('nested')")
        execute(connection, "SAVEPOINT s")
        execute(connection, "DELETE FROM item_audit")
    assert recorded(engine, "item") == []


def test_it_is_open_for_nobody_else(engine: Engine, metadata: MetaData, database: Database) -> None:
    other = create_engine(database.url())
    with engine.begin() as connection:
        execute(connection, "SELECT audit_begin_maintenance('mine')")
        refused(other, "DELETE FROM audit_view")
        run(other, "INSERT INTO item VALUES (2)")
    other.dispose()


def test_the_id_of_a_transaction_alone_is_not_believed(engine: Engine, metadata: MetaData) -> None:
    """Trap T15: in the cluster into which a dump is restored, transactions are counted anew."""
    forge = (
        "INSERT INTO audit_maintenance (began_at, xact, db_role, reason) "
        "VALUES ({}, pg_current_xact_id()::text, 'x', 'of another cluster')"
    )
    refused(engine, forge.format("now() - interval '1 day'"), "DELETE FROM item_audit")
    refused(engine, forge.format("now()").replace("pg_current_xact_id()::text", "'1'"), "DELETE FROM item_audit")


@pytest.mark.parametrize("reason", ["''", "'  '", "NULL"])
def test_without_a_reason_it_is_not_opened(engine: Engine, metadata: MetaData, reason: str) -> None:
    with pytest.raises(DBAPIError, match="not opened for rewriting without a reason"):
        run(engine, f"SELECT audit_begin_maintenance({reason})")


@pytest.mark.superuser
def test_only_the_owner_opens_it(engine: Engine, metadata: MetaData) -> None:
    with role(engine, "clerk", "GRANT ALL ON item_audit, audit_maintenance, audit_transaction TO {role}") as clerk:
        clerks = create_engine(engine.url.set(username=clerk))
        with pytest.raises(DBAPIError, match="permission denied for function audit_begin_maintenance"):
            run(clerks, "SELECT audit_begin_maintenance('let me')")
        refused(clerks, "DELETE FROM item_audit")
        clerks.dispose()


# Installed, and known


def test_the_classic_librarys_rows_get_their_ids_as_maintenance(engine: Engine) -> None:
    metadata = classic(engine)
    run(
        engine,
        "SELECT set_config('audit.username', 'ann', false); INSERT INTO foo VALUES (1, 'x')",
        "INSERT INTO bar VALUES ('y')",
    )
    install_audit_triggers(metadata, engine)
    assert rows(engine, "SELECT reason FROM audit_maintenance") == [("rows of the classic library get ids",)]
    assert rows(engine, "SELECT audit_id IS NOT NULL FROM foo_audr") == [(True,)]
    refused(engine, "DELETE FROM foo_audr")


def test_a_history_from_before_there_was_a_guard_gets_one(engine: Engine, metadata: MetaData) -> None:
    run(
        engine,
        "DROP FUNCTION audit_refuse_rewriting() CASCADE",
        "DROP FUNCTION audit_begin_maintenance(text)",
        "DROP TABLE audit_maintenance",
    )
    codes = {action.code for action in install_audit_triggers(metadata, engine).actions}
    assert codes == {"guard-missing", "function-missing", "audit-table-missing"}
    refused(engine, "DELETE FROM item_audit")
    assert recorded(engine, "item", "name") == [("I", "a")]


#: What somebody did, and the finding.
DAMAGE = {
    "DROP TRIGGER audit_refuse_rewriting ON item_audit": (
        "guard-missing: item: trigger audit_refuse_rewriting on item_audit: missing"
    ),
    "DROP TRIGGER audit_refuse_rewriting ON audit_transaction": (
        "guard-missing: trigger audit_refuse_rewriting on audit_transaction: missing"
    ),
    "ALTER TABLE item_audit DISABLE TRIGGER audit_refuse_rewriting": (
        "guard-disabled: item: trigger audit_refuse_rewriting on item_audit: switched off"
    ),
    "ALTER TABLE audit_view DISABLE TRIGGER ALL": (
        "guard-disabled: trigger audit_refuse_rewriting on audit_view: switched off"
    ),
    "ALTER TABLE item_audit ENABLE TRIGGER audit_refuse_rewriting": (
        "guard-altered: item: trigger audit_refuse_rewriting on item_audit: does not fire in replication"
    ),
    "ALTER TABLE item_audit ENABLE REPLICA TRIGGER audit_refuse_rewriting": (
        "guard-altered: item: trigger audit_refuse_rewriting on item_audit: fires in replication only"
    ),
    "CREATE OR REPLACE TRIGGER audit_refuse_rewriting BEFORE TRUNCATE ON item_audit "
    "EXECUTE FUNCTION audit_refuse_rewriting()": (
        "guard-altered: item: trigger audit_refuse_rewriting on item_audit: outdated"
    ),
    "CREATE OR REPLACE TRIGGER audit_refuse_rewriting BEFORE UPDATE OR DELETE OR TRUNCATE ON item_audit "
    "WHEN (false) EXECUTE FUNCTION audit_refuse_rewriting(); "
    "ALTER TABLE item_audit ENABLE ALWAYS TRIGGER audit_refuse_rewriting": (
        "guard-altered: item: trigger audit_refuse_rewriting on item_audit: outdated"
    ),
    "CREATE TRIGGER twice BEFORE DELETE ON item_audit EXECUTE FUNCTION audit_refuse_rewriting()": (
        "guard-altered: item: trigger twice on item_audit: the guard under another name"
    ),
    "CREATE OR REPLACE FUNCTION audit_refuse_rewriting() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
    "AS 'BEGIN RETURN NULL; END'": "function-edited: function audit_refuse_rewriting: edited by hand",
    "ALTER FUNCTION audit_begin_maintenance(text) SECURITY INVOKER": (
        "function-altered: function audit_begin_maintenance: altered"
    ),
    "GRANT EXECUTE ON FUNCTION audit_begin_maintenance(text) TO PUBLIC": (
        "function-callable: function audit_begin_maintenance: callable by PUBLIC"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_weakened_guard_is_found_and_mended(engine: Engine, metadata: MetaData, damage: str) -> None:
    run(engine, damage)
    [finding] = check(metadata, engine)
    assert str(finding).startswith(DAMAGE[damage])
    assert finding.fix == "flask audit install"
    install_audit_triggers(metadata, engine)
    assert check(metadata, engine) == ()
    for table in GUARDED:
        refused(engine, f"DELETE FROM {table}")


def test_without_any_table_nothing_is_said_of_guards(engine: Engine) -> None:
    assert "guard-missing" not in {finding.code for finding in check(item(), engine)}


def test_a_table_of_that_name_that_is_not_ours_stops_the_installation(engine: Engine) -> None:
    run(engine, "CREATE TABLE audit_maintenance (n int)")
    [problem] = [p for p in plan_installation(item(), engine)[2].fatal if p.code == "name-taken"]
    assert "table audit_maintenance" in problem.what


def test_a_renamed_table_takes_the_guard_of_its_history_along(engine: Engine, metadata: MetaData) -> None:
    run(engine, "ALTER TABLE item RENAME TO thing")
    renamed = MetaData()
    audited_table(renamed, "thing", column("id", Integer, primary_key=True), column("name", Text))
    declare_view_table(renamed)
    install_audit_triggers(renamed, engine)
    refused(engine, "DELETE FROM thing_audit")
    assert install_audit_triggers(renamed, engine).actions == ()


def test_another_schema_takes_guards_and_records_along_also_of_tables_that_are_audited_no_more(engine: Engine) -> None:
    both = item()
    audited_table(both, "former", column("id", Integer, primary_key=True))
    install(engine, both)
    run(engine, "SELECT audit_begin_maintenance('before the move')", "INSERT INTO former VALUES (1)")
    install_audit_triggers(item(), engine, prune=True)
    moved = item(schema="auditing")
    install_audit_triggers(moved, engine)
    assert rows(engine, "SELECT reason FROM auditing.audit_maintenance") == [("before the move",)]
    for table in ("item_audit", "former_audit", "auditing.audit_transaction", "auditing.audit_maintenance"):
        refused(engine, f"DELETE FROM {table}")
    assert install_audit_triggers(moved, engine).actions == ()


def test_uninstalling_takes_the_guard_away_and_keeps_the_record(engine: Engine, metadata: MetaData) -> None:
    uninstall_audit_triggers(metadata, engine)
    assert rows(engine, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == []
    assert rows(engine, "SELECT count(*) FROM audit_maintenance") == [(1,)]
    run(engine, "DELETE FROM item_audit")


def test_uninstalling_leaves_the_guard_of_another_applications_history(engine: Engine, metadata: MetaData) -> None:
    other = MetaData()
    audited_table(other, "other", column("id", Integer, primary_key=True))
    install(engine, other)
    uninstall_audit_triggers(metadata, engine)
    run(engine, "DELETE FROM item_audit")
    for table in ("other_audit", "audit_transaction", "audit_maintenance"):
        refused(engine, f"DELETE FROM {table}") if table != "other_audit" else refused(engine, "TRUNCATE other_audit")


def test_dropping_the_history_needs_no_maintenance(engine: Engine, metadata: MetaData) -> None:
    uninstall_with_history(metadata, engine)
    assert rows(engine, "SELECT relname FROM pg_class WHERE relname ~ '^audit_|_audit' ") == []


def test_the_script_without_a_database_puts_it_on_and_takes_it_off(engine: Engine) -> None:
    metadata = item()
    metadata.tables["item"].create(engine)
    run(engine, install_audit_triggers(metadata))
    run(engine, "INSERT INTO item VALUES (1)")
    assert plan_installation(metadata, engine)[2].actions == ()
    refused(engine, "DELETE FROM item_audit")
    run(engine, uninstall_audit_triggers(metadata))
    assert rows(engine, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal") == []


def test_concurrent_writers_never_wait_for_the_guard(engine: Engine, metadata: MetaData, database: Database) -> None:
    """It takes no lock of its own: an open maintenance lets everybody record."""
    other = create_engine(database.url())
    done = threading.Event()

    def write() -> None:
        run(other, "SET lock_timeout = '5s'; INSERT INTO item VALUES (9, 'meanwhile')")
        done.set()

    with engine.begin() as connection:
        execute(connection, "SELECT audit_begin_maintenance('long')")
        execute(connection, "UPDATE item_audit SET name = 'b'")
        thread = threading.Thread(target=write)
        thread.start()
        assert done.wait(10)
        thread.join()
    other.dispose()
