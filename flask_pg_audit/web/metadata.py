"""What is recorded about a request or command besides who made it. Nothing secret: no query, body, cookie, token."""

from __future__ import annotations

import getpass
import re
import uuid
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from flask import Request, g, has_request_context, request

from .actors import command_name
from .config import AuditConfig

#: Cut to this many characters: the client chooses what is in them.
MAX_LENGTH = 400

_REQUEST_ID = "_flask_pg_audit_request_id"
_SAFE_REQUEST_ID = re.compile(r"[\w.:@/+=-]{1,128}", re.ASCII)

#: The keys of a request, each with where it comes from.
REQUEST_KEYS: Mapping[str, Callable[[Request], Any]] = {
    "method": lambda request: request.method,
    "path": lambda request: request.path,
    "endpoint": lambda request: request.endpoint,
    "blueprint": lambda request: request.blueprint,
    # The peer's address unless the app trusts its proxies through werkzeug.middleware.proxy_fix.ProxyFix.
    "remote_addr": lambda request: request.remote_addr,
    "user_agent": lambda request: request.user_agent.string or None,
}


def collect_metadata(config: AuditConfig) -> dict[str, Any]:
    """The metadata of the running request or command, as JSON values, without the keys that are switched off."""
    if has_request_context():
        # Each look through the proxy costs as much as what it finds.
        current = request._get_current_object()  # type: ignore[attr-defined]
        values = {key: _cut(read(current)) for key, read in REQUEST_KEYS.items()}
        values["request_id"] = request_id(config.request_id_header)
    else:
        values = _command_metadata()
    values |= _trace()
    return {key: value for key, value in values.items() if value is not None and key not in config.context_exclude}


def _cut(value: str | None) -> str | None:
    return value[:MAX_LENGTH] if value is not None else None


def request_id(header: str | None) -> str | None:
    """The running request's id, ``None`` outside of one.

    It is taken from the incoming ``header`` when that holds a plausible id (up to 128 letters, digits and
    ``.:@/+=_-``), else made up; the same for the whole request.
    """
    if not has_request_context():
        return None
    current = request._get_current_object()  # type: ignore[attr-defined]
    memo = g.get(_REQUEST_ID)
    # An outer application context, in tests say, may serve several requests with one g.
    if memo is None or memo[0] is not current:
        memo = (current, _incoming_id(header) or uuid.uuid4().hex)
        setattr(g, _REQUEST_ID, memo)
    return str(memo[1])


def _incoming_id(header: str | None) -> str | None:
    value = request.headers.get(header, "") if header else ""
    return value if _SAFE_REQUEST_ID.fullmatch(value) else None


def _command_metadata() -> dict[str, Any]:
    command = command_name()
    return {"command": command, "os_user": _os_user()} if command else {}


def _os_user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user id may have no name
        return None


def _trace() -> dict[str, Any]:
    """The ids of OpenTelemetry's current span, where that API is installed."""
    get_current_span = _find_opentelemetry()
    if get_current_span is None:
        return {}
    span = get_current_span().get_span_context()
    return {"trace_id": f"{span.trace_id:032x}", "span_id": f"{span.span_id:016x}"} if span.is_valid else {}


@cache
def _find_opentelemetry() -> Callable[[], Any] | None:
    try:
        from opentelemetry.trace import get_current_span
    except ImportError:
        return None
    found: Callable[[], Any] = get_current_span
    return found
