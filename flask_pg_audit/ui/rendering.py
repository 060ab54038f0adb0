"""Rendering our templates in somebody else's app."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Mapping
from typing import Any

from flask import current_app, url_for
from jinja2 import Environment, StrictUndefined, Undefined
from jinja2.filters import do_truncate
from markupsafe import Markup

from ..history.export_formats import FORMATS
from .catalog import get_language
from .chart import format_amount
from .csrf import FIELD as TOKEN_FIELD
from .differences import show_difference
from .language import template_gettext, template_ngettext
from .links import NAVIGATION, change_link, here, link, record_link, revert_link, table_link
from .numbers import format_number
from .query import of_record, term
from .room import MAX_PAGE, ROOMS, Room
from .size import format_size
from .state import get_ui_state
from .text import visible, visible_edges
from .values import clip, show_value
from .viewer import find_viewer

#: A host may have changed any of this for its own templates; ours rely on it, on the escaping above all.
_EXPECTED: Mapping[str, Any] = {
    "block_start_string": "{%",
    "block_end_string": "%}",
    "variable_start_string": "{{",
    "variable_end_string": "}}",
    "comment_start_string": "{#",
    "comment_end_string": "#}",
    "line_statement_prefix": None,
    "line_comment_prefix": None,
    "finalize": None,
    "autoescape": True,
}


def render_page(template: str, *, room: Room | None = None, **values: object) -> str:
    """Render ``flask_pg_audit/<template>``, the host's own if it has one of that name.

    The host's context processors are asked, since a template of its own may need them; but what they give never
    replaces what the page is told, and when one fails, that is logged and the page is shown without them.

    :param room: how much of each value is shown. Without it, as much as leaves the page below 200 KB: it is rendered
        again with less until it is.
    """
    common = {**_host_values(), "url_for": url_for, "fpa_language": get_language()}
    page = {**common, **_frame(), **values}
    found = _environment().get_template(f"flask_pg_audit/{template}")
    body = ""
    for fpa_room in ROOMS if room is None else (room,):
        body = _put_into_host(found.render({**page, "fpa_room": fpa_room}), common, page.get("fpa_cut"))
        if len(body.encode()) <= MAX_PAGE:
            break
    return body


def _put_into_host(body: str, common: Mapping[str, Any], cut: str | None) -> str:
    """The parts of a page in the blocks of the host's template; any other page as it is."""
    viewer = find_viewer()
    if viewer is None or cut is None or cut not in body:
        return body
    parts = [Markup(part) for part in body.split(cut)]  # noqa: S704 (rendered, with autoescaping)
    hosted = _environment().get_template("flask_pg_audit/_hosted.html")
    return hosted.render({**common, "fpa_host": viewer.state.config.ui_base_template, "fpa_parts": parts})


def _frame() -> dict[str, Any]:
    """What every page has around it; a refusal has nothing."""
    viewer = find_viewer()
    if viewer is None:
        return {}
    config = viewer.state.config
    return {
        "viewer": viewer,
        "link": link,
        "record_link": record_link,
        "change_link": change_link,
        "table_link": table_link,
        "revert_link": revert_link,
        "fpa_token_name": TOKEN_FIELD,
        "fpa_csrf_name": current_app.config.get("WTF_CSRF_FIELD_NAME", "csrf_token"),
        "fpa_base": "flask_pg_audit/_parts.html" if config.ui_base_template else "flask_pg_audit/base.html",
        # Nobody can know it, so that no value is taken for it.
        "fpa_cut": secrets.token_hex(16),
        "fpa_is_hosted": config.ui_base_template is not None,
        "fpa_nav": NAVIGATION,
        "fpa_binds": list(viewer.state.metadatas),
        "fpa_here": here,
        "fpa_term": term,
        "fpa_record_query": of_record,
        "fpa_formats": tuple(FORMATS),
        "fpa_local_zone": config.ui_time_zone,
    }


def _time(at: datetime.datetime, form: str = "%Y-%m-%d %H:%M:%S %Z") -> str:
    """In the viewer's time zone."""
    return _local(at).strftime(form)


def _local(at: datetime.datetime) -> datetime.datetime:
    viewer = find_viewer()
    return at.astimezone(viewer.zone if viewer is not None else datetime.timezone.utc)


def _clock(at: datetime.datetime) -> str:
    return _time(at, "%H:%M:%S %Z")


def _day(at: datetime.datetime) -> str:
    """A heading, in words; what stands beside a change is unambiguous in every language instead."""
    locale = get_language().locale
    if locale is None:
        return _time(at, "%A, %d %B %Y").replace(" 0", " ")
    from babel.dates import format_date

    return format_date(_local(at), "full", locale=locale)


def _host_values() -> dict[str, Any]:
    values: dict[str, Any] = {}
    try:
        current_app.update_template_context(values)
    except Exception:
        current_app.logger.exception("a template context processor failed; the audit log is shown without any")
    return values


def _environment() -> Environment:
    state = get_ui_state()
    if state.environment is None:
        environment = current_app.jinja_env.overlay(**_EXPECTED)
        # Ours ask for what may not be there; a host's own may lean on another leniency than this one.
        if issubclass(environment.undefined, StrictUndefined):
            environment.undefined = Undefined
        environment.filters = {
            **environment.filters,
            "fpa_visible": visible,
            "fpa_edges": visible_edges,
            "fpa_time": _time,
            "fpa_amount": format_amount,
            "fpa_number": format_number,
            "fpa_size": format_size,
            "fpa_clock": _clock,
            "fpa_day": _day,
            "fpa_value": show_value,
            "fpa_difference": show_difference,
            "fpa_clip": clip,
            "fpa_truncate": do_truncate,  # a name that hosts take for filters of their own
        }  # the host's own stay as they are
        environment.globals = {
            **environment.globals,
            "fpa_gettext": template_gettext,
            "fpa_ngettext": template_ngettext,
        }
        state.environment = environment
    return state.environment
