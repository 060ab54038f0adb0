"""The traps of the design that were measured before the first line was written, each with the cure that springs it.

T3 is in ``test_capture_partitions.py``, T14 in ``test_capture_types.py``; some others are deepened in the files that
their docstrings name.
"""

from __future__ import annotations

import time

import pytest
from sqlalchemy import JSON, Column, Engine, Enum, Integer, MetaData, String, Text, create_engine, text
from sqlalchemy.dialects.postgresql import UUID

from flask_pg_audit import AuditContextError, install_audit_triggers, set_session_vars
from tests.capture import audited_table, column, execute, install, recorded, role, rows, run
from tests.server import Database


def item_table(engine: Engine, **options: object) -> MetaData:
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True), column("name", Text), options=options)
    install(engine, metadata)
    return metadata


def test_t1_a_bulk_update_after_a_one_row_update_is_not_quadratic(engine: Engine) -> None:
    """Cure: old and new rows meet in a full join, which is never run as a nested loop."""
    item_table(engine)
    run(engine, "INSERT INTO item SELECT n, 'a' FROM generate_series(1, 20000) AS n")
    with engine.connect() as connection:
        for _ in range(10):  # long enough for any plan to be cached
            execute(connection, "UPDATE item SET name = name || 'x' WHERE id = 1")
        started = time.monotonic()
        execute(connection, "UPDATE item SET name = name || 'y'")
        # A nested loop over 20,000 x 20,000 rows takes minutes; the join takes a tenth of a second.
        assert time.monotonic() - started < 10
        connection.commit()
    assert rows(engine, "SELECT count(*) FROM item_audit WHERE audit_operation = 'U'") == [(20010,)]


STAMP = (
    "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN UPDATE item SET name = 'stamped' WHERE id = NEW.id; RETURN NULL; END $$"
)


def test_t2_level_row_records_before_the_users_own_row_triggers(engine: Engine) -> None:
    """Cure: a row trigger whose name sorts first."""
    item_table(engine, level="row")
    run(
        engine,
        STAMP,
        "CREATE TRIGGER a_stamp AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION stamp()",
        "INSERT INTO item VALUES (1, 'a')",
    )
    assert recorded(engine, "item", "name") == [("I", "a"), ("U", "stamped")]


def test_t2_row_triggers_on_a_statement_level_table_are_reported(engine: Engine) -> None:
    metadata = item_table(engine)
    run(engine, STAMP, "CREATE TRIGGER stamp AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION stamp()")
    [problem] = install_audit_triggers(metadata, engine).problems
    assert "has the row-level trigger stamp" in str(problem)
    assert 'set level="row"' in str(problem)


def test_t4_the_acting_role_is_not_the_functions_owner(engine: Engine) -> None:
    """Cure: the setting ``role``, else ``session_user``. Deepened in ``test_capture_context.py``."""
    item_table(engine)
    with role(engine, "clerk", "GRANT INSERT ON item TO {role}") as clerk:
        run(engine, f"SET LOCAL ROLE {clerk}; INSERT INTO item VALUES (1)")
        assert recorded(engine, "item", "audit_current_user") == [("I", clerk)]


ATTACKS = [
    # Operators that the trigger uses, planted before PostgreSQL's own.
    *(
        f"CREATE OPERATOR evil.{operator} (LEFTARG = {type_}, RIGHTARG = {type_}, FUNCTION = evil.{function})"
        for operator, type_, function in (
            ("=", "text", "text_lie"),
            ("<>", "text", "text_lie"),
            ("=", "int4", "int_lie"),
            (">", "int4", "int_lie"),
            ("=", "int8", "big_lie"),
            ("*<>", "record", "record_lie"),
            ("=", "bool", "bool_lie"),
        )
    ),
    "CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.text_join)",
    "CREATE FUNCTION evil.split_part(text, text, int4) RETURNS text LANGUAGE sql AS $$ SELECT evil.strike() $$",
    "CREATE FUNCTION evil.format(text, text, text, text) RETURNS text LANGUAGE sql AS $$ SELECT evil.strike() $$",
    "CREATE FUNCTION evil.format(text, name, name) RETURNS text LANGUAGE sql AS $$ SELECT evil.strike() $$",
    "CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT evil.strike() $$",
    "CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT evil.strike() $$",
    "CREATE FUNCTION evil.nextval(regclass) RETURNS int8 LANGUAGE sql AS $$ SELECT length(evil.strike())::int8 $$",
    "CREATE FUNCTION evil.clock_timestamp() RETURNS timestamptz LANGUAGE sql "
    "AS $$ SELECT evil.strike(); SELECT '2000-01-01'::timestamptz $$",
    "CREATE FUNCTION evil.length(text) RETURNS int4 LANGUAGE sql AS $$ SELECT octet_length(evil.strike()) $$",
    "CREATE FUNCTION evil.concat(xid8, text, int4, text, int4, text, text, text, text) RETURNS text LANGUAGE sql "
    "AS $$ SELECT evil.strike() $$",
    "CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT evil.strike() $$",
    "CREATE FUNCTION evil.audit_current_transaction() RETURNS int8 LANGUAGE sql AS $$ SELECT 666::int8 $$",
    "CREATE FUNCTION evil.audit_begin_transaction() RETURNS int8 LANGUAGE sql AS $$ SELECT 666::int8 $$",
    "CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.any_lie(VALUE))",
    "CREATE DOMAIN evil.int8 AS pg_catalog.int4",
    "CREATE TYPE evil.uuid AS ENUM ('planted')",
    "CREATE TEMP TABLE item_audit (LIKE public.item_audit)",
    "CREATE TEMP TABLE audit_transaction (LIKE public.audit_transaction)",
    "CREATE TEMP SEQUENCE audit_id_seq START 666",
    "CREATE TEMP TABLE new_rows (id int, name text)",
    "CREATE TEMP TABLE old_rows (id int, name text)",
]

LIES = [
    # SECURITY INVOKER functions: who runs them is who they strike as.
    "CREATE FUNCTION evil.strike() RETURNS text LANGUAGE plpgsql AS "
    "$$ BEGIN INSERT INTO public.struck VALUES (current_user); RETURN 'x'; END $$",
    *(
        f"CREATE FUNCTION evil.{name}({type_}, {type_}) RETURNS boolean LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM evil.strike(); RETURN false; END $$"
        for name, type_ in (
            ("text_lie", "text"),
            ("int_lie", "int4"),
            ("big_lie", "int8"),
            ("record_lie", "record"),
            ("bool_lie", "bool"),
        )
    ),
    "CREATE FUNCTION evil.any_lie(text) RETURNS boolean LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM evil.strike(); RETURN true; END $$",
    "CREATE FUNCTION evil.text_join(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN evil.strike(); END $$",
]


@pytest.mark.parametrize("level", ["statement", "row"])
@pytest.mark.superuser
def test_t5_planted_objects_are_not_used(engine: Engine, level: str) -> None:
    """Cure: every relation, function, type and operator is named with its schema."""
    settings = [Column("username", String), Column("app", UUID)]
    item_table(engine, level=level, session_settings=settings)
    run(engine, "CREATE TABLE struck (by text)", "GRANT INSERT ON struck TO PUBLIC")
    read = "GRANT SELECT ON item_audit, audit_transaction TO {role}"  # to make tables that look like them
    grants = ("GRANT ALL ON item TO {role}", read, "CREATE SCHEMA evil AUTHORIZATION {role}")
    with role(engine, "mallory", *grants) as mallory:
        attacker = create_engine(engine.url.set(username=mallory))
        with attacker.connect() as connection:
            for statement in (*LIES, *ATTACKS, "SET search_path = evil, pg_temp, pg_catalog, public"):
                execute(connection, statement)
            execute(connection, "SELECT pg_catalog.set_config('audit.username', 'mallory', true)")
            execute(connection, f"SELECT pg_catalog.set_config('audit.app', '{'0' * 32}', true)")
            for statement in (
                "INSERT INTO public.item VALUES (1, 'a'), (2, 'b')",
                "UPDATE public.item SET name = 'c'",
                "UPDATE public.item SET id = 3 WHERE id OPERATOR(pg_catalog.=) 2",
                "DELETE FROM public.item WHERE id OPERATOR(pg_catalog.=) 1",
                "TRUNCATE public.item",
            ):
                execute(connection, statement)
            connection.commit()
        attacker.dispose()
    assert rows(engine, "SELECT * FROM struck") == []
    changes = recorded(engine, "item", "id", "audit_username", "audit_transaction_id")
    assert sorted(changes[:4]) == [
        ("I", 1, "mallory", 1),
        ("I", 2, "mallory", 1),
        ("U", 1, "mallory", 1),
        ("U", 2, "mallory", 1),
    ]
    assert sorted(changes[4:6]) == [("D", 2, "mallory", 1), ("I", 3, "mallory", 1)]
    assert changes[6:] == [("D", 1, "mallory", 1), ("T", None, "mallory", 1)]


@pytest.mark.parametrize("level", ["statement", "row"])
@pytest.mark.superuser
def test_t5_planted_objects_are_not_used_on_the_rarer_paths(engine: Engine, level: str) -> None:
    """Refusals, a user who changes within the transaction, keys compared as text, no key, and partitions."""
    metadata = MetaData()
    required = [Column("username", String, nullable=False)]
    plain = {"level": level}
    audited_table(
        metadata,
        "item",
        column("id", Enum("1", "2", "3", name="digit"), primary_key=True),
        column("name", Text),
        options={"level": level, "session_settings": required},
    )
    audited_table(metadata, "log", column("id", Integer), options=plain)
    audited_table(
        metadata, "event", column("id", Integer, primary_key=True), options=plain, postgresql_partition_by="RANGE (id)"
    )
    metadata.create_all(engine)
    run(engine, "CREATE TABLE low PARTITION OF event FOR VALUES FROM (0) TO (10)")
    install_audit_triggers(metadata, engine)
    run(engine, "CREATE TABLE struck (by text)", "GRANT INSERT ON struck TO PUBLIC")
    read = "GRANT SELECT ON item_audit, audit_transaction TO {role}"
    grants = ("GRANT ALL ON item, log, event, low TO {role}", read, "CREATE SCHEMA evil AUTHORIZATION {role}")
    with role(engine, "mallory", *grants) as mallory:
        attacker = create_engine(engine.url.set(username=mallory))
        with attacker.connect() as connection:
            for statement in (*LIES, *ATTACKS, "SET search_path = evil, pg_temp, pg_catalog, public"):
                execute(connection, statement)
            connection.commit()
            with pytest.raises(AuditContextError) as refusal:
                execute(connection, "INSERT INTO public.item VALUES ('1')")
            # A strike would be rolled back with the change: what it returns would be in the message or the constraint.
            assert '"audit.username" is not set. Set it in the same transaction' in str(refusal.value)
            assert refusal.value.__cause__.diag.constraint_name == "audit.username"  # type: ignore[union-attr]
            connection.rollback()
            for number, name in enumerate(("alice", "bob"), start=1):
                execute(connection, f"SELECT pg_catalog.set_config('audit.username', '{name}', true)")
                execute(connection, f"INSERT INTO public.item VALUES ('{number}')")
            for statement in (
                "UPDATE public.item SET name = 'x'",
                "UPDATE public.item SET id = '3' WHERE id::pg_catalog.text OPERATOR(pg_catalog.=) '2'",
                "INSERT INTO public.log VALUES (1), (2)",
                "UPDATE public.log SET id = 3",
                "INSERT INTO public.low VALUES (1)",
                "TRUNCATE public.low",
            ):
                execute(connection, statement)
            connection.commit()
        attacker.dispose()
    assert rows(engine, "SELECT * FROM struck") == []
    assert sorted(recorded(engine, "item", "id")) == sorted(
        [("I", "1"), ("I", "2"), ("U", "1"), ("U", "2"), ("D", "2"), ("I", "3")]
    )
    assert recorded(engine, "log", "id") == [("I", 1), ("I", 2), ("U", 3), ("U", 3)]
    assert recorded(engine, "event", "id") == [("I", 1), ("D", 1)]
    assert rows(engine, "SELECT username, continues FROM audit_transaction ORDER BY id") == [
        ("alice", None),
        ("bob", 1),
    ]
    # Numbers from the attacker's own sequence would start at 666.
    assert rows(engine, "SELECT max(audit_id) < 20 FROM item_audit") == [(True,)]


def test_t6_a_setting_of_an_earlier_transaction_reads_empty_and_is_null(engine: Engine) -> None:
    """Cure: empty counts as unset, before any cast. Deepened in ``test_capture_context.py``."""
    item_table(engine, session_settings=[Column("app", UUID)])
    with engine.connect() as connection:
        set_session_vars(connection, app="00000000-0000-0000-0000-000000000001")
        connection.commit()
        assert execute(connection, "SELECT current_setting('audit.app', true)").scalar() == ""
        execute(connection, "INSERT INTO item VALUES (1)")
        connection.commit()
    assert recorded(engine, "item", "audit_app") == [("I", None)]


def test_t7_types_without_equality_are_compared_and_can_still_be_altered(engine: Engine) -> None:
    """Cure: images are compared as whole rows; nothing in a WHEN clause. Deepened in ``test_capture_types.py``."""
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True), column("data", JSON))
    install(engine, metadata)
    run(engine, "INSERT INTO item VALUES (1, '{}')", "UPDATE item SET data = data", "UPDATE item SET data = '[]'")
    assert recorded(engine, "item", "data") == [("I", {}), ("U", [])]
    run(engine, "ALTER TABLE item ALTER COLUMN data TYPE jsonb")


HOSTILE_NAMES = [
    "user",
    "Order",
    'we"ird',
    "naïve table",
    "50% off",
    "a:b",
    "$audit$",
    "back\\slash",
    "new\nline",
    "x" * 63,
]
#: Columns with the names that the functions use themselves.
INNER_NAMES = ["new_row", "old_row", "removed", "r", "tg_op", "audit_marker", "select"]


@pytest.mark.parametrize("level", ["statement", "row"])
@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_t8_names(engine: Engine, name: str, level: str) -> None:
    """Cure: one preparer that quotes what needs it and leaves % alone."""
    metadata = MetaData()
    columns = [column(other, Text) for other in dict.fromkeys((name, *INNER_NAMES))]
    setting = Column("user", Text)
    table = audited_table(
        metadata,
        name,
        column("Id", Integer, primary_key=True),
        *columns,
        options={"level": level, "session_settings": [setting]},
    )
    install(engine, metadata)
    assert install_audit_triggers(metadata, engine).actions == ()
    with engine.begin() as connection:
        set_session_vars(connection, user="alice")
        connection.execute(table.insert().values({"Id": 1, name: "a"}))
        connection.execute(table.update().values({name: "b"}))
        connection.execute(table.update().values({"Id": 2}))
        connection.execute(table.delete())
    audit_table = next(t for t in metadata.tables.values() if "audit.is_audit_table" in t.info)
    with engine.connect() as connection:
        found = connection.execute(audit_table.select().order_by(audit_table.c.audit_id)).mappings().all()
    assert [(row["audit_operation"], row["Id"], row[name], row["audit_user"]) for row in found[:2]] == [
        ("I", 1, "a", "alice"),
        ("U", 1, "b", "alice"),
    ]
    assert sorted(row["audit_operation"] for row in found[2:]) == ["D", "D", "I"]


def test_t9_functions_are_stored_byte_for_byte(engine: Engine) -> None:
    """Cure: statements are sent without parameters, whole."""
    metadata = MetaData()
    audited_table(metadata, "a%b:c ? d", column("id", Integer, primary_key=True), column("%(x)s :y", Text))
    metadata.create_all(engine)
    plan = install_audit_triggers(metadata, engine)
    [create] = [sql for sql in plan.statements if "CREATE OR REPLACE FUNCTION" in sql and "new_rows" in sql]
    [(source,)] = rows(engine, "SELECT prosrc FROM pg_proc WHERE prosrc LIKE '%new_rows%'")
    assert source in create
    assert '"%(x)s :y"' in source
    run(engine, """INSERT INTO "a%b:c ? d" VALUES (1, 'x')""")
    assert rows(engine, """SELECT "%(x)s :y" FROM "a%b:c ? d_audit" """) == [("x",)]


def test_t10_statements_without_rows_start_no_transaction_row(engine: Engine) -> None:
    """Cure: the transaction's row is made by a scalar subquery, which is not evaluated without a row."""
    item_table(engine)
    run(engine, "UPDATE item SET name = 'x'", "DELETE FROM item", "INSERT INTO item SELECT 1 WHERE false")
    assert rows(engine, "SELECT count(*) FROM audit_transaction") == [(0,)]
    assert rows(engine, "SELECT last_value, is_called FROM audit_id_seq") == [(1, False)]


def test_t11_a_setting_undone_by_a_savepoint_is_not_recorded(engine: Engine) -> None:
    """Cure: nothing is remembered outside of settings that the same rollback undoes.

    The application's side is in ``test_who_write_paths.py``.
    """
    item_table(engine, session_settings=[Column("username", String)])
    with engine.begin() as connection:
        savepoint = connection.begin_nested()
        set_session_vars(connection, username="undone")
        execute(connection, "INSERT INTO item VALUES (1)")
        savepoint.rollback()
        execute(connection, "INSERT INTO item VALUES (2)")
    assert recorded(engine, "item", "id", "audit_username") == [("I", 2, None)]
    assert rows(engine, "SELECT username FROM audit_transaction") == [(None,)]


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_t12_both_drivers_install_and_record(database: Database, driver: str) -> None:
    engine = create_engine(database.url(driver))
    item_table(engine, session_settings=[Column("username", String)])
    with engine.begin() as connection:
        set_session_vars(connection, username="alice")
        connection.execute(text("INSERT INTO item VALUES (:id, :name)"), {"id": 1, "name": "a"})
    assert recorded(engine, "item", "audit_username") == [("I", "alice")]
    engine.dispose()


def test_t13_a_column_that_the_model_lacks_is_reported_and_one_that_it_gains_is_added(engine: Engine) -> None:
    metadata = item_table(engine)
    run(engine, "ALTER TABLE item ADD COLUMN price int")
    [problem] = install_audit_triggers(metadata, engine).problems
    assert "not declared, so changes are not recorded: column price" in str(problem)
    metadata.tables["item"].append_column(Column("price", Integer))
    actions = [str(action) for action in install_audit_triggers(metadata, engine).actions]
    assert actions == [
        "add column price to item_audit (missing)",
        "mark column price of item_audit (recorded from now on)",
        "replace function public_item_audit (outdated)",
    ]
    run(engine, "INSERT INTO item VALUES (1, 'a', 5)")
    assert recorded(engine, "item", "price") == [("I", 5)]


def test_t13_the_history_of_a_dropped_column_stays(engine: Engine) -> None:
    item_table(engine)
    run(engine, "INSERT INTO item VALUES (1, 'a')", "ALTER TABLE item DROP COLUMN name")
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True))
    install_audit_triggers(metadata, engine)
    run(engine, "INSERT INTO item VALUES (2)")
    assert recorded(engine, "item", "id", "name") == [("I", 1, "a"), ("I", 2, None)]


def test_t15_ids_that_last_are_sequences(engine: Engine) -> None:
    """Nothing that is stored is an OID, a transaction id or a process id of this cluster."""
    item_table(engine)
    run(engine, *(f"INSERT INTO item VALUES ({number})" for number in range(3)))
    assert rows(engine, "SELECT id FROM audit_transaction ORDER BY id") == [(1,), (2,), (3,)]
    fleeting = (
        "SELECT attname FROM pg_attribute WHERE attrelid IN ('item_audit'::regclass, 'audit_transaction'::regclass) "
        "AND attnum > 0 AND atttypid IN ('oid'::regtype, 'xid'::regtype, 'xid8'::regtype, 'regclass'::regtype)"
    )
    assert rows(engine, fleeting) == []
