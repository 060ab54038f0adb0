"""The transactions that clients make, and how often each; some go wrong by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import text

from soak.attempt import Attempt
from soak.bank import SHARED


class ChangedMind(Exception):
    """The application's own reason to roll back."""


@dataclass(frozen=True)
class Work:
    """A kind of transaction.

    :ivar weight: how often it is made, as compared with others.
    :ivar isolation: the transaction's isolation level, where not the default.
    """

    name: str
    weight: int
    do: Callable[[Attempt], None]
    isolation: str | None = None


def _grow(attempt: Attempt) -> None:
    attempt.insert("account")


def _grow_by_object(attempt: Attempt) -> None:
    attempt.insert_object()


def _change_object(attempt: Attempt) -> None:
    attempt.update_object()


def _change(attempt: Attempt) -> None:
    attempt.update("account")


def _several(attempt: Attempt) -> None:
    attempt.insert("line", 3)
    attempt.update("account", 2)


def _bulk(attempt: Attempt) -> None:
    attempt.update_together("line", attempt.dice.randint(2, 20))


def _shrink(attempt: Attempt) -> None:
    for table in ("account", "line"):
        if len(attempt.rows[table]) > 60:
            attempt.delete(table, 20)


def _nothing(attempt: Attempt) -> None:
    """Touches no row, which leaves nothing."""
    attempt.session.execute(text("UPDATE account SET amount = 0 WHERE id = 0"))


def _count(attempt: Attempt) -> None:
    attempt.count_up(attempt.dice.sample(range(-SHARED, 0), 2))


def _savepoint(attempt: Attempt) -> None:
    attempt.update("account")
    kept = len(attempt.changes)
    savepoint = attempt.session.begin_nested()
    attempt.insert("line", 2)
    savepoint.rollback()
    del attempt.changes[kept:]
    attempt.insert("account")


def _change_mind(attempt: Attempt) -> None:
    attempt.insert("account", 2)
    attempt.update("line")
    raise ChangedMind


def _debt(attempt: Attempt) -> None:
    attempt.insert("line")
    attempt.update("account", amount=-1)


def _slow(attempt: Attempt) -> None:
    attempt.update("account")
    attempt.session.execute(text("SET LOCAL statement_timeout = '2ms'"))
    attempt.session.execute(text("SELECT pg_sleep(1)"))


def _impatient(attempt: Attempt) -> None:
    attempt.insert("account")
    attempt.session.execute(text("SET LOCAL lock_timeout = '1ms'"))
    attempt.count_up(range(-SHARED, 0))


def _leave(attempt: Attempt) -> None:
    attempt.update("account")
    attempt.session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))
    attempt.insert("account")


WORKS = (
    Work("insert", 14, _grow),
    Work("insert of an object", 8, _grow_by_object),
    Work("update", 20, _change),
    Work("update of an object", 8, _change_object),
    Work("several statements", 14, _several),
    Work("bulk update", 10, _bulk),
    Work("delete", 6, _shrink),
    Work("no row", 2, _nothing),
    Work("shared rows", 4, _count),
    Work("shared rows, SERIALIZABLE", 2, _count, "SERIALIZABLE"),
    Work("shared rows, REPEATABLE READ", 2, _count, "REPEATABLE READ"),
    Work("savepoint", 4, _savepoint),
    Work("rollback", 2, _change_mind),
    Work("refused by a trigger", 1, _debt),
    Work("statement timeout", 1, _slow),
    Work("lock timeout", 1, _impatient),
    Work("session terminated", 1, _leave),
)

#: Made as two phases; see :class:`~soak.client.Client`.
PREPARED = Work("prepared", 2, _several)
