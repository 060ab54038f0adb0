"""The changes of a record together with those of its children."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, ColumnElement, FromClause, Select, Table
from sqlalchemy.orm import Mapper, RelationshipProperty
from sqlalchemy.sql import operators
from sqlalchemy.sql.expression import BinaryExpression, BindParameter, FunctionElement, UnaryExpression
from sqlalchemy.sql.visitors import iterate

from ..errors import AuditConfigError
from .changes import Changes
from .entity import find_audited
from .filter import ChangeFilter
from .key import key_of
from .position import Position
from .recorded import RecordedTable, recorded_table
from .timeline import order_places, record_places, select_places

#: Pairs of columns: of the table that a relationship leads from, and of that which it leads to.
_Pairs = list[tuple[ColumnElement[Any], ColumnElement[Any]]]

#: How the history of a table is found.
_Find = Callable[[Table], RecordedTable]


@dataclass(frozen=True)
class _Members:
    """Records whose children are wanted.

    :ivar images: what they ever were.
    :ivar key: of the one record, at the beginning of a path: its history may not go back to where the children's does.
    """

    images: FromClause
    key: Mapping[str, Any] = field(default_factory=dict)

    def own(self, images: FromClause, pairs: _Pairs) -> ColumnElement[bool]:
        """Whether ``images`` belong to one of them."""
        ours, theirs = ([_name(column) for column in side] for side in zip(*pairs, strict=True))
        if set(ours) <= self.key.keys():
            return sa.and_(*(images.c[b] == self.key[a] for a, b in zip(ours, theirs, strict=True)))
        values = sa.select(*(self.images.c[name] for name in ours)).distinct()
        return sa.tuple_(*(images.c[name] for name in theirs)).in_(values)


def _name(column: ColumnElement[Any]) -> str:
    if not isinstance(column, Column):
        raise AuditConfigError(
            f"a relationship is joined by {column}, which is no column; its history cannot be followed"
        )
    return column.name


def family(
    entity: object,
    key: object = None,
    *,
    relationships: Collection[str],
    before: Position | None = None,
    after: Position | None = None,
    limit: int | None = None,
) -> Select[Any]:
    """As :func:`timeline`, with the changes of those that belonged to the record when they were made.

    A child that is moved to another parent shows the move on both sides. A many-to-many relationship gives the changes
    of its association table. The children are found in their audit tables by the column that refers to the parent: on
    a long history give the audit table an index on it.

    :param entity: a mapped class, or the instance itself.
    :param relationships: names of relationships, ``"lines"``, and of theirs, ``"lines.product"``.
    :raises AuditConfigError: as :func:`timeline`; there is no such relationship, or its table is not audited.

    .. versionadded:: 0.1
    """
    values = key_of(find_audited(entity), entity if key is None else key)
    found = family_places(_mapper_of(entity), recorded_table(entity), values, relationships, recorded_table)
    return order_places(found, before, after, limit)


def family_places(
    mapper: Mapper[Any], recorded: RecordedTable, key: Mapping[str, Any], paths: Collection[str], find: _Find
) -> tuple[Select[Any], ...]:
    """The changes of a record and of what ``paths`` lead to, in no order and some of them several times.

    :param find: gives the history of a table.
    :raises AuditConfigError: there is no such relationship; and what ``find`` raises.
    """
    members = _Members(_images(recorded, ChangeFilter(key=key)), key)
    children = (_places_of_children(mapper, members, path, find) for path in sorted(set(paths)))
    return *record_places(recorded, key), *children


def followable(mapper: Mapper[Any], recorded: RecordedTable, tables: Sequence[RecordedTable]) -> tuple[str, ...]:
    """The relationships whose changes can be shown to who sees no more than ``tables``.

    Not those that are joined by a column that is not among theirs: what belongs to a record would tell its value.
    """
    return tuple(name for name, one in mapper.relationships.items() if _is_followable(one, recorded, tables))


def _is_followable(
    relationship: RelationshipProperty[Any], recorded: RecordedTable, tables: Sequence[RecordedTable]
) -> bool:
    try:
        pairs, target = _lead(relationship)
    except AuditConfigError:
        return False
    children = next((table for table in tables if table.table is target), None)
    if children is None:
        return False
    ends = [(column, table) for pair in pairs for column, table in zip(pair, (recorded, children), strict=True)]
    return all(
        isinstance(column, Column) and column.table is table.table and column.name in table.column_names
        for column, table in ends
    )


def _mapper_of(entity: object) -> Mapper[Any]:
    mapper = getattr(sa.inspect(entity, raiseerr=False), "mapper", None)
    if not isinstance(mapper, Mapper):
        raise AuditConfigError(f"{entity!r} has no relationships: give a mapped class or an instance of one")
    return mapper


def _images(recorded: RecordedTable, where: ChangeFilter) -> FromClause:
    changes = Changes(recorded)
    images = where.apply(sa.select(changes.new).select_from(changes.new), changes)
    return images.subquery("members")


def _places_of_children(mapper: Mapper[Any], members: _Members, path: str, find: _Find) -> Select[Any]:
    """Follow one path; only the changes at its end are wanted."""
    name, _, rest = path.partition(".")
    relationship = mapper.relationships.get(name)
    if relationship is None:
        known = ", ".join(mapper.relationships.keys()) or "none"
        raise AuditConfigError(f"{mapper.class_.__name__} has no relationship {name!r}; there are: {known}")
    if rest and relationship.secondary is not None:
        raise AuditConfigError(f"{path!r} goes on behind the many-to-many relationship {name!r}, which ends a path")
    pairs, table = _lead(relationship)
    if not isinstance(table, Table):
        raise AuditConfigError(f"{name!r} of {mapper.class_.__name__} does not lead to a table")
    children = find(table)
    if rest:
        images = children.history("images")
        further = sa.select(images).where(members.own(images, pairs)).subquery("members")
        return _places_of_children(relationship.mapper, _Members(further), rest, find)
    return sa.union(*_belonging(children, members, pairs)).subquery().select()


def _lead(relationship: RelationshipProperty[Any]) -> tuple[_Pairs, FromClause]:
    """How what belongs to a record is found, and where: of many-to-many relationships the association table."""
    if relationship.secondary is not None:
        return list(relationship.synchronize_pairs), relationship.secondary
    pairs = list(relationship.local_remote_pairs or ())
    if _conditions(relationship.primaryjoin) != len(pairs):
        raise AuditConfigError(
            f"the relationship {relationship.key!r} has more conditions than that columns are equal "
            f"({relationship.primaryjoin}); it cannot be followed through the history"
        )
    return pairs, relationship.mapper.local_table


def _conditions(join: ColumnElement[bool]) -> int:
    """How many conditions a join has; one that is no plain equality counts for more than it is."""
    equals = [one for one in iterate(join) if isinstance(one, BinaryExpression)]
    plain = all(one.operator is operators.eq for one in equals)
    others = [one for one in iterate(join) if isinstance(one, (BindParameter, FunctionElement, UnaryExpression))]
    return len(equals) if plain and not others else -1


def _belonging(children: RecordedTable, members: _Members, pairs: _Pairs) -> Iterator[Select[Any]]:
    """What was changed while it belonged to the record, and the next change of each: it may be the one that left."""
    images, following = children.history("images"), children.history("following")
    belongs = members.own(images, pairs)
    yield select_places(children, images).where(belongs)
    if children.key_names:
        same_key = [following.c[name] == images.c[name] for name in children.key_names]
        next_ = (
            sa.select(following)
            .where(*same_key, following.c.audit_id > images.c.audit_id)
            .order_by(following.c.audit_id)
            .limit(1)
            .lateral("next")
        )
        # A deleted child that comes back under another parent was not moved.
        yield select_places(children, images, next_).where(belongs, images.c.audit_operation != "D")
