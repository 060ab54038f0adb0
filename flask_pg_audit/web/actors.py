"""Who is logged in: one answer out of the mechanisms that Flask apps use."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import click
from flask import Flask, g, has_app_context, has_request_context

from ..errors import AuditContextError

_NAME_ATTRIBUTES = ("username", "email", "name", "get_id")
_ID_ATTRIBUTES = ("get_id", "id")


@dataclass(frozen=True)
class Actor:
    """Who makes a change.

    :ivar username: as a person would name them.
    :ivar id: the user's primary key or whatever identifies them for good, as text.
    """

    username: str | None = None
    id: str | None = None


NOBODY = Actor()


def find_user(app: Flask) -> object:
    """The user object of the running request, by Flask-Login if the app has it, else ``g.user``; else ``None``."""
    if has_request_context() and hasattr(app, "login_manager"):
        from flask_login import current_user

        # Resolved at every call: login_user() and logout_user() count from the next write on.
        user = current_user._get_current_object()
        if user is not None and getattr(user, "is_authenticated", False):
            return user
    return g.get("user") if has_app_context() else None


def build_actor(user: object, attribute: str | None) -> Actor:
    """Name and id of a user object, mapping, string, or :class:`Actor`; ``None`` and ``""`` are nobody.

    :param attribute: the attribute that names the user; ``None`` means the first of the usual ones.
    :raises AuditContextError: the object has no such attribute, or its value is not text or a number.
    """
    if user is None or user == "":
        return NOBODY
    if isinstance(user, Actor):
        return user
    if isinstance(user, str):
        return Actor(username=user)
    names = (attribute,) if attribute else _NAME_ATTRIBUTES
    username = _first(user, names)
    if username is None:
        raise AuditContextError(
            f"the logged-in user is a {type(user).__name__}, which has none of the attributes {', '.join(names)} "
            "(or they are empty); set AUDIT_USERNAME_ATTRIBUTE or give an @audit.actor_loader"
        )
    return Actor(username, _first(user, _ID_ATTRIBUTES))


def _first(user: object, names: tuple[str, ...]) -> str | None:
    for name in names:
        value = user.get(name) if isinstance(user, Mapping) else getattr(user, name, None)
        value = value() if callable(value) else value
        if value is not None and value != "":
            return _text(value, name)
    return None


def _text(value: object, name: str) -> str:
    # Anything else would be recorded as its repr: "<Company 7>" is nobody's name.
    if not isinstance(value, (str, int, uuid.UUID)):
        raise AuditContextError(f"the user's attribute {name!r} is {value!r}, which is no text, whole number or UUID")
    return str(value)


def command_name() -> str | None:
    """The running command, ``cli:<command path>``; ``None`` when none runs."""
    command = click.get_current_context(silent=True)
    return f"cli:{command.info_name}" if command is not None else None
