"""What answers the pages' requests: read, render, nothing else."""

from __future__ import annotations

from flask import make_response, redirect, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest, NotFound

from ..declare.columns import OPERATION_LABELS
from ..history.arrivals import Mark
from .arguments import read_position
from .change import read_change_page
from .feed import read_feed_page
from .fitting import render_list
from .language import gettext
from .links import link
from .overview import read_overview
from .record import read_record_page
from .rendering import render_page
from .room import FULL
from .search import form_of
from .searching import read_form, read_query
from .table import read_table_page, read_tables_page
from .tail import build_tail, look, read_mark, read_news
from .transaction import read_transaction_page
from .viewer import get_viewer
from .views import log_view, read_views_page

#: Takes the place of the frame, where the groups alone are wanted.
_FRAGMENT = "flask_pg_audit/fragment.html"


def show_feed() -> ResponseReturnValue:
    """The newest transactions and what they changed."""
    viewer, submitted = get_viewer(), read_form()
    if submitted is not None:
        return redirect(link("index", q=submitted), 303)
    sight = look(viewer)
    with viewer.read() as reading:
        query = read_query(viewer, reading)
        page = read_feed_page(viewer, reading, query)
    body, page = render_list(
        "feed.html",
        page,
        query=query,
        tail=build_tail(viewer, page, query, sight) if sight is not None else None,
        form=form_of(query),
        table_names=[table.table.key for table in reading.tables],
        operations=list(OPERATION_LABELS.values()),
    )
    log_view(viewer, "search" if query.text.strip() else "view", page.row_count)
    return _with_links(body, page.newer_url, page.older_url)


def show_news() -> ResponseReturnValue:
    """What has arrived since the newest page of the feed was read: its groups, to be put into that page."""
    viewer, known = get_viewer(), read_mark()
    sight = look(viewer, known)
    if sight is None:
        return "", 204
    with viewer.read() as reading:
        query = read_query(viewer, reading)
        news = read_news(viewer, reading, query, known or Mark(), sight)
    body, news = render_list("feed.html", news, query=query, fpa_page=_FRAGMENT)
    if news.groups or known is None:
        log_view(viewer, "search" if query.text.strip() else "view", news.row_count)
    is_news = bool(news.groups) or news.bottom is not None
    return body if is_news else "", 200 if is_news else 204, {"X-Audit-Mark": news.mark}


def show_transaction() -> ResponseReturnValue:
    """Everything that one transaction changed, a page at a time."""
    viewer = get_viewer()
    with viewer.read() as reading:
        page = read_transaction_page(viewer, reading)
    if page is None:
        raise NotFound(gettext("There is no such transaction, or nothing of it is yours to see."))
    body, page = render_list("transaction.html", page)
    log_view(viewer, "view", page.row_count)
    return _with_links(body, page.previous_url, page.next_url)


def show_change() -> ResponseReturnValue:
    """One change with its values in full."""
    place = read_position("at")
    if place is None:
        raise BadRequest(gettext("at: say which change."))
    with get_viewer().read() as reading:
        page = read_change_page(reading, request.args.get("table", ""), place, request.args.get("column"))
    if page is None:
        raise NotFound(gettext("There is no such change, or it is not yours to see."))
    log_view(get_viewer(), "view", 1)
    return render_page("change.html", room=FULL, page=page, change=page.change)


def show_record() -> ResponseReturnValue:
    """The timeline of one record."""
    viewer = get_viewer()
    with viewer.read() as reading:
        page = read_record_page(viewer, reading)
    body, page = render_list("record.html", page)
    log_view(viewer, "view", page.row_count)
    return _with_links(body, page.newer_url, page.older_url)


def show_table() -> ResponseReturnValue:
    """One table, or the list of all."""
    viewer = get_viewer()
    findings = viewer.check()
    if "name" not in request.args:
        with viewer.read() as reading:
            lines = read_tables_page(viewer, reading, findings)
        log_view(viewer, "view", len(lines))
        return render_page("tables.html", lines=lines)
    with viewer.read() as reading:
        page = read_table_page(viewer, reading, findings)
    log_view(viewer, "view")
    return render_page("table.html", page=page)


def show_overview() -> ResponseReturnValue:
    """What is going on in the whole log."""
    viewer = get_viewer()
    findings = viewer.check()
    with viewer.read() as reading:
        page = read_overview(viewer, reading, findings)
    log_view(viewer, "view")
    return render_page("overview.html", page=page)


def show_views() -> ResponseReturnValue:
    """Who read the log."""
    viewer = get_viewer()
    page = read_views_page(viewer)
    body, page = render_list("views.html", page)
    log_view(viewer, "view", page.row_count)
    return _with_links(body, None, page.older_url)


def _with_links(body: str, previous: str | None, following: str | None) -> ResponseReturnValue:
    """The pages beside this one, in the header ``Link`` too."""
    response = make_response(body)
    for rel, url in (("prev", previous), ("next", following)):
        if url is not None:
            response.headers.add("Link", f'<{url}>; rel="{rel}"')
    return response
