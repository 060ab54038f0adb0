"""The smallest app worth auditing: a user logs in and writes posts. Made anew for each test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, request
from flask_login import LoginManager, UserMixin, login_user, logout_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Column, Integer, MetaData, NullPool, String, Table, create_engine, text

from flask_pg_audit import FlaskAudit, audited

#: What a request leaves behind on its connection, the next one finds.
ONE_CONNECTION = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 3}


@dataclass
class Blog:
    """The app, its extensions and its models."""

    app: Flask
    db: SQLAlchemy
    audit: FlaskAudit
    User: Any
    Post: Any
    user_lookups: list[str] = field(default_factory=list)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What somebody else reads, on an engine that the extension does not know."""
        engine = create_engine(self.app.config["SQLALCHEMY_DATABASE_URI"], poolclass=NullPool)
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def posts(self) -> list[tuple[Any, ...]]:
        """(title, username, actor id) of every recorded change of a post, in order."""
        return self.rows(
            "SELECT p.title, p.audit_username, t.actor_id FROM post_audit p "
            "JOIN audit_transaction t ON t.id = p.audit_transaction_id ORDER BY p.audit_id"
        )


@contextmanager
def blog(url: URL, install: bool = True, pool: Mapping[str, Any] = ONE_CONNECTION, **config: Any) -> Iterator[Blog]:
    """A blog on ``url``, its tables created and audited."""
    db = SQLAlchemy()
    audit = FlaskAudit()

    class User(UserMixin, db.Model):  # type: ignore[name-defined, misc]
        __table_args__ = {"info": audited(exclude=["password_hash"])}  # noqa: RUF012
        id = Column(Integer, primary_key=True)
        username = Column(String, nullable=False)
        password_hash = Column(String)

    class Post(db.Model):  # type: ignore[name-defined, misc]
        __table_args__ = {"info": audited()}  # noqa: RUF012
        id = Column(Integer, primary_key=True)
        title = Column(String)

    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="test",
        TESTING=True,
        # On a busy machine the default is soon over, and then a page shows less.
        AUDIT_SEARCH_BUDGET=60_000,
        SQLALCHEMY_DATABASE_URI=url,
        SQLALCHEMY_ENGINE_OPTIONS=dict(pool),
    )
    app.config.update(config)
    db.init_app(app)
    made = Blog(app, db, audit, User, Post)
    _add_login(made)
    audit.init_app(app, db)
    try:
        with app.app_context():
            if schema := config.get("AUDIT_SCHEMA"):
                with db.engine.begin() as connection:
                    connection.execute(text(f"CREATE SCHEMA {schema}"))
            db.create_all()
        if install:
            assert app.test_cli_runner().invoke(args=["audit", "install"]).exit_code == 0
        yield made
    finally:
        with app.app_context():
            db.session.remove()
            for engine in db.engines.values():
                engine.dispose()


def _add_login(made: Blog) -> None:
    login_manager = LoginManager(made.app)

    @login_manager.user_loader  # type: ignore[untyped-decorator]
    def load_user(user_id: str) -> Any:
        made.user_lookups.append(user_id)
        return made.db.session.get(made.User, int(user_id))

    @made.app.post("/signup/<name>")
    def signup(name: str) -> str:
        """Anonymous first, somebody in the middle of one transaction."""
        user = made.User(username=name)
        made.db.session.add(user)
        made.db.session.flush()
        login_user(user)
        made.db.session.add(made.Post(title="hello"))
        made.db.session.commit()
        return str(user.id)

    @made.app.post("/logout")
    def logout() -> str:
        made.db.session.add(made.Post(title="before logout"))
        made.db.session.commit()
        logout_user()
        made.db.session.add(made.Post(title="after logout"))
        made.db.session.commit()
        return ""

    @made.app.post("/posts")
    def add_posts() -> str:
        """Each title in a transaction of its own."""
        for title in request.args.getlist("title"):
            made.db.session.add(made.Post(title=title))
            made.db.session.commit()
        return ""

    @made.app.get("/posts")
    def list_posts() -> str:
        return ",".join(made.db.session.scalars(made.db.select(made.Post.title)))


def other_table(metadata: MetaData, name: str, **options: Any) -> Table:
    """One more audited table in the same database."""
    return Table(name, metadata, Column("id", Integer, primary_key=True), info=audited(**options))
