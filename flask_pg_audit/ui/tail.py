"""The live tail of the feed: what has arrived since a page was read, however late it was committed.

A page carries a mark, which says how much of the log it knows, and sends it back with the numbers of the transactions
that it shows. See :mod:`..history.arrivals` for why the highest number would not do.
"""

from __future__ import annotations

import hashlib
import operator
import re
from dataclasses import dataclass, replace
from itertools import accumulate

from flask import current_app, request
from itsdangerous import BadSignature, Signer
from werkzeug.exceptions import BadRequest

from ..history.arrivals import Mark, Sight, read_newest, read_sight
from ..history.budget import Budget
from ..history.filter import ChangeFilter
from ..history.transactions import find_newest, load_transactions
from ..history.windows import Found, Window
from .arguments import MIN_ID, read_id
from .feed import FeedPage, Group, read_groups
from .language import gettext
from .links import link
from .search import Query
from .state import get_ui_state
from .viewer import Reading, Viewer

#: Transactions that a page keeps while it grows, unless it began with more.
MOST = 100

#: So many numbers below the newest that a page knew a late commit is still looked for. With a search that finds little
#: while somebody keeps a transaction open for hours, more would be read again every two seconds.
REACH = 10_000

_KNOWN = re.compile(r"(?:-?[0-9]{1,19}(?:\.-?[0-9]{1,19})*)?", re.ASCII)
_TALLY = re.compile(r"([0-9]{1,9})(\+?)", re.ASCII)


@dataclass(frozen=True)
class Tail:
    """What a page needs to ask for news.

    :ivar mark: signed, so that who sends it back has been shown the page, and that is recorded.
    :ivar most: as many groups are kept.
    """

    url: str
    mark: str
    most: int


@dataclass(frozen=True)
class Tally:
    """A number that grows while nobody looks. As text ``12``, and ``12+`` when there are more.

    :ivar is_open: there are more than ``count``.
    """

    count: int
    is_open: bool

    def __str__(self) -> str:
        return f"{self.count}{'+' if self.is_open else ''}"


@dataclass(frozen=True)
class News:
    """What a page lacks.

    :ivar groups: the newest first.
    :ivar bottom: there is more than ``groups``, and the page reaches down to this number now; ``None`` when it reaches
        as far down as before.
    :ivar waiting: groups that had arrived and are not shown yet.
    :ivar unsaid: groups that had arrived and were not announced yet.
    :ivar mark: what the page knows now, signed.
    :ivar is_newest: as of the page that it belongs to, as ``reached``.
    """

    groups: tuple[Group, ...]
    bottom: int | None
    waiting: Tally
    unsaid: Tally
    mark: str
    is_newest: bool = True
    reached: None = None

    @property
    def row_count(self) -> int:
        """The transactions that are told."""
        return len(self.groups)

    def shortened(self, number: int) -> News:
        """The newest ``number``."""
        groups = self.groups[:number]
        return replace(self, groups=groups, bottom=groups[-1].transaction.id)

    def added(self, tally: Tally) -> Tally:
        """``tally`` and those that are told."""
        return Tally(tally.count + len(self.groups), tally.is_open or self.bottom is not None)


def look(viewer: Viewer, known: Mark | None = None) -> Sight | None:
    """What is there to be read, to be asked before reading it.

    :param known: what the page knows.
    :returns: ``None`` when it is certain that nothing is new, for the price of one look into an index.
    """
    with viewer.connect() as connection:
        newest = read_newest(connection, viewer.metadata)
        if known is not None and newest <= known.settled:
            return None
        return read_sight(connection, viewer.metadata, newest)


def build_tail(viewer: Viewer, page: FeedPage, query: Query, sight: Sight) -> Tail | None:
    """For the page that shows the newest; ``None`` for others and for a search with mistakes."""
    if not page.is_newest or query.errors:
        return None
    return Tail(
        url=link("news", q=query.text),
        mark=write_mark(Mark().advanced(sight)),
        most=max(MOST, viewer.state.config.page_size),
    )


def read_news(viewer: Viewer, reading: Reading, query: Query, mark: Mark, sight: Sight) -> News:
    """What the page that sent the request lacks.

    :param mark: what the page knows.
    :param sight: what there was to be seen before ``reading`` began.
    :raises werkzeug.exceptions.BadRequest: an argument makes no sense, or the search has a mistake.
    """
    if query.errors:
        raise BadRequest(gettext("q: %(problem)s.", problem=query.errors[0].message))
    known, waiting, unsaid = _read_known(), _read_tally("waiting"), _read_tally("unsaid")
    where, config = query.where, viewer.state.config
    budget = Budget(config.search_seconds)
    found = _find(reading, where, _window(mark), config.page_size + len(known) + 1, budget)
    new = [id_ for id_ in found.items if id_ not in known]
    ids = new[: config.page_size]
    transactions = load_transactions(reading.connection, where.chosen(reading.tables), where, ids, budget)
    # Where there was no time to get down to what the page knows, it begins anew. What came late can wait.
    is_apart = found.edge is not None and found.edge > mark.newest
    is_held = found.edge is not None and not is_apart
    return News(
        read_groups(reading, where, transactions, Budget(config.preview_seconds)),
        bottom=ids[-1] if len(new) > len(ids) else found.edge if is_apart else None,
        waiting=waiting,
        unsaid=unsaid,
        mark=write_mark(mark.held(sight) if is_held else mark.advanced(sight)),
    )


def _window(mark: Mark) -> Window:
    """Where there may be what the page lacks."""
    bottom = read_id("bottom")
    lowest = max(mark.settled + 1, mark.newest - REACH, MIN_ID if bottom is None else bottom)
    return Window(lowest if lowest > MIN_ID + 1 else None, None)


def _find(reading: Reading, where: ChangeFilter, window: Window, limit: int, budget: Budget) -> Found[int]:
    if not reading.tables:
        return Found([])
    return find_newest(reading.connection, reading.tables, where, window, limit, budget.part(0.7))


def _read_known() -> frozenset[int]:
    """The numbers that are shown: the highest, and how much lower each next one is."""
    text = request.args.get("known", "")
    most = 2 * max(MOST, 500)
    if len(text) > 20 * most or not _KNOWN.fullmatch(text) or text.count(".") >= most:
        raise BadRequest(gettext("%(name)s: that is no list of transactions.", name="known"))
    return frozenset(accumulate(map(int, filter(None, text.split("."))), operator.sub))


def _read_tally(name: str) -> Tally:
    found = _TALLY.fullmatch(request.args.get(name, "0"))
    if found is None:
        raise BadRequest(gettext("%(name)s: %(text)s is no number.", name=name, text=repr(request.args[name][:40])))
    return Tally(int(found[1]), found[2] == "+")


def write_mark(mark: Mark) -> str:
    """As the page keeps it."""
    numbers = (mark.settled, mark.newest, mark.pending)
    return _signer().sign("~".join([*map(str, numbers), ",".join(sorted(mark.writers))])).decode()


def read_mark() -> Mark | None:
    """What the page knows; ``None`` when this app did not say so, to a page with the same search."""
    try:
        text = _signer().unsign(request.args.get("mark", "")).decode()
    except (BadSignature, UnicodeError):
        return None
    settled, newest, pending, writers = text.split("~")
    return Mark(int(settled), int(newest), int(pending), frozenset(filter(None, writers.split(","))))


def _signer() -> Signer:
    """For one search in one database: a mark is no leave to ask for something else."""
    about = repr([request.args.get(name, "") for name in ("bind", "tz", "q")]).encode()
    key = current_app.secret_key or get_ui_state().key
    salt = b"flask_pg_audit.tail" + hashlib.sha256(about).digest()
    return Signer(key, salt, key_derivation="hmac", digest_method=hashlib.sha256)
