"""What telling the database who acts costs: statements counted in the server's own log."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.blog import Blog, blog
from tools.embedded_postgres import THROWAWAY, EmbeddedPostgres


@pytest.fixture(scope="module")
def logging_server() -> Iterator[EmbeddedPostgres]:
    """A server that logs every statement it gets."""
    with EmbeddedPostgres(settings={**THROWAWAY, "log_statement": "all", "log_line_prefix": "%d|"}) as server:
        yield server


@pytest.fixture(params=["psycopg2", "psycopg"])
def site(request: pytest.FixtureRequest, logging_server: EmbeddedPostgres) -> Iterator[Blog]:
    name = f"cost_{request.param}_{request.function.__name__}"[:63]
    logging_server.create_database(name)
    with blog(logging_server.url(name, request.param)) as made:

        @made.app.post("/many")
        def many() -> str:
            for number in range(5):
                made.db.session.add(made.Post(title=str(number)))
                made.db.session.flush()
            with made.db.session.begin_nested():
                made.db.session.add(made.Post(title="nested"))
            made.db.session.commit()
            return ""

        made.app.test_client().post("/posts?title=warm-up")
        yield made


CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


class Counter:
    """What one database has got since the last look: an entry for each message that it answered."""

    def __init__(self, server: EmbeddedPostgres, site: Blog) -> None:
        self._server = server
        name = site.app.config["SQLALCHEMY_DATABASE_URI"].database
        self._entry = re.compile(rf"^{name}\|LOG:  (?:statement|execute [^:]*):\s+(.*?)(?=^\w*\||\Z)", re.M | re.S)
        self._seen = 0
        self.new()

    def messages(self) -> list[str]:
        """All of them."""
        messages = self._entry.findall(self._server.log())
        new, self._seen = messages[self._seen :], len(messages)
        return new

    def new(self) -> list[str]:
        """Without those that control a transaction and nothing else."""
        return [m for m in self.messages() if "set_config" in m or not m.startswith(CONTROL)]


def test_a_read_only_request_sends_nothing_extra_and_looks_nobody_up(
    site: Blog, logging_server: EmbeddedPostgres
) -> None:
    client = site.app.test_client()
    client.post("/signup/alice")
    site.user_lookups.clear()
    counter = Counter(logging_server, site)
    client.get("/posts")
    [only] = counter.new()
    assert only.startswith("SELECT post.title")
    assert site.user_lookups == []


def test_a_request_with_one_write_waits_for_the_server_no_more_often(
    site: Blog, logging_server: EmbeddedPostgres
) -> None:
    """The settings go along with the first statement, or with psycopg 3 with what begins the transaction."""
    counter = Counter(logging_server, site)
    site.app.test_client().post("/posts?title=x")
    begin, insert, commit = counter.messages()
    told = begin if site.app.config["SQLALCHEMY_DATABASE_URI"].drivername.endswith("psycopg") else insert
    assert "SELECT pg_catalog.set_config(" in told
    assert begin.startswith("BEGIN")
    assert "INSERT INTO post" in insert
    assert commit.startswith("COMMIT")


def test_many_writes_in_one_transaction_are_told_once(site: Blog, logging_server: EmbeddedPostgres) -> None:
    counter = Counter(logging_server, site)
    site.app.test_client().post("/many")
    assert sum("set_config" in statement for statement in counter.new()) == 1


def test_the_user_is_looked_up_once_per_request(site: Blog) -> None:
    client = site.app.test_client()
    client.post("/signup/alice")
    site.user_lookups.clear()
    client.post("/posts?title=a&title=b&title=c")
    assert site.user_lookups == ["1"]
