"""History that follows: renamed tables, other schemas and conventions; and numbers that never begin again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Engine, Enum, Integer, MetaData, Text

from flask_pg_audit import AuditInstallError, install_audit_triggers, set_session_vars, uninstall_audit_triggers
from flask_pg_audit.database.action import Plan
from flask_pg_audit.declare.registry import set_audit_schema
from tests.capture import audited_table, column, execute, install, recorded, rows, run


def item(convention: dict[str, str] | None = None, table: str = "item", **options: Any) -> MetaData:
    metadata = MetaData(naming_convention=convention)
    audited_table(metadata, table, column("id", Integer, primary_key=True), column("name", Text), options=options)
    return metadata


def in_schema(schema: str, **options: Any) -> MetaData:
    metadata = item(**options)
    set_audit_schema(metadata, schema)
    return metadata


def actions(plan: Plan) -> list[str]:
    return [str(action) for action in plan.actions]


def settled(engine: Engine, metadata: MetaData) -> bool:
    plan = install_audit_triggers(metadata, engine)
    return (plan.actions, plan.problems) == ((), ())


def numbers(engine: Engine, table: str) -> list[tuple[Any, ...]]:
    return rows(engine, f"SELECT audit_transaction_id, audit_id, id FROM {table} ORDER BY audit_id")


def test_another_audit_schema_takes_the_numbering_along(engine: Engine) -> None:
    install(engine, item())
    run(engine, "INSERT INTO item VALUES (1)", "INSERT INTO item VALUES (2)")
    metadata = in_schema("auditing")
    done = actions(install_audit_triggers(metadata, engine))
    assert "move table audit_transaction to auditing.audit_transaction (AUDIT_SCHEMA)" in done
    assert "move sequence audit_id_seq to auditing.audit_id_seq (AUDIT_SCHEMA)" in done
    run(engine, "INSERT INTO item VALUES (3)")
    assert numbers(engine, "item_audit") == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
    assert rows(engine, "SELECT id FROM auditing.audit_transaction ORDER BY id") == [(1,), (2,), (3,)]
    assert rows(engine, "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == []
    assert settled(engine, metadata)


def test_an_audit_schema_that_serves_others_too_is_not_left(engine: Engine) -> None:
    other = MetaData()
    audited_table(other, "order", column("id", Integer, primary_key=True))
    install(engine, item())
    install(engine, other)
    run(engine, "INSERT INTO item VALUES (1)")
    with pytest.raises(AuditInstallError) as error:
        install_audit_triggers(in_schema("auditing"), engine)
    assert str(error.value) == (
        "AUDIT_SCHEMA is auditing now, but audit_transaction also serves tables that this application does not audit: "
        "order; set AUDIT_SCHEMA back to 'public', or stop auditing those tables first"
    )
    run(engine, "INSERT INTO item VALUES (2)", 'INSERT INTO "order" VALUES (1)')
    assert len(recorded(engine, "item")) == 2


def test_another_schema_name_takes_the_history_along(engine: Engine) -> None:
    install(engine, item())
    run(engine, "INSERT INTO item VALUES (1)")
    metadata = item(schema_name="history")
    assert "move table item_audit to history.item_audit (the history of item)" in actions(
        install_audit_triggers(metadata, engine)
    )
    run(engine, "INSERT INTO item VALUES (2)")
    assert [row[2] for row in numbers(engine, "history.item_audit")] == [1, 2]
    assert settled(engine, metadata)


def test_another_convention_renames_the_history_with_its_indexes(engine: Engine) -> None:
    install(engine, item())
    run(engine, "INSERT INTO item VALUES (1)")
    metadata = item({"audit.table": "%(table_name)s_log", "pk": "pk_%(table_name)s"})
    assert "rename table item_audit to item_log (the history of item)" in actions(
        install_audit_triggers(metadata, engine)
    )
    run(engine, "INSERT INTO item VALUES (2)")
    assert [row[2] for row in numbers(engine, "item_log")] == [1, 2]
    assert rows(engine, "SELECT indexname FROM pg_indexes WHERE tablename = 'item_log' ORDER BY 1") == [
        ("ix_item_log_key",),
        ("ix_item_log_time",),
        ("pk_item_log",),
    ]
    assert settled(engine, metadata)


def test_a_table_moved_to_another_schema_and_renamed(engine: Engine) -> None:
    install(engine, item())
    run(
        engine,
        "INSERT INTO item VALUES (1)",
        "CREATE SCHEMA shop",
        "ALTER TABLE item SET SCHEMA shop",
        "ALTER TABLE shop.item RENAME TO thing",
    )
    metadata = MetaData()
    columns = [column("id", Integer, primary_key=True), column("name", Text), column("colour", Text)]
    audited_table(metadata, "thing", *columns, schema="shop")
    set_audit_schema(metadata, "public")
    run(engine, "ALTER TABLE shop.thing ADD COLUMN colour text")
    install_audit_triggers(metadata, engine)
    run(engine, "INSERT INTO shop.thing VALUES (2, 'b', 'red')")
    assert [row[2] for row in numbers(engine, "shop.thing_audit")] == [1, 2]
    assert rows(engine, "SELECT colour FROM shop.thing_audit ORDER BY audit_id") == [(None,), ("red",)]
    assert settled(engine, metadata)


def test_two_tables_that_swap_names_do_not_swap_histories(engine: Engine) -> None:
    """Neither history can take the other's name by itself, so nothing is done until somebody has seen to it."""
    metadata = item()
    audited_table(metadata, "order", column("id", Integer, primary_key=True), column("name", Text))
    install(engine, metadata)
    run(engine, "INSERT INTO item VALUES (1, 'i')", "INSERT INTO \"order\" VALUES (2, 'o')")
    swap = "ALTER TABLE {0} RENAME TO x; ALTER TABLE {1} RENAME TO {0}; ALTER TABLE x RENAME TO {1}"
    run(engine, swap.format("item", '"order"'))
    with pytest.raises(AuditInstallError, match="the tables have taken over each other's names: flask audit uninstall"):
        install_audit_triggers(metadata, engine)
    uninstall_audit_triggers(metadata, engine)
    run(engine, swap.format("item_audit", "order_audit"))
    install_audit_triggers(metadata, engine)
    run(engine, "UPDATE item SET name = 'x'")
    assert recorded(engine, "item", "id") == [("I", 2), ("U", 2)]
    assert recorded(engine, "order", "id") == [("I", 1)]


@pytest.mark.parametrize("lost", ["SEQUENCE audit_id_seq", "TABLE audit_transaction"])
def test_numbers_go_on_when_what_gave_them_is_lost(engine: Engine, lost: str) -> None:
    metadata = item()
    audited_table(metadata, "order", column("id", Integer, primary_key=True))
    install(engine, metadata)
    run(engine, *(f"INSERT INTO item VALUES ({number})" for number in range(3)), 'INSERT INTO "order" VALUES (1)')
    run(engine, f"DROP {lost}")
    assert any("(lost)" in action for action in actions(install_audit_triggers(metadata, engine)))
    run(engine, "INSERT INTO item VALUES (9)")
    assert numbers(engine, "item_audit")[-1] == (5, 5, 9)
    assert settled(engine, metadata)


def test_a_setting_of_an_enum_type_that_comes_later(engine: Engine) -> None:
    install(engine, item())
    run(engine, "INSERT INTO item VALUES (1)")
    channel: Column[Any] = Column("channel", Enum("web", "phone", name="channel"))
    metadata = item(session_settings=[channel])
    done = actions(install_audit_triggers(metadata, engine))
    assert done[:2] == [
        "create type channel (session setting)",
        "add column audit_channel to item_audit (session setting)",
    ]
    with engine.begin() as connection:
        set_session_vars(connection, channel="web")
        execute(connection, "INSERT INTO item VALUES (2)")
    assert recorded(engine, "item", "audit_channel") == [("I", None), ("I", "web")]
    assert settled(engine, metadata)


def test_the_script_makes_the_type_of_a_setting(engine: Engine) -> None:
    metadata = item(session_settings=[Column("channel", Enum("web", "phone", name="channel"))])
    metadata.tables["item"].create(engine)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(2):
            execute(connection, install_audit_triggers(metadata))
    assert settled(engine, metadata)


def test_the_script_does_not_depend_on_the_search_path(engine: Engine) -> None:
    metadata = item()
    metadata.tables["item"].create(engine)
    run(engine, "CREATE SCHEMA mine")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        execute(connection, "SET search_path = mine")
        execute(connection, install_audit_triggers(metadata))
        connection.invalidate()
    assert settled(engine, metadata)


def test_a_dropped_function_is_gone_with_the_last_trigger_that_called_it(engine: Engine) -> None:
    install(engine, item())
    metadata = item({"audit.function": "f_%(table_name)s", "audit.trigger": "t_%(table_name)s"})
    install_audit_triggers(metadata, engine)
    functions = "SELECT proname FROM pg_proc WHERE prosrc LIKE '%flask_pg_audit%' AND proname ~ 'item'"
    assert rows(engine, functions) == [("f_item",)]
    assert settled(engine, metadata)
