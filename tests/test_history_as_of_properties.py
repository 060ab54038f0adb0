"""Random tables, random statements in two overlapping transactions: every point of the history is as it was."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    Connection,
    Engine,
    Integer,
    MetaData,
    NullPool,
    Numeric,
    Table,
    Text,
    create_engine,
    delete,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError, OperationalError

from flask_pg_audit import install_audit_triggers
from flask_pg_audit.history.as_of import as_of
from flask_pg_audit.history.feed import Position, read_changes
from flask_pg_audit.history.timeline import timeline
from tests.capture import audited_table, column
from tests.server import Database

EXAMPLES = int(os.environ.get("AUDIT_TEST_EXAMPLES", "20"))

VALUES: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "text": (Text(), st.none() | st.sampled_from(["", "a", "é"])),
    "number": (Numeric(), st.none() | st.integers(-2, 2)),
    "data": (JSON(none_as_null=True), st.none() | st.sampled_from([{}, {"a": 1}, [1]])),
    "extra": (JSONB(none_as_null=True), st.none() | st.sampled_from([{}, {"a": 1}, [1]])),
    "tags": (ARRAY(Integer), st.none() | st.lists(st.integers(0, 2), max_size=2)),
}
KEY_TYPES: dict[str, tuple[Any, Callable[[int], Any]]] = {
    "integer": (Integer(), int),
    "text": (Text(), lambda number: f"key {number}"),
}

Key = tuple[Any, ...]
#: The rows of a table by key, each by column.
Rows = dict[Key, dict[str, Any]]
#: What a statement did: the new row under a key, or none any more.
Effect = dict[Key, dict[str, Any] | None]


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "keys": draw(st.integers(1, 2)),
        "key_type": draw(st.sampled_from(sorted(KEY_TYPES))),
        "values": draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, unique=True)),
        "level": draw(st.sampled_from(["statement", "row"])),
        "skip_unchanged": draw(st.booleans()),
    }


@st.composite
def programs(draw: st.DrawFn, shape: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Which of two connections does what, and whether a savepoint undoes it; and changes of the table between."""
    values = st.fixed_dictionaries({name: VALUES[name][1] for name in shape["values"]})
    key = st.tuples(*[st.integers(1, 3).map(KEY_TYPES[shape["key_type"]][1])] * shape["keys"])
    rows = st.lists(st.tuples(key, values), min_size=1, max_size=3, unique_by=lambda row: row[0])
    statement = st.one_of(
        st.tuples(st.just("insert"), rows),
        st.tuples(st.just("update"), st.tuples(st.none() | key, values)),
        st.tuples(st.just("move"), st.tuples(key, key)),
        st.tuples(st.just("upsert"), st.tuples(key, values)),
        st.tuples(st.just("delete"), st.none() | key),
        st.tuples(st.just("truncate"), st.none()),
    )
    who, undone = st.integers(0, 1), st.sampled_from([False, False, False, True])
    step = st.one_of(
        st.tuples(st.just("statement"), who, statement, undone),
        st.tuples(st.just("statement"), who, statement, undone),
        st.tuples(st.just("end"), who, st.sampled_from(["commit", "commit", "rollback"])),
        st.tuples(st.just("columns"), st.sampled_from(["add", "add with default", "drop"])),
    )
    first = draw(st.lists(st.tuples(key, values), max_size=3, unique_by=lambda row: row[0]))
    return [("before", first), *draw(st.lists(step, min_size=5, max_size=18))]


@dataclass
class World:
    """The table, who works on it, and what they did.

    :ivar observer: sees what is committed, in no transaction.
    :ivar effects: of each statement, with the number of its transaction, in the order in which they ran.
    :ivar points: after which of them, at which instant, and the newest ``audit_id`` of that moment.
    """

    engine: Engine
    observer: Connection
    shape: dict[str, Any]
    connections: list[Connection]
    table: Table = field(init=False)
    open: list[int | None] = field(default_factory=lambda: [None, None])
    effects: list[tuple[int, Effect]] = field(default_factory=list)
    committed: set[int] = field(default_factory=set)
    points: list[tuple[int, datetime.datetime, int]] = field(default_factory=list)
    started: int = 0
    added: list[str] = field(default_factory=list)

    def run(self, program: list[tuple[Any, ...]]) -> None:
        for what, *arguments in program:
            getattr(self, f"_{what}")(*arguments)
            self._note_point()
        for number in (0, 1):
            self._end(number, "commit")
        self._note_point()
        self._check_live()

    def _before(self, rows: list[tuple[Key, dict[str, Any]]]) -> None:
        """Rows that were there before the triggers, and a baseline of them."""
        self.table = self._declare()
        self.table.create(self.observer)
        if rows:
            self.observer.execute(insert(self.table), [self._row(key, values) for key, values in rows])
        self.table.metadata.create_all(self.observer)
        install_audit_triggers(self.table.metadata, self.engine)
        self._note_point()
        self._baseline()

    def _declare(self) -> Table:
        key_type = KEY_TYPES[self.shape["key_type"]][0]
        return audited_table(
            MetaData(),
            "thing",
            *(column(name, key_type, primary_key=True, autoincrement=False) for name in self._key_names()),
            *(column(name, VALUES[name][0]) for name in self.shape["values"]),
            *(column(name, Integer) for name in self.added),
            options={"level": self.shape["level"], "skip_unchanged": self.shape["skip_unchanged"]},
        )

    def _baseline(self) -> None:
        names = ", ".join(self.table.c.keys())
        self.observer.execute(
            text(
                "INSERT INTO thing_audit (audit_transaction_id, audit_id, audit_operation, audit_operation_timestamp, "
                f"audit_current_user, {names}) "
                "SELECT (SELECT coalesce(audit_current_transaction(), audit_begin_transaction())), "
                f"nextval('audit_id_seq'), 'S', clock_timestamp(), 'me', {names} FROM thing"
            )
        )
        self.effects.append((self._start(), dict(self._read(self.observer))))
        self.committed.add(self.started)

    def _key_names(self) -> list[str]:
        return [f"k{number}" for number in range(self.shape["keys"])]

    def _row(self, key: Key, values: dict[str, Any]) -> dict[str, Any]:
        return {**dict(zip(self._key_names(), key, strict=True)), **self._known(values)}

    def _known(self, values: dict[str, Any]) -> dict[str, Any]:
        """``values`` of the columns that are still there."""
        return {name: value for name, value in values.items() if name in self.table.c}

    def _start(self) -> int:
        self.started += 1
        return self.started

    def _read(self, connection: Connection) -> Rows:
        return self._by_key(connection.execute(select(self.table)).mappings())

    def _by_key(self, rows: Any) -> Rows:
        return {tuple(row[name] for name in self._key_names()): dict(row) for row in rows}

    def _statement(self, number: int, statement: tuple[str, Any], undone: bool) -> None:
        connection = self.connections[number]
        transaction = self.open[number] = self.open[number] or self._start()
        if statement[0] == "truncate":
            self._end(1 - number, "commit")
        savepoint = connection.begin_nested()
        try:
            before = self._read(connection)
            self._execute(connection, *statement)
            after = self._read(connection)
        except (IntegrityError, OperationalError):  # a key that is taken, or a lock
            savepoint.rollback()
            return
        if undone:
            savepoint.rollback()
            return
        savepoint.commit()
        changed = {key: after.get(key) for key in before | after if before.get(key) != after.get(key)}
        self.effects.append((transaction, changed))

    def _execute(self, connection: Connection, what: str, argument: Any) -> None:
        table = self.table
        if what == "insert":
            connection.execute(insert(table), [self._row(key, values) for key, values in argument])
        elif what == "update":
            values = self._known(argument[1]) or {name: len(self.effects) for name in self.added}
            if values:
                connection.execute(self._where(update(table).values(values), argument[0]))
        elif what == "move":
            connection.execute(self._where(update(table).values(self._row(argument[1], {})), argument[0]))
        elif what == "upsert":
            row = self._row(*argument)
            statement = upsert(table).values(row)
            connection.execute(statement.on_conflict_do_update(index_elements=self._key_names(), set_=row))
        elif what == "delete":
            connection.execute(self._where(delete(table), argument))
        else:
            connection.execute(text("TRUNCATE thing"))

    def _where(self, statement: Any, key: Key | None) -> Any:
        if key is None:
            return statement
        return statement.where(*(self.table.c[n] == value for n, value in zip(self._key_names(), key, strict=True)))

    def _end(self, number: int, how: str) -> None:
        getattr(self.connections[number], how)()
        transaction, self.open[number] = self.open[number], None
        if how == "commit" and transaction is not None:
            self.committed.add(transaction)
        if self.open == [None, None]:
            self._check_live()

    def _columns(self, how: str) -> None:
        """A migration: nobody else is there."""
        for number in (0, 1):
            self._end(number, "commit")
        if how == "drop":
            if not self.added:
                return
            name = self.added.pop(0)
            change = f"DROP COLUMN {name}"
        else:
            name = f"added_{len(self.points)}"  # a name that was never used
            self.added.append(name)
            change = f"ADD COLUMN {name} integer {'DEFAULT 7' if how == 'add with default' else ''}"
        self.table = self._declare()
        self.observer.execute(text(f"ALTER TABLE thing {change}"))
        install_audit_triggers(self.table.metadata, self.engine)
        if how == "add with default":
            self._baseline()  # the server wrote into every row, and told no trigger

    def _note_point(self) -> None:
        newest = "SELECT clock_timestamp(), CASE WHEN is_called THEN last_value ELSE 0 END FROM audit_id_seq"
        instant, audit_id = self.observer.execute(text(newest)).one()
        self.points.append((len(self.effects), instant, audit_id))

    def state(self, done: int) -> Rows:
        """The table after the first ``done`` statements, those of transactions that committed."""
        rows: Rows = {}
        for transaction, effect in self.effects[:done]:
            if transaction in self.committed:
                rows.update({key: row for key, row in effect.items() if row is not None})
                for key in [key for key, row in effect.items() if row is None]:
                    rows.pop(key, None)
        names = self.table.c.keys()
        return {key: {name: row.get(name) for name in names} for key, row in rows.items()}

    def _check_live(self) -> None:
        assert self._read(self.observer) == self.state(len(self.effects)), "the model is wrong"

    def moments(self) -> Iterator[tuple[Any, Rows]]:
        """Each point as an instant, as a position and, where it is one, as the end of a transaction."""
        ends = "SELECT audit_transaction_id, max(audit_id) FROM thing_audit GROUP BY 1"
        last = [tuple(row) for row in self.observer.execute(text(ends))]
        for done, instant, audit_id in self.points:
            yield instant, self.state(done)
            yield Position(1, audit_id), self.state(done)
        for transaction_id, end in last:
            done = next(done for done, _, audit_id in self.points if audit_id >= end)
            yield transaction_id, self.state(done)

    def replayed(self) -> Rows:
        """Where the timelines of all keys lead to; each change begins where the one before it ended."""
        rows: Rows = {}
        for key in {key for _, effect in self.effects for key in effect}:
            changes = read_changes(self.observer, self.table.metadata, timeline(self.table, key))
            for later, earlier in pairwise(changes):
                if later.operation == "U" and later.old is not None:
                    assert later.old == earlier.new
            if changes and changes[0].new is not None:
                rows[key] = {name: changes[0].new.get(name) for name in self.table.c.keys()}  # noqa: SIM118 (a column collection)
        return rows

    def past(self, when: Any) -> Rows:
        return self._by_key(self.observer.execute(select(as_of(self.table, when))).mappings())


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="AUDIT_TEST_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
@given(data=st.data())
def test_every_point_is_as_it_was(database: Database, data: st.DataObject) -> None:
    shape = data.draw(shapes(), label="shape")
    program = data.draw(programs(shape), label="program")
    # New connections for each example: what a driver prepared knows the columns of another table.
    engine = create_engine(database.url(), poolclass=NullPool)
    with engine.connect() as observer, engine.connect() as one, engine.connect() as other:
        observer.execution_options(isolation_level="AUTOCOMMIT")
        for command in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public"):
            observer.execute(text(command))
        for connection in (one, other):
            connection.execute(text("SET lock_timeout = 1"))  # ms; whom it would wait for is this very thread
            connection.commit()
        world = World(engine, observer, shape, [one, other])
        world.run(program)
        for when, expected in world.moments():
            assert world.past(when) == expected, when
        assert world.replayed() == world.state(len(world.effects))
