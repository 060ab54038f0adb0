"""A token in every form, so that no other site can submit one on a user's behalf.

Flask-WTF's ``CSRFProtect`` is the ready-made choice, and templates use both alike: ``csrf_token()``.
"""

from __future__ import annotations

import secrets

from flask import Flask, abort, request, session


def init_app(app: Flask) -> None:
    """Check the token of whatever changes something, on every page of the application."""
    app.add_template_global(csrf_token)
    app.before_request(_check)


def csrf_token() -> str:
    """The session's token, made when it is first needed."""
    token: str = session.setdefault("csrf_token", secrets.token_urlsafe())
    return token


def _check() -> None:
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return
    sent = request.form.get("csrf_token", "")
    if not secrets.compare_digest(sent.encode(), csrf_token().encode()):
        abort(400, "This form is too old. Please go back, reload the page and try again.")
