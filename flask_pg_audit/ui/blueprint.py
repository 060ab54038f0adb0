"""The audit-log pages: a blueprint that is closed by default and reads the history, nothing else."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, make_response, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import ProgrammingError
from werkzeug.exceptions import BadRequest

from ..errors import sqlstate
from .access import decide
from .page import read_page
from .text import visible

_CLOSED = (
    "The audit log is closed: this application has no access rule. Register one with @audit.access_loader; it "
    "returns True for those who may read the log."
)

_UNDEFINED_TABLE, _UNDEFINED_COLUMN, _INVALID_SCHEMA = "42P01", "42703", "3F000"

#: No scripts, nothing from elsewhere, no framing, nothing kept in caches.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_blueprint() -> Blueprint:
    """Build the blueprint ``audit`` with the endpoint ``audit.index``."""
    blueprint = Blueprint(
        "audit", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
    )
    blueprint.before_request(_check_access)
    blueprint.after_request(_add_security_headers)
    blueprint.add_url_rule("/", endpoint="index", view_func=_index)
    blueprint.add_app_template_filter(visible, "fpa_visible")
    blueprint.register_error_handler(BadRequest, _bad_request)
    return blueprint


def _check_access() -> ResponseReturnValue | None:
    """Before every route of the blueprint, static files included."""
    rule = current_app.extensions["audit"].callbacks.access_loader
    if rule is None:
        current_app.logger.warning(_CLOSED)
    if decide(rule).read:
        return None
    return _message(403, "No access", "You may not read the audit log.")


def _index() -> ResponseReturnValue:
    try:
        page = read_page(current_app.extensions["audit"], request.args)
    except ProgrammingError as error:
        if sqlstate(error) not in (_UNDEFINED_TABLE, _UNDEFINED_COLUMN, _INVALID_SCHEMA):
            raise
        return _message(503, "Not installed", "The audit tables are not in the database. Run: flask audit install")
    response = make_response(render_template("flask_pg_audit/feed.html", page=page))
    for rel, url in (("prev", page.newer_url), ("next", page.older_url)):
        if url is not None:
            response.headers.add("Link", f'<{url}>; rel="{rel}"')
    return response


def _bad_request(error: BadRequest) -> ResponseReturnValue:
    return _message(400, "Bad request", error.description or "")


def _message(status: int, title: str, text: str) -> ResponseReturnValue:
    """One sentence, as a page for people and as JSON for clients."""
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        body: Any = {"error": text}
        return body, status
    return render_template("flask_pg_audit/message.html", title=title, text=text), status


def _add_security_headers(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    return response
