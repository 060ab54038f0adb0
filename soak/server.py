"""A PostgreSQL server that can be killed and started again on what it left behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from tools.embedded_postgres import SECONDS_TO_START, EmbeddedPostgres, EmbeddedPostgresError

#: PostgreSQL's own durability: a commit that was reported has been written. The rest is about how much fits, and that
#: a deadlock is seen soon.
SETTINGS = {
    "deadlock_timeout": "100ms",
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "max_prepared_transactions": "50",
    "max_wal_size": "4GB",
    "shared_buffers": "256MB",
}

# As the keeper of an embedded server, but when the server has ended it waits for a line, and starts it again on the
# same data; the file tells that it is this shell that reads, and no longer the one that watches. Exit code 1 is a
# server that could not start: what was killed a moment ago still holds its memory.
KEEPER = """
home=$1; shift
exec 3<&0 </dev/null
trap 'rm -rf "$home"' EXIT
read -r bin <&3 || exit
"$bin/initdb" -D "$home/data" -U postgres -A trust --locale=C --encoding=UTF8 --no-sync || exit
while :; do
    "$bin/postgres" -D "$home/data" -k "$home" -p 5432 "$@" & server=$!
    { read -r end <&3; kill -TERM $server; kill -INT $server; } & watch=$!
    wait $server; code=$?
    kill $watch 2>/dev/null; wait $watch
    [ $code -eq 1 ] && sleep 0.05 && continue
    : >"$home/down"
    read -r again <&3 || exit
done
"""


class MortalPostgres(EmbeddedPostgres):
    """An embedded server, durable as a real one, that :meth:`kill` ends and :meth:`start` brings back.

    :param bin_dir: the folder of ``postgres`` and ``initdb``.
    :param settings: added to :data:`SETTINGS`.
    """

    keeper = KEEPER
    _dead = 0

    def __init__(self, bin_dir: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(bin_dir, {**SETTINGS, **(settings or {})})

    @property
    def pid(self) -> int:
        """The postmaster's."""
        return int((self._home / "data" / "postmaster.pid").read_text().split()[0])

    def folder(self, name: str) -> Path:
        """A new folder that belongs to the server's account, removed with the server."""
        folder = self._home / name
        folder.mkdir()
        if self._account:
            os.chown(folder, self._account["user"], self._account["group"])
        return folder

    def kill(self) -> None:
        """End the server and all of its processes at once, as if the machine had lost its power."""
        with self._engine.connect() as connection:
            pids = connection.exec_driver_sql("SELECT pid FROM pg_stat_activity").scalars().all()
        self._dead = self.pid
        kill(self._dead, *pids)

    def start(self) -> None:
        """Start it again, and wait until it has recovered.

        :raises EmbeddedPostgresError: it does not come up.
        """
        self._engine.dispose()
        down = self._home / "down"
        _wait_for(down.exists, SECONDS_TO_START)
        down.unlink()
        self._tell("start")
        self._wait_until_ready()

    def restart(self) -> None:
        """Stop it in order, as an administrator does, and start it again."""
        self._engine.dispose()
        self._dead = self.pid
        self._tell("stop")
        self.start()

    def configure(self, **settings: str) -> None:
        """Change settings of the running server."""
        with self._engine.connect() as connection:
            for name, value in settings.items():
                connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = '{value}'")
            connection.exec_driver_sql("SELECT pg_reload_conf()")

    def drop(self, database: str, tablespace: str) -> None:
        """Drop a database, and the tablespace that it alone uses."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{database}" WITH (FORCE)')
            connection.exec_driver_sql(f'DROP TABLESPACE "{tablespace}"')

    def crash(self, pid: int) -> None:
        """Kill one of the server's processes, and wait until it has thrown everybody out and recovered."""
        with suppress(DBAPIError), self._engine.connect() as connection:
            kill(pid)
            while connection.exec_driver_sql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}").scalar():
                time.sleep(0.005)
        _wait_for(self._answers, SECONDS_TO_START)

    def _answers(self) -> bool:
        self._engine.dispose()
        try:
            with self._engine.connect():
                return True
        except DBAPIError:
            return False

    def _is_ready(self) -> bool:
        # The file is the dead server's until the new one writes its own. It stays: who starts looks into it whether
        # anybody of the old ones is still at the data.
        return super()._is_ready() and self.pid != self._dead

    def _tell(self, line: str) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(line.encode() + b"\n")


def kill(*pids: int) -> None:
    """``SIGKILL``, for those that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _wait_for(happened: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(f"PostgreSQL has not come as far within {seconds} seconds as it should have.")
        time.sleep(0.01)
