"""The history as methods of the extension, and as a relationship."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Column, ForeignKey, Integer, String, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from flask_pg_audit import AuditConfigError, audited, enable, install_audit_triggers
from flask_pg_audit.history.relationship import audit_table_of, history_relationship
from tests.blog import Blog, blog
from tests.server import Database

enable()


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    with blog(database.url()) as site, site.app.app_context():
        site.app.test_client().post("/signup/alice")
        yield site


def test_the_feed(site: Blog) -> None:
    page = site.audit.feed(limit=1)
    [post] = page.changes
    assert (post.table, post.username, post.new) == ("post", "alice", {"id": 1, "title": "hello"})
    [user] = site.audit.feed(before=page.older).changes
    assert user.table == "user"
    assert site.audit.feed(tables=[site.User]).changes == (user,)
    assert site.audit.feed(username="alice", operations=["U"]).changes == ()
    assert site.audit.feed(request_id=post.request_id).changes == (post, user)


def test_one_record(site: Blog) -> None:
    post: Any = site.db.session.get(site.Post, 1)
    post.title = "changed"
    site.db.session.flush()
    update, insert = site.audit.history_of(post)
    assert (update.old, update.changed) == (insert.new, ("title",)), "what is flushed is seen"
    site.db.session.commit()
    assert site.audit.timeline(site.Post, 1) == site.audit.timeline(post) == [update, insert]
    assert site.audit.timeline(post, limit=1) == [update]
    assert site.audit.timeline(post, before=update.position) == [insert]
    assert site.audit.timeline(post, after=insert.position) == [update]
    assert site.audit.transaction(update.transaction_id) == [update]


def test_a_bind_without_audited_tables(site: Blog) -> None:
    with pytest.raises(AuditConfigError, match="the bind 'x' has no audited tables; those that have: None"):
        site.audit.feed(bind="x")


def test_reading_looks_nobody_up(site: Blog) -> None:
    lookups = len(site.user_lookups)
    with site.app.test_request_context():
        site.audit.feed(username="alice", changed=["title"])
        site.audit.timeline(site.Post, 1)
    assert len(site.user_lookups) == lookups


def test_reverts(site: Blog) -> None:
    post: Any = site.db.session.get(site.Post, 1)
    post.title = "changed"
    site.db.session.commit()
    update, insert = site.audit.history_of(post)
    with site.audit.context(username="bob"):
        assert site.audit.revert(update, dry_run=True).writes and post.title == "changed"
        site.audit.revert(update)
        site.db.session.commit()
        assert post.title == "hello"
        site.audit.restore(post, to=update.position)
        assert post.title == "changed"
        site.audit.restore(post, to=insert.position)
        site.db.session.commit()
        site.db.session.delete(post)
        site.db.session.commit()
        site.audit.undelete(site.Post, 1)
        site.db.session.commit()
    newest = site.audit.timeline(site.Post, 1, limit=1)[0]
    assert (newest.operation, newest.username, newest.new) == ("I", "bob", insert.new)
    assert newest.context["reverts"]["audit_ids"]
    assert site.audit.revert_transaction(newest.transaction_id).writes
    with pytest.raises(AuditConfigError, match="the bind 'x' has no audited tables"):
        site.audit.revert(update, bind="x")


def test_a_command_within_a_context_that_outlives_it(site: Blog) -> None:
    """What the command made is its own; what comes after is not."""

    @site.app.cli.command("add-post")
    def add_post() -> None:
        site.db.session.add(site.Post(title="by the command"))
        site.db.session.commit()

    assert site.app.test_cli_runner().invoke(args=["add-post"]).exit_code == 0
    site.db.session.add(site.Post(title="after it"))
    site.db.session.commit()
    after, command = site.audit.feed(limit=2).changes
    assert (command.username, command.context["command"]) == ("cli:add-post", "cli:add-post")
    assert (after.username, after.context) == (None, {})


class Base(DeclarativeBase):
    pass


class Author(Base):
    __tablename__ = "author"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list[Book]] = relationship()


class Book(Base):
    __tablename__ = "book"
    __table_args__ = {"info": audited()}  # noqa: RUF012
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))


class AuthorHistory(Base):
    __table__ = audit_table_of(Author)


Author.history = history_relationship(Author, AuthorHistory)


def test_a_relationship(database: Database, engine: Any) -> None:
    Base.metadata.create_all(engine)
    install_audit_triggers(Base.metadata, engine)
    with Session(engine) as session:
        author = Author(id=1, name="a")
        session.add(author)
        session.commit()
        author.name = "b"
        session.commit()
        history: Any = author.history  # type: ignore[attr-defined]
        assert [(row.audit_operation, row.name) for row in history] == [("U", "b"), ("I", "a")]
        renamed = select(Author).where(Author.history.any(AuthorHistory.name == "a"))  # type: ignore[attr-defined]
        assert session.scalars(renamed).all() == [author]


def test_a_relationship_to_something_else() -> None:
    with pytest.raises(AuditConfigError, match='the history of Author is in "author_audit": give it __table__ = audit'):
        history_relationship(Author, Book)
    with pytest.raises(AuditConfigError, match='the table "plain" is not audited; audited are: author, book'):
        audit_table_of(Plain)


class Plain(Base):
    __tablename__ = "plain"
    id = Column(Integer, primary_key=True)
    name = Column(String)
