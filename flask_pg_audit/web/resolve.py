"""From the running request, command or ``audit.context(...)`` to the session settings of a transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flask import current_app, g, has_app_context, has_request_context, request

from ..context.scope import current_scope
from ..context.settings import setting_text
from ..errors import AuditContextError
from .actors import NOBODY, Actor, build_actor, command_name, find_user

if TYPE_CHECKING:
    from .state import AuditState

_ACTOR_MEMO = "_flask_pg_audit_actor"

#: Cut to this many characters: the user agent is the client's to choose.
_MAX_METADATA_LENGTH = 400


def resolve_settings(state: AuditState) -> dict[str, str]:
    """What the next write's transaction has to be told: ``audit.<name>`` to text.

    Every setting the app knows is named, empty where there is no value, so that nothing that was set before, in the
    transaction or in the session, is taken for this write.

    :raises AuditContextError: the user or the context cannot be worked out; the write then fails.
    """
    scope = current_scope()
    values: dict[str, Any] = {**_request_values(state), **scope}
    actor = _scope_actor(scope) if "username" in scope else _resolve_actor(state)
    context = {name: value for name, value in values.items() if name not in ("username", "actor_id")}
    settings = {name: context.pop(name, None) for name in state.setting_names if name != "username"}
    texts = {f"audit.{name}": setting_text(name, value) for name, value in settings.items()}
    texts["audit.username"] = setting_text("username", actor.username)
    texts["audit.actor_id"] = setting_text("actor_id", actor.id)
    texts["audit.context"] = _json(context)
    return texts


def _scope_actor(scope: Mapping[str, object]) -> Actor:
    return build_actor_from_values(scope.get("username"), scope.get("actor_id"))


def build_actor_from_values(username: object, actor_id: object) -> Actor:
    """An actor named outright; ``None`` stands for nobody."""
    return Actor(setting_text("username", username) or None, setting_text("actor_id", actor_id) or None)


def _resolve_actor(state: AuditState) -> Actor:
    user = _load_user(state)
    if user is None:
        command = None if has_request_context() else command_name()
        return Actor(command) if command else NOBODY
    memo: tuple[object, Actor] | None = g.get(_ACTOR_MEMO) if has_app_context() else None
    # One object, one answer: after a commit its attributes are expired, and reading them again would query.
    if memo is not None and memo[0] is user:
        return memo[1]
    actor = build_actor(user, state.config.username_attribute)
    if has_app_context():
        setattr(g, _ACTOR_MEMO, (user, actor))
    return actor


def _load_user(state: AuditState) -> object:
    if not has_app_context():
        return None
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    try:
        # A user loader may query: without autoflush it cannot send the very changes whose maker is being looked up.
        with state.db.session.no_autoflush:
            if state.callbacks.actor_loader is not None:
                return state.callbacks.actor_loader()
            return find_user(app)
    except AuditContextError:
        raise
    except Exception as error:
        raise AuditContextError(
            f"the change was refused, because finding out who is logged in failed: {type(error).__name__}: {error}"
        ) from error


def _request_values(state: AuditState) -> dict[str, Any]:
    values = _request_metadata() if has_request_context() else _command_metadata()
    if state.callbacks.context_loader is None or not has_app_context():
        return values
    try:
        with state.db.session.no_autoflush:
            loaded = state.callbacks.context_loader(dict(values))
    except AuditContextError:
        raise
    except Exception as error:
        raise AuditContextError(
            f"the change was refused, because the context_loader failed: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(loaded, Mapping):
        raise AuditContextError(f"the context_loader must return a dictionary, not {loaded!r}")
    return dict(loaded)


def _request_metadata() -> dict[str, Any]:
    """Nothing secret: no query string, body, cookie or authorization."""
    return {
        "endpoint": request.endpoint,
        "method": request.method,
        "path": request.path[:_MAX_METADATA_LENGTH],
        "remote_addr": request.remote_addr,
        "user_agent": request.user_agent.string[:_MAX_METADATA_LENGTH] or None,
    }


def _command_metadata() -> dict[str, Any]:
    command = command_name()
    return {"command": command} if command else {}


def _json(context: Mapping[str, Any]) -> str:
    present = {name: value for name, value in context.items() if value is not None}
    if not present:
        return ""
    try:
        # PostgreSQL's jsonb takes neither NaN nor U+0000.
        return json.dumps(present, allow_nan=False, ensure_ascii=True, sort_keys=True).replace("\\u0000", "\\ufffd")
    except (TypeError, ValueError) as error:
        raise AuditContextError(
            f"the audit context must be made of JSON values (text, numbers, True, None, lists, dictionaries): {error}"
        ) from error
