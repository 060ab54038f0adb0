"""A transaction that is being made."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, text, update
from sqlalchemy.orm import Session

from soak.bank import TABLES, Bank
from soak.ledger import Change

#: Notes that a careless program would take for something else.
NOTES = ("plain", "it's", '"quoted"', "100 % :name", "a\\b", "Grüße, 世界", "{}", None)

#: A client's rows are numbered from here, times its number.
ROOM = 100_000_000

Rows = Mapping[str, Mapping[int, Change]]


@dataclass
class Attempt:
    """What a transaction changes, in the database and in what will be the ledger's if it is committed.

    :ivar number: the client's own number for it.
    :ivar rows: the client's rows as of the last commit, by what their table is for.
    :ivar new_id: gives a number that no row has had.
    """

    bank: Bank
    session: Session
    client: int
    number: int
    dice: random.Random
    rows: Rows
    new_id: Callable[[], int]
    changes: list[Change] = field(default_factory=list)
    is_committing: bool = False
    _stamps: int = 0

    def insert(self, table: str, count: int = 1) -> None:
        """New rows, by one statement."""
        made = [self._change(table, "I", self.new_id(), self.dice.randrange(100)) for _ in range(count)]
        self.session.execute(self.bank.tables[table].insert(), [_image(one) for one in made])
        self.changes += made

    def insert_object(self) -> None:
        """A new account, by the ORM."""
        made = self._change("account", "I", self.new_id(), self.dice.randrange(100))
        self.session.add(self.bank.Account(**_image(made)))
        self.session.flush()
        self.changes.append(made)

    def update_object(self) -> None:
        """One of the client's accounts, by the ORM."""
        for one in self._own("account", 1):
            made = self._change("account", "U", one.id, one.amount + 1)
            account = self.session.get(self.bank.Account, one.id)
            assert account is not None
            account.amount, account.note, account.stamp = made.amount, made.note, made.stamp
            self.session.flush()
            self.changes.append(made)

    def update(self, table: str, count: int = 1, amount: int | None = None) -> None:
        """Some of the client's rows, a statement for each."""
        columns = self.bank.tables[table].c
        for one in self._own(table, count):
            made = self._change(table, "U", one.id, one.amount + 1 if amount is None else amount)
            self.session.execute(update(columns.id.table).where(columns.id == one.id).values(_image(made)))
            self.changes.append(made)

    def update_together(self, table: str, count: int) -> None:
        """Some of the client's rows by one statement, in SQL of one's own."""
        found = self._own(table, count)
        prefix = self._stamp()
        self.session.execute(
            text(
                f'UPDATE "{TABLES[table]}" SET amount = amount + 1, stamp = :prefix || id '
                "WHERE id = ANY(CAST(:ids AS bigint[]))"
            ),
            {"prefix": f"{prefix}-", "ids": [one.id for one in found]},
        )
        self.changes += [Change(table, "U", one.id, one.amount + 1, one.note, f"{prefix}-{one.id}") for one in found]

    def delete(self, table: str, count: int = 1) -> None:
        """Some of the client's rows, by one statement."""
        found, columns = self._own(table, count), self.bank.tables[table].c
        self.session.execute(delete(columns.id.table).where(columns.id.in_([one.id for one in found])))
        self.changes += [Change(table, "D", one.id, one.amount, one.note, one.stamp) for one in found]

    def count_up(self, ids: Sequence[int]) -> None:
        """Rows that others want too; what the amount is then, only the database knows."""
        columns = self.bank.tables["counter"].c
        for id_ in ids:
            stamp = self._stamp()
            statement = update(columns.id.table).where(columns.id == id_)
            values = {"amount": columns.amount + 1, "stamp": stamp, "note": "counted"}
            amount = self.session.execute(statement.values(values).returning(columns.amount)).scalar_one()
            self.changes.append(Change("counter", "U", id_, amount, "counted", stamp))

    def mark(self) -> None:
        """Whoever finds the mark knows that the transaction was committed."""
        self.session.execute(self.bank.marker.insert(), {"client": self.client, "number": self.number})

    def commit(self) -> None:
        """With the mark."""
        self.mark()
        self.is_committing = True
        self.session.commit()

    def _own(self, table: str, count: int) -> list[Change]:
        """Rows of the client that this transaction has not changed yet."""
        touched = {one.id for one in self.changes if one.table == table}
        free = [one for id_, one in self.rows[table].items() if id_ not in touched]
        return self.dice.sample(free, min(count, len(free)))

    def _change(self, table: str, operation: str, id_: int, amount: int) -> Change:
        return Change(table, operation, id_, amount, self.dice.choice(NOTES), self._stamp())

    def _stamp(self) -> str:
        self._stamps += 1
        return f"{self.client}.{self.number}.{self._stamps}"


def _image(change: Change) -> dict[str, object]:
    return {"id": change.id, "amount": change.amount, "note": change.note, "stamp": change.stamp}
