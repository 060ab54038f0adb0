"""Every way to write, in every situation: the recorded user, actor id and request id are the right ones.

One transaction owner (the app's session) with every write path here; other owners in ``test_who_transactions.py``.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from flask_login import login_user, logout_user
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from tests.blog import Blog, blog
from tests.server import Database

Path = Callable[[Blog, str], None]
Recorded = tuple[str, str | None, str | None, str | None]


def orm_flush(site: Blog, title: str) -> None:
    site.db.session.add(site.Post(title=title))
    site.db.session.flush()


def orm_update(site: Blog, title: str) -> None:
    post = site.db.session.scalars(select(site.Post).where(site.Post.title == "old").limit(1)).one()
    post.title = title
    site.db.session.flush()


def orm_bulk_save(site: Blog, title: str) -> None:
    site.db.session.bulk_save_objects([site.Post(title=title)])


def orm_bulk_insert(site: Blog, title: str) -> None:
    site.db.session.execute(insert(site.Post), [{"title": title}])


def orm_bulk_update(site: Blog, title: str) -> None:
    site.db.session.execute(update(site.Post).where(site.Post.id == _old(site)).values(title=title))


def core(site: Blog, title: str) -> None:
    site.db.session.execute(site.Post.__table__.insert().values(title=title))


def core_executemany(site: Blog, title: str) -> None:
    site.db.session.connection().execute(site.Post.__table__.insert(), [{"title": title}])


def insertmanyvalues(site: Blog, title: str) -> None:
    site.db.session.execute(insert(site.Post).returning(site.Post.id), [{"title": title}]).all()


def upserting(site: Blog, title: str) -> None:
    statement = upsert(site.Post).values(id=_old(site), title="new")
    site.db.session.execute(statement.on_conflict_do_update(index_elements=["id"], set_={"title": title}))


def raw_text(site: Blog, title: str) -> None:
    site.db.session.execute(text("INSERT INTO post (title) VALUES (:title)"), {"title": title})


def driver_sql(site: Blog, title: str) -> None:
    site.db.session.connection().exec_driver_sql("INSERT INTO post (title) VALUES (%s)", (title,))


def writing_function(site: Blog, title: str) -> None:
    site.db.session.scalar(select(func.add_post(title)))


def data_modifying_cte(site: Blog, title: str) -> None:
    added = insert(site.Post).values(title=title).returning(site.Post.id).cte("added")
    site.db.session.execute(select(added.c.id)).all()


def raw_cursor(site: Blog, title: str) -> None:
    with closing(site.db.session.connection().connection.cursor()) as cursor:
        cursor.execute("INSERT INTO post (title) VALUES (%s)", (title,))


def raw_executemany(site: Blog, title: str) -> None:
    with closing(site.db.session.connection().connection.cursor()) as cursor:
        cursor.executemany("INSERT INTO post (title) VALUES (%s)", [(title,)])


def raw_copy(site: Blog, title: str) -> None:
    connection = site.db.session.connection()
    with closing(connection.connection.cursor()) as cursor:
        if connection.dialect.driver == "psycopg2":
            cursor.copy_expert("COPY post (title) FROM STDIN", io.StringIO(f"{title}\n"))
        else:
            with cursor.copy("COPY post (title) FROM STDIN") as copy:
                copy.write(f"{title}\n")


PATHS: list[Path] = [
    orm_flush,
    orm_update,
    orm_bulk_save,
    orm_bulk_insert,
    orm_bulk_update,
    core,
    core_executemany,
    insertmanyvalues,
    upserting,
    raw_text,
    driver_sql,
    writing_function,
    data_modifying_cte,
    raw_cursor,
    raw_executemany,
    raw_copy,
]


def _old(site: Blog) -> Any:
    return site.db.session.scalars(select(site.Post.id).where(site.Post.title == "old").limit(1)).one()


@pytest.fixture(params=["psycopg2", "psycopg"])
def site(request: pytest.FixtureRequest, database: Database) -> Iterator[Blog]:
    with blog(database.url(request.param)) as made:
        with made.app.app_context(), made.db.engine.begin() as connection:
            connection.execute(
                text(
                    "CREATE FUNCTION add_post(text) RETURNS int LANGUAGE sql AS "
                    "'INSERT INTO post (title) VALUES ($1) RETURNING id'"
                )
            )
            connection.execute(text("INSERT INTO \"user\" (username) VALUES ('alice')"))
            connection.execute(text("INSERT INTO post (title) SELECT 'old' FROM generate_series(1, 40)"))
            connection.execute(text("INSERT INTO post (id, title) VALUES (1000, 'taken')"))
        yield made


class Situations:
    """Views, one for each situation; each answers what has to be recorded."""

    def __init__(self, site: Blog, path: Path) -> None:
        self.site, self.path = site, path
        self.session = site.db.session

    def write(self, title: str) -> None:
        self.path(self.site, title)

    def one_write(self) -> None:
        self.write("one")
        self.session.commit()

    def login_in_the_middle(self) -> None:
        self.write("before")
        login_user(self.alice())
        self.write("after")
        self.session.commit()

    def logout_in_the_middle(self) -> None:
        self.write("before")
        logout_user()
        self.write("after")
        self.session.commit()

    def context_in_the_middle(self) -> None:
        self.write("before")
        with self.site.audit.context(username="robot", actor_id="r2"):
            self.write("inside")
        self.write("after")
        self.session.commit()

    def second_commit(self) -> None:
        self.write("first")
        self.session.commit()
        self.write("second")
        self.session.commit()

    def after_savepoint_rollback(self) -> None:
        savepoint = self.session.begin_nested()
        self.write("undone")
        savepoint.rollback()
        self.write("after")
        with self.session.begin_nested():
            self.write("kept")
        self.session.commit()

    def after_an_error(self) -> None:
        with pytest.raises(IntegrityError):
            self.session.execute(insert(self.site.Post).values(id=1000, title="taken"))
        self.session.rollback()
        self.write("after")
        self.session.commit()

    def rolled_back_first(self) -> None:
        self.write("undone")
        self.session.rollback()
        self.write("after")
        self.session.commit()

    def read_first(self) -> None:
        self.session.scalars(select(self.site.Post.title)).all()
        self.write("after")
        self.session.commit()

    def alice(self) -> Any:
        return self.session.get(self.site.User, 1)


ALICE = ("alice", "1")
NOBODY = (None, None)

EXPECTED: dict[str, dict[bool, list[tuple[str, tuple[str | None, str | None]]]]] = {
    # situation: {logged in: [(title, who)]}
    "one_write": {True: [("one", ALICE)], False: [("one", NOBODY)]},
    "login_in_the_middle": {
        True: [("before", ALICE), ("after", ALICE)],
        False: [("before", NOBODY), ("after", ALICE)],
    },
    "logout_in_the_middle": {
        True: [("before", ALICE), ("after", NOBODY)],
        False: [("before", NOBODY), ("after", NOBODY)],
    },
    "context_in_the_middle": {
        True: [("before", ALICE), ("inside", ("robot", "r2")), ("after", ALICE)],
        False: [("before", NOBODY), ("inside", ("robot", "r2")), ("after", NOBODY)],
    },
    "second_commit": {
        True: [("first", ALICE), ("second", ALICE)],
        False: [("first", NOBODY), ("second", NOBODY)],
    },
    "after_savepoint_rollback": {
        True: [("after", ALICE), ("kept", ALICE)],
        False: [("after", NOBODY), ("kept", NOBODY)],
    },
    "after_an_error": {True: [("after", ALICE)], False: [("after", NOBODY)]},
    "rolled_back_first": {True: [("after", ALICE)], False: [("after", NOBODY)]},
    "read_first": {True: [("after", ALICE)], False: [("after", NOBODY)]},
}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
def test_write_path(site: Blog, path: Path) -> None:
    situations = Situations(site, path)

    @site.app.post("/login")
    def login() -> str:
        login_user(situations.alice())
        return ""

    @site.app.post("/do/<situation>")
    def do(situation: str) -> str:
        getattr(situations, situation)()
        return ""

    for situation, by_login in EXPECTED.items():
        # Logged in first: the anonymous request that follows finds the same connection.
        for logged_in, expected in by_login.items():
            client = site.app.test_client()
            if logged_in:
                client.post("/login")
            mark = _last_audit_id(site)
            request_id = f"{situation}-{logged_in}"
            answer = client.post(f"/do/{situation}", headers={"X-Request-ID": request_id})
            assert answer.status_code == 200
            assert _recorded(site, mark) == [(title, *who, request_id) for title, who in expected], request_id


def _last_audit_id(site: Blog) -> int:
    [(last,)] = site.rows("SELECT coalesce(max(audit_id), 0) FROM post_audit")
    return int(last)


def _recorded(site: Blog, mark: int) -> list[Recorded]:
    rows = site.rows(
        "SELECT p.title, p.audit_username, t.actor_id, t.context->>'request_id', t.username FROM post_audit p "
        f"JOIN audit_transaction t ON t.id = p.audit_transaction_id WHERE audit_id > {mark} ORDER BY p.audit_id"
    )
    assert all(row[1] == row[4] for row in rows), "the row and its transaction disagree about the user"
    return [row[:4] for row in rows]
