"""The first changes of each of some transactions, whatever these are: one query."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, Connection, Select, Subquery, Text
from sqlalchemy.dialects.postgresql import ARRAY

from .budget import FOREVER, Budget
from .changes import Changes
from .feed import read_places
from .filter import ChangeFilter
from .position import Position
from .recorded import RecordedTable


def each_of(ids: Sequence[int]) -> Subquery:
    """The ids as rows of a column ``id``; one parameter however many there are, so that the statement is the same."""
    return sa.select(sa.func.unnest(sa.literal(list(ids), ARRAY(BigInteger))).label("id")).subquery("wanted")


def read_first_places(
    connection: Connection,
    tables: Sequence[RecordedTable],
    where: ChangeFilter,
    ids: Sequence[int],
    number: int,
    budget: Budget = FOREVER,
) -> list[tuple[str, Position]]:
    """The first matching changes of each of the transactions with these ids, ``number`` of each at most.

    :param ids: of transactions that are known to have some.
    :param budget: those for which there is no time are left out.
    """
    chosen = where.chosen(tables)
    if not chosen or not ids:
        return []
    read = partial(_read, connection, chosen, where, number)
    found = budget.part(0.6).attempt(connection, partial(read, ids))
    if found is not None:
        return found
    found = []
    for id_ in ids:
        one = budget.attempt(connection, partial(read, [id_]))
        if one is None:
            break
        found += one
    return found


def _read(
    connection: Connection, tables: Sequence[RecordedTable], where: ChangeFilter, number: int, ids: Sequence[int]
) -> list[tuple[str, Position]]:
    wanted = each_of(ids)
    parts = [_select_first(table, where, wanted, number) for table in tables]
    every = sa.union_all(*parts).subquery("every")
    first = sa.select(every).order_by(every.c.audit_id).limit(number).lateral("first")
    found = sa.select(first).select_from(wanted.join(first, sa.true()))
    return read_places(connection, found.order_by(first.c.audit_transaction_id, first.c.audit_id))


def _select_first(table: RecordedTable, where: ChangeFilter, wanted: Subquery, number: int) -> Select[Any]:
    changes = Changes(table)
    new = changes.new.c
    places = sa.select(
        sa.literal(table.table.key, Text).label("table_key"), new.audit_transaction_id, new.audit_id
    ).select_from(changes.new)
    matching = where.within_transaction(places, changes).where(new.audit_transaction_id == wanted.c.id)
    return matching.order_by(new.audit_id).limit(number).correlate(wanted)
