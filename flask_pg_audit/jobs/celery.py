"""Celery tasks record themselves and the user who queued them (extra ``celery``)."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals

from .carried import CARRIED_KEY, carry, job_scope

_SCOPE = "_flask_pg_audit_scope"


def carry_into_celery(celery: Celery) -> None:
    """Make ``celery``'s tasks record who queued them; call it once, where the Celery app is made.

    A task is run in ``audit.context(username=…, actor_id=…, request_id=…, job=…, job_id=…)``, with the user and the
    request that queued it; a task that a schedule queued is recorded as ``celery:<task name>``. A task that is called
    eagerly runs in its caller's context. Tasks need an application context, as for Flask-SQLAlchemy.

    .. versionadded:: 0.1
    """

    def publish(headers: dict[str, Any], **_: Any) -> None:
        if carried := carry():
            headers[CARRIED_KEY] = carried

    def start(task: Any, task_id: str, **_: Any) -> None:
        if task.app is not celery or task.request.is_eager:
            return
        scope = job_scope(task.name, task_id, getattr(task.request, CARRIED_KEY, None), "celery")
        scope.__enter__()
        setattr(task.request, _SCOPE, scope)

    def finish(task: Any, **_: Any) -> None:
        scope = task.request.__dict__.pop(_SCOPE, None)
        if scope is not None:
            scope.__exit__(None, None, None)

    # weak=False: nobody else keeps these functions.
    signals.before_task_publish.connect(publish, weak=False)
    signals.task_prerun.connect(start, weak=False)
    signals.task_postrun.connect(finish, weak=False)
