"""Triggers that ``session_replication_role`` does not switch off, and what knows of it."""

from __future__ import annotations

from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Engine, Integer, MetaData, Text

from flask_pg_audit import AuditConfigError, audited, install_audit_triggers
from flask_pg_audit.database.check import check
from flask_pg_audit.web.config import AuditConfig
from tests.capture import audited_table, column, execute, install, recorded, rows, run
from tests.revisions import Models, Project

ENABLED = "SELECT DISTINCT tgenabled FROM pg_trigger WHERE tgname ~ 'item_audit' OR tgname ~ 'note_audit' ORDER BY 1"


def item(always: bool | None = True, level: str = "statement", **arguments: Any) -> MetaData:
    metadata = MetaData()
    columns = column("id", Integer, primary_key=True), column("name", Text)
    options = {"enable_always": always, "level": level}
    audited_table(metadata, "item", *columns, options=options, **arguments)
    return metadata


def as_replica(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        execute(connection, "SET LOCAL session_replication_role = replica")
        for statement in statements:
            execute(connection, statement)


@pytest.mark.superuser
@pytest.mark.parametrize("level", ["statement", "row"])
@pytest.mark.parametrize("always", [True, False])
def test_a_session_that_passes_for_a_replication_is_recorded(engine: Engine, level: str, always: bool) -> None:
    install(engine, item(always, level))
    as_replica(
        engine, "INSERT INTO item VALUES (1, 'a')", "UPDATE item SET name = 'b'", "DELETE FROM item", "TRUNCATE item"
    )
    assert "".join(operation for (operation,) in recorded(engine, "item")) == ("IUDT" if always else "")


@pytest.mark.superuser
@pytest.mark.parametrize("level", ["statement", "row"])
def test_on_partitions_too(engine: Engine, level: str) -> None:
    metadata = item(level=level, postgresql_partition_by="RANGE (id)")
    metadata.create_all(engine)
    run(engine, "CREATE TABLE item_first PARTITION OF item FOR VALUES FROM (0) TO (100)")
    install_audit_triggers(metadata, engine)
    as_replica(engine, "INSERT INTO item VALUES (1, 'a')", "UPDATE item_first SET name = 'b'", "TRUNCATE item_first")
    assert [operation for (operation,) in recorded(engine, "item")] == ["I", "U", "D"]
    assert install_audit_triggers(metadata, engine).actions == ()
    run(engine, "CREATE TABLE item_second PARTITION OF item FOR VALUES FROM (100) TO (200)")
    install_audit_triggers(metadata, engine)
    as_replica(engine, "INSERT INTO item_second VALUES (150, 'x')")
    assert len(recorded(engine, "item")) == 4


@pytest.mark.parametrize(
    ("declared", "damage", "code", "what"),
    [
        (True, "ENABLE TRIGGER", "trigger-not-always", "does not fire in replication"),
        (True, "DISABLE TRIGGER", "trigger-disabled", "disabled"),
        (True, "ENABLE REPLICA TRIGGER", "trigger-replica", "replica only"),
        (False, "ENABLE ALWAYS TRIGGER", "trigger-always", "fires in replication, too"),
        (False, "DISABLE TRIGGER", "trigger-disabled", "disabled"),
        (False, "ENABLE REPLICA TRIGGER", "trigger-replica", "replica only"),
    ],
)
@pytest.mark.parametrize("level", ["statement", "row"])
def test_what_somebody_changed_is_found_and_put_back(
    engine: Engine, level: str, declared: bool, damage: str, code: str, what: str
) -> None:
    metadata = item(declared, level)
    install(engine, metadata)
    trigger = '"00_public_item_audit_row"' if level == "row" else "public_item_audit_update"
    run(engine, f"ALTER TABLE item {damage} {trigger}")
    [finding] = check(metadata, engine)
    assert (finding.code, finding.table) == (code, "item")
    assert finding.what == f"trigger {trigger.strip(chr(34))} on item: {what}"
    install_audit_triggers(metadata, engine)
    assert check(metadata, engine) == ()
    assert rows(engine, ENABLED) == [("A" if declared else "O",)]


def test_a_clone_on_a_partition_that_is_weaker_is_found(engine: Engine) -> None:
    metadata = item(level="row", postgresql_partition_by="RANGE (id)")
    metadata.create_all(engine)
    run(engine, "CREATE TABLE item_first PARTITION OF item FOR VALUES FROM (0) TO (100)")
    install_audit_triggers(metadata, engine)
    run(engine, 'ALTER TABLE item_first ENABLE TRIGGER "00_public_item_audit_row"')
    assert [finding.code for finding in check(metadata, engine)] == ["trigger-not-always"]
    install_audit_triggers(metadata, engine)
    assert check(metadata, engine) == ()


@pytest.mark.parametrize(("before", "after", "enabled"), [(None, True, "A"), (True, None, "O"), (True, False, "O")])
def test_installing_changes_it_both_ways(engine: Engine, before: bool | None, after: bool | None, enabled: str) -> None:
    install(engine, item(before))
    assert len(install_audit_triggers(item(after), engine).actions) == 4
    assert rows(engine, ENABLED) == [(enabled,)]
    assert install_audit_triggers(item(after), engine).actions == ()


def test_a_replaced_or_renamed_trigger_is_what_is_declared(engine: Engine) -> None:
    install(engine, item())
    run(engine, "ALTER TRIGGER public_item_audit_update ON item RENAME TO mine")
    install_audit_triggers(item(), engine)
    assert rows(engine, ENABLED) == [("A",)]


def test_the_script_has_it(engine: Engine) -> None:
    item().tables["item"].create(engine)
    run(engine, install_audit_triggers(item()))
    assert install_audit_triggers(item(), engine).actions == ()
    assert rows(engine, ENABLED) == [("A",)]


# Revisions


def note(always: bool | None) -> Models:
    def declare(db: SQLAlchemy) -> None:
        class Note(db.Model):  # type: ignore[name-defined, misc]
            __table_args__ = {"info": audited(enable_always=always)}  # noqa: RUF012
            id = Column(Integer, primary_key=True)

    return declare


def test_revisions_do_it_and_undo_it(project: Project) -> None:
    project.start(note(None))
    assert project.rows(ENABLED) == [("O",)]
    on = project.version(note(True))
    on.migrate_and_upgrade()
    assert project.rows(ENABLED) == [("A",)]
    on.downgrade()
    assert project.rows(ENABLED) == [("O",)]
    on.upgrade()
    off = project.version(note(None))
    off.migrate_and_upgrade()
    assert project.rows(ENABLED) == [("O",)]
    off.downgrade()
    assert project.rows(ENABLED) == [("A",)]


def test_a_first_revision_has_it_for_the_whole_app(project: Project) -> None:
    """A table may say otherwise."""
    project.start(note(None), AUDIT_ENABLE_ALWAYS=True).is_settled()
    assert project.rows(ENABLED) == [("A",)]
    project.version(note(False), AUDIT_ENABLE_ALWAYS=True).migrate_and_upgrade()
    assert project.rows(ENABLED) == [("O",)]


# Declared


@pytest.mark.parametrize("wrong", ["yes", 1, 0])
def test_it_is_true_false_or_none(wrong: Any) -> None:
    with pytest.raises(AuditConfigError, match="key 'enable_always' must be True, False or None, not"):
        audited(enable_always=wrong)
    with pytest.raises(AuditConfigError, match="AUDIT_ENABLE_ALWAYS must be True or False"):
        AuditConfig.of({"AUDIT_ENABLE_ALWAYS": wrong})
