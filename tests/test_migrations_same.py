"""Two ways to the same database: what revisions build is what ``create_all()`` and ``flask audit install`` build."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import (
    ARRAY,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    Enum,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import INET, JSONB, TSTZRANGE

from flask_pg_audit import audited, mask
from tests.catalog import Catalog
from tests.revisions import Models, Project, note

SCHEMAS = {"include_schemas": True}
CONVENTION = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


def types(db: SQLAlchemy) -> None:
    """A column of everything."""
    db.Table(
        "item",
        Column("id", Uuid, primary_key=True),
        Column("name", String(20), nullable=False, index=True, unique=True, comment="what it's called"),
        Column("price", Numeric(9, 2), server_default="1"),
        Column("twice", Numeric(9, 2), Computed("price * 2", persisted=True)),
        Column("state", Enum("new", "old", name="state")),
        Column("tags", ARRAY(String(9))),
        Column("data", JSONB, server_default="{}"),
        Column("photo", LargeBinary),
        Column("sold", Boolean),
        Column("made_at", DateTime(timezone=True)),
        Column("valid", TSTZRANGE),
        Column("address", INET),
        Column("secret", Text),
        CheckConstraint("price > 0", name="positive"),
        info=audited(exclude=["secret"], session_settings=[Column("shop", Integer), Column("app", Uuid)]),
        comment="all there is to sell",
    )


def references(db: SQLAlchemy) -> None:
    """Keys of every kind."""
    db.Table("owner", Column("id", Integer, primary_key=True), Column("name", Text), info=audited())
    db.Table(
        "part",
        Column("owner_id", ForeignKey("owner.id"), primary_key=True),
        Column("number", Integer, primary_key=True),
        Column("text", Text),
        UniqueConstraint("text"),
        Index("part_text", "text"),
        info=audited(level="row", skip_unchanged=False),
    )
    db.Table("keyless", Column("text", Text), info=audited())
    db.Table("plain", Column("id", Integer, primary_key=True))


def several_schemas(db: SQLAlchemy) -> None:
    db.Table("note", Column("id", Integer, primary_key=True), Column("text", Text), info=audited(schema_name="history"))
    for schema in ("shop", "Dotted.schema"):
        columns = (Column("id", Integer, primary_key=True), Column("text", Text))
        db.Table("note", *columns, schema=schema, info=audited())


def quoted(db: SQLAlchemy) -> None:
    names = ("user", "Order", 'we"ird', "naïve table", "a%b", "100%%", "with:colon", "%(x)s", "x" * 63)
    for name in names:
        key = Column("id %(a)s :b", Integer, primary_key=True)
        db.Table(name, key, Column("%", Text), Column("text", Text), info=audited())


def masked(db: SQLAlchemy) -> None:
    """Masks that fit, and masks that are text in the history."""
    db.Table(
        "card",
        Column("id", Integer, primary_key=True),
        Column("name", Text),
        Column("pin", Integer),
        Column("iban", String(34)),
        Column("born", Date),
        info=audited(mask={"name": "fixed", "pin": mask.partial(0, 2), "iban": "keyed", "born": "fixed"}),
    )


def partitioned(db: SQLAlchemy) -> None:
    columns = (Column("id", Integer, primary_key=True), Column("day", Date, primary_key=True), Column("text", Text))
    db.Table("event", *columns, info=audited(), postgresql_partition_by="RANGE (day)")


CASES = [
    pytest.param(types, {}, id="types"),
    pytest.param(types, {"naming": CONVENTION}, id="types with a naming convention"),
    pytest.param(types, {"AUDIT_REQUIRE_USERNAME": True}, id="a mandatory setting"),
    pytest.param(references, {}, id="keys"),
    pytest.param(references, {"naming": CONVENTION}, id="keys with a naming convention"),
    pytest.param(note(schema_name="history"), {"migrate": SCHEMAS}, id="history in a schema"),
    pytest.param(note(), {"migrate": SCHEMAS, "AUDIT_SCHEMA": "Audit trail"}, id="AUDIT_SCHEMA"),
    pytest.param(note(), {"AUDIT_SCHEMA": "audit"}, id="AUDIT_SCHEMA and Alembic looks at one"),
    pytest.param(several_schemas, {"migrate": SCHEMAS}, id="several schemas"),
    pytest.param(quoted, {}, id="names"),
    pytest.param(partitioned, {}, id="a partitioned table"),
    pytest.param(masked, {}, id="masks"),
    pytest.param(masked, {"AUDIT_SCHEMA": "audit"}, id="masks, and keys in a schema"),
]


def prepared(project: Project) -> None:
    """Schemas of audited tables are the developer's."""
    project.run('CREATE SCHEMA shop; CREATE SCHEMA "Dotted.schema"')


@pytest.mark.parametrize(("models", "arguments"), CASES)
def test_revisions_build_what_create_all_and_install_build(
    project: Project, production: Project, models: Models, arguments: dict[str, Any]
) -> None:
    prepared(project)
    by_revision = project.start(models, **arguments)
    by_revision.is_settled()

    prepared(production)
    installed = production.version(models, **arguments)
    for schema in {table.schema for table in installed.db.metadata.tables.values()} - {None}:
        production.run(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    with installed.app.app_context():
        installed.db.create_all()
    installed.flask("audit", "install")
    assert differences(production.catalog, project.catalog) == {}
    installed.flask("db", "stamp", "head")
    installed.is_settled()


def differences(one: Catalog, other: Catalog) -> dict[str, tuple[str | None, str | None]]:
    names = one.keys() | other.keys()
    return {name: (one.get(name), other.get(name)) for name in sorted(names) if one.get(name) != other.get(name)}


@pytest.mark.parametrize(
    ("models", "arguments"), [case for case in CASES if case.id not in ("names", "a mandatory setting")]
)
def test_the_script_builds_what_revisions_build(
    project: Project, production: Project, models: Models, arguments: dict[str, Any]
) -> None:
    """``flask db upgrade --sql``, run byte for byte."""
    prepared(project)
    one = project.start(models, **arguments)
    prepared(production)
    production.run(one.sql("upgrade"))
    assert differences(production.catalog, project.catalog) == {}
    (revision,) = project.revisions
    one.downgrade()
    production.run(one.sql("downgrade", f"{revision.stem.split('_')[0]}:base"))
    assert differences(production.catalog, project.catalog) == {}


def test_strange_names_are_recorded(project: Project) -> None:
    one = project.start(quoted)
    for name in one.db.metadata.tables:
        table = one.db.metadata.tables[name]
        if "audit.is_audited" in table.info:
            with project.engine.begin() as connection:
                connection.execute(table.insert().values(text="a"))
                connection.execute(table.update().values(text="b"))
    for name, table in one.db.metadata.tables.items():
        if "audit.is_audit_table" in table.info:
            with project.engine.connect() as connection:
                assert connection.scalars(table.select().with_only_columns(table.c.text)).all() == ["a", "b"], name
    one.downgrade()
    assert project.programs == {}
    one.upgrade()
    one.is_settled()


def skip_partitions(name: str | None, type_: str, parents: object) -> bool:
    """What users of partitions have in their env.py: partitions are not in the models."""
    return type_ != "table" or not str(name).startswith("event_")


def unaudited(db: SQLAlchemy) -> None:
    columns = (Column("id", Integer, primary_key=True), Column("day", Date, primary_key=True), Column("text", Text))
    db.Table("event", *columns, postgresql_partition_by="RANGE (day)")


@pytest.mark.parametrize("level", ["statement", "row"])
def test_partitions_are_looked_for_where_the_revision_runs(project: Project, production: Project, level: Any) -> None:
    def event(db: SQLAlchemy) -> None:
        columns = (Column("id", Integer, primary_key=True), Column("day", Date, primary_key=True), Column("text", Text))
        db.Table("event", *columns, info=audited(level=level), postgresql_partition_by="RANGE (day)")

    options = {"include_name": skip_partitions}
    project.start(unaudited, migrate=options)
    production.version(unaudited, migrate=options).upgrade()
    project.run("CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
    production.run(
        "CREATE TABLE event_2030 PARTITION OF event FOR VALUES FROM ('2030-01-01') TO ('2031-01-01') "
        "PARTITION BY RANGE (day)",
        "CREATE TABLE event_2030_first PARTITION OF event_2030 FOR VALUES FROM ('2030-01-01') TO ('2030-07-01')",
        "CREATE TABLE \"event_2031 100%\" PARTITION OF event FOR VALUES FROM ('2031-01-01') TO ('2032-01-01')",
    )
    one = project.version(event, migrate=options)
    revision = one.migrate_and_upgrade()
    assert "event_2024" not in revision.read_text()
    later = production.version(event, migrate=options)
    later.upgrade()
    later.is_settled()
    production.run(
        "INSERT INTO event VALUES (1, '2030-02-02', 'parent')",
        "INSERT INTO event_2030 VALUES (2, '2030-02-02', 'partition')",
        "INSERT INTO event_2030_first VALUES (3, '2030-02-02', 'leaf')",
        "INSERT INTO \"event_2031 100%\" VALUES (4, '2031-02-02', 'other')",
        "TRUNCATE event_2030_first",
    )
    assert production.rows("SELECT audit_operation, text, day FROM event_audit WHERE id = 4") == [
        ("I", "other", date(2031, 2, 2))
    ]
    assert production.rows("SELECT audit_operation, id FROM event_audit WHERE id < 4 ORDER BY audit_id") == [
        ("I", 1),
        ("I", 2),
        ("I", 3),
        ("D", 1),
        ("D", 2),
        ("D", 3),
    ]
    later.downgrade()
    assert production.programs == {}
    production.run("INSERT INTO event_2030_first VALUES (5, '2030-02-02', 'unseen')")
    later.upgrade()
    later.is_settled()
    assert production.rows("SELECT count(*) FROM event_audit WHERE id = 5") == [(0,)]


def test_a_partition_that_came_later(project: Project) -> None:
    """The next revision brings it its triggers, as an installation would."""
    options = {"include_name": skip_partitions}
    one = project.start(partitioned, migrate=options)
    project.run("CREATE TABLE event_2024 PARTITION OF event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')")
    revision = one.migrate_and_upgrade()
    assert "event_2024" not in revision.read_text()
    project.run("INSERT INTO event_2024 VALUES (1, '2024-02-02', 'a')")
    assert project.rows("SELECT audit_operation, text FROM event_audit") == [("I", "a")]
    one.downgrade()
    one.upgrade()
    one.is_settled()
