"""Who and why, as the triggers see it: settings, roles, and the row of ``audit_transaction``."""

from __future__ import annotations

import datetime
import enum
import uuid
from typing import Any

import pytest
from sqlalchemy import ARRAY, Boolean, Column, DateTime, Engine, Enum, Integer, MetaData, String, Text, create_engine
from sqlalchemy.dialects.postgresql import INET, UUID
from sqlalchemy.exc import DBAPIError

from flask_pg_audit import AuditContextError, set_session_vars
from tests.capture import audited_table, column, execute, install, recorded, role, rows, run


def item_table(engine: Engine, **options: Any) -> None:
    """Install ``item (id, name)`` with ``options``."""
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True), column("name", Text), options=options)
    install(engine, metadata)


@pytest.fixture(params=["statement", "row"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


USERNAME = Column("username", String)
REQUIRED = Column("username", String, nullable=False)


def test_one_transaction_row_per_transaction_with_changes(engine: Engine, level: str) -> None:
    item_table(engine, level=level)
    with engine.begin() as connection:
        execute(connection, "INSERT INTO item VALUES (1), (2)")
        execute(connection, "UPDATE item SET name = 'x'")
        execute(connection, "DELETE FROM item")
    run(engine, "INSERT INTO item VALUES (3)")
    assert rows(engine, "SELECT id FROM audit_transaction ORDER BY id") == [(1,), (2,)]
    assert rows(engine, "SELECT audit_transaction_id, count(*) FROM item_audit GROUP BY 1 ORDER BY 1") == [
        (1, 6),
        (2, 1),
    ]


def test_what_changes_nothing_leaves_nothing(engine: Engine, level: str) -> None:
    item_table(engine, level=level)
    run(
        engine,
        "SELECT * FROM item",
        "UPDATE item SET name = 'x'",
        "DELETE FROM item",
        "INSERT INTO item SELECT 1 WHERE false",
        "CREATE TABLE other (id int)",
        "INSERT INTO other VALUES (1)",
    )
    run(engine, "INSERT INTO item VALUES (1, 'a')")
    run(engine, "UPDATE item SET name = 'a'")
    assert rows(engine, "SELECT count(*) FROM audit_transaction") == [(1,)]


def test_a_rolled_back_transaction_leaves_nothing(engine: Engine) -> None:
    item_table(engine)
    with engine.connect() as connection:
        execute(connection, "INSERT INTO item VALUES (1)")
        connection.rollback()
    assert rows(engine, "SELECT count(*) FROM audit_transaction") == [(0,)]


def test_savepoints_keep_the_grouping(engine: Engine, level: str) -> None:
    item_table(engine, level=level)
    with engine.begin() as connection:
        for statement in (
            "SAVEPOINT a",
            "INSERT INTO item VALUES (1)",
            "ROLLBACK TO SAVEPOINT a",  # takes the transaction's row with it
            "INSERT INTO item VALUES (2)",
            "SAVEPOINT b",
            "INSERT INTO item VALUES (3)",
            "RELEASE SAVEPOINT b",
            "SAVEPOINT c",
            "INSERT INTO item VALUES (4)",
            "ROLLBACK TO SAVEPOINT c",
            "INSERT INTO item VALUES (5)",
        ):
            execute(connection, statement)
    assert recorded(engine, "item", "id") == [("I", 2), ("I", 3), ("I", 5)]
    assert rows(
        engine, "SELECT count(*), (SELECT count(DISTINCT audit_transaction_id) FROM item_audit) FROM audit_transaction"
    ) == [(1, 1)]
    assert rows(engine, "SELECT id FROM audit_transaction") == rows(
        engine, "SELECT DISTINCT audit_transaction_id FROM item_audit"
    )


def test_the_transaction_row_tells_role_application_and_context(engine: Engine) -> None:
    item_table(engine)
    with engine.begin() as connection:
        execute(connection, "SET LOCAL application_name = 'nightly'")
        execute(
            connection,
            "SELECT set_config('audit.username', 'alice', true), set_config('audit.actor_id', '7', true), "
            "set_config('audit.context', '{\"reason\": \"test\"}', true)",
        )
        execute(connection, "INSERT INTO item VALUES (1)")
    assert rows(
        engine,
        "SELECT username, actor_id, db_role, application_name, context, continues, issued_at <= clock_timestamp() "
        "FROM audit_transaction",
    ) == [("alice", "7", engine.url.username, "nightly", {"reason": "test"}, None, True)]


def test_another_user_within_the_transaction_gets_a_row_that_continues_it(engine: Engine) -> None:
    item_table(engine, session_settings=[USERNAME])
    with engine.begin() as connection:
        for number, name in enumerate(["alice", "bob", "bob", None]):
            set_session_vars(connection, username=name)
            execute(connection, f"INSERT INTO item VALUES ({number})")
    assert rows(engine, "SELECT id, username, continues FROM audit_transaction ORDER BY id") == [
        (1, "alice", None),
        (2, "bob", 1),
        (3, None, 2),
    ]
    assert recorded(engine, "item", "audit_username", "audit_transaction_id") == [
        ("I", "alice", 1),
        ("I", "bob", 2),
        ("I", "bob", 2),
        ("I", None, 3),
    ]


def test_users_and_ids_that_run_together_stay_apart(engine: Engine) -> None:
    item_table(engine)
    with engine.begin() as connection:
        for number, (name, actor_id) in enumerate(
            [("ab", "c"), ("a", "bc"), ("abc", None), (None, "abc"), ("a/b", "c")]
        ):
            set_session_vars(connection, username=name, actor_id=actor_id)
            execute(connection, f"INSERT INTO item VALUES ({number})")
    assert rows(engine, "SELECT count(*) FROM audit_transaction") == [(5,)]


def test_the_packages_own_settings_left_in_the_session_are_not_believed(engine: Engine) -> None:
    item_table(engine)
    with engine.connect() as connection:
        execute(connection, "INSERT INTO item VALUES (1)")
        connection.commit()
        execute(connection, "SET audit.transaction_id = '1'")
        execute(connection, "SET audit.transaction_key = '1/0/0/'")
        connection.commit()
        execute(connection, "INSERT INTO item VALUES (2)")
        connection.commit()
    assert recorded(engine, "item", "audit_transaction_id") == [("I", 1), ("I", 2)]


def test_nothing_is_left_in_the_session(engine: Engine, level: str) -> None:
    """Poolers hand the session to somebody else: what the triggers remember ends with the transaction (trap T12)."""
    item_table(engine, level=level)
    with engine.connect() as connection:
        set_session_vars(connection, username="alice", actor_id=7)
        execute(connection, "INSERT INTO item VALUES (1)")
        connection.commit()
        names = ("username", "actor_id", "transaction_id", "transaction_key")
        left = ", ".join(f"current_setting('audit.{name}', true)" for name in names)
        assert not any(execute(connection, f"SELECT {left}").one())


def test_a_mandatory_setting_refuses_the_change_with_the_way_out(engine: Engine, level: str) -> None:
    item_table(engine, level=level, session_settings=[REQUIRED])
    for value in (None, ""):
        with engine.connect() as connection:
            set_session_vars(connection, username=value)
            with pytest.raises(AuditContextError) as error:
                execute(connection, "INSERT INTO item VALUES (1)")
            connection.rollback()
            for words in ('table "item"', '"audit.username" is not set', "set_session_vars(connection, username=...)"):
                assert words in str(error.value)
            assert isinstance(error.value.__cause__, Exception)
    assert rows(engine, "SELECT count(*) FROM item") == rows(engine, "SELECT count(*) FROM audit_transaction") == [(0,)]


def test_the_refusal_is_an_integrity_error_to_those_who_know_nothing_of_us(engine: Engine) -> None:
    item_table(engine, session_settings=[REQUIRED])
    with engine.connect() as connection, pytest.raises(AuditContextError) as error:
        execute(connection, "INSERT INTO item VALUES (1)")
    assert type(error.value.__cause__).__name__ == "NotNullViolation"


@pytest.mark.parametrize("statement", ["UPDATE item SET name = 'x'", "DELETE FROM item", "TRUNCATE item"])
def test_every_kind_of_change_needs_the_mandatory_setting(engine: Engine, statement: str) -> None:
    item_table(engine, session_settings=[REQUIRED])
    with engine.begin() as connection:
        set_session_vars(connection, username="alice")
        execute(connection, "INSERT INTO item VALUES (1)")
    with engine.connect() as connection, pytest.raises(AuditContextError):
        execute(connection, statement)


def test_statements_that_touch_no_row_need_nobody(engine: Engine, level: str) -> None:
    item_table(engine, level=level, session_settings=[REQUIRED])
    run(engine, "UPDATE item SET name = 'x'", "DELETE FROM item", "INSERT INTO item SELECT 1 WHERE false")


def test_each_missing_setting_is_named(engine: Engine) -> None:
    item_table(engine, session_settings=[REQUIRED, Column("tenant", Integer, nullable=False)])
    with engine.connect() as connection:
        set_session_vars(connection, username="alice")
        with pytest.raises(AuditContextError, match=r'"audit\.tenant" is not set'):
            execute(connection, "INSERT INTO item VALUES (1)")


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


SETTINGS: list[tuple[Column[Any], object, object]] = [
    (Column("app", UUID), uuid.UUID(int=5), uuid.UUID(int=5)),
    (Column("number", Integer), -3, -3),
    (Column("since", DateTime(timezone=True)), datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.timezone.utc), None),
    (Column("address", INET), "10.0.0.1/8", "10.0.0.1/8"),
    (Column("flag", Boolean), True, True),
    (Column("mood", Enum("good", "bad", name="mood", schema="types")), Mood.GOOD, "good"),
    (Column("tags", ARRAY(Text)), "{a,b}", ["a", "b"]),
    (Column("long_name_" + "x" * 47, Text), "x", "x"),
    (Column("user", Text), "reserved word", "reserved word"),
]


@pytest.mark.parametrize(("setting", "value", "expected"), SETTINGS, ids=lambda item: getattr(item, "name", ""))
def test_typed_settings_round_trip_and_empty_ones_are_null(
    engine: Engine, level: str, setting: Column[Any], value: object, expected: object
) -> None:
    run(engine, "CREATE SCHEMA types")
    item_table(engine, level=level, session_settings=[setting._copy()])
    with engine.connect() as connection:
        set_session_vars(connection, **{setting.name: value})
        execute(connection, "INSERT INTO item VALUES (1)")
        connection.commit()
        # The same connection, where the setting now reads '' (trap T6).
        execute(connection, "INSERT INTO item VALUES (2)")
        connection.commit()
    first, second = recorded(engine, "item", f'"audit_{setting.name}"')
    assert second == ("I", None)
    assert first[1] == (expected if expected is not None else value) or str(first[1]) == expected


def test_a_value_that_is_none_of_the_settings_type_fails_the_change(engine: Engine) -> None:
    item_table(engine, session_settings=[Column("number", Integer)])
    with engine.connect() as connection:
        set_session_vars(connection, number="seven")
        with pytest.raises(DBAPIError, match="seven"):
            execute(connection, "INSERT INTO item VALUES (1)")


@pytest.mark.superuser
def test_the_acting_role_is_right_after_set_role_and_in_definer_functions(engine: Engine, level: str) -> None:
    item_table(engine, level=level)
    grant = "GRANT INSERT, UPDATE, SELECT ON item TO {role}"
    with (
        role(engine, "clerk", grant) as clerk,
        role(engine, "robot", grant, "GRANT CREATE ON SCHEMA public TO {role}") as robot,
    ):
        run(engine, f"SET LOCAL ROLE {clerk}; INSERT INTO item VALUES (1)")
        logged_in = create_engine(engine.url.set(username=clerk))
        run(logged_in, "INSERT INTO item VALUES (2)")
        run(
            engine,
            f"SET LOCAL ROLE {robot}; CREATE FUNCTION add_item(int) RETURNS void LANGUAGE sql SECURITY DEFINER "
            "AS 'INSERT INTO item VALUES ($1)'",
        )
        run(logged_in, "SELECT add_item(3)")
        logged_in.dispose()
        assert recorded(engine, "item", "id", "audit_current_user") == [
            ("I", 1, clerk),
            ("I", 2, clerk),
            ("I", 3, clerk),
        ]
        assert rows(engine, "SELECT DISTINCT db_role FROM audit_transaction") == [(clerk,)]


@pytest.mark.superuser
def test_writers_need_no_rights_on_the_history_and_cannot_call_its_functions(engine: Engine) -> None:
    item_table(engine)
    with role(engine, "clerk", "GRANT INSERT ON item TO {role}") as clerk:
        weak = create_engine(engine.url.set(username=clerk))
        run(weak, "INSERT INTO item VALUES (1)")
        for statement in ("SELECT * FROM item_audit", "DELETE FROM item_audit", "SELECT audit_begin_transaction()"):
            with pytest.raises(DBAPIError, match="permission denied"):
                run(weak, statement)
        weak.dispose()
    assert recorded(engine, "item", "id") == [("I", 1)]
