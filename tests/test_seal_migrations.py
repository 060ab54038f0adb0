"""Seals in revisions: their tables are made and moved, never dropped, and what was sealed before can be verified."""

from __future__ import annotations

from flask_pg_audit.seal import Seal, seal, verify_seals
from tests.revisions import Project, Version, note


def sealed(version: Version) -> Seal | None:
    with version.app.app_context():
        return seal(version.db.metadata, version.db.engine)


def verified(version: Version) -> tuple[int, int]:
    """How many seals and findings there are."""
    with version.app.app_context():
        found = verify_seals(version.db.metadata, version.db.engine)
    return found.seals, len(found.findings)


def test_a_revision_moves_them(project: Project) -> None:
    one = project.start(note())
    project.run("INSERT INTO note (id) VALUES (1)")
    sealed(one)
    two = project.version(note(), AUDIT_SCHEMA="auditing", migrate={"include_schemas": True})
    two.migrate_and_upgrade()
    two.is_settled()
    assert project.rows("SELECT id FROM auditing.audit_seal") == [(1,)]
    assert verified(two) == (1, 0)
    project.run("INSERT INTO note (id) VALUES (2)")
    sealed(two)
    assert verified(two) == (2, 0)
    two.downgrade()
    assert verified(one) == (2, 0)


def test_a_revision_adds_what_is_missing(project: Project) -> None:
    one = project.start(note())
    project.run("ALTER TABLE audit_seal DROP signature", "DROP TABLE audit_seal_leaves")
    one.migrate_and_upgrade()
    one.is_settled()
    project.run("INSERT INTO note (id) VALUES (1)")
    assert sealed(one) is not None
    assert verified(one) == (1, 0)


def test_no_revision_drops_them(project: Project) -> None:
    sealed_once = project.start(note())
    project.run("INSERT INTO note (id) VALUES (1)")
    sealed(sealed_once)
    project.version(lambda db: None).migrate_and_upgrade()
    assert project.rows("SELECT count(*) FROM audit_seal_leaves") == [(2,)]
    sealed_once.downgrade("base")
    sealed_once.upgrade()
    assert verified(sealed_once) == (1, 0)
