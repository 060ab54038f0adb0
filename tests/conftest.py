"""The tests' servers, databases and browser.

Three environment variables choose what the suite runs on:

``AUDIT_TEST_DATABASE_URL``
    A server of your own, for example ``postgresql+psycopg2://me@localhost/postgres``: a role that may create
    databases. Without it each test process starts an embedded one (see ``tools/embedded_postgres.py``).
``AUDIT_TEST_DRIVER``
    ``psycopg2`` (the default) or ``psycopg``.
``AUDIT_POSTGRES_BIN``
    The folder of another PostgreSQL's programs, for the embedded server.
"""

from __future__ import annotations

import logging.config
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from flask import Flask
from sqlalchemy import Engine, create_engine, make_url

from tests.revisions import Project
from tests.server import DRIVER, Database, DatabaseServer
from tests.templates import CompiledTemplates
from tools.embedded_postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# Most tests of pages have an app of their own, which would compile the same templates once more.
Flask.jinja_options = {"bytecode_cache": CompiledTemplates()}


@pytest.fixture(scope="session")
def server() -> Iterator[DatabaseServer]:
    """The PostgreSQL server of this test process."""
    if own := os.environ.get("AUDIT_TEST_DATABASE_URL"):
        database_server = DatabaseServer(make_url(own).set(drivername=f"postgresql+{DRIVER}"))
        yield database_server
        database_server.close()
        return
    with EmbeddedPostgres() as embedded:
        database_server = DatabaseServer(embedded.url(driver=DRIVER))
        yield database_server
        database_server.close()


@pytest.fixture(scope="session")
def template(server: DatabaseServer) -> Iterator[str]:
    """The name of the empty database that each test's own is copied from."""
    with server.template() as name:
        yield name


@pytest.fixture
def database(server: DatabaseServer, template: str) -> Iterator[Database]:
    """A new, empty database, dropped after the test."""
    with server.database(template) as database:
        yield database


@pytest.fixture
def engine(database: Database) -> Iterator[Engine]:
    """An engine on the test's database."""
    engine = create_engine(database.url())
    yield engine
    engine.dispose()


@pytest.fixture
def project(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A migrations folder for the test's database."""
    # env.py sets up logging for the whole process, onto what is stderr while the command runs.
    monkeypatch.setattr(logging.config, "fileConfig", lambda *arguments: None)
    # Revisions are edited within the second in which Python compiled them.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return Project(database.url(), tmp_path / "migrations")


@pytest.fixture
def production(project: Project, server: DatabaseServer, template: str) -> Iterator[Project]:
    """Another database for the same revisions."""
    with server.database(template) as database:
        yield Project(database.url(), project.folder)


@pytest.fixture(autouse=True)
def _superuser(request: pytest.FixtureRequest) -> None:
    """Skip what is marked ``superuser`` on a server where the tests' role is none."""
    if request.node.get_closest_marker("superuser"):
        server: DatabaseServer = request.getfixturevalue("server")
        if not server.is_superuser:
            pytest.skip("the role of AUDIT_TEST_DATABASE_URL is no superuser")


# A module's, not a session's: while Playwright runs, its event loop occupies the thread, and a Flask view
# that is a coroutine cannot be called.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, the system's; in CI it must be there."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        message = "no Chromium on this machine (Debian: apt-get install chromium)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            chromium_sandbox=os.geteuid() != 0,
            # It is to talk to the test's own server and nobody else.
            args=["--disable-background-networking", "--disable-component-update", "--disable-sync"],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty page in a browser profile of its own."""
    with browser.new_context() as context:
        yield context.new_page()
