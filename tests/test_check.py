"""``flask audit check``: for every finding, the damage in plain SQL and the line that tells of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from sqlalchemy import (
    CHAR,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Engine,
    Enum,
    Float,
    ForeignKey,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Text,
    Time,
    Unicode,
    Uuid,
    create_engine,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOMAIN, INET, JSONB, TIME, TIMESTAMP
from sqlalchemy.types import TypeEngine

from flask_pg_audit import install_audit_triggers
from flask_pg_audit.database.check import WHY, check
from flask_pg_audit.database.differences import MEANING
from flask_pg_audit.database.function import digest
from flask_pg_audit.database.status import read_status
from flask_pg_audit.declare.registry import set_audit_schema
from tests.blog import Blog, blog
from tests.capture import audited_table, column, install, recorded, role, rows, run
from tests.classic import classic
from tests.server import Database

ROW_FUNCTION = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"


def item(**options: Any) -> MetaData:
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True), column("name", Text), options=options)
    return metadata


def partitioned() -> MetaData:
    metadata = MetaData()
    columns = column("id", Integer, primary_key=True), column("name", Text)
    audited_table(metadata, "item", *columns, postgresql_partition_by="RANGE (id)")
    return metadata


def lines(engine: Engine, metadata: MetaData) -> list[str]:
    return [str(finding) for finding in check(metadata, engine)]


def test_nothing_is_found_where_all_is_well(engine: Engine) -> None:
    metadata = item()
    install(engine, metadata)
    assert lines(engine, metadata) == []


#: What somebody did to the database, and the one finding; the line is the finding as it is printed.
MENDED = {
    "DROP TRIGGER public_item_audit_update ON item": (
        "trigger-missing: item: trigger public_item_audit_update on item: missing; "
        "changes leave no record; fix: flask audit install"
    ),
    "ALTER TABLE item DISABLE TRIGGER public_item_audit_update": (
        "trigger-disabled: item: trigger public_item_audit_update on item: disabled; "
        "changes leave no record; fix: flask audit install"
    ),
    "ALTER TABLE item ENABLE REPLICA TRIGGER public_item_audit_update": (
        "trigger-replica: item: trigger public_item_audit_update on item: replica only; "
        "it fires in replication only: changes leave no record; fix: flask audit install"
    ),
    "ALTER TRIGGER public_item_audit_update ON item RENAME TO mine": (
        "trigger-renamed: item: trigger mine on item: was public_item_audit_update; triggers fire in the order of "
        "their names, and a second one would record everything twice; fix: flask audit install"
    ),
    "CREATE OR REPLACE TRIGGER public_item_audit_insert AFTER INSERT ON item "
    "REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION public_item_audit()": (
        "trigger-outdated: item: trigger public_item_audit_insert on item: outdated; "
        "what it records is not what was declared; fix: flask audit install"
    ),
    "CREATE TRIGGER again AFTER TRUNCATE ON item EXECUTE FUNCTION public_item_audit()": (
        "trigger-unwanted: item: trigger again on item: no longer wanted; "
        "changes are recorded twice, or for a table that they are not of; fix: flask audit install"
    ),
    "DROP FUNCTION audit_begin_transaction()": (
        "function-missing: function audit_begin_transaction: missing; "
        "changes fail, or leave no record; fix: flask audit install"
    ),
    "CREATE OR REPLACE FUNCTION public_item_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
    "AS 'BEGIN RETURN NULL; END'": (
        "function-edited: item: function public_item_audit: edited by hand; "
        "what it records is not what was declared; fix: flask audit install"
    ),
    "ALTER FUNCTION public_item_audit() SECURITY INVOKER": (
        "function-altered: item: function public_item_audit: altered; "
        "it may fail, or trust what its caller prepared; fix: flask audit install"
    ),
    "ALTER FUNCTION audit_begin_transaction() SET search_path = public": (
        "function-altered: function audit_begin_transaction: altered; "
        "it may fail, or trust what its caller prepared; fix: flask audit install"
    ),
    "COMMENT ON FUNCTION public_item_audit() IS 'ours'": (
        "function-altered: item: function public_item_audit: comment; "
        "it may fail, or trust what its caller prepared; fix: flask audit install"
    ),
    "GRANT EXECUTE ON FUNCTION audit_begin_transaction() TO PUBLIC": (
        "function-callable: function audit_begin_transaction: callable by PUBLIC; it runs with its owner's rights, "
        "and lets its caller write into the history; fix: flask audit install"
    ),
    "ALTER TABLE item_audit DROP COLUMN name": (
        "column-missing: item: column name to item_audit: missing; "
        "changes of the table fail, or leave the column out; fix: flask audit install"
    ),
    "ALTER TABLE item_audit ALTER COLUMN name TYPE varchar(3)": (
        "column-type: item: column name of item_audit: is character varying(3), not text; "
        "a value that does not fit fails the change of the table; fix: flask audit install"
    ),
    "ALTER TABLE item_audit ALTER COLUMN audit_current_user TYPE varchar(30)": (
        "column-type: item: column audit_current_user of item_audit: is character varying(30), not character "
        "varying(64); a value that does not fit fails the change of the table; fix: flask audit install"
    ),
    "ALTER TABLE item_audit ADD COLUMN extra text NOT NULL DEFAULT ''; "
    "ALTER TABLE item_audit ALTER COLUMN extra DROP DEFAULT": (
        "column-required: item: column extra of item_audit: is NOT NULL; "
        "a null in it fails the change of the table; fix: flask audit install\n"
        "column-unmarked: item: column extra of item_audit: no longer recorded; "
        "where there was no value, the history would say that it was null; fix: flask audit install"
    ),
    "DROP TABLE item_audit": (
        "audit-table-missing: item: table item_audit: missing; "
        "every change of the table fails, or leaves no record; fix: flask audit install"
    ),
    "DROP TABLE audit_transaction": (
        "audit-table-missing: table audit_transaction: lost; "
        "every change of the table fails, or leaves no record; fix: flask audit install"
    ),
    "DROP SEQUENCE audit_id_seq": (
        "sequence-missing: sequence audit_id_seq: lost; "
        "every change fails, or would be numbered from 1 again; fix: flask audit install"
    ),
    "ALTER TABLE item_audit RENAME TO elsewhere; ALTER INDEX ix_item_audit_key RENAME TO ix_elsewhere; "
    "ALTER INDEX ix_item_audit_time RENAME TO ix_elsewhere_time": (
        "audit-table-missing: item: table item_audit: missing; "
        "every change of the table fails, or leaves no record; fix: flask audit install"
    ),
}


@pytest.mark.parametrize("damage", MENDED)
def test_what_an_installation_mends(engine: Engine, damage: str) -> None:
    metadata = item()
    install(engine, metadata)
    run(engine, "INSERT INTO item VALUES (1, 'a')", damage)
    assert lines(engine, metadata) == MENDED[damage].splitlines()
    install_audit_triggers(metadata, engine)
    assert lines(engine, metadata) == []
    run(engine, "UPDATE item SET name = 'b'")
    assert recorded(engine, "item", "name")[-1] == ("U", "b")


REPORTED = {
    f"{ROW_FUNCTION}; CREATE TRIGGER t AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION f()": (
        "row-trigger: item: has the row-level trigger t; if that writes to this table, its changes are recorded before "
        "the change that fired it; the newest record of a row may not be its newest state; "
        'fix: set level="row"'
    ),
    "ALTER TABLE item ADD COLUMN colour text": (
        "column-undeclared: item: not declared, so changes are not recorded: column colour; "
        "changes of the column leave no record; fix: declare or exclude it"
    ),
    "ALTER TABLE item ALTER COLUMN id TYPE bigint": (
        "column-type: item: column id is bigint and its history integer, which may refuse changes or alter values; "
        "a value that does not fit fails the change of the table; fix: change the history too, which rewrites it: "
        "ALTER TABLE public.item_audit ALTER COLUMN id TYPE bigint"
    ),
    "ALTER TABLE item_audit ALTER COLUMN audit_id TYPE integer": (
        "column-type: item: column audit_id should be bigint and is integer in its history, which may refuse changes "
        "or alter values; a value that does not fit fails the change of the table; fix: change the history too, which "
        "rewrites it: ALTER TABLE public.item_audit ALTER COLUMN audit_id TYPE bigint"
    ),
    "ALTER TABLE item_audit DROP CONSTRAINT item_audit_pkey": (
        "index-missing: item: item_audit has no primary key, so reading is slow; reading takes time with every change "
        "that was ever made; fix: CREATE UNIQUE INDEX CONCURRENTLY item_audit_pkey ON public.item_audit "
        "(audit_transaction_id, audit_id), then ALTER TABLE public.item_audit ADD CONSTRAINT item_audit_pkey PRIMARY "
        "KEY USING INDEX item_audit_pkey"
    ),
    "DROP INDEX ix_item_audit_key": (
        "index-missing: item: item_audit lacks the index ix_item_audit_key, so reading the history is slow; "
        "reading takes time with every change that was ever made; "
        "fix: CREATE INDEX CONCURRENTLY ix_item_audit_key ON public.item_audit (id, audit_id)"
    ),
    "CREATE TABLE child () INHERITS (item)": (
        "child-unrecorded: item: writes to child, which inherit from it, are not recorded; changes leave no record; "
        "fix: audit them as tables of their own, or make it a partitioned table"
    ),
}


@pytest.mark.parametrize("damage", REPORTED)
def test_what_somebody_has_to_decide(engine: Engine, damage: str) -> None:
    metadata = item()
    install(engine, metadata)
    run(engine, damage)
    assert lines(engine, metadata) == [REPORTED[damage]]
    install_audit_triggers(metadata, engine)
    assert lines(engine, metadata) == [REPORTED[damage]]
    [code] = [finding.code for finding in check(metadata, engine)]
    fixes = {
        "row-trigger": "DROP TRIGGER t ON item",
        "column-undeclared": "ALTER TABLE item DROP COLUMN colour",
        "child-unrecorded": "DROP TABLE child",
    }
    fix = fixes.get(code, check(metadata, engine)[0].fix.removeprefix("change the history too, which rewrites it: "))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in fix.split(", then "):
            connection.exec_driver_sql(statement)
    assert lines(engine, metadata) == []


@pytest.mark.parametrize(
    ("type_", "damage", "expected"),
    [
        (String(50), "varchar(5)", "character varying(5), not character varying(50)"),
        (Numeric(10, 2), "numeric(5,2)", "numeric(5,2), not numeric(10,2)"),
    ],
)
def test_a_session_setting_whose_column_is_too_narrow(
    engine: Engine, type_: TypeEngine[Any], damage: str, expected: str
) -> None:
    metadata = item(session_settings=[Column("reason", type_)])
    install(engine, metadata)
    assert lines(engine, metadata) == []
    run(engine, f"ALTER TABLE item_audit ALTER COLUMN audit_reason TYPE {damage}")
    assert lines(engine, metadata) == [
        f"column-type: item: column audit_reason of item_audit: is {expected}; "
        "a value that does not fit fails the change of the table; fix: flask audit install"
    ]
    install_audit_triggers(metadata, engine)
    assert lines(engine, metadata) == []


@pytest.mark.parametrize(
    "type_",
    [
        String, Text, String(5), CHAR(3), Integer, BigInteger, SmallInteger, Float, Double, Numeric, Numeric(5),
        Boolean, Date, Time, DateTime, DateTime(timezone=True), TIMESTAMP(precision=3), Interval, Uuid, JSONB, JSON,
        INET, ARRAY(Text), LargeBinary, Enum("a", "b", name="letter"), DOMAIN("short", String(5)), Unicode(7),
        TIME(timezone=True, precision=2),
    ],
    ids=str,
)  # fmt: skip
def test_a_setting_of_any_type_is_as_declared(engine: Engine, type_: Any) -> None:
    metadata = item(session_settings=[Column("reason", type_)])
    install(engine, metadata)
    assert lines(engine, metadata) == []


def test_a_column_of_the_history_that_fills_itself_is_nobodys_trouble(engine: Engine) -> None:
    metadata = item()
    install(engine, metadata)
    run(engine, "ALTER TABLE item_audit ADD COLUMN n serial, ADD COLUMN m int NOT NULL GENERATED ALWAYS AS IDENTITY")
    assert lines(engine, metadata) == []


def test_a_schema_that_is_gone(engine: Engine) -> None:
    metadata = item(schema_name="history")
    run(engine, "CREATE SCHEMA history")
    install(engine, metadata)
    run(engine, "DROP SCHEMA history CASCADE")
    assert lines(engine, metadata) == [
        "schema-missing: schema history: missing; auditing is not installed; fix: flask audit install",
        "audit-table-missing: item: table history.item_audit: missing; every change of the table fails, or leaves no "
        "record; fix: flask audit install",
    ]
    install_audit_triggers(metadata, engine)
    assert lines(engine, metadata) == []


def test_the_enum_type_of_a_setting_is_gone(engine: Engine) -> None:
    metadata = item(session_settings=[Column("reason", Enum("a", "b", name="reason_type"))])
    install(engine, metadata)
    run(engine, "DROP TYPE reason_type CASCADE")
    assert lines(engine, metadata) == [
        "type-missing: item: type reason_type: session setting; the setting has nowhere to be kept; "
        "fix: flask audit install",
        "column-missing: item: column audit_reason to item_audit: session setting; changes of the table fail, or leave "
        "the column out; fix: flask audit install",
    ]
    install_audit_triggers(metadata, engine)
    assert lines(engine, metadata) == []


TAKEN = {
    "CREATE OR REPLACE FUNCTION public_item_audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; "
    "COMMENT ON FUNCTION public_item_audit() IS NULL": (
        "name-taken: item: there is another function called public_item_audit; auditing cannot be installed; "
        'fix: set a naming convention for "audit.function"'
    ),
    "DROP TABLE item_audit; CREATE VIEW item_audit AS SELECT 1 AS audit_id": (
        "name-taken: item: there is another table called item_audit, which is no audit table; auditing cannot be "
        'installed; fix: set a naming convention for "audit.table" or another "schema_name"'
    ),
    "DROP TABLE audit_transaction; CREATE TABLE audit_transaction (id int)": (
        "name-taken: the name of the table audit_transaction is taken by something that flask_pg_audit did not make; "
        "auditing cannot be installed; fix: rename that, or give auditing a schema of its own with AUDIT_SCHEMA"
    ),
}


@pytest.mark.parametrize("damage", TAKEN)
def test_a_name_that_is_taken(engine: Engine, damage: str) -> None:
    metadata = item()
    install(engine, metadata)
    run(engine, damage)
    assert lines(engine, metadata)[0] == TAKEN[damage]


def test_an_audit_schema_that_serves_others_too(engine: Engine) -> None:
    install(engine, item())
    install(engine, unaudited())
    moved = item()
    set_audit_schema(moved, "audit")
    assert lines(engine, moved)[0] == (
        "audit-schema-shared: AUDIT_SCHEMA is audit now, but audit_transaction also serves tables that this "
        "application does not audit: order; moving the numbering would stop those tables from being recorded; "
        "fix: set AUDIT_SCHEMA back to 'public', or stop auditing those tables first"
    )


def test_an_outdated_template(engine: Engine) -> None:
    """A function as an earlier version of the package made it: another body, and the comment that goes with it."""
    metadata = item()
    install(engine, metadata)
    run(
        engine,
        "CREATE OR REPLACE FUNCTION public_item_audit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        "AS 'BEGIN RETURN NULL; END'",
        "COMMENT ON FUNCTION public_item_audit() IS 'flask_pg_audit "
        f'{{"template": 0, "sha256": "{digest("BEGIN RETURN NULL; END")}"}}\'',
    )
    assert lines(engine, metadata) == [
        "function-outdated: item: function public_item_audit: outdated: template 0, now 1; it records what was "
        "declared earlier, or as an earlier version did; fix: flask audit install"
    ]


def test_a_changed_declaration(engine: Engine) -> None:
    install(engine, item())
    assert lines(engine, item(exclude=["name"])) == [
        "column-unmarked: item: column name of item_audit: no longer recorded; where there was no value, the history "
        "would say that it was null; fix: flask audit install",
        "function-outdated: item: function public_item_audit: outdated; it records what was declared earlier, or as an "
        "earlier version did; fix: flask audit install",
    ]


def test_partitions_without_triggers(engine: Engine) -> None:
    metadata = partitioned()
    install(engine, metadata)
    run(engine, "CREATE TABLE item_1 PARTITION OF item FOR VALUES FROM (0) TO (10)")
    found = lines(engine, metadata)
    assert found[0] == (
        "partition-unrecorded: item: trigger public_item_audit_insert on item_1: missing; "
        "a write that names the partition leaves no record; fix: flask audit install"
    )
    assert len(found) == 4
    install_audit_triggers(metadata, engine)
    assert lines(engine, metadata) == []


def test_a_row_trigger_on_a_partition(engine: Engine) -> None:
    metadata = partitioned()
    metadata.create_all(engine)
    run(engine, "CREATE TABLE item_1 PARTITION OF item FOR VALUES FROM (0) TO (10)")
    install_audit_triggers(metadata, engine)
    run(engine, ROW_FUNCTION, "CREATE TRIGGER t AFTER INSERT ON item_1 FOR EACH ROW EXECUTE FUNCTION f()")
    assert lines(engine, metadata) == [
        "row-trigger: item: has the row-level trigger t on item_1; if that writes to this table, its changes are "
        "recorded before the change that fired it; the newest record of a row may not be its newest state; "
        'fix: set level="row"'
    ]


def test_a_child_that_is_audited_itself_is_recorded(engine: Engine) -> None:
    """The fix that ``child-unrecorded`` offers."""
    metadata = item()
    install(engine, metadata)
    run(engine, "CREATE TABLE child (PRIMARY KEY (id)) INHERITS (item)")
    assert [finding.code for finding in check(metadata, engine)] == ["child-unrecorded"]
    audited_table(metadata, "child", Column("id", Integer, primary_key=True), column("name", Text))
    install_audit_triggers(metadata, engine)
    assert lines(engine, metadata) == []
    run(engine, "INSERT INTO child VALUES (1, 'a')")
    assert recorded(engine, "child", "name") == [("I", "a")]


def test_a_foreign_partition(engine: Engine) -> None:
    metadata = partitioned()
    install(engine, metadata)
    run(
        engine,
        "CREATE FOREIGN DATA WRAPPER w",
        "CREATE SERVER s FOREIGN DATA WRAPPER w",
        "ALTER TABLE item DROP CONSTRAINT item_pkey",  # no index can reach there
        "CREATE FOREIGN TABLE item_far PARTITION OF item FOR VALUES FROM (0) TO (10) SERVER s",
    )
    assert lines(engine, metadata) == [
        "partition-foreign: item: writes to the foreign table item_far are not recorded; changes leave no record; "
        "fix: audit it on its own server"
    ]


def test_a_reference_to_the_same_table_that_follows_a_changed_key(engine: Engine) -> None:
    metadata = MetaData()
    boss = column("boss_id", Integer, nullable=True)
    table = audited_table(metadata, "person", column("id", Integer, primary_key=True), boss)
    install(engine, metadata)
    run(engine, f"ALTER TABLE person ADD CONSTRAINT boss FOREIGN KEY (boss_id) REFERENCES {table.name} (id)")
    assert lines(engine, metadata) == []
    run(
        engine,
        "ALTER TABLE person DROP CONSTRAINT boss, "
        "ADD CONSTRAINT boss FOREIGN KEY (boss_id) REFERENCES person (id) ON UPDATE CASCADE",
    )
    [line] = lines(engine, metadata)
    assert line.startswith("row-trigger: person: its foreign key boss to itself changes rows when a key changes")
    by_row = MetaData()
    boss = Column("boss_id", ForeignKey("person.id", onupdate="CASCADE"))
    audited_table(by_row, "person", column("id", Integer, primary_key=True), boss, options={"level": "row"})
    install_audit_triggers(by_row, engine)
    assert lines(engine, by_row) == []


def test_a_row_trigger_that_fires_first(engine: Engine) -> None:
    metadata = item(level="row")
    install(engine, metadata)
    run(engine, ROW_FUNCTION, 'CREATE TRIGGER "!first" AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION f()')
    assert lines(engine, metadata) == [
        "row-trigger-first: item: the trigger !first fires before 00_public_item_audit_row; changes that it makes are "
        "recorded before the one that fired it; fix: rename it to sort behind"
    ]


def test_a_declared_table_that_is_not_there(engine: Engine) -> None:
    metadata = item()
    install(engine, metadata)
    run(engine, "DROP TABLE item")
    assert lines(engine, metadata) == [
        "table-absent: item: the table is declared but not in the database; nothing is recorded, and the installation "
        "stops; fix: run your migrations or create_all() first"
    ]


def test_a_declared_column_that_is_not_there(engine: Engine) -> None:
    metadata = item()
    install(engine, metadata)
    run(engine, "ALTER TABLE item DROP COLUMN name")
    assert lines(engine, metadata) == [
        "column-absent: item: declared but not in the database: column name; every change of the table would fail; "
        "fix: run your migrations first"
    ]


def test_a_renamed_table_without_its_history(engine: Engine) -> None:
    install(engine, item())
    run(engine, "ALTER TABLE item RENAME TO thing")
    metadata = MetaData()
    audited_table(metadata, "thing", column("id", Integer, primary_key=True), column("name", Text))
    found = lines(engine, metadata)
    assert found[0] == (
        "audit-table-elsewhere: thing: table item_audit to thing_audit: the history of thing; "
        "the history would be in two places; fix: flask audit install"
    )
    install_audit_triggers(metadata, engine)
    assert lines(engine, metadata) == []


def test_a_history_that_was_split(engine: Engine) -> None:
    install(engine, item())
    run(engine, "ALTER TABLE item RENAME TO thing", "INSERT INTO thing VALUES (1, 'a')")
    metadata = MetaData()
    audited_table(metadata, "thing", column("id", Integer, primary_key=True), column("name", Text))
    metadata.create_all(engine)
    assert (
        "history-split: thing: its history so far is in item_audit, and thing_audit exists as well; one table shows "
        "only a part of what happened; fix: drop thing_audit if it is empty, and install again: the history is renamed "
        "then"
    ) in lines(engine, metadata)
    run(engine, "DROP TABLE thing_audit")
    install_audit_triggers(metadata, engine)
    assert recorded(engine, "thing", "id") == [("I", 1)]
    assert lines(engine, metadata) == []


def unaudited() -> MetaData:
    """The application goes on to audit another table, and ``item`` no more."""
    metadata = MetaData()
    audited_table(metadata, "order", column("id", Integer, primary_key=True))
    return metadata


def test_triggers_of_a_table_that_is_no_longer_audited(engine: Engine) -> None:
    install(engine, item())
    install(engine, unaudited())
    assert lines(engine, unaudited()) == [
        "trigger-orphaned: item: still recorded by public_item_audit, although no model asks for it; the history grows "
        "without anybody asking for it; fix: flask audit install --prune ends that"
    ]
    install_audit_triggers(unaudited(), engine)
    run(engine, "INSERT INTO item VALUES (1, 'a')")
    assert recorded(engine, "item") == [("I",)]
    install_audit_triggers(unaudited(), engine, prune=True)
    assert lines(engine, unaudited()) == []
    run(engine, "INSERT INTO item VALUES (2, 'b')", 'INSERT INTO "order" VALUES (1)')
    assert recorded(engine, "item") == [("I",)]
    assert rows(engine, "SELECT count(*) FROM order_audit") == [(1,)]


def test_a_function_of_a_table_that_is_gone(engine: Engine) -> None:
    install(engine, item())
    install(engine, unaudited())
    run(engine, "DROP TABLE item")
    assert lines(engine, unaudited()) == [
        "function-orphaned: item: the function public_item_audit is left over: no trigger calls it; nobody would "
        "notice what it does; fix: flask audit install --prune drops it"
    ]
    install_audit_triggers(unaudited(), engine, prune=True)
    assert lines(engine, unaudited()) == []
    assert rows(engine, "SELECT count(*) FROM item_audit") == [(0,)]


@pytest.mark.superuser
@pytest.mark.parametrize(
    ("grant", "object_", "privileges"),
    [
        ("GRANT INSERT, DELETE ON item_audit TO {role}", "item_audit", "DELETE, INSERT"),
        ("GRANT ALL ON audit_transaction TO {role}", "audit_transaction", "DELETE, INSERT, TRIGGER, TRUNCATE, UPDATE"),
        ("GRANT UPDATE (name) ON item_audit TO {role}", "item_audit", "UPDATE"),
        ("GRANT UPDATE ON SEQUENCE audit_id_seq TO {role}", "audit_id_seq", "UPDATE"),
        ("GRANT UPDATE ON SEQUENCE audit_transaction_id_seq TO {role}", "audit_transaction_id_seq", "UPDATE"),
        ("GRANT UPDATE ON SEQUENCE audit_maintenance_id_seq TO {role}", "audit_maintenance_id_seq", "UPDATE"),
        ("GRANT UPDATE ON SEQUENCE audit_redaction_id_seq TO {role}", "audit_redaction_id_seq", "UPDATE"),
    ],
)
def test_who_may_write_history(engine: Engine, grant: str, object_: str, privileges: str) -> None:
    metadata = item()
    install(engine, metadata)
    with role(engine, "clerk", "GRANT SELECT ON item_audit TO {role}") as clerk:
        assert lines(engine, metadata) == []
        run(engine, grant.format(role=clerk))
        table = "item: " if object_ == "item_audit" else ""
        kind = "SEQUENCE" if object_.endswith("seq") else "TABLE"
        assert lines(engine, metadata) == [
            f"audit-table-writable: {table}{clerk} may write {object_} ({privileges}); whoever may write history can "
            f"rewrite it; fix: REVOKE ALL ON {kind} public.{object_} FROM {clerk}, and grant it SELECT again if it "
            "reads history"
        ]


@pytest.mark.superuser
def test_everybody_may_write_history_and_so_may_who_may_write_all_data(engine: Engine) -> None:
    metadata = item()
    install(engine, metadata)
    run(engine, "GRANT DELETE ON item_audit TO PUBLIC")
    assert [line.split(";")[0] for line in lines(engine, metadata)] == [
        "audit-table-writable: item: PUBLIC may write item_audit (DELETE)"
    ]
    run(engine, "REVOKE DELETE ON item_audit FROM PUBLIC")
    with role(engine, "writer", "GRANT pg_write_all_data TO {role}") as writer:
        found = lines(engine, metadata)
        assert [line.split(" may ")[0] for line in found] == [
            f"audit-table-writable: item: {writer}",
            *[f"audit-table-writable: {writer}"] * 6,
        ]
        assert all(line.endswith(f"fix: REVOKE pg_write_all_data FROM {writer}") for line in found)
        run(engine, f"REVOKE pg_write_all_data FROM {writer}")


@pytest.mark.superuser
def test_a_function_that_belongs_to_somebody_else(engine: Engine) -> None:
    metadata = item()
    install(engine, metadata)
    with role(engine, "other", "GRANT CREATE ON SCHEMA public TO {role}") as other:
        run(engine, f"ALTER FUNCTION public_item_audit() OWNER TO {other}")
        [owner] = rows(engine, "SELECT current_user")
        assert lines(engine, metadata) == [
            f"function-owner: item: the function public_item_audit belongs to {other}, item_audit to {owner[0]}; "
            f"{other} may not write there, so changes fail; the owner of a function decides what it does; "
            f"fix: ALTER FUNCTION public.public_item_audit() OWNER TO {owner[0]}"
        ]
        run(engine, check(metadata, engine)[0].fix)
        assert lines(engine, metadata) == []


@pytest.mark.superuser
def test_a_role_that_may_only_connect_can_check(engine: Engine, database: Database) -> None:
    metadata = item()
    install(engine, metadata)
    run(engine, "ALTER TABLE item DISABLE TRIGGER public_item_audit_update")
    with role(engine, "reader") as reader:
        weak = create_engine(engine.url.set(username=reader))
        assert lines(weak, metadata) == lines(engine, metadata) != []
        weak.dispose()


def test_every_finding_has_a_reason() -> None:
    """The findings that code can make and the reasons are the same set."""
    source = "".join(
        path.read_text() for path in files("flask_pg_audit.database").iterdir() if path.name.endswith(".py")
    )
    made = set(
        re.findall(
            r'"((?:adoption|app|audit|child|column|function|guard|history|index|mask|name|partition|replica|row|schema|seal-table|'
            r'sequence|table|trigger|type|view)-[a-z-]+)"',
            source,
        )
    )
    assert made - set(MEANING) == set(WHY)


# The command


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url(), install=False) as site:
        yield site


def test_the_command_is_a_gate(site: Blog) -> None:
    runner = site.app.test_cli_runner()
    assert runner.invoke(args=["audit", "check"]).exit_code == 1
    runner.invoke(args=["audit", "install"])
    clean = runner.invoke(args=["audit", "check"])
    assert (clean.exit_code, clean.output) == (0, "everything is recorded as declared\n")
    assert json.loads(runner.invoke(args=["audit", "check", "--json"]).output) == []

    damage(site, "ALTER TABLE post DISABLE TRIGGER public_post_audit_update")
    result = runner.invoke(args=["audit", "check"])
    assert result.exit_code == 1
    assert result.output == (
        "trigger-disabled: post: trigger public_post_audit_update on post: disabled; changes leave no record; "
        "fix: flask audit install\n"
    )
    as_json = runner.invoke(args=["audit", "check", "--json"])
    assert as_json.exit_code == 1
    assert json.loads(as_json.output) == [
        {
            "bind": None,
            "code": "trigger-disabled",
            "table": "post",
            "what": "trigger public_post_audit_update on post: disabled",
            "why": "changes leave no record",
            "fix": "flask audit install",
        }
    ]
    for ignored in ("trigger-disabled", "trigger-disabled:post"):
        assert runner.invoke(args=["audit", "check", "--ignore", ignored]).exit_code == 0
    assert runner.invoke(args=["audit", "check", "--ignore", "trigger-disabled:user"]).exit_code == 1
    wrong = runner.invoke(args=["audit", "check", "--ignore", "triger-disabled"])
    assert wrong.exit_code == 2
    assert "there is no finding 'triger-disabled'; there are: adoption-blocked," in wrong.output
    runner.invoke(args=["audit", "install"])
    assert runner.invoke(args=["audit", "check"]).exit_code == 0


def damage(site: Blog, statement: str) -> None:
    with site.app.app_context():
        run(site.db.engine, statement)


# Attackers

#: A better match for an operator or a function than PostgreSQL's own, which would need a cast.
PLANTED = [
    "CREATE FUNCTION struck(int2vector, int2vector) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''struck''; END'",
    "CREATE FUNCTION struck(oid, regclass) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''struck''; END'",
    "CREATE FUNCTION struck(oid, int4) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''struck''; END'",
    "CREATE FUNCTION struck(name, varchar) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RAISE ''struck''; END'",
    "CREATE OPERATOR <> (FUNCTION = struck, LEFTARG = int2vector, RIGHTARG = int2vector)",
    "CREATE OPERATOR = (FUNCTION = struck, LEFTARG = oid, RIGHTARG = regclass)",
    "CREATE OPERATOR = (FUNCTION = struck, LEFTARG = oid, RIGHTARG = int4)",
    "CREATE OPERATOR = (FUNCTION = struck, LEFTARG = name, RIGHTARG = varchar)",
    "CREATE FUNCTION pg_total_relation_size(oid) RETURNS int8 LANGUAGE plpgsql AS 'BEGIN RAISE ''struck''; END'",
    "CREATE FUNCTION pg_relation_size(oid) RETURNS int8 LANGUAGE plpgsql AS 'BEGIN RAISE ''struck''; END'",
]


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_who_looks_runs_nothing_that_others_planted(engine: Engine, database: Database, driver: str) -> None:
    """Whoever may create objects in the first schema of the path could else run code as the superuser who checks."""
    looks = create_engine(database.url(driver))
    for metadata in (item(), partitioned()):
        run(engine, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public", *PLANTED)
        metadata.create_all(looks, checkfirst=False)  # SQLAlchemy's own look would run what was planted
        install_audit_triggers(metadata, looks)
        assert lines(looks, metadata) == []
        assert [status.state for status in read_status(metadata, looks)] == ["installed"]
    run(engine, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public", *PLANTED)
    metadata = classic(engine)
    install_audit_triggers(metadata, looks)
    assert lines(looks, metadata) == []
    looks.dispose()


@pytest.mark.superuser
@pytest.mark.parametrize("name", ["audit_current_transaction()", "audit_refuse_change(text, text)"])
def test_a_shared_function_that_belongs_to_somebody_else(engine: Engine, name: str) -> None:
    """The functions of the tables call it: what its owner makes of it would run with their owner's rights."""
    metadata = item()
    install(engine, metadata)
    with role(engine, "other", "GRANT CREATE ON SCHEMA public TO {role}") as other:
        run(engine, f"ALTER FUNCTION {name} OWNER TO {other}")
        [(owner,)] = rows(engine, "SELECT current_user")
        [finding] = check(metadata, engine)
        assert str(finding).startswith(
            f"function-owner: the function {name.partition('(')[0]} belongs to {other}, audit_transaction to {owner}; "
            f"{other} may replace it, and it runs with the rights of others; the owner of a function decides what it "
            "does; fix: ALTER FUNCTION public."
        )
        run(engine, finding.fix)
        assert lines(engine, metadata) == []


@pytest.mark.superuser
def test_a_superusers_function_writes_into_somebody_elses_history(engine: Engine) -> None:
    metadata = item()
    with role(engine, "app", "GRANT CREATE ON SCHEMA public TO {role}") as app:
        apps = create_engine(engine.url.set(username=app))
        metadata.create_all(apps)
        install_audit_triggers(metadata, engine)
        [(superuser,)] = rows(engine, "SELECT current_user")
        found = [finding for finding in check(metadata, engine) if finding.code != "table-owner"]
        assert [str(finding) for finding in found] == [
            f"audit-table-owner: {table}{name} belongs to {app}, and {superuser}, a superuser, writes it through the "
            f"function {function}; a trigger that its owner hangs on it runs with the rights of who writes it; "
            f"fix: ALTER TABLE public.{name} OWNER TO {superuser}"
            for table, name, function in (
                ("item: ", "item_audit", "public_item_audit"),
                ("", "audit_transaction", "audit_begin_transaction"),
            )
        ]
        for finding in found:
            run(engine, finding.fix)
        [rest] = check(metadata, engine)
        assert (rest.code, rest.table) == ("table-owner", "item")
        assert rest.what == f"belongs to {app}, and is recorded with the rights of {superuser}, a superuser"
        run(apps, "INSERT INTO item VALUES (1, 'a')")
        assert recorded(engine, "item", "audit_current_user") == [("I", app)]
        run(engine, rest.fix)
        assert lines(engine, metadata) == []
        apps.dispose()
