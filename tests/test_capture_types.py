"""Values of every kind arrive in the history as they were."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import (
    ARRAY,
    Column,
    Computed,
    Engine,
    Enum,
    Float,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Text,
)
from sqlalchemy.dialects.postgresql import CITEXT, DOMAIN, INT4RANGE, INTERVAL, JSON, JSONB, TSVECTOR, UUID
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

from flask_pg_audit import install_audit_triggers
from flask_pg_audit.database.check import check
from tests.capture import audited_table, column, install, recorded, rows, run
from tests.server import DatabaseServer


class Native(UserDefinedType[Any]):
    """A type of PostgreSQL's that SQLAlchemy has no class for."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: Any) -> str:
        return self.name


TYPES: list[tuple[str, TypeEngine[Any] | type[TypeEngine[Any]], str, str]] = [
    ("json", JSON, """'{"a": 1}'""", """'{"a":  1}'"""),
    ("jsonb", JSONB, """'{"a": 1}'""", "'[1, null]'"),
    ("xml", Native("xml"), "'<a/>'", "'<b/>'"),
    ("point", Native("point"), "'(1,2)'", "'(1,3)'"),
    ("bytea", LargeBinary, r"'\x0001'", r"'\x00ff'"),
    ("int4range", INT4RANGE, "'[1,5)'", "'empty'"),
    ("numeric", Numeric, "1.0", "1.00"),
    ("nan", Float, "'NaN'", "'-Infinity'"),
    ("array", ARRAY(Text), "'{a,NULL}'", "'{a,\"\"}'"),
    ("interval", INTERVAL, "'1 day'", "'24 hours'"),
    ("uuid", UUID, "gen_random_uuid()", "gen_random_uuid()"),
    ("tsvector", TSVECTOR, "'a b'", "'a'"),
    ("enum", Enum("new", "old", name="condition"), "'new'", "'old'"),
    ("domain", DOMAIN("positive", Integer, check="VALUE > 0", not_null=True), "1", "2"),
]


def _require(engine: Engine, type_: object) -> None:
    """Some servers are built without libxml."""
    if isinstance(type_, Native) and type_.name == "xml":
        try:
            run(engine, "SELECT '<a/>'::xml")
        except DBAPIError:
            pytest.skip("this server has no xml")


@pytest.mark.parametrize("level", ["statement", "row"])
@pytest.mark.parametrize(("type_", "first", "second"), [case[1:] for case in TYPES], ids=[case[0] for case in TYPES])
def test_type(
    engine: Engine, level: str, type_: TypeEngine[Any] | type[TypeEngine[Any]], first: str, second: str
) -> None:
    _require(engine, type_)
    metadata = MetaData()
    audited_table(
        metadata,
        "thing",
        column("id", Integer, primary_key=True),
        column("value", type_),
        options={"level": level},
    )
    install(engine, metadata)
    run(
        engine,
        f"INSERT INTO thing VALUES (1, {first})",
        "UPDATE thing SET value = value",
        f"UPDATE thing SET value = {second}",
        "INSERT INTO thing SELECT 2, value FROM thing",
        "DELETE FROM thing WHERE id = 2",
    )
    assert [row[0] for row in recorded(engine, "thing")] == ["I", "U", "I", "D"]
    images = [row[1] for row in recorded(engine, "thing", "value::text")]
    [(live,)] = rows(engine, "SELECT value::text FROM thing")
    assert images[1:] == [live] * 3
    assert images[0] != live
    run(engine, "TRUNCATE thing")
    assert recorded(engine, "thing", "value")[-1] == ("T", None)


def test_enums_grow(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(
        metadata, "thing", column("id", Integer, primary_key=True), column("state", Enum("new", name="state"))
    )
    install(engine, metadata)
    run(engine, "ALTER TYPE state ADD VALUE 'old'", "INSERT INTO thing VALUES (1, 'old')")
    assert recorded(engine, "thing", "state") == [("I", "old")]


@pytest.mark.parametrize("kind", ["uuid", "citext", "domain", "enum", "bytea", "text", "inet"])
def test_keys_of_every_type_are_matched(engine: Engine, kind: str) -> None:
    types: dict[str, tuple[Any, str, str]] = {
        "uuid": (UUID(), f"'{'0' * 32}'", f"'{'1' * 32}'"),
        "citext": (CITEXT(), "'a'", "'b'"),
        "domain": (DOMAIN("code", Text), "'a'", "'b'"),
        "enum": (Enum("a", "b", name="letter"), "'a'", "'b'"),
        "bytea": (LargeBinary(), r"'\x01'", r"'\x02'"),
        "text": (Text(), "'a'", "'b'"),
        "inet": (Native("inet"), "'10.0.0.1'", "'10.0.0.2'"),
    }
    type_, first, second = types[kind]
    if kind == "citext":
        try:
            run(engine, "CREATE EXTENSION citext")
        except DBAPIError:
            pytest.skip("this server has no contrib modules")
    metadata = MetaData()
    audited_table(metadata, "thing", column("id", type_, primary_key=True), column("n", Integer))
    install(engine, metadata)
    run(
        engine,
        f"INSERT INTO thing VALUES ({first}, 1)",
        "UPDATE thing SET n = 2",
        f"UPDATE thing SET id = {second}",
    )
    assert [row[0] for row in recorded(engine, "thing")[:2]] == ["I", "U"]
    assert sorted(row[0] for row in recorded(engine, "thing")[2:]) == ["D", "I"]


def test_identity_defaults_and_stored_generated_columns(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(
        metadata,
        "line",
        Column("id", SmallInteger, Identity(always=True), primary_key=True),
        Column("number", Integer, server_default="7"),
        Column("twice", Integer, Computed("number * 2", persisted=True)),
    )
    install(engine, metadata)
    run(engine, "INSERT INTO line DEFAULT VALUES", "UPDATE line SET number = 8")
    assert recorded(engine, "line", "id", "number", "twice") == [("I", 1, 7, 14), ("U", 1, 8, 16)]


def test_virtual_generated_columns_are_not_recorded(engine: Engine, server: DatabaseServer) -> None:
    if server.version < 18:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    metadata = MetaData()
    audited_table(
        metadata,
        "line",
        Column("id", Integer, primary_key=True),
        Column("number", Integer),
        Column("twice", Integer, Computed("number * 2", persisted=False)),
    )
    assert "twice" not in metadata.tables["line_audit"].columns
    run(
        engine, "CREATE TABLE line (id int PRIMARY KEY, number int, twice int GENERATED ALWAYS AS (number * 2) VIRTUAL)"
    )
    install(engine, metadata)
    run(engine, "INSERT INTO line VALUES (1, 2)", "UPDATE line SET number = 3")
    assert recorded(engine, "line", "number") == [("I", 2), ("U", 3)]


@pytest.mark.parametrize("level", ["statement", "row"])
def test_a_virtual_column_that_was_declared_as_another_is_reported(
    engine: Engine, server: DatabaseServer, level: str
) -> None:
    """Triggers read null there: a history that says so without warning would be a lie (trap T14).

    ``Computed(...)`` alone comes to it, too: PostgreSQL 18 makes it virtual, and SQLAlchemy from 2.1 lets it.
    """
    if server.version < 18:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    metadata = MetaData()
    audited_table(
        metadata,
        "line",
        Column("id", Integer, primary_key=True),
        Column("number", Integer),
        Column("twice", Integer, Computed("number * 2")),
        options={"level": level},
    )
    run(
        engine, "CREATE TABLE line (id int PRIMARY KEY, number int, twice int GENERATED ALWAYS AS (number * 2) VIRTUAL)"
    )
    metadata.create_all(engine)
    [problem] = install_audit_triggers(metadata, engine).problems
    assert "virtual generated column twice: triggers cannot see its value" in str(problem)
    run(engine, "INSERT INTO line VALUES (1, 2)", "UPDATE line SET number = 3", "UPDATE line SET number = 3")
    assert recorded(engine, "line", "number", "twice") == [("I", 2, None), ("U", 3, None)]


class Email(TypeDecorator[str]):
    """A domain that the application looks at through a class of its own."""

    impl = DOMAIN
    cache_ok = True

    def __init__(self) -> None:
        super().__init__("email", Text(), not_null=True)


def test_a_decorated_domain_can_be_truncated(engine: Engine) -> None:
    """A truncate's row has no image; the domain's NOT NULL must not refuse it."""
    run(engine, "CREATE DOMAIN email AS text NOT NULL")
    metadata = MetaData()
    audited_table(metadata, "person", column("id", Integer, primary_key=True), column("email", Email()))
    install(engine, metadata)
    run(engine, "INSERT INTO person VALUES (1, 'a@b')", "TRUNCATE person")
    assert recorded(engine, "person", "email") == [("I", "a@b"), ("T", None)]


def test_a_domain_that_reached_the_history_is_found_and_can_be_replaced(engine: Engine) -> None:
    run(engine, "CREATE DOMAIN code AS varchar(9) NOT NULL")
    metadata = MetaData()
    audited_table(metadata, "part", column("id", Integer, primary_key=True), column("code", Native("code")))
    install(engine, metadata)
    (finding,) = check(metadata, engine)
    assert finding.code == "column-domain"
    assert finding.what == "column code of part_audit is of the domain code, whose constraints hold there too"
    run(engine, finding.fix.partition(", and")[0], "INSERT INTO part VALUES (1, 'a')", "TRUNCATE part")
    assert recorded(engine, "part", "code") == [("I", "a"), ("T", None)]
    assert check(metadata, engine) == ()


def test_a_domain_without_a_constraint_is_as_good_as_its_type(engine: Engine) -> None:
    run(engine, "CREATE DOMAIN code AS varchar(9)")
    metadata = MetaData()
    audited_table(metadata, "part", column("id", Integer, primary_key=True), column("code", Native("code")))
    install(engine, metadata)
    assert check(metadata, engine) == ()


def test_large_values(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(metadata, "doc", column("id", Integer, primary_key=True), column("body", Text))
    install(engine, metadata)
    run(
        engine,
        "INSERT INTO doc SELECT 1, string_agg(md5(n::text), '') FROM generate_series(1, 40000) AS n",
        "UPDATE doc SET body = body || 'x'",
        "UPDATE doc SET body = left(body, -1) || 'x'",
    )
    assert recorded(engine, "doc", "length(body)") == [("I", 1280000), ("U", 1280001)]


def test_two_hundred_columns(engine: Engine) -> None:
    metadata = MetaData()
    columns = [column(f"c{number}", Integer) for number in range(200)]
    audited_table(metadata, "wide", column("id", Integer, primary_key=True), *columns)
    install(engine, metadata)
    run(engine, "INSERT INTO wide (id, c199) VALUES (1, 5)", "UPDATE wide SET c0 = 1")
    assert recorded(engine, "wide", "c0", "c199") == [("I", None, 5), ("U", 1, 5)]
