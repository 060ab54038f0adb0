"""The feed: the changes of all audited tables, newest first, a page at a time."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    MetaData,
    Select,
    Table,
    Text,
    Tuple,
    literal,
    select,
    tuple_,
    union_all,
)

from ..declare.registry import audited_tables
from ..errors import AuditConfigError

_TOKEN = re.compile(r"(-?[0-9]{1,19})\.(-?[0-9]{1,19})")
_BIGINT = range(-(2**63), 2**63)


class Position(NamedTuple):
    """A place in the feed; unique, and ordered as the changes were made.

    ``str()`` gives the token that :meth:`parse` reads.
    """

    transaction_id: int
    audit_id: int

    def __str__(self) -> str:
        return f"{self.transaction_id}.{self.audit_id}"

    @classmethod
    def parse(cls, token: str) -> Position:
        """Read ``"<transaction id>.<audit id>"``.

        :raises ValueError: the token is not of that form, or a number does not fit into a ``bigint``.
        """
        match = _TOKEN.fullmatch(token)
        if match is None or not all(int(number) in _BIGINT for number in match.groups()):
            raise ValueError(f"{token!r} is no position in the log; it has to look like 12.345")
        return cls(*map(int, match.groups()))


def feed(
    metadata: MetaData, *, before: Position | None = None, after: Position | None = None, limit: int = 50
) -> Select[Any]:
    """Where the newest changes are: ``table_key``, ``audit_transaction_id`` and ``audit_id`` of each.

    With ``before`` the next older changes, newest first; with ``after`` the next newer ones, **oldest first**. Each
    audit table is read through its primary key and for no more than ``limit`` rows, whatever the length of the history.

    :raises AuditConfigError: no table of ``metadata`` is audited.
    """
    tables = audited_tables(metadata)
    if not tables:
        raise AuditConfigError("no table of this MetaData is audited, so there is no history to read")
    pages = [_page_of(audited.table.key, audited.audit_table, before, after, limit) for audited in tables]
    merged = union_all(*(page.subquery().select() for page in pages)).subquery("feed")
    order = (merged.c.audit_transaction_id, merged.c.audit_id)
    return select(merged).order_by(*_directed(order, after)).limit(limit)


def _page_of(key: str, audit_table: Table, before: Position | None, after: Position | None, limit: int) -> Select[Any]:
    # An alias of ours: whatever the table is called, it hides nothing and is hidden by nothing.
    changes = audit_table.alias("changes")
    columns = (changes.c.audit_transaction_id, changes.c.audit_id)
    page = select(literal(key, Text).label("table_key"), *columns)
    if before is not None:
        page = page.where(tuple_(*columns) < _bound(before))
    if after is not None:
        page = page.where(tuple_(*columns) > _bound(after))
    return page.order_by(*_directed(columns, after)).limit(limit)


def _bound(position: Position) -> Tuple:
    return tuple_(*(literal(number, BigInteger) for number in position))


def _directed(columns: tuple[ColumnElement[Any], ...], after: Position | None) -> list[ColumnElement[Any]]:
    return [column.asc() if after is not None else column.desc() for column in columns]
