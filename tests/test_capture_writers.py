"""Whoever writes is recorded: ORM units of work, bulk operations, COPY, other triggers, functions that fail halfway."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import Column, Engine, ForeignKey, Integer, MetaData, Table, Text, create_engine, delete, insert, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from flask_pg_audit import audited, set_session_vars
from tests.capture import audited_table, column, execute, install, recorded, rows, run
from tests.server import Database


class Base(DeclarativeBase):
    pass


post_tag = Table(
    "post_tag",
    Base.metadata,
    Column("post_id", ForeignKey("post.id"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id"), primary_key=True),
    info=audited(),
)


class Tag(Base):
    __tablename__ = "tag"
    id: Mapped[int] = mapped_column(primary_key=True)


class Post(Base):
    __tablename__ = "post"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column("headline")
    tags: Mapped[list[Tag]] = relationship(secondary=post_tag)


@pytest.fixture
def blog(engine: Engine) -> Engine:
    install(engine, Base.metadata)
    return engine


def test_a_unit_of_work(blog: Engine) -> None:
    with Session(blog) as session, session.begin():
        session.add(Post(id=1, title="a", tags=[Tag(id=1), Tag(id=2)]))
    with Session(blog) as session, session.begin():
        post = session.get_one(Post, 1)
        post.title = "b"
        del post.tags[0]
    with Session(blog) as session, session.begin():
        session.delete(session.get_one(Post, 1))
    assert recorded(blog, "post", "id", "headline") == [("I", 1, "a"), ("U", 1, "b"), ("D", 1, "b")]
    assert recorded(blog, "post_tag", "post_id", "tag_id") == [("I", 1, 1), ("I", 1, 2), ("D", 1, 1), ("D", 1, 2)]
    assert rows(blog, "SELECT count(*) FROM audit_transaction") == [(3,)]


def test_bulk_operations(blog: Engine) -> None:
    with Session(blog) as session, session.begin():
        session.execute(insert(Post), [{"id": 1, "title": "a"}, {"id": 2, "title": "b"}])
        session.execute(update(Post), [{"id": 1, "title": "aa"}, {"id": 2, "title": "b"}])
        session.bulk_save_objects([Post(id=3, title="c")])
        session.bulk_update_mappings(Post.__mapper__, [{"id": 3, "title": "cc"}])
        session.execute(update(Post).where(Post.id > 1).values(title="z"))
        session.execute(delete(Post).where(Post.id == 2))
    changes = recorded(blog, "post", "id", "headline")
    assert changes[:5] == [("I", 1, "a"), ("I", 2, "b"), ("U", 1, "aa"), ("I", 3, "c"), ("U", 3, "cc")]
    assert sorted(changes[5:7]) == [("U", 2, "z"), ("U", 3, "z")]
    assert changes[7:] == [("D", 2, "z")]


@pytest.fixture(params=["psycopg2", "psycopg"])
def driver(request: pytest.FixtureRequest, database: Database) -> Iterator[Engine]:
    """An engine of each driver."""
    engine = create_engine(database.url(request.param))
    yield engine
    engine.dispose()


def test_copy_with_either_driver(driver: Engine) -> None:
    metadata = MetaData()
    setting = Column("username", Text, nullable=False)
    audited_table(metadata, "item", column("id", Integer, primary_key=True), options={"session_settings": [setting]})
    install(driver, metadata)
    with driver.connect() as connection:
        set_session_vars(connection, username="alice")
        with closing(connection.connection.cursor()) as cursor:
            if driver.dialect.driver == "psycopg2":
                cursor.copy_expert("COPY item FROM STDIN", io.StringIO("1\n2\n"))
            else:
                with cursor.copy("COPY item FROM STDIN") as copy:
                    copy.write("1\n2\n")
        connection.commit()
    assert recorded(driver, "item", "id", "audit_username") == [("I", 1, "alice"), ("I", 2, "alice")]


@pytest.fixture(params=["statement", "row"])
def items(request: pytest.FixtureRequest, engine: Engine) -> Engine:
    """A database with the audited tables ``item (id)`` and ``copy (id)``."""
    metadata = MetaData()
    for name in ("item", "copy"):
        audited_table(metadata, name, column("id", Integer, primary_key=True), options={"level": request.param})
    install(engine, metadata)
    return engine


def test_a_trigger_that_writes_another_audited_table(items: Engine) -> None:
    run(
        items,
        "CREATE FUNCTION copied() RETURNS trigger LANGUAGE plpgsql "
        "AS $$ BEGIN INSERT INTO copy VALUES (NEW.id); RETURN NEW; END $$",
        "CREATE TRIGGER copied BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION copied()",
        "INSERT INTO item VALUES (1), (2)",
    )
    assert recorded(items, "copy", "id") == recorded(items, "item", "id") == [("I", 1), ("I", 2)]
    assert rows(items, "SELECT count(*) FROM audit_transaction") == [(1,)]


def test_a_before_trigger_that_changes_or_drops_rows(items: Engine) -> None:
    """What is recorded is what was stored."""
    run(
        items,
        "CREATE FUNCTION bent() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.id = 2 THEN RETURN NULL; END IF; NEW.id := NEW.id * 10; RETURN NEW; END $$",
        "CREATE TRIGGER bent BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION bent()",
        "INSERT INTO item VALUES (1), (2), (3)",
    )
    assert recorded(items, "item", "id") == [("I", 10), ("I", 30)]


def test_a_block_that_fails_halfway_and_is_caught(items: Engine) -> None:
    """The block is a savepoint: the transaction's row goes with it and has to be made again."""
    run(
        items,
        "DO $$ BEGIN "
        "BEGIN INSERT INTO item VALUES (1); RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN NULL; END; "
        "INSERT INTO item VALUES (2); END $$",
    )
    found = (
        "SELECT a.id, t.id IS NOT NULL FROM item_audit a LEFT JOIN audit_transaction t ON t.id = audit_transaction_id"
    )
    assert rows(items, found) == [(2, True)]


def test_a_user_who_came_in_an_undone_savepoint_leaves_no_row(items: Engine) -> None:
    with items.begin() as connection:
        set_session_vars(connection, username="alice")
        execute(connection, "INSERT INTO item VALUES (1)")
        savepoint = connection.begin_nested()
        set_session_vars(connection, username="bob")
        execute(connection, "INSERT INTO item VALUES (2)")
        savepoint.rollback()
        execute(connection, "INSERT INTO item VALUES (3)")
    assert rows(items, "SELECT username, continues FROM audit_transaction") == [("alice", None)]
    assert recorded(items, "item", "id") == [("I", 1), ("I", 3)]


def test_a_serialisation_failure_leaves_nothing(items: Engine) -> None:
    run(items, "INSERT INTO item VALUES (1)")
    strict = items.execution_options(isolation_level="REPEATABLE READ")
    with strict.connect() as late:
        execute(late, "SELECT * FROM item")
        run(items, "UPDATE item SET id = 2")
        with pytest.raises(Exception, match="could not serialize access"):
            execute(late, "UPDATE item SET id = 3")
        late.rollback()
    assert rows(items, "SELECT count(*) FROM audit_transaction") == [(2,)]
    assert sorted(recorded(items, "item", "id")) == [("D", 1), ("I", 1), ("I", 2)]
