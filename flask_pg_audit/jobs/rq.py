"""RQ jobs record themselves and the user who queued them (extra ``rq``)."""

from __future__ import annotations

from typing import Any

from rq.job import Job

from .carried import CARRIED_KEY, carry, job_scope


class AuditedJob(Job):
    """A job that carries who queued it; name it for queues and workers: ``Queue(job_class=AuditedJob)``.

    It is performed in ``audit.context(username=…, actor_id=…, request_id=…, job=…, job_id=…)``; a job queued outside
    of an application context is recorded as ``rq:<function>``. The job's function needs an application context, as
    for Flask-SQLAlchemy.

    .. versionadded:: 0.1
    """

    @classmethod
    def create(cls, *args: Any, **kwargs: Any) -> Job:
        job = super().create(*args, **kwargs)
        if carried := carry():
            job.meta[CARRIED_KEY] = carried
        return job

    def perform(self) -> Any:
        with job_scope(self.func_name or "?", self.id, self.meta.get(CARRIED_KEY), "rq"):
            return super().perform()
