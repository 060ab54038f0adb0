"""One recorded change, as a value."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..declare.columns import OPERATION_LABELS
from .position import Position

#: The row before or after a change: column name to value. A column that was not recorded at that time is not in it.
Image = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One recorded change of one row, or the truncation of a table.

    Values have the Python types of the columns. What a value was is in ``old`` and ``new``: a key that is not there
    means that the column was not recorded then, ``None`` means NULL.

    :ivar table: the table's name, with its schema if it has one.
    :ivar operation: ``I`` insert, ``U`` update, ``D`` delete, ``T`` truncate, ``S`` baseline or repair.
    :ivar at: wall clock of the statement, in UTC.
    :ivar username: who was logged in; ``None`` is nobody.
    :ivar role: the database role that acted.
    :ivar context: what else is known of the transaction, see ``audit_transaction.context``.
    :ivar key: the primary key's columns and values; empty for a truncate, and for tables without one.
    :ivar old: the row before; ``None`` when there was none, or when it was never recorded.
    :ivar new: the row after; ``None`` for a delete and a truncate.
    :ivar changed: the columns that an update changed, in the table's order; empty when ``old`` is not known.
    :ivar masked: the columns of which ``old`` or ``new`` has a mask instead of the value.
    :ivar redacted: the columns whose value was removed from ``old`` or ``new``, where they are not any more.
    :ivar settings: the session settings that the audit table records, by their names.

    .. versionadded:: 0.1
    """

    position: Position
    table: str
    operation: str
    at: datetime.datetime
    username: str | None
    actor_id: str | None
    role: str
    application_name: str | None
    client_addr: str | None
    context: Mapping[str, Any]
    key: Image
    old: Image | None
    new: Image | None
    changed: tuple[str, ...]
    settings: Mapping[str, Any]
    masked: frozenset[str] = frozenset()
    redacted: frozenset[str] = frozenset()

    @property
    def transaction_id(self) -> int:
        """The row of ``audit_transaction``."""
        return self.position.transaction_id

    @property
    def audit_id(self) -> int:
        """The number of the change among all changes of the database."""
        return self.position.audit_id

    @property
    def operation_label(self) -> str:
        """The operation as a word."""
        return OPERATION_LABELS[self.operation]

    @property
    def request_id(self) -> str | None:
        """The id of the request that made it; ``None`` outside of requests."""
        value = self.context.get("request_id")
        return str(value) if value is not None else None

    @property
    def image(self) -> Image:
        """The row that was stored: after the change, before it for a delete, empty for a truncate."""
        return (self.old if self.operation == "D" else self.new) or {}
