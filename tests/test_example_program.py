"""The program that the library this one grew out of documents: its meaning, step by step."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Engine, MetaData, String, Table, create_engine, inspect
from sqlalchemy.dialects.postgresql import UUID
from sqlalchemy.util import immutabledict

import flask_pg_audit
from tests.capture import execute, rows
from tests.server import Database

NAMING_CONVENTIONS = immutabledict(
    {
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
        "audit.table": "%(table_name)s_audr",
    }
)


@pytest.fixture(params=["psycopg2", "psycopg"])
def engine(request: pytest.FixtureRequest, database: Database) -> Iterator[Engine]:
    """The program, run."""
    flask_pg_audit.enable()
    meta = MetaData(naming_convention=NAMING_CONVENTIONS)
    Table("bar", meta, Column("foo", String), info={"audit.options": {"enabled": True}})
    Table(
        "foo",
        meta,
        Column("bar", String),
        Column("baz", String),
        info={
            "audit.options": {
                "enabled": True,
                "session_settings": [Column("username", String, nullable=False), Column("app_uuid", UUID)],
            }
        },
    )
    engine = create_engine(database.url(request.param))
    meta.create_all(engine)
    flask_pg_audit.install_audit_triggers(meta, engine)
    yield engine
    engine.dispose()


def test_the_audit_tables_exist_beside_tables_without_a_key(engine: Engine) -> None:
    names = set(inspect(engine).get_table_names())
    assert {"foo", "bar", "foo_audr", "bar_audr"} <= names
    assert inspect(engine).get_pk_constraint("foo")["constrained_columns"] == []


@pytest.mark.parametrize("username", [None, ""])
def test_without_the_mandatory_username_a_change_fails_and_nothing_is_stored(
    engine: Engine, username: str | None
) -> None:
    with engine.connect() as connection:
        if username is not None:
            flask_pg_audit.set_session_vars(connection, username=username)
        with pytest.raises(flask_pg_audit.AuditContextError, match=r'"foo".*"audit\.username"'):
            execute(connection, "INSERT INTO foo VALUES ('a', 'b')")
        connection.rollback()
    assert rows(engine, "SELECT (SELECT count(*) FROM foo), (SELECT count(*) FROM foo_audr)") == [(0, 0)]


def test_with_the_username_the_change_goes_through(engine: Engine) -> None:
    with engine.connect() as connection:
        flask_pg_audit.set_session_vars(connection, username="bob", app_uuid=uuid.UUID(int=1))
        execute(connection, "INSERT INTO foo VALUES ('a', 'b')")
        connection.commit()
        # The same connection: what the first transaction set is gone.
        flask_pg_audit.set_session_vars(connection, username="carol")
        execute(connection, "INSERT INTO foo VALUES ('c', 'd')")
        connection.commit()
    assert rows(engine, "SELECT bar, audit_username, audit_app_uuid FROM foo_audr ORDER BY audit_id") == [
        ("a", "bob", uuid.UUID(int=1)),
        ("c", "carol", None),
    ]


def test_images_operation_time_and_role(engine: Engine) -> None:
    with engine.begin() as connection:
        for statement in ("INSERT INTO bar VALUES ('a')", "UPDATE bar SET foo = 'b'", "DELETE FROM bar"):
            execute(connection, statement)
    assert rows(
        engine,
        "SELECT audit_operation, foo, audit_current_user = current_user, "
        "audit_operation_timestamp BETWEEN now() - interval '1 minute' AND now() FROM bar_audr ORDER BY audit_id",
    ) == [("I", "a", True, True), ("U", "b", True, True), ("D", "b", True, True)]
