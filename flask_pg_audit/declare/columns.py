"""The columns of an audit table."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Enum, String
from sqlalchemy.dialects.postgresql import DOMAIN
from sqlalchemy.types import SchemaType, TypeDecorator, TypeEngine

from .mask import Mask, masked_type

#: ``Column.info`` keys on the columns of audit tables: which setting fills it, and whether it must be set.
SETTING_KEY = "audit.setting"
REQUIRED_KEY = "audit.required"

OPERATION_LABELS = {"I": "insert", "U": "update", "D": "delete", "T": "truncate", "S": "baseline"}


def build_own_columns() -> list[Column[Any]]:
    """The columns that every audit table starts with (the primary key is the first two)."""
    return [
        Column("audit_transaction_id", BigInteger, primary_key=True, autoincrement=False),
        Column("audit_id", BigInteger, primary_key=True, autoincrement=False),
        Column("audit_operation", String(1), nullable=False),
        Column("audit_operation_timestamp", DateTime(timezone=True), nullable=False),
        Column("audit_current_user", String(64), nullable=False),
    ]


def build_setting_column(setting: Column[Any]) -> Column[Any]:
    """The audit table's column ``audit_<name>`` for a declared session setting.

    It is nullable in the database even where the setting is mandatory: the trigger refuses the change
    with a readable error, and a setting that becomes mandatory later needs no rewrite of the history.
    """
    return Column(
        f"audit_{setting.name}",
        image_type(setting.type),
        nullable=True,
        info={SETTING_KEY: setting.name, REQUIRED_KEY: not setting.nullable},
    )


def build_image_column(column: Column[Any], mask: Mask | None = None) -> Column[Any]:
    """The audit table's copy of a table's column: same name, key and type, nullable, no constraint, no default.

    The type is text where what ``mask`` makes of a value has no place in the column's own.

    No comment either: that one tells when the column was recorded, see :mod:`.absence`.
    """
    return Column(
        column.name,
        masked_image_type(column, mask),
        key=column.key,
        nullable=True,
        primary_key=False,  # and so no SERIAL; autoincrement=False as well would end up in Alembic's ALTER COLUMN
    )


def masked_image_type(column: Column[Any], mask: Mask | None) -> TypeEngine[Any]:
    """The type under which history keeps values of ``column``, or what a mask makes of them."""
    type_ = image_type(column.type)
    return type_ if mask is None else masked_type(type_, mask)


def image_type(type_: TypeEngine[Any]) -> TypeEngine[Any]:
    """The type under which history keeps a value of ``type_``.

    A domain becomes its base type: its constraints hold for the live row, may change later, and would
    refuse the nulls of a truncate row. Constraint-making types lose their ``CHECK``.
    """
    plain = type_.impl_instance if isinstance(type_, TypeDecorator) else type_
    if isinstance(plain, DOMAIN):
        return image_type(plain.data_type)
    if isinstance(type_, (Enum, Boolean)) and type_.create_constraint:
        return type_.adapt(type(type_), create_constraint=False)
    if isinstance(type_, SchemaType):
        # A schema type belongs to one column: sharing it would attach its events twice.
        return cast("TypeEngine[Any]", type_.copy())  # type: ignore[no-untyped-call]
    return type_
