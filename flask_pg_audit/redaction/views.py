"""Removing what was searched for from the record of who read the log."""

from __future__ import annotations

import json

import sqlalchemy as sa
from sqlalchemy import Engine, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB

from ..database.batches import open_batches
from ..database.patience import LOCK_TIMEOUT, TRIES, Patience
from ..database.selection import select_tables
from ..database.view_table import has_view_log
from ..errors import AuditConfigError
from .erasing import begin, erase_views
from .record import REASON, Redacted


def redact_views(
    metadata: MetaData,
    engine: Engine,
    text: str,
    *,
    reason: str = REASON,
    dry_run: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
    tries: int = TRIES,
) -> Redacted:
    """Remove the queries that contain a text from ``audit_view``: searches for a person, pages of a record.

    Who read the log, and when, stays. Whether letters are small or capital makes no difference.

    :param text: at least one character.
    :raises AuditConfigError: ``text`` is empty, or it is not recorded who reads the log.
    :raises AuditInstallError: what is to be rewritten is not installed, or a privilege is missing.

    Locks: the rows that are changed.

    .. versionadded:: 0.1
    """
    if not text:
        raise AuditConfigError("say which text the queries contain that are to be redacted")
    selection = select_tables(metadata, engine, None)
    declared = selection.declared
    name = declared.infrastructure.view_table
    if not has_view_log(declared, selection.installed, declared.infrastructure):
        raise AuditConfigError("it is not recorded who reads the log: there is no audit_view (AUDIT_LOG_VIEWS)")
    view = sa.table(name.name, sa.column("id", sa.BigInteger), sa.column("query", JSONB), schema=name.schema)
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    found = sa.func.strpos(sa.func.lower(sa.cast(view.c.query, Text)), sa.func.lower(sa.literal(written, Text)))
    with open_batches(engine, Patience(lock_timeout, tries), ()) as batches:

        def work() -> Redacted:
            ids = list(batches.connection.scalars(sa.select(view.c.id).where(found > 0).order_by(view.c.id)))
            if ids and not dry_run:
                log = begin(batches.connection, declared, selection.installed, reason, name, None)
                erase_views(batches.connection, declared, log, ids)
            return Redacted(name.display, None, len(ids), {"query": len(ids)}, dry_run)

        return batches.run(work)
