"""Jobs record themselves and the user who queued them: Celery and RQ, run for real."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from celery.contrib.testing.worker import start_worker
from fakeredis import FakeStrictRedis
from rq import Queue, SimpleWorker

from flask_pg_audit.jobs.celery import carry_into_celery
from flask_pg_audit.jobs.rq import AuditedJob
from tests.blog import Blog, blog
from tests.server import Database

current: Blog


@pytest.fixture
def site(database: Database) -> Iterator[Blog]:
    global current
    with blog(database.url()) as current:
        yield current


def add_post(title: str) -> None:
    """The job: it runs in the worker, which knows no request."""
    with current.app.app_context():
        current.db.session.add(current.Post(title=title))
        current.db.session.commit()


def jobs(site: Blog) -> list[tuple[Any, ...]]:
    return site.rows(
        "SELECT p.title, p.audit_username, t.actor_id, t.context->>'job', t.context->>'request_id' "
        "FROM post_audit p JOIN audit_transaction t ON t.id = p.audit_transaction_id ORDER BY p.audit_id"
    )


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning", "ignore::ResourceWarning"
)
def test_celery(site: Blog) -> None:
    celery = Celery("test", broker="memory://", backend="cache+memory://")
    carry_into_celery(celery)
    task = celery.task(name="posts.add")(add_post)

    @site.app.post("/queue/<title>")
    def queue(title: str) -> str:
        with site.audit.context(username="alice", actor_id=1):
            task.delay(title).get(timeout=20)
        return ""

    with start_worker(celery, pool="solo", perform_ping_check=False, shutdown_timeout=20):
        site.app.test_client().post("/queue/queued", headers={"X-Request-ID": "r1"})
        task.delay("scheduled").get(timeout=20)
    task.apply(args=("eager",))
    assert jobs(site) == [
        ("queued", "alice", "1", "posts.add", "r1"),
        ("scheduled", "celery:posts.add", None, "posts.add", None),
        ("eager", None, None, None, None),
    ]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_rq(site: Blog) -> None:
    queue = Queue(connection=FakeStrictRedis(), job_class=AuditedJob)

    @site.app.post("/queue/<title>")
    def view(title: str) -> str:
        with site.audit.context(username="alice", actor_id=1):
            queue.enqueue(add_post, title)
        return ""

    site.app.test_client().post("/queue/queued", headers={"X-Request-ID": "r1"})
    queue.enqueue(add_post, "scheduled")
    SimpleWorker([queue], connection=queue.connection, job_class=AuditedJob).work(burst=True)
    name = "tests.test_who_jobs.add_post"
    assert jobs(site) == [
        ("queued", "alice", "1", name, "r1"),
        ("scheduled", f"rq:{name}", None, name, None),
    ]
