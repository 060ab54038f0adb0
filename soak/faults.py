"""What is done to the server while it is written to."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, text

from soak.disk import SmallDisk
from soak.server import MortalPostgres

#: Seconds for which a disk stays full.
FULL = 0.5

#: Seconds for which no commit is answered.
UNANSWERED = 0.1

#: The sessions whose commit is done, and waits for a standby.
WAITING = "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()"


@dataclass(frozen=True)
class Place:
    """:ivar desk: an engine for looking at the server from outside.
    :ivar disk: of the history; ``None`` where none can be mounted.
    """

    server: MortalPostgres
    desk: Engine
    disk: SmallDisk | None
    dice: random.Random


def session_terminated(place: Place) -> None:
    """Somebody's connection is gone, between two statements or in the middle of one."""
    _signal(place, "pg_terminate_backend")


def statement_cancelled(place: Place) -> None:
    """Somebody's statement is."""
    _signal(place, "pg_cancel_backend")


def process_killed(place: Place) -> None:
    """The process of one session is killed: the server throws all of them out, and recovers."""
    pids = _clients(place)
    if pids:
        place.server.crash(place.dice.choice(pids))


def server_killed(place: Place) -> None:
    """All of its processes at once."""
    place.server.kill()
    place.server.start()


def server_restarted(place: Place) -> None:
    """In order: open transactions are rolled back."""
    place.server.restart()


def disk_full(place: Place) -> None:
    """The history has no room for a while."""
    if place.disk:
        place.disk.fill()
        time.sleep(FULL)
        place.disk.make_room()


def commit_unanswered(place: Place) -> None:
    """Commits wait for a standby that there is not, and then their sessions are ended: they have happened."""
    place.server.configure(synchronous_standby_names="nowhere")
    time.sleep(UNANSWERED)
    with place.desk.begin() as connection:
        # Ours has nothing to commit.
        connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) {WAITING}")
    place.server.configure(synchronous_standby_names="")


#: By name; how often each is done, as compared with others.
FAULTS: Mapping[str, tuple[Callable[[Place], None], int]] = {
    "session terminated": (session_terminated, 6),
    "statement cancelled": (statement_cancelled, 4),
    "process killed": (process_killed, 3),
    "server killed": (server_killed, 3),
    "server restarted": (server_restarted, 1),
    "disk full": (disk_full, 3),
    "commit unanswered": (commit_unanswered, 3),
}


def draw(place: Place) -> str:
    """The name of one that is possible here."""
    names = [name for name in FAULTS if place.disk or name != "disk full"]
    return place.dice.choices(names, [FAULTS[name][1] for name in names])[0]


def _signal(place: Place, function: str) -> None:
    pids = _clients(place)
    if pids:
        with place.desk.begin() as connection:
            connection.execute(text(f"SELECT {function}(:pid)"), {"pid": place.dice.choice(pids)})


def _clients(place: Place) -> list[int]:
    query = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with place.desk.connect() as connection:
        return list(connection.exec_driver_sql(query).scalars())
