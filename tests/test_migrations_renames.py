"""Alembic cannot see renames: what a developer writes by hand, and what the next autogenerate makes of it."""

from __future__ import annotations

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Integer, Text

from flask_pg_audit import audited
from tests.catalog import of_kinds
from tests.revisions import EVERY_KIND, RECORDED, Project, Version, note, other, together

BY_HAND = ("op.rename_table('note', 'memo')", "op.rename_table('memo', 'note')")
TO_MEMO = tuple(statement.replace("note", "memo") for statement in EVERY_KIND)


def records(project: Project, table: str) -> list[tuple[object, ...]]:
    return project.rows(f"SELECT audit_operation, text FROM {table} ORDER BY audit_id")


@pytest.fixture
def renamed(project: Project) -> Version:
    """The table has its new name, and its triggers do not know."""
    one = project.start(note())
    project.run(*EVERY_KIND)
    one.by_hand(*BY_HAND)
    one.upgrade()
    return project.version(other("memo"))


def test_recording_goes_on_under_the_old_name(renamed: Version) -> None:
    renamed.project.run(*TO_MEMO)
    assert records(renamed.project, "note_audit") == RECORDED + RECORDED


def test_history_is_renamed_by_the_next_revision(renamed: Version) -> None:
    project = renamed.project
    project.run(*TO_MEMO)
    before = project.programs
    revision = renamed.migrate()
    assert revision is not None
    text = revision.read_text()
    assert "create_table(" not in text
    assert "drop_table(" not in text
    assert "# rename table note_audit to memo_audit" in text
    renamed.upgrade()
    project.run(*TO_MEMO)
    assert records(project, "memo_audit") == RECORDED * 3
    renamed.is_settled()
    named = of_kinds(project.catalog, "relation", "index", "function", "trigger")
    assert not {name for name in named if "note_audit" in name}
    assert "index ix_memo_audit_key" in project.catalog
    assert "index memo_audit_pkey" in project.catalog

    renamed.downgrade()
    assert project.programs == before
    project.run(*TO_MEMO)
    assert records(project, "note_audit") == RECORDED * 4
    renamed.downgrade()
    project.run(*EVERY_KIND)
    assert records(project, "note_audit") == RECORDED * 5
    renamed.upgrade()
    project.run(*TO_MEMO)
    assert records(project, "memo_audit") == RECORDED * 6
    renamed.is_settled()


def test_a_table_renamed_and_its_models_changed_at_once(project: Project) -> None:
    """Renamed by hand, and the next autogenerate finds the new name, a column, a schema and a convention."""
    options = {"include_schemas": True}
    one = project.start(note(), migrate=options)
    project.run(*EVERY_KIND)
    one.by_hand(*BY_HAND)
    one.upgrade()

    def memo(db: SQLAlchemy) -> None:
        columns = (Column("id", Integer, primary_key=True), Column("text", Text), Column("colour", Text))
        db.Table("memo", *columns, info=audited(schema_name="history"))

    two = project.version(memo, migrate=options, naming={"audit.table": "%(table_name)s_trail"})
    two.migrate_and_upgrade()
    project.run(*TO_MEMO)
    assert records(project, "history.memo_trail") == RECORDED * 2
    two.downgrade()
    project.run(*TO_MEMO)
    assert records(project, "note_audit") == RECORDED * 3
    two.upgrade()
    two.is_settled()


def test_two_tables_that_swap_their_names(project: Project) -> None:
    """Each keeps the history of its rows, which is under the other's name."""
    one = project.start(together(note(), other("memo")))
    project.run("INSERT INTO note (text) VALUES ('a note')", "INSERT INTO memo (text) VALUES ('a memo')")
    swap = "[op.rename_table(a, b) for a, b in (('note', 'x'), ('memo', 'note'), ('x', 'memo'))]"
    one.by_hand(swap, swap)
    one.upgrade()
    project.run("INSERT INTO memo (text) VALUES ('a note too')", "INSERT INTO note (text) VALUES ('a memo too')")
    recorded = {tuple(row) for row in project.rows("SELECT text FROM note_audit")}
    assert recorded == {("a note",), ("a note too",)}, "the triggers went along"


def test_renaming_within_a_generated_revision(project: Project) -> None:
    """The developer replaces the lines that create and drop the table, and those of its audit table."""
    project.start(note())
    project.run(*EVERY_KIND)
    two = project.version(other("memo"))
    two.by_hand(
        "[op.rename_table(*names) for names in (('note', 'memo'), ('note_audit', 'memo_audit'))]",
        "[op.rename_table(*names) for names in (('memo', 'note'), ('memo_audit', 'note_audit'))]",
    )
    two.upgrade()
    two.migrate_and_upgrade()
    project.run(*TO_MEMO)
    assert records(project, "memo_audit") == RECORDED * 2
    assert not of_kinds(project.programs, "function public_note_audit", "trigger public_note")


def test_a_table_moved_to_another_schema(project: Project) -> None:
    """Its history goes after it."""

    def in_shop(db: SQLAlchemy) -> None:
        columns = (Column("id", Integer, primary_key=True), Column("text", Text))
        db.Table("note", *columns, schema="shop", info=audited())

    options = {"include_schemas": True}
    project.run("CREATE SCHEMA shop")
    one = project.start(note(), migrate=options)
    project.run(*EVERY_KIND)
    move = "op.execute('ALTER TABLE {} SET SCHEMA {}')"
    one.by_hand(move.format("note", "shop"), move.format("shop.note", "public"))
    one.upgrade()
    in_the_shop = tuple(statement.replace("note", "shop.note") for statement in EVERY_KIND)
    project.run(*in_the_shop)
    assert records(project, "note_audit") == RECORDED * 2
    two = project.version(in_shop, migrate=options)
    two.migrate_and_upgrade()
    project.run(*in_the_shop)
    assert records(project, "shop.note_audit") == RECORDED * 3
    two.downgrade()
    two.downgrade()
    project.run(*EVERY_KIND)
    assert records(project, "note_audit") == RECORDED * 4
    two.upgrade()
    two.is_settled()
