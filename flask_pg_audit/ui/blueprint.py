"""The audit-log pages: a blueprint that is closed by default and reads the history, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, request
from flask.typing import ResponseReturnValue
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError, TimeoutError
from werkzeug.exceptions import BadRequest, Forbidden, NotFound

from ..errors import AuditConfigError, AuditError, AuditInstallError, sqlstate
from . import api, pages
from .access import NO_ACCESS, Access, decide
from .arguments import prefers_json
from .catalog import speak_english
from .csrf import is_from_elsewhere
from .export import download
from .language import gettext, message
from .problem import answer_problem, answer_refusal
from .reverting import carry_out, show_preview
from .state import get_ui_state
from .viewer import find_viewer, open_viewer
from .views import is_look, log_view

_CLOSED = (
    "The audit log is closed: this application has no access rule. Register one with @audit.access_loader; it "
    "returns True for those who may read the log."
)

#: Why the log cannot be read, by SQLSTATE, and the way out.
_NOT_INSTALLED = (
    message("Not installed"),
    message("The audit tables are not in the database. Run: flask audit install"),
)
_TOO_LONG = (
    message("Busy"),
    message("The database took longer than it may for one question. Try again, or ask for less."),
)
_UNREADABLE = {
    "57014": _TOO_LONG,  # by a statement_timeout
    "55P03": _TOO_LONG,  # by a lock_timeout: somebody changes the tables
    "42P01": _NOT_INSTALLED,
    "3F000": _NOT_INSTALLED,
    "42703": (
        message("Outdated"),
        message("The audit tables lack a column that the application declares. Run: flask audit install"),
    ),
    "42501": (
        message("Not permitted"),
        message("The application's database role may not read the audit tables. Grant it SELECT on them."),
    ),
}
_BUSY = (
    message("Busy"),
    message(
        "No database connection was free to read the log. Try again, or give the application's pool more connections."
    ),
)

#: Our own scripts and styles, nothing from elsewhere, no framing, nothing kept in caches.
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With "no-referrer" browsers say "Origin: null" of our own forms, and Flask-WTF looks for a Referer.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}

#: Every page: its endpoint, its place below the prefix, and what answers.
_PAGES: tuple[tuple[str, str, Callable[[], ResponseReturnValue]], ...] = (
    ("index", "/", pages.show_feed),
    ("news", "/news", pages.show_news),
    ("transaction", "/transaction", pages.show_transaction),
    ("change", "/change", pages.show_change),
    ("record", "/record", pages.show_record),
    ("table", "/table", pages.show_table),
    ("overview", "/overview", pages.show_overview),
    ("views", "/views", pages.show_views),
    ("export", "/export", download),
    ("api_tables", "/api/tables", api.list_tables),
    ("api_transactions", "/api/transactions", api.list_transactions),
    ("api_changes", "/api/changes", api.list_changes),
    ("api_record", "/api/record", api.show_record),
    ("openapi", "/api/openapi.json", api.show_openapi),
    ("revert", "/revert", show_preview),
)

#: What changes something: only by POST, never from another site.
_ACTIONS: tuple[tuple[str, str, Callable[[], ResponseReturnValue]], ...] = (("do_revert", "/revert", carry_out),)


def create_blueprint() -> Blueprint:
    """Build the blueprint ``audit`` with the endpoint ``audit.index`` and those of the other pages."""
    blueprint = Blueprint(
        "audit", __name__, template_folder="templates", static_folder="static", static_url_path="/static"
    )
    blueprint.before_request(_check_access)
    blueprint.after_request(_add_security_headers)
    for endpoint, rule, view in _PAGES:
        # Werkzeug would send "/audit" on to "/audit/", for good, before anybody is asked, and to whatever host the
        # request names.
        blueprint.add_url_rule(rule, endpoint=endpoint, view_func=view, strict_slashes=rule != "/")
    for endpoint, rule, view in _ACTIONS:
        blueprint.add_url_rule(rule, endpoint=endpoint, view_func=view, methods=["POST"])
    blueprint.register_error_handler(BadRequest, _bad_request)
    blueprint.register_error_handler(NotFound, _not_found)
    blueprint.register_error_handler(Forbidden, _forbidden)
    blueprint.register_error_handler(AuditError, _unavailable)
    blueprint.register_error_handler(ProgrammingError, _unreadable)
    blueprint.register_error_handler(OperationalError, _unreadable)
    blueprint.register_error_handler(TimeoutError, lambda error: answer_problem(503, *map(gettext, _BUSY)))
    return blueprint


def _check_access() -> ResponseReturnValue | None:
    """Before every route of the blueprint, static files included."""
    if prefers_json():
        speak_english()
    access = _granted()
    if not access.read:
        return answer_refusal(gettext("You may not read the audit log."))
    if request.method not in ("GET", "HEAD", "OPTIONS") and is_from_elsewhere():
        text = gettext("This form was sent from another site, so nothing was done.")
        return answer_refusal(text, gettext("Not from here"))
    open_viewer(access)
    return None


def _granted() -> Access:
    rule = current_app.extensions["audit"].callbacks.access_loader
    if rule is not None:
        return decide(rule)
    if _is_open_for_debugging():
        return Access(export=True)
    _warn_once()
    return NO_ACCESS


def _is_open_for_debugging() -> bool:
    """A request that a proxy passes on comes from the proxy's machine, whoever sent it.

    And a site whose name is made to lead to this machine has the browser here ask in that name, and reads the answer.
    """
    config = current_app.extensions["audit"].config
    is_direct = not any(name in request.headers for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"))
    is_here = request.remote_addr in ("127.0.0.1", "::1")
    is_by_name = urlsplit(f"//{request.host}").hostname in ("localhost", "127.0.0.1", "::1")
    return bool(config.ui_open_in_debug and current_app.debug and is_here and is_by_name and is_direct)


def _warn_once() -> None:
    """Once per app: everybody who likes can make requests, and so many lines."""
    state = get_ui_state()
    if not state.warned:
        state.warned = True
        current_app.logger.warning(_CLOSED)


def _unreadable(error: DBAPIError) -> ResponseReturnValue:
    reason = _UNREADABLE.get(sqlstate(error) or "")
    if reason is None:
        raise error
    return answer_problem(503, *map(gettext, reason))


def _unavailable(error: AuditError) -> ResponseReturnValue:
    """Who reads the log could not be recorded, say. A mistake in the application is its developer's to see."""
    if isinstance(error, AuditConfigError):
        raise error
    if isinstance(error, AuditInstallError):  # its text names a table, which may be hidden from who asks
        return answer_problem(503, *map(gettext, _NOT_INSTALLED))
    return answer_problem(503, gettext("Not available"), str(error))


def _bad_request(error: BadRequest) -> ResponseReturnValue:
    return _in_vain() or answer_problem(400, gettext("Bad request"), error.description or "")


def _forbidden(error: Forbidden) -> ResponseReturnValue:
    return answer_problem(403, gettext("No access"), error.description or "")


def _not_found(error: NotFound) -> ResponseReturnValue:
    return _in_vain() or answer_problem(404, gettext("Not found"), error.description or "")


def _in_vain() -> ResponseReturnValue | None:
    """That there is no such record is an answer too, and recorded as others are; what to answer if it cannot be."""
    viewer = find_viewer()
    if viewer is not None and viewer.state.metadatas and is_look():
        try:
            log_view(viewer, "view", 0)
        except AuditError as error:
            return _unavailable(error)
    return None


def _add_security_headers(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    return response
