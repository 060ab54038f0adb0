"""Starting the extension: state per app, configuration, misuse."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Column, DateTime, Integer, MetaData, NullPool, String, Table

import flask_pg_audit
from flask_pg_audit import AuditConfigError, AuditContextError, FlaskAudit, audited
from tests.blog import blog
from tests.server import Database

URL = "postgresql+psycopg2://nobody@/nowhere"  # never connected to


def make_app(db: SQLAlchemy | None = None, **config: Any) -> Flask:
    app = Flask(__name__)
    app.config.update({"SQLALCHEMY_DATABASE_URI": URL, **config})
    if db is not None:
        db.init_app(app)
    return app


def test_every_way_to_start() -> None:
    for start in (
        lambda app, db: FlaskAudit().init_app(app, db),
        lambda app, db: FlaskAudit().init_app(app),
        lambda app, db: FlaskAudit(app, db),
        lambda app, db: FlaskAudit(app),
    ):
        db = SQLAlchemy()
        app = make_app(db)
        start(app, db)
        assert app.extensions["audit"].db is db


def test_one_extension_serves_several_apps_and_keeps_nothing_of_theirs() -> None:
    audit = FlaskAudit()
    before = dict(vars(audit))
    db = SQLAlchemy()
    apps = [make_app(db), make_app(db, AUDIT_URL_PREFIX="/log")]
    for app in apps:
        audit.init_app(app, db)
    assert vars(audit) == before
    assert [app.extensions["audit"].config.url_prefix for app in apps] == ["/audit", "/log"]


def test_starting_twice_is_an_error() -> None:
    app = make_app(SQLAlchemy())
    audit = FlaskAudit(app)
    with pytest.raises(AuditConfigError, match="has an audit extension already"):
        audit.init_app(app)


def test_starting_before_sqlalchemy_is_an_error() -> None:
    with pytest.raises(AuditConfigError, match=r"call db.init_app\(app\) before"):
        FlaskAudit(make_app())


def test_a_db_of_another_app_is_an_error() -> None:
    with pytest.raises(AuditConfigError, match="not the one this app was initialised with"):
        FlaskAudit(make_app(SQLAlchemy()), SQLAlchemy())


def test_audited_tables_on_another_database_are_an_error() -> None:
    db = SQLAlchemy()
    Table("thing", db.metadata, Column("id", Integer, primary_key=True), info=audited())
    with pytest.raises(AuditConfigError, match="need PostgreSQL, but SQLALCHEMY_DATABASE_URI is sqlite:"):
        FlaskAudit(make_app(db, SQLALCHEMY_DATABASE_URI="sqlite:///:memory:"), db)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("AUDIT_URL_PREFIX", "audit", "AUDIT_URL_PREFIX must be a path such as \"/audit\", not 'audit'"),
        ("AUDIT_UI", "no", "AUDIT_UI must be True or False"),
        ("AUDIT_LOG_VIEWS", 1, "AUDIT_LOG_VIEWS must be True or False"),
        ("AUDIT_PAGE_SIZE", 0, "AUDIT_PAGE_SIZE must be a number from 1 to 500, not 0"),
        ("AUDIT_SCHEMA", "", "AUDIT_SCHEMA must be the name of a schema or None"),
        ("AUDIT_REQUIRE_USERNAME", 1, "AUDIT_REQUIRE_USERNAME must be True or False, not 1"),
        ("AUDIT_USERNAME_ATTRIBUTE", 3, "AUDIT_USERNAME_ATTRIBUTE must be the name of an attribute"),
        ("AUDIT_REQUIRE_USER_NAME", True, "unknown configuration key AUDIT_REQUIRE_USER_NAME; did you mean"),
    ],
)
def test_bad_configuration_is_one_clear_error(key: str, value: object, message: str) -> None:
    with pytest.raises(AuditConfigError) as error:
        FlaskAudit(make_app(SQLAlchemy(), **{key: value}))
    assert message in str(error.value)


def test_the_apps_own_keys_with_the_same_prefix_are_its_own() -> None:
    FlaskAudit(make_app(SQLAlchemy(), AUDIT_MAILBOX="audit@example.com"))


def test_models_declared_before_and_after_the_extension_are_audited() -> None:
    db = SQLAlchemy()
    before = Table("before", db.metadata, Column("id", Integer, primary_key=True), info=audited())
    app = make_app(db)
    FlaskAudit(app, db)
    after = Table("after", db.metadata, Column("id", Integer, primary_key=True), info=audited())
    for table in (before, after):
        assert "audit_username" in db.metadata.tables[f"{table.name}_audit"].columns


def test_models_shared_by_apps_that_disagree_about_the_username_are_an_error() -> None:
    db = SQLAlchemy()
    FlaskAudit(make_app(db), db)
    with pytest.raises(AuditConfigError, match=r"session setting 'username' was declared before.*must agree"):
        FlaskAudit(make_app(db, AUDIT_REQUIRE_USERNAME=True), db)


def test_a_tables_own_username_setting_wins() -> None:
    db = SQLAlchemy()
    own = Column("username", Integer, nullable=False)
    Table("thing", db.metadata, Column("id", Integer, primary_key=True), info=audited(session_settings=[own]))
    FlaskAudit(make_app(db), db)
    assert isinstance(db.metadata.tables["thing_audit"].c.audit_username.type, Integer)


def test_app_wide_and_per_table_settings_combine(database: Database) -> None:
    db = SQLAlchemy()
    app = make_app(db, SQLALCHEMY_DATABASE_URI=database.url(), SQLALCHEMY_ENGINE_OPTIONS={"poolclass": NullPool})
    settings: list[Column[Any]] = [Column("terminal", String), Column("since", DateTime(timezone=True), nullable=False)]
    Table("plain", db.metadata, Column("id", Integer, primary_key=True), info=audited())
    Table("sale", db.metadata, Column("id", Integer, primary_key=True), info=audited(session_settings=settings))
    audit = FlaskAudit(app, db)
    since = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    with app.app_context():
        db.create_all()
        app.test_cli_runner().invoke(args=["audit", "install"])
        with audit.context(username="alice", terminal="till 1", since=since), db.engine.begin() as connection:
            for name in ("plain", "sale"):
                connection.execute(db.metadata.tables[name].insert().values(id=1))
        with pytest.raises(AuditContextError, match=r'"audit\.since" is not set'), db.engine.begin() as connection:
            connection.execute(db.metadata.tables["sale"].insert().values(id=2))
        with db.engine.connect() as connection:
            sale = connection.execute(db.metadata.tables["sale_audit"].select()).mappings().one()
            plain = connection.execute(db.metadata.tables["plain_audit"].select()).mappings().one()
            [context] = connection.execute(db.metadata.tables["audit_transaction"].select()).mappings()
    assert (sale["audit_username"], sale["audit_terminal"], sale["audit_since"]) == ("alice", "till 1", since)
    assert plain["audit_username"] == "alice"
    assert context["context"] == {"terminal": "till 1", "since": since.isoformat()}


def test_the_pages_can_be_left_out() -> None:
    app = make_app(SQLAlchemy(), AUDIT_UI=False)
    FlaskAudit(app)
    assert "audit" not in app.blueprints


def test_the_audit_schema_holds_what_tables_share(database: Database) -> None:
    with blog(database.url(), AUDIT_SCHEMA="auditing") as site:
        site.app.test_client().post("/posts?title=x")
        assert site.rows("SELECT count(*) FROM auditing.audit_transaction") == [(1,)]
        assert site.rows(
            "SELECT n.nspname, count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
            "WHERE p.proname LIKE '%audit%' GROUP BY 1"
        ) == [("auditing", 7)]


def test_several_binds_are_installed_and_recorded(database: Database) -> None:
    db = SQLAlchemy()
    app = make_app(db, SQLALCHEMY_DATABASE_URI=database.url(), SQLALCHEMY_BINDS={"other": database.url()})
    other: MetaData = db.metadatas["other"]
    other.schema = "other"
    Table("here", db.metadata, Column("id", Integer, primary_key=True), info=audited())
    there = Table("there", other, Column("id", Integer, primary_key=True), info=audited())
    audit = FlaskAudit(app, db)
    with app.app_context():
        with db.engine.begin() as connection:
            connection.exec_driver_sql("CREATE SCHEMA other")
        db.create_all()
        result = app.test_cli_runner().invoke(args=["audit", "install"])
        assert result.exit_code == 0, result.output
        assert "-- bind other" in result.output
        with audit.context(username="alice"), db.engines["other"].begin() as connection:
            connection.execute(there.insert().values(id=1))
        with db.engines["other"].connect() as connection:
            assert connection.exec_driver_sql("SELECT audit_username FROM other.there_audit").scalars().all() == [
                "alice"
            ]
        for engine in db.engines.values():
            engine.dispose()


def test_the_public_names_are_what_is_documented() -> None:
    assert all(hasattr(flask_pg_audit, name) for name in flask_pg_audit.__all__)
