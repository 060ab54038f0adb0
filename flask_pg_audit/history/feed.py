"""The feed: the changes of all audited tables, newest first, a page at a time."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, MetaData, Select, Table, literal, select, tuple_, union_all

from ..declare.registry import audited_tables


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
        transaction_id, dot, audit_id = token.partition(".")
        numbers = (transaction_id, audit_id)
        if not dot or not all(number.isascii() and number.isdigit() and len(number) <= 18 for number in numbers):
            raise ValueError(f"{token!r} is no position in the log; it has to look like 12.345")
        return cls(int(transaction_id), int(audit_id))


def feed(
    metadata: MetaData, *, before: Position | None = None, after: Position | None = None, limit: int = 50
) -> Select[Any]:
    """Where the newest changes are: ``table_key``, ``audit_transaction_id`` and ``audit_id`` of each.

    With ``before`` the next older changes, newest first; with ``after`` the next newer ones, **oldest first**. Each
    audit table is read through its primary key and for no more than ``limit`` rows, whatever the length of the history.
    """
    pages = [
        _page_of(audited.table.key, audited.audit_table, before, after, limit) for audited in audited_tables(metadata)
    ]
    merged = union_all(*(page.subquery().select() for page in pages)).subquery("feed")
    order = (merged.c.audit_transaction_id, merged.c.audit_id)
    return select(merged).order_by(*_directed(order, after)).limit(limit)


def _page_of(key: str, audit_table: Table, before: Position | None, after: Position | None, limit: int) -> Select[Any]:
    columns = (audit_table.c.audit_transaction_id, audit_table.c.audit_id)
    page = select(literal(key).label("table_key"), *columns)
    if before is not None:
        page = page.where(tuple_(*columns) < tuple_(*before))
    if after is not None:
        page = page.where(tuple_(*columns) > tuple_(*after))
    return page.order_by(*_directed(columns, after)).limit(limit)


def _directed(columns: tuple[ColumnElement[Any], ...], after: Position | None) -> list[ColumnElement[Any]]:
    return [column.asc() if after is not None else column.desc() for column in columns]
