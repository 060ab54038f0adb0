"""Audit tables of the models that people write: inheritance, associations, shared types, late columns."""

from __future__ import annotations

import enum
from typing import Any

import pytest
from sqlalchemy import (
    ARRAY,
    Column,
    Computed,
    Engine,
    Enum,
    ForeignKey,
    Identity,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    inspect,
)
from sqlalchemy.dialects.postgresql import DOMAIN, ENUM, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, declared_attr, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from flask_pg_audit import audited, enable, install_audit_triggers
from tests.capture import audited_table, column, install, recorded, rows, run
from tests.server import Database

enable()

SHARED = ("audit_maintenance", "audit_redaction", "audit_seal", "audit_seal_leaves", "audit_transaction")


def columns_on_server(engine: Engine, table: str) -> dict[str, str]:
    """The columns after the audit table's own, and their types as PostgreSQL writes them."""
    query = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        f"WHERE attrelid = '{table}'::regclass AND attnum > 5 AND NOT attisdropped ORDER BY attnum"
    )
    return {name: type_ for name, type_ in rows(engine, query)}


def test_columns_and_types_on_the_server(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(
        metadata,
        "person",
        column("id", Integer, primary_key=True, autoincrement=True),
        column("name", String(50), nullable=False, unique=True, server_default="x", index=True),
        column("amount", DOMAIN("amount", Numeric(10, 2), not_null=True, default="0")),
        column("mood", Enum("good", "bad", name="mood"), nullable=False),
        column("moods", ARRAY(Enum("good", "bad", name="mood"))),
        column("tags", ARRAY(Text), nullable=False),
        column("grid", ARRAY(Integer, dimensions=2)),
        column("size", Enum("s", "l", name="size", native_enum=False, create_constraint=True)),
        column("data", JSONB),
        Column("number", Integer, Identity(always=True)),
        Column("twice", Integer, Computed("id * 2", persisted=True)),
        Column("other_id", ForeignKey("other.code", ondelete="CASCADE")),
    )
    Table("other", metadata, Column("code", String(3), primary_key=True))
    install(engine, metadata)
    assert columns_on_server(engine, "person_audit") == {
        "id": "integer",
        "name": "character varying(50)",
        "amount": "numeric(10,2)",
        "mood": "mood",
        "moods": "mood[]",
        "tags": "text[]",
        "grid": "integer[]",
        "size": "character varying(1)",
        "data": "jsonb",
        "number": "integer",
        "twice": "integer",
        "other_id": "character varying(3)",
    }
    attributes = (
        "SELECT bool_or(atthasdef), bool_or(attidentity <> ''), bool_or(attgenerated <> ''), bool_or(attnotnull) "
        "FROM pg_attribute WHERE attrelid = 'person_audit'::regclass AND attnum > 5"
    )
    assert rows(engine, attributes) == [(False, False, False, False)]
    kinds = "SELECT string_agg(contype::text, '') FROM pg_constraint WHERE conrelid = 'person_audit'::regclass"
    assert rows(engine, f"{kinds} AND contype <> 'n'") == [("p",)]
    run(engine, "INSERT INTO person (mood, tags, moods) VALUES ('bad', '{}', '{good,bad}')")
    assert recorded(engine, "person", "amount::text", "mood", "number", "twice") == [("I", "0.00", "bad", 1, 2)]


def test_the_indexes_of_an_audit_table(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(
        metadata, "line", column("order_id", Integer, primary_key=True), column("position", Integer, primary_key=True)
    )
    audited_table(metadata, "keyless", column("a", Integer))
    install(engine, metadata)
    indexes = (
        "SELECT tablename, substring(indexdef from 'USING .*') FROM pg_indexes "
        "WHERE tablename IN ('line_audit', 'keyless_audit') ORDER BY 1, 2"
    )
    assert rows(engine, indexes) == [
        ("keyless_audit", "USING brin (audit_operation_timestamp) WITH (autosummarize='on')"),
        ("keyless_audit", "USING btree (audit_transaction_id, audit_id)"),
        ("line_audit", "USING brin (audit_operation_timestamp) WITH (autosummarize='on')"),
        ("line_audit", "USING btree (audit_transaction_id, audit_id)"),
        ("line_audit", 'USING btree (order_id, "position", audit_id)'),
    ]


def test_audit_transaction_and_the_sequence(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True))
    install(engine, metadata)
    query = (
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'audit_transaction'::regclass AND attnum > 0"
    )
    assert dict(rows(engine, query)) == {
        "id": "bigint",
        "issued_at": "timestamp with time zone",
        "username": "text",
        "actor_id": "text",
        "db_role": "character varying(64)",
        "application_name": "text",
        "client_addr": "inet",
        "context": "jsonb",
        "continues": "bigint",
    }
    assert rows(
        engine, "SELECT format_type(seqtypid, NULL) FROM pg_sequence WHERE seqrelid::regclass::text = 'audit_id_seq'"
    ) == [("bigint",)]


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Upper(TypeDecorator[str]):
    impl = String(20)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        return value and value.upper()


def test_orm_models_with_inheritance_mixins_and_associations(engine: Engine) -> None:
    class Base(DeclarativeBase):
        pass

    class Stamped:
        note: Mapped[str | None] = mapped_column(Upper)

        @declared_attr
        def created_by_id(cls) -> Mapped[int | None]:
            return mapped_column(ForeignKey("person.id"))

    class Person(Stamped, Base):
        __tablename__ = "person"
        __table_args__: Any = (UniqueConstraint("name"), {"info": audited()})
        id: Mapped[int] = mapped_column(primary_key=True)
        name: Mapped[str] = mapped_column(String(20))
        kind: Mapped[str]
        mood: Mapped[Mood | None]
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "person"}  # noqa: RUF012

    class Singer(Person):
        """Shares the table: its column comes to a table that is declared already."""

        voice: Mapped[str | None]
        band_mood: Mapped[Mood | None] = mapped_column(use_existing_column=True)
        __mapper_args__ = {"polymorphic_identity": "singer"}  # noqa: RUF012

    class Driver(Person):
        """Has a table of its own."""

        __tablename__ = "driver"
        __table_args__ = {"info": audited()}  # noqa: RUF012
        id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
        licence: Mapped[str]
        __mapper_args__ = {"polymorphic_identity": "driver"}  # noqa: RUF012

    membership = Table(
        "membership",
        Base.metadata,
        Column("person_id", ForeignKey("person.id"), primary_key=True),
        Column("club_id", ForeignKey("club.id"), primary_key=True),
        info=audited(),
    )

    class Club(Base):
        __tablename__ = "club"
        id: Mapped[int] = mapped_column(primary_key=True)
        members: Mapped[list[Person]] = relationship(secondary=membership)

    install(engine, Base.metadata)
    with Session(engine) as session, session.begin():
        singer = Singer(name="Ana", voice="alto", mood=Mood.GOOD, note="x")
        session.add_all([Club(id=7, members=[singer]), Driver(name="Bo", licence="B")])
    assert recorded(engine, "person", "name", "kind", "voice", "mood", "note") == [
        ("I", "Ana", "singer", "alto", "GOOD", "X"),
        ("I", "Bo", "driver", None, None, None),
    ]
    assert recorded(engine, "driver", "id", "licence") == [("I", 2, "B")]
    assert recorded(engine, "membership", "person_id", "club_id") == [("I", 1, 7)]
    with Session(engine) as session, session.begin():
        session.get_one(Singer, 1).voice = "mezzo"
        club = session.get_one(Club, 7)
        club.members.clear()
    assert recorded(engine, "person", "voice")[2:] == [("U", "mezzo")]
    assert recorded(engine, "membership", "club_id")[1:] == [("D", 7)]
    assert install_audit_triggers(Base.metadata, engine).actions == ()


@pytest.mark.parametrize("convention", ["%(table_name)s_audit", "a_%(table_name)s"])
@pytest.mark.parametrize("kind", ["of the column", "of the metadata", "shared", "made elsewhere", "array"])
def test_create_all_and_drop_all_with_enums(engine: Engine, kind: str, convention: str) -> None:
    metadata = MetaData(naming_convention={"audit.table": convention})
    mood: Enum = Enum("good", "bad", name="mood", metadata=metadata if kind == "of the metadata" else None)
    if kind == "made elsewhere":
        run(engine, "CREATE TYPE mood AS ENUM ('good', 'bad')")
        mood = ENUM("good", "bad", name="mood", create_type=False)
    type_ = ARRAY(mood) if kind == "array" else mood
    audited_table(metadata, "person", column("id", Integer, primary_key=True), Column("mood", type_))
    if kind == "shared":
        audited_table(metadata, "animal", column("id", Integer, primary_key=True), Column("mood", mood))
    for _ in range(2):
        install(engine, metadata)
        value = "{good}" if kind == "array" else "good"
        run(engine, f"INSERT INTO person VALUES (1, '{value}')")
        name = convention % {"table_name": "person"}
        assert rows(engine, f"SELECT mood::text FROM {name}") == [(value,)]
        # What create_all() did not make it does not drop: the functions go with an uninstallation.
        metadata.drop_all(engine)
        assert inspect(engine).get_table_names() == []
        assert rows(engine, "SELECT count(*) FROM pg_type WHERE typname = 'mood'") == [(kind == "made elsewhere",)]
        assert rows(engine, "SELECT count(*) FROM pg_class WHERE relname = 'audit_id_seq'") == [(0,)]


def test_create_all_makes_what_is_there_already_no_second_time(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(metadata, "person", column("id", Integer, primary_key=True), column("m", Enum("a", name="mood")))
    metadata.create_all(engine)
    metadata.create_all(engine)
    install(engine, metadata)
    run(engine, "INSERT INTO person VALUES (1, 'a')")
    assert recorded(engine, "person", "m") == [("I", "a")]


def test_a_column_appended_later_takes_its_place_with_its_key_and_type(engine: Engine) -> None:
    metadata = MetaData()
    table = audited_table(metadata, "person", column("id", Integer, primary_key=True), options={"exclude": []})
    table.append_column(Column("Full Name", String(9), key="name", nullable=False))
    table.append_column(Column("later_id", ForeignKey("later.id")))
    Table("later", metadata, Column("id", String(5), primary_key=True))
    audit_table = metadata.tables["person_audit"]
    assert audit_table.c.name.name == "Full Name"
    assert audit_table.c.name.nullable
    install(engine, metadata)
    assert columns_on_server(engine, "person_audit") == {
        "id": "integer",
        "Full Name": "character varying(9)",
        "later_id": "character varying(5)",
    }


def test_foreign_keys_to_foreign_keys_declared_in_any_order(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(metadata, "c", Column("b_id", ForeignKey("b.a_id"), primary_key=True))
    audited_table(metadata, "b", Column("a_id", ForeignKey("a.id"), primary_key=True))
    audited_table(metadata, "a", column("id", String(4), primary_key=True), Column("parent", ForeignKey("a.id")))
    install(engine, metadata)
    for table, name in (("a", "parent"), ("b", "a_id"), ("c", "b_id")):
        assert columns_on_server(engine, f"{table}_audit")[name] == "character varying(4)"


def test_a_table_without_columns_but_its_key(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(metadata, "tag", column("name", Text, primary_key=True))
    install(engine, metadata)
    run(engine, "INSERT INTO tag VALUES ('a')", "UPDATE tag SET name = 'b'", "DELETE FROM tag")
    # The two halves of a changed key are one statement; their order is no promise.
    changes = recorded(engine, "tag", "name")
    assert (changes[0], sorted(changes[1:3]), changes[3:]) == (("I", "a"), [("D", "a"), ("I", "b")], [("D", "b")])


def test_extend_existing_does_not_declare_twice(engine: Engine) -> None:
    metadata = MetaData()
    for columns in ((column("name", Text),), (column("note", Text),)):
        audited_table(metadata, "person", column("id", Integer, primary_key=True), *columns, extend_existing=True)
    assert set(metadata.tables) == {"person", "person_audit", *SHARED}
    install(engine, metadata)
    run(engine, "INSERT INTO person VALUES (1, 'a', 'b')")
    assert recorded(engine, "person", "name", "note") == [("I", "a", "b")]


def test_a_removed_and_redeclared_table(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(metadata, "person", column("id", Integer, primary_key=True))
    metadata.clear()
    audited_table(metadata, "person", column("id", Integer, primary_key=True), column("name", Text))
    install(engine, metadata)
    run(engine, "INSERT INTO person VALUES (1, 'a')")
    assert recorded(engine, "person", "name") == [("I", "a")]


def test_reflected_tables_can_be_audited(engine: Engine) -> None:
    run(engine, "CREATE TYPE mood AS ENUM ('good')", "CREATE TABLE old (id serial PRIMARY KEY, m mood, d int[])")
    metadata = MetaData()
    Table("old", metadata, autoload_with=engine, info=audited(exclude=["d"]))
    install_audit_triggers(metadata, engine)
    run(engine, "INSERT INTO old (m) VALUES ('good')")
    assert recorded(engine, "old", "id", "m") == [("I", 1, "good")]
    assert install_audit_triggers(metadata, engine).actions == ()


def test_a_whole_database_with_history_can_be_reflected(engine: Engine, database: Database) -> None:
    metadata = MetaData()
    audited_table(metadata, "person", column("id", Integer, primary_key=True))
    install(engine, metadata)
    reflected = MetaData()
    other = create_engine(database.url())
    reflected.reflect(other)
    other.dispose()
    assert set(reflected.tables) == {"person", "person_audit", *SHARED}
