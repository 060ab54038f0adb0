"""Where things are installed: audit schemas, tenants, and the script against the online installation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Column, Engine, Enum, Integer, MetaData, String, Text, create_engine
from sqlalchemy.dialects.postgresql import UUID

from flask_pg_audit import install_audit_triggers, set_session_vars, uninstall_audit_triggers
from flask_pg_audit.declare.registry import set_audit_schema
from tests.capture import audited_table, column, execute, install, rows, run
from tests.server import Database


def shop(audit_schema: str | None = None) -> MetaData:
    """Two tables of every option."""
    metadata = MetaData()
    settings = [Column("username", String, nullable=False), Column("app", UUID)]
    audited_table(
        metadata,
        "item",
        column("id", Integer, primary_key=True),
        column("state", Enum("new", "old", name="state")),
        options={"session_settings": settings},
    )
    audited_table(metadata, 'odd "name"', column("a:b%", Text), options={"level": "row", "skip_unchanged": False})
    if audit_schema:
        set_audit_schema(metadata, audit_schema)
    return metadata


#: Everything an installation leaves in the catalog, as PostgreSQL itself would write it down.
CATALOG = """
SELECT 'function', format('%s', p.oid::regprocedure), pg_get_functiondef(p.oid), p.proacl::text
FROM pg_proc p WHERE p.prosrc LIKE '%flask_pg_audit%'
UNION ALL
SELECT 'trigger', tgname, pg_get_triggerdef(oid), tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT 'index', indexrelid::regclass::text, pg_get_indexdef(indexrelid), indisvalid::text
FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relname LIKE '%audit%'
UNION ALL
SELECT 'column', format('%s.%I', attrelid::regclass, attname), format_type(atttypid, atttypmod), attnotnull::text
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE c.relname LIKE '%audit%' AND c.relkind IN ('r', 'S') AND attnum > 0
UNION ALL
SELECT 'sequence', seqrelid::regclass::text, seqtypid::regtype::text, seqstart::text FROM pg_sequence
ORDER BY 1, 2, 3
"""


@pytest.mark.parametrize("audit_schema", [None, "my audit"])
@pytest.mark.parametrize("created", [True, False], ids=["create_all", "install creates"])
def test_the_script_leaves_the_same_catalog_as_the_online_installation(
    engine: Engine, audit_schema: str | None, created: bool
) -> None:
    catalogs = []
    for online in (True, False):
        metadata = shop(audit_schema)
        run(engine, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public", 'DROP SCHEMA IF EXISTS "my audit" CASCADE')
        if created and audit_schema:
            run(engine, f'CREATE SCHEMA "{audit_schema}"')
        sources = [metadata.tables["item"], metadata.tables['odd "name"']]
        if created:
            metadata.create_all(engine)
        else:
            for table in sources:
                table.create(engine)
        if online:
            install_audit_triggers(metadata, engine)
        else:
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                execute(connection, install_audit_triggers(metadata))
        catalogs.append(rows(engine, CATALOG))
    assert catalogs[0] == catalogs[1]
    assert len(catalogs[0]) > 40


def test_an_audit_schema_is_made_and_holds_what_tables_share(engine: Engine) -> None:
    metadata = shop("my audit")
    for name in ("item", 'odd "name"'):
        metadata.tables[name].create(engine)
    plan = install_audit_triggers(metadata, engine)
    assert str(plan.actions[0]) == "create schema my audit (missing)"
    assert install_audit_triggers(metadata, engine).actions == ()
    with engine.begin() as connection:
        set_session_vars(connection, username="alice")
        execute(connection, "INSERT INTO item VALUES (1, 'new')")
    assert rows(engine, 'SELECT username FROM "my audit".audit_transaction') == [("alice",)]
    assert rows(engine, "SELECT relname FROM pg_class WHERE relname LIKE 'audit%' AND relnamespace = 2200") == []
    assert rows(engine, "SELECT count(*) FROM pg_proc WHERE pronamespace = 2200") == [(0,)]
    uninstall_audit_triggers(metadata, engine)
    assert rows(engine, 'SELECT count(*) FROM "my audit".audit_transaction') == [(1,)]
    assert rows(engine, "SELECT count(*) FROM pg_proc WHERE prosrc LIKE '%flask_pg_audit%'") == [(0,)]


@contextmanager
def tenant(database: Database, schema: str) -> Iterator[Engine]:
    engine = create_engine(database.url(), connect_args={"options": f"-csearch_path={schema}"})
    yield engine
    engine.dispose()


def test_tenants_neither_share_a_history_nor_uninstall_each_other(engine: Engine, database: Database) -> None:
    def declared() -> MetaData:
        metadata = MetaData()
        audited_table(metadata, "item", column("id", Integer, primary_key=True))
        return metadata

    run(engine, "CREATE SCHEMA a", "CREATE SCHEMA b")
    with tenant(database, "a") as a, tenant(database, "b") as b:
        install(a, declared())
        install(b, declared())
        assert install_audit_triggers(declared(), a).actions == ()
        run(a, "INSERT INTO item VALUES (1)")
        run(b, "INSERT INTO item VALUES (2)")
        uninstall_audit_triggers(declared(), a)
        run(a, "INSERT INTO item VALUES (3)")
        run(b, "INSERT INTO item VALUES (4)")
    assert rows(engine, "SELECT id FROM a.item_audit ORDER BY 1") == [(1,)]
    assert rows(engine, "SELECT id FROM b.item_audit ORDER BY 1") == [(2,), (4,)]


def test_a_history_in_another_schema_takes_the_enums_of_its_table(engine: Engine) -> None:
    run(engine, "CREATE SCHEMA shop", "CREATE SCHEMA types", "CREATE SCHEMA history")
    metadata = MetaData()
    audited_table(
        metadata,
        "item",
        column("id", Integer, primary_key=True),
        column("state", Enum("new", "old", name="state", schema="types")),
        column("size", Enum("s", "l", name="size")),
        schema="shop",
        options={"schema_name": "history"},
    )
    install(engine, metadata)
    run(engine, "INSERT INTO shop.item VALUES (1, 'new', 's')", "UPDATE shop.item SET state = 'old'")
    assert rows(engine, "SELECT state, size FROM history.item_audit ORDER BY audit_id") == [("new", "s"), ("old", "s")]
    metadata.drop_all(engine)
    assert rows(engine, "SELECT typname FROM pg_type WHERE typname IN ('state', 'size')") == []
