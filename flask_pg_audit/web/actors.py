"""Who is logged in: one answer out of the mechanisms that Flask apps use."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import click
from flask import Flask, g, has_app_context, has_request_context, request

from ..errors import AuditContextError

_NAME_ATTRIBUTES = ("username", "email", "name", "get_id")
# The primary key first: get_id() may be a token that changes with the password (Flask-Security, Flask-Login's
# "alternative tokens").
_ID_ATTRIBUTES = ("id", "get_id")


@dataclass(frozen=True)
class Actor:
    """Who makes a change.

    :ivar username: as a person would name them.
    :ivar id: the user's primary key or whatever identifies them for good, as text.
    :ivar acting_as: whom an impersonating user acts as. What is recorded as the user is the real one;
        ``acting_as`` goes into ``audit_transaction.context``.
    """

    username: str | None = None
    id: str | None = None
    acting_as: Actor | None = None


NOBODY = Actor()


def find_user(app: Flask, trust_basic_auth: bool) -> object:
    """The user object of what is running, or ``None``: the first answer of the mechanisms that the app uses.

    Flask-Login (and Flask-Security, which builds on it), Flask-JWT-Extended, Flask-HTTPAuth, ``g.user``, and, in an
    app that has none of the first two, the name in an HTTP basic ``Authorization`` header.
    """
    user: object = None
    if has_request_context():
        user = _login_user(app) or _jwt_user(app)
    if user is None and has_app_context():
        user = g.get("flask_httpauth_user") or g.get("user")
    if user is None and trust_basic_auth and has_request_context() and not _authenticates(app):
        user = _basic_user()
    return user


def _authenticates(app: Flask) -> bool:
    return hasattr(app, "login_manager") or "flask-jwt-extended" in app.extensions


def _login_user(app: Flask) -> object:
    if not hasattr(app, "login_manager"):
        return None
    from flask_login import current_user

    # Resolved at every call: login_user() and logout_user() count from the next write on.
    user = current_user._get_current_object()
    return user if user is not None and getattr(user, "is_authenticated", False) else None


def _jwt_user(app: Flask) -> object:
    """The identity in a token that the view had verified; an unverified token names nobody."""
    if "flask-jwt-extended" not in app.extensions:
        return None
    from flask_jwt_extended import get_current_user, get_jwt_identity

    try:
        identity = get_jwt_identity()
    except RuntimeError:  # no verify_jwt_in_request() or @jwt_required() in this request
        return None
    try:
        return get_current_user() or identity
    except RuntimeError:  # the app has no user_lookup_loader
        return identity


def _basic_user() -> object:
    authorization = request.authorization
    return authorization.username if authorization is not None and authorization.type == "basic" else None


def build_actor(user: object, attribute: str | None) -> Actor:
    """Name and id of a user object, mapping, string, number, or :class:`Actor`; ``None`` and ``""`` are nobody.

    :param attribute: the attribute that names the user; ``None`` means the first of the usual ones.
    :raises AuditContextError: the object has no such attribute, or its value is neither text, a whole number nor a
        UUID.
    """
    if user is None or user == "":
        return NOBODY
    if isinstance(user, Actor):
        return user
    if isinstance(user, (str, int, uuid.UUID)):
        return Actor(str(user), str(user))
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
    """The running command, ``cli:<command>``; ``None`` when none runs."""
    command = click.get_current_context(silent=True)
    return f"cli:{command.info_name}" if command is not None else None
