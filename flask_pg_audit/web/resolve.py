"""From the running request, command or ``audit.context(...)`` to the session settings of a transaction."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click
from flask import current_app, g, has_app_context, has_request_context, request

from ..context.scope import current_scope
from ..context.settings import setting_text
from ..errors import AuditContextError
from .actors import NOBODY, Actor, build_actor, command_name, find_user
from .metadata import collect_metadata, request_id

if TYPE_CHECKING:
    from .state import AuditState

#: ``audit_transaction.context`` may be this long, as JSON text.
MAX_CONTEXT_LENGTH = 16_384

#: A user's name and id; with some mechanisms, a token say, the client chooses them.
MAX_WHO_LENGTH = 4_096

#: What says who; everything else says why.
_WHO = frozenset({"username", "actor_id"})

#: Made once: json.dumps() with options makes one for each call.
_JSON = json.JSONEncoder(allow_nan=False, sort_keys=True)

_MEMO = "_flask_pg_audit_memo"

T = TypeVar("T")


@dataclass(frozen=True)
class _Memo:
    """What was worked out last, and for what: compared by identity, so nothing has to be asked again."""

    cause: tuple[object, ...]
    settings: dict[str, str]


def resolve_settings(state: AuditState) -> dict[str, str]:
    """What the next write's transaction has to be told: ``audit.<name>`` to text.

    Who is logged in is looked at again for every write, the rest only when the user, the ``audit.context(...)`` around
    it or the request is another one. Every setting the app knows is named, empty where there is no value, so that
    nothing that was set before, in the transaction or in the session, is taken for this write.

    :raises AuditContextError: the user or the context cannot be worked out; the write then fails.
    """
    scope = current_scope()
    user = None if "username" in scope else _load_user(state)
    current = request._get_current_object() if has_request_context() else None  # type: ignore[attr-defined]
    # A command may run within an application context that outlives it, in tests say.
    cause = (user, scope, current, state.setting_names, click.get_current_context(silent=True))
    memo: _Memo | None = g.get(_MEMO) if has_app_context() else None
    if memo is not None and all(old is new for old, new in zip(memo.cause, cause, strict=True)):
        return memo.settings
    settings = _build_settings(state, user, scope)
    if has_app_context() and not isinstance(user, Actor):  # an Actor may be made anew for each call
        setattr(g, _MEMO, _Memo(cause, settings))
    return settings


def find_actor(state: AuditState) -> tuple[Actor, str | None]:
    """Who is acting now, and the id of the running request, if any.

    :raises AuditContextError: the user cannot be worked out.
    """
    scope = current_scope()
    user = None if "username" in scope else _load_user(state)
    return _build_actor(state, user, scope), request_id(state.config.request_id_header)


def _build_settings(state: AuditState, user: object, scope: Mapping[str, object]) -> dict[str, str]:
    actor = _build_actor(state, user, scope)
    values = {**_load_context(state), **scope}
    settings = {name: setting_text(name, values.get(name)) for name in state.setting_names - _WHO}
    # As text, the way the setting is recorded: a setting may be a UUID or a date, which JSON has none of.
    context = {name: settings.get(name) or value for name, value in values.items() if name not in _WHO}
    if actor.acting_as is not None:
        context["acting_as"] = {"username": actor.acting_as.username, "id": actor.acting_as.id}
    return {
        **{f"audit.{name}": value for name, value in settings.items()},
        "audit.username": _who_text("username", actor.username),
        "audit.actor_id": _who_text("actor_id", actor.id),
        "audit.context": _json(context),
    }


def _who_text(name: str, value: object) -> str:
    """Cut, it might be another one's."""
    text = setting_text(name, value)
    if len(text) > MAX_WHO_LENGTH:
        raise AuditContextError(
            f"the change was refused, because its {name} is {len(text):,} characters; at most {MAX_WHO_LENGTH:,} are "
            "recorded"
        )
    return text


def _build_actor(state: AuditState, user: object, scope: Mapping[str, object]) -> Actor:
    if "username" in scope:
        username, actor_id = scope["username"], scope.get("actor_id")
        return Actor(setting_text("username", username) or None, setting_text("actor_id", actor_id) or None)
    if user is None and not has_request_context():
        return Actor(command_name())
    return build_actor(user, state.config.username_attribute) if user is not None else NOBODY


def _load_user(state: AuditState) -> object:
    if not has_app_context():
        return None
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    loader = state.callbacks.actor_loader if has_request_context() else None
    find = loader or (lambda: find_user(app, state.config.trust_basic_auth))
    user = _call(state, find, "finding out who is logged in")
    return None if user == "" else user


def _load_context(state: AuditState) -> Mapping[str, Any]:
    values = collect_metadata(state.config)
    loader = state.callbacks.context_loader
    if loader is None or not has_request_context():
        return values
    loaded = _call(state, lambda: loader(values), "the context_loader")
    if not isinstance(loaded, Mapping):
        raise AuditContextError(f"the context_loader must return a dictionary, not {loaded!r}")
    return loaded


def _call(state: AuditState, function: Callable[[], T], what: str) -> T:
    """Call the application's code; whatever goes wrong in it fails the write that asked.

    It may query: without autoflush it cannot send the very changes whose maker is being looked up.
    """
    try:
        with state.db.session.no_autoflush:
            return function()
    except AuditContextError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise AuditContextError(
            f"the change was refused, because {what} failed: {type(error).__name__}: {reason}"
        ) from error


def _json(context: Mapping[str, Any]) -> str:
    present = {name: value for name, value in context.items() if value is not None}
    if not present:
        return ""
    try:
        text = _JSON.encode(present)
    except RecursionError as error:
        raise AuditContextError("the audit context is nested too deeply to be JSON") from error
    except (TypeError, ValueError) as error:
        raise AuditContextError(
            f"the audit context must be JSON (text, finite numbers, True, None, lists, dictionaries): {error}"
        ) from error
    if len(text) > MAX_CONTEXT_LENGTH:
        raise AuditContextError(
            f"the audit context is {len(text):,} characters of JSON; at most {MAX_CONTEXT_LENGTH:,} are recorded"
        )
    return _storable(text)


#: As json.dumps() writes halves of characters; two that belong together are a character.
_HALVES = re.compile(
    r"\\ud[89ab][0-9a-f]{2} (?! \\ud[c-f][0-9a-f]{2} ) | (?<! \\ud[89ab][0-9a-f]{2} ) \\ud[c-f][0-9a-f]{2}", re.VERBOSE
)


def _storable(text: str) -> str:
    r"""PostgreSQL's jsonb has no U+0000 and no half of a character; U+FFFD says where one was.

    json.dumps() writes them as \u0000 and \ud83d, and a backslash itself as \\.
    """
    if "\\u0000" not in text and "\\ud" not in text:
        return text
    text = text.replace("\\\\", "\0").replace("\\u0000", "\\ufffd")
    return _HALVES.sub(r"\\ufffd", text).replace("\0", "\\\\")
