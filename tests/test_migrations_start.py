"""Databases that were there before the first revision, and functions of an earlier version of this package."""

from __future__ import annotations

import re
from typing import Any

from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import ARRAY, Column, Computed, DateTime, Enum, Identity, Integer, Numeric, Text, func

from flask_pg_audit import audited
from flask_pg_audit.database.function import Fingerprint, digest
from tests.revisions import EVERY_KIND, RECORDED, Models, Project, Version, note

RECORDS = "SELECT audit_operation, text FROM note_audit ORDER BY audit_id"


def created(project: Project, models: Models) -> Version:
    """The tables are there, and Flask-Migrate comes now."""
    one = project.version(models)
    with one.app.app_context():
        one.db.create_all()
    one.flask("db", "init")
    return one


def test_installed_before_alembic_came(project: Project) -> None:
    one = created(project, note())
    one.flask("audit", "install")
    project.run(*EVERY_KIND)
    one.is_settled()
    installed = project.programs
    two = project.version(note(Column("colour", Text)))
    two.migrate_and_upgrade()
    project.run("INSERT INTO note (text, colour) VALUES ('a', 'red')")
    assert project.rows("SELECT text, colour FROM note_audit ORDER BY audit_id DESC LIMIT 1") == [("a", "red")]
    two.downgrade()
    assert project.programs == installed
    project.run(*EVERY_KIND)
    one.flask("audit", "check")
    assert project.rows(RECORDS) == [
        *RECORDED,
        ("I", "a"),
        *RECORDED[:2],
        ("U", "b"),
        ("U", "b"),
        ("D", "b"),
        ("D", "b"),
    ]


def test_audited_after_alembic_came(project: Project) -> None:
    created(project, note(audit=False)).is_settled()
    project.version(note()).migrate_and_upgrade()
    project.run(*EVERY_KIND)
    assert project.rows(RECORDS) == RECORDED


def test_a_function_of_an_earlier_template(project: Project) -> None:
    """The revision replaces it, and its downgrade brings back what the earlier version made."""
    one = project.start(note())
    [(definition,)] = project.rows("SELECT pg_get_functiondef('public_note_audit'::regproc)")
    project.run(re.sub(r"template \d+", "template 0", definition))
    [(source,)] = project.rows("SELECT prosrc FROM pg_proc WHERE proname = 'public_note_audit'")
    project.run(f"COMMENT ON FUNCTION public_note_audit() IS '{Fingerprint(0, digest(source)).render()}'")
    earlier = project.programs
    revision = one.migrate_and_upgrade()
    assert "# replace function public_note_audit (outdated: template 0, now " in revision.read_text()
    project.run(*EVERY_KIND)
    one.downgrade()
    assert project.programs == earlier
    project.run("INSERT INTO note (text) VALUES ('a')")
    one.upgrade()
    one.is_settled()
    assert project.rows(RECORDS) == [*RECORDED, ("I", "a")]


def test_defaults_and_types_are_compared(project: Project) -> None:
    """No copy of a default, an identity or an expression is missed in an audit table."""

    def item(db: SQLAlchemy) -> None:
        letters: Any = ARRAY(Enum("a", "b", name="letter"))
        db.Table(
            "item",
            Column("id", Integer, Identity(always=True), primary_key=True),
            Column("price", Numeric(9, 2), server_default="1"),
            Column("twice", Numeric(9, 2), Computed("price * 2", persisted=True)),
            Column("made_at", DateTime(timezone=True), server_default=func.now()),
            Column("state", Enum("new", "old", name="state"), server_default="new"),
            Column("letters", letters),
            info=audited(),
        )

    one = project.start(item, migrate={"compare_type": True, "compare_server_default": True})
    one.is_settled()
    project.run("INSERT INTO item (price) VALUES (2)", "UPDATE item SET state = 'old'", "DELETE FROM item")
    one.downgrade()
    one.upgrade()
    one.is_settled()
    reading = "SELECT audit_operation, twice::float, state::text FROM item_audit ORDER BY audit_id"
    assert project.rows(reading) == [("I", 4.0, "new"), ("U", 4.0, "old"), ("D", 4.0, "old")]
