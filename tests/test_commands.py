"""``flask audit``: what the commands say and how they fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Integer, NullPool, Table, create_engine, text

from flask_pg_audit import FlaskAudit, audited
from tests.blog import Blog, blog
from tests.server import Database


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url(), install=False) as made:
        yield made


def run(app: Flask, *args: str, **kwargs: Any) -> Result:
    return app.test_cli_runner().invoke(args=["audit", *args], **kwargs)


def test_install_says_what_it_did_and_a_second_run_does_nothing(site: Blog) -> None:
    first = run(site.app, "install")
    assert first.exit_code == 0
    assert "create trigger public_post_audit_insert on post (missing)" in first.output.splitlines()
    assert run(site.app, "install").output == "nothing to do\n"


def test_dry_run_does_nothing(site: Blog) -> None:
    output = run(site.app, "install", "--dry-run").output
    assert "would create function public_post_audit (missing)" in output.splitlines()
    assert site.rows("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]


def test_the_sql_script_is_whole_and_installs(site: Blog) -> None:
    script = run(site.app, "install", "--sql").output
    assert "CREATE TABLE IF NOT EXISTS public.post_audit" in script
    engine = create_engine(site.app.config["SQLALCHEMY_DATABASE_URI"], isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})
    engine.dispose()
    assert run(site.app, "install").output == "nothing to do\n"


def test_dry_run_with_sql_prints_what_is_missing_only(site: Blog) -> None:
    run(site.app, "install")
    site_sql = "ALTER TABLE post DISABLE TRIGGER public_post_audit_update"
    with site.app.app_context(), site.db.engine.begin() as connection:
        connection.execute(text(site_sql))
    script = run(site.app, "install", "--dry-run", "--sql").output
    assert "-- replace trigger public_post_audit_update on post (disabled)" in script
    assert "public_post_audit_insert" not in script


def test_status_of_missing_installed_and_disabled_tables(site: Blog) -> None:
    def states() -> dict[str, str]:
        return {row["table"]: row["state"] for row in json.loads(run(site.app, "status", "--json").output)}

    assert states() == {"post": "missing", "user": "missing"}
    run(site.app, "install")
    assert states() == {"post": "installed", "user": "installed"}
    with site.app.app_context(), site.db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE post DISABLE TRIGGER ALL"))
        connection.execute(text('ALTER TABLE "user" ADD COLUMN x int'))
        connection.execute(text("ALTER FUNCTION public_user_audit() SECURITY INVOKER"))
    assert states() == {"post": "disabled", "user": "outdated"}


def test_status_tells_rows_size_and_the_last_change(site: Blog) -> None:
    run(site.app, "install")
    site.app.test_client().post("/posts?title=x&title=y")
    [line] = [line for line in run(site.app, "status").output.splitlines() if line.startswith("post")]
    assert line.split()[:4] == ["post", "installed", "2", "rows"]
    [(last,)] = site.rows("SELECT max(audit_operation_timestamp) FROM post_audit")
    assert line.endswith(last.isoformat(timespec="seconds"))


def test_uninstall_keeps_the_history(site: Blog) -> None:
    run(site.app, "install")
    site.app.test_client().post("/posts?title=x")
    result = run(site.app, "uninstall")
    assert "drop trigger public_post_audit_insert on post (uninstall)" in result.output.splitlines()
    site.app.test_client().post("/posts?title=unrecorded")
    assert [row[0] for row in site.posts()] == ["x"]
    assert run(site.app, "uninstall").output == "nothing to do\n"


def test_dropping_the_history_asks_first(site: Blog) -> None:
    run(site.app, "install")
    refused = run(site.app, "uninstall", "--drop-history", input="n\n")
    assert refused.exit_code == 1
    assert site.rows("SELECT count(*) FROM post_audit") == [(0,)]
    assert run(site.app, "uninstall", "--drop-history", "--yes").exit_code == 0
    assert site.rows("SELECT to_regclass('post_audit'), to_regclass('audit_transaction')") == [(None, None)]


def fails_with(result: Result, *words: str) -> None:
    """Exit code 1 and one readable line, no traceback."""
    assert result.exit_code == 1
    [line] = result.output.splitlines()
    assert line.startswith("Error: ")
    for word in words:
        assert word in line


def make_app(url: object, *, audit: bool = True, table: bool = True) -> Flask:
    app = Flask(__name__)
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_ENGINE_OPTIONS={"poolclass": NullPool})
    db = SQLAlchemy(app)
    if table:
        Table("thing", db.metadata, Column("id", Integer, primary_key=True), info=audited())
    if audit:
        FlaskAudit(app, db)
    return app


@pytest.mark.parametrize("command", ["install", "status", "uninstall"])
def test_unreachable_server(command: str) -> None:
    app = make_app("postgresql+psycopg2://nobody@127.0.0.1:1/nowhere")
    fails_with(run(app, command), "the database said", "127.0.0.1")


def test_table_that_is_not_in_the_database(database: Database) -> None:
    fails_with(run(make_app(database.url()), "install"), "thing: the table is declared but not in the database")


@pytest.mark.parametrize("options", [[], ["--sql"]])
def test_a_dry_run_fails_where_the_installation_would(database: Database, options: list[str]) -> None:
    result = run(make_app(database.url()), "install", "--dry-run", *options)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: thing: the table is declared but not in the database")


def test_missing_privilege(database: Database, site: Blog) -> None:
    role = f"weak_{database.url().database}"
    engine = create_engine(database.url())
    with engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text("CREATE TABLE thing (id int PRIMARY KEY)"))
    try:
        fails_with(
            run(make_app(database.url().set(username=role)), "install"), "PostgreSQL refused", "permission denied"
        )
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP OWNED BY {role}"))
            connection.execute(text(f"DROP ROLE {role}"))
        engine.dispose()


def test_unknown_bind(site: Blog) -> None:
    fails_with(run(site.app, "install", "--bind", "nope"), "no bind 'nope' with audited tables; there are: none")


def test_app_without_the_extension(database: Database) -> None:
    from flask.cli import FlaskGroup

    app = make_app(database.url(), audit=False)
    runner = app.test_cli_runner()
    result = runner.invoke(FlaskGroup(create_app=lambda: app), args=["audit", "status"])
    fails_with(result, "this app has no audit extension")


def test_app_without_audited_tables(database: Database) -> None:
    fails_with(run(make_app(database.url(), table=False), "install"), "no audited table is declared")


def test_two_binds_in_one_database_are_not_each_others_leftovers(database: Database) -> None:
    """Pruning one would end the recording of the other."""
    db = SQLAlchemy()
    for key, name in ((None, "here"), ("reporting", "there")):
        columns = db.Column("id", Integer, primary_key=True)
        db.Table(name, columns, bind_key=key, info=audited())
    app = Flask(__name__)
    url = database.url()
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_BINDS={"reporting": url})
    db.init_app(app)
    FlaskAudit(app, db)
    with app.app_context():
        db.create_all()
        assert "warning" not in run(app, "install").output
        assert run(app, "check").output == "everything is recorded as declared\n"
        assert run(app, "install", "--prune", "--dry-run").output == "nothing to do\n-- bind reporting\nnothing to do\n"
        assert run(app, "install", "--prune").output == "nothing to do\n-- bind reporting\nnothing to do\n"
        for engine in db.engines.values():
            engine.dispose()
