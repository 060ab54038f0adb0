"""What the history has of each audited table: its columns, those that the table lost included, and since when.

The models say which columns there are now. The catalog adds those of earlier days, and tells when a column was not
recorded, so that a null from before it existed is not taken for a value.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, FromClause, MetaData, Select, Table, TableClause, Text
from sqlalchemy.types import NullType, TypeEngine

from ..declare.absence import Absence, has_redactions, parse_absences, parse_masks
from ..declare.columns import build_own_columns
from ..declare.mask import holds_text
from ..declare.registry import AuditedTable, audited_tables, transaction_table
from ..errors import AuditConfigError, AuditInstallError
from .entity import find_audited

_PREFIX = "audit_"

#: The number of the type ``text``, which is the same everywhere.
_TEXT = 25

#: The comment on a column, and whether it is ``text``.
_Note = tuple[str | None, bool]

#: Some of the rows of an audit table.
Part = Callable[[FromClause], Select[Any]]

Scope = Callable[[Select[Any], Table], Select[Any]]


@dataclass(frozen=True)
class RecordedColumn:
    """A column of the images in an audit table.

    :ivar type: as the model declares it; without a type for a column that the table no longer has, whose values come
        as the driver reads them.
    :ivar absences: the changes that were recorded without it.
    :ivar masks: the changes that were recorded with a mask instead of its value.
    :ivar is_redacted: values were removed from some changes.
    """

    name: str
    type: TypeEngine[Any]
    absences: tuple[Absence, ...] = ()
    masks: tuple[Absence, ...] = ()
    is_redacted: bool = False

    def noted(self, comment: str | None, is_text: bool) -> RecordedColumn:
        """The same with what the comment on the audit table's column says.

        :param is_text: the audit table has it as ``text``, as a mask may need that there is no more.
        """
        masks = parse_masks(comment)
        return replace(
            self,
            type=Text() if masks and is_text and not holds_text(self.type) else self.type,
            absences=parse_absences(comment),
            masks=masks,
            is_redacted=has_redactions(comment),
        )


@dataclass(frozen=True)
class RecordedTable:
    """An audited table as its history has it.

    :ivar columns: the table's own in its order, then those that it lost.
    :ivar scope: narrows every query of the history to what somebody may see; gets a select of it, and the table.
    :ivar part: narrows the audit table before the scope does, to so many rows say; no others are looked at.
    :ivar hidden: columns that may be selected by, as the scope and the pairing of images do, and never shown.
    """

    audited: AuditedTable
    columns: tuple[RecordedColumn, ...]
    scope: Scope | None = None
    hidden: tuple[RecordedColumn, ...] = ()
    part: Part | None = None

    @property
    def table(self) -> Table:
        return self.audited.table

    @property
    def key_names(self) -> tuple[str, ...]:
        """The names of the primary key's columns; empty for a table without one."""
        return tuple(column.name for column in self.audited.key_columns)

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> RecordedColumn:
        """The column called ``name``.

        :raises AuditConfigError: the history has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise AuditConfigError(
            f'the history of "{self.table.fullname}" has no column {name!r}; it has {", ".join(self.column_names)}'
        )

    def only(self, name: str) -> RecordedTable:
        """With one of its columns, and those of the key; the others are hidden."""
        wanted = {name, *self.key_names}
        shown = tuple(column for column in self.columns if column.name in wanted)
        others = (column for column in self.columns if column.name not in wanted)
        return replace(self, columns=shown, hidden=(*self.hidden, *others))

    def history(self, name: str) -> FromClause:
        """The audit table as something to select from, called ``name``; its columns are those that are known of.

        Whatever is read of it is read through this, so that nothing escapes the scope.
        """
        everything = self._everything()
        if self.scope is None:
            return everything.alias(name) if self.part is None else self.part(everything).subquery(name)
        source = everything if self.part is None else self.part(everything).subquery()
        return self.scope(sa.select(source), self.table).subquery(name)

    def _everything(self) -> TableClause:
        audit_table = self.audited.audit_table
        settings = (sa.column(setting.column_name, setting.type) for setting in self.audited.settings)
        own = (sa.column(column.name, column.type) for column in build_own_columns())
        images = (sa.column(column.name, column.type) for column in (*self.columns, *self.hidden))
        return sa.table(audit_table.name, *own, *settings, *images, schema=audit_table.schema)


def recorded_tables(metadata: MetaData) -> tuple[RecordedTable, ...]:
    """The audited tables of ``metadata`` as it declares them; asks no database.

    :raises AuditConfigError: no table is audited.
    """
    transaction_table(metadata)
    return tuple(map(_declared, audited_tables(metadata)))


def _declared(audited: AuditedTable) -> RecordedTable:
    return RecordedTable(audited, tuple(RecordedColumn(c.name, audited.stored_type(c)) for c in audited.image_columns))


def read_recorded_tables(connection: Connection, metadata: MetaData) -> tuple[RecordedTable, ...]:
    """The audited tables of ``metadata`` with what the catalog knows of their history; one query.

    A declared column that the audit table lacks is left out: no change was recorded with it yet.

    :raises AuditConfigError: no table is audited.
    :raises AuditInstallError: the database has no audit table for one of them.
    """
    declared = recorded_tables(metadata)
    comments = _read_comments(connection, declared)
    for index, table in enumerate(declared):
        if index not in comments:
            raise AuditInstallError(
                f'the database has no audit table "{table.audited.audit_table.fullname}" for '
                f'"{table.table.fullname}"; run: flask audit install'
            )
    return tuple(_as_installed(table, comments[index]) for index, table in enumerate(declared))


def _read_comments(connection: Connection, tables: tuple[RecordedTable, ...]) -> Mapping[int, dict[str, _Note]]:
    """The columns of each audit table, by its place in ``tables``, with their comments, and whether they are text."""
    quote = connection.dialect.identifier_preparer.format_table
    wanted = sa.values(sa.column("place", sa.Integer), sa.column("name", sa.Text), name="wanted").data(
        [(place, quote(table.audited.audit_table).replace("%%", "%")) for place, table in enumerate(tables)]
    )
    attribute = sa.table("pg_attribute", *map(sa.column, ("attrelid", "attname", "attnum", "attisdropped", "atttypid")))
    attribute.schema = "pg_catalog"
    query = (
        sa.select(
            wanted.c.place,
            sa.cast(attribute.c.attname, sa.Text),
            sa.func.col_description(attribute.c.attrelid, attribute.c.attnum),
            attribute.c.atttypid == _TEXT,
        )
        .join_from(wanted, attribute, attribute.c.attrelid == sa.func.to_regclass(wanted.c.name))
        .where(attribute.c.attnum > 0, ~attribute.c.attisdropped)
        .order_by(wanted.c.place, attribute.c.attnum)
    )
    found: dict[int, dict[str, _Note]] = defaultdict(dict)
    for place, name, comment, is_text in connection.execute(query):
        found[place][name] = (comment, is_text)
    return found


def _as_installed(table: RecordedTable, comments: Mapping[str, _Note]) -> RecordedTable:
    declared = [column.noted(*comments[column.name]) for column in table.columns if column.name in comments]
    lost = [
        RecordedColumn(name, NullType()).noted(comment, is_text=False)
        for name, (comment, _) in comments.items()
        if name not in table.column_names and not name.startswith(_PREFIX)
    ]
    return replace(table, columns=(*declared, *lost))


def recorded_table(entity: object) -> RecordedTable:
    """As :func:`recorded_tables`, of one table, mapped class or instance.

    :raises AuditConfigError: it is not audited.
    """
    return _declared(find_audited(entity))
