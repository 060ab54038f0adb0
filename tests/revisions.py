"""Migrations as a developer makes them: ``flask db ...``, with models that change from version to version."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, Column, Engine, Integer, MetaData, NullPool, Text, create_engine

from flask_pg_audit import FlaskAudit, audited, install_audit_triggers
from flask_pg_audit.declare.registry import audited_tables
from tests.capture import execute, rows, run
from tests.catalog import Catalog, of_kinds, read_catalog, read_history

#: Declares one version's tables on a new ``db``.
Models = Callable[[SQLAlchemy], object]


@dataclass
class Project:
    """A database and a migrations folder, which see one version of the models after the other."""

    url: URL
    folder: Path

    def __post_init__(self) -> None:
        self.engine: Engine = create_engine(self.url, poolclass=NullPool)

    def version(
        self,
        models: Models,
        naming: Mapping[str, str] | None = None,
        migrate: Mapping[str, Any] | None = None,
        **config: Any,
    ) -> Version:
        """The app with these models.

        :param naming: the naming convention of its ``MetaData``.
        :param migrate: what ``Migrate()`` is given, and so Alembic's ``context.configure()``.
        :param config: the app's configuration.
        """
        db = SQLAlchemy(metadata=MetaData(naming_convention=naming))
        app = Flask(__name__)
        app.config.update(SQLALCHEMY_DATABASE_URI=self.url, SQLALCHEMY_ENGINE_OPTIONS={"poolclass": NullPool}, **config)
        models(db)
        db.init_app(app)
        FlaskAudit(app, db)
        Migrate(app, db, directory=str(self.folder), **(migrate or {}))
        return Version(self, app, db, app.extensions["migrate"].configure_args)

    def start(self, models: Models, *, init: tuple[str, ...] = (), **arguments: Any) -> Version:
        """The first version, with its migrations made and run.

        :param init: more arguments of ``flask db init``.
        """
        first = self.version(models, **arguments)
        first.flask("db", "init", *init)
        assert first.migrate() is not None
        first.upgrade()
        return first

    @property
    def revisions(self) -> set[Path]:
        return set((self.folder / "versions").glob("*.py"))

    @property
    def catalog(self) -> Catalog:
        return read_catalog(self.engine)

    @property
    def programs(self) -> Catalog:
        """The functions and triggers."""
        return of_kinds(self.catalog, "function", "trigger")

    def run(self, *statements: str) -> None:
        run(self.engine, *statements)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return rows(self.engine, query)


@dataclass
class Version:
    """The app at one version of its models, and the commands that its developer types."""

    project: Project
    app: Flask
    db: SQLAlchemy
    migrate_options: Mapping[str, Any]

    def flask(self, *arguments: str, exit_code: int = 0) -> str:
        """Run ``flask <arguments>`` and return what it prints."""
        # Flask-Migrate's env.py leaves a function in there that belongs to one command, and each is a process's only.
        self.app.extensions["migrate"].configure_args = dict(self.migrate_options)
        with warnings.catch_warnings():
            # Flask-Migrate's env.py asks for it before it asks for what is there in Flask-SQLAlchemy 3.
            warnings.filterwarnings("ignore", "'get_engine' is deprecated", DeprecationWarning)
            result = self.app.test_cli_runner().invoke(args=arguments, catch_exceptions=False)
        assert result.exit_code == exit_code, f"flask {' '.join(arguments)}: {result.output}"
        return result.stdout

    def migrate(self, *arguments: str) -> Path | None:
        """``flask db migrate``: the revision, or ``None`` when there is nothing to write down."""
        before = self.project.revisions
        self.flask("db", "migrate", *arguments)
        new = self.project.revisions - before
        assert len(new) <= 1
        return new.pop() if new else None

    def by_hand(self, upgrade: str, downgrade: str) -> Path:
        """``flask db revision``, with these lines of Python for its two functions."""
        before = self.project.revisions
        self.flask("db", "revision")
        (revision,) = self.project.revisions - before
        edited(revision, upgrade, downgrade)
        return revision

    def upgrade(self, *revision: str) -> None:
        """``flask db upgrade``, to the newest unless told, which loses no history."""
        self._keeping_history("upgrade", *revision)

    def downgrade(self, *revision: str) -> None:
        """``flask db downgrade``, one step unless told, which loses no history."""
        self._keeping_history("downgrade", *revision)

    def migrate_and_upgrade(self) -> Path:
        """A revision, run, after which there is nothing left to write down."""
        revision = self.migrate()
        assert revision is not None, "the change of the models was not seen"
        self.upgrade()
        self.is_settled()
        return revision

    def is_settled(self) -> None:
        """Assert that models and database agree: nothing to migrate, nothing to install."""
        again = self.migrate()
        assert again is None, again.read_text()
        self.flask("db", "check")
        assert self.to_install() == []

    def to_install(self) -> list[str]:
        """What ``flask audit install`` would still have to do."""
        if not audited_tables(self.db.metadata):
            return []
        with self.project.engine.connect() as connection:
            done = install_audit_triggers(self.db.metadata, connection)
            connection.rollback()
        return [str(action) for action in done.actions]

    def sql(self, *arguments: str) -> str:
        """``flask db upgrade --sql`` and the like: the script."""
        return self.flask("db", *arguments, "--sql")

    def _keeping_history(self, command: str, *revision: str) -> None:
        before = read_history(self.project.engine)
        self.flask("db", command, *revision)
        after = read_history(self.project.engine)
        assert {id_: after[id_].values if id_ in after else "lost" for id_ in before} == {
            id_: recorded.values for id_, recorded in before.items()
        }


@dataclass(frozen=True)
class Step:
    """One version of the models: what is written to its tables, and what auditing is to make of that.

    :ivar writes: statements that can be run again.
    :ivar recorded: what they add to ``reading``; nothing else is recorded anywhere.
    :ivar reading: a query of an audit table, without ``WHERE``.
    :ivar arguments: see :meth:`Project.version`.
    """

    models: Models
    writes: tuple[str, ...]
    recorded: list[tuple[Any, ...]]
    reading: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def is_recorded(self, project: Project) -> None:
        """Write, and assert that exactly what was expected was recorded."""
        before = read_history(project.engine).keys()
        with project.engine.begin() as connection:
            for statement in self.writes:
                execute(connection, statement)
        after = read_history(project.engine)
        new = {id_: after[id_].table for id_ in sorted(after.keys() - before)}
        if self.recorded:
            last = max(before, default=0)
            assert project.rows(f"{self.reading} WHERE audit_id > {last} ORDER BY audit_id") == self.recorded
        assert len(new) == len(self.recorded), f"more was recorded than that: {new}"


#: Statements for ``note``, and what is recorded of them.
EVERY_KIND = (
    "INSERT INTO note (text) VALUES ('a'), ('kept')",
    "UPDATE note SET text = 'b' WHERE text = 'a'",
    "DELETE FROM note WHERE text = 'b'",
)
RECORDED = [("I", "a"), ("I", "kept"), ("U", "b"), ("D", "b")]


def note(*columns: Column[Any], text: bool = True, audit: bool = True, **options: Any) -> Models:
    """The table ``note``, with more columns than ``id`` and ``text``."""

    def declare(db: SQLAlchemy) -> None:
        texts = [Column("text", Text)] if text else []
        info = audited(**options) if audit else {}
        db.Table("note", Column("id", Integer, primary_key=True), *texts, *columns, info=info)

    return declare


def other(name: str) -> Models:
    """One more audited table."""
    return lambda db: db.Table(name, Column("id", Integer, primary_key=True), Column("text", Text), info=audited())


def together(*models: Models) -> Models:
    """The tables of all of them."""
    return lambda db: [declare(db) for declare in models]


def edited(revision: Path, upgrade: str, downgrade: str) -> None:
    """Write the two bodies of an empty revision, a line of Python each."""
    head, up, down = revision.read_text().split("    pass\n")
    revision.write_text(f"{head}    {upgrade}\n{up}    {downgrade}\n{down}")
