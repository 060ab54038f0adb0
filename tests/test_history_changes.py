"""Typed changes: what they hold, one record's timeline, a family, a transaction, and every filter."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Date,
    Engine,
    Enum,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    String,
    Table,
    Text,
    Uuid,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.exc import NotSupportedError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, foreign, mapped_column, relationship

from flask_pg_audit import AuditConfigError, audited, enable, install_audit_triggers, set_session_vars
from flask_pg_audit.context.statements import is_harmless_select
from flask_pg_audit.history.change import Change
from flask_pg_audit.history.changes import Changes, changes_of
from flask_pg_audit.history.entity import find_audited
from flask_pg_audit.history.family import family
from flask_pg_audit.history.feed import feed, read_changes, read_feed
from flask_pg_audit.history.filter import ChangeFilter
from flask_pg_audit.history.key import format_key, parse_key
from flask_pg_audit.history.position import Position
from flask_pg_audit.history.recorded import recorded_tables
from flask_pg_audit.history.timeline import read_transaction, timeline
from flask_pg_audit.history.transactions import read_transactions
from tests.capture import rewriting, run

UTC = datetime.timezone.utc

enable()


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


def note(metadata: MetaData | None = None, name: str = "note", *columns: Column[Any], **options: Any) -> Table:
    key = Column("id", Integer, primary_key=True)
    table = Table(name, metadata or MetaData(), key, Column("text", Text), *columns, info=audited(**options))
    return table


def install(connection: Connection, table: Table) -> None:
    table.metadata.create_all(connection)
    install_audit_triggers(table.metadata, connection)
    connection.commit()


def act(connection: Connection, statement: str, **who: object) -> None:
    """One statement in a transaction of its own."""
    if who:
        set_session_vars(connection, **who)
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
    connection.commit()


def as_user(connection: Connection, user: str, statement: str) -> None:
    connection.exec_driver_sql("SELECT set_config('audit.username', %(user)s, true)", {"user": user})
    act(connection, statement)


def everything(connection: Connection, table: Table, **where: Any) -> list[Change]:
    """Oldest first."""
    return [*reversed(read_feed(connection, table.metadata, ChangeFilter(**where), limit=500).changes)]


def told(changes: list[Change]) -> list[tuple[Any, ...]]:
    return [(c.operation, c.old, c.new, c.changed) for c in changes]


def test_what_a_change_was_before_and_after(connection: Connection) -> None:
    table = note()
    install(connection, table)
    for statement in (
        "INSERT INTO note VALUES (1, 'a')",
        "UPDATE note SET text = 'b'",
        "UPDATE note SET id = 2",
        "DELETE FROM note",
        "TRUNCATE note",
    ):
        act(connection, statement)
    first, second = {"id": 1, "text": "a"}, {"id": 1, "text": "b"}
    moved = {"id": 2, "text": "b"}
    changes = everything(connection, table)
    assert sorted(told(changes[2:4])) == [("D", second, None, ()), ("I", None, moved, ())], "a key that was changed"
    assert told([*changes[:2], *changes[4:]]) == [
        ("I", None, first, ()),
        ("U", first, second, ("text",)),
        ("D", moved, None, ()),
        ("T", None, None, ()),
    ]
    assert [change.key for change in changes if change.operation in "UT"] == [{"id": 1}, {}]


def test_who_when_and_why(connection: Connection) -> None:
    table = note(session_settings=[Column("username", String), Column("ticket", Uuid)])
    install(connection, table)
    ticket, before = uuid.uuid4(), datetime.datetime.now(UTC)
    set_session_vars(connection, username="alice", ticket=ticket)
    connection.exec_driver_sql('SELECT set_config(\'audit.context\', \'{"request_id": "r1", "n": 1}\', true)')
    connection.exec_driver_sql(
        "SELECT set_config('audit.actor_id', '7', true), set_config('application_name', 'x', true)"
    )
    act(connection, "INSERT INTO note VALUES (1, 'a')")
    [change] = everything(connection, table)
    assert (change.username, change.actor_id, change.request_id, change.application_name) == ("alice", "7", "r1", "x")
    assert change.settings == {"username": "alice", "ticket": ticket}
    assert before <= change.at <= datetime.datetime.now(UTC) and change.at.tzinfo is UTC
    assert change.role == connection.exec_driver_sql("SELECT current_user").scalar()
    assert (change.table, change.operation_label) == ("note", "insert")
    assert change.position == Position(change.transaction_id, change.audit_id)


class Colour(enum.Enum):
    red = "RED"
    blue = "BLUE"


def test_values_have_the_types_of_their_columns(connection: Connection) -> None:
    table = note(
        None,
        "note",
        Column("price", Numeric(8, 2)),
        Column("day", Date),
        Column("colour", Enum(Colour, name="colour")),
        Column("tags", ARRAY(Integer)),
        Column("data", JSONB),
        Column("raw", JSON),
        Column("file", LargeBinary),
        Column("uid", Uuid),
    )
    install(connection, table)
    values = {
        "id": 1,
        "text": "a",
        "price": decimal.Decimal("1.50"),
        "day": datetime.date(2026, 1, 2),
        "colour": Colour.red,
        "tags": [1, 2],
        "data": {"a": [None]},
        "raw": [True],
        "file": b"\x00\xff",
        "uid": uuid.uuid4(),
    }
    connection.execute(table.insert().values(**values))
    connection.execute(table.update().values(price=decimal.Decimal("1.5"), colour=Colour.blue, raw={}))
    connection.commit()
    insert, update = everything(connection, table)
    assert insert.new == values
    assert update.changed == ("colour", "raw") and update.old == values
    filters: list[dict[str, Any]] = [{"new": {"colour": Colour.blue}}, {"old": {"raw": [True]}}, {"new": {"raw": {}}}]
    for where in filters:
        assert everything(connection, table, **where) == [update]
    assert everything(connection, table, new={"price": decimal.Decimal("1.5"), "day": "2026-01-02"}) == [insert, update]


def test_a_value_of_an_enum_that_the_program_no_longer_knows(connection: Connection) -> None:
    install(connection, note(None, "note", Column("colour", Enum("red", "blue", name="colour"))))
    act(connection, "INSERT INTO note VALUES (1, 'a', 'red')")
    now = note(None, "note", Column("colour", Enum("blue", name="colour")))
    [change] = everything(connection, now)
    assert change.new == {"id": 1, "text": "a", "colour": "red"}


def test_null_empty_and_absent_are_three_things(connection: Connection) -> None:
    table = note()
    install(connection, table)
    act(connection, "INSERT INTO note VALUES (1, 'a')")
    act(connection, "ALTER TABLE note ADD COLUMN mood text")
    grown = note(None, "note", Column("mood", Text))
    install_audit_triggers(grown.metadata, connection)
    connection.commit()
    for value in ("NULL", "''"):
        act(connection, f"UPDATE note SET text = text || 'a', mood = {value}")
    act(connection, "ALTER TABLE note DROP COLUMN mood")
    install_audit_triggers(table.metadata, connection)
    connection.commit()
    act(connection, "UPDATE note SET text = 'b'")
    expected: list[dict[str, Any]] = [
        {"id": 1, "text": "a"},
        {"id": 1, "text": "aa", "mood": None},
        {"id": 1, "text": "aaa", "mood": ""},
        {"id": 1, "text": "b"},
    ]
    for declared in (table, grown):  # what the table lost is still in its history
        changes = everything(connection, declared)
        assert [change.new for change in changes] == expected
        assert [change.old for change in changes[1:]] == expected[:-1]


def test_a_declared_column_that_is_not_installed_yet(connection: Connection) -> None:
    install(connection, note())
    act(connection, "INSERT INTO note VALUES (1, 'a')")
    [change] = everything(connection, note(None, "note", Column("later", Text)))
    assert change.new == {"id": 1, "text": "a"}


def test_the_state_before_an_unrecorded_change_is_not_known(connection: Connection) -> None:
    table = note()
    install(connection, table)
    act(connection, "INSERT INTO note VALUES (1, 'a')")
    act(connection, "DELETE FROM note")
    act(connection, "ALTER TABLE note DISABLE TRIGGER ALL")
    act(connection, "INSERT INTO note VALUES (1, 'b')")
    act(connection, "ALTER TABLE note ENABLE TRIGGER ALL")
    act(connection, "UPDATE note SET text = 'c'")
    assert told(everything(connection, table))[-1] == ("U", None, {"id": 1, "text": "c"}, ())


def test_a_timeline_has_the_truncates_that_removed_the_record(connection: Connection) -> None:
    table = note()
    install(connection, table)
    for statement in (
        "TRUNCATE note",
        "INSERT INTO note VALUES (1, 'a'), (2, 'other')",
        "UPDATE note SET text = 'b'",
        "TRUNCATE note",
        "TRUNCATE note",
        "INSERT INTO note VALUES (1, 'c')",
        "DELETE FROM note",
        "TRUNCATE note",
    ):
        act(connection, statement)
    changes = read_changes(connection, table.metadata, timeline(table, 1))
    assert [change.operation for change in reversed(changes)] == ["I", "U", "T", "I", "D"]
    middle = changes[2].position
    older = read_changes(connection, table.metadata, timeline(table, 1, before=middle))
    newer = read_changes(connection, table.metadata, timeline(table, 1, after=middle))
    assert [*reversed(newer), changes[2], *older] == changes
    assert len(read_changes(connection, table.metadata, timeline(table, 1, limit=2))) == 2


def test_a_transaction_in_the_order_of_its_changes(connection: Connection) -> None:
    metadata = MetaData()
    one = note(metadata, "one")
    note(metadata, "two")
    install(connection, one)
    act(connection, "INSERT INTO one VALUES (1); INSERT INTO two VALUES (1), (2); UPDATE one SET text = 'x'")
    act(connection, "INSERT INTO one VALUES (9)")
    [newest, *_] = read_feed(connection, metadata).changes
    changes = read_transaction(connection, metadata, newest.transaction_id - 1)
    assert [(change.table, change.operation) for change in changes] == [
        ("one", "I"),
        ("two", "I"),
        ("two", "I"),
        ("one", "U"),
    ]
    rest = read_transaction(connection, metadata, changes[0].transaction_id, after=changes[1].position, limit=1)
    assert rest == [changes[2]]


@pytest.fixture
def busy(connection: Connection) -> Table:
    """Two tables, three people and some history."""
    metadata = MetaData()
    table = note(metadata, "note", Column("plan", String(10)))
    note(metadata, "other")
    install(connection, table)
    as_user(connection, "alice", "INSERT INTO note VALUES (1, 'a', 'free'), (2, 'b', 'pro')")
    as_user(connection, "bob", "UPDATE note SET plan = 'pro' WHERE id = 1")
    act(connection, "UPDATE note SET text = 'z' WHERE id = 2")
    as_user(connection, "alice", "INSERT INTO other VALUES (1, 'o')")
    as_user(connection, "x" * 300, "DELETE FROM note WHERE id = 1")
    connection.exec_driver_sql('SELECT set_config(\'audit.context\', \'{"request_id": "r1", "path": "/p"}\', true)')
    act(connection, "TRUNCATE note")
    return table


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"tables": ["other"]}, "I"),
        ({"operations": ["U", "D"]}, "UUD"),
        ({"username": "alice"}, "III"),
        ({"username": "x" * 300}, "D"),
        ({"username": "x" * 299}, ""),
        ({"username": None}, "UT"),
        ({"actor_id": None}, "IIUUIDT"),
        ({"actor_id": "7"}, ""),
        ({"role": "nobody_else"}, ""),
        ({"request_id": "r1"}, "T"),
        ({"context": {"path": "/p"}}, "T"),
        ({"context": {"path": "/q"}}, ""),
        ({"key": {"id": 1}}, "IUID"),
        ({"key": {"id": 1}, "tables": ["note"]}, "IUD"),
        ({"key": {"id": "1"}, "tables": ["note"]}, "IUD"),
        ({"changed": ["plan"]}, "U"),
        ({"changed": ["text"], "tables": ["note"]}, "U"),
        ({"changed": ["text", "plan"]}, ""),
        ({"new": {"plan": "pro"}}, "IUU"),
        ({"old": {"plan": "pro"}}, "UD"),
        ({"old": {"plan": "free"}, "new": {"plan": "pro"}}, "U"),
        ({"new": {"text": None}}, ""),
        ({"username": "bob", "changed": ["plan"], "operations": ["U"]}, "U"),
        ({"text": ["PRO"]}, "IUUD"),
        ({"text": ["pro", "Z"]}, "U"),
        ({"text": ["%"]}, ""),
        ({"text": ["_"]}, ""),
        ({"text": ["\\"]}, ""),
        ({"any_of": [[ChangeFilter(username="bob"), ChangeFilter(username=None)]]}, "UUT"),
        ({"any_of": [[ChangeFilter(tables=["other"]), ChangeFilter(changed=["plan"])]]}, "UI"),
        (
            {"any_of": [[ChangeFilter(operations="I"), ChangeFilter(operations="U")], [ChangeFilter(key={"id": 2})]]},
            "IU",
        ),
        ({"excluding": [ChangeFilter(username="alice")]}, "UUDT"),
        ({"excluding": [ChangeFilter(username=None), ChangeFilter(username="bob")]}, "IIID"),
        ({"excluding": [ChangeFilter(username="alice", operations="I", tables=["note"])]}, "UUIDT"),
        ({"excluding": [ChangeFilter(request_id="r1")]}, "IIUUID"),
        ({"excluding": [ChangeFilter(context={"path": "/p"})]}, "IIUUID"),
        ({"excluding": [ChangeFilter(changed=["plan"])]}, "IIUIDT"),
        ({"excluding": [ChangeFilter(old={"plan": "pro"})]}, "IIUIT"),
        ({"excluding": [ChangeFilter(new={"plan": "pro"})]}, "IIDT"),
        ({"excluding": [ChangeFilter(text=["pro"])]}, "IIT"),
        ({"excluding": [ChangeFilter(key={"id": 1})]}, "IUT"),
        ({"excluding": [ChangeFilter(tables=["note"])]}, "I"),
        ({"excluding": [ChangeFilter(tables=["note", "other"])]}, ""),
        ({"excluding": [ChangeFilter()]}, ""),
        ({"excluding": [ChangeFilter(excluding=[ChangeFilter(username="bob")])]}, "U"),
    ],
)
def test_filters(connection: Connection, busy: Table, where: dict[str, Any], expected: str) -> None:
    changes = everything(connection, busy, **where)
    assert "".join(change.operation for change in changes) == expected


def test_a_change_whose_transaction_is_gone_was_made_by_somebody_unknown(connection: Connection, busy: Table) -> None:
    act(connection, rewriting("DELETE FROM audit_transaction WHERE id = 1"))
    for username in ("alice", "bob", None):
        found = everything(connection, busy, username=username)
        excluded = everything(connection, busy, excluding=[ChangeFilter(username=username)])
        assert 1 not in {change.transaction_id for change in found}
        assert len(found) + len(excluded) == 7


def test_text_is_not_sought_in_binary_columns_nor_where_there_is_no_column(connection: Connection) -> None:
    table = note(None, "note", Column("data", LargeBinary), exclude=["text"])
    install(connection, table)
    act(connection, "INSERT INTO note VALUES (5, 'abc', 'abc')")
    assert len(everything(connection, table, text=["5"])) == 1
    for text in ("abc", "616263"):
        assert everything(connection, table, text=[text]) == []
    [recorded] = recorded_tables(table.metadata)
    changes = Changes(replace(recorded, columns=tuple(c for c in recorded.columns if c.name == "data")))
    query = ChangeFilter(text=["5"]).apply(select(changes.new.c.audit_id).select_from(changes.new), changes)
    assert connection.execute(query).all() == []


def test_text_is_found_under_any_collation(connection: Connection) -> None:
    """PostgreSQL itself refuses to look for patterns where a collation is not deterministic."""
    try:
        act(connection, "CREATE COLLATION any_case (provider=icu, locale='und-u-ks-level2', deterministic=false)")
    except NotSupportedError:
        connection.rollback()
        pytest.skip("this PostgreSQL is built without ICU")
    table = Table(
        "note",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("text", Text(collation="any_case")),
        info=audited(),
    )
    install(connection, table)
    act(connection, "INSERT INTO note VALUES (1, 'Some Text')")
    assert len(everything(connection, table, text=["e t"])) == 1


def test_conditions_read_only_what_they_need(connection: Connection, busy: Table) -> None:
    def sql(**where: Any) -> str:
        changes = changes_of(busy)
        query = select(changes.new.c.audit_id).select_from(changes.new)
        return str(ChangeFilter(**where).apply(query, changes).compile(connection))

    who, changed = ChangeFilter(username="alice"), ChangeFilter(changed=["plan"])
    assert "JOIN" not in sql(text=["x"], new={"plan": "x"}, excluding=[ChangeFilter(operations="I")])
    assert "OUTER JOIN audit_transaction" in sql(excluding=[who])
    assert "LATERAL" in sql(any_of=[[changed]]) and "LATERAL" not in sql(excluding=[who])
    elsewhere = ChangeFilter(tables=["other"], username="alice")
    assert "JOIN" not in sql(excluding=[elsewhere])


def test_a_time_range(connection: Connection, busy: Table) -> None:
    changes = everything(connection, busy)
    since, until = changes[2].at, changes[5].at
    found = everything(connection, busy, since=since, until=until)
    assert found == [change for change in changes if since <= change.at < until] and len(found) == 3
    assert everything(connection, busy, until=changes[0].at) == []


def test_a_change_late_in_a_long_transaction_is_in_its_time(engine: Engine, connection: Connection) -> None:
    """The transaction began before the time that is asked for, and another came in between."""
    table = note()
    install(connection, table)
    with engine.connect() as long:
        long.exec_driver_sql("INSERT INTO note VALUES (1)")
        act(connection, "INSERT INTO note VALUES (2)")
        since = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        connection.commit()
        act(connection, "INSERT INTO note VALUES (3)")
        long.exec_driver_sql("INSERT INTO note VALUES (4)")
        long.commit()
    assert [change.key["id"] for change in everything(connection, table, since=since)] == [4, 3]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"operations": ["X"]}, "there is no operation 'X'; there are I \\(insert\\)"),
        ({"tables": ["nothing"]}, "the table 'nothing' is not audited; audited are: note, other"),
        ({"since": datetime.datetime(2026, 1, 1)}, "since is 2026-01-01T00:00:00, without a time zone"),
        ({"changed": ["colour"]}, 'no table has the columns colour; looked for in "note" \\(id, text, plan\\)'),
        ({"key": {"a": 1}}, "no table has the primary key a"),
        ({"tables": [object()]}, "is neither a Table"),
        ({"any_of": [[]]}, "no table has all that is asked for"),
        ({"excluding": [ChangeFilter(tables=["nothing"])]}, "the table 'nothing' is not audited"),
        ({"any_of": [[ChangeFilter(changed=["colour"])]]}, "no table has the columns colour"),
        ({"tables": ["other"], "any_of": [[ChangeFilter(tables=["note"])]]}, "no table has all that is asked for"),
    ],
)
def test_what_a_filter_cannot_mean(connection: Connection, busy: Table, where: dict[str, Any], message: str) -> None:
    with pytest.raises(AuditConfigError, match=message):
        everything(connection, busy, **where)


def test_pages_of_a_filtered_feed(connection: Connection, busy: Table) -> None:
    where = ChangeFilter(tables=[busy])
    changes = [*reversed(everything(connection, busy, tables=[busy]))]
    first = read_feed(connection, busy.metadata, where, limit=4)
    assert first.newer is None and first.older is not None and list(first.changes) == changes[:4]
    second = read_feed(connection, busy.metadata, where, before=first.older, limit=4)
    assert second.older is None and second.newer is not None and list(second.changes) == changes[4:]
    assert read_feed(connection, busy.metadata, where, after=second.newer, limit=4) == first


def test_a_query_can_be_refined(connection: Connection, busy: Table) -> None:
    changes = changes_of(busy)
    query = changes.select().where(changes.old.c.plan == "free", changes.transaction.c.username == "bob")
    [change] = changes.read(connection, query.order_by(changes.new.c.audit_id))
    assert change.new == {"id": 1, "text": "a", "plan": "pro"}


def test_reading_is_known_to_be_harmless(connection: Connection, busy: Table) -> None:
    """Else every page would look up the actor and send its settings."""
    changes, now = changes_of(busy), datetime.datetime.now(UTC)
    where = ChangeFilter(username="a", request_id="r", context={"a": "b"}, until=now, changed=["text"], key={"id": 1})
    for statement in (
        changes.select(),
        feed(busy.metadata, where, before=Position(1, 2)),
        timeline(busy, 1),
    ):
        assert is_harmless_select(str(statement.compile(connection)))


def test_keys_that_people_type(connection: Connection) -> None:
    metadata = MetaData()
    Table(
        "pair",
        metadata,
        Column("day", Date, primary_key=True),
        Column("name", String, primary_key=True),
        Column("number", Integer, primary_key=True),
        info=audited(),
    )
    audited_table = find_audited(metadata.tables["pair"])
    key = {"day": datetime.date(2026, 1, 2), "name": 'a,"b', "number": 3}
    text_ = format_key([*key.values()])
    assert text_ == '2026-01-02,"a,""b",3' and parse_key(audited_table, text_) == key
    with pytest.raises(AuditConfigError, match="'x' is no int, as pair"):
        parse_key(audited_table, "2026-01-02,a,x")
    with pytest.raises(AuditConfigError, match='is no key of "pair", whose primary key is day, name, number'):
        parse_key(audited_table, "1,2")


@pytest.mark.parametrize("name", ["user", "Order", 'we"ird', "naïve table", "50% :off", "x" * 63])
def test_hostile_names(connection: Connection, name: str) -> None:
    table = Table(
        name, MetaData(), Column(name, Integer, primary_key=True), Column("%(x)s", Text, key="x"), info=audited()
    )
    install(connection, table)
    connection.execute(table.insert().values({name: 1, "x": "a"}))
    connection.execute(table.update().values({"x": "b"}))
    connection.commit()
    insert, update = everything(connection, table, key={name: 1})
    assert update.old == insert.new == {name: 1, "%(x)s": "a"}
    assert everything(connection, table, changed=["%(x)s"], old={"%(x)s": "a"}) == [update]
    assert read_changes(connection, table.metadata, timeline(table, 1)) == [update, insert]


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "order"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    lines: Mapped[list[Line]] = relationship(back_populates="order")
    tags: Mapped[list[Tag]] = relationship(secondary="order_tag")


class Line(Base):
    __tablename__ = "line"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"))
    order: Mapped[Order] = relationship(back_populates="lines")
    parts: Mapped[list[Part]] = relationship()


class Part(Base):
    __tablename__ = "part"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    line_id: Mapped[int] = mapped_column(ForeignKey("line.id"))


class Tag(Base):
    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)


order_tag = Table(
    "order_tag",
    Base.metadata,
    Column("order_id", ForeignKey("order.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
    info=audited(),
)


def test_a_family(engine: Engine, connection: Connection) -> None:
    install(connection, order_tag)
    run(
        engine,
        'INSERT INTO "order" VALUES (1), (2)',
        "INSERT INTO line VALUES (10, 1), (11, 1), (20, 2)",
        "INSERT INTO part VALUES (100, 10), (200, 20)",
        "UPDATE line SET order_id = 2 WHERE id = 11",
        "UPDATE line SET order_id = 1 WHERE id = 20",
        "DELETE FROM part WHERE id = 100",
        "DELETE FROM line WHERE id = 11",
        "INSERT INTO tag VALUES (5)",
        "INSERT INTO order_tag VALUES (1, 5), (2, 5)",
    )

    def of(key: object, *relationships: str) -> list[str]:
        entity = key if isinstance(key, Order) else Order
        query = family(entity, None if isinstance(key, Order) else key, relationships=relationships)
        changes = read_changes(connection, Base.metadata, query)
        return [f"{c.operation} {c.table} {format_key([*c.key.values()])}" for c in reversed(changes)]

    lines = ["I order 1", "I line 10", "I line 11", "U line 11", "U line 20"]
    assert of(1, "lines") == lines
    assert of(1, "lines", "lines.parts") == [*lines[:3], "I part 100", "I part 200", *lines[3:], "D part 100"]
    assert of(1, "tags") == ["I order 1", "I order_tag 1,5"]
    with Session(engine) as session:
        assert of(session.get(Order, 2), "lines") == ["I order 2", "I line 20", "U line 11", "U line 20", "D line 11"]
    with pytest.raises(AuditConfigError, match="Order has no relationship 'line'; there are: lines, tags"):
        of(1, "line")
    with pytest.raises(AuditConfigError, match="goes on behind the many-to-many relationship 'tags'"):
        of(1, "tags.orders")


def test_transactions_are_groups(connection: Connection, busy: Table) -> None:
    as_user(connection, "carol", "INSERT INTO note SELECT n FROM generate_series(1, 12000) AS n; DELETE FROM other")
    page = read_transactions(connection, busy.metadata, limit=2)
    bulk, truncate = page.transactions
    assert (bulk.username, bulk.count, bulk.is_capped, bulk.tables) == ("carol", 10001, True, ("note", "other"))
    assert [(c.table, c.operation, c.count, c.is_capped) for c in truncate.counts] == [("note", "T", 1, False)]
    assert truncate.context == {"request_id": "r1", "path": "/p"}
    everything_ = [*page.transactions]
    while page.older is not None:
        page = read_transactions(connection, busy.metadata, before=page.older, limit=2)
        everything_ += page.transactions
    assert [transaction.username for transaction in everything_] == [
        "carol", None, "x" * 300, "alice", None, "bob", "alice"
    ]  # fmt: skip
    backwards = read_transactions(connection, busy.metadata, after=everything_[-1].id, limit=3)
    assert backwards.transactions == tuple(everything_[3:6])
    assert backwards.newer is not None and backwards.older is not None


def test_transactions_with_matching_changes_only(connection: Connection, busy: Table) -> None:
    page = read_transactions(connection, busy.metadata, ChangeFilter(operations=["U"], changed=["plan"]))
    assert [(t.username, t.count) for t in page.transactions] == [("bob", 1)]
    assert (page.newer, page.older) == (None, None)
    assert read_transactions(connection, busy.metadata, ChangeFilter(username="nobody")).transactions == ()


class Photo(Base):
    __tablename__ = "photo"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    of_id: Mapped[int]


Order.photos = relationship(
    Photo, primaryjoin=lambda: (Order.id == foreign(Photo.of_id)) & (Photo.kind == "order"), viewonly=True
)


def test_a_relationship_with_more_conditions_is_not_followed() -> None:
    """It would show what belongs to others."""
    with pytest.raises(AuditConfigError, match="the relationship 'photos' has more conditions than that columns are"):
        family(Order, 1, relationships=["photos"])


class Animal(Base):
    __tablename__ = "animal"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]


class Dog(Animal):
    __tablename__ = "dog"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    __mapper_args__ = {"polymorphic_identity": "dog"}  # noqa: RUF012
    id: Mapped[int] = mapped_column(ForeignKey("animal.id"), primary_key=True)


@pytest.mark.parametrize("entity", [Dog, Dog(id=1)])
def test_a_class_in_several_tables_has_several_histories(entity: object) -> None:
    with pytest.raises(AuditConfigError, match=r"class Dog is kept in several tables \(animal, dog\); each has a hist"):
        timeline(entity, 1)


def test_tables_whose_type_cannot_hold_a_value_do_not_match(connection: Connection) -> None:
    metadata = MetaData()
    table = note(metadata, "note", Column("price", Numeric(8, 2)))
    Table("word", metadata, Column("id", String, primary_key=True), info=audited())
    Table("small", metadata, Column("id", SmallInteger, primary_key=True), info=audited())
    install(connection, table)
    act(
        connection,
        "INSERT INTO note VALUES (1, 'a', 2); INSERT INTO word VALUES ('1'), ('x'); INSERT INTO small VALUES (1)",
    )

    def found(**where: Any) -> list[str]:
        return [change.table for change in everything(connection, table, **where)]

    assert found(key={"id": 1}) == ["note", "word", "small"]
    assert found(key={"id": "1"}) == ["note", "word", "small"]
    assert found(key={"id": "x"}) == ["word"] and found(key={"id": 2**70}) == []
    assert found(new={"price": True}) == [] and found(new={"price": 2}) == ["note"]
    plan = str(timeline(table, "1").compile(connection, compile_kwargs={"literal_binds": True}))
    assert "CAST(new.id AS TEXT)" not in plan, "a number that is typed is found by the index on the key"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"tables": "note"}, "tables is 'note'; give a list"),
        ({"tables": Order}, "tables is <class .*; give a list"),
        ({"changed": "text"}, "changed is 'text'; give a list"),
        ({"actor_id": 5}, "actor_id is 5, which is no text"),
        ({"since": datetime.date(2026, 1, 1)}, "give a datetime with a time zone"),
        ({"username": "a\0b"}, "has a NUL character"),
    ],
)
def test_what_is_no_condition(where: dict[str, Any], message: str) -> None:
    with pytest.raises(AuditConfigError, match=message):
        ChangeFilter(**where)
