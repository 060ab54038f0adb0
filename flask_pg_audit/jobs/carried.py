"""What travels with a job, and the context it is run in."""

from __future__ import annotations

from collections.abc import Mapping

from flask import has_app_context

from ..context.scope import ContextScope
from ..web.resolve import find_actor
from ..web.state import get_state

#: The key in a message's headers or a job's meta data.
CARRIED_KEY = "flask_pg_audit"


def carry() -> dict[str, str | None]:
    """Who is acting now and in which request, as text; empty outside of an application context.

    :raises AuditContextError: the user cannot be worked out.
    """
    if not has_app_context():
        return {}
    actor, request_id = find_actor(get_state())
    return {"username": actor.username, "actor_id": actor.id, "request_id": request_id}


def job_scope(name: str, job_id: str | None, carried: Mapping[str, str | None] | None, runner: str) -> ContextScope:
    """The audit context of a running job: the job, and the user who caused it.

    :param carried: what :func:`carry` returned when the job was queued; without it (a schedule queued it) the user is
        ``<runner>:<name>``, like ``celery:reports.nightly``.
    """
    who = dict(carried) if carried else {"username": f"{runner}:{name}"}
    return ContextScope({"job": name, "job_id": job_id, **who})
