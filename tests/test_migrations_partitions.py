"""Revisions that change what records a partitioned table: its partitions, which no revision names, come along."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Column, Integer, Text

from flask_pg_audit import audited
from tests.revisions import Models, Project, Version

#: Partitions are not in the models.
OPTIONS = {"include_name": lambda name, type_, parents: type_ != "table" or not str(name).startswith("part_")}


def partitioned(name: str, **options: Any) -> Models:
    def declare(db: Any) -> None:
        columns = (Column("id", Integer, primary_key=True), Column("text", Text))
        db.Table(name, *columns, info=audited(**options), postgresql_partition_by="RANGE (id)")

    return declare


@pytest.fixture
def before(project: Project) -> Version:
    """A partition, which is recorded."""
    one = project.start(partitioned("note"), migrate=OPTIONS)
    project.run("CREATE TABLE part_1 PARTITION OF note FOR VALUES FROM (0) TO (100)")
    one.migrate_and_upgrade()
    return one


def is_recorded(project: Project, history: str, table: str = "note") -> None:
    """Each once: by the table's name, and by the partition's."""
    last = project.rows("SELECT coalesce(max(id), 0) FROM part_1")[0][0]
    writes = [(table, last + 1), ("part_1", last + 2)]
    project.run(*(f"INSERT INTO {name} VALUES ({id_}, 'a')" for name, id_ in writes))
    reading = f"SELECT audit_operation, id FROM {history} WHERE id > {last} ORDER BY audit_id"
    assert project.rows(reading) == [("I", last + 1), ("I", last + 2)]


@pytest.mark.parametrize(
    ("arguments", "history"),
    [
        pytest.param({"naming": {"audit.function": "record_%(table_name)s"}}, "note_audit", id="function"),
        pytest.param({"naming": {"audit.trigger": "zz_%(table_name)s"}}, "note_audit", id="trigger"),
        pytest.param({"naming": {"audit.table": "%(table_name)s_history"}}, "note_history", id="audit table"),
        pytest.param({"AUDIT_SCHEMA": "audit"}, "note_audit", id="AUDIT_SCHEMA"),
    ],
)
def test_everything_is_called_otherwise(before: Version, arguments: dict[str, Any], history: str) -> None:
    project = before.project
    programs = project.programs
    after = project.version(partitioned("note"), migrate=OPTIONS, **arguments)
    after.migrate_and_upgrade()
    is_recorded(project, history)
    after.downgrade()
    assert project.programs == programs
    is_recorded(project, "note_audit")
    after.upgrade()
    is_recorded(project, history)
    after.is_settled()


def test_the_table_is_renamed(before: Version) -> None:
    project = before.project
    before.by_hand("op.rename_table('note', 'memo')", "op.rename_table('memo', 'note')")
    before.upgrade()
    programs = project.programs
    is_recorded(project, "note_audit", "memo")
    after = project.version(partitioned("memo"), migrate=OPTIONS)
    after.migrate_and_upgrade()
    is_recorded(project, "memo_audit", "memo")
    after.downgrade()
    assert project.programs == programs
    is_recorded(project, "note_audit", "memo")
    after.upgrade()
    after.is_settled()


def test_the_model_is_removed(before: Version) -> None:
    project = before.project
    gone = project.version(lambda db: None, migrate=OPTIONS)
    gone.migrate_and_upgrade()
    assert {name for name in project.programs if "note" in name} == {"trigger audit_refuse_rewriting on note_audit"}
    gone.downgrade()
    gone.upgrade()
