"""The feed: the newest transactions, each with what it changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..history.excerpts import Excerpt, read_excerpts
from ..history.feed import places, read_places
from ..history.filter import ChangeFilter
from ..history.position import Position
from ..history.transactions import Count, Transaction, TransactionPage, read_page
from .arguments import MIN_ID, read_id, refuse_both
from .links import link
from .search import Query
from .viewer import Reading, Viewer

#: Changes of a transaction that the feed shows of itself; the others are on the transaction's page.
PREVIEW = 4

#: Characters of a value in the feed, and of one that an update changed, which is shown around what differs.
VALUE_LENGTH, CHANGED_LENGTH = 80, 800


@dataclass(frozen=True)
class Bundle:
    """What a transaction did in one way to one table, and as many of these changes as are at hand."""

    count: Count
    changes: tuple[Excerpt, ...]

    @property
    def is_bulk(self) -> bool:
        """Too many to be shown one by one: a line with their number."""
        return self.count.is_capped or self.count.count > PREVIEW

    @property
    def rest(self) -> int:
        """Those that are not at hand."""
        return self.count.count - len(self.changes)


@dataclass(frozen=True)
class Group:
    """A transaction and the first of its matching changes."""

    transaction: Transaction
    changes: tuple[Excerpt, ...]

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """The changes by table and operation, in the order in which the transaction began with each."""
        counts = {(count.table, count.operation): count for count in self.transaction.counts}
        begun = dict.fromkeys((change.table_key, change.operation) for change in self.changes)
        return tuple(
            Bundle(counts[kind], tuple(c for c in self.changes if (c.table_key, c.operation) == kind))
            for kind in dict.fromkeys((*begun, *counts))
            if kind in counts
        )


@dataclass(frozen=True)
class FeedPage:
    """Groups, newest first, and the way to newer and older ones.

    :ivar is_newest: no place was asked for, so the page begins with the newest transaction.
    """

    groups: tuple[Group, ...]
    newer_url: str | None
    older_url: str | None
    newest_url: str
    is_newest: bool

    @property
    def row_count(self) -> int:
        """The transactions that are shown."""
        return len(self.groups)


def read_feed_page(viewer: Viewer, reading: Reading, query: Query) -> FeedPage:
    """Read the page that the query string's ``before`` and ``after`` ask for; of a search with mistakes, an empty one.

    :raises werkzeug.exceptions.BadRequest: an argument makes no sense.
    """
    before, after = read_id("before"), read_id("after")
    refuse_both(before, after)
    where, size = query.where, viewer.state.config.page_size
    if query.errors or not reading.tables:
        page = TransactionPage((), newer=None, older=None)
    else:
        page = read_page(reading.connection, reading.tables, where, before, after, size)
    changes = _read_previews(reading, where, page.transactions)
    return FeedPage(
        tuple(Group(transaction, changes.get(transaction.id, ())) for transaction in page.transactions),
        newer_url=link("index", q=query, after=page.newer) if page.newer is not None else None,
        older_url=link("index", q=query, before=page.older) if page.older is not None else None,
        newest_url=link("index", q=query),
        is_newest=before is None and after is None,
    )


def _read_previews(
    reading: Reading, where: ChangeFilter, transactions: Sequence[Transaction]
) -> Mapping[int, tuple[Excerpt, ...]]:
    """The first matching changes of each transaction."""
    found = [place for transaction in transactions for place in _first_places(reading, where, transaction)]
    grouped: dict[int, list[Excerpt]] = defaultdict(list)
    for change in read_excerpts(reading.connection, reading.tables, found, VALUE_LENGTH, CHANGED_LENGTH):
        grouped[change.position.transaction_id].append(change)
    return {id_: tuple(changes) for id_, changes in grouped.items()}


def _first_places(reading: Reading, where: ChangeFilter, transaction: Transaction) -> list[tuple[str, Position]]:
    of_it = replace(where, transaction_id=transaction.id, tables=transaction.tables)
    start = Position(transaction.id, MIN_ID)
    return read_places(reading.connection, places(reading.tables, of_it, after=start, limit=PREVIEW))
