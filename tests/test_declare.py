"""Declaring audited tables: options, names, and the tables that come of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Engine,
    Enum,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    NullPool,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    inspect,
)
from sqlalchemy.dialects.postgresql import DOMAIN, JSONB, UUID

from flask_pg_audit import AuditConfigError, audited, enable
from flask_pg_audit.declare.naming import shorten
from flask_pg_audit.declare.registry import (
    add_app_settings,
    audit_metadata,
    set_audit_schema,
    transaction_table,
)

enable()

BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"enable": True}, "unknown key 'enable' in \"audit.options\"; allowed are enabled, schema_name, session_settings"),
    ({"enabled": 1}, "key 'enabled' must be True or False, not 1"),
    ({"skip_unchanged": None}, "key 'skip_unchanged' must be True or False, not None"),
    ({"schema_name": ""}, "key 'schema_name' must be a schema name or None, not ''"),
    ({"level": "table"}, "key 'level' must be one of 'statement', 'row', not 'table'"),
    ({"exclude": "name"}, "key 'exclude' must be a list of column names, not 'name'"),
    ({"exclude": ["nmae"]}, "key 'exclude' names the unknown column 'nmae'; the table has id, name"),
    ({"exclude": ["id"]}, "key 'exclude' names 'id', a column of the primary key"),
    ({"session_settings": ["username"]}, "key 'session_settings' must be a list of Column objects, not ['username']"),
    ({"session_settings": [Column("a-b", Text)]}, "session setting 'a-b' is no valid name"),
    ({"session_settings": [Column("x" * 58, Text)]}, "is too long"),
    ({"session_settings": [Column("context", Text)]}, "session setting 'context' is reserved"),
    # PostgreSQL does not tell audit.Context from audit.context.
    ({"session_settings": [Column("Context", Text)]}, "session setting 'Context' is reserved"),
    ({"session_settings": [Column("a", Text), Column("a", Text)]}, "session setting 'a' is declared twice"),
    ({"session_settings": [Column("User", Text), Column("user", Text)]}, "session setting 'user' is declared twice"),
    ({"session_settings": [Column("id", Text)]}, 'would have two columns "audit_id"'),
    ({"session_settings": [Column("operation", Text)]}, 'would have two columns "audit_operation"'),
]


@pytest.mark.parametrize(("options", "message"), BAD_OPTIONS, ids=lambda value: str(value)[:40])
def test_a_bad_option_is_one_clear_error_and_declares_nothing(options: dict[str, Any], message: str) -> None:
    metadata = MetaData()
    info = {"audit.options": {"enabled": True, **options}}
    with pytest.raises(AuditConfigError) as error:
        Table("person", metadata, Column("id", Integer, primary_key=True), Column("name", Text), info=info)
    assert str(error.value).startswith('table "person": ')
    assert message in str(error.value)
    assert list(metadata.tables) == []


def test_options_that_are_no_dictionary_are_an_error() -> None:
    with pytest.raises(AuditConfigError, match="must be a dictionary, not True"):
        Table("person", MetaData(), info={"audit.options": True})


def test_a_column_called_like_one_of_ours_is_an_error() -> None:
    with pytest.raises(AuditConfigError, match='two columns "audit_operation"'):
        Table("person", MetaData(), Column("audit_operation", Text), info=audited())


def test_a_column_with_a_key_like_one_of_ours_is_an_error() -> None:
    with pytest.raises(AuditConfigError, match='two columns "audit_id"'):
        Table("person", MetaData(), Column("number", Integer, key="audit_id"), info=audited())


def test_audited_returns_the_info_dictionary_checked() -> None:
    assert audited() == {"audit.options": {"enabled": True}}
    assert audited(enabled=False, level="row") == {"audit.options": {"enabled": False, "level": "row"}}
    with pytest.raises(AuditConfigError, match=r"audited\(\): unknown key 'exlude'"):
        audited(exlude=["a"])  # type: ignore[call-arg]


def test_tables_that_do_not_opt_in_are_left_alone() -> None:
    metadata = MetaData()
    Table("plain", metadata, Column("id", Integer, primary_key=True))
    Table("off", metadata, Column("id", Integer, primary_key=True), info=audited(enabled=False))
    assert sorted(metadata.tables) == ["off", "plain"]


def test_one_info_dictionary_serves_several_tables_and_is_not_touched() -> None:
    metadata, info = MetaData(), {"mine": 1, **audited(exclude=["name"])}
    before = repr(info)
    tables = [
        Table(f"t{n}", metadata, Column("id", Integer, primary_key=True), Column("name", Text), info=info)
        for n in (1, 2)
    ]
    assert repr(info) == before
    assert [table.info["mine"] for table in tables] == [1, 1]
    assert {"t1_audit", "t2_audit", "audit_transaction"} <= set(metadata.tables)


def test_markers() -> None:
    metadata = MetaData()
    table = Table("person", metadata, Column("id", Integer, primary_key=True), info=audited())
    audit_table = metadata.tables["person_audit"]
    assert table.info["audit.is_audited"] is True
    assert audit_table.info["audit.is_audit_table"] is True
    assert audit_table.info["audit.target_table"] is table


def test_columns_of_an_audit_table() -> None:
    metadata = MetaData()
    Table("other", metadata, Column("id", UUID, primary_key=True))
    Table(
        "person",
        metadata,
        Column("id", Integer, Identity(), primary_key=True),
        Column("name", String(50), nullable=False, unique=True, server_default="x", key="label"),
        Column("size", Enum("s", "l", name="size", native_enum=False, create_constraint=True)),
        Column("active", Boolean(create_constraint=True, name="is_active")),
        Column("amount", DOMAIN("amount", Integer, not_null=True)),
        Column("other_id", ForeignKey("other.id")),
        Column("later_id", ForeignKey("later.id")),
        Column("twice", Integer, Computed("id * 2", persisted=True)),
        Column("virtual", Integer, Computed("id * 2", persisted=False)),
        CheckConstraint("name <> ''"),
        UniqueConstraint("size"),
        info=audited(session_settings=[Column("username", String), Column("app", UUID, nullable=False)]),
    )
    Table("later", metadata, Column("id", JSONB, primary_key=True))
    audit_table = metadata.tables["person_audit"]
    assert [(column.name, str(column.type)) for column in audit_table.columns] == [
        ("audit_transaction_id", "BIGINT"),
        ("audit_id", "BIGINT"),
        ("audit_operation", "VARCHAR(1)"),
        ("audit_operation_timestamp", "DATETIME"),
        ("audit_current_user", "VARCHAR(64)"),
        ("audit_username", "VARCHAR"),
        ("audit_app", "UUID"),
        ("id", "INTEGER"),
        ("name", "VARCHAR(50)"),
        ("size", "VARCHAR(1)"),
        ("active", "BOOLEAN"),
        ("amount", "INTEGER"),
        ("other_id", "UUID"),
        ("later_id", "JSONB"),
        ("twice", "INTEGER"),
    ]
    assert [column.name for column in audit_table.primary_key] == ["audit_transaction_id", "audit_id"]
    images = list(audit_table.columns)[5:]
    assert all(c.nullable and c.server_default is None and c.computed is None and c.identity is None for c in images)
    assert len(audit_table.constraints) == 1
    assert audit_table.c.label.name == "name"
    assert sorted([c.name for c in index.columns] for index in audit_table.indexes) == [
        ["audit_operation_timestamp"],
        ["id", "audit_id"],
    ]


def test_columns_that_join_later_are_recorded() -> None:
    metadata = MetaData()
    table = Table("person", metadata, Column("id", Integer, primary_key=True), info=audited(exclude=[]))
    table.append_column(Column("name", Text))
    assert "name" in metadata.tables["person_audit"].columns


def test_tables_declared_before_are_picked_up() -> None:
    metadata = MetaData()
    table = Table("person", metadata, Column("id", Integer, primary_key=True))
    table.info.update(audited())  # as if nobody had been listening
    assert [a.table.name for a in audit_metadata(metadata)] == ["person"]
    assert [a.table.name for a in audit_metadata(metadata)] == ["person"]


def test_schemas() -> None:
    metadata = MetaData()
    Table("a", metadata, Column("id", Integer, primary_key=True), schema="s", info=audited())
    Table("b", metadata, Column("id", Integer, primary_key=True), schema="s", info=audited(schema_name="history"))
    assert {"s.a_audit", "history.b_audit", "audit_transaction"} <= set(metadata.tables)
    set_audit_schema(metadata, "history")
    assert transaction_table(metadata).fullname == "history.audit_transaction"
    assert "audit_transaction" not in metadata.tables


def test_the_metadatas_own_schema_is_the_default() -> None:
    metadata = MetaData(schema="shop")
    Table("a", metadata, Column("id", Integer, primary_key=True), info=audited())
    assert {"shop.a_audit", "shop.audit_transaction"} <= set(metadata.tables)


@pytest.mark.parametrize(
    "declare",
    [
        lambda m: Table("person_audit", m, Column("id", Integer)),
        lambda m: Table("audit_transaction", m, Column("id", Integer)),
    ],
)
def test_taken_table_names_are_an_error(declare: Callable[[MetaData], Table]) -> None:
    metadata = MetaData()
    declare(metadata)
    with pytest.raises(AuditConfigError, match="already"):
        Table("person", metadata, Column("id", Integer, primary_key=True), info=audited())


def test_app_settings_come_to_present_and_future_tables() -> None:
    metadata = MetaData()
    Table("a", metadata, Column("id", Integer, primary_key=True), info=audited())
    add_app_settings(metadata, [Column("username", String)])
    Table("b", metadata, Column("id", Integer, primary_key=True), info=audited())
    assert all("audit_username" in metadata.tables[f"{name}_audit"].columns for name in "ab")


def names_of(convention: dict[str, str], name: str, schema: str | None = None) -> list[str]:
    from flask_pg_audit.declare.naming import audit_function_name, audit_table_name, audit_trigger_name

    table = Table(name, MetaData(naming_convention=convention), Column("id", Integer), schema=schema)
    return [audit_table_name(table), audit_function_name(table), audit_trigger_name(table, "_insert")]


def test_default_names() -> None:
    assert names_of({}, "person") == ["person_audit", "public_person_audit", "public_person_audit_insert"]
    assert names_of({}, "person", "hr")[1:] == ["hr_person_audit", "hr_person_audit_insert"]


def test_names_by_convention() -> None:
    convention = {
        "audit.table": "%(table_name)s_audr",
        "audit.function": "trail_%(schema)s_%(table_name)s",
        "audit.trigger": "t_%(table_name)s",
    }
    assert names_of(convention, "person") == ["person_audr", "trail_public_person", "t_person_insert"]


@pytest.mark.parametrize("convention", ["%(tabel)s", "%s", "%(table_name)", "%(column_0_name)s%(table_name)s", "audit"])
def test_a_bad_convention_is_one_clear_error(convention: str) -> None:
    with pytest.raises(AuditConfigError, match=r"allowed are %\(table_name\)s and %\(schema\)s"):
        names_of({"audit.table": convention}, "person")


def test_long_names_are_shortened_and_stay_apart() -> None:
    first, second = "x" * 62 + "a", "x" * 62 + "b"
    names = [name for table in (first, second) for name in names_of({}, table)]
    assert len(set(names)) == len(names)
    assert all(len(name.encode()) <= 63 for name in names)
    assert names_of({}, first) == names_of({}, first)


def test_shortening_cuts_between_characters() -> None:
    assert len(shorten("é" * 40).encode()) <= 63
    assert shorten("é" * 31) == "é" * 31
    assert shorten("a" * 80, "_insert", "00_").startswith("00_aaa")


def test_create_all_and_drop_all_with_enums_whose_history_sorts_first(engine: Engine) -> None:
    metadata = MetaData(naming_convention={"audit.table": "a_%(table_name)s"})
    Table("person", metadata, Column("id", Integer, primary_key=True), Column("s", Enum("x", name="s")), info=audited())
    for _ in range(2):
        metadata.create_all(engine)
        assert inspect(engine).has_table("a_person")
        metadata.drop_all(engine)
        assert inspect(engine).get_table_names() == []


def test_enabling_twice_changes_nothing() -> None:
    enable()
    enable()
    metadata = MetaData()
    Table("person", metadata, Column("id", Integer, primary_key=True), info=audited())
    shared = ["audit_maintenance", "audit_redaction", "audit_seal", "audit_seal_leaves", "audit_transaction"]
    assert sorted(metadata.tables) == [*shared, "person", "person_audit"]


def test_an_unaudited_metadata_has_no_transaction_table() -> None:
    with pytest.raises(AuditConfigError, match="no audited table is declared"):
        transaction_table(MetaData())


def test_nullpool_engines_are_fine_too() -> None:
    create_engine("postgresql+psycopg2://", plugins=["audit"], poolclass=NullPool).dispose()
