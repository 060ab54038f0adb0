"""Names on the server: by convention, short enough, and never the same twice."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, Integer, MetaData

from flask_pg_audit import AuditConfigError, install_audit_triggers, uninstall_audit_triggers
from flask_pg_audit.declare.naming import shorten
from tests.capture import audited_table, column, install, rows, run

CONVENTION = {
    "audit.table": "%(schema)s_%(table_name)s_log",
    "audit.function": "rec_%(schema)s_%(table_name)s",
    "audit.trigger": "t_%(schema)s_%(table_name)s_100%%",
}


def declared(*names: str, convention: dict[str, str] | None = None, schema: str | None = None) -> MetaData:
    metadata = MetaData(naming_convention=convention)
    for name in names:
        audited_table(metadata, name, column("id", Integer, primary_key=True), schema=schema)
    return metadata


def test_the_names_that_a_convention_gives_are_those_on_the_server(engine: Engine) -> None:
    run(engine, "CREATE SCHEMA hr")
    install(engine, declared("person", convention=CONVENTION, schema="hr"))
    assert rows(engine, "SELECT relname FROM pg_class WHERE relname LIKE '%log'") == [("hr_person_log",)]
    assert rows(engine, "SELECT proname FROM pg_proc WHERE prosrc LIKE '%flask_pg_audit%' AND proname ~ '^rec'") == [
        ("rec_hr_person",)
    ]
    assert rows(engine, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1") == [
        (f"t_hr_person_100%_{event}",) for event in ("delete", "insert", "truncate", "update")
    ]


def test_a_table_without_a_schema_is_public_in_names(engine: Engine) -> None:
    metadata = declared("person", convention=CONVENTION)
    assert "public_person_log" in metadata.tables


def test_sqlalchemys_own_conventions_go_along(engine: Engine) -> None:
    convention = {"pk": "pk_%(table_name)s", "ix": "ix_%(column_0_label)s", "ck": "ck_%(table_name)s_%(column_0_name)s"}
    install(engine, declared("person", convention=convention))
    keys = "SELECT conname FROM pg_constraint WHERE contype = 'p' AND connamespace = 2200 ORDER BY 1"
    assert rows(engine, keys) == [
        ("pk_audit_transaction",),
        ("pk_person",),
        ("pk_person_audit",),
    ]


@pytest.mark.parametrize("key", ["audit.table", "audit.function", "audit.trigger"])
def test_a_bad_convention_names_its_key(key: str) -> None:
    with pytest.raises(AuditConfigError, match=f"naming convention '{key}' is '%\\(column\\)s'"):
        install_audit_triggers(declared("person", convention={key: "%(column)s"}))


def test_a_convention_that_leaves_the_name_as_it_is_needs_another_schema(engine: Engine) -> None:
    convention = {"audit.table": "%(table_name)s"}
    with pytest.raises(AuditConfigError, match=r'its audit table would be called "person"'):
        declared("person", convention=convention)
    run(engine, "CREATE SCHEMA history")
    metadata = MetaData(naming_convention=convention)
    options = {"schema_name": "history"}
    audited_table(metadata, "person", column("id", Integer, primary_key=True), options=options)
    install(engine, metadata)
    run(engine, "INSERT INTO person VALUES (1)")
    assert rows(engine, "SELECT audit_operation, id FROM history.person") == [("I", 1)]


def test_two_tables_that_would_share_an_audit_table_are_refused() -> None:
    metadata = MetaData()
    options = {"schema_name": "history"}
    audited_table(metadata, "item", column("id", Integer, primary_key=True), schema="a", options=options)
    with pytest.raises(AuditConfigError, match=r'table "b.item": .* "history.item_audit".*already'):
        audited_table(metadata, "item", column("id", Integer, primary_key=True), schema="b", options=options)


@pytest.mark.parametrize("level", ["statement", "row"])
@pytest.mark.parametrize("letter", ["x", "é", "名", "🐘"])
def test_long_names_that_differ_in_their_last_character_are_recorded_apart(
    engine: Engine, letter: str, level: str
) -> None:
    stem = letter * (62 // len(letter.encode()))
    stem += "_" * (62 - len(stem.encode()))
    first, second = f"{stem}a", f"{stem}b"
    metadata = MetaData()
    for name in (first, second):
        audited_table(metadata, name, column("id", Integer, primary_key=True), options={"level": level})
    install(engine, metadata)
    assert install_audit_triggers(metadata, engine).actions == ()
    run(engine, f'INSERT INTO "{first}" VALUES (1)', f'INSERT INTO "{second}" VALUES (2)', f'TRUNCATE "{second}"')
    found = rows(engine, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '_[0-9a-f]{8}$'")
    assert len(found) == 2
    recorded = {tuple(rows(engine, f'SELECT audit_operation, id FROM "{name}" ORDER BY audit_id')) for (name,) in found}
    assert recorded == {(("I", 1),), (("I", 2), ("T", None))}
    uninstall_audit_triggers(metadata, engine)
    assert rows(engine, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]


@pytest.mark.parametrize("length", range(50, 80))
def test_a_name_has_at_most_63_bytes_and_is_cut_only_when_it_must_be(length: int) -> None:
    name = "x" * length
    shortened = shorten(name, "_insert")
    assert len(shortened) == min(length + len("_insert"), 63)
    assert (shortened == f"{name}_insert") == (length <= 56)
    assert shortened.endswith("_insert")
