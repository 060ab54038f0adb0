"""The server the tests and the demo run on: it starts anywhere, and leaves nothing behind."""

from __future__ import annotations

import os
import pwd
import select
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from tests.server import Database, DatabaseServer
from tools import embedded_postgres
from tools.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError, find_binaries

REPOSITORY = Path(__file__).parents[1]
SECONDS_TO_STOP = 30

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="about dropping root's privileges")
on_linux = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits for another's child: Linux only")


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres() as embedded:
        yield embedded


def home_of(url: URL) -> Path:
    return Path(str(url.query["host"]))


def ask(url: URL, sql: str) -> object:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return connection.execute(text(sql)).scalar_one()
    finally:
        engine.dispose()


def python(*arguments: str, cwd: Path = REPOSITORY, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), **env},
    )


def wait_for_end(pid: int) -> None:
    """Wait for a process that is not our child."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([process], [], [], SECONDS_TO_STOP)[0], f"process {pid} is still there"
    finally:
        os.close(process)


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_both_drivers_connect(embedded: EmbeddedPostgres, driver: str) -> None:
    assert ask(embedded.url(driver=driver), "SELECT current_user") == "postgres"


def test_url_survives_being_written_down(embedded: EmbeddedPostgres) -> None:
    assert make_url(embedded.url("shop").render_as_string()) == embedded.url("shop")


def test_version_is_the_servers(embedded: EmbeddedPostgres) -> None:
    shown = str(ask(embedded.url(), "SHOW server_version"))
    assert shown.split()[0] == ".".join(map(str, embedded.version))


def test_it_listens_on_a_private_socket_only(embedded: EmbeddedPostgres) -> None:
    assert ask(embedded.url(), "SHOW listen_addresses") == ""
    assert stat.S_IMODE(home_of(embedded.url()).stat().st_mode) == 0o700


def test_text_is_utf8_in_code_point_order(embedded: EmbeddedPostgres) -> None:
    assert ask(embedded.url(), "SHOW server_encoding") == "UTF8"
    assert ask(embedded.url(), "SELECT 'Z' < 'a'") is True


def test_create_database_quotes_names_and_copies_a_template(embedded: EmbeddedPostgres) -> None:
    name = 'a "weird" näme'
    embedded.create_database(name, template="template0")
    assert ask(embedded.url(name), "SELECT current_database()") == name


def test_settings_reach_the_server() -> None:
    with EmbeddedPostgres(settings={"work_mem": "5MB"}) as server:
        assert ask(server.url(), "SHOW work_mem") == "5MB"
        assert ask(server.url(), "SHOW fsync") == "on"


def test_stop_disconnects_and_leaves_nothing() -> None:
    server = EmbeddedPostgres()
    engine = create_engine(server.url())
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        server.stop()
        connection.invalidate()
    engine.dispose()
    assert not home_of(server.url()).exists()
    server.stop()


def test_a_server_that_does_not_start_shows_its_log(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(EmbeddedPostgresError, match='unrecognized configuration parameter "colour"') as raised:
        EmbeddedPostgres(settings={"colour": "blue"})
    assert "AUDIT_POSTGRES_BIN" in str(raised.value)
    assert capfd.readouterr() == ("", "")


def test_named_binaries_are_not_silently_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUDIT_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(EmbeddedPostgresError, match=str(tmp_path)):
        EmbeddedPostgres()


@as_root
def test_root_starts_it_as_nobody(embedded: EmbeddedPostgres) -> None:
    # As the server sees itself: a file it owns is a file it wrote.
    version = home_of(embedded.url()) / "data" / "PG_VERSION"
    assert version.stat().st_uid == pwd.getpwnam("nobody").pw_uid


@as_root
def test_programs_and_folder_that_nobody_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    programs = find_binaries()
    package = programs.parents[1]
    (closed / package.name).symlink_to(package)
    (closed / f"{package.name}.libs").symlink_to(package.with_name(f"{package.name}.libs"))
    monkeypatch.chdir(closed)
    with EmbeddedPostgres(closed / programs.relative_to(package.parent)) as server:
        home = home_of(server.url())
        assert ask(server.url(), "SELECT 1") == 1
    assert not home.exists()


def test_a_long_temporary_folder_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setattr(embedded_postgres, "ENOUGH_MEMORY", 2**60)
    with EmbeddedPostgres() as server:
        assert home_of(server.url()).parent == Path("/tmp")


def test_by_hand_it_runs_until_ctrl_c() -> None:
    with python("-m", "tools.embedded_postgres") as process:
        assert process.stdout is not None
        announced = process.stdout.readline()
        assert ask(make_url(announced.split()[-1]), "SELECT 1") == 1
        process.send_signal(signal.SIGINT)
    assert process.returncode == 0


# What it prints is all that a test learns of a process that it is going to kill.
STARTING = """
from tools import embedded_postgres

class Told(embedded_postgres.EmbeddedPostgres):
    def _start_server(self):
        print(self._keeper.pid, self._home, flush=True)
        super()._start_server()

with Told():
    print("ready", flush=True)
    input()
"""


@on_linux
@pytest.mark.parametrize("moment", ["starting", "ready"])
def test_it_does_not_outlive_a_killed_parent(moment: str) -> None:
    with python("-c", STARTING) as process:
        assert process.stdout is not None
        keeper, home = process.stdout.readline().split()
        server = None
        if moment == "ready":
            assert process.stdout.readline() == "ready\n"
            server = int((Path(home) / "data" / "postmaster.pid").read_text().split()[0])
        process.kill()
    wait_for_end(int(keeper))
    if server is not None:
        wait_for_end(server)
    assert not Path(home).exists()


def test_each_test_has_a_database_of_its_own(database: Database, server: DatabaseServer, template: str) -> None:
    with server.database(template) as other:
        assert ask(other.url(), "SELECT current_database()") != ask(database.url(), "SELECT current_database()")
    assert not ask(database.url(), f"SELECT count(*) FROM pg_database WHERE datname = '{other.address.database}'")
