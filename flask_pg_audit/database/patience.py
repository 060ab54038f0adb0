"""Getting locks without making the writers of a busy table wait."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..errors import sqlstate
from .render import literal

LOCK_NOT_AVAILABLE = "55P03"
_DEADLOCK = "40P01"

LOCK_TIMEOUT = 2.0  # seconds
TRIES = 20

#: Seconds for all locks but the first, together. Less than PostgreSQL's ``deadlock_timeout``, 1 second: of a writer
#: who waits for a lock that we have while we wait for one of his, PostgreSQL would end the transaction, or ours.
_HOLDING = 0.5

_T = TypeVar("_T")


@dataclass(frozen=True)
class Patience:
    """For how long, and how often, to try for locks.

    Whoever wants a lock that is taken also holds up everybody who comes later. So each try waits for
    ``lock_timeout`` seconds only, then lets everybody pass for a moment and begins anew. And whoever holds a lock while
    he waits for another holds up more: there the wait is half a second.

    :ivar lock_timeout: seconds; 0 waits without end.
    :ivar tries: how often, before it gives up.
    """

    lock_timeout: float = LOCK_TIMEOUT
    tries: int = TRIES

    def limit(self, connection: Connection, until: float = math.inf) -> None:
        """Let the running transaction wait for a lock no longer than that, and not beyond a time."""
        seconds = min(self.lock_timeout, until - time.monotonic())
        # 0 would be without end.
        milliseconds = max(round(seconds * 1000), 1) if self.lock_timeout else 0
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {literal(f'{milliseconds}ms')}")

    def acquire(self, connection: Connection, locks: Iterable[str]) -> None:
        """Take the locks of the running transaction; the further ones have to come soon after the first."""
        until = math.inf
        for lock in locks:
            self.limit(connection, until)
            connection.exec_driver_sql(lock, execution_options={"no_parameters": True})
            until = min(until, time.monotonic() + _HOLDING)
        self.limit(connection)

    def retry(self, attempt: Callable[[], _T]) -> _T:
        """Call ``attempt``, a whole transaction, until it gets its locks.

        :raises sqlalchemy.exc.DBAPIError: what the last one failed with.
        """
        for number in range(1, self.tries):
            try:
                return attempt()
            except DBAPIError as error:
                if sqlstate(error) not in (LOCK_NOT_AVAILABLE, _DEADLOCK):
                    raise
                time.sleep(min(0.1 * 2.0**number, 5.0))
        return attempt()
