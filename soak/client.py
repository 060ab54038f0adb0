"""A client: one transaction after the other, whatever goes wrong, and in the end it knows what was committed."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flask_pg_audit.errors import sqlstate
from soak.attempt import ROOM, Attempt
from soak.bank import TABLES, USERS, Bank, Person
from soak.ledger import Change, Ledger
from soak.works import PREPARED, WORKS, ChangedMind, Work

#: What the client meets, by SQLSTATE.
FAILURES = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "53100": "disk full",
    "55P03": "lock timeout",
    "57014": "statement timed out or cancelled",
    "57P01": "session terminated",
    "57P02": "server crashed",
    "57P03": "server not ready",
    "P0001": "refused by a trigger",
}
LOST = "connection lost"

#: Worth trying again, within the same request.
RETRIED = ("40001", "40P01")
TRIES = 4

#: Seconds after which a client that was disconnected tries again, and in which the server has to be there again.
PAUSE, PATIENCE = 0.05, 120

#: Clients that write without anybody being logged in name themselves.
SCRIPT = "nightly import"

_T = TypeVar("_T")


@dataclass
class Client:
    """:ivar met: what went wrong, by kind.
    :ivar outcomes: of commits that were never answered, what they turned out to be.
    """

    number: int
    bank: Bank
    ledger: Ledger
    dice: random.Random
    requests: int = 0
    rolled_back: int = 0
    met: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    rows: dict[str, dict[int, Change]] = field(default_factory=lambda: {purpose: {} for purpose in TABLES})
    _numbers: count[int] = field(default_factory=lambda: count(1))
    _prepared: tuple[str, Attempt, str] | None = None

    def __post_init__(self) -> None:
        self._ids = count(self.number * ROOM + 1)

    def run(self, go_on: Callable[[], bool]) -> None:
        """Until told otherwise; nothing is open then."""
        works = (*WORKS, PREPARED)
        weights = [work.weight for work in works]
        while go_on():
            [work] = self.dice.choices(works, weights)
            self.do(work)
        self.finish_prepared()

    def do(self, work: Work) -> None:
        """A request, or a script's transaction."""
        self.finish_prepared()
        self.requests += 1
        if work is PREPARED:
            self._prepare(work)
        elif self.dice.random() < 0.1:
            self._guarded(work, SCRIPT, None, self._run_script)
        else:
            user = self.dice.choice(USERS)
            self._guarded(work, user, Person(user).get_id() if user else None, self._run_request)

    def _run_request(self, transact: Callable[[Session], None], user: str | None) -> None:
        self.bank.serve(transact, user)

    def _run_script(self, transact: Callable[[Session], None], user: str | None) -> None:
        with self.bank.script(user or SCRIPT) as session:
            transact(session)

    def _guarded(
        self,
        work: Work,
        user: str | None,
        actor_id: str | None,
        run: Callable[[Callable[[Session], None], str | None], None],
    ) -> None:
        attempts: list[Attempt] = []
        try:
            run(lambda session: self._transact(work, session, attempts), user)
        except ChangedMind:
            self._roll_back("changed its mind")
        except self.bank.errors as error:
            self._settle(attempts[-1], error, user, actor_id)
        else:
            self._commit(attempts[-1], user, actor_id)

    def _transact(self, work: Work, session: Session, attempts: list[Attempt]) -> None:
        """Try again, as an application does, what failed because of others."""
        for tries in count(1):
            attempts.append(attempt := self._begin(session))
            try:
                if work.isolation:
                    session.connection(execution_options={"isolation_level": work.isolation})
                work.do(attempt)
                attempt.commit()
                return
            except DBAPIError as error:
                if sqlstate(error) not in RETRIED or tries == TRIES:
                    raise
                session.rollback()
                self._roll_back(FAILURES[sqlstate(error) or ""])

    def _begin(self, session: Session) -> Attempt:
        return Attempt(
            self.bank, session, self.number, next(self._numbers), self.dice, self.rows, lambda: next(self._ids)
        )

    def _commit(self, attempt: Attempt, user: str | None, actor_id: str | None) -> None:
        self.ledger.add(attempt.number, attempt.changes, user, actor_id)
        for one in attempt.changes:
            if one.operation == "D":
                del self.rows[one.table][one.id]
            elif one.table != "counter":
                self.rows[one.table][one.id] = one

    def _roll_back(self, why: str) -> None:
        self.rolled_back += 1
        self.met[why] += 1

    def _settle(self, attempt: Attempt, error: Exception, user: str | None, actor_id: str | None) -> None:
        """An error that the server reports before the commit is a rollback; else the mark tells."""
        kind = FAILURES.get(sqlstate(error) or "", LOST if getattr(error, "connection_invalidated", True) else None)
        if kind is None and (sqlstate(error) or "")[:2] not in ("", "08", "57"):
            raise error
        if not attempt.is_committing:
            self._roll_back(kind or LOST)
            if kind in (None, LOST, "server not ready"):
                time.sleep(PAUSE)
        elif self._ask(lambda connection: self._is_marked(connection, attempt)):
            self.outcomes["committed"] += 1
            self.met[kind or LOST] += 1
            self._commit(attempt, user, actor_id)
        else:
            self.outcomes["rolled back"] += 1
            self._roll_back(kind or LOST)

    def _is_marked(self, connection: Connection, attempt: Attempt) -> bool:
        """Waits for whoever may still be committing, since no two can have the same mark.

        It leaves none itself: if its own commit were not answered, it would take its mark for the other's.
        """
        connection.execute(text("SET LOCAL lock_timeout = '1s'"))
        mark = insert(self.bank.marker).values(client=attempt.client, number=attempt.number)
        made = connection.execute(mark.on_conflict_do_nothing().returning(self.bank.marker.c.client))
        is_there = made.first() is None
        connection.rollback()
        return is_there

    def _ask(self, question: Callable[[Connection], _T]) -> _T:
        """An answer from the database, as soon as it gives one again."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self.bank.desk.connect() as connection:
                    return question(connection)
            except self.bank.errors:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE)

    def _prepare(self, work: Work) -> None:
        """The first phase; the second is the client's next step, on another connection."""
        name = f"soak-{self.number}-{next(self._numbers)}"
        with self.bank.script(SCRIPT) as session:
            attempt = self._begin(session)
            try:
                work.do(attempt)
                attempt.mark()
                session.execute(text(f"PREPARE TRANSACTION '{name}'"))
                session.commit()
            except self.bank.errors as error:
                self.met[FAILURES.get(sqlstate(error) or "", LOST)] += 1
                with suppress(*self.bank.errors):  # whatever is left of the connection
                    session.rollback()
        self._prepared = (name, attempt, self.dice.choice(("COMMIT", "ROLLBACK")))

    def decide(self, end: str) -> bool:
        """``COMMIT`` or ``ROLLBACK`` what is prepared; whether there is anything."""
        if self._prepared is None:
            return False
        self._prepared = (*self._prepared[:2], end)
        return True

    def finish_prepared(self) -> None:
        """The second phase, if the first one was come through; a crash in between does not matter."""
        if self._prepared is None:
            return
        name, attempt, end = self._prepared
        self._prepared = None
        while (is_marked := self._ask(lambda connection: self._is_over(connection, name, attempt))) is None:
            self._end_prepared(f"{end} PREPARED '{name}'")
        if is_marked:
            self.met["prepared, committed"] += 1
            self._commit(attempt, SCRIPT, None)
        else:
            self._roll_back("prepared, rolled back")

    def _is_over(self, connection: Connection, name: str, attempt: Attempt) -> bool | None:
        """``None`` as long as it is prepared; then whether it was committed."""
        known = connection.execute(text("SELECT count(*) FROM pg_prepared_xacts WHERE gid = :gid"), {"gid": name})
        return None if known.scalar() else self._is_marked(connection, attempt)

    def _end_prepared(self, statement: str) -> None:
        try:
            with self.bank.desk.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql(statement)
        except self.bank.errors:
            time.sleep(PAUSE)
