"""The live tail of the feed: what has arrived since a page was read, however late it was committed.

A page carries a mark, which says how much of the log it knows, and sends it back with the numbers of the transactions
that it shows. See :mod:`..history.arrivals` for why the highest number would not do.
"""

from __future__ import annotations

import hashlib
import operator
import re
from dataclasses import dataclass
from itertools import accumulate

from flask import current_app, request
from itsdangerous import BadSignature, Signer
from werkzeug.exceptions import BadRequest

from ..history.arrivals import Mark, Sight, read_newest, read_sight
from ..history.budget import Budget
from ..history.filter import ChangeFilter
from ..history.transaction_ids import transaction_ids
from ..history.transactions import load_transactions
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

#: Arguments that are no question about the log.
BOOKKEEPING = ("mark", "known", "bottom", "waiting", "unsaid")

_KNOWN = re.compile(r"(?:-?[0-9]{1,19}(?:\.-?[0-9]{1,19})*)?", re.ASCII)
_TALLY = re.compile(r"([0-9]{1,9})(\+?)", re.ASCII)


@dataclass(frozen=True)
class Tail:
    """What a page needs to ask for news.

    :ivar mark: signed, so that who sends it back has been shown the page, and that is recorded.
    :ivar bottom: the lowest number that the page reaches down to; ``None`` when it shows all there is.
    :ivar most: as many groups are kept.
    """

    url: str
    mark: str
    bottom: int | None
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
    :ivar bottom: there is more than ``groups``, and the page ends with this one now; ``None`` when it reaches as far
        down as before.
    :ivar waiting: groups that have arrived and are not shown yet.
    :ivar unsaid: groups that have arrived and were not announced yet.
    """

    groups: tuple[Group, ...]
    bottom: int | None
    waiting: Tally
    unsaid: Tally


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
        bottom=page.groups[-1].transaction.id if page.groups and page.older_url else None,
        most=max(MOST, viewer.state.config.page_size),
    )


def read_news(viewer: Viewer, reading: Reading, query: Query, mark: Mark) -> News:
    """What the page that sent the request lacks.

    :raises werkzeug.exceptions.BadRequest: an argument makes no sense, or the search has a mistake.
    """
    if query.errors:
        raise BadRequest(f"q: {query.errors[0].message}.")
    known, bottom, waiting, unsaid = _read_known(), read_id("bottom"), _read_tally("waiting"), _read_tally("unsaid")
    config = viewer.state.config
    size = config.page_size
    lowest = max(mark.settled, mark.newest - REACH, MIN_ID if bottom is None else bottom - 1, MIN_ID)
    ids, more = _find(reading, query.where, lowest, known, size)
    tables, time = query.where.chosen(reading.tables), Budget(config.search_seconds)
    transactions = load_transactions(reading.connection, tables, query.where, ids, time)
    return News(
        read_groups(reading, query.where, transactions, Budget(config.preview_seconds)),
        bottom=ids[-1] if more else None,
        waiting=Tally(waiting.count + len(ids), waiting.is_open or more),
        unsaid=Tally(unsaid.count + len(ids), unsaid.is_open or more),
    )


def _find(
    reading: Reading, where: ChangeFilter, lowest: int, known: frozenset[int], size: int
) -> tuple[list[int], bool]:
    """At most ``size`` that are above ``lowest`` and not known, the newest first, and whether there are more."""
    if not reading.tables:
        return [], False
    tables, limit = where.chosen(reading.tables), size + len(known) + 1
    found = list(reading.connection.execute(transaction_ids(tables, where, None, lowest, limit)).scalars())
    if len(found) == limit:  # the oldest of them: so many are there that one need not look far for the newest
        found = list(reading.connection.execute(transaction_ids(tables, where, None, None, limit)).scalars())
    new = sorted((id_ for id_ in found if id_ not in known), reverse=True)
    return new[:size], len(new) > size


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
