"""What some changes did to each record, all of them together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy import BigInteger, ColumnElement, Connection, FromClause, Row, Select, Subquery
from sqlalchemy.sql.functions import FunctionElement

from ..history.position import Position
from ..history.recorded import RecordedTable
from .live import is_at, place_table

#: Which rows of an audit table are meant.
Chosen: TypeAlias = Callable[[FromClause], ColumnElement[bool]]

#: Operations that change a row; a snapshot tells what it was anyway.
_CHANGING = ("I", "U", "D")


@dataclass(frozen=True)
class Effect:
    """From before the first of the changes to after the last.

    :ivar changes: their ``audit_id``, the oldest first; a truncate of the table is one.
    :ivar before: the image that the record had; ``None`` for no row.
    :ivar after: the image that it has; ``None`` for no row.
    :ivar removed: the last image, where the last change removed the record.
    :ivar unknown: why ``before`` is not known.
    :ivar has_gap: other changes of the record lie between these.
    """

    changes: tuple[int, ...]
    before: Position | None
    after: Position | None
    removed: Position | None
    unknown: str | None
    has_gap: bool


def of_transactions(transaction_ids: Sequence[int]) -> Chosen:
    """What transactions changed."""
    ids = [sa.literal(number, BigInteger) for number in transaction_ids]
    return lambda images: images.c.audit_transaction_id.in_(ids)


def at_positions(positions: Sequence[Position]) -> Chosen:
    """The changes at these places."""

    def is_chosen(images: FromClause) -> ColumnElement[bool]:
        places = place_table("chosen", chosen=positions)
        return sa.exists(sa.select(sa.literal(1)).select_from(places).where(is_at(images, places, "chosen")))

    return is_chosen


def read_effects(connection: Connection, recorded: RecordedTable, chosen: Chosen) -> list[Effect]:
    """The effect of the chosen changes on each record of a table with a primary key; one query.

    A truncate is resolved into the records that it removed, which reads the table's history back to the truncate
    before.
    """
    return [_build(row, recorded) for row in connection.execute(_effects(recorded, chosen))]


def _build(row: Row[Any], recorded: RecordedTable) -> Effect:
    last = Position(row.image_transaction, row.image_id)
    unknown, before = _before(row, recorded)
    is_gone = row.operation == "D"
    return Effect(
        changes=tuple(row.changes),
        before=before,
        after=None if is_gone else last,
        removed=last if is_gone else None,
        unknown=unknown,
        has_gap=row.between is not None and row.between != row.own,
    )


def _before(row: Row[Any], recorded: RecordedTable) -> tuple[str | None, Position | None]:
    was_there = row.previous_id is not None and row.previous_operation != "D" and not row.was_truncated
    if row.first_operation == "D":
        return None, Position(row.first_transaction, row.first_id)
    if row.first_operation == "U":
        if was_there:
            return None, Position(row.previous_transaction, row.previous_id)
        return (
            "what the row was before this update was never recorded; flask audit baseline records what rows are, so "
            "that later updates can be reverted",
            None,
        )
    if was_there and recorded.audited.options.level == "row":
        # Keys that change places, row by row, are recorded as inserts under keys that are taken.
        return "the history has an insert of the row while it was there, so what it was before is not known", None
    return None, None


def _effects(recorded: RecordedTable, chosen: Chosen) -> Select[Any]:
    ranked = _ranked(recorded, sa.union_all(_own(recorded, chosen), _truncated(recorded, chosen)).subquery("events"))
    names = recorded.key_names
    previous = _previous(recorded, ranked)
    between = recorded.history("between_them")
    count = (
        sa.select(sa.func.count())
        .select_from(between)
        .where(*(between.c[name] == ranked.c[f"key_{n}"] for n, name in enumerate(names)))
        .where(between.c.audit_id.between(ranked.c.first_at, ranked.c.at), between.c.audit_operation.in_(_CHANGING))
        .scalar_subquery()
    )
    return (
        sa.select(
            ranked,
            previous,
            _is_truncated(recorded, previous.c.previous_id, ranked.c.first_at).label("was_truncated"),
            # Counted only where there are several.
            sa.case((ranked.c.first_at != ranked.c.at, count)).label("between"),
        )
        .select_from(ranked.outerjoin(previous, sa.true()))
        .where(ranked.c.place_from_last == 1)
    )


def _own(recorded: RecordedTable, chosen: Chosen) -> Select[Any]:
    images = recorded.history("images")
    return sa.select(
        images.c.audit_id.label("at"),
        images.c.audit_operation.label("operation"),
        sa.true().label("is_own"),
        *_image(recorded, images),
    ).where(images.c.audit_operation.in_(_CHANGING), chosen(images))


def _image(recorded: RecordedTable, images: FromClause) -> list[ColumnElement[Any]]:
    return [
        images.c.audit_transaction_id.label("image_transaction"),
        images.c.audit_id.label("image_id"),
        *(images.c[name].label(f"key_{n}") for n, name in enumerate(recorded.key_names)),
    ]


def _truncated(recorded: RecordedTable, chosen: Chosen) -> Select[Any]:
    """The records that a truncate removed, as deletes."""
    truncate, images = recorded.history("truncates"), recorded.history("images")
    key = [images.c[name] for name in recorded.key_names]
    newest_first = sa.func.row_number().over(
        partition_by=[truncate.c.audit_id, *key], order_by=images.c.audit_id.desc()
    )
    removed = (
        sa.select(
            truncate.c.audit_id.label("at"),
            images.c.audit_operation.label("operation"),
            newest_first.label("place"),
            *_image(recorded, images),
        )
        .join_from(truncate, images, images.c.audit_id < truncate.c.audit_id)
        .where(*_is_truncate(recorded, truncate), chosen(truncate), *(column.is_not(None) for column in key))
        .where(images.c.audit_id > _truncate_before(recorded, truncate))
        .subquery("removed")
    )
    return sa.select(
        removed.c.at,
        sa.literal("D").label("operation"),
        sa.false().label("is_own"),
        removed.c.image_transaction,
        removed.c.image_id,
        *(removed.c[f"key_{n}"] for n in range(len(key))),
    ).where(removed.c.place == 1, removed.c.operation != "D")


def _is_truncate(recorded: RecordedTable, images: FromClause) -> list[ColumnElement[bool]]:
    """Found through the index on the key: the key of a truncate's row is null, and no other's is."""
    return [images.c.audit_operation == "T", *(images.c[name].is_(None) for name in recorded.key_names)]


def _truncate_before(recorded: RecordedTable, truncate: FromClause) -> ColumnElement[int]:
    earlier = recorded.history("earlier_truncates")
    newest = sa.select(sa.func.max(earlier.c.audit_id)).where(
        *_is_truncate(recorded, earlier), earlier.c.audit_id < truncate.c.audit_id
    )
    return sa.func.coalesce(newest.scalar_subquery(), sa.literal(-(2**63), BigInteger))


def _is_truncated(recorded: RecordedTable, since: ColumnElement[int], until: ColumnElement[int]) -> ColumnElement[bool]:
    between = recorded.history("truncates_between")
    return sa.exists(
        sa.select(sa.literal(1))
        .select_from(between)
        .where(*_is_truncate(recorded, between), between.c.audit_id > since, between.c.audit_id < until)
    )


def _ranked(recorded: RecordedTable, events: Subquery) -> Subquery:
    """Each event with the first one of its record, and its place when counted from the last."""
    key = [events.c[f"key_{n}"] for n in range(len(recorded.key_names))]

    def first(name: str) -> ColumnElement[Any]:
        return sa.func.first_value(events.c[name]).over(partition_by=key, order_by=events.c.at)

    def whole(function: FunctionElement[Any], **order: Any) -> ColumnElement[Any]:
        return sa.over(function, partition_by=key, **order)

    is_own = sa.cast(events.c.is_own, sa.Integer)
    return sa.select(
        events,
        first("at").label("first_at"),
        first("operation").label("first_operation"),
        first("image_transaction").label("first_transaction"),
        first("image_id").label("first_id"),
        whole(sa.func.array_agg(events.c.at), order_by=events.c.at).label("changes"),
        whole(sa.func.sum(is_own)).label("own"),
        whole(sa.func.row_number(), order_by=events.c.at.desc()).label("place_from_last"),
    ).subquery("ranked")


def _previous(recorded: RecordedTable, ranked: Subquery) -> FromClause:
    """The record's newest image from before the first event, where that was no delete."""
    earlier = recorded.history("earlier")
    return (
        sa.select(
            earlier.c.audit_transaction_id.label("previous_transaction"),
            earlier.c.audit_id.label("previous_id"),
            earlier.c.audit_operation.label("previous_operation"),
        )
        .where(*(earlier.c[name] == ranked.c[f"key_{n}"] for n, name in enumerate(recorded.key_names)))
        .where(earlier.c.audit_id < ranked.c.first_at, ranked.c.first_operation != "D")
        .order_by(earlier.c.audit_id.desc())
        .limit(1)
        .lateral("previous")
    )
