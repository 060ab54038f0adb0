"""The feed: the newest transactions, each with what it changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ..history.budget import Budget
from ..history.excerpts import Excerpt, read_excerpts
from ..history.extent import Reached
from ..history.filter import ChangeFilter
from ..history.previews import read_first_places
from ..history.transactions import Count, Transaction, TransactionPage, read_page
from .arguments import read_id, refuse_both
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
    :ivar bottom: the lowest number that it reaches down to; ``None`` when nothing is below.
    :ivar reached: how far was looked, when the time for it was over.
    :ivar is_upwards: it was looked towards the newest.
    :ivar place_url: gives the page ``before`` or ``after`` a place.
    """

    groups: tuple[Group, ...]
    newer_url: str | None
    older_url: str | None
    newest_url: str
    is_newest: bool
    bottom: int | None
    reached: Reached | None
    is_upwards: bool
    place_url: Callable[..., str]

    @property
    def row_count(self) -> int:
        """The transactions that are shown."""
        return len(self.groups)

    def shortened(self, number: int) -> FeedPage:
        """The ``number`` that come first where the reader comes from."""
        if self.is_upwards:
            groups = self.groups[-number:]
            return replace(self, groups=groups, newer_url=self.place_url(after=groups[0].transaction.id), reached=None)
        groups = self.groups[:number]
        bottom = groups[-1].transaction.id
        return replace(self, groups=groups, bottom=bottom, older_url=self.place_url(before=bottom), reached=None)


def read_feed_page(viewer: Viewer, reading: Reading, query: Query) -> FeedPage:
    """Read the page that the query string's ``before`` and ``after`` ask for; of a search with mistakes, an empty one.

    :raises werkzeug.exceptions.BadRequest: an argument makes no sense.
    """
    before, after = read_id("before"), read_id("after")
    refuse_both(before, after)
    where, config = query.where, viewer.state.config
    if query.errors or not reading.tables:
        page = TransactionPage((), newer=None, older=None)
    else:
        page = read_page(
            reading.connection, reading.tables, where, before, after, config.page_size, config.search_seconds
        )
    return FeedPage(
        read_groups(reading, where, page.transactions, Budget(config.preview_seconds)),
        newer_url=link("index", q=query, after=page.newer) if page.newer is not None else None,
        older_url=link("index", q=query, before=page.older) if page.older is not None else None,
        newest_url=link("index", q=query),
        is_newest=before is None and after is None,
        bottom=page.older,
        reached=page.reached,
        is_upwards=after is not None,
        place_url=partial(link, "index", q=query),
    )


def read_groups(
    reading: Reading, where: ChangeFilter, transactions: Sequence[Transaction], budget: Budget
) -> tuple[Group, ...]:
    """Each of ``transactions`` with the first of its changes that match, as far as there is time to look for them."""
    changes = _read_previews(reading, where, transactions, budget)
    return tuple(_group(transaction, changes.get(transaction.id, ())) for transaction in transactions)


def _group(transaction: Transaction, changes: tuple[Excerpt, ...]) -> Group:
    """Where there was no time to count, at least what is at hand is counted."""
    if not transaction.is_counted:
        kinds = Counter((change.table_key, change.operation) for change in changes)
        is_cut = len(changes) == PREVIEW
        counts = tuple(Count(*kind, number, is_capped=is_cut) for kind, number in kinds.items())
        transaction = replace(transaction, counts=counts)
    return Group(transaction, changes)


def _read_previews(
    reading: Reading, where: ChangeFilter, transactions: Sequence[Transaction], budget: Budget
) -> Mapping[int, tuple[Excerpt, ...]]:
    """The first matching changes of each transaction."""
    ids = [transaction.id for transaction in transactions]
    found = read_first_places(reading.connection, reading.tables, where, ids, PREVIEW, budget)
    grouped: dict[int, list[Excerpt]] = defaultdict(list)
    for change in read_excerpts(reading.connection, reading.tables, found, VALUE_LENGTH, CHANGED_LENGTH):
        grouped[change.position.transaction_id].append(change)
    return {id_: tuple(changes) for id_, changes in grouped.items()}
