"""What a revision says: everything, in an order that works at every step, and without asking anybody production."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import jinja2
import pytest
from sqlalchemy import Column, String

from tests.catalog import of_kinds
from tests.revisions import Project, note, other, together


def bodies(revision: str) -> tuple[str, str]:
    """The text of ``upgrade()`` and of ``downgrade()``."""
    upgrade, downgrade = revision.split("def downgrade")
    return upgrade.split("def upgrade")[1], downgrade


def name_of(revision: Path) -> str:
    return revision.stem.split("_")[0]


def position(body: str, *texts: str) -> list[int]:
    return [body.index(text) for text in texts]


def is_in_order(body: str, *texts: str) -> bool:
    positions = position(body, *texts)
    return positions == sorted(positions)


def test_every_operation_says_what_it_does_and_why(project: Project) -> None:
    project.start(note())
    (revision,) = project.revisions
    upgrade, downgrade = bodies(revision.read_text())
    for body in (upgrade, downgrade):
        lines = body.splitlines()
        calls = [number for number, line in enumerate(lines) if "op.audit_ddl(" in line]
        assert calls
        assert all(re.fullmatch(r"    # .+", lines[number - 1]) for number in calls)
    assert "    # create function public_note_audit (missing)\n    op.audit_ddl(" in upgrade
    assert "    # create trigger public_note_audit_insert on note (missing)\n    op.audit_ddl(" in upgrade


def test_audit_tables_come_before_functions_and_these_before_triggers(project: Project) -> None:
    project.start(note())
    (revision,) = project.revisions
    upgrade, downgrade = bodies(revision.read_text())
    steps = ("create_table('note'", "create_table('note_audit'", "FUNCTION public.public_note_audit()", "TRIGGER ")
    assert is_in_order(upgrade, *steps)
    assert is_in_order(upgrade, "SEQUENCE", "create_table('audit_transaction'", "public.audit_begin_transaction()")
    assert is_in_order(downgrade, "DROP TRIGGER", "DROP FUNCTION", "drop_table('note')")
    assert upgrade.count("if_not_exists=True") == 15, (
        "three tables and six indexes of history, the log of its readers and its index, two tables of seals, "
        "what was redacted and its index"
    )


def test_functions_forget_a_column_before_it_is_dropped(project: Project) -> None:
    project.start(note(Column("old", String)))
    revision = project.version(note(Column("new", String))).migrate()
    assert revision is not None
    upgrade, downgrade = bodies(revision.read_text())
    assert is_in_order(upgrade, "add_column(sa.Column('new'", "op.audit_ddl(", "drop_column('old')")
    assert is_in_order(downgrade, "add_column(sa.Column('old'", "op.audit_ddl(", "drop_column('new')")


def test_triggers_go_before_their_table(project: Project) -> None:
    project.start(together(note(), other("tag")))
    revision = project.version(other("tag")).migrate()
    assert revision is not None
    upgrade, downgrade = bodies(revision.read_text())
    assert is_in_order(upgrade, "DROP TRIGGER", "DROP FUNCTION", "drop_table('note')")
    assert is_in_order(downgrade, "create_table('note'", "FUNCTION public.public_note_audit()", "TRIGGER ")


def test_a_revision_imports_nothing_of_this_package(project: Project) -> None:
    project.start(note())
    (revision,) = project.revisions
    tree = ast.parse(revision.read_text())
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert all(name.startswith(("alembic", "sqlalchemy")) for name in imported)


def test_a_revision_asks_neither_models_nor_templates(
    project: Project, production: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Years later the models are others and so is this package, and the revision builds what it did."""
    project.start(note())
    project.version(note(Column("colour", String), level="row", exclude=["text"])).migrate_and_upgrade()
    in_development = project.catalog

    def nothing_left(*arguments: object) -> None:
        raise AssertionError("a template was asked for")

    app = production.version(lambda db: None)
    monkeypatch.setattr(jinja2.Environment, "get_template", nothing_left)
    monkeypatch.setattr(jinja2.Environment, "from_string", nothing_left)
    app.upgrade()
    assert production.catalog.keys() == in_development.keys()
    assert production.catalog == in_development
    app.downgrade()
    app.downgrade("base")
    assert of_kinds(production.catalog, "function", "trigger") == {}


def test_offline_and_online_are_the_same(project: Project, production: Project) -> None:
    """The script that a DBA runs, byte for byte."""
    project.start(note(), migrate={"include_schemas": True})
    two = project.version(
        note(Column("colour", String, comment="it's :sure"), schema_name="history"),
        naming={"audit.function": "record_%(table_name)s_%%_:x"},
        migrate={"include_schemas": True},
    )
    (first,) = project.revisions
    second = two.migrate_and_upgrade()
    online = project.catalog
    production.run(production.version(note()).sql("upgrade"))
    assert production.catalog == online

    two.downgrade()
    production.run(production.version(note()).sql("downgrade", f"{name_of(second)}:{name_of(first)}"))
    assert production.catalog == project.catalog
    project.run("INSERT INTO note (text) VALUES ('a')")
    production.run("INSERT INTO note (text) VALUES ('a')")
    reading = "SELECT audit_operation, text FROM note_audit"
    assert project.rows(reading) == production.rows(reading) == [("I", "a")]


@pytest.mark.parametrize("batch", [True, False])
def test_with_and_without_batch_mode(project: Project, batch: bool) -> None:
    options = {"render_as_batch": batch}
    project.start(note(), migrate=options)
    two = project.version(note(Column("colour", String)), migrate=options)
    revision = two.migrate_and_upgrade()
    assert ("batch_op.add_column" in revision.read_text()) is batch
    two.downgrade()
    two.upgrade()
    two.is_settled()


def test_thirty_tables_in_one_revision(project: Project) -> None:
    one = project.start(together(*(other(f"table_{number}") for number in range(30))))
    one.is_settled()
    project.run(*(f"INSERT INTO table_{number} (text) VALUES ('a')" for number in range(30)))
    reading = " UNION ALL ".join(f"SELECT audit_operation, text FROM table_{number}_audit" for number in range(30))
    assert project.rows(reading) == [("I", "a")] * 30
    one.downgrade()
    assert project.programs == {}
    one.upgrade()
    one.is_settled()
