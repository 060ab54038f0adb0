"""The demo, as the person sees it who types ``make demo``: a process, its output, its pages."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest
from sqlalchemy import URL, create_engine, text

from example_app.config import database_url
from example_app.demo.browser import Browser, Page
from tests.server import Database

REPOSITORY = Path(__file__).parents[1]
SECONDS_TO_STOP = 30


@dataclass
class Demo:
    """A demo that runs.

    :ivar output: what it has said by the time it answers.
    """

    process: subprocess.Popen[str]
    output: str

    def said(self, pattern: str) -> str:
        found = re.search(pattern, self.output, re.MULTILINE)
        assert found is not None, self.output
        return str(found[1])

    @property
    def address(self) -> str:
        return self.said(r"^The shop +(\S+)/$")

    @property
    def database(self) -> URL:
        return database_url(self.said(r"^The database +(\S+)$"))

    def log_in(self, username: str) -> Browser:
        browser = Browser(self.address, "test")
        browser.submit("/login", username=username, password=self.said(rf"^ +{username} +(\S+)"))
        return browser

    def stop(self, number: signal.Signals) -> tuple[str, str]:
        self.process.send_signal(number)
        return self.process.communicate(timeout=SECONDS_TO_STOP)


def demo(*arguments: str, **env: str) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "PORT")}
    return subprocess.Popen(
        [sys.executable, "-m", "example_app.demo", *arguments],
        cwd=REPOSITORY,
        env={**inherited, "PORT": str(free_port()), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def running(**env: str) -> Iterator[Demo]:
    process = demo(**env)
    with process:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("Ctrl-C"):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            lines.append(line)
        try:
            yield Demo(process, "".join(lines))
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=SECONDS_TO_STOP)


@pytest.fixture(scope="module")
def shop() -> Iterator[Demo]:
    """A demo that tests may look at."""
    with running() as demo:
        yield demo


def finished(*arguments: str, **env: str) -> tuple[int, str, str]:
    process = demo(*arguments, **env)
    output, errors = process.communicate(timeout=120)
    return process.returncode, output, errors


def address_of(database: Database) -> str:
    return database.url().render_as_string(hide_password=False)


def ask(url: URL, sql: str) -> list[tuple[object, ...]]:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]
    finally:
        engine.dispose()


def pages_of_the_log(browser: Browser) -> list[Page]:
    """All of them, from the first to the last, as the links lead."""
    page = browser.open("/audit/")
    pages = [page]
    while page.next is not None:
        page = browser.open(urljoin(page.url, page.next))
        pages.append(page)
    return pages


def test_everybody_can_log_in_and_look(shop: Demo) -> None:
    for username in ("ada", "ben", "carla", "iris"):
        assert "Café Nordlys" in shop.log_in(username).open("/orders/").text


def test_the_log_shows_people_and_the_update_that_nobody_signed(shop: Demo) -> None:
    log = "".join(page.text for page in pages_of_the_log(shop.log_in("iris")))
    for somebody in ("ada", "ben", "carla", "cli:create-user", "psql"):
        assert somebody in log


def test_the_bulk_update_is_one_transaction_without_a_user(shop: Demo) -> None:
    bulk = """
        SELECT username, context, (SELECT count(*) FROM product_audit WHERE audit_transaction_id = id_of.id)
        FROM (SELECT id, username, context FROM audit_transaction WHERE application_name = 'psql') AS id_of
    """
    assert ask(shop.database, bulk) == [(None, None, 3)]


def test_a_customer_was_brought_back_from_the_log(shop: Demo) -> None:
    reverts = "SELECT username, context->>'reason' FROM audit_transaction WHERE context ? 'reverts'"
    assert ask(shop.database, reverts) == [("ada", "The wrong customer.")]
    assert "Nguyễn Thị Lan" in shop.log_in("ben").open("/customers/").text


def test_orders_remember_where_they_were_changed(shop: Demo) -> None:
    terminals = "SELECT DISTINCT audit_username, audit_terminal FROM order_audit ORDER BY 1"
    assert ask(shop.database, terminals) == [("ben", "Counter 1"), ("carla", "Telephone")]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_and_takes_its_database_along(number: signal.Signals) -> None:
    with running() as demo:
        home = Path(str(demo.database.query["host"]))
        postgres = int((home / "data" / "postmaster.pid").read_text().split()[0])
        process = os.pidfd_open(postgres) if hasattr(os, "pidfd_open") else None
        output, errors = demo.stop(number)
    assert (demo.process.returncode, output.strip(), errors) == (0, "Stopped.", "")
    assert not home.exists()
    if process is not None:
        assert select.select([process], [], [], SECONDS_TO_STOP)[0], "PostgreSQL is still running"
        os.close(process)


def test_a_database_of_ones_own_is_filled_once(database: Database) -> None:
    code, output, errors = finished("--no-serve", DATABASE_URL=address_of(database))
    assert (code, errors) == (0, "")
    assert "Filling the shop" in output
    count = "SELECT count(*) FROM audit_transaction"
    before = ask(database.url(), count)
    code, output, errors = finished("--no-serve", DATABASE_URL=address_of(database))
    assert (code, errors) == (0, "")
    assert "in use already" in output
    assert ask(database.url(), count) == before


def test_a_port_that_is_taken(database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
        with running(PORT=str(port), DATABASE_URL=address_of(database)) as demo:
            assert f"Port {port} is taken" in demo.output
            assert not demo.address.endswith(f":{port}")
            assert "Log in" in Browser(demo.address, "test").open("/").text


@pytest.mark.parametrize(
    ("env", "complaint"),
    [
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/shop"}, "cannot be reached"),
        ({"DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/shop"}, "me:***@127.0.0.1"),
        ({"DATABASE_URL": "sqlite:///shop.db"}, "needs PostgreSQL"),
        ({"DATABASE_URL": "shop"}, "is no address"),
        ({"DATABASE_URL": "postgresql+oracle://me@host/shop"}, "cannot be reached"),
        ({"PORT": "http"}, "PORT must be a number"),
    ],
)
def test_errors_are_one_line(env: dict[str, str], complaint: str) -> None:
    code, _, errors = finished(**env)
    assert code == 1
    assert errors.startswith("demo: ")
    assert complaint in errors
    assert errors.count("\n") == 1
    assert "secret" not in errors


def test_tables_of_another_application_are_left_alone(database: Database) -> None:
    engine = create_engine(database.url())
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE customer (id int)")
    engine.dispose()
    code, _, errors = finished(DATABASE_URL=address_of(database))
    assert (code, errors) == (1, 'demo: the database cannot be prepared: relation "customer" already exists\n')
