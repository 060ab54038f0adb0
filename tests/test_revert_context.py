"""Who reverted what, through a session, and beside others."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, DateTime, Engine, ForeignKey, String, create_engine, insert, text, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, scoped_session, sessionmaker

from flask_pg_audit import AuditConflictError, audited, enable
from flask_pg_audit.history.change import Change
from flask_pg_audit.history.feed import read_changes, read_feed
from flask_pg_audit.history.filter import ChangeFilter
from flask_pg_audit.history.position import Position
from flask_pg_audit.history.timeline import timeline
from flask_pg_audit.revert import restore, revert, revert_transaction, undelete
from tests.blog import blog
from tests.capture import execute, install, rows, run
from tests.reverting import last, note
from tests.server import Database


@pytest.fixture
def connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        yield connection


# Who, and why


def context(engine: Engine) -> list[Any]:
    return [value for (value,) in rows(engine, "SELECT context FROM audit_transaction ORDER BY id")]


def test_the_context_links_to_what_is_reverted(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    run(
        engine,
        "INSERT INTO note SELECT n, 'a' FROM generate_series(1, 150) n",
        "UPDATE note SET text = 'b' WHERE id = 3",
    )
    with engine.begin() as connection:
        execute(connection, """SELECT set_config('audit.context', '{"reason": "x", "n": 1.50}', true)""")
        reverted = revert(connection, table.metadata, last(engine, table))
        connection.execute(insert(table).values(id=1000))
    assert context(engine)[2:] == [
        {"reason": "x", "n": 1.5, "reverts": {"transaction_id": 2, "audit_ids": [151]}},
        {"reason": "x", "n": 1.5},
    ]
    assert reverted.reverts == {"transaction_id": 2, "audit_ids": [151]}
    assert "1.50" in str(rows(engine, "SELECT context::text FROM audit_transaction WHERE id = 3"))
    run(engine, "DELETE FROM note WHERE id = 1000")
    with engine.begin() as connection:
        revert_transaction(connection, table.metadata, 1)
        connection.execute(insert(table).values(id=1000))
    link = context(engine)[-2]["reverts"]
    assert link == {"transaction_id": 1, "audit_ids": [*range(1, 101)], "count": 150}
    assert context(engine)[-1] is None, "nothing is left behind"


def test_the_context_of_a_restore_and_of_a_rollback(engine: Engine) -> None:
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", "UPDATE note SET text = 'b'", "DELETE FROM note")
    with engine.begin() as connection:
        savepoint = connection.begin_nested()
        restore(connection, table, 1, to=Position(1, 1))
        savepoint.rollback()
        assert connection.scalar(text("SELECT current_setting('audit.context', true)")) == ""
        restore(connection, table, 1, to=Position(1, 1))
    assert context(engine)[-1]["reverts"] == {
        "transaction_id": 3,
        "transaction_ids": [2, 3],
        "audit_ids": [2, 3],
        "to": "1.1",
    }


def test_a_revert_in_a_request(database: Database) -> None:
    with blog(database.url()) as made:

        @made.app.post("/revert")
        def revert_last() -> str:
            change = read_feed(made.db.session, made.db.metadata, ChangeFilter(tables=[made.Post])).changes[0]
            revert(made.db.session, made.db.metadata, change)
            made.db.session.add(made.Post(title="afterwards"))
            made.db.session.commit()
            return ""

        client = made.app.test_client()
        client.post("/signup/alice")
        client.post("/posts?title=oops")
        assert client.post("/revert", headers={"X-Request-ID": "r1"}).status_code == 200
        undone, after = made.rows(
            "SELECT DISTINCT t.id, t.username, context->>'path', context->'reverts' FROM post_audit p "
            "JOIN audit_transaction t ON t.id = p.audit_transaction_id ORDER BY t.id"
        )[-2:]
        assert undone[1:3] == after[1:3] == ("alice", "/revert")
        assert undone[3]["audit_ids"] and after[3] is None
        assert [title for title, *_ in made.posts()] == ["hello", "oops", "oops", "afterwards"]


def test_a_revert_in_a_request_after_other_writes(database: Database) -> None:
    with blog(database.url()) as made:

        @made.app.post("/revert")
        def revert_last() -> str:
            made.db.session.add(made.Post(title="before"))
            made.db.session.flush()
            with made.audit.context(reason="mistake"):
                undelete(made.db.session, made.Post, 1)
            made.db.session.commit()
            return ""

        client = made.app.test_client()
        client.post("/posts?title=a")
        with made.app.app_context():
            made.db.session.delete(made.db.session.get_one(made.Post, 1))
            made.db.session.commit()
        assert client.post("/revert").status_code == 200
        query = "SELECT context->>'reason', context->'reverts'->'audit_ids' FROM audit_transaction ORDER BY id"
        assert made.rows(query)[-2:] == [(None, None), ("mistake", [2])]


# The ORM


enable()


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    version: Mapped[int] = mapped_column()
    changed_at: Mapped[datetime.datetime | None] = mapped_column(
        DateTime(timezone=True), onupdate=lambda: datetime.datetime.now(datetime.timezone.utc)
    )
    books: Mapped[list[Book]] = relationship(back_populates="author", order_by="Book.id", cascade="all, delete-orphan")
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012


class Book(Base):
    __tablename__ = "book"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    token: Mapped[str] = mapped_column(String)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")
    __mapper_args__ = {"version_id_col": token, "version_id_generator": lambda version: uuid.uuid4().hex}  # noqa: RUF012


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    install(engine, Base.metadata)
    with Session(engine) as session:
        session.add(Author(id=1, name="a", books=[Book(id=1, title="x"), Book(id=2, title="y")]))
        session.commit()
        yield session


def changes_of(session: Session, entity: Any, key: Any) -> list[Change]:
    """Oldest first."""
    return [*reversed(read_changes(session, Base.metadata, timeline(entity, key)))]


def test_a_session_shows_the_truth(session: Session) -> None:
    author = session.get_one(Author, 1)
    author.name = "b"
    session.commit()
    assert len(author.books) == 2 and author.books[0].title == "x"
    author.name = "c"
    with pytest.raises(AuditConflictError, match="the change left 'b', and now it is 'c'"):
        revert(session, Base.metadata, changes_of(session, Author, 1)[1])
    author.name = "b"
    revert(session, Base.metadata, changes_of(session, Author, 1)[1])
    assert author.name == "a"
    book = author.books[1]
    session.delete(book)
    session.flush()
    undelete(session, Book, 2)
    assert [(each.id, each.title) for each in author.books] == [(1, "x"), (2, "y")]
    first = author.books[0]
    revert(session, Base.metadata, changes_of(session, Book, 1))
    assert first not in session and [each.id for each in author.books] == [2]
    session.commit()
    assert session.get(Book, 1) is None


def test_undelete_of_what_the_orm_cascaded(session: Session) -> None:
    session.delete(session.get_one(Author, 1))
    session.commit()
    sessions = scoped_session(sessionmaker(session.get_bind()))
    assert len(undelete(sessions, Author, 1).writes) == 3
    assert [book.title for book in sessions.get_one(Author, 1).books] == ["x", "y"]
    sessions.commit()
    sessions.remove()


def test_a_version_does_not_go_back(session: Session) -> None:
    author = session.get_one(Author, 1)
    author.name = "b"
    session.commit()
    assert author.version == 2
    stale = Session(session.get_bind())
    assert stale.get_one(Author, 1).version == 2
    update_ = changes_of(session, Author, 1)[1]
    revert(session, Base.metadata, update_)
    assert (author.name, author.version) == ("a", 3)
    stale.close()
    restore(session, author, to=update_.position)
    assert (author.name, author.version) == ("b", 4)
    session.delete(author)
    session.commit()
    undelete(session, Author, 1)
    assert session.get_one(Author, 1).version == 5
    book = session.get_one(Book, 1)
    token, book.title = book.token, "z"
    session.commit()
    changed = book.token
    revert(session, Base.metadata, changes_of(session, Book, 1)[-1])
    assert book.title == "x" and book.token not in (token, changed)


def test_a_session_that_knows_its_database_by_the_class(session: Session) -> None:
    with Session(binds={Base: session.get_bind()}) as other:
        assert len(restore(other, Author, 1, to=Position(1, 1), dry_run=True).writes) == 0
        author = other.get_one(Author, 1)
        revert_transaction(other, Base.metadata, 1)
        assert author not in other
        other.commit()
    assert session.get(Author, 1) is None


def test_what_every_update_sets(session: Session) -> None:
    """``onupdate`` neither makes a conflict of any other update, nor writes over what is brought back."""
    author = session.get_one(Author, 1)
    author.name = "b"
    session.commit()
    author.changed_at = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
    session.commit()
    revert(session, Base.metadata, changes_of(session, Author, 1)[1])
    assert author.name == "a" and author.changed_at is None


# Concurrency


def test_a_change_that_another_transaction_is_making(engine: Engine) -> None:
    """The rows are locked before they are compared."""
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')", "UPDATE note SET text = 'b'")
    change = last(engine, table)
    with engine.connect() as writer, engine.connect() as reverter:
        writer.execute(update(table).values(text="c"))
        execute(reverter, "SET lock_timeout = '50ms'")
        with pytest.raises(Exception, match="lock timeout"):
            revert(reverter, table.metadata, change)
        reverter.rollback()
        execute(reverter, "SET lock_timeout = '10s'")
        pid = reverter.scalar(text("SELECT pg_backend_pid()"))
        reverter.rollback()
        answer = _in_background(lambda: revert(reverter, table.metadata, change))
        while not rows(engine, f"SELECT 1 FROM pg_locks WHERE pid = {pid} AND NOT granted"):
            pass
        writer.commit()
        assert isinstance(answer(), AuditConflictError)


def _in_background(function: Callable[[], Any]) -> Callable[[], Any]:
    import threading

    outcome: list[Any] = []

    def call() -> None:
        try:
            outcome.append(function())
        except AuditConflictError as error:
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()

    def answer() -> Any:
        thread.join(20)
        return outcome[0]

    return answer


def test_a_dry_run_keeps_no_locks(engine: Engine, database: Database) -> None:
    table = note()
    install(engine, table.metadata)
    run(engine, "INSERT INTO note VALUES (1, 'a')")
    other = create_engine(database.url())
    with engine.begin() as connection:
        revert(connection, table.metadata, last(engine, table), dry_run=True)
        run(other, "SET lock_timeout = '1s'; UPDATE note SET text = 'b'")
    other.dispose()
