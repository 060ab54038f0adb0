"""What a revert records of what it reverts: ``reverts`` in ``audit_transaction.context``."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Text
from sqlalchemy.dialects.postgresql import JSONB

from ..context.scope import ContextScope
from ..context.settings import render_set_config

KEY = "reverts"

#: How many numbers are listed.
MAX_NUMBERS = 100

_SETTING = "audit.context"


@dataclass(frozen=True)
class Link:
    """The changes that are being undone.

    :ivar to: the position or instant to which a record is brought back.
    """

    transaction_ids: Collection[int]
    audit_ids: Collection[int]
    to: str | None = None

    def as_json(self) -> Mapping[str, Any]:
        """``transaction_id`` is the newest; ``count`` and ``transaction_ids`` are there if there are more to tell."""
        changes, transactions = sorted(set(self.audit_ids)), sorted(set(self.transaction_ids))
        found: dict[str, Any] = {"audit_ids": changes[:MAX_NUMBERS]}
        if transactions:
            found["transaction_id"] = transactions[-1]
        if len(transactions) > 1:
            found["transaction_ids"] = transactions[-MAX_NUMBERS:]
        if len(changes) > MAX_NUMBERS:
            found["count"] = len(changes)
        if self.to is not None:
            found["to"] = self.to
        return found


@contextmanager
def linked(connection: Connection, link: Link) -> Iterator[None]:
    """What is written inside is recorded with ``link`` in its context.

    An engine that the Flask extension watches is told by a :class:`ContextScope`; any other by the setting of the
    transaction, which is what it was before at the end. A rollback to a savepoint from before takes it back as well.
    """
    value = link.as_json()
    with ContextScope({KEY: value}):
        previous = connection.scalar(_merge(value))
        yield
        statement, parameters = render_set_config(connection.dialect.paramstyle, {_SETTING: previous or ""})
        connection.exec_driver_sql(statement, parameters)


def _merge(value: Mapping[str, Any]) -> sa.Select[Any]:
    """Add to the context, in the database, so that nothing else in it changes; returns what it was."""
    was = sa.select(sa.func.current_setting(_SETTING, sa.true()).label("text")).cte("was").prefix_with("MATERIALIZED")
    context = sa.cast(sa.func.coalesce(sa.func.nullif(was.c.text, ""), "{}"), JSONB)
    is_object = sa.func.jsonb_typeof(context) == "object"
    whole = sa.case((is_object, context), else_=sa.func.jsonb_build_object("context", context))
    merged = whole.op("||", return_type=JSONB())(sa.cast(sa.literal(json.dumps({KEY: value}), Text), JSONB))
    done = sa.func.set_config(_SETTING, sa.cast(merged, Text), sa.true())
    return sa.select(was.c.text).where(done.is_not(None))
