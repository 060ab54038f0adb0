"""The feed and what it leads to: order, paging, hostile names, types and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    Enum,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INT4RANGE, JSONB
from sqlalchemy.types import UserDefinedType

from flask_pg_audit import AuditConfigError, audited, enable, install_audit_triggers, set_session_vars
from flask_pg_audit.context.statements import is_harmless_select
from flask_pg_audit.history.excerpts import Excerpt, Field, Value, _Lengths, read_excerpts, select_excerpts
from flask_pg_audit.history.feed import feed
from flask_pg_audit.history.position import Position
from flask_pg_audit.history.recorded import read_recorded_tables, recorded_tables

enable()


class Point(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        return "point"


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def installed(connection: Connection, *tables: Table) -> MetaData:
    metadata = tables[0].metadata
    for schema in {table.schema for table in tables} - {None}:
        connection.execute(text(f'CREATE SCHEMA "{schema}"'))
    metadata.create_all(connection)
    install_audit_triggers(metadata, connection)
    connection.commit()
    return metadata


def simple(metadata: MetaData, name: str = "thing", *columns: Column[Any], **options: Any) -> Table:
    key = Column("id", Integer, primary_key=True)
    return Table(name, metadata, key, Column("name", Text), *columns, info=audited(), **options)


def changes(connection: Connection, metadata: MetaData, limit: int = 50, **options: Any) -> list[Excerpt]:
    rows = connection.execute(feed(metadata, limit=limit)).all()
    places = [(row.table_key, Position(row.audit_transaction_id, row.audit_id)) for row in rows]
    return read_excerpts(connection, read_recorded_tables(connection, metadata), places, **options)


def value(field: Field) -> Value:
    assert field.value is not None
    return field.value


def texts(change: Excerpt) -> dict[str, str | None]:
    return {field.name: field.value.text for field in change.fields if field.value is not None}


def changed(change: Excerpt) -> dict[str, tuple[str | None, str | None]]:
    return {f.name: (f.old.text, f.value.text) for f in change.fields if f.changed and f.old and f.value}


def test_all_tables_are_in_one_order_the_newest_first(connection: Connection) -> None:
    metadata = MetaData()
    one, two = simple(metadata, "one"), simple(metadata, "two")
    installed(connection, one, two)
    for number, table in enumerate([one, two, two, one]):
        connection.execute(table.insert().values(id=number))
        connection.commit()
    found = changes(connection, metadata)
    assert [(c.table, texts(c)["id"]) for c in found] == [("one", "3"), ("two", "2"), ("two", "1"), ("one", "0")]
    assert [c.position for c in found] == sorted((c.position for c in found), reverse=True)
    assert all(c.at.utcoffset() is not None and not c.at.utcoffset() for c in found)


def test_both_directions_meet_every_change_once(connection: Connection) -> None:
    metadata = MetaData()
    one, two = simple(metadata, "one"), simple(metadata, "two")
    installed(connection, one, two)
    for number in range(20):
        connection.execute((one if number % 3 else two).insert().values(id=number))
        if number % 4 == 0:
            connection.commit()
    everything = [Position(*row[1:]) for row in connection.execute(feed(metadata, limit=100))]
    middle = everything[7]
    older = [Position(*row[1:]) for row in connection.execute(feed(metadata, before=middle, limit=5))]
    newer = [Position(*row[1:]) for row in connection.execute(feed(metadata, after=middle, limit=5))]
    assert older == everything[8:13]
    assert newer == everything[6:1:-1]


def test_every_table_is_read_through_its_primary_key(connection: Connection) -> None:
    metadata = MetaData()
    table = simple(metadata)
    installed(connection, table)
    connection.execute(text("INSERT INTO thing SELECT n, 'x' FROM generate_series(1, 5000) AS n"))
    connection.execute(text("ANALYZE thing_audit"))
    places: list[dict[str, Any]] = [{}, {"before": Position(1, 2500)}, {"after": Position(1, 2500)}]
    for place in places:
        compiled = feed(metadata, limit=10, **place).compile(connection, compile_kwargs={"literal_binds": True})
        plan = "\n".join(connection.execute(text(f"EXPLAIN {compiled}")).scalars())
        assert "Index Only Scan" in plan and "Seq Scan" not in plan, plan


def test_reading_is_known_to_be_harmless(connection: Connection) -> None:
    """Else every page would look up the actor and send its settings."""

    metadata = MetaData()
    simple(metadata, "thing", Column("data", LargeBinary))
    [table] = recorded_tables(metadata)
    for statement in (
        feed(metadata, before=Position(1, 2), limit=3),
        feed(metadata, after=Position(1, 2), limit=3),
        select_excerpts(table, [Position(1, 2)], _Lengths(200, 2000)),
    ):
        assert is_harmless_select(str(statement.compile(connection)))


def test_no_audited_table_is_an_error() -> None:
    with pytest.raises(AuditConfigError, match="no audited table is declared"):
        feed(MetaData(), limit=1)


@pytest.mark.parametrize("place", [Position(0, 0), Position(-3, 7), Position(2**63 - 1, -(2**63))])
def test_a_position_survives_being_written(place: Position) -> None:
    assert Position.parse(str(place)) == place


@pytest.mark.parametrize(
    "token", ["", "1", "1.", ".1", "1.2.3", " 1.2", "1.2\n", "+1.2", "\u0661.\u0662", f"{2**63}.1", "a.b"]
)
def test_anything_else_is_no_position(token: str) -> None:
    with pytest.raises(ValueError, match="is no position in the log"):
        Position.parse(token)


HOSTILE_TABLES = {
    "reserved words": ("select", ["from", "text", "c", "keys", "values", "count", "update", "current"]),
    "our own words": ("previous", ["current", "earlier", "transaction", "old_texts", "changed", "username"]),
    "quotes": ("we\"i%rd 'tab:le'", ['q"uo%te:x', "%(name)s", "Mixed Case", "naïve ☃", "a.b"]),
    "63 bytes": ("ä" * 31, ["ö" * 31, "x" * 63]),
}


@pytest.mark.parametrize(("name", "columns"), HOSTILE_TABLES.values(), ids=list(HOSTILE_TABLES))
@pytest.mark.parametrize("schema", [None, "dot.ted Schema"])
def test_hostile_names(connection: Connection, name: str, columns: list[str], schema: str | None) -> None:
    metadata = MetaData()
    key = Column("the id", Integer, key="id", primary_key=True)
    rest = [Column(column, Text, key=f"key{number}") for number, column in enumerate(columns)]
    table = Table(name, metadata, key, *rest, info=audited(), schema=schema)
    installed(connection, table)
    connection.execute(table.insert().values(id=1, key0="before", key1="same"))
    connection.execute(table.update().values(key0="after"))
    update, insert = changes(connection, metadata)
    assert update.table == table.fullname
    assert [(field.name, value(field).text) for field in update.key] == [("the id", "1")]
    assert changed(update) == {columns[0]: ("before", "after")}
    assert texts(insert) == {"the id": "1", **dict.fromkeys(columns), columns[0]: "before", columns[1]: "same"}


def test_types_are_shown_as_postgresql_writes_them(connection: Connection) -> None:
    metadata = MetaData()
    table = simple(
        metadata,
        "thing",
        Column("json", JSON),
        Column("jsonb", JSONB),
        Column("bytes", LargeBinary),
        Column("list", ARRAY(Text)),
        Column("point", Point),
        Column("range", INT4RANGE),
        Column("enum", Enum("a", "b", name="letter")),
    )
    installed(connection, table)
    connection.execute(
        text(
            """INSERT INTO thing VALUES (1, '', '{"a":  1}', '{"a":  1}', '\\x00ff', ARRAY['x', NULL, ''], '(1,2)',
            '[1,5)', 'b')"""
        )
    )
    connection.execute(text("""UPDATE thing SET json = '{"a": 1}', point = '(3,4)', bytes = NULL"""))
    update, insert = changes(connection, metadata)
    assert texts(insert) == {
        "id": "1",
        "name": "",
        "json": '{"a":  1}',
        "jsonb": '{"a": 1}',
        "bytes": "\\x00ff",
        "list": '{x,NULL,""}',
        "point": "(1,2)",
        "range": "[1,5)",
        "enum": "b",
    }
    assert changed(update) == {
        "json": ('{"a":  1}', '{"a": 1}'),
        "bytes": ("\\x00ff", None),
        "point": ("(1,2)", "(3,4)"),
    }


def test_null_and_empty_are_different_changes(connection: Connection) -> None:
    metadata = MetaData()
    table = simple(metadata)
    installed(connection, table)
    connection.execute(table.insert().values(id=1, name=""))
    connection.execute(table.update().values(name=None))
    assert changed(changes(connection, metadata)[0]) == {"name": ("", None)}


def test_long_values_are_cut_on_the_server(connection: Connection) -> None:
    metadata = MetaData()
    table = simple(metadata, "thing", Column("data", LargeBinary))
    installed(connection, table)
    connection.execute(
        text(
            "INSERT INTO thing VALUES (1, repeat('ä', 1000000), decode(repeat('ab', 100000), 'hex')), (2, 'äbc', '\\x')"
        )
    )
    short, long = changes(connection, metadata, max_length=3)
    cut = {f.name: (value(f).text, value(f).length, value(f).is_cut) for f in long.fields}
    assert cut["name"] == ("äää", 1_000_000, True)
    assert cut["data"] == ("\\xa", 200_002, True)
    assert [(value(f).text, value(f).is_cut) for f in short.fields] == [("2", False), ("äbc", False), ("\\x", False)]


def test_half_a_gigabyte_of_bytes_does_not_close_the_log(connection: Connection) -> None:
    """Written as text it would be more than PostgreSQL can hold."""
    metadata = MetaData()
    table = simple(metadata, "thing", Column("data", LargeBinary))
    installed(connection, table)
    half = "decode(repeat('00', 280000000), 'hex')"
    connection.execute(text(f"INSERT INTO thing SELECT 1, 'x', {half} || {half}"))
    [change] = changes(connection, metadata)
    assert value(change.fields[-1]).length == 2 + 2 * 560_000_000


def test_a_table_without_a_key(connection: Connection) -> None:
    metadata = MetaData()
    table = Table("thing", metadata, Column("name", Text), info=audited())
    installed(connection, table)
    connection.execute(table.insert().values(name="a"))
    connection.execute(table.update().values(name="b"))
    update, insert = changes(connection, metadata)
    assert (update.key, insert.key) == ((), ())
    assert (texts(update), changed(update)) == ({"name": "b"}, {})


def test_a_table_of_very_many_columns(connection: Connection) -> None:
    metadata = MetaData()
    table = simple(metadata, "thing", *(Column(f"c{number}", String) for number in range(1500)))
    installed(connection, table)
    connection.execute(text("INSERT INTO thing (id, c0, c1499) VALUES (1, 'a', 'b')"))
    connection.execute(text("UPDATE thing SET c1499 = 'c'"))
    assert changed(changes(connection, metadata)[0]) == {"c1499": ("b", "c")}


def test_truncates_have_no_values_and_excluded_columns_none_at_all(connection: Connection) -> None:
    metadata = MetaData()
    key = Column("id", Integer, primary_key=True)
    table = Table("thing", metadata, key, Column("secret", Text), info=audited(exclude=["secret"]))
    installed(connection, table)
    connection.execute(table.insert().values(id=1, secret="hush"))
    connection.execute(text("TRUNCATE thing"))
    truncate, insert = changes(connection, metadata)
    assert (truncate.operation_label, truncate.fields, truncate.key) == ("truncate", (), ())
    assert texts(insert) == {"id": "1"}


def test_what_an_update_changed_is_unknown_after_unrecorded_changes(connection: Connection) -> None:
    metadata = MetaData()
    table = simple(metadata)
    installed(connection, table)
    connection.execute(table.insert().values(id=1, name="old"))
    connection.execute(table.delete())
    connection.execute(text("ALTER TABLE thing DISABLE TRIGGER USER"))
    connection.execute(table.insert().values(id=1, name="unrecorded"))
    connection.execute(text("ALTER TABLE thing ENABLE TRIGGER USER"))
    connection.execute(table.update().values(name="new"))
    update = changes(connection, metadata)[0]
    assert [field.old for field in update.fields] == [None, None]


def test_who_is_the_rows_own_setting_or_the_transactions(connection: Connection) -> None:
    metadata = MetaData()
    plain = Table("plain", metadata, Column("id", Integer, primary_key=True), info=audited())
    # A column of the table's own that only looks like the setting's.
    lookalike = simple(metadata, "lookalike", Column("audit_username", Text))
    settings = [Column("username", Integer)]
    typed = Table("typed", metadata, Column("id", Integer, primary_key=True), info=audited(session_settings=settings))
    installed(connection, plain, lookalike, typed)
    set_session_vars(connection, username="7")
    connection.execute(plain.insert().values(id=1))
    connection.execute(lookalike.insert().values(id=1, audit_username="somebody else"))
    connection.execute(typed.insert().values(id=1))
    connection.commit()
    connection.execute(plain.insert().values(id=2))
    assert [change.username for change in changes(connection, metadata)] == [None, "7", "7", "7"]


CONTEXTS = {
    "a list": ("'[1]'", {}),
    "a number": ("'7'", {}),
    "deep": ("repeat('[', 3000) || repeat(']', 3000)", {}),
    "a long number": ("'{\"n\": ' || repeat('9', 5000) || '}'", {"n": "9" * 5000}),
    "too long": ("'{\"path\": \"' || repeat('p', 5000000) || '\"}'", {}),
    "an object": ('\'{"path": "/x"}\'', {"path": "/x"}),
}


@pytest.mark.parametrize(("context", "expected"), CONTEXTS.values(), ids=list(CONTEXTS))
def test_no_context_makes_the_log_unreadable(connection: Connection, context: str, expected: object) -> None:
    metadata = MetaData()
    table = simple(metadata)
    installed(connection, table)
    connection.execute(text(f"SELECT set_config('audit.context', {context}, true)"))
    connection.execute(table.insert().values(id=1))
    [change] = changes(connection, metadata)
    assert change.context == expected


def test_a_place_that_is_gone_is_left_out(connection: Connection) -> None:
    metadata = MetaData()
    table = simple(metadata)
    installed(connection, table)
    connection.execute(table.insert().values(id=1))
    [change] = changes(connection, metadata)
    tables = read_recorded_tables(connection, metadata)
    places = [("thing", Position(99, 99)), ("thing", change.position), ("no such table", change.position)]
    assert [c.position for c in read_excerpts(connection, tables, places)] == [change.position]
