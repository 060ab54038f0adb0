"""What auditing one table takes in the database: its function and triggers, compiled from the declaration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, MetaData
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.types import TypeDecorator, TypeEngine

from ..declare.mask import Keyed, Partial, Writing, holds_text, masked_type, writing_of
from ..declare.naming import audit_function_name, audit_trigger_name, shorten
from ..declare.options import Level
from ..declare.registry import AuditedTable, SessionSetting, always_enabled, audit_schema, find_mask_key_table
from .function import AuditFunction, Infrastructure
from .name import QualifiedName
from .render import ident, qualified, render

# pg_trigger.tgtype is a bit mask (src/include/catalog/pg_trigger.h).
_ROW, _BEFORE, _INSERT, _DELETE, _UPDATE, _TRUNCATE = 1, 2, 4, 8, 16, 32

#: PostgreSQL fires triggers in the order of their names; row-level capture must come before the user's own (trap T2).
_FIRES_FIRST = "00_"

#: Types whose ``=`` is PostgreSQL's own, so that it can be named with its schema; others are compared as text.
_BUILT_IN_EQUALITY = (
    sa.Integer,
    sa.Numeric,
    sa.String,
    sa.Date,
    sa.DateTime,
    sa.Time,
    sa.Interval,
    sa.Boolean,
    sa.LargeBinary,
    sa.Uuid,
)

#: Types that tell a changed row from an unchanged one without forming it, the commonest first: those that are as a rule
#: set anew by every update. Texts are left out, since a column that is declared as one may be json, without equality.
_TELLING = (sa.DateTime, sa.Integer, sa.Boolean, sa.Date, sa.Numeric, sa.Time, sa.Uuid)

#: How many are asked: each costs a little when a statement starts.
_MOST_TELLING = 8


#: What an update of many rows may use to pair them, in units of ``work_mem``: the rows of 200,000 fit, or nearly, where
#: the server has not been configured. The server's own default is 2.
_MEMORY_MULTIPLIER = 16


@dataclass(frozen=True)
class KeyColumn:
    """A column of the primary key and how two of its values are compared in the trigger."""

    name: str
    compare_as_text: bool


@dataclass(frozen=True)
class TriggerSetting:
    """A session setting as the trigger function reads it.

    :ivar cast: the type of its column, as SQL, for a plain statement; a function converts it by assignment.
    """

    name: str
    column: str
    is_text: bool
    required: bool
    cast: str | None = None

    @property
    def variable(self) -> str:
        return shorten(self.name, prefix="setting_")


@dataclass(frozen=True)
class ColumnMask:
    """What the trigger stores instead of a column's value.

    :ivar kind: ``null``, ``fixed``, ``partial`` or ``keyed``.
    :ivar writing: how the value becomes text.
    :ivar retyped: history keeps it as text, since it has no place in the column's own type.
    """

    column: str
    kind: str
    writing: Writing = "as text"
    retyped: bool = False
    text: str = ""
    keep_first: int = 0
    keep_last: int = 0


@dataclass(frozen=True)
class TriggerDefinition:
    """One trigger on one table, comparable with what the catalog says of an installed one.

    :ivar type: the bits of ``pg_trigger.tgtype``.
    :ivar restricted: it fires under a condition or for certain columns only; none of ours does.
    :ivar always: it fires under ``session_replication_role = replica`` as well (``ENABLE ALWAYS``).
    """

    name: str
    type: int
    function: QualifiedName
    old_table: str | None = None
    new_table: str | None = None
    restricted: bool = False
    always: bool = False

    def create_statements(self, table: QualifiedName) -> tuple[str, ...]:
        """``CREATE OR REPLACE TRIGGER``: replaced in place, so there is no moment without it."""
        return self._create(qualified(table))

    def create_patterns(self) -> tuple[str, ...]:
        """The same as patterns for ``format()``, to which schema and name of a table are still to be given."""
        place = "\0"  # no identifier has it
        return tuple(sql.replace("%", "%%").replace(place, "%I.%I") for sql in self._create(place))

    def _create(self, table: str) -> tuple[str, ...]:
        create = render("create_trigger", trigger=self, table=table)
        # A new trigger, or a replaced one, fires in ordinary sessions only.
        return (create, f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {ident(self.name)}") if self.always else (create,)

    def drop_sql(self, table: QualifiedName) -> str:
        return f"DROP TRIGGER IF EXISTS {ident(self.name)} ON {qualified(table)}"

    @property
    def timing(self) -> str:
        return "BEFORE" if self.type & _BEFORE else "AFTER"

    @property
    def granularity(self) -> str:
        return "ROW" if self.type & _ROW else "STATEMENT"

    @property
    def is_after_row(self) -> bool:
        return bool(self.type & _ROW) and not self.type & _BEFORE

    @property
    def events(self) -> str:
        names = {_INSERT: "INSERT", _UPDATE: "UPDATE", _DELETE: "DELETE", _TRUNCATE: "TRUNCATE"}
        return " OR ".join(name for bit, name in names.items() if self.type & bit)


@dataclass(frozen=True)
class AuditTrigger:
    """Everything that the templates need to know about one audited table; plain values, nothing live."""

    infrastructure: Infrastructure
    table: QualifiedName
    audit_table: QualifiedName
    function_name: QualifiedName
    trigger_names: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    comparable_columns: tuple[str, ...]
    key: tuple[KeyColumn, ...]
    settings: tuple[TriggerSetting, ...]
    level: Level
    skip_unchanged: bool
    partitioned: bool
    always: bool
    masks: tuple[ColumnMask, ...] = ()

    def mask_of(self, column: str) -> ColumnMask | None:
        """What is done to the values of ``column``; ``None`` for nothing."""
        return next((mask for mask in self.masks if mask.column == column), None)

    @property
    def retyped(self) -> frozenset[str]:
        """The columns that are text in history because of their masks."""
        return frozenset(mask.column for mask in self.masks if mask.retyped)

    @property
    def has_key_as_text(self) -> bool:
        """Whether a column of the key is compared as text, since its own comparison could be anybody's."""
        return any(column.compare_as_text for column in self.key)

    @property
    def is_keyed(self) -> bool:
        """Whether a mask needs the key."""
        return any(mask.kind == "keyed" for mask in self.masks)

    @property
    def mask_key_function(self) -> QualifiedName:
        return self.infrastructure.current_mask_key

    @property
    def sequence(self) -> QualifiedName:
        return self.infrastructure.sequence

    @property
    def current_transaction_function(self) -> QualifiedName:
        return self.infrastructure.current_transaction

    @property
    def begin_transaction_function(self) -> QualifiedName:
        return self.infrastructure.begin_transaction

    @property
    def refuse_function(self) -> QualifiedName:
        return self.infrastructure.refuse_change

    @property
    def telling_columns(self) -> tuple[str, ...]:
        """The columns that are compared before whole rows are."""
        return tuple(name for name in self.comparable_columns if name in self.columns)[:_MOST_TELLING]

    @property
    def required_settings(self) -> tuple[str, ...]:
        return tuple(setting.name for setting in self.settings if setting.required)

    @property
    def marker(self) -> str:
        """What tells a side of the join of old and new rows that is there from one that is not.

        No column of the table: even one of the key is null where the database does not enforce the key.
        """
        name = "audit_marker"
        while name in self.columns:
            name += "_"
        return name

    @cached_property
    def function(self) -> AuditFunction:
        """The trigger function."""
        return AuditFunction(
            self.function_name,
            render(f"capture_{self.level}", trigger=self, memory_multiplier=_MEMORY_MULTIPLIER),
            table=self.table,
            audit_table=self.audit_table,
        )

    @property
    def triggers(self) -> tuple[TriggerDefinition, ...]:
        """The triggers on the table itself."""
        return (*self._change_triggers(), self._trigger("truncate", _TRUNCATE))

    def partition_triggers(self, has_rows: bool) -> tuple[TriggerDefinition, ...]:
        """The triggers on a partition, for writes that are addressed to it (trap T3).

        :param has_rows: the partition is not partitioned further. Row triggers come to partitions by
            themselves; a partition's truncate is recorded before it, while its rows can be read.
        """
        changes = self._change_triggers() if self.level == "statement" else ()
        return (*changes, self._trigger("truncate", _TRUNCATE | _BEFORE)) if has_rows else tuple(changes)

    def _change_triggers(self) -> tuple[TriggerDefinition, ...]:
        if self.level == "row":
            return (self._trigger("row", _ROW | _INSERT | _UPDATE | _DELETE),)
        return (
            self._trigger("insert", _INSERT, new_table="new_rows"),
            self._trigger("update", _UPDATE, old_table="old_rows", new_table="new_rows"),
            self._trigger("delete", _DELETE, old_table="old_rows"),
        )

    def _trigger(
        self, event: str, type_: int, old_table: str | None = None, new_table: str | None = None
    ) -> TriggerDefinition:
        name = dict(self.trigger_names)[event]
        return TriggerDefinition(name, type_, self.function_name, old_table, new_table, always=self.always)


def build_guard(infrastructure: Infrastructure) -> TriggerDefinition:
    """The trigger that keeps a table of history from being rewritten, in replication as well."""
    function = infrastructure.refuse_rewriting
    return TriggerDefinition(function.name, _BEFORE | _UPDATE | _DELETE | _TRUNCATE, function, always=True)


def build_infrastructure(metadata: MetaData, default_schema: str) -> Infrastructure:
    """The shared objects of ``metadata``; ``default_schema`` stands in where it names no schema."""
    return Infrastructure(audit_schema(metadata) or default_schema, find_mask_key_table(metadata) is not None)


def build_audit_trigger(audited: AuditedTable, default_schema: str) -> AuditTrigger:
    """Compile one declaration. ``default_schema`` is the schema of tables that name none.

    Settings are in the order of their names: that of the columns depends on whether the extension or the models come
    first, and a function that looks different would be replaced.
    """
    table, audit_table, options = audited.table, audited.audit_table, audited.options
    infrastructure = build_infrastructure(table.metadata, default_schema)
    return AuditTrigger(
        infrastructure=infrastructure,
        table=QualifiedName(table.schema or default_schema, table.name),
        audit_table=QualifiedName(audit_table.schema or default_schema, audit_table.name),
        function_name=QualifiedName(infrastructure.schema, audit_function_name(table)),
        trigger_names=tuple(_build_trigger_names(audited)),
        columns=tuple(column.name for column in audited.image_columns),
        comparable_columns=tuple(_comparable_columns(audited)),
        key=tuple(KeyColumn(c.name, not _has_built_in_equality(c)) for c in audited.key_columns),
        settings=tuple(map(_build_setting, sorted(audited.settings, key=lambda setting: setting.name))),
        level=options.level,
        skip_unchanged=options.skip_unchanged,
        partitioned=table.dialect_options["postgresql"]["partition_by"] is not None,
        always=always_enabled(table.metadata) if options.enable_always is None else options.enable_always,
        masks=tuple(_build_masks(audited)),
    )


def _build_masks(audited: AuditedTable) -> Iterator[ColumnMask]:
    for column in audited.image_columns:
        mask = audited.options.mask_of(column.name)
        if mask is None:
            continue
        retyped = masked_type(column.type, mask) is not column.type
        writing = writing_of(column) or "as text"
        if isinstance(mask, Keyed):
            yield ColumnMask(column.name, "keyed", writing, retyped)
        elif isinstance(mask, Partial):
            yield ColumnMask(column.name, "partial", writing, retyped, "", mask.keep_first, mask.keep_last)
        elif holds_text(column.type):
            yield ColumnMask(column.name, "fixed", writing, retyped, mask.text)
        else:
            yield ColumnMask(column.name, "null")


def _build_setting(setting: SessionSetting) -> TriggerSetting:
    return TriggerSetting(setting.name, setting.column_name, _is_text(setting.type), setting.required)


def _build_trigger_names(audited: AuditedTable) -> Iterator[tuple[str, str]]:
    for event in ("insert", "update", "delete", "truncate"):
        yield event, audit_trigger_name(audited.table, f"_{event}")
    yield "row", audit_trigger_name(audited.table, "_row", prefix=_FIRES_FIRST)


def _comparable_columns(audited: AuditedTable) -> list[str]:
    """Columns, by the order of their types, whose inequality proves a change. Those of the key are the same anyway."""
    others = [column for column in audited.image_columns if not column.primary_key]
    return [column.name for type_ in _TELLING for column in others if isinstance(_plain(column.type), type_)]


def _plain(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    return type_.impl_instance if isinstance(type_, TypeDecorator) else type_


def _is_text(type_: TypeEngine[Any]) -> bool:
    plain = _plain(type_)
    return isinstance(plain, sa.String) and not isinstance(plain, sa.Enum)


def _has_built_in_equality(column: Column[Any]) -> bool:
    plain = _plain(column.type)
    return isinstance(plain, _BUILT_IN_EQUALITY) and not isinstance(plain, (sa.Enum, CITEXT))
