"""Who looked at the log: written down before they see it, and a page of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flask import request
from werkzeug.exceptions import Forbidden, NotFound

from .arguments import read_id
from .language import gettext
from .links import link
from .view_log import RecordedView, View, ViewAction, read_views, record_view
from .viewer import Viewer

#: What a page is asked for by, the most telling first. Nothing else is recorded: with enough of it somebody could push
#: out of the record what was asked for.
_ASKED = {
    "index": "q before after",
    "news": "q",
    "transaction": "id table before after",
    "change": "table at column",
    "record": "table key with a b as-of before after",
    "table": "name range",
    "overview": "range",
    "views": "before",
    "export": "q format",
    "api_tables": "",
    "api_transactions": "q before after limit",
    "api_changes": "q before after limit",
    "api_record": "table key before after limit",
    "revert": "table key to before children",
    "do_revert": "table key to before children",
}


@dataclass(frozen=True)
class ViewsPage:
    """Looks at the log, the newest first."""

    views: tuple[RecordedView, ...]
    older_url: str | None

    @property
    def row_count(self) -> int:
        """The looks that are shown."""
        return len(self.views)

    def shortened(self, number: int) -> ViewsPage:
        """The newest ``number`` of them."""
        views = self.views[:number]
        return ViewsPage(views, link("views", before=views[-1].id))


def read_views_page(viewer: Viewer) -> ViewsPage:
    """Read the page that the query string's ``before`` asks for.

    :raises werkzeug.exceptions.NotFound: the application does not record who reads the log.
    :raises werkzeug.exceptions.Forbidden: the viewer sees a part of the log only, and others may have seen more.
    """
    if not viewer.state.config.log_views:
        raise NotFound(gettext("This application does not record who reads the log."))
    if not viewer.sees_everything:
        raise Forbidden(gettext("You see a part of the log, so you may not see what others looked for."))
    size = viewer.state.config.page_size
    with viewer.read() as reading:
        views = read_views(reading.connection, viewer.metadata, before=read_id("before"), limit=size + 1)
    older = link("views", before=views[size - 1].id) if len(views) > size else None
    return ViewsPage(tuple(views[:size]), older)


def log_view(viewer: Viewer, action: ViewAction, row_count: int | None = None) -> None:
    """Record a look, unless the application switched that off.

    :raises AuditError: it could not be recorded; then nothing may be shown.
    """
    if viewer.state.config.log_views:
        view = build_view(viewer, action, row_count)
        record_view(viewer.state.db.engines[viewer.bind], viewer.metadata, view)


def build_view(viewer: Viewer, action: ViewAction, row_count: int | None) -> View:
    """What is recorded of the running request."""
    username, actor_id, request_id = viewer.state.who()
    return View(
        action=action,
        page=request.endpoint or "",
        query=_asked(),
        row_count=row_count,
        username=username,
        actor_id=actor_id,
        remote_addr=request.remote_addr,
        request_id=request_id,
    )


def is_look() -> bool:
    """Whether what is asked for is something of the log, and not a stylesheet."""
    return _page() in _ASKED


def _page() -> str:
    return (request.endpoint or "").removeprefix("audit.")


def _asked() -> Mapping[str, str | Sequence[str]]:
    """The arguments that the page understands. Of those that are given several times it takes the first, or all."""
    names = _ASKED[_page()].split()
    given = {name: request.args.getlist(name) for name in (*names, "bind", "tz") if name in request.args}
    return {name: values if name == "with" and len(values) > 1 else values[0] for name, values in given.items()}
