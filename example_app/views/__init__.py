"""The pages, one module per noun; all but the login page are for users who are logged in."""

from __future__ import annotations

from flask import Flask, redirect, url_for
from werkzeug.wrappers import Response

from . import auth, customers, orders, products, users


def init_app(app: Flask) -> None:
    """Register the pages."""
    for noun in (auth, customers, orders, products, users):
        app.register_blueprint(noun.blueprint)
    app.add_url_rule("/", "home", _home)


def _home() -> Response:
    return redirect(url_for("orders.index"))
