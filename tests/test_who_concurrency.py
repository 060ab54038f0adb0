"""Many threads, few connections, random users, failures and rollbacks: every row knows its request's user."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import abort, g, request
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from tests.blog import Blog, blog
from tests.server import Database

REQUESTS = int(os.environ.get("AUDIT_TEST_REQUESTS", "1500"))


@pytest.fixture(params=["psycopg2", "psycopg"])
def site(request: pytest.FixtureRequest, database: Database) -> Iterator[Blog]:
    pool = {"pool_size": 3, "max_overflow": 0, "pool_timeout": 60}
    with blog(database.url(request.param), pool=pool) as made:
        yield made


def add_busy_view(site: Blog) -> None:
    @site.app.before_request
    def load_user() -> None:
        g.user = {"username": request.args["user"], "id": request.args["user"]} if request.args["user"] else None

    @site.app.post("/busy")
    def busy() -> str:
        dice = random.Random(request.args["number"])
        title = request.args["number"]
        for _ in range(dice.randint(1, 3)):
            site.db.session.add(site.Post(title=title))
            if dice.random() < 0.2:
                site.db.session.flush()
                site.db.session.rollback()
                site.db.session.add(site.Post(title=title))
            if dice.random() < 0.2:
                savepoint = site.db.session.begin_nested()
                site.db.session.add(site.Post(title=title))
                savepoint.rollback()
            site.db.session.commit()
        if dice.random() < 0.1:
            site.db.session.add(site.Post(title=title))
            site.db.session.flush()
            abort(500)  # the transaction is left open for the teardown to roll back
        if dice.random() < 0.1:
            with pytest.raises(IntegrityError):
                first = site.db.session.scalars(select(site.Post.id).limit(1)).one()
                site.db.session.add(site.Post(id=first, title=title))
                site.db.session.commit()
            site.db.session.rollback()
        return ""


def test_every_row_has_the_user_of_the_request_that_made_it(site: Blog) -> None:
    add_busy_view(site)
    dice = random.Random(1)
    users = {number: dice.choice(["", "alice", "bob", "carol", "dave"]) for number in range(REQUESTS)}

    def send(number: int) -> int:
        return site.app.test_client().post(f"/busy?number={number}&user={users[number]}").status_code

    with ThreadPoolExecutor(16) as threads:
        statuses = Counter(threads.map(send, range(REQUESTS)))

    assert statuses[200] > REQUESTS / 2
    assert statuses[500] > 0
    recorded = site.posts()
    [(live,)] = site.rows("SELECT count(*) FROM post")
    assert len(recorded) == live
    for title, username, actor_id in recorded:
        assert (username or "", actor_id or "") == (users[int(title)], users[int(title)])
    assert {int(title) for title, _, _ in recorded} == set(users), "a request left no trace"
