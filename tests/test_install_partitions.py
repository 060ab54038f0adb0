"""Installing on partitioned tables: partitions come, go, change their level and are tampered with (trap T3)."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, Integer, MetaData

from flask_pg_audit import install_audit_triggers, uninstall_audit_triggers
from tests.capture import audited_table, column, recorded, rows, run

LEVELS = pytest.mark.parametrize("level", ["statement", "row"])


def event(level: str) -> MetaData:
    metadata = MetaData()
    audited_table(metadata, "event", column("id", Integer, primary_key=True), options={"level": level})
    return metadata


def install(engine: Engine, level: str) -> list[str]:
    """Install at ``level`` and say what was done; nothing is left to do."""
    metadata = event(level)
    done = [str(action) for action in install_audit_triggers(metadata, engine).actions]
    assert install_audit_triggers(metadata, engine).actions == ()
    return done


@pytest.fixture
def events(engine: Engine) -> Engine:
    """``event`` with the partitions ``low`` and ``high``; nothing installed."""
    run(
        engine,
        "CREATE TABLE event (id int PRIMARY KEY) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF event FOR VALUES FROM (1) TO (10)",
        "CREATE TABLE high PARTITION OF event FOR VALUES FROM (10) TO (100)",
    )
    return engine


@LEVELS
def test_a_detached_partition_no_longer_writes_into_the_history(events: Engine, level: str) -> None:
    install(events, level)
    run(events, "ALTER TABLE event DETACH PARTITION low")
    dropped = install(events, level)
    assert dropped
    assert all(action.startswith("drop trigger") and action.endswith("on low (no longer wanted)") for action in dropped)
    run(events, "INSERT INTO low VALUES (1)", "TRUNCATE low", "INSERT INTO event VALUES (11)")
    assert recorded(events, "event", "id") == [("I", 11)]


@LEVELS
def test_an_attached_table_is_recorded_from_then_on(events: Engine, level: str) -> None:
    install(events, level)
    run(
        events,
        "CREATE TABLE more (id int PRIMARY KEY)",
        "INSERT INTO more VALUES (100)",
        "ALTER TABLE event ATTACH PARTITION more FOR VALUES FROM (100) TO (200)",
    )
    assert install(events, level)
    run(events, "INSERT INTO more VALUES (101)", "TRUNCATE more")
    changes = recorded(events, "event", "id")
    assert changes[0] == ("I", 101)
    assert sorted(changes[1:]) == [("D", 100), ("D", 101)]


def test_changing_the_level_leaves_no_trigger_behind(events: Engine) -> None:
    for number, level in enumerate(["statement", "row", "statement"], start=1):
        install(events, level)
        run(events, "INSERT INTO low VALUES (1)", "TRUNCATE low")
        assert len(recorded(events, "event")) == 2 * number


@LEVELS
def test_a_trigger_disabled_on_one_partition_is_enabled_and_said(events: Engine, level: str) -> None:
    install(events, level)
    run(events, "ALTER TABLE low DISABLE TRIGGER USER")
    assert any("(disabled)" in action for action in install(events, level))
    run(events, "INSERT INTO low VALUES (1)", "INSERT INTO event VALUES (11)")
    assert recorded(events, "event", "id") == [("I", 1), ("I", 11)]


@LEVELS
def test_uninstalling_frees_the_partitions_too(events: Engine, level: str) -> None:
    install(events, level)
    uninstall_audit_triggers(event(level), events)
    assert rows(events, "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]
    run(events, "INSERT INTO low VALUES (1)")
    assert recorded(events, "event") == []
