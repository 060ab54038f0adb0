"""``with audit.context(...)``: who and why for code that runs outside a request, or for a part of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

#: What the innermost scope says, outer scopes merged in. A ``ContextVar`` is inherited by tasks and by threads that
#: are started with ``copy_context()``.
_scope: ContextVar[Mapping[str, object]] = ContextVar("flask_pg_audit.scope", default=MappingProxyType({}))


@contextmanager
def context_scope(**values: object) -> Iterator[None]:
    """Add ``values`` to what is recorded inside the block; inner values win, the outer ones come back at its end.

    Usable as a decorator. ``username`` and ``actor_id`` say who; names of declared session settings fill those;
    everything else goes into ``audit_transaction.context``.
    """
    token = _scope.set(MappingProxyType({**_scope.get(), **values}))
    try:
        yield
    finally:
        _scope.reset(token)


def current_scope() -> Mapping[str, object]:
    """The values of all scopes around the running code; empty outside of any."""
    return _scope.get()
