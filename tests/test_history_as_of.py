"""Tables and objects as they were: at instants, after changes, after transactions."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Any

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Computed,
    Connection,
    DateTime,
    Engine,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    delete,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOMAIN, JSONB, UUID
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import (
    DeclarativeBase,
    Mapped,
    Session,
    aliased,
    attributes,
    mapped_column,
    relationship,
    scoped_session,
    sessionmaker,
)
from sqlalchemy.orm.exc import DetachedInstanceError
from sqlalchemy.types import TypeDecorator, UserDefinedType

from flask_pg_audit import AuditConfigError, AuditError, audited, enable, install_audit_triggers
from flask_pg_audit.context.statements import is_harmless_select
from flask_pg_audit.history.as_of import as_of
from flask_pg_audit.history.feed import Position
from flask_pg_audit.history.past_object import get_as_of
from tests.capture import audited_table, column, execute, install, rewriting, run

enable()


def clock(connection: Connection) -> datetime.datetime:
    moment = connection.scalar(select(func.clock_timestamp()))
    assert isinstance(moment, datetime.datetime)
    return moment


def now(engine: Engine) -> datetime.datetime:
    with engine.connect() as connection:
        return clock(connection)


def was(engine: Engine, entity: Any, when: Any, *columns: str) -> list[tuple[Any, ...]]:
    """The past rows, all columns or some, in order."""
    past = as_of(entity, when)
    with engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(select(*(past.c[c] for c in columns or past.c.keys()))))


def changes(engine: Engine, table: str = "thing") -> list[Position]:
    """Where each change is, oldest first."""
    query = f"SELECT audit_transaction_id, audit_id FROM {table}_audit ORDER BY audit_id"
    with engine.connect() as connection:
        return [Position(*row) for row in execute(connection, query)]


@pytest.fixture
def thing(engine: Engine) -> Table:
    table = audited_table(MetaData(), "thing", column("id", Integer, primary_key=True), column("name", Text))
    install(engine, table.metadata)
    return table


def test_an_instant_a_change_and_a_transaction(engine: Engine, thing: Table) -> None:
    before = now(engine)
    instants = []
    for statement in (
        "INSERT INTO thing VALUES (1, 'a'), (2, 'b')",
        "UPDATE thing SET name = 'c' WHERE id = 1",
        "DELETE FROM thing WHERE id = 2",
    ):
        run(engine, statement)
        instants.append(now(engine))
    assert was(engine, thing, before) == []
    states = [[(1, "a"), (2, "b")], [(1, "c"), (2, "b")], [(1, "c")]]
    assert [was(engine, thing, instant) for instant in instants] == states
    places = changes(engine)
    assert [was(engine, thing, place) for place in places] == [[(1, "a")], *states]
    assert [was(engine, thing, place.transaction_id) for place in places[1:]] == states


def test_an_instant_is_the_same_in_every_zone(engine: Engine, thing: Table) -> None:
    run(engine, "INSERT INTO thing VALUES (1, 'a')")
    instant = now(engine)
    run(engine, "DELETE FROM thing")
    for hours in (-11, 0, 5.5, 14):
        zone = datetime.timezone(datetime.timedelta(hours=hours))
        assert was(engine, thing, instant.astimezone(zone)) == [(1, "a")]


def test_the_last_change_of_a_transaction_may_be_in_another_table(engine: Engine) -> None:
    metadata = MetaData()
    one, two = (audited_table(metadata, name, column("id", Integer, primary_key=True)) for name in ("one", "two"))
    install(engine, metadata)
    with engine.begin() as connection:
        connection.execute(insert(one).values(id=1))
        run(engine, "INSERT INTO one VALUES (2)")  # somebody else
        connection.execute(insert(two).values(id=3))
    run(engine, "INSERT INTO one VALUES (4)", "INSERT INTO two VALUES (5)")
    transaction = changes(engine, "two")[0].transaction_id
    assert was(engine, one, transaction) == [(1,), (2,)]
    assert was(engine, two, transaction) == [(3,)]


def test_a_transaction_that_recorded_nothing_has_no_state(engine: Engine, thing: Table) -> None:
    run(engine, "INSERT INTO thing VALUES (1, 'a')")
    assert was(engine, thing, 10**9) == []


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (datetime.datetime(2026, 1, 1), r"has no time zone, so it is no instant; .*replace\(tzinfo="),
        (datetime.date(2026, 1, 1), "is no point in the history; give a datetime with a time zone, a Position, or"),
        (True, "is no point in the history"),
        ("2026-01-01", "is no point in the history"),
        (None, "is no point in the history"),
    ],
)
def test_anything_else_is_no_moment(when: Any, message: str) -> None:
    with pytest.raises(AuditError, match=message):
        as_of(audited_table(MetaData(), "thing", column("id", Integer, primary_key=True)), when)


def test_a_truncate_ends_every_row(engine: Engine, thing: Table) -> None:
    run(engine, "INSERT INTO thing VALUES (1, 'a'), (2, 'b')")
    before = now(engine)
    run(engine, "TRUNCATE thing")
    empty = now(engine)
    run(engine, "INSERT INTO thing VALUES (2, 'c')")
    after = now(engine)
    run(engine, "TRUNCATE thing")
    assert [was(engine, thing, instant) for instant in (before, empty, after)] == [
        [(1, "a"), (2, "b")],
        [],
        [(2, "c")],
    ]
    assert was(engine, thing, now(engine)) == []
    assert [len(was(engine, thing, place)) for place in changes(engine)] == [1, 2, 0, 1, 0]


def test_a_key_change_ends_the_old_key(engine: Engine, thing: Table) -> None:
    run(engine, "INSERT INTO thing VALUES (1, 'a'), (2, 'b')")
    before = now(engine)
    run(engine, "UPDATE thing SET id = id + 2")
    assert was(engine, thing, before) == [(1, "a"), (2, "b")]
    assert was(engine, thing, now(engine)) == [(3, "a"), (4, "b")]


def test_a_row_is_known_from_its_baseline_on(engine: Engine) -> None:
    thing = audited_table(MetaData(), "thing", column("id", Integer, primary_key=True), column("name", Text))
    thing.create(engine)
    run(engine, "INSERT INTO thing VALUES (1, 'a'), (2, 'b')")
    install(engine, thing.metadata)
    run(engine, "UPDATE thing SET name = 'c' WHERE id = 2")
    before = now(engine)
    run(
        engine,
        "INSERT INTO thing_audit SELECT audit_begin_transaction(), nextval('audit_id_seq'), 'S', clock_timestamp(), "
        "'me', * FROM thing WHERE id = 1",
    )
    assert was(engine, thing, before) == [(2, "c")]
    assert was(engine, thing, now(engine)) == [(1, "a"), (2, "c")]


def test_columns_come_and_go(engine: Engine, thing: Table) -> None:
    run(engine, "INSERT INTO thing VALUES (1, 'a'), (2, 'b')")
    first = now(engine)
    run(engine, "ALTER TABLE thing ADD COLUMN size integer", "ALTER TABLE thing DROP COLUMN name")
    later = audited_table(MetaData(), "thing", column("id", Integer, primary_key=True), column("size", Integer))
    install_audit_triggers(later.metadata, engine)
    run(engine, "UPDATE thing SET size = 7 WHERE id = 1")
    assert was(engine, later, first) == was(engine, later, changes(engine)[1]) == [(1, None), (2, None)]
    past = as_of(later, now(engine))
    assert past.c.keys() == ["id", "size"]
    assert was(engine, thing, first) == [(1, "a"), (2, "b")]
    run(engine, "DELETE FROM thing")
    assert was(engine, later, now(engine)) == []


def test_images_from_before_a_column_joined_the_key_are_of_no_row(engine: Engine, thing: Table) -> None:
    run(engine, "INSERT INTO thing VALUES (1, 'a')", "ALTER TABLE thing ADD COLUMN part integer NOT NULL DEFAULT 0")
    run(engine, "ALTER TABLE thing DROP CONSTRAINT thing_pkey, ADD PRIMARY KEY (id, part)")
    keys = (column(name, Integer, primary_key=True) for name in ("id", "part"))
    later = audited_table(MetaData(), "thing", *keys, column("name", Text))
    install_audit_triggers(later.metadata, engine)
    run(engine, "UPDATE thing SET name = 'b'")
    assert was(engine, later, now(engine)) == [(1, 0, "b")]
    run(engine, "TRUNCATE thing")
    assert was(engine, later, now(engine)) == []


def test_what_commits_later_joins_the_past(engine: Engine, thing: Table) -> None:
    """Statements count by when they ran, once their transaction has committed."""
    run(engine, "INSERT INTO thing VALUES (1, 'a'), (2, 'a')")
    with engine.connect() as slow, engine.connect() as undone:
        slow.execute(update(thing).values(name="slow").where(thing.c.id == 1))
        undone.execute(insert(thing).values(id=3, name="undone"))
        run(engine, "UPDATE thing SET name = 'quick' WHERE id = 2")
        instant, place = now(engine), changes(engine)[-1]
        assert was(engine, thing, instant) == was(engine, thing, place) == [(1, "a"), (2, "quick")]
        slow.execute(update(thing).values(name="later").where(thing.c.id == 1))
        slow.commit()
        undone.rollback()
    assert was(engine, thing, instant) == was(engine, thing, place) == [(1, "slow"), (2, "quick")]
    assert was(engine, thing, now(engine)) == [(1, "later"), (2, "quick")]


def test_rows_of_one_record_are_in_the_order_of_commits(engine: Engine, thing: Table) -> None:
    """A transaction that began first, and has the lower id, changes the row last."""
    run(engine, "INSERT INTO thing VALUES (1, 'a'), (2, 'a')")
    with engine.connect() as first:
        first.execute(update(thing).values(name="first").where(thing.c.id == 2))
        run(engine, "UPDATE thing SET name = 'second' WHERE id = 1")
        first.execute(update(thing).values(name="first").where(thing.c.id == 1))
        first.commit()
    assert was(engine, thing, now(engine)) == [(1, "first"), (2, "first")]
    by_transaction = [place.transaction_id for place in changes(engine)]
    assert by_transaction != sorted(by_transaction)


def test_ones_own_changes_are_seen_before_they_are_committed(engine: Engine, thing: Table) -> None:
    with engine.connect() as connection:
        connection.execute(insert(thing).values(id=1, name="a"))
        instant = clock(connection)
        past = as_of(thing, instant)
        assert connection.execute(select(past)).all() == [(1, "a")]
        assert was(engine, thing, instant) == []


def test_a_clock_that_was_set_back_changes_the_order_of_no_record(engine: Engine, thing: Table) -> None:
    run(engine, "INSERT INTO thing VALUES (1, 'a')", "UPDATE thing SET name = 'b'")
    run(engine, rewriting("UPDATE thing_audit SET audit_operation_timestamp = '2026-01-01 12:00Z' WHERE name = 'a'"))
    run(engine, rewriting("UPDATE thing_audit SET audit_operation_timestamp = '2026-01-01 11:00Z' WHERE name = 'b'"))
    noon = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone.utc)
    assert was(engine, thing, noon) == [(1, "b")]
    assert was(engine, thing, changes(engine)[0]) == [(1, "a")]


def test_rows_count_one_by_one_at_row_level(engine: Engine) -> None:
    key = column("id", Integer, primary_key=True)
    thing = audited_table(MetaData(), "thing", key, column("name", Text), options={"level": "row"})
    install(engine, thing.metadata)
    run(engine, "INSERT INTO thing VALUES (1, 'a'), (2, 'a')", "UPDATE thing SET id = id + 10")
    run(engine, "UPDATE thing SET name = 'b'", "TRUNCATE thing", "INSERT INTO thing VALUES (1, 'c')")
    assert was(engine, thing, now(engine)) == [(1, "c")]
    assert was(engine, thing, changes(engine)[5]) == [(11, "a"), (12, "a")]
    assert was(engine, thing, changes(engine)[6]) == [(11, "b"), (12, "a")]


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Shouted(TypeDecorator[str]):
    impl = Text
    cache_ok = True

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return value and value.upper()


class ShoutedDomain(Shouted):
    impl = DOMAIN  # type: ignore[assignment]
    cache_ok = True

    def __init__(self) -> None:
        super().__init__("word", Text)


class Point(UserDefinedType[str]):
    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        return "point"


def test_values_have_the_types_of_the_columns(engine: Engine) -> None:
    thing = audited_table(
        MetaData(),
        "thing",
        column("id", UUID(as_uuid=True), primary_key=True),
        column("colour", Enum(Colour, name="colour")),
        column("price", Numeric(10, 2)),
        column("json", JSON(none_as_null=True)),
        column("jsonb", JSONB),
        column("bytes", LargeBinary),
        column("tags", ARRAY(Text)),
        column("loud", Shouted()),
        column("louder", ShoutedDomain()),
        column("place", Point()),
        column("nothing", BigInteger),
        column("at", DateTime(timezone=True)),
    )
    install(engine, thing.metadata)
    values = {
        "id": uuid.UUID(int=1),
        "colour": Colour.BLUE,
        "price": decimal.Decimal("1.50"),
        "json": {"a": [1, None]},
        "jsonb": [1, {"b": "c"}],
        "bytes": b"\x00\xff",
        "tags": ["x", None, ""],
        "loud": "ä",
        "louder": "ö",
        "place": "(1,2)",
        "at": datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
    }
    with engine.begin() as connection:
        connection.execute(insert(thing).values(values))
        live = connection.execute(select(thing)).mappings().one()
    past = as_of(thing, now(engine))
    with engine.connect() as connection:
        row = connection.execute(select(past)).mappings().one()
        assert row == live
        assert {key: type(value) for key, value in row.items()} == {key: type(value) for key, value in live.items()}
        assert (row["loud"], row["louder"], row["colour"]) == ("Ä", "Ö", Colour.BLUE)
        assert connection.scalar(select(past.c.id).where(past.c.colour == Colour.BLUE)) == values["id"]
    assert [type(c.type) for c in past.c] == [type(c.type) for c in thing.c]


HOSTILE_TABLES = {
    "reserved words": ("user", ["from", "Order", "changes", "latest"]),
    "our own words": ("latest", ["changes", "truncates", "own", "anon_1"]),
    "quotes": ("we\"i%rd 'tab:le'", ['q"uo%te:x', "%(name)s", "Mixed Case", "naïve ☃"]),
    "63 bytes": ("ä" * 31, ["ö" * 31, "x" * 63]),
}


@pytest.mark.parametrize(("name", "columns"), HOSTILE_TABLES.values(), ids=list(HOSTILE_TABLES))
@pytest.mark.parametrize("schema", [None, "dot.ted Schema"])
def test_hostile_names(engine: Engine, name: str, columns: list[str], schema: str | None) -> None:
    rest = [Column(each, Text, key=f"key{number}") for number, each in enumerate(columns)]
    key = Column("the id", Integer, key="id", primary_key=True)
    table = audited_table(MetaData(), name, key, *rest, schema=schema)
    if schema:
        run(engine, f'CREATE SCHEMA "{schema}"')
    install(engine, table.metadata)
    with engine.begin() as connection:
        connection.execute(insert(table).values(id=1, key0="old", key1="same"))
    instant = now(engine)
    with engine.begin() as connection:
        connection.execute(update(table).values(key0="new"))
    past = as_of(table, instant)
    assert past.c.keys() == table.c.keys()
    with engine.connect() as connection:
        query = select(past).where(past.c.id == 1, past.c.key0 == "old")
        expected = {"the id": 1, **dict.fromkeys(columns), columns[0]: "old", columns[1]: "same"}
        assert connection.execute(query).mappings().one() == expected
        [transaction] = connection.scalars(select(as_of(table, 1).c.key0))
        assert transaction == "old"


def test_columns_that_are_not_recorded_are_left_out(engine: Engine) -> None:
    key = column("id", Integer, primary_key=True)
    double = Column("double", Integer, Computed("id * 2", persisted=False))
    table = audited_table(
        MetaData(), "thing", key, column("secret", Text), double, column("name", Text), options={"exclude": ["secret"]}
    )
    assert as_of(table, 1).c.keys() == ["id", "name"]


def test_the_audited_table_itself_is_not_read(engine: Engine, thing: Table) -> None:
    run(engine, "INSERT INTO thing VALUES (1, 'a')")
    instant = now(engine)
    run(engine, "DROP TABLE thing")
    assert was(engine, thing, instant) == [(1, "a")]


def test_a_table_without_a_key_has_no_past_rows() -> None:
    table = audited_table(MetaData(), "thing", column("name", Text))
    message = 'table "thing" has no primary key, so nothing tells which image .* read the changes .* "thing_audit"'
    with pytest.raises(AuditConfigError, match=message):
        as_of(table, 1)


def test_what_is_not_audited_has_no_history() -> None:
    table = Table("plain", MetaData(), Column("id", Integer, primary_key=True))
    with pytest.raises(AuditConfigError, match='table "plain" is not audited'):
        as_of(table, 1)
    for entity in ("plain", object):
        with pytest.raises(AuditConfigError, match="neither a mapped class nor a Table"):
            as_of(entity, 1)  # type: ignore[arg-type]


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    __table_args__ = {"info": audited(exclude=["password"])}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    password: Mapped[str | None]
    posts: Mapped[list[Post]] = relationship(back_populates="author", lazy="selectin")


class Post(Base):
    __tablename__ = "post"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column("post id", primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    title: Mapped[str] = mapped_column("the title", key="headline")
    body: Mapped[str | None] = mapped_column(deferred=True)
    author: Mapped[Author] = relationship(back_populates="posts", lazy="joined")


class Line(Base):
    __tablename__ = "line"
    __table_args__ = (
        ForeignKeyConstraint(["post_id"], [Post.__table__.c["post id"]]),
        {"info": audited()},
    )
    post_id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str]


class Animal(Base):
    __tablename__ = "animal"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "animal"}  # noqa: RUF012


class Bird(Animal):
    wings: Mapped[int | None]
    __mapper_args__ = {"polymorphic_identity": "bird"}  # noqa: RUF012


class Penguin(Bird):
    __mapper_args__ = {"polymorphic_identity": "penguin"}  # noqa: RUF012


class Vehicle(Base):
    __tablename__ = "vehicle"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "vehicle"}  # noqa: RUF012


class Car(Vehicle):
    __tablename__ = "car"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(ForeignKey("vehicle.id"), primary_key=True)
    doors: Mapped[int]
    __mapper_args__ = {"polymorphic_identity": "car"}  # noqa: RUF012


@pytest.fixture
def yesterday(engine: Engine) -> datetime.datetime:
    """Two authors with a post each, and all of it different since."""
    install(engine, Base.metadata)
    with Session(engine) as session:
        session.add(Author(id=1, name="Ann", password="secret", posts=[Post(id=1, title="one", body="long")]))
        session.add(Author(id=2, name="Bob", posts=[Post(id=2, title="two")]))
        session.commit()
        moment = now(engine)
        session.get_one(Author, 1).name = "Anna"
        session.get_one(Post, 1).title = "uno"
        session.get_one(Post, 2).author_id = 1
        session.commit()
        session.delete(session.get_one(Author, 2))
        session.add(Author(id=3, name="Eve"))
        session.commit()
    return moment


def test_classes_are_aliased_to_the_past_and_joined(engine: Engine, yesterday: datetime.datetime) -> None:
    author, post = aliased(Author, as_of(Author, yesterday)), aliased(Post, as_of(Post, yesterday))
    joined = select(author.name, post.title).join(author.posts.of_type(post)).order_by(post.id)
    back = select(author.name, post.title).join(post.author.of_type(author)).where(post.title == "one")
    with Session(engine) as session:
        assert session.execute(joined).all() == [("Ann", "one"), ("Bob", "two")]
        assert session.execute(back).all() == [("Ann", "one")]
        # With the present beside it.
        moved = select(Author.name, post.title).join(post, post.author_id == Author.id)
        assert session.execute(moved).all() == [("Anna", "one")]
        counted = select(author.name).where(
            select(func.count()).where(post.author_id == author.id).scalar_subquery() == 1
        )
        assert sorted(session.scalars(counted)) == ["Ann", "Bob"]


def test_tables_are_joined_at_one_point(engine: Engine, yesterday: datetime.datetime) -> None:
    author, post = as_of(Author.__table__, yesterday), as_of(Post.__table__, yesterday)  # type: ignore[arg-type]
    joined = select(author.c.name, post.c.headline).join_from(author, post, post.c.author_id == author.c.id)
    with engine.connect() as connection:
        assert sorted(connection.execute(joined).all()) == [("Ann", "one"), ("Bob", "two")]


def test_an_alias_loads_entities_of_the_past(engine: Engine, yesterday: datetime.datetime) -> None:
    author = aliased(Author, as_of(Author, yesterday))
    post = aliased(Post, as_of(Post, yesterday).alias("then"))
    with Session(engine) as session:
        assert [each.name for each in session.scalars(select(author).order_by(author.id))] == ["Ann", "Bob"]
    # In a session of its own: the present posts came with the authors, and would stay.
    with Session(engine) as session:
        assert [each.title for each in session.scalars(select(post).order_by(post.id))] == ["one", "two"]


def test_single_table_inheritance(engine: Engine) -> None:
    install(engine, Base.metadata)
    with Session(engine) as session:
        session.add_all([Animal(id=1), Bird(id=2, wings=2), Penguin(id=3, wings=2)])
        session.commit()
        instant = now(engine)
        session.execute(update(Bird).values(wings=0))
        session.execute(delete(Penguin))
        session.commit()
        birds, animals = aliased(Bird, as_of(Bird, instant)), aliased(Animal, as_of(Animal, instant))
        assert session.execute(select(birds.id, birds.wings).order_by(birds.id)).all() == [(2, 2), (3, 2)]
        kinds = select(animals.id, animals.kind).order_by(animals.id)
        assert session.execute(kinds).all() == [(1, "animal"), (2, "bird"), (3, "penguin")]
        found = get_as_of(session, Animal, 3, instant)
        assert isinstance(found, Penguin) and found.wings == 2
        assert get_as_of(session, Bird, 1, instant) is None
    assert was(engine, Bird, instant, "id") == [(2,), (3,)]
    assert was(engine, Penguin, instant, "id") == [(3,)]
    assert was(engine, Animal.__table__, instant, "id") == [(1,), (2,), (3,)]


def test_a_class_needs_its_discriminator() -> None:
    class Other(DeclarativeBase):
        pass

    class Shape(Other):
        __tablename__ = "shape"
        __table_args__ = {"info": audited(exclude=["kind"])}  # noqa: RUF012
        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012

    class Circle(Shape):
        __mapper_args__ = {"polymorphic_identity": "circle"}  # noqa: RUF012

    with pytest.raises(AuditConfigError, match=r'column "kind" of table "shape" is not recorded.*class Circle'):
        as_of(Circle, 1)


@pytest.mark.parametrize("model", [Vehicle, Car])
def test_a_class_in_several_tables_is_refused(model: type[Any]) -> None:
    with pytest.raises(AuditConfigError, match=r"is kept in several tables \(car, vehicle\).* ask for the tables"):
        as_of(model, 1)
    assert as_of(Car.__table__, 1).c.keys() == ["id", "doors"]  # type: ignore[arg-type]


def test_an_object_as_it_was(engine: Engine, yesterday: datetime.datetime) -> None:
    with Session(engine) as session:
        post = get_as_of(session, Post, 1, yesterday)
        assert post is not None and inspect(post).detached
        assert (post.id, post.title, post.author_id, post.body) == (1, "one", 1, "long")
        assert get_as_of(session, Author, 3, yesterday) is None
        gone = get_as_of(session, Author, 2, yesterday)
        assert gone is not None and gone.name == "Bob"


def test_what_was_not_recorded_of_an_object_is_not_there(engine: Engine, yesterday: datetime.datetime) -> None:
    with engine.connect() as connection:
        author, post = get_as_of(connection, Author, 1, yesterday), get_as_of(connection, Post, 1, yesterday)
    assert author is not None and post is not None
    with pytest.raises(DetachedInstanceError):
        author.password  # noqa: B018
    with pytest.raises(InvalidRequestError, match="not available"):
        author.posts  # noqa: B018
    with pytest.raises(InvalidRequestError, match="not available"):
        post.author  # noqa: B018


def test_a_key_of_several_columns(engine: Engine, yesterday: datetime.datetime) -> None:
    with Session(engine) as session:
        session.add_all(Line(post_id=1, number=number, text=f"line {number}") for number in (1, 2))
        session.flush()
        line = get_as_of(session, Line, (1, 2), now(engine))
        assert line is not None and line.text == "line 2"
        for key in (1, (1,), (1, 2, 3)):
            with pytest.raises(AuditError, match=r'the key of table "line" is \(post_id, number\)'):
                get_as_of(session, Line, key, yesterday)


def test_an_object_of_the_past_enters_no_session(engine: Engine, yesterday: datetime.datetime) -> None:
    with Session(engine) as session:
        author, post = get_as_of(session, Author, 1, yesterday), get_as_of(session, Post, 1, yesterday)
        assert author is not None and post is not None
        for attach in (session.add, session.delete):
            with pytest.raises(AuditError, match=r"this Author is what it was at 20.* cannot be added to a session"):
                attach(author)
        with pytest.raises(AuditError, match="this Post is what it was"):
            session.get_one(Author, 1).posts.append(post)
        session.rollback()
        assert list(session.scalars(select(Author.name).order_by(Author.id))) == ["Anna", "Eve"]


def test_the_callers_session_does_not_notice(engine: Engine, yesterday: datetime.datetime) -> None:
    with Session(engine) as session:
        present = session.get_one(Author, 1)
        present.name = "unsaved"
        past = get_as_of(session, Author, 1, yesterday)
        assert past is not None and past is not present and past.name == "Ann"
        assert present in session.dirty and attributes.get_history(present, "name").added == ["unsaved"]
        assert list(session.identity_map.values()) == [present, *present.posts]
        session.commit()
        assert session.get_one(Author, 1).name == "unsaved"


def test_every_source(engine: Engine, yesterday: datetime.datetime) -> None:
    scoped = scoped_session(sessionmaker(engine))
    for source in (scoped, scoped()):
        author = get_as_of(source, Author, 1, yesterday)
        assert author is not None and author.name == "Ann"
    scoped.remove()
    with engine.connect() as connection:
        assert get_as_of(connection, Author, 1, yesterday) is not None
        connection.rollback()
        assert get_as_of(connection, Author, 2, yesterday) is not None
        connection.execute(update(Author).values(name="changed").where(Author.id == 1))
        instant = clock(connection)
        author = get_as_of(connection, Author, 1, instant)
        assert author is not None and author.name == "changed"
        connection.commit()  # the transaction is still the caller's
    assert was(engine, Author, now(engine), "name") == [("Eve",), ("changed",)]


def explain(connection: Connection, statement: Any) -> str:
    compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
    return "\n".join(connection.exec_driver_sql(f"EXPLAIN {str(compiled).replace('%', '%%')}").scalars())


def test_the_index_on_the_key_is_used(engine: Engine, thing: Table) -> None:
    run(
        engine,
        "INSERT INTO thing SELECT n, 'a' FROM generate_series(1, 3000) n",
        "UPDATE thing SET name = 'b'",
        "ANALYZE thing_audit",
    )
    past = as_of(thing, datetime.datetime(2100, 1, 1, tzinfo=datetime.timezone.utc))
    with engine.connect() as connection:
        one = explain(connection, select(past).where(past.c.id == 7))
        assert one.count("ix_thing_audit_key") == 2, "the row, and the newest truncate"
        assert "Seq Scan" not in one
        execute(connection, "SET LOCAL enable_sort = off")
        everything = explain(connection, select(past))
        assert "Index Scan Backward using ix_thing_audit_key" in everything and "Sort" not in everything


@pytest.mark.parametrize("when", [datetime.datetime.now(datetime.timezone.utc), Position(1, 2), 3])
def test_reading_is_known_to_be_harmless(engine: Engine, when: Any) -> None:
    """Else every question about the past would look up the actor and send its settings."""
    past = aliased(Bird, as_of(Bird, when))
    with engine.connect() as connection:
        assert is_harmless_select(str(select(past).compile(connection)))
