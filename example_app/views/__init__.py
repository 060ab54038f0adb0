"""The pages, one module per noun."""

from __future__ import annotations

from flask import Flask, redirect, url_for
from werkzeug.wrappers import Response

from ..access import require_login
from . import auth, customers, orders, products, users


def init_app(app: Flask) -> None:
    """Register the pages; all but the login page are for users who are logged in."""
    for noun in (customers, orders, products, users):
        noun.blueprint.before_request(require_login)
        app.register_blueprint(noun.blueprint)
    app.register_blueprint(auth.blueprint)
    app.add_url_rule("/", "home", _home)


def _home() -> Response:
    return redirect(url_for("orders.index"))
