"""Time that reading may take: what would take longer is given up, and something cheaper is read instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, NestedTransaction
from sqlalchemy.exc import DBAPIError

from ..errors import sqlstate

_T = TypeVar("_T")

#: What PostgreSQL says when it has stopped a statement.
_CANCELED = "57014"

#: Seconds; less is not worth asking the server for.
_LEAST = 0.002

#: How often it is tried to go on after a statement was stopped.
_MOST_TRIES = 50


class Budget:
    """The seconds that are left for reading, on the clock on the wall; from its making on it runs.

    :param seconds: ``None`` for as long as it takes.
    """

    def __init__(self, seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = None if seconds is None else clock() + seconds

    @property
    def is_bounded(self) -> bool:
        """Whether there is an end to it."""
        return self._end is not None

    @property
    def left(self) -> float:
        """Seconds; never less than 0."""
        return float("inf") if self._end is None else max(0.0, self._end - self._clock())

    @property
    def is_used_up(self) -> bool:
        """Whether nothing can be read any more."""
        return self.left < _LEAST

    def part(self, share: float) -> Budget:
        """A share of what is left, from now on."""
        return Budget(None if self._end is None else self.left * share, self._clock)

    def attempt(self, connection: Connection, read: Callable[[], _T]) -> _T | None:
        """What ``read`` returns; ``None`` when it takes longer than is left, and then nothing of it has happened.

        The server stops it: each of the statements may take what is left now. The connection must be in a transaction,
        and must not have written in ``read``; whatever ``read`` sets until the end of the transaction is taken back.
        """
        if self._end is None:
            return read()
        if self.is_used_up:
            return None
        savepoint = connection.begin_nested()
        try:
            connection.execute(_limit(self.left))
            return read()
        except DBAPIError as error:
            if sqlstate(error) != _CANCELED:
                raise
            return None
        finally:
            # In any case: that takes the limit back to what it was.
            _roll_back(connection, savepoint)


#: As long as it takes.
FOREVER = Budget(None)


def _roll_back(connection: Connection, savepoint: NestedTransaction) -> None:
    """The limit is that of this statement, too: on a busy machine it may come late."""
    try:
        savepoint.rollback()
    except DBAPIError as error:
        if sqlstate(error) != _CANCELED:
            raise
        for _ in range(_MOST_TRIES):
            with suppress(DBAPIError):
                connection.dialect.do_rollback_to_savepoint(connection, savepoint._savepoint)
                return
        raise


def _limit(seconds: float) -> sa.Select[tuple[str]]:
    # The name is a literal, so that the statement is known to be harmless; see context/statements.py.
    name: sa.ColumnElement[str] = sa.literal_column("'statement_timeout'")
    return sa.select(sa.func.set_config(name, sa.literal(str(max(1, round(seconds * 1000)))), sa.true()))
