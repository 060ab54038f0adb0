"""Who may open which page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Flask, abort, render_template
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.exceptions import HTTPException

from .extensions import db, login_manager
from .models import Role, User

P = ParamSpec("P")
R = TypeVar("R")


def init_app(app: Flask) -> None:
    """Tell Flask-Login where to log in, and show refusals as pages of the shop."""
    login_manager.login_view = "auth.login"
    login_manager.user_loader(_load_user)
    app.register_error_handler(HTTPException, _show_error)
    app.add_template_global(Role)


def require_login() -> ResponseReturnValue | None:
    """A ``before_request`` function: the way to the login page for those who are not logged in."""
    if current_user.is_authenticated:
        return None
    return login_manager.unauthorized()  # type: ignore[no-any-return]


def allow(*roles: Role) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator for views: whoever has another role is refused."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            if current_user.role not in roles:
                abort(403)
            return view(*args, **kwargs)

        return guarded

    return decorate


#: For what changes the shop's data.
editing = allow(Role.ADMIN, Role.CLERK)


def _load_user(user_id: str) -> User | None:
    return db.session.get(User, int(user_id))


def _show_error(error: HTTPException) -> ResponseReturnValue:
    if error.response is not None:  # a redirect to the address with the slash, for instance
        return error.response
    return render_template("error.html", error=error), error.code or 500
