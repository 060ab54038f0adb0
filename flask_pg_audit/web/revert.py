"""What :class:`FlaskAudit` offers for bringing rows back."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ..history.change import Change
from ..history.position import Position
from ..revert import Reverted, restore, revert, revert_transaction, undelete
from .state import get_state


class RevertMethods:
    """Write through ``db.session``, as audited changes like any other; committing is the caller's."""

    def revert(
        self,
        changes: Change | Iterable[Change],
        *,
        columns: Iterable[str] | None = None,
        force: bool = False,
        values: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        bind: str | None = None,
    ) -> Reverted:
        """Undo recorded changes.

        :raises AuditConflictError: see :func:`flask_pg_audit.revert.revert`.

        .. versionadded:: 0.1
        """
        state = get_state()
        metadata = state.metadata(bind)
        return revert(state.db.session, metadata, changes, columns=columns, force=force, values=values, dry_run=dry_run)

    def revert_transaction(
        self,
        transaction_id: int,
        *,
        continued: bool = False,
        tables: Collection[object] = (),
        force: bool = False,
        values: Mapping[str, Any] | None = None,
        dry_run: bool = False,
        bind: str | None = None,
    ) -> Reverted:
        """Undo everything that one transaction changed.

        :raises AuditConflictError: see :func:`flask_pg_audit.revert.revert_transaction`.

        .. versionadded:: 0.1
        """
        state = get_state()
        metadata = state.metadata(bind)
        return revert_transaction(
            state.db.session,
            metadata,
            transaction_id,
            continued=continued,
            tables=tables,
            force=force,
            values=values,
            dry_run=dry_run,
        )

    def restore(
        self,
        entity: object,
        key: object = None,
        *,
        to: Position | datetime.datetime,
        columns: Iterable[str] | None = None,
        force: bool = False,
        values: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Reverted:
        """Bring one record back to what it was at a position or an instant, whatever happened since.

        :raises AuditConflictError: see :func:`flask_pg_audit.revert.restore`.

        .. versionadded:: 0.1
        """
        session = get_state().db.session
        return restore(session, entity, key, to=to, columns=columns, force=force, values=values, dry_run=dry_run)

    def undelete(
        self,
        entity: object,
        key: object = None,
        *,
        cascade: bool = True,
        force: bool = False,
        values: Mapping[str, Any] | None = None,
        dry_run: bool = False,
    ) -> Reverted:
        """Bring a deleted record back, with the rows that were deleted with it and referred to it.

        :raises AuditConflictError: see :func:`flask_pg_audit.revert.undelete`.

        .. versionadded:: 0.1
        """
        session = get_state().db.session
        return undelete(session, entity, key, cascade=cascade, force=force, values=values, dry_run=dry_run)
