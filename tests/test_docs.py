"""The README and the pages of ``docs/`` do what they say: their Python runs, their commands answer as shown.

Blocks of one page share a namespace and a database, whose address is in ``DATABASE_URL``. ``<!-- setup: … -->`` is
Python that runs at that place without being shown; ``<!-- setup: app -->`` stands for an app with one audited table.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Integer, MetaData, String, Table, Text

from flask_pg_audit import FlaskAudit, audited
from flask_pg_audit.database.trigger import build_audit_trigger
from flask_pg_audit.declare.registry import audit_metadata
from tests.server import Database

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$|^<!-- setup: (.*?) -->$", re.M | re.S)
GENERATED = re.compile(r"(<!-- generated: function of note -->\n```sql\n)(.*?)(^```$)", re.M | re.S)


def blocks(page: Path) -> list[tuple[str, str]]:
    """The blocks of a page that can be run, in order: kind and text."""
    found = BLOCK.finditer(page.read_text())
    return [(match[1] or "setup", match[2] or match[3]) for match in found]


@pytest.fixture
def namespace(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.setenv("DATABASE_URL", database.url().render_as_string(hide_password=False))
    names: dict[str, Any] = {"__name__": "page"}
    yield names
    if "app" in names and "db" in names:
        with names["app"].app_context():
            for engine in names["db"].engines.values():
                engine.dispose()
    if "engine" in names:
        names["engine"].dispose()


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=lambda page: page.stem)
def test_page(page: Path, namespace: dict[str, Any]) -> None:
    for kind, block in blocks(page):
        if kind == "console":
            run_console(block, namespace["app"])
        elif block == "app":
            namespace.update(small_app())
        else:
            exec(compile(block, str(page), "exec", dont_inherit=True), namespace)


def small_app() -> dict[str, Any]:
    """An app with one audited table, created in the page's database."""
    db = SQLAlchemy()
    Table("note", db.metadata, Column("id", Integer, primary_key=True), info=audited())
    app = Flask("page")
    app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
    db.init_app(app)
    FlaskAudit(app, db)
    with app.app_context():
        db.create_all()
    return {"app": app, "db": db}


def run_console(block: str, app: Flask) -> None:
    """Run each ``$ flask …`` and compare its output; ``...`` stands for anything."""
    for command, shown in re.findall(r"^\$ flask (.*)\n((?:(?!\$ ).*\n)*)", block, re.M):
        result = app.test_cli_runner().invoke(args=shlex.split(command))
        assert result.exit_code == 0, result.output
        pattern = re.escape(shown).replace(re.escape("..."), r"(?:.|\n)*?")
        assert re.fullmatch(pattern, result.output), f"flask {command} said:\n{result.output}"


def test_the_sql_that_is_shown_is_the_sql_that_is_installed() -> None:
    metadata = MetaData()
    setting = Column("username", String)
    columns = (Column("id", Integer, primary_key=True), Column("text", Text))
    Table("note", metadata, *columns, info=audited(session_settings=[setting]))
    [note] = audit_metadata(metadata)
    sql = build_audit_trigger(note, "public").function.create_sql + ";\n"
    page = ROOT / "docs" / "how-it-works.md"
    if os.environ.get("UPDATE_DOCS"):
        page.write_text(GENERATED.sub(lambda match: match[1] + sql + match[3], page.read_text()))
    match = GENERATED.search(page.read_text())
    assert match is not None
    assert match[2] == sql, "run the tests with UPDATE_DOCS=1"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
