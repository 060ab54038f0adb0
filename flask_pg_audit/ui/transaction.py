"""The page of one transaction."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request
from werkzeug.exceptions import BadRequest

from ..history.excerpts import Excerpt, read_excerpts
from ..history.feed import places, read_places
from ..history.filter import ChangeFilter
from ..history.position import Position
from ..history.transactions import Transaction, load_transactions
from .feed import MIN_ID, read_id
from .links import link
from .viewer import Reading, Viewer

VALUE_LENGTH, CHANGED_LENGTH = 200, 2_000


@dataclass(frozen=True)
class TransactionPage:
    """A transaction and some of its changes, in the order in which they were made."""

    transaction: Transaction
    changes: tuple[Excerpt, ...]
    previous_url: str | None
    next_url: str | None


def read_transaction_page(viewer: Viewer, reading: Reading) -> TransactionPage | None:
    """Read the transaction that the query string names; ``None`` when nothing of it may be seen.

    :raises werkzeug.exceptions.BadRequest: an argument makes no sense.
    """
    id_, after = read_id("id"), _read_audit_id()
    if id_ is None:
        raise BadRequest("id: say which transaction.")
    [transaction] = load_transactions(reading.connection, reading.tables, ChangeFilter(), [id_]) or [None]
    if transaction is None or not transaction.counts:
        return None
    size, start = viewer.state.config.page_size, Position(id_, MIN_ID if after is None else after)
    where = ChangeFilter(transaction_id=id_)
    found = read_places(reading.connection, places(reading.tables, where, after=start, limit=size + 1))
    changes = read_excerpts(reading.connection, reading.tables, found[:size], VALUE_LENGTH, CHANGED_LENGTH)
    more = link("transaction", id=id_, after=found[size - 1][1].audit_id) if len(found) > size else None
    first = link("transaction", id=id_) if after is not None else None
    return TransactionPage(transaction, tuple(changes), previous_url=first, next_url=more)


def _read_audit_id() -> int | None:
    return read_id("after") if "after" in request.args else None
