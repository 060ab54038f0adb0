"""Other packages that autogenerate: alembic_utils and alembic_postgresql_enum.

Both register themselves with Alembic for the whole process, so each app here runs in processes of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from tests.capture import run
from tests.catalog import of_kinds
from tests.revisions import EVERY_KIND, RECORDED, Project, note, other, together

APP = """
import os
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Enum, Integer, NullPool, Text
from flask_pg_audit import FlaskAudit, audited

VERSION = int(os.environ.get("VERSION", 1))
app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = os.environ["DATABASE_URL"]
app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"poolclass": NullPool}
db = SQLAlchemy(app)
"""

END = """
FlaskAudit(app, db)
Migrate(app, db)
"""


@dataclass
class Program:
    """An app in a file, and ``flask db`` in a process of its own."""

    project: Project
    folder: Path

    def write(self, models: str) -> None:
        (self.folder / "app.py").write_text(f"{APP}\n{dedent(models)}\n{END}")

    def add_to_env(self, lines: str) -> None:
        env = self.project.folder / "env.py"
        env.write_text(env.read_text().replace("config = context.config", f"{dedent(lines)}\nconfig = context.config"))

    def db(self, *arguments: str, version: int = 1) -> str:
        command = [sys.executable, "-m", "flask", "--app", "app", "db", *arguments]
        url = self.project.url.render_as_string(hide_password=False)
        search = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "DATABASE_URL": url, "VERSION": str(version), "PYTHONPATH": search}
        # Two revisions of one name within a second would be one to Python.
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def migrate(self, version: int = 1) -> str | None:
        """The text of the new revision."""
        before = self.project.revisions
        self.db("migrate", version=version)
        new = self.project.revisions - before
        return new.pop().read_text() if new else None


@pytest.fixture
def program(project: Project, tmp_path: Path) -> Program:
    return Program(project, tmp_path)


UTILS_MODELS = """
from alembic_utils.pg_function import PGFunction
from alembic_utils.pg_trigger import PGTrigger
from alembic_utils.pg_view import PGView

columns = [Column("colour", Text)] if VERSION == 3 else []
db.Table("note", Column("id", Integer, primary_key=True), Column("text", Text), *columns, info=audited())
shout = PGFunction("public", "shout()", "RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                   "NEW.text := upper(NEW.text); RETURN NEW; END $$")
on_note = PGTrigger("public", "shout_note", on_entity="public.note", is_constraint=False,
                    definition="BEFORE INSERT ON public.note FOR EACH ROW EXECUTE FUNCTION public.shout()")
texts = PGView("public", "texts", "SELECT id FROM note" if VERSION == 2 else "SELECT id, 'x' AS more FROM note")
entities = [shout, on_note, texts] if VERSION > 1 else []
"""


def test_alembic_utils(program: Program) -> None:
    program.write(UTILS_MODELS)
    program.db("init")
    program.add_to_env("""
        from alembic_utils.replaceable_entity import register_entities
        import app as models
        register_entities(models.entities)
    """)
    first = program.migrate()
    assert first is not None
    assert "op.audit_ddl(" in first
    program.db("upgrade")
    assert program.migrate() is None

    # It tries its triggers in the database, so their tables have to be there before.
    second = program.migrate(version=2)
    assert second is not None
    assert second.count("op.create_entity(") == 3
    assert "op.audit_ddl(" not in second
    assert "drop_entity" not in second.split("def downgrade")[0], "it was not told of our functions and triggers"
    program.db("upgrade", version=2)
    assert program.migrate(version=2) is None
    project = program.project
    run(project.engine, "INSERT INTO note (text) VALUES ('a')")
    assert project.rows("SELECT audit_operation, text FROM note_audit") == [("I", "A")]

    before = project.programs
    third = program.migrate(version=3)
    assert third is not None
    assert "op.replace_entity(public_texts)" in third
    assert "# replace function public_note_audit (outdated)" in third
    assert "drop_entity" not in third
    program.db("upgrade", version=3)
    assert program.migrate(version=3) is None
    run(project.engine, "INSERT INTO note (text, colour) VALUES ('b', 'red')")
    assert project.rows("SELECT text, colour FROM note_audit ORDER BY audit_id") == [("A", None), ("B", "red")]
    program.db("downgrade", version=3)
    assert project.programs == before
    program.db("upgrade", version=3)
    program.db("check", version=3)


def test_alembic_utils_with_nothing_registered(program: Program) -> None:
    program.write(UTILS_MODELS)
    program.db("init")
    program.add_to_env("""
        from alembic_utils.replaceable_entity import register_entities
        register_entities([])
    """)
    assert program.migrate() is not None
    program.db("upgrade")
    assert program.migrate() is None


ENUM_MODELS = """
values = ("new", "old", "gone")[: VERSION + 1]
channel = Column("channel", Enum("web", "cli", name="channel"))
states = [Column("state", Enum(*values, name="state"))] if VERSION < 3 else []
settings = [channel] if VERSION < 3 else []
db.Table("note", Column("id", Integer, primary_key=True), Column("text", Text), *states,
         info=audited(session_settings=settings))
"""


def test_alembic_postgresql_enum(program: Program) -> None:
    program.write(ENUM_MODELS)
    program.db("init")
    program.add_to_env("import alembic_postgresql_enum")
    assert program.migrate() is not None
    program.db("upgrade")
    assert program.migrate() is None
    project = program.project
    run(project.engine, "SET audit.channel = 'web'; INSERT INTO note (text, state) VALUES ('a', 'new')")
    reading = "SELECT audit_operation, state::text, audit_channel::text FROM note_audit ORDER BY audit_id"
    assert project.rows(reading) == [("I", "new", "web")]

    revision = program.migrate(version=2)
    assert revision is not None
    program.db("upgrade", version=2)
    assert program.migrate(version=2) is None
    run(project.engine, "INSERT INTO note (text, state) VALUES ('b', 'gone')")
    run(project.engine, "DELETE FROM note WHERE state = 'gone'")
    assert project.rows(reading)[1:] == [("I", "gone", None), ("D", "gone", None)]

    revision = program.migrate(version=3)
    assert revision is not None
    program.db("upgrade", version=3)
    assert program.migrate(version=3) is None
    assert of_kinds(project.catalog, "enum").keys() == {"enum channel", "enum state"}, "history uses them"
    assert project.rows(reading)[0] == ("I", "new", "web")
    run(project.engine, "INSERT INTO note (text) VALUES ('c')")
    program.db("downgrade", version=3)
    run(project.engine, "INSERT INTO note (text, state) VALUES ('d', 'old')")
    assert [operation for operation, *_ in project.rows(reading)] == ["I", "I", "D", "I", "I"]
    program.db("upgrade", version=3)
    program.db("check", version=3)


def test_an_enum_loses_a_value_that_history_has(program: Program) -> None:
    """alembic_postgresql_enum changes the columns' type to a new one; history would not fit."""
    program.write(ENUM_MODELS)
    program.db("init")
    program.add_to_env("import alembic_postgresql_enum")
    program.migrate(version=2)
    program.db("upgrade", version=2)
    project = program.project
    run(project.engine, "INSERT INTO note (text, state) VALUES ('a', 'new')")
    assert program.migrate(version=1) is not None
    program.db("upgrade", version=1)
    assert program.migrate(version=1) is None
    run(project.engine, "INSERT INTO note (text, state) VALUES ('b', 'old')")
    assert project.rows("SELECT state::text FROM note_audit ORDER BY audit_id") == [("new",), ("old",)]


@pytest.mark.parametrize("left_out", ["tag", "tag_audit"])
def test_include_object_leaves_out_a_table_with_what_records_it(project: Project, left_out: str) -> None:
    """The history alone as well: triggers without it would fail every write."""

    def include_object(object_: object, name: str, type_: str, *arguments: object) -> bool:
        return (type_, name) != ("table", left_out)

    options = {"include_object": include_object}
    project.run("CREATE TABLE tag (id serial PRIMARY KEY, text text)" if left_out == "tag" else "SELECT 1")
    one = project.start(together(note(), other("tag")), migrate=options)
    assert one.migrate() is None
    project.run(*EVERY_KIND, "INSERT INTO tag (text) VALUES ('a')")
    assert project.rows("SELECT audit_operation, text FROM note_audit ORDER BY audit_id") == RECORDED
    assert not of_kinds(project.programs, "function public_tag_audit", "trigger public_tag_audit")
    one.flask("audit", "install")
    project.run("INSERT INTO tag (text) VALUES ('b')")
    assert project.rows("SELECT text FROM tag_audit") == [("b",)]
    assert one.migrate() is None


def test_include_object_leaves_out_what_auditing_shares(project: Project) -> None:
    def include_object(object_: object, name: str, type_: str, *arguments: object) -> bool:
        return (type_, name) != ("table", "audit_transaction")

    project.start(note(), migrate={"include_object": include_object})
    project.run(*EVERY_KIND)
    assert project.programs == {}
