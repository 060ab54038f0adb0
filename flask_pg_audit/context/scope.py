"""``with audit.context(...)``: who and why for code that runs outside a request, or for a part of one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from functools import wraps
from types import MappingProxyType
from typing import Any, ParamSpec, TypeVar, cast

from ..errors import AuditConfigError

P = ParamSpec("P")
T = TypeVar("T")

_Values = Mapping[str, object]

#: What the innermost scope says, outer scopes merged in. A ``ContextVar`` is inherited by tasks and by threads that
#: are started with ``copy_context()``.
_scope: ContextVar[_Values] = ContextVar("flask_pg_audit.scope", default=MappingProxyType({}))


class ContextScope:
    """Adds values to what is recorded inside a ``with`` block, or in a function that it decorates.

    Inner values win; the outer ones come back at the end. Coroutine functions can be decorated too; generator functions
    cannot, since their body runs after the call.
    """

    def __init__(self, values: _Values) -> None:
        self._values = values
        self._tokens: list[Token[_Values]] = []

    def __enter__(self) -> None:
        self._tokens.append(_scope.set(MappingProxyType({**_scope.get(), **self._values})))

    def __exit__(self, *error: object) -> None:
        _scope.reset(self._tokens.pop())

    def __call__(self, function: Callable[P, T]) -> Callable[P, T]:
        """Decorate ``function``: each call runs in a scope of its own.

        :raises AuditConfigError: a generator function.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise AuditConfigError(
                f"audit.context() cannot decorate the generator {function.__qualname__}(); use a with block inside it"
            )
        if inspect.iscoroutinefunction(function):
            return cast("Callable[P, T]", self._decorate_coroutine(function))

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            with ContextScope(self._values):
                return function(*args, **kwargs)

        return call

    def _decorate_coroutine(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        async def call(*args: Any, **kwargs: Any) -> Any:
            with ContextScope(self._values):
                return await function(*args, **kwargs)

        return call


def current_scope() -> _Values:
    """The values of all scopes around the running code; empty outside of any."""
    return _scope.get()
