"""Watching ``MetaData``: which tables are audited, and keeping their audit tables in step.

Nothing is stored outside the ``MetaData``: what is audited is read from the tables' ``info``, app-wide
settings from ``MetaData.info``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Column, Engine, MetaData, Table, event
from sqlalchemy.types import NullType

from ..errors import AuditConfigError
from ..refusal import raise_refusal
from .columns import REQUIRED_KEY, SETTING_KEY, build_image_column, masked_image_type
from .mask import Keyed
from .mask_key import IS_MASK_KEY_TABLE, build_mask_key_table
from .options import AuditOptions
from .redaction_table import IS_REDACTION_TABLE, build_redaction_table
from .seal_tables import IS_SEAL_TABLE, build_seal_tables
from .tables import (
    IS_AUDIT_TABLE,
    IS_AUDITED,
    IS_MAINTENANCE_TABLE,
    IS_TRANSACTION_TABLE,
    IS_VIEW_TABLE,
    SEQUENCE_NAME,
    TARGET_TABLE,
    add_setting_column,
    append_audit_column,
    build_audit_table,
    build_maintenance_table,
    build_transaction_table,
    build_view_table,
    reaches_history,
)

#: What marks the tables that all audit tables share.
_SHARED = frozenset(
    {
        IS_TRANSACTION_TABLE,
        IS_VIEW_TABLE,
        IS_MAINTENANCE_TABLE,
        IS_REDACTION_TABLE,
        IS_MASK_KEY_TABLE,
        IS_SEAL_TABLE,
    }
)

_SETTINGS = "audit.settings"
_SCHEMA = "audit.schema"
_VIEWS = "audit.views"
_ALWAYS = "audit.enable_always"
_KEYED = "audit.keyed_masks"
_UNTYPED = "audit.untyped_columns"


@dataclass(frozen=True)
class SessionSetting:
    """One session setting that an audit table records.

    :ivar name: the setting is ``audit.<name>``, the column ``audit_<name>``.
    :ivar required: a change is refused while the setting is unset or empty.
    """

    name: str
    type: sa.types.TypeEngine[Any]
    required: bool

    @property
    def column_name(self) -> str:
        return f"audit_{self.name}"


@dataclass(frozen=True)
class AuditedTable:
    """A table, its audit table, and what was declared about them."""

    table: Table
    audit_table: Table
    options: AuditOptions
    settings: tuple[SessionSetting, ...]

    @property
    def image_columns(self) -> tuple[Column[Any], ...]:
        """The table's columns that reach the audit table, in the table's order."""
        copied = self.audit_table.columns
        return tuple(c for c in self.table.columns if c.key in copied and c.name not in self.options.exclude)

    def stored_type(self, column: Column[Any]) -> sa.types.TypeEngine[Any]:
        """The type with which values of ``column`` are read from history: its own, but for what a mask made text."""
        if self.options.mask_of(column.name) is None:
            return column.type
        return self.audit_table.columns[column.key].type

    @property
    def key_columns(self) -> tuple[Column[Any], ...]:
        """The primary key's columns; empty for a table without one."""
        return tuple(self.table.primary_key.columns)


def enable() -> None:
    """Build an audit table for every table that declares ``audit.options`` from now on.

    From then on a change that the database refuses for want of a mandatory session setting raises
    :class:`~flask_pg_audit.AuditContextError`, on every engine. Idempotent. Tables declared earlier are picked up
    by :func:`audit_metadata`, which the Flask extension and ``install_audit_triggers`` call.

    .. versionadded:: 0.1
    """
    _listen_once(Table, "after_parent_attach", _on_table_attached)
    _listen_once(Column, "after_parent_attach", _on_column_attached)
    _listen_once(Engine, "handle_error", raise_refusal)


def _listen_once(target: object, name: str, listener: Callable[..., None]) -> None:
    if not event.contains(target, name, listener):
        event.listen(target, name, listener)


def audit_metadata(metadata: MetaData) -> tuple[AuditedTable, ...]:
    """Build the audit tables that ``metadata`` still lacks and return all of its audited tables."""
    for table in list(metadata.tables.values()):
        _audit_if_declared(table)
    return audited_tables(metadata)


def add_app_settings(metadata: MetaData, settings: Sequence[Column[Any]]) -> None:
    """Record ``settings`` on every audited table of ``metadata``, present and future.

    :raises AuditConfigError: a setting of the same name was added before with another type or nullability.
    """
    known: dict[str, Column[Any]] = metadata.info.setdefault(_SETTINGS, {})
    for setting in settings:
        _check_same_setting(known.setdefault(setting.name, setting), setting)
    for table in list(metadata.tables.values()):
        if IS_AUDIT_TABLE in table.info:
            for setting in settings:
                add_setting_column(table, setting)


def _check_same_setting(known: Column[Any], setting: Column[Any]) -> None:
    if (known.nullable, repr(known.type)) != (setting.nullable, repr(setting.type)):
        raise AuditConfigError(
            f"session setting {setting.name!r} was declared before, for the same models, as {known!r}, and now as "
            f"{setting!r}; applications that share models must agree on it (see AUDIT_REQUIRE_USERNAME)"
        )


def set_audit_schema(metadata: MetaData, schema: str) -> None:
    """Put what the audit tables of ``metadata`` share, tables, sequence and functions, into ``schema``."""
    metadata.info[_SCHEMA] = schema
    table = _find_transaction_table(metadata)
    if table is not None and table.schema != schema:
        for shared in [each for each in metadata.tables.values() if not _SHARED.isdisjoint(each.info)]:
            metadata.remove(shared)
        _remove_sequence(metadata)
        _build_shared_tables(metadata, schema)


def enable_always(metadata: MetaData) -> None:
    """Let the triggers of ``metadata`` fire in replication as well, where a table does not say otherwise."""
    metadata.info[_ALWAYS] = True


def always_enabled(metadata: MetaData) -> bool:
    """Whether :func:`enable_always` was called."""
    return bool(metadata.info.get(_ALWAYS))


def declare_view_table(metadata: MetaData) -> None:
    """Give ``metadata`` the table ``audit_view``, at once or as soon as one of its tables is audited.

    :raises AuditConfigError: there is a table of that name already.
    """
    metadata.info[_VIEWS] = True
    if _find_transaction_table(metadata) is not None and find_view_table(metadata) is None:
        build_view_table(metadata, audit_schema(metadata))


def find_view_table(metadata: MetaData) -> Table | None:
    """The table ``audit_view`` of ``metadata``, where who reads the log is recorded; ``None`` where that is off."""
    return _find(metadata, IS_VIEW_TABLE)


def find_mask_key_table(metadata: MetaData) -> Table | None:
    """The table ``audit_mask_key`` of ``metadata``; ``None`` where no column is masked with a key."""
    return _find(metadata, IS_MASK_KEY_TABLE)


def maintenance_table(metadata: MetaData) -> Table:
    """The table ``audit_maintenance`` of ``metadata``; a copy of the models without it gets one."""
    found = _find(metadata, IS_MAINTENANCE_TABLE)
    return build_maintenance_table(metadata, audit_schema(metadata)) if found is None else found


def redaction_table(metadata: MetaData) -> Table:
    """The table ``audit_redaction`` of ``metadata``; a copy of the models without it gets one."""
    found = _find(metadata, IS_REDACTION_TABLE)
    return build_redaction_table(metadata, audit_schema(metadata)) if found is None else found


def find_seal_tables(metadata: MetaData) -> tuple[Table, ...]:
    """``audit_seal`` and ``audit_seal_leaves`` of ``metadata``; nothing where no table is audited."""
    return tuple(t for t in metadata.tables.values() if IS_SEAL_TABLE in t.info)


def _build_shared_tables(metadata: MetaData, schema: str | None) -> None:
    build_transaction_table(metadata, schema)
    build_maintenance_table(metadata, schema)
    build_redaction_table(metadata, schema)
    build_seal_tables(metadata, schema)
    if metadata.info.get(_VIEWS):
        build_view_table(metadata, schema)
    if metadata.info.get(_KEYED):
        build_mask_key_table(metadata, schema)


def _declare_mask_key(metadata: MetaData, options: AuditOptions) -> None:
    """The first column that is masked with a key brings the table of keys."""
    if any(isinstance(mask, Keyed) for _, mask in options.mask) and find_mask_key_table(metadata) is None:
        metadata.info[_KEYED] = True
        if _find_transaction_table(metadata) is not None:
            build_mask_key_table(metadata, audit_schema(metadata))


def _remove_sequence(metadata: MetaData) -> None:
    # MetaData has remove() for tables only; rebuilding needs the sequence's place as well.
    sequences = metadata._sequences
    for key in [key for key, sequence in sequences.items() if sequence.name == SEQUENCE_NAME]:
        del sequences[key]


def audit_schema(metadata: MetaData) -> str | None:
    """The schema of ``audit_transaction``, the sequence and the functions; ``None`` means the default schema."""
    table = _find_transaction_table(metadata)
    if table is not None:
        return table.schema  # also where Table.to_metadata(schema=...) moved it
    schema: str | None = metadata.info.get(_SCHEMA, metadata.schema)
    return schema


def audited_tables(metadata: MetaData) -> tuple[AuditedTable, ...]:
    """The audited tables of ``metadata``, ordered by schema and name."""
    return tuple(sorted(_iter_audited(metadata), key=lambda a: (a.table.schema or "", a.table.name)))


def _iter_audited(metadata: MetaData) -> Iterator[AuditedTable]:
    for audit_table in metadata.tables.values():
        if IS_AUDIT_TABLE not in audit_table.info:
            continue
        table = _target_of(audit_table)
        if table is not None:
            options = AuditOptions.of(table)
            yield AuditedTable(table, audit_table, options, tuple(_iter_settings(audit_table)))


def _target_of(audit_table: Table) -> Table | None:
    """The table that ``audit_table`` records.

    By name, not by identity: ``Table.to_metadata()`` copies ``info``, so the marker may name the original, which
    may be in another schema than the copies.
    """
    tables, original = audit_table.metadata.tables, audit_table.info[TARGET_TABLE]
    return tables.get(original.key, tables.get(f"{audit_table.schema}.{original.name}"))


def _iter_settings(audit_table: Table) -> Iterator[SessionSetting]:
    for column in audit_table.columns:
        if SETTING_KEY in column.info:
            yield SessionSetting(column.info[SETTING_KEY], column.type, column.info[REQUIRED_KEY])


def transaction_table(metadata: MetaData) -> Table:
    """The table ``audit_transaction`` of ``metadata``.

    :raises AuditConfigError: no table of ``metadata`` is audited.
    """
    table = _find_transaction_table(metadata)
    if table is None:
        raise AuditConfigError(
            'no audited table is declared: give a table info={"audit.options": {"enabled": True}}, and call '
            "enable() or create the FlaskAudit extension before its models are imported"
        )
    return table


def _find_transaction_table(metadata: MetaData) -> Table | None:
    return _find(metadata, IS_TRANSACTION_TABLE)


def _find(metadata: MetaData, mark: str) -> Table | None:
    return next((table for table in metadata.tables.values() if mark in table.info), None)


def _on_table_attached(table: Table, metadata: MetaData) -> None:
    _audit_if_declared(table)
    _resolve_foreign_key_types(metadata)


def _audit_if_declared(table: Table) -> None:
    if IS_AUDIT_TABLE in table.info:
        return
    options = AuditOptions.of(table)
    if not options.enabled:
        return
    _declare_mask_key(table.metadata, options)
    audit_table = _audit_table_of(table)
    if audit_table is not None:
        _catch_up(table, audit_table, options)
        return
    metadata = table.metadata
    app_wide: dict[str, Column[Any]] = metadata.info.get(_SETTINGS, {})
    own = {setting.name: setting for setting in options.session_settings}
    audit_table = build_audit_table(table, options, list({**app_wide, **own}.values()))
    if _find_transaction_table(metadata) is None:
        _build_shared_tables(metadata, audit_schema(metadata))
    for column in table.columns:
        _await_type(column, audit_table)


def _catch_up(table: Table, audit_table: Table, options: AuditOptions) -> None:
    """``Table(..., extend_existing=True, info=...)`` replaces ``info``, our mark included, before it adds columns."""
    if IS_AUDITED in table.info:
        return
    table.info = {**table.info, IS_AUDITED: True}
    for column in table.columns:
        if column.key not in audit_table.columns and reaches_history(column, options):
            append_audit_column(audit_table, build_image_column(column, options.mask_of(column.name)))
            _await_type(column, audit_table)


def _on_column_attached(column: Column[Any], table: Any) -> None:
    """A column that joins an audited table later: single-table inheritance, ``append_column``."""
    if not isinstance(table, Table) or IS_AUDITED not in table.info:
        return
    audit_table = _audit_table_of(table)
    if audit_table is None or column.key in audit_table.columns:
        return  # a copy that is being built column by column, by Alembic say
    options = AuditOptions.of(table)
    if reaches_history(column, options):
        append_audit_column(audit_table, build_image_column(column, options.mask_of(column.name)))
        _await_type(column, audit_table)


def _audit_table_of(table: Table) -> Table | None:
    for candidate in table.metadata.tables.values():
        if IS_AUDIT_TABLE in candidate.info and _target_of(candidate) is table:
            return candidate
    return None


def _await_type(column: Column[Any], audit_table: Table) -> None:
    """Remember a column whose type is not known yet.

    ``Column(ForeignKey(...))`` has no type until the table it refers to is declared.
    """
    copy = audit_table.columns.get(column.key)
    if copy is not None and isinstance(copy.type, NullType):
        audit_table.metadata.info.setdefault(_UNTYPED, []).append((column, copy))


def _resolve_foreign_key_types(metadata: MetaData) -> None:
    untyped: list[tuple[Column[Any], Column[Any]]] = metadata.info.get(_UNTYPED, [])
    for column, copy in untyped:
        copy.type = masked_image_type(column, AuditOptions.of(column.table).mask_of(column.name))
    untyped[:] = [pair for pair in untyped if isinstance(pair[0].type, NullType)]
