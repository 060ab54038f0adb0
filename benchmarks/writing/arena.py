"""One server, and a database on it for each contender."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import sqlalchemy as sa
from sqlalchemy import Engine

from benchmarks.contenders import Contender, Unavailable
from benchmarks.writing.changes import Change, delete, insert, update
from benchmarks.writing.session import Session, session
from benchmarks.writing.tables import Shape
from tools.embedded_postgres import THROWAWAY, EmbeddedPostgres

#: Nothing works in the background, and nothing depends on when a checkpoint was.
SETTINGS = {
    **THROWAWAY,
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "jit": "off",
    "max_wal_size": "4GB",
    "shared_buffers": "1GB",
}

#: What is in the database besides the tables that were named: the history, in whatever tables.
HISTORY = """
    SELECT format('%%I.%%I', n.nspname, c.relname), c.oid
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
    AND c.relname <> ALL (%(tables)s) AND c.relname NOT IN ('user', 'django_migrations', 'auditrum_applied_triggers')
    AND c.relname NOT IN ('audit_maintenance', 'audit_redaction')  -- which are never opened
"""

#: Lets our own history be emptied in the same transaction; nothing for others.
OPENING = """DO $do$ BEGIN
    IF to_regprocedure('audit_begin_maintenance(text)') IS NOT NULL THEN
        PERFORM audit_begin_maintenance('benchmark');
    END IF;
END $do$"""


@dataclass
class Lane:
    """A contender in its database."""

    contender: Contender
    engine: Engine
    tables: tuple[str, ...]
    _copied: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def session(self) -> AbstractContextManager[Session]:
        """A new connection."""
        return session(self.engine, self.contender.begin)

    def sql(self, *changes: Change) -> str:
        """The statements, as this contender has them executed."""
        return "; ".join(change.by_hand() if self.contender.by_hand else change.sql for change in changes)

    @cached_property
    def history(self) -> dict[str, int]:
        """The tables of the history, quoted, with their numbers."""
        with self.engine.connect() as connection:
            rows = connection.exec_driver_sql(HISTORY, {"tables": list(self.tables)})
            return {name: oid for name, oid in rows}

    def empty(self, session: Session, tables: Sequence[str]) -> None:
        """Leave nothing in these tables nor in the history."""
        names = ", ".join([*tables, *self.history])
        # CASCADE: a history may have foreign keys; TRUNCATE of an audited table would be recorded.
        truncate = f"{OPENING}; TRUNCATE {names} CASCADE"
        session.do(f"SET session_replication_role = replica; {truncate}; RESET session_replication_role")

    def rows_as_copied(self, session: Session, shape: Shape, rows: int) -> bytes:
        """What ``COPY`` reads; made once."""
        if (shape.name, rows) not in self._copied:
            values = ", ".join(field.value for field in shape.columns)
            with self.engine.connect() as connection, closing(connection.connection.cursor()) as cursor:
                data = io.BytesIO()
                query = f"COPY (SELECT {values} FROM generate_series(1, {rows}) AS i) TO STDOUT"
                cursor.copy_expert(query, data)
            self._copied[shape.name, rows] = data.getvalue()
        return self._copied[shape.name, rows]


@dataclass(frozen=True)
class Arena:
    """:ivar skipped: the contenders that cannot be measured, with the reasons."""

    contenders: tuple[Contender, ...]
    lanes: tuple[Lane, ...]
    skipped: dict[str, str]
    server: EmbeddedPostgres

    def lane(self, name: str) -> Lane:
        """That of a contender."""
        return next(lane for lane in self.lanes if lane.contender.name == name)


@contextmanager
def arena(
    contenders: Sequence[Contender], shapes: Sequence[Shape], say: Callable[[str], object] = print
) -> Iterator[Arena]:
    """A new server with a database for each contender, with these tables."""
    with EmbeddedPostgres(settings=SETTINGS) as server:
        lanes, skipped = [], {}
        for contender in contenders:
            say(f"{contender.title}: {contender.configuration}")
            try:
                lanes.append(add_lane(server, contender, shapes))
            except Unavailable as error:
                skipped[contender.name] = str(error)
                say(f"  left out: {error}")
        yield Arena(tuple(contenders), tuple(lanes), skipped, server)
        for lane in lanes:
            lane.engine.dispose()


def add_lane(server: EmbeddedPostgres, contender: Contender, shapes: Sequence[Shape], suffix: str = "") -> Lane:
    """A database for a contender.

    :raises Unavailable: it cannot be installed.
    """
    server.create_database(contender.name + suffix)
    # Sessions are new, so that nothing is left of what another one planned.
    engine = sa.create_engine(server.url(contender.name + suffix), poolclass=sa.NullPool)
    contender.install(engine, shapes)
    lane = Lane(contender, engine, tuple(shape.name for shape in shapes))
    _try(lane, shapes[0])
    return lane


def _try(lane: Lane, shape: Shape) -> None:
    """What records nothing is not fast but broken."""
    steps = (insert(shape), update(shape), delete(shape))
    with lane.session() as session:
        for change in steps:
            session.loop(lane.sql(change), 1)
        rows = [session.ask(f"SELECT count(*) FROM {name}") for name in lane.history]
        # Without auditing there are no such tables.
        if rows and max(rows) < len(steps):
            raise Unavailable(f"recorded {max(rows)} of {len(steps)} changes")
        lane.empty(session, [shape.name])
