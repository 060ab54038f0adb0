"""Getting locks without making the writers of a busy table wait."""

from __future__ import annotations

import time
from collections.abc import Callable
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

_T = TypeVar("_T")


@dataclass(frozen=True)
class Patience:
    """For how long, and how often, to try for locks.

    Whoever wants a lock that is taken also holds up everybody who comes later. So each try waits for
    ``lock_timeout`` seconds only, then lets everybody pass for a moment and begins anew.

    :ivar lock_timeout: seconds; 0 waits without end.
    :ivar tries: how often, before it gives up.
    """

    lock_timeout: float = LOCK_TIMEOUT
    tries: int = TRIES

    def limit(self, connection: Connection) -> None:
        """Let the running transaction wait for a lock no longer than that."""
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {literal(f'{round(self.lock_timeout * 1000)}ms')}")

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
