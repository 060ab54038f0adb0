"""The page of one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from flask import request
from werkzeug.exceptions import BadRequest

from ..history.excerpts import Excerpt, read_excerpts
from ..history.feed import places, read_places
from ..history.filter import ChangeFilter
from ..history.position import Position
from ..history.transactions import Transaction, load_transactions
from .arguments import MIN_ID, read_id, refuse_both
from .language import gettext
from .links import link
from .viewer import Reading, Viewer

VALUE_LENGTH, CHANGED_LENGTH = 100, 2_000

_Place = tuple[str, Position]


@dataclass(frozen=True)
class TransactionPage:
    """A transaction and some of its changes, in the order in which they were made.

    :ivar table: the key of the one table whose changes are shown; ``None`` for all.
    :ivar is_backwards: the reader comes from later ones.
    :ivar place_url: gives the page ``before`` or ``after`` a change.
    """

    transaction: Transaction
    changes: tuple[Excerpt, ...]
    table: str | None
    previous_url: str | None
    next_url: str | None
    is_backwards: bool
    place_url: Callable[..., str]

    @property
    def row_count(self) -> int:
        """The changes that are shown."""
        return len(self.changes)

    def shortened(self, number: int) -> TransactionPage:
        """The ``number`` that come first where the reader comes from."""
        if self.is_backwards:
            changes = self.changes[-number:]
            return replace(self, changes=changes, previous_url=self.place_url(before=changes[0].position.audit_id))
        changes = self.changes[:number]
        return replace(self, changes=changes, next_url=self.place_url(after=changes[-1].position.audit_id))


def read_transaction_page(viewer: Viewer, reading: Reading) -> TransactionPage | None:
    """Read the transaction that the query string names; ``None`` when nothing of it may be seen.

    :raises werkzeug.exceptions.BadRequest: an argument makes no sense.
    """
    id_, after, before = read_id("id"), read_id("after"), read_id("before")
    if id_ is None:
        raise BadRequest(gettext("id: say which transaction."))
    refuse_both(before, after)
    [transaction] = load_transactions(reading.connection, reading.tables, ChangeFilter(), [id_]) or [None]
    table = request.args.get("table") or None
    if transaction is None or not transaction.counts or (table and table not in transaction.tables):
        return None
    part = _Part(reading, id_, table, viewer.state.config.page_size)
    found, earlier, later = part.read(after, before)
    changes = read_excerpts(reading.connection, reading.tables, found, VALUE_LENGTH, CHANGED_LENGTH)
    here = partial(link, "transaction", id=id_, table=table)
    return TransactionPage(
        transaction,
        tuple(changes),
        table,
        previous_url=here(before=found[0][1].audit_id) if earlier else None,
        next_url=here(after=found[-1][1].audit_id) if later else None,
        is_backwards=before is not None,
        place_url=here,
    )


@dataclass(frozen=True)
class _Part:
    """The changes that the pages go through: of the transaction, or of it in one table."""

    reading: Reading
    id_: int
    table: str | None
    size: int

    def read(self, after: int | None, before: int | None) -> tuple[list[_Place], bool, bool]:
        """The places of one page, and whether there are earlier and later ones."""
        if before is not None:
            found = self._places(before=before, limit=self.size + 1)[::-1]
            shown = found[-self.size :]
            return shown, len(found) > self.size, bool(shown and self._places(after=shown[-1][1].audit_id, limit=1))
        found = self._places(after=MIN_ID if after is None else after, limit=self.size + 1)
        shown = found[: self.size]
        has_earlier = after is not None and bool(shown and self._places(before=shown[0][1].audit_id, limit=1))
        return shown, has_earlier, len(found) > self.size

    def _places(self, *, limit: int, after: int | None = None, before: int | None = None) -> list[_Place]:
        where = ChangeFilter(transaction_id=self.id_, tables=(self.table,) if self.table else ())
        upper, lower = (None if bound is None else Position(self.id_, bound) for bound in (before, after))
        return read_places(
            self.reading.connection, places(self.reading.tables, where, before=upper, after=lower, limit=limit)
        )
