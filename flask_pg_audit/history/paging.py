"""A page of something that is read in the order of the feed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Select, Tuple

from .position import Position


@dataclass(frozen=True)
class Slice:
    """At most ``limit`` changes before a place, the newest first; or after one, **the oldest first**.

    :ivar upwards: whether the oldest come first, where there are both places.
    """

    before: Position | None
    after: Position | None
    limit: int
    upwards: bool | None = None

    @property
    def is_upwards(self) -> bool:
        """Whether the oldest come first."""
        return self.after is not None if self.upwards is None else self.upwards

    def inside(self, transaction_id: ColumnElement[Any], audit_id: ColumnElement[Any]) -> Iterator[ColumnElement[bool]]:
        """Conditions on a change."""
        place = sa.tuple_(transaction_id, audit_id)
        if self.before is not None:
            yield place < _bound(self.before)
        if self.after is not None:
            yield place > _bound(self.after)

    def reached(self, transaction_id: ColumnElement[Any]) -> Iterator[ColumnElement[bool]]:
        """What follows of it for the transaction, so that others are not looked at."""
        if self.before is not None:
            yield transaction_id <= sa.literal(self.before.transaction_id, BigInteger)
        if self.after is not None:
            yield transaction_id >= sa.literal(self.after.transaction_id, BigInteger)

    def cut(self, query: Select[Any], *order: ColumnElement[Any]) -> Select[Any]:
        """The first of ``query`` by ``order``."""
        directed = [column.asc() if self.is_upwards else column.desc() for column in order]
        return query.order_by(*directed).limit(self.limit)


def _bound(position: Position) -> Tuple:
    return sa.tuple_(*(sa.literal(number, BigInteger) for number in position))
