"""The audit-log pages: a blueprint that is closed by default and reads the history, nothing else."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, make_response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import ProgrammingError, TimeoutError
from werkzeug.exceptions import BadRequest

from ..errors import sqlstate
from .access import decide
from .page import read_page
from .rendering import render_page
from .state import get_ui_state

_CLOSED = (
    "The audit log is closed: this application has no access rule. Register one with @audit.access_loader; it "
    "returns True for those who may read the log."
)

#: Why the log cannot be read, by SQLSTATE, and the way out.
_NOT_INSTALLED = ("Not installed", "The audit tables are not in the database. Run: flask audit install")
_UNREADABLE = {
    "42P01": _NOT_INSTALLED,
    "3F000": _NOT_INSTALLED,
    "42703": ("Outdated", "The audit tables lack a column that the application declares. Run: flask audit install"),
    "42501": (
        "Not permitted",
        "The application's database role may not read the audit tables. Grant it SELECT on them.",
    ),
}
_BUSY = (
    "Busy",
    "No database connection was free to read the log. Try again, or give the application's pool more connections.",
)

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
    blueprint.register_error_handler(BadRequest, _bad_request)
    return blueprint


def _check_access() -> ResponseReturnValue | None:
    """Before every route of the blueprint, static files included."""
    rule = current_app.extensions["audit"].callbacks.access_loader
    if rule is None:
        _warn_once()
    if decide(rule).read:
        return None
    return _message(403, "No access", "You may not read the audit log.")


def _warn_once() -> None:
    """Once per app: everybody who likes can make requests, and so many lines."""
    state = get_ui_state()
    if not state.warned:
        state.warned = True
        current_app.logger.warning(_CLOSED)


def _index() -> ResponseReturnValue:
    try:
        page = read_page(current_app.extensions["audit"], request.args)
    except ProgrammingError as error:
        reason = _UNREADABLE.get(sqlstate(error) or "")
        if reason is None:
            raise
        return _message(503, *reason)
    except TimeoutError:  # the access rule may hold the pool's last connection
        return _message(503, *_BUSY)
    response = make_response(render_page("feed.html", page=page))
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
    return render_page("message.html", title=title, text=text), status


def _add_security_headers(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    return response
