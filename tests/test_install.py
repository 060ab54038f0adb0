"""Installing and uninstalling: idempotent, transactional, serialised, additive."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, Text, create_engine, event
from sqlalchemy.exc import DBAPIError

from flask_pg_audit import (
    AuditConfigError,
    AuditInstallError,
    install_audit_triggers,
    set_session_vars,
    uninstall_audit_triggers,
)
from flask_pg_audit.database.action import Plan
from flask_pg_audit.database.install import uninstall_with_history
from flask_pg_audit.declare.absence import parse_absences
from flask_pg_audit.declare.registry import set_audit_schema
from tests.capture import audited_table, column, execute, install, recorded, role, rows, run
from tests.server import Database


def item(**options: Any) -> MetaData:
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True), column("name", Text), options=options)
    return metadata


def actions(plan: Plan) -> list[str]:
    return [str(action) for action in plan.actions]


def test_a_second_installation_does_nothing(engine: Engine) -> None:
    metadata = item()
    metadata.create_all(engine)
    assert "create trigger public_item_audit_insert on item (missing)" in actions(
        install_audit_triggers(metadata, engine)
    )
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda c, cursor, sql, *rest: sent.append(sql))
    assert install_audit_triggers(metadata, engine).actions == ()
    assert all(sql.startswith(("SELECT", "WITH")) for sql in sent)


def test_audit_tables_are_created_when_missing(engine: Engine) -> None:
    metadata = item()
    metadata.tables["item"].create(engine)
    install_audit_triggers(metadata, engine)
    run(engine, "INSERT INTO item VALUES (1)")
    assert recorded(engine, "item", "id") == [("I", 1)]
    assert rows(engine, "SELECT count(*) FROM pg_indexes WHERE tablename = 'item_audit'") == [(3,)]


def test_killed_in_the_middle_nothing_is_half_installed(engine: Engine, database: Database) -> None:
    metadata = item()
    metadata.create_all(engine)
    killer = create_engine(database.url())

    @event.listens_for(engine, "before_cursor_execute")
    def kill(connection: Any, cursor: Any, sql: str, *rest: Any) -> None:
        if "TRIGGER public_item_audit_delete" in sql:
            pid = connection.connection.dbapi_connection.info.backend_pid
            run(killer, f"SELECT pg_terminate_backend({pid})")

    with pytest.raises(AuditInstallError, match="PostgreSQL refused"):
        install_audit_triggers(metadata, engine)
    assert rows(killer, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]
    assert rows(killer, "SELECT count(*) FROM pg_proc WHERE prosrc LIKE '%flask_pg_audit%'") == [(0,)]
    assert len(install_audit_triggers(metadata, killer).actions) == 16
    killer.dispose()


def test_two_at_once_both_succeed_and_one_does_the_work(database: Database) -> None:
    metadata = item()
    engines = [create_engine(database.url()) for _ in range(4)]
    metadata.create_all(engines[0])

    def count_actions(engine: Engine) -> int:
        return len(install_audit_triggers(metadata, engine).actions)

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(count_actions, engines))
    assert sorted(done) == [0, 0, 0, 16]
    for engine in engines:
        engine.dispose()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            {"exclude": ["name"]},
            [
                "mark column name of item_audit (no longer recorded)",
                "replace function public_item_audit (outdated)",
            ],
        ),
        ({"skip_unchanged": False}, ["replace function public_item_audit (outdated)"]),
        (
            {"session_settings": [Column("username", String)]},
            [
                "add column audit_username to item_audit (session setting)",
                "replace function public_item_audit (outdated)",
            ],
        ),
        (
            {"level": "row"},
            [
                "replace function public_item_audit (outdated)",
                "create trigger 00_public_item_audit_row on item (missing)",
                "drop trigger public_item_audit_delete on item (no longer wanted)",
                "drop trigger public_item_audit_insert on item (no longer wanted)",
                "drop trigger public_item_audit_update on item (no longer wanted)",
            ],
        ),
    ],
)
def test_changed_options(engine: Engine, options: dict[str, Any], expected: list[str]) -> None:
    install(engine, item())
    assert actions(install_audit_triggers(item(**options), engine)) == expected
    assert install_audit_triggers(item(**options), engine).actions == ()
    run(engine, "INSERT INTO item VALUES (1, 'a')")
    assert len(recorded(engine, "item")) == 1


@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        (
            "ALTER TABLE item DISABLE TRIGGER public_item_audit_update",
            "replace trigger public_item_audit_update on item (disabled)",
        ),
        (
            "ALTER TABLE item ENABLE REPLICA TRIGGER public_item_audit_update",
            "replace trigger public_item_audit_update on item (replica only)",
        ),
        ("DROP TRIGGER public_item_audit_update ON item", "create trigger public_item_audit_update on item (missing)"),
        ("ALTER FUNCTION public_item_audit() SECURITY INVOKER", "replace function public_item_audit (altered)"),
        ("ALTER FUNCTION public_item_audit() SET search_path = public", "replace function public_item_audit (altered)"),
        (
            "CREATE OR REPLACE FUNCTION public_item_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS "
            "'BEGIN RETURN NULL; /* was flask_pg_audit */ END'",
            "replace function public_item_audit (edited by hand)",
        ),
        (
            "ALTER TABLE item_audit DROP COLUMN name",
            "add column name to item_audit (missing), mark column name of item_audit (recorded from now on)",
        ),
        (
            "DROP TABLE item_audit",
            "create table item_audit (missing), create trigger audit_refuse_rewriting on item_audit (missing)",
        ),
    ],
)
def test_damage_is_repaired_and_said(engine: Engine, damage: str, repair: str) -> None:
    metadata = item()
    install(engine, metadata)
    run(engine, damage)
    assert ", ".join(actions(install_audit_triggers(metadata, engine))) == repair
    run(engine, "INSERT INTO item VALUES (1, 'a')", "UPDATE item SET name = 'b'")
    assert recorded(engine, "item", "name") == [("I", "a"), ("U", "b")]


def test_uninstalling_keeps_the_history(engine: Engine) -> None:
    metadata = item()
    install(engine, metadata)
    run(engine, "INSERT INTO item VALUES (1)")
    assert len(uninstall_audit_triggers(metadata, engine).actions) == 16
    run(engine, "INSERT INTO item VALUES (2)")
    assert recorded(engine, "item", "id") == [("I", 1)]
    assert rows(engine, "SELECT count(*) FROM pg_proc WHERE prosrc LIKE '%flask_pg_audit%'") == [(0,)]
    assert uninstall_audit_triggers(metadata, engine).actions == ()


def test_two_applications_in_one_database_do_not_uninstall_each_other(engine: Engine) -> None:
    other = MetaData()
    audited_table(other, "order", column("id", Integer, primary_key=True))
    install(engine, item())
    install(engine, other)
    uninstall_audit_triggers(item(), engine)
    run(engine, 'INSERT INTO "order" VALUES (1)')
    assert recorded(engine, "order") == [("I",)]


def test_dropping_one_applications_history_leaves_the_others(engine: Engine) -> None:
    other = MetaData()
    audited_table(other, "order", column("id", Integer, primary_key=True))
    install(engine, item())
    install(engine, other)
    run(engine, 'INSERT INTO "order" VALUES (1)')
    uninstall_with_history(item(), engine)
    assert rows(engine, "SELECT to_regclass('item_audit')") == [(None,)]
    run(engine, 'INSERT INTO "order" VALUES (2)')
    assert recorded(engine, "order", "audit_id") == [("I", 1), ("I", 2)]
    uninstall_with_history(other, engine)
    assert rows(engine, "SELECT to_regclass('audit_transaction'), to_regclass('audit_id_seq')") == [(None, None)]


def test_the_script_installs_the_same_and_is_idempotent(engine: Engine) -> None:
    metadata = item(session_settings=[Column("username", String, nullable=False)])
    metadata.tables["item"].create(engine)
    script = install_audit_triggers(metadata)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(2):
            execute(connection, script)
    assert install_audit_triggers(metadata, engine).actions == ()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        execute(connection, uninstall_audit_triggers(metadata))
    assert uninstall_audit_triggers(metadata, engine).actions == ()


def test_a_connection_in_a_transaction_is_used_and_not_committed(engine: Engine) -> None:
    metadata = item()
    metadata.create_all(engine)
    with engine.connect() as connection:
        execute(connection, "INSERT INTO item VALUES (1)")
        install_audit_triggers(metadata, connection)
        assert connection.in_transaction()
        connection.rollback()
    assert rows(engine, "SELECT (SELECT count(*) FROM item), count(*) FROM pg_trigger WHERE NOT tgisinternal") == [
        (0, 0)
    ]


def test_an_autocommit_connection_is_refused(engine: Engine) -> None:
    metadata = item()
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        pytest.raises(AuditInstallError, match="AUTOCOMMIT"),
    ):
        install_audit_triggers(metadata, connection)


def test_another_database_is_refused() -> None:
    with pytest.raises(AuditConfigError, match=r"needs PostgreSQL; this is sqlite \(sqlite://\)"):
        install_audit_triggers(item(), create_engine("sqlite://"))


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ([], "item: the table is declared but not in the database; run your migrations or create_all() first"),
        (["CREATE TABLE item (id int PRIMARY KEY)"], "item: declared but not in the database: column name"),
        (
            [
                "CREATE TABLE item (id int PRIMARY KEY, name text)",
                "CREATE FUNCTION public_item_audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'",
            ],
            "there is another function called public_item_audit",
        ),
        (
            ["CREATE TABLE item (id int PRIMARY KEY, name text)", "CREATE TABLE item_audit (id int)"],
            "there is another table called item_audit, which is no audit table",
        ),
    ],
)
def test_what_stands_in_the_way_is_one_line_and_nothing_is_changed(
    engine: Engine, prepare: list[str], message: str
) -> None:
    run(engine, *prepare)
    with pytest.raises(AuditInstallError) as error:
        install_audit_triggers(item(), engine)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert rows(engine, "SELECT count(*) FROM pg_class WHERE relname LIKE 'audit%'") == [(0,)]


@pytest.mark.superuser
def test_a_missing_privilege_is_one_line(engine: Engine) -> None:
    item().tables["item"].create(engine)
    with role(engine, "weak") as weak:
        weak_engine = create_engine(engine.url.set(username=weak))
        with pytest.raises(AuditInstallError, match=r"PostgreSQL refused: permission denied.*run the command as"):
            install_audit_triggers(item(), weak_engine)
        weak_engine.dispose()


def test_a_row_trigger_that_fires_before_ours_is_reported(engine: Engine) -> None:
    metadata = item(level="row")
    install(engine, metadata)
    run(
        engine,
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        'CREATE TRIGGER "!first" AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION f()',
    )
    [problem] = install_audit_triggers(metadata, engine).problems
    assert "the trigger !first fires before 00_public_item_audit_row" in str(problem)


def test_tables_of_a_tenants_search_path(database: Database, engine: Engine) -> None:
    run(engine, "CREATE SCHEMA tenant")
    tenant = create_engine(database.url(), connect_args={"options": "-csearch_path=tenant"})
    metadata = item()
    install(tenant, metadata)
    run(engine, "INSERT INTO tenant.item VALUES (1)")
    assert rows(engine, "SELECT count(*) FROM tenant.item_audit, tenant.audit_transaction") == [(1,)]
    assert install_audit_triggers(metadata, tenant).actions == ()
    tenant.dispose()


def test_tables_of_several_schemas(engine: Engine) -> None:
    run(engine, 'CREATE SCHEMA "my.shop"', "CREATE SCHEMA history")
    metadata = MetaData()
    setting = Column("username", String)
    shop = audited_table(
        metadata,
        "item",
        column("id", Integer, primary_key=True),
        schema="my.shop",
        options={"schema_name": "history", "session_settings": [setting]},
    )
    audited_table(metadata, "item", column("id", Integer, primary_key=True))
    install(engine, metadata)
    with engine.begin() as connection:
        set_session_vars(connection, username="alice")
        connection.execute(shop.insert().values(id=1))
    assert rows(engine, "SELECT id, audit_username FROM history.item_audit") == [(1, "alice")]
    assert rows(engine, "SELECT count(*) FROM item_audit") == [(0,)]


def test_an_installation_picks_up_tables_declared_before(engine: Engine) -> None:
    metadata = MetaData()
    table = Table("early", metadata, Column("id", Integer, primary_key=True))
    table.info["audit.options"] = {"enabled": True}
    metadata.create_all(engine)
    install_audit_triggers(metadata, engine)
    run(engine, "INSERT INTO early VALUES (1)")
    assert recorded(engine, "early") == [("I",)]


def test_tables_that_would_share_a_function_are_refused(engine: Engine) -> None:
    metadata = MetaData(naming_convention={"audit.function": "%(table_name)s_audit"})
    for schema in (None, "shop"):
        audited_table(metadata, "item", column("id", Integer, primary_key=True), schema=schema)
    with pytest.raises(AuditConfigError, match=r"item and shop\.item would share the function item_audit"):
        install_audit_triggers(metadata, engine)


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        ("CREATE VIEW item_audit AS SELECT 1 AS a", "item: there is another table called item_audit"),
        (
            "CREATE VIEW item_audit AS SELECT 1 AS audit_id, 2 AS audit_transaction_id",
            "another table called item_audit",
        ),
        ("CREATE SEQUENCE item_audit", "item: there is another table called item_audit"),
        ("CREATE TABLE audit_transaction (id int, total int)", "the name of the table audit_transaction is taken"),
        ("CREATE VIEW audit_transaction AS SELECT 1 AS id", "the name of the table audit_transaction is taken"),
        ("CREATE TABLE audit_id_seq (id int)", "the name of the sequence audit_id_seq is taken"),
        (
            "CREATE FUNCTION audit_begin_transaction() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
            "the name of the function audit_begin_transaction is taken",
        ),
        (
            "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER public_item_audit_insert AFTER INSERT ON item EXECUTE FUNCTION f()",
            "item: there is another trigger called public_item_audit_insert",
        ),
        (
            "DROP TABLE item; CREATE VIEW item AS SELECT 1 AS id, 'a' AS name",
            "item: is no table in the database, and only tables can be audited",
        ),
    ],
)
def test_what_somebody_else_made_under_our_names_is_left_as_it_is(engine: Engine, taken: str, message: str) -> None:
    run(engine, "CREATE TABLE item (id int PRIMARY KEY, name text)", taken)
    catalog = (
        "SELECT 'c', attrelid::regclass::text, attname FROM pg_attribute JOIN pg_class c ON c.oid = attrelid "
        "WHERE relnamespace = 2200 UNION ALL "
        "SELECT 'p', proname, prosrc FROM pg_proc WHERE pronamespace = 2200 UNION ALL "
        "SELECT 't', tgname, tgfoid::regproc::text FROM pg_trigger ORDER BY 1, 2, 3"
    )
    before = rows(engine, catalog)
    with pytest.raises(AuditInstallError) as error:
        install_audit_triggers(item(), engine)
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    assert rows(engine, catalog) == before


def test_everything_that_stands_in_the_way_is_said_at_once(engine: Engine) -> None:
    metadata = item()
    audited_table(metadata, "order", column("id", Integer, primary_key=True))
    run(engine, "CREATE TABLE item (id int PRIMARY KEY)")
    with pytest.raises(AuditInstallError) as error:
        install_audit_triggers(metadata, engine)
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == ["item", "order"]


def test_a_refused_installation_leaves_the_callers_transaction_alive(engine: Engine) -> None:
    run(engine, "CREATE TABLE other (id int)")
    with engine.begin() as connection:
        execute(connection, "INSERT INTO other VALUES (1)")
        with pytest.raises(AuditInstallError):
            install_audit_triggers(item(), connection)
    assert rows(engine, "SELECT id FROM other") == [(1,)]


def test_an_uninstallation_in_the_callers_transaction_is_the_callers_to_commit(engine: Engine) -> None:
    metadata = item()
    install(engine, metadata)
    with engine.connect() as connection, connection.begin() as transaction:
        assert uninstall_audit_triggers(metadata, connection).actions
        transaction.rollback()
    run(engine, "INSERT INTO item VALUES (1)")
    assert recorded(engine, "item") == [("I",)]


@pytest.mark.parametrize(
    "convention",
    [
        {"audit.trigger": "t_%(table_name)s"},
        {"audit.function": "f_%(table_name)s"},
        {"audit.trigger": "t_%(table_name)s", "audit.function": "f_%(table_name)s"},
    ],
    ids=["triggers", "functions", "both"],
)
@pytest.mark.parametrize("level", ["statement", "row"])
def test_another_naming_convention_records_no_change_twice(
    engine: Engine, level: str, convention: dict[str, str]
) -> None:
    install(engine, item(level=level))
    metadata = MetaData(naming_convention=convention)
    columns = [column("id", Integer, primary_key=True), column("name", Text)]
    audited_table(metadata, "item", *columns, options={"level": level})
    install_audit_triggers(metadata, engine)
    assert install_audit_triggers(metadata, engine).actions == ()
    run(engine, "INSERT INTO item VALUES (1)", "UPDATE item SET name = 'a'", "TRUNCATE item")
    assert recorded(engine, "item") == [("I",), ("U",), ("T",)]


@pytest.mark.parametrize("by_hand", [True, False], ids=["history renamed by hand", "history renamed by install"])
def test_a_renamed_table_goes_on_with_its_history_under_its_new_name(engine: Engine, by_hand: bool) -> None:
    install(engine, item())
    run(engine, "INSERT INTO item VALUES (1, 'a')", "ALTER TABLE item RENAME TO thing")
    if by_hand:
        run(engine, "ALTER TABLE item_audit RENAME TO thing_audit")
    metadata = MetaData()
    audited_table(metadata, "thing", column("id", Integer, primary_key=True), column("name", Text))
    done = actions(install_audit_triggers(metadata, engine))
    assert ("rename table item_audit to thing_audit (the history of thing)" in done) is not by_hand
    assert "drop trigger public_item_audit_insert on thing (of an earlier name)" in done
    assert "drop function public_item_audit (of an earlier name)" in done
    run(engine, "INSERT INTO thing VALUES (2, 'b')")
    assert recorded(engine, "thing", "id") == [("I", 1), ("I", 2)]
    again = install_audit_triggers(metadata, engine)
    assert (again.actions, again.problems) == ((), ())


def test_auditing_by_somebody_else_in_another_schema_is_not_touched(engine: Engine) -> None:
    first, second = item(), MetaData(naming_convention={"audit.trigger": "theirs_%(table_name)s"})
    columns = [column("id", Integer, primary_key=True), column("name", Text)]
    audited_table(second, "item", *columns, options={"schema_name": "theirs"})
    set_audit_schema(second, "theirs")
    install(engine, first)
    install_audit_triggers(second, engine)
    assert install_audit_triggers(first, engine).actions == ()
    assert install_audit_triggers(second, engine).actions == ()
    run(engine, "INSERT INTO item VALUES (1, 'a')")
    assert rows(engine, "SELECT (SELECT count(*) FROM item_audit), (SELECT count(*) FROM theirs.item_audit)") == [
        (1, 1)
    ]


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_the_script_runs_as_it_is_on_either_driver(database: Database, engine: Engine, driver: str) -> None:
    metadata = MetaData()
    audited_table(metadata, "100% :a", column("a%b:c", Integer, primary_key=True), column("we'ird\\ \n$$", Text))
    metadata.create_all(engine)
    script = install_audit_triggers(metadata)
    other = create_engine(database.url(driver), isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        execute(connection, script)
    other.dispose()
    assert install_audit_triggers(metadata, engine).actions == ()
    run(engine, """INSERT INTO "100% :a" VALUES (1, 'x')""")
    assert rows(engine, 'SELECT audit_operation, "a%b:c" FROM "100% :a_audit"') == [("I", 1)]


def test_a_script_that_fails_leaves_nothing(engine: Engine) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        with pytest.raises(DBAPIError, match=r'relation "public\.item" does not exist'):
            execute(connection, install_audit_triggers(item()))
        connection.invalidate()
    assert rows(engine, "SELECT count(*) FROM pg_class WHERE relname LIKE '%audit%' AND relnamespace = 2200") == [(0,)]


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ("varchar(3)", "varchar(30)", "followed"),
        ("varchar(3)", "text", "followed"),
        ("numeric(5,2)", "numeric(9,2)", "followed"),
        ("numeric(5,2)", "numeric", "followed"),
        ("varbit(5)", "varbit(9)", "followed"),
        ("int", "bigint", "reported"),
        ("numeric(5,2)", "numeric(9,4)", "reported"),
        ("timestamp", "timestamptz", "reported"),
        ("varchar(3)[]", "varchar(9)[]", "reported"),
        ("char(3)", "char(9)", "reported"),
        ("text", "text", "held"),
        ("numeric", "numeric(5,2)", "held"),
        ("numeric(9,2)", "numeric(5,2)", "held"),
        ("varchar", "varchar(3)", "held"),
        ("varchar(30)", "varchar(3)", "held"),
        ("varchar", "text", "held"),
        ("text", "varchar(3)", "held"),
        ("bigint", "smallint", "held"),
        ("int", "positive", "held"),
        ("numeric(5,2)", "amount", "held"),
    ],
)
def test_history_follows_a_changed_type_where_that_rewrites_nothing(
    engine: Engine, before: str, after: str, outcome: str
) -> None:
    metadata = item()
    run(
        engine,
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
        "CREATE DOMAIN exact AS numeric(5,2)",
        "CREATE DOMAIN amount AS exact NOT NULL",
        "CREATE TABLE item (id int PRIMARY KEY, name text)",
    )
    install_audit_triggers(metadata, engine)
    run(
        engine,
        f"ALTER TABLE item_audit ALTER COLUMN name TYPE {before} USING NULL",
        f"ALTER TABLE item ALTER COLUMN name TYPE {after} USING NULL",
    )
    file = "SELECT pg_relation_filenode('item_audit')"
    before_installing = rows(engine, file)
    plan = install_audit_triggers(metadata, engine)
    assert rows(engine, file) == before_installing, "the history was rewritten"
    assert len(plan.actions) == (outcome == "followed")
    assert len(plan.problems) == (outcome == "reported")
    for problem in plan.problems:
        run(engine, problem.fix.partition("rewrites it: ")[2] + " USING NULL")
    again = install_audit_triggers(metadata, engine)
    assert (again.actions, again.problems) == ((), ())


def absences(engine: Engine, column: str) -> list[tuple[bool, bool | None]]:
    """Before which change the column was not recorded: whether id 1 and the newest one fall into each range."""
    query = (
        "SELECT col_description('item_audit'::regclass, attnum) FROM pg_attribute "
        f"WHERE attrelid = 'item_audit'::regclass AND attname = '{column}'"
    )
    [(comment,)] = rows(engine, query)
    newest = max(id_ for (id_,) in rows(engine, "SELECT audit_id FROM item_audit"))
    return [(1 in absence, newest in absence) for absence in parse_absences(comment)]


def test_a_column_tells_when_it_was_recorded(engine: Engine) -> None:
    install(engine, item())
    run(engine, "INSERT INTO item VALUES (1, 'a')", "ALTER TABLE item ADD COLUMN colour text")
    assert absences(engine, "name") == []
    grown = item()
    grown.tables["item"].append_column(Column("colour", String))
    for declared, expected in (
        (grown, [(True, False)]),
        (item(), [(True, False), (False, True)]),
        (grown, [(True, False), (False, False)]),
    ):
        assert install_audit_triggers(declared, engine).actions
        assert install_audit_triggers(declared, engine).actions == ()
        run(engine, "UPDATE item SET name = name || 'b', colour = null")
        assert absences(engine, "colour") == expected
