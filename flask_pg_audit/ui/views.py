"""Writing down who looked at the log, before they see it."""

from __future__ import annotations

from flask import request

from .view_log import View, ViewAction, record_view
from .viewer import Viewer


def log_view(viewer: Viewer, action: ViewAction, row_count: int | None = None) -> None:
    """Record a look, unless the application switched that off.

    :raises AuditError: it could not be recorded; then nothing may be shown.
    """
    if not viewer.state.config.log_views:
        return
    actor, request_id = viewer.state.who()
    view = View(
        action=action,
        page=request.endpoint or "",
        query=dict(request.args.items()),
        row_count=row_count,
        username=actor.username,
        actor_id=actor.id,
        remote_addr=request.remote_addr,
        request_id=request_id,
    )
    record_view(viewer.state.db.engines[viewer.bind], viewer.metadata, view)
