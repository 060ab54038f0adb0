"""Partitioned tables: whatever a write is addressed to, it is recorded once (trap T3)."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, Integer, MetaData, Text

from flask_pg_audit import install_audit_triggers
from tests.capture import audited_table, column, recorded, rows, run


@pytest.fixture(params=["statement", "row"])
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def metadata(level: str) -> MetaData:
    metadata = MetaData()
    audited_table(
        metadata, "event", column("id", Integer, primary_key=True), column("note", Text), options={"level": level}
    )
    return metadata


@pytest.fixture
def events(engine: Engine, metadata: MetaData) -> Engine:
    """``event``: partitions ``low`` (1-9) and ``high`` (10-99), the latter split into ``teens`` and ``rest``."""
    run(
        engine,
        "CREATE TABLE event (id int PRIMARY KEY, note text) PARTITION BY RANGE (id)",
        "CREATE TABLE low PARTITION OF event FOR VALUES FROM (1) TO (10)",
        "CREATE TABLE high (note text, id int NOT NULL) PARTITION BY RANGE (id)",  # columns in another order
        "ALTER TABLE event ATTACH PARTITION high FOR VALUES FROM (10) TO (100)",
        "CREATE TABLE teens PARTITION OF high FOR VALUES FROM (10) TO (20)",
        "CREATE TABLE rest PARTITION OF high FOR VALUES FROM (20) TO (100)",
    )
    metadata.tables["event_audit"].create(engine)
    install_audit_triggers(metadata, engine)
    return engine


def changes(engine: Engine) -> list[tuple[object, ...]]:
    return recorded(engine, "event", "id", "note")


def test_writes_to_the_table(events: Engine) -> None:
    run(
        events,
        "INSERT INTO event VALUES (1, 'a'), (11, 'b'), (21, 'c')",
        "UPDATE event SET note = 'x' WHERE id > 10",
        "DELETE FROM event WHERE id = 1",
    )
    assert sorted(changes(events)[:3]) == [("I", 1, "a"), ("I", 11, "b"), ("I", 21, "c")]
    assert sorted(changes(events)[3:5]) == [("U", 11, "x"), ("U", 21, "x")]
    assert changes(events)[5:] == [("D", 1, "a")]


def test_writes_to_partitions(events: Engine) -> None:
    run(
        events,
        "INSERT INTO low VALUES (1, 'a')",
        "INSERT INTO high VALUES ('b', 11)",
        "INSERT INTO teens VALUES ('c', 12)",
        "UPDATE high SET note = 'x' WHERE id = 11",
        "DELETE FROM teens WHERE id = 12",
    )
    assert changes(events) == [("I", 1, "a"), ("I", 11, "b"), ("I", 12, "c"), ("U", 11, "x"), ("D", 12, "c")]


def test_a_row_that_moves_to_another_partition(events: Engine) -> None:
    run(events, "INSERT INTO event VALUES (1, 'a')", "UPDATE event SET id = 25")
    assert sorted(changes(events)[1:]) == [("D", 1, "a"), ("I", 25, "a")]


def test_truncate_of_the_table(events: Engine) -> None:
    run(events, "INSERT INTO event VALUES (1, 'a'), (21, 'c')", "TRUNCATE event")
    assert changes(events)[-1] == ("T", None, None)
    assert {row[0] for row in changes(events)[2:-1]} <= {"D"}


@pytest.mark.parametrize(("partition", "gone"), [("low", [1]), ("teens", [11]), ("high", [11, 21])])
def test_truncate_of_a_partition_deletes_its_rows_only(events: Engine, partition: str, gone: list[int]) -> None:
    run(events, "INSERT INTO event VALUES (1, 'n'), (11, 'n'), (21, 'n')", f"TRUNCATE {partition}")
    assert sorted(changes(events)[3:]) == [("D", key, "n") for key in gone]


def test_a_new_partition_is_found_by_the_next_installation(events: Engine, metadata: MetaData, level: str) -> None:
    run(events, "CREATE TABLE hundreds PARTITION OF event FOR VALUES FROM (100) TO (1000)")
    created = [str(action) for action in install_audit_triggers(metadata, events).actions]
    assert created
    assert all("on hundreds" in action for action in created)
    assert len(created) == (4 if level == "statement" else 1)
    run(events, "INSERT INTO hundreds VALUES (100, 'x')")
    assert changes(events) == [("I", 100, "x")]
    assert install_audit_triggers(metadata, events).actions == ()


def test_partitions_in_another_schema(events: Engine, metadata: MetaData) -> None:
    run(
        events,
        "CREATE SCHEMA archive",
        "CREATE TABLE archive.old PARTITION OF event FOR VALUES FROM (-100) TO (0)",
    )
    install_audit_triggers(metadata, events)
    run(events, "INSERT INTO archive.old VALUES (-1, 'x')", "TRUNCATE archive.old")
    assert changes(events) == [("I", -1, "x"), ("D", -1, "x")]
    assert rows(events, "SELECT count(*) FROM event") == [(0,)]
