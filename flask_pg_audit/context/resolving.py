"""Asking the application who acts, safely."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar

from ..errors import AuditContextError

#: Returns the settings to apply now, ``audit.<name>`` to text, or ``None`` to leave the transaction alone.
Resolver = Callable[[], Mapping[str, str] | None]

_resolving: ContextVar[bool] = ContextVar("flask_pg_audit.resolving", default=False)


def resolve_guarded(resolve: Resolver) -> Mapping[str, str] | None:
    """Call ``resolve``; refuse a write that is made in order to find out who writes.

    :raises AuditContextError: such a write.
    """
    if _resolving.get():
        raise AuditContextError(
            "the code that tells who is logged in (user loader, actor_loader or context_loader) changes data itself; "
            "who made that change cannot be told. Make it outside the loader, or inside audit.context(username=...)"
        )
    token = _resolving.set(True)
    try:
        return resolve()
    finally:
        _resolving.reset(token)
