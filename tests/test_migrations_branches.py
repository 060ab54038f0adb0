"""Two branches of development, each with its revision, and several databases of one app."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Integer, NullPool, Text

from flask_pg_audit import audited, install_audit_triggers
from flask_pg_audit.declare.options import Level
from tests.revisions import EVERY_KIND, RECORDED, Models, Project, note
from tests.server import DatabaseServer


def test_two_branches_add_a_column_each(project: Project, production: Project, tmp_path: Path) -> None:
    project.start(note())
    production.version(note()).upgrade()
    colleague = Project(production.url, tmp_path / "colleague")
    shutil.copytree(project.folder, colleague.folder)

    project.version(note(Column("mine", Text))).migrate_and_upgrade()
    theirs = colleague.version(note(Column("theirs", Text))).migrate_and_upgrade()
    shutil.copy(theirs, project.folder / "versions")
    merged = project.version(note(Column("mine", Text), Column("theirs", Text)))
    merged.flask("db", "merge", "heads")
    merged.upgrade()
    project.run("INSERT INTO note (text, mine, theirs) VALUES ('a', 'b', 'c')")
    assert project.rows("SELECT audit_operation, text FROM note_audit") == [("I", "a")], "no write fails"

    revision = merged.migrate_and_upgrade()
    assert "# replace function public_note_audit (outdated)" in revision.read_text()
    assert "add_column" not in revision.read_text()
    project.run("INSERT INTO note (text, mine, theirs) VALUES ('d', 'e', 'f')")
    reading = "SELECT text, mine, theirs FROM note_audit ORDER BY audit_id DESC LIMIT 1"
    assert project.rows(reading) == [("d", "e", "f")]

    everywhere = production.version(note(Column("mine", Text), Column("theirs", Text)))
    everywhere.upgrade()
    everywhere.is_settled()
    assert production.catalog == project.catalog
    for version in (merged, everywhere):
        version.downgrade("base")
        version.upgrade()
        version.is_settled()


def test_one_branch_drops_what_the_other_still_records(project: Project, production: Project, tmp_path: Path) -> None:
    """The revision after the merge belongs into the same deployment: until it has run, writes may fail."""
    project.start(note(Column("old", Text)))
    production.version(note()).upgrade()
    colleague = Project(production.url, tmp_path / "colleague")
    shutil.copytree(project.folder, colleague.folder)
    project.version(note()).migrate_and_upgrade()
    theirs = colleague.version(note(Column("old", Text), Column("new", Text))).migrate_and_upgrade()
    shutil.copy(theirs, project.folder / "versions")
    merged = project.version(note(Column("new", Text)))
    merged.flask("db", "merge", "heads")
    merged.upgrade()
    merged.migrate_and_upgrade()
    project.run(*EVERY_KIND)
    assert project.rows("SELECT audit_operation, text FROM note_audit ORDER BY audit_id") == RECORDED
    everywhere = production.version(note(Column("new", Text)))
    everywhere.upgrade()
    production.run(*EVERY_KIND)
    everywhere.is_settled()


def in_two_databases(*columns: str, level: Level = "statement") -> Models:
    def declare(db: SQLAlchemy) -> None:
        for table, bind_key in (("note", None), ("reading", "sensors")):
            key, more = Column("id", Integer, primary_key=True), [Column(name, Text) for name in columns]
            db.Table(table, key, *more, info=audited(level=level), bind_key=bind_key)

    return declare


def binds(other: Project) -> dict[str, Any]:
    return {"SQLALCHEMY_BINDS": {"sensors": {"url": other.url, "poolclass": NullPool}}}


def test_several_databases(project: Project, production: Project) -> None:
    one = project.start(in_two_databases("text"), init=("--multidb",), **binds(production))
    one.is_settled()
    for each, table in ((project, "note"), (production, "reading")):
        each.run(f"INSERT INTO {table} (text) VALUES ('a')")
        assert each.rows(f"SELECT audit_operation, text FROM {table}_audit") == [("I", "a")]
        assert len([name for name in each.catalog if name.startswith("function")]) == 6

    before = project.programs, production.programs
    two = project.version(in_two_databases("text", "colour", level="row"), **binds(production))
    two.migrate_and_upgrade()
    for each, table in ((project, "note"), (production, "reading")):
        each.run(f"INSERT INTO {table} (text, colour) VALUES ('b', 'red')")
        reading = f"SELECT text, colour FROM {table}_audit ORDER BY audit_id"
        assert each.rows(reading) == [("a", None), ("b", "red")]
    two.downgrade()
    assert (project.programs, production.programs) == before
    two.upgrade()
    two.is_settled()
    two.downgrade("base")
    assert (project.programs, production.programs) == ({}, {})
    two.upgrade()
    assert install_audit_triggers(two.db.metadatas["sensors"], production.engine).actions == ()


def test_only_the_other_database_changes(project: Project, production: Project) -> None:

    def declare(db: SQLAlchemy, **options: Any) -> None:
        db.Table("note", Column("id", Integer, primary_key=True), Column("text", Text), info=audited())
        db.Table("reading", Column("id", Integer, primary_key=True), info=audited(**options), bind_key="sensors")

    project.start(declare, init=("--multidb",), **binds(production))
    mine = project.catalog
    two = project.version(lambda db: declare(db, skip_unchanged=False), **binds(production))
    revision = two.migrate_and_upgrade()
    assert "public_note_audit" not in revision.read_text()
    assert project.catalog == mine


def test_scripts_for_several_databases(
    project: Project, production: Project, server: DatabaseServer, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alembic writes one file for each, into the current folder."""
    one = project.start(in_two_databases("text"), init=("--multidb",), **binds(production))
    monkeypatch.chdir(project.folder)
    one.flask("db", "upgrade", "--sql")
    for file, original in ((".sql", project), ("sensors.sql", production)):
        with server.database(template) as database:
            copy = Project(database.url(), project.folder)
            copy.run((project.folder / file).read_text())
            assert copy.catalog == original.catalog


def test_one_of_several_databases_is_no_postgresql(project: Project, tmp_path: Path) -> None:
    """Alembic writes the revision for the dialect of the last one."""

    def declare(db: SQLAlchemy) -> None:
        note()(db)
        db.Table("cache", Column("id", Integer, primary_key=True), bind_key="cache")

    lite = {"SQLALCHEMY_BINDS": {"cache": f"sqlite:///{tmp_path}/cache.db"}}
    one = project.start(declare, init=("--multidb",), **lite)
    one.flask("db", "check")
    project.run(*EVERY_KIND)
    assert project.rows("SELECT audit_operation, text FROM note_audit ORDER BY audit_id") == RECORDED
    one.downgrade()
    one.upgrade()
    one.is_settled()
