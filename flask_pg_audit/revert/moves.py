"""Changed keys: the history has a delete of the old key and an insert of the new one, and nothing that joins them.

Two changes of one statement belong together if nothing but the key differs, and no other two are like them; or if the
statement made no others. What else an update of a key may have been is brought back as a delete and an insert.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, FromClause, Select, Text
from sqlalchemy.dialects.postgresql import array

from ..history.position import Position
from ..history.recorded import RecordedTable
from .effects import Effect, of_transactions
from .versions import set_by_every_update, version_of

#: From the delete of an old key to the insert of the new one.
Moves = Mapping[Position, Position]


def read_moves(connection: Connection, recorded: RecordedTable, transaction_ids: Sequence[int]) -> Moves:
    """The changed keys of these transactions."""
    queries = _of_rows(recorded) if recorded.audited.options.level == "row" else _of_statements(recorded)
    is_chosen = of_transactions(transaction_ids)
    found: dict[Position, Position] = {}
    for images, query in queries:
        for row in connection.execute(query.where(is_chosen(images))):
            found[Position(row.transaction_id, row.old)] = Position(row.transaction_id, row.new)
    return found


def _of_statements(recorded: RecordedTable) -> Iterator[tuple[FromClause, Select[Any]]]:
    """The changes of one statement have one time."""
    images = recorded.history("images")
    statement = (images.c.audit_transaction_id, images.c.audit_operation_timestamp)
    content = _content(recorded, images)
    if content is not None:
        yield images, _pairs(images, [*statement, content])
    yield images, _pairs(images, statement).having(_count(images, "U") == 0)


def _pairs(images: FromClause, group: Sequence[ColumnElement[Any]]) -> Select[Any]:
    def only(operation: str) -> ColumnElement[Any]:
        return sa.func.min(images.c.audit_id).filter(images.c.audit_operation == operation)

    return (
        sa.select(images.c.audit_transaction_id.label("transaction_id"), only("D").label("old"), only("I").label("new"))
        .where(images.c.audit_operation.in_(("D", "I", "U")))
        .group_by(*group)
        .having(sa.and_(_count(images, "D") == 1, _count(images, "I") == 1))
    )


def _count(images: FromClause, operation: str) -> ColumnElement[int]:
    return sa.func.count().filter(images.c.audit_operation == operation)


def _of_rows(recorded: RecordedTable) -> Iterator[tuple[FromClause, Select[Any]]]:
    """With a trigger for each row the insert follows the delete."""
    images, following = recorded.history("images"), recorded.history("following")
    content = _content(recorded, images)
    same = sa.true() if content is None else content == _content(recorded, following)
    next_ = sa.and_(
        following.c.audit_transaction_id == images.c.audit_transaction_id,
        following.c.audit_id == images.c.audit_id + 1,
    )
    yield (
        images,
        sa.select(
            images.c.audit_transaction_id.label("transaction_id"),
            images.c.audit_id.label("old"),
            following.c.audit_id.label("new"),
        )
        .join_from(images, following, next_)
        .where(images.c.audit_operation == "D", following.c.audit_operation == "I", same),
    )


def _content(recorded: RecordedTable, images: FromClause) -> ColumnElement[Any] | None:
    """Everything but the key and what changes with any update, as text: json has no equality (trap T7)."""
    table, version = recorded.table, version_of(recorded.table)
    computed = {column.name for column in table.columns if column.computed is not None}
    ignored = {*recorded.key_names, *computed, *set_by_every_update(table), version.name if version else None}
    names = [name for name in recorded.column_names if name not in ignored]
    return array([sa.cast(images.c[name], Text) for name in names]) if names else None


def join_moves(effects: Sequence[Effect], moves: Mapping[int, int]) -> list[Effect]:
    """Make one effect, from the image under the old key to that under the new one, of both halves of each move.

    :param moves: as :func:`read_moves`, by ``audit_id``.
    """
    arrived = {effect.changes[0]: effect for effect in effects if effect.before is None and effect.unknown is None}
    joined: set[int] = set()
    found: list[Effect] = []
    for effect in effects:
        if effect.before is None or effect.after is not None:
            continue
        last = effect
        while last.after is None and (following := arrived.get(moves.get(last.changes[-1], 0))) is not None:
            joined |= {id(last), id(following)}
            last = following
        if last is not effect and last.after is not None:
            found.append(replace(last, before=effect.before, changes=(*effect.changes, *last.changes)))
        elif last is not effect:  # moved, and then deleted
            found.append(replace(effect, changes=(*effect.changes, *last.changes)))
    return [*(effect for effect in effects if id(effect) not in joined), *found]
