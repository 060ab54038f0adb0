"""What people read in a history, each as a function that sends its statements.

To measure something else, add a :class:`Reading`.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Select

from benchmarks.shop import PRODUCT, metadata
from flask_pg_audit.history.as_of import as_of
from flask_pg_audit.history.changes import changes_of
from flask_pg_audit.history.feed import read_changes, read_feed
from flask_pg_audit.history.filter import ChangeFilter
from flask_pg_audit.history.position import Position
from flask_pg_audit.history.timeline import read_transaction, timeline
from flask_pg_audit.history.transactions import read_transactions

UTC = datetime.timezone.utc

#: Milliseconds on the server.
BUDGET = 50.0

#: Rows of the history that a page of 50 changes may look at, of any length of history.
MOST_ROWS = 5_000

#: The same for a time in which there is less than a page: it is known to 128 pages in each of ten tables.
MOST_OF_TIME = 200_000


@dataclass(frozen=True)
class Reading:
    """Something to read.

    :ivar what: for people, in the figures.
    :ivar read: sends the statements.
    :ivar budget: milliseconds on the server that all of them together may take; ``None`` where no index serves them,
        so that the length of the history decides.
    :ivar most_rows: of the history, that one of them may look at.
    """

    name: str
    what: str
    read: Callable[[Connection], object]
    budget: float | None = BUDGET
    most_rows: int = MOST_ROWS


@dataclass(frozen=True)
class Landmarks:
    """Where in a history what is.

    :ivar transactions: how many there are; their ids have no gaps.
    :ivar request: of an ordinary transaction.
    :ivar record: the id of a product that was changed a few times.
    """

    transactions: int
    request: str
    record: int

    @property
    def import_(self) -> int:
        """The id of a transaction with very many changes."""
        return self.transactions * 21 // 40

    @property
    def middle(self) -> Position:
        return Position(self.transactions // 2, 0)


def read_landmarks(connection: Connection) -> Landmarks:
    """Find them in a history that :mod:`.big_history` built."""
    return Landmarks(
        transactions=connection.execute(sa.text("SELECT max(id) FROM audit_transaction")).scalar_one(),
        request=connection.execute(
            sa.text(
                "SELECT context->>'request_id' FROM audit_transaction "
                "WHERE id > (SELECT max(id) / 3 FROM audit_transaction) AND username = 'user7' ORDER BY id LIMIT 1"
            )
        ).scalar_one(),
        record=connection.execute(sa.text("SELECT max(id) / 2 FROM product")).scalar_one(),
    )


def readings(marks: Landmarks) -> tuple[Reading, ...]:
    """Everything that is measured: first what the package promises, then what no index serves."""
    return (*_promised(marks), *_unbounded())


def _feed(**options: Any) -> Callable[[Connection], object]:
    where = ChangeFilter(**{name: value for name, value in options.items() if name not in ("before", "after")})
    place = {name: options[name] for name in ("before", "after") if name in options}
    return lambda connection: read_feed(connection, metadata, where, **place)


def _transactions(**options: Any) -> Callable[[Connection], object]:
    where = ChangeFilter(**{name: value for name, value in options.items() if name not in ("before", "after")})
    place = {name: options[name] for name in ("before", "after") if name in options}
    return lambda connection: read_transactions(connection, metadata, where, **place)


def _timeline(key: object, **options: Any) -> Callable[[Connection], object]:
    query: Select[Any] = timeline(PRODUCT.table, key, limit=50, **options)
    return lambda connection: read_changes(connection, metadata, query)


def _promised(marks: Landmarks) -> Iterator[Reading]:
    middle, old = marks.middle, Position(marks.transactions // 20, 0)
    request = marks.request
    yield Reading("newest", "the newest page", _feed())
    yield Reading("middle", "a page in the middle", _feed(before=middle))
    yield Reading("backwards", "the same, paging towards the newest", _feed(after=middle))
    yield Reading("oldest", "the oldest page", _feed(before=Position(20, 0)))
    yield Reading("rare actor", "an actor with 20 transactions", _feed(actor_id="2"))
    yield Reading("busy actor", "a user with 30 % of the transactions", _feed(username="integration"))
    yield Reading("busy actor, old", "the same, an old page", _feed(username="integration", before=old))
    yield Reading("busy actor, backwards", "the same, backwards", _feed(username="integration", after=old))
    yield Reading("former user", "a user who left long ago", _feed(username="former"))
    yield Reading("ordinary user", "one of 500 users", _feed(username="user250"))
    yield Reading("nobody", "changes that nobody was logged in for", _feed(username=None))
    yield Reading("unknown user", "a user who never changed anything", _feed(username="never was"))
    yield Reading("updates of a user", "a user's updates", _feed(username="user1", operations=["U"]))
    yield Reading("user until", "a user's changes before a day", _feed(username="user1", until=_day(2025, 1, 1)))
    yield Reading("request", "one request's changes", _feed(request_id=request))
    yield Reading("transaction", "one transaction", _feed(transaction_id=marks.transactions // 2))
    yield Reading("import", "the first page of a transaction with 20,000 changes", _import(marks, 50))
    yield Reading("import, 1,000", "1,000 changes of it", _import(marks, 1000))
    yield Reading("record", "one record's timeline", _timeline(marks.record))
    yield Reading("busy record", "the newest page of a record with thousands of changes", _timeline(1))
    yield Reading("busy record, middle", "a page in the middle of it", _timeline(1, before=Position(0, middle[0] * 5)))
    yield Reading("key", "the feed of one key", _feed(key={"id": marks.record}, tables=["product"]))
    yield Reading("table", "one table", _feed(tables=["customer"]))
    yield Reading("rare table", "one table with few changes", _feed(tables=["setting"]))
    yield Reading("table of busy actor", "a user in one table", _feed(username="integration", tables=["product"]))
    yield Reading("truncates", "all truncates", _feed(operations=["T"], tables=["tax_rate", "product", "customer"]))
    yield Reading("changed column", "updates that changed a column, a common one", _feed(changed=["stock"]))
    yield Reading("transactions", "the newest transactions, with counts", _transactions())
    yield Reading("transactions, middle", "transactions in the middle", _transactions(before=middle[0]))
    yield Reading("transactions of busy", "a busy user's transactions", _transactions(username="integration"))
    yield Reading("transactions of rare", "an actor's 20 transactions", _transactions(actor_id="2"))
    yield Reading("refined", "a query of one's own: changes of a table with who and what", _refined)
    yield from _of_times()


def _of_times() -> Iterator[Reading]:
    year_ago = _day(2025, 1, 1)
    minute, hour, month = (datetime.timedelta(minutes=1), datetime.timedelta(hours=1), datetime.timedelta(days=31))
    yield Reading(
        "minute", "a minute a year ago", _feed(since=year_ago, until=year_ago + minute), most_rows=MOST_OF_TIME
    )
    yield Reading("hour", "an hour a year ago", _feed(since=year_ago, until=year_ago + hour), most_rows=MOST_OF_TIME)
    yield Reading("month", "a month a year ago", _feed(since=year_ago, until=year_ago + month))
    yield Reading("until", "everything before a day a year ago", _feed(until=year_ago))
    of_user = _feed(username="user3", since=year_ago, until=year_ago + month)
    yield Reading("user's month", "a user in a month a year ago", of_user, most_rows=MOST_OF_TIME)
    of_one = _feed(username="former", since=year_ago, until=year_ago + month)
    yield Reading("user's empty month", "a user in a month in which there is nothing", of_one, budget=None)
    yield Reading(
        "transactions of hour",
        "transactions of an hour",
        _transactions(since=year_ago, until=year_ago + hour),
        most_rows=MOST_OF_TIME,
    )
    yield Reading("transactions of month", "of a month", _transactions(since=year_ago, until=year_ago + month))
    yield Reading("transactions since", "since a month ago", _transactions(since=_day(2025, 12, 1)))


def _unbounded() -> Iterator[Reading]:
    yield Reading(
        "busy actor elsewhere",
        "a busy user in a table that he never changed",
        _feed(username="integration", tables=["purchase"]),
        budget=None,
    )
    yield Reading("deletes of a user", "a user's deletes", _feed(username="user1", operations=["D"]), budget=None)
    yield Reading("baseline", "an operation that was used long ago only", _feed(operations=["S"]), budget=None)
    yield Reading("truncate everywhere", "truncates, tables without a key too", _feed(operations=["T"]), budget=None)
    yield Reading("column now and then", "a column that few updates change", _feed(changed=["name"]), budget=None)
    yield Reading("rarely changed", "a column that next to none changes", _feed(changed=["active"]), budget=None)
    yield Reading("value", "a value that is rare", _feed(new={"price": 101.99, "stock": 13}), budget=None)
    yield Reading("context", "another key of the context", _feed(context={"remote_addr": "192.0.2.7"}), budget=None)
    yield Reading("table as of", "100,000 rows as they were a year ago", _as_of, budget=None)
    yield Reading("no such context", "one that there is not", _feed(context={"remote_addr": "x"}), budget=None)


def _import(marks: Landmarks, limit: int) -> Callable[[Connection], object]:
    return lambda connection: read_transaction(connection, metadata, marks.import_, limit=limit)


def _refined(connection: Connection) -> object:
    changes = changes_of(PRODUCT.table)
    query = changes.select().order_by(changes.new.c.audit_transaction_id.desc(), changes.new.c.audit_id.desc())
    return changes.read(connection, query.limit(50))


def _as_of(connection: Connection) -> object:
    return connection.execute(sa.select(as_of(PRODUCT.table, _day(2025, 1, 1)))).all()


def _day(year: int, month: int, day: int) -> datetime.datetime:
    return datetime.datetime(year, month, day, tzinfo=UTC)
