"""``flask audit baseline`` and ``flask audit verify`` as a person, or a scheduled job, sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Integer, NullPool, String, Table, Text, text

from flask_pg_audit import FlaskAudit, audited
from tests.blog import Blog, blog
from tests.capture import rewriting
from tests.server import Database, DatabaseServer


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    """Two posts are written before auditing, one after."""
    with blog(database.url(), install=False, AUDIT_REQUIRE_USERNAME=True) as made:
        do(made, "INSERT INTO post VALUES (1, 'first'), (2, 'second')")
        assert run(made.app, "install").exit_code == 0
        with made.app.app_context(), made.audit.context(username="ann"):
            made.db.session.add(made.Post(id=3, title="third"))
            made.db.session.commit()
        yield made


def do(site: Blog, *statements: str) -> None:
    with site.app.app_context(), site.db.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def unseen(site: Blog, *statements: str) -> None:
    disable, enable = (f"ALTER TABLE post {word} TRIGGER USER" for word in ("DISABLE", "ENABLE"))
    do(site, disable, *statements, enable)


def run(app: Flask, *args: str) -> Result:
    return app.test_cli_runner().invoke(args=["audit", *args])


def test_baseline_says_what_it_did_and_records_who_ran_it(site: Blog) -> None:
    result = run(site.app, "baseline")
    assert (result.exit_code, result.output) == (0, "post: 2 rows\nuser: 0 rows\n")
    assert run(site.app, "baseline", "post").output == "post: 0 rows\n"
    written = site.rows(
        "SELECT p.audit_operation, p.title, t.username, t.context->>'os_user' IS NOT NULL FROM post_audit AS p "
        "JOIN audit_transaction AS t ON t.id = p.audit_transaction_id ORDER BY p.audit_id"
    )
    assert written == [
        ("I", "third", "ann", False),
        ("S", "first", "cli:baseline", True),
        ("S", "second", "cli:baseline", True),
    ]


def test_verify_is_content(site: Blog) -> None:
    run(site.app, "baseline")
    result = run(site.app, "verify")
    assert (result.exit_code, result.output) == (0, "nothing differs: 3 rows are as their last images\n")


def test_verify_says_what_differs_and_fails(site: Blog) -> None:
    unseen(site, "UPDATE post SET title = 'x' WHERE id = 3")
    result = run(site.app, "verify")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "row-without-history: post (id=1)",
        "row-without-history: post (id=2)",
        "column-differs: post (id=3): title is 'x' and was recorded as 'third'",
    ]
    assert run(site.app, "verify", "user").output == "nothing differs: 0 rows are as their last images\n"
    limited = run(site.app, "verify", "--limit", "1", "--batch-size", "1").output.splitlines()
    assert limited[0] == "row-without-history: post (id=1)"
    assert limited[2] == "row-without-history: post: 1 more"


def test_verify_in_json(site: Blog) -> None:
    unseen(site, "UPDATE post SET title = NULL WHERE id = 3")
    result = run(site.app, "verify", "--json", "post")
    assert result.exit_code == 1
    [post] = json.loads(result.output)
    assert {name: post[name] for name in ("bind", "table", "rows", "counts", "repaired", "skipped")} == {
        "bind": None,
        "table": "post",
        "rows": 3,
        "counts": {"row-without-history": 2, "column-differs": 1},
        "repaired": 0,
        "skipped": None,
    }
    assert post["differences"][2] == {
        "kind": "column-differs",
        "table": "post",
        "key": {"id": "3"},
        "columns": [{"name": "title", "recorded": "third", "live": None}],
    }


def test_a_repair_is_marked_and_succeeds(site: Blog) -> None:
    unseen(site, "DELETE FROM post WHERE id = 3")
    result = run(site.app, "verify", "--repair")
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "post: repaired with 3 rows"
    [(username, context)] = site.rows("SELECT username, context FROM audit_transaction ORDER BY id DESC LIMIT 1")
    assert username == "cli:verify"
    assert context["repair"] == "verify" and "os_user" in context
    assert run(site.app, "verify").exit_code == 0


def test_what_cannot_be_repaired_says_so_and_fails(site: Blog) -> None:
    run(site.app, "baseline")
    do(site, rewriting("DELETE FROM audit_transaction WHERE id = 1"))
    result = run(site.app, "verify", "--repair")
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        "change-without-transaction: post (audit_transaction_id=1)",
        "change-without-transaction: post: cannot be repaired: nobody knows what was deleted",
    ]


@pytest.mark.parametrize("command", ["baseline", "verify"])
def test_an_unknown_table(site: Blog, command: str) -> None:
    result = run(site.app, command, "nope")
    assert (result.exit_code, result.output) == (1, "Error: no audited table is called 'nope'; there are: post, user\n")


@pytest.mark.parametrize("command", ["baseline", "verify"])
def test_before_the_installation(database: Database, command: str) -> None:
    with blog(database.url(), install=False) as made:
        do(made, "DROP TABLE post_audit")
        result = run(made.app, command)
    assert result.exit_code == 1
    [line] = result.output.splitlines()
    assert line.startswith("Error: post: the database is not as declared: create ")
    assert line.endswith("; run flask audit install first")


def keyless(database: Database, *columns: Column[Any]) -> Flask:
    """An app with a table without a key, and one with ``columns``; one row was recorded."""
    app = Flask(__name__)
    app.config.update(SQLALCHEMY_DATABASE_URI=database.url(), SQLALCHEMY_ENGINE_OPTIONS={"poolclass": NullPool})
    db = SQLAlchemy(app)
    Table("note", db.metadata, Column("body", Text), info=audited())
    if columns:
        Table("other", db.metadata, *columns, info=audited())
    FlaskAudit(app, db)
    with app.app_context():
        db.create_all()
        run(app, "install")
        with db.engine.begin() as connection:
            connection.execute(text("INSERT INTO note VALUES ('a')"))
    return app


def test_a_table_without_a_key_is_a_line_and_no_failure(database: Database) -> None:
    app = keyless(database, Column("id", Integer, primary_key=True))
    result = run(app, "verify")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "note: not verified: it has no primary key, so that its rows cannot be told apart",
        "nothing differs: 0 rows are as their last images",
    ]
    result = run(app, "baseline")
    assert result.exit_code == 0
    assert result.output.splitlines()[0].startswith(
        "note: skipped: it has no primary key, and changes have been recorded"
    )
    assert result.output.splitlines()[1] == "other: 0 rows"
    assert run(app, "baseline", "note").output.startswith("Error: note: has no primary key")


def test_where_nothing_can_be_verified_it_fails(database: Database) -> None:
    result = run(keyless(database), "verify")
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "Error: no table could be verified: none has a primary key"


def test_tables_of_several_binds(database: Database, server: DatabaseServer, template: str) -> None:
    with server.database(template) as second:
        app = Flask(__name__)
        app.config.update(
            SQLALCHEMY_DATABASE_URI=database.url(),
            SQLALCHEMY_BINDS={"b": {"url": second.url(), "poolclass": NullPool}},
            SQLALCHEMY_ENGINE_OPTIONS={"poolclass": NullPool},
        )
        db = SQLAlchemy(app)

        class Here(db.Model):  # type: ignore[name-defined, misc]
            __table_args__ = {"info": audited()}  # noqa: RUF012
            id = Column(Integer, primary_key=True)

        class There(db.Model):  # type: ignore[name-defined, misc]
            __bind_key__ = "b"
            __table_args__ = {"info": audited()}  # noqa: RUF012
            id = Column(Integer, primary_key=True)

        FlaskAudit(app, db)
        with app.app_context():
            db.create_all()
            with db.engines["b"].begin() as connection:
                connection.execute(text("INSERT INTO there VALUES (1)"))
        run(app, "install")
        assert run(app, "verify").output == "b: row-without-history: there (id=1)\n"
        assert run(app, "baseline", "there").output == "-- bind b\nthere: 1 rows\n"
        assert run(app, "baseline").output == "here: 0 rows\n-- bind b\nthere: 0 rows\n"
        assert run(app, "verify", "here").exit_code == 0
        assert run(app, "verify", "here", "--bind", "b").output == (
            "Error: no audited table is called 'here'; there are: there\n"
        )


def test_a_progress_bar_on_a_terminal(site: Blog, monkeypatch: pytest.MonkeyPatch) -> None:
    from flask_pg_audit.web.commands import group

    class Terminal:
        """What click writes to, as if it were a terminal."""

        shown = ""

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> None:
            self.shown += text

        def flush(self) -> None:
            pass

    terminal = Terminal()
    monkeypatch.setattr(group, "sys", type("sys", (), {"stderr": terminal}))
    run(site.app, "baseline", "--batch-size", "1")
    assert "taking the baseline" in terminal.shown and "100%" in terminal.shown
    run(site.app, "verify")
    assert "comparing" in terminal.shown


def test_what_differs_does_nothing_to_a_terminal(site: Blog) -> None:
    """Whoever bypassed auditing chose what is in the row."""
    Table("word", site.db.metadata, Column("id", String, primary_key=True), info=audited())
    with site.app.app_context():
        site.db.create_all()
    assert run(site.app, "install").exit_code == 0
    hostile = "'a' || chr(27) || ']0;pwn' || chr(7) || chr(8238) || 'gpj.exe'"
    do(site, f"ALTER TABLE word DISABLE TRIGGER USER; INSERT INTO word VALUES ({hostile})")
    output = run(site.app, "verify", "word").output
    assert "a⟨U+001B⟩]0;pwn⟨U+0007⟩⟨U+202E⟩gpj.exe" in output and "\x1b" not in output
