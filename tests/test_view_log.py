"""Who reads the log: ``audit_view``, how it is written and read, and everything that installs and keeps it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask_login import login_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, Engine, Integer, MetaData, NullPool, Table, create_engine, event, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from flask_pg_audit import AuditConfigError, AuditError, FlaskAudit, audited, enable, install_audit_triggers
from flask_pg_audit.context.apply import apply_context
from flask_pg_audit.context.executions import watch_executions
from flask_pg_audit.database.check import check
from flask_pg_audit.database.install import uninstall_with_history
from flask_pg_audit.declare.registry import audited_tables, declare_view_table, find_view_table, set_audit_schema
from flask_pg_audit.history import feed
from flask_pg_audit.ui.view_log import View, read_views, record_view
from tests.blog import Blog, blog
from tests.capture import audited_table, column, install, rewriting, role, rows, run
from tests.catalog import of_kinds
from tests.revisions import Project, note
from tests.server import Database

LOOK = View(action="view", page="audit.index", row_count=50)
ACTIONS = "SELECT action FROM audit_view ORDER BY id"


def watched(schema: str | None = None) -> MetaData:
    """One audited table, and the log of who reads its history."""
    metadata = MetaData()
    if schema is not None:
        set_audit_schema(metadata, schema)
    declare_view_table(metadata)
    audited_table(metadata, "item", column("id", Integer, primary_key=True))
    return metadata


@pytest.fixture
def metadata(engine: Engine) -> MetaData:
    metadata = watched()
    install(engine, metadata)
    return metadata


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url()) as made:
        yield made


def codes(engine: Engine, metadata: MetaData) -> list[str]:
    return [finding.code for finding in check(metadata, engine)]


def done(engine: Engine, metadata: MetaData) -> list[str]:
    return [str(action) for action in install_audit_triggers(metadata, engine).actions]


def stored(engine: Engine, metadata: MetaData, view: View) -> tuple[Any, ...]:
    record_view(engine, metadata, view)
    [*_, last] = rows(engine, "SELECT username, query::text FROM audit_view ORDER BY id")
    return last


# Where the table is


def test_it_is_beside_audit_transaction_where_there_are_pages_and_they_are_watched(database: Database) -> None:
    for config, expected in (({}, True), ({"AUDIT_UI": False}, False), ({"AUDIT_LOG_VIEWS": False}, False)):
        app, db = Flask(__name__), SQLAlchemy()
        binds = {"other": database.url(), "none": database.url()}
        app.config.update(SQLALCHEMY_DATABASE_URI=database.url(), SQLALCHEMY_BINDS=binds, **config)
        db.init_app(app)
        FlaskAudit(app, db)
        for key in (None, "other"):
            db.Table("thing", Column("id", Integer, primary_key=True), bind_key=key, info=audited())
        found = {key: find_view_table(metadata) is not None for key, metadata in db.metadatas.items()}
        assert found == {None: expected, "other": expected, "none": False}


def test_models_that_were_declared_first_get_it_too(database: Database) -> None:
    db = SQLAlchemy()
    db.Table("thing", Column("id", Integer, primary_key=True), info=audited())
    app = Flask(__name__)
    app.config.update(SQLALCHEMY_DATABASE_URI=database.url(), AUDIT_SCHEMA="auditing")
    db.init_app(app)
    FlaskAudit(app, db)
    assert "auditing.audit_view" in db.metadata.tables


def test_plain_sqlalchemy_has_none() -> None:
    enable()
    metadata = MetaData()
    Table("thing", metadata, Column("id", Integer, primary_key=True), info=audited())
    shared = {"audit_maintenance", "audit_redaction", "audit_seal", "audit_seal_leaves", "audit_transaction"}
    assert set(metadata.tables) == {"thing", "thing_audit", *shared}


def test_it_is_neither_audited_nor_an_audit_table() -> None:
    assert [found.table.name for found in audited_tables(watched())] == ["item"]


def test_another_schema_takes_it_along() -> None:
    metadata = watched()
    set_audit_schema(metadata, "auditing")
    assert {"auditing.audit_transaction", "auditing.audit_view"} <= set(metadata.tables)
    assert "audit_view" not in metadata.tables


@pytest.mark.parametrize("schema", [None, "tenant"])
def test_a_copy_of_the_metadata_has_its_own(schema: Any) -> None:
    copied = MetaData()
    for table in watched().sorted_tables:
        table.to_metadata(copied, schema=schema)
    found = find_view_table(copied)
    assert found is not None and (found.metadata, found.schema) == (copied, schema)


def test_a_model_of_that_name() -> None:
    metadata = MetaData()
    Table("audit_view", metadata, Column("id", Integer))
    declare_view_table(metadata)
    with pytest.raises(AuditConfigError, match=r'"audit_view" is needed .* set AUDIT_LOG_VIEWS = False or another AUD'):
        audited_table(metadata, "item", column("id", Integer, primary_key=True))


# Installation


def test_create_all_and_install_make_the_same_table(engine: Engine) -> None:
    metadata = watched()
    metadata.create_all(engine)
    query = (
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull, attidentity, atthasdef, "
        "col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = 'audit_view'::regclass AND attnum > 0"
    )
    indexes = "SELECT indexdef FROM pg_indexes WHERE tablename = 'audit_view' ORDER BY 1"
    created = rows(engine, query), rows(engine, indexes)
    run(engine, "DROP TABLE audit_view")
    assert "create table audit_view (missing)" in done(engine, metadata)
    assert (rows(engine, query), rows(engine, indexes)) == created
    assert done(engine, metadata) == []
    assert [row[0] for row in created[0]] == [
        *("id", "viewed_at", "username", "actor_id", "remote_addr", "request_id", "action", "page", "query"),
        "row_count",
    ]


def test_the_script_has_it(engine: Engine) -> None:
    metadata = watched()
    metadata.tables["item"].create(engine)
    script = install_audit_triggers(metadata)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(script, execution_options={"no_parameters": True})
    assert codes(engine, metadata) == []


def test_the_commands_create_show_and_drop_it(site: Blog) -> None:
    runner = site.app.test_cli_runner()

    def states() -> set[str]:
        return {table["state"] for table in json.loads(runner.invoke(args=["audit", "status", "--json"]).output)}

    with site.app.app_context(), site.db.engine.begin() as connection:
        connection.execute(text("DROP TABLE audit_view"))
    assert runner.invoke(args=["audit", "check"]).output == (
        "view-table-missing: table audit_view: missing; who reads the log cannot be recorded, so it is not shown; "
        "fix: flask audit install\n"
    )
    assert states() == {"installed"}, "changes are recorded all the same"
    assert runner.invoke(args=["audit", "install"]).output == (
        "create table audit_view (missing)\ncreate trigger audit_refuse_rewriting on audit_view (missing)\n"
    )
    assert runner.invoke(args=["audit", "uninstall"]).exit_code == 0
    assert site.rows("SELECT to_regclass('audit_view') IS NOT NULL") == [(True,)]
    dropped = runner.invoke(args=["audit", "uninstall", "--drop-history", "--yes"]).output
    assert "drop table audit_view (history)" in dropped.splitlines()
    assert site.rows("SELECT to_regclass('audit_view')") == [(None,)]


def test_a_column_and_an_index_that_are_missing(engine: Engine, metadata: MetaData) -> None:
    run(engine, "ALTER TABLE audit_view DROP row_count", "DROP INDEX ix_audit_view_viewed_at")
    assert codes(engine, metadata) == ["index-missing", "view-table-outdated"]
    assert done(engine, metadata) == ["add column row_count to audit_view (missing)"]
    [finding] = check(metadata, engine)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text(finding.fix))
    assert codes(engine, metadata) == []


@pytest.mark.parametrize("taken", ["CREATE TABLE audit_view (id int)", "CREATE VIEW audit_view AS SELECT 1 AS id"])
def test_a_name_that_is_taken_is_said_and_left_alone(engine: Engine, metadata: MetaData, taken: str) -> None:
    run(engine, "DROP TABLE audit_view", taken)
    [finding] = check(metadata, engine)
    assert str(finding).startswith("name-taken: the name of the table audit_view is taken")
    with pytest.raises(AuditError, match="the name of the table audit_view is taken"):
        install_audit_triggers(metadata, engine)
    uninstall_with_history(metadata, engine)
    assert rows(engine, "SELECT to_regclass('audit_view') IS NOT NULL") == [(True,)]


def test_it_moves_with_audit_schema(engine: Engine, metadata: MetaData) -> None:
    record_view(engine, metadata, LOOK)
    moved = watched("auditing")
    assert "move table audit_view to auditing.audit_view (AUDIT_SCHEMA)" in done(engine, moved)
    assert rows(engine, "SELECT id, action FROM auditing.audit_view") == [(1, "view")]
    assert done(engine, moved) == []
    assert codes(engine, moved) == []


def test_it_is_new_in_another_schema_where_there_was_none(engine: Engine) -> None:
    before = MetaData()
    audited_table(before, "item", column("id", Integer, primary_key=True))
    install(engine, before)
    run(engine, "CREATE TABLE audit_view (id int)")
    moved = watched("auditing")
    assert "create table auditing.audit_view (missing)" in done(engine, moved)
    assert done(engine, moved) == []
    assert rows(engine, "SELECT count(*) FROM public.audit_view") == [(0,)], "somebody else's, and left alone"


@pytest.mark.superuser
def test_the_application_may_add_to_it_and_take_nothing_back(engine: Engine, metadata: MetaData) -> None:
    with role(engine, "app", "GRANT INSERT, SELECT ON audit_view TO {role}") as app:
        assert codes(engine, metadata) == []
        run(engine, f"GRANT DELETE ON audit_view TO {app}")
        assert [str(finding) for finding in check(metadata, engine)] == [
            f"audit-table-writable: {app} may write audit_view (DELETE); whoever may write history can rewrite it; "
            f"fix: REVOKE ALL ON TABLE public.audit_view FROM {app}, and grant it SELECT, INSERT again if it "
            "reads history"
        ]


# Revisions


def test_a_revision_creates_it_and_none_drops_it(project: Project) -> None:
    project.start(note(), AUDIT_LOG_VIEWS=False)
    assert "relation audit_view" not in project.catalog
    on = project.version(note())
    revision = on.migrate_and_upgrade()
    with on.app.app_context():
        record_view(on.db.engine, on.db.metadata, LOOK)
    assert project.version(note(), AUDIT_LOG_VIEWS=False).migrate() is None
    assert "drop_table" not in revision.read_text()
    on.downgrade()
    assert project.rows(ACTIONS) == [("view",)]
    on.upgrade()
    on.is_settled()
    project.version(lambda db: None).migrate_and_upgrade()
    assert project.rows(ACTIONS) == [("view",)]


def test_a_revision_moves_it(project: Project) -> None:
    one = project.start(note())
    with one.app.app_context():
        record_view(one.db.engine, one.db.metadata, LOOK)
    two = project.version(note(), AUDIT_SCHEMA="auditing", migrate={"include_schemas": True})
    two.migrate_and_upgrade()
    assert project.rows("SELECT action FROM auditing.audit_view") == [("view",)]
    two.downgrade()
    assert project.rows(ACTIONS) == [("view",)]


def test_a_revision_adds_a_column(project: Project) -> None:
    one = project.start(note())
    project.run("ALTER TABLE audit_view DROP row_count")
    one.migrate_and_upgrade()
    assert "column audit_view.row_count" in of_kinds(project.catalog, "column audit_view")


def test_a_developer_may_drop_it(project: Project) -> None:
    drop = {"audit_drop_history": True}
    project.start(note(), migrate=drop)
    project.version(note(), AUDIT_LOG_VIEWS=False, migrate=drop).migrate_and_upgrade()
    assert "relation audit_view" not in project.catalog


# Recording


def test_everything_is_recorded_and_read_back(engine: Engine, metadata: MetaData) -> None:
    view = View(
        action="search",
        page="audit.search",
        query={"q": 'actor:alice "ä\U0001f600"', "table": ["a", "b"]},
        row_count=3,
        username="alice",
        actor_id="7",
        remote_addr="::1",
        request_id="r-1",
    )
    before = datetime.datetime.now(datetime.timezone.utc)
    record_view(engine, metadata, view)
    with engine.connect() as connection:
        [found] = read_views(connection, metadata, limit=10)
    assert found.viewed_at.utcoffset() is not None
    assert abs(found.viewed_at - before) < datetime.timedelta(minutes=1)
    for name in ("action", "page", "query", "row_count", "username", "actor_id", "remote_addr", "request_id"):
        assert getattr(found, name) == getattr(view, name), name


def test_it_is_committed_whatever_becomes_of_the_request(engine: Engine, metadata: MetaData) -> None:
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO item VALUES (1)"))
        record_view(engine, metadata, LOOK)
        connection.rollback()
    assert rows(engine, "SELECT (SELECT count(*) FROM item), (SELECT count(*) FROM audit_view)") == [(0, 1)]


def test_on_a_connection(engine: Engine, metadata: MetaData) -> None:
    with engine.connect() as connection:
        record_view(connection, metadata, LOOK)
        assert rows(engine, ACTIONS) == [("view",)]
        connection.execute(text("SELECT 1"))
        with pytest.raises(AuditConfigError, match="a transaction of its own"):
            record_view(connection, metadata, LOOK)


def test_on_an_autocommit_engine(engine: Engine, metadata: MetaData) -> None:
    record_view(engine.execution_options(isolation_level="AUTOCOMMIT"), metadata, LOOK)
    assert rows(engine, ACTIONS) == [("view",)]


def test_one_statement_and_nothing_else(engine: Engine, metadata: MetaData) -> None:
    """``RETURNING`` would need ``SELECT`` on the table, and settings a user."""
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: sent.append(arguments[2]))
    record_view(engine, metadata, LOOK)
    [statement] = sent
    assert statement.startswith("INSERT INTO audit_view ") and "RETURNING" not in statement


@pytest.mark.parametrize(
    "hostile", ["\0", "a\ud800b", "\udfff" * 500, "\U0001f600" * 3_000, "\x01" * 3_000, '"\\' * 999]
)
def test_hostile_text(engine: Engine, metadata: MetaData, hostile: str) -> None:
    view = View(
        action="view",
        page=hostile,
        query={"q": hostile, hostile: hostile, "list": [hostile] * 5_000},
        username=hostile,
        actor_id=hostile,
        remote_addr=hostile,
        request_id=hostile,
    )
    username, query = stored(engine, metadata, view)
    assert 0 < len(username) <= 200
    assert len(query) <= 16_000
    assert json.loads(query)["q"], "padding hides nothing"


def test_long_values_are_cut_where_it_can_be_seen(engine: Engine, metadata: MetaData) -> None:
    view = View(action="search", page="p", query={"q": "x" * 5_000}, username="y" * 201)
    username, query = stored(engine, metadata, view)
    assert username == "y" * 199 + "…"
    assert json.loads(query) == {"q": "x" * 1_999 + "…"}
    many = View(action="search", page="p", query={f"n{number}": "x" * 2_000 for number in range(10)})
    kept = json.loads(stored(engine, metadata, many)[1])
    assert list(kept) == [*(f"n{number}" for number in range(7)), "…"] and kept["…"] == "3 more"
    assert len(kept["n0"]) == 2_000
    several = View(action="search", page="p", query={"t": ["x" * 1_900] * 10})
    assert json.loads(stored(engine, metadata, several)[1]) == {"t": ["x" * 1_900] * 2 + ["… 8 more"]}


def test_the_database_has_no_say_in_what_json_is(database: Database, metadata: MetaData) -> None:
    """An application may give its engine a serializer of its own."""

    def fail(value: object) -> Any:
        raise AssertionError(value)

    engine = create_engine(database.url(), json_serializer=fail, json_deserializer=fail)
    record_view(engine, metadata, View(action="view", page="p", query={"a": "b"}))
    with engine.connect() as connection:
        assert [view.query for view in read_views(connection, metadata, limit=1)] == [{"a": "b"}]
    engine.dispose()


# What is in the way


def refusal(engine: Engine, metadata: MetaData) -> str:
    with pytest.raises(AuditError) as error:
        record_view(engine, metadata, LOOK)
    message = str(error.value)
    assert message.startswith("it could not be recorded that you read the log, so it is not shown: ")
    assert "AUDIT_LOG_VIEWS = False" in message
    return message


def test_no_table(engine: Engine, metadata: MetaData) -> None:
    run(engine, "DROP TABLE audit_view")
    assert "the table audit_view is not in the database. Run: flask audit install" in refusal(engine, metadata)
    with engine.connect() as connection, pytest.raises(AuditError, match="who read the log cannot be told: the table"):
        read_views(connection, metadata, limit=1)


def test_no_schema(engine: Engine) -> None:
    assert "auditing.audit_view is not in the database. Run: flask audit install" in refusal(
        engine, watched("auditing")
    )


def test_no_column(engine: Engine, metadata: MetaData) -> None:
    run(engine, "ALTER TABLE audit_view DROP row_count")
    assert "the table audit_view lacks a column. Run: flask audit install" in refusal(engine, metadata)


def test_a_read_only_server(database: Database, metadata: MetaData) -> None:
    engine = create_engine(database.url(), connect_args={"options": "-c default_transaction_read_only=on"})
    assert "the database takes no writes here" in refusal(engine, metadata)
    engine.dispose()


@pytest.mark.superuser
def test_a_role_needs_insert_and_no_more(database: Database, engine: Engine, metadata: MetaData) -> None:
    with role(engine, "app") as app:
        as_app = create_engine(database.url().set(username=app), poolclass=NullPool)
        assert "may not use audit_view. Grant it INSERT" in refusal(as_app, metadata)
        run(engine, f"GRANT INSERT ON audit_view TO {app}")
        record_view(as_app, metadata, LOOK)
        with as_app.connect() as connection, pytest.raises(AuditError, match="SELECT to see who read the log"):
            read_views(connection, metadata, limit=1)


def test_no_connection(database: Database, metadata: MetaData) -> None:
    pool = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
    engine = create_engine(database.url(), poolclass=QueuePool, **pool)
    with engine.connect():
        assert "no database connection was free" in refusal(engine, metadata)
    engine.dispose()


def test_no_server(database: Database, metadata: MetaData) -> None:
    engine = create_engine(database.url().set(host="127.0.0.1", port=1))
    assert "the database said: " in refusal(engine, metadata)


def test_a_constraint_of_somebody(engine: Engine, metadata: MetaData) -> None:
    run(engine, "ALTER TABLE audit_view ADD CHECK (row_count < 10)")
    assert "the database said: new row for relation" in refusal(engine, metadata)


def test_it_is_off(engine: Engine) -> None:
    metadata = MetaData()
    audited_table(metadata, "item", column("id", Integer, primary_key=True))
    with pytest.raises(AuditConfigError, match="it is not recorded who reads the log: AUDIT_LOG_VIEWS or AUDIT_UI is"):
        record_view(engine, metadata, LOOK)


# Nobody is asked who acts


def test_no_user_is_looked_up(site: Blog) -> None:
    @site.app.get("/look")
    def look() -> str:
        record_view(site.db.engine, site.db.metadata, LOOK)
        return ""

    client = site.app.test_client()
    client.post("/signup/alice")
    site.user_lookups.clear()
    assert client.get("/look").status_code == 200
    assert site.user_lookups == []
    client.post("/posts?title=x")
    assert len(site.user_lookups) > 0, "a change does ask"
    assert site.rows(ACTIONS) == [("view",)]


def test_a_loader_that_fails_is_not_in_the_way(site: Blog) -> None:
    @site.audit.actor_loader
    def load() -> object:
        raise RuntimeError("who?")

    with site.app.test_request_context():
        login_user(site.User(id=1, username="alice"))
        record_view(site.db.engine, site.db.metadata, LOOK)
    assert site.rows(ACTIONS) == [("view",)]


@pytest.mark.parametrize("watch", [apply_context, watch_executions])
@pytest.mark.parametrize("isolation", ["READ COMMITTED", "AUTOCOMMIT"])
def test_only_the_plain_insert_asks_nobody(database: Database, metadata: MetaData, watch: Any, isolation: str) -> None:
    asked: list[int] = []

    def resolve() -> dict[str, str]:
        asked.append(1)
        return {"audit.username": "alice"}

    engine = create_engine(database.url(), isolation_level=isolation)
    watch(engine, resolve)
    record_view(engine, metadata, LOOK)
    assert asked == []
    with engine.connect() as connection:
        assert len(read_views(connection, metadata, limit=10)) == 1
        assert asked == []
        table = metadata.tables["audit_view"]
        copied = insert(table).from_select(
            ["action", "page", "query"], select(table.c.action, table.c.page, table.c.query)
        )
        connection.execute(copied)
        assert asked == [1], "what else it does, nobody knows"
        with pytest.raises(DBAPIError, match="is not rewritten"):
            connection.execute(table.delete())
    assert len(asked) == 2 or isolation == "READ COMMITTED"
    engine.dispose()


# Reading


def test_pages_neither_skip_nor_repeat(engine: Engine, metadata: MetaData) -> None:
    def record(count: int) -> None:
        for _ in range(count):
            record_view(engine, metadata, LOOK)

    record(5)
    with engine.connect() as connection:
        first = [view.id for view in read_views(connection, metadata, limit=2)]
        record(3)
        second = [view.id for view in read_views(connection, metadata, before=first[-1], limit=2)]
        third = [view.id for view in read_views(connection, metadata, before=second[-1], limit=2)]
    assert first + second + third == [5, 4, 3, 2, 1]


def test_what_somebody_else_wrote_there_can_be_read(engine: Engine, metadata: MetaData) -> None:
    values = [
        "'view', 'p', '[1]'",
        "repeat('x', 100000), 'p', '1'",
        "'view', 'p', jsonb_build_object('a', repeat('x', 100000))",
        "'view', 'p', ('{\"n\": ' || repeat('9', 3000) || '}')::jsonb",
    ]
    for each in values:
        run(engine, f"INSERT INTO audit_view (action, page, query) VALUES ({each})")
    with engine.connect() as connection:
        found = read_views(connection, metadata, limit=10)[::-1]
    assert [len(view.action) for view in found] == [4, 200, 4, 4]
    assert [view.query for view in found] == [{}, {}, {}, {"n": "9" * 3000}]


def test_the_feed_has_none_of_it(site: Blog) -> None:
    site.app.test_client().post("/posts?title=x")
    with site.app.app_context():
        record_view(site.db.engine, site.db.metadata, LOOK)
        assert [change.table for change in site.audit.feed().changes] == ["post"]
        assert len(site.db.session.execute(feed(site.db.metadata, limit=10)).all()) == 1
    assert site.rows("SELECT count(*) FROM audit_transaction") == [(1,)]


def test_retention(engine: Engine, metadata: MetaData) -> None:
    record_view(engine, metadata, LOOK)
    run(engine, rewriting("UPDATE audit_view SET viewed_at = now() - interval '2 years'"))
    record_view(engine, metadata, LOOK)
    run(engine, rewriting("DELETE FROM audit_view WHERE viewed_at < now() - interval '1 year'"))
    assert rows(engine, "SELECT id FROM audit_view") == [(2,)]


# flask audit views


def views(site: Blog, *arguments: str) -> str:
    result = site.app.test_cli_runner().invoke(args=["audit", "views", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command(site: Blog) -> None:
    search = View(
        action="search", page="audit.index", query={"q": "a\x1b[31m\n‮"}, row_count=1_234, username="al\x1bice"
    )
    with site.app.app_context():
        for view in (LOOK, View(action="export", page="audit.export", actor_id="7", remote_addr="10.0.0.1"), search):
            record_view(site.db.engine, site.db.metadata, view)
    with site.app.app_context(), site.db.engine.begin() as connection:
        connection.execute(text(rewriting("UPDATE audit_view SET viewed_at = '2026-11-25 14:02:11+01'")))
    assert views(site).splitlines() == [
        '2026-11-25 13:02:11 UTC  al⟨U+001B⟩ice  search audit.index, 1,234 rows {"q": "a\\u001b[31m\\n⟨U+202E⟩"}',
        "2026-11-25 13:02:11 UTC  7 from 10.0.0.1  export audit.export",
        "2026-11-25 13:02:11 UTC  nobody  view audit.index, 50 rows",
    ]
    assert len(views(site, "--limit", "1").splitlines()) == 1
    [found] = json.loads(views(site, "--limit", "1", "--json"))
    assert list(found) == [
        *("bind", "id", "viewed_at", "action", "page", "query", "row_count"),
        *("username", "actor_id", "remote_addr", "request_id"),
    ]
    assert found["query"] == {"q": "a\x1b[31m\n‮"} and found["bind"] is None


def test_the_command_without_a_table(site: Blog) -> None:
    with site.app.app_context(), site.db.engine.begin() as connection:
        connection.execute(text("DROP TABLE audit_view"))
    result = site.app.test_cli_runner().invoke(args=["audit", "views"])
    assert (result.exit_code, result.output) == (
        1,
        "Error: who read the log cannot be told: the table audit_view is not in the database. "
        "Run: flask audit install\n",
    )


@contextmanager
def two_binds(url: object) -> Iterator[tuple[Flask, SQLAlchemy]]:
    app, db = Flask(__name__), SQLAlchemy()
    app.config.update(SQLALCHEMY_DATABASE_URI=url, SQLALCHEMY_BINDS={"other": url})
    db.init_app(app)
    FlaskAudit(app, db)
    for key, name in ((None, "here"), ("other", "there")):
        db.Table(name, Column("id", Integer, primary_key=True), bind_key=key, info=audited())
    with app.app_context():
        db.create_all()
        yield app, db
        for engine in db.engines.values():
            engine.dispose()


def test_binds(database: Database) -> None:
    """Both in one database here, and so one table."""
    with two_binds(database.url()) as (app, db):
        runner = app.test_cli_runner()
        assert runner.invoke(args=["audit", "install"]).exit_code == 0
        assert runner.invoke(args=["audit", "check"]).exit_code == 0
        record_view(db.engines["other"], db.metadatas["other"], LOOK)
        lines = runner.invoke(args=["audit", "views", "--bind", "other"]).output.splitlines()
        assert lines[0] == "-- bind other" and lines[1].endswith("nobody  view audit.index, 50 rows")
