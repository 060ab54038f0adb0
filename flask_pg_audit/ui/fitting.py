"""Pages that list things stay short: what does not fit is behind the link to the next page."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from .rendering import render_page
from .room import MAX_PAGE, ROOMS


class Listing(Protocol):
    """A page with rows."""

    @property
    def row_count(self) -> int: ...
    def shortened(self: _L, number: int) -> _L:
        """The same with so many of its rows, and a way to the others."""


_L = TypeVar("_L", bound=Listing)

#: Rows that a page keeps, with less of each, if there are so many.
LEAST_ROWS = 25


def render_list(template: str, page: _L, **values: Any) -> tuple[str, _L]:
    """As :func:`.rendering.render_page`, with fewer rows where many do not fit; and the page that was rendered.

    Fewer rows are better than rows of which little is shown; where few do not fit, less is shown of each.
    """
    body = render_page(template, page=page, room=ROOMS[0], **values)
    while (size := len(body.encode())) > MAX_PAGE and page.row_count > LEAST_ROWS:
        # A tenth less than the average row lets expect.
        page = page.shortened(max(LEAST_ROWS, min(page.row_count - 1, page.row_count * MAX_PAGE * 9 // size // 10)))
        body = render_page(template, page=page, room=ROOMS[0], **values)
    if size > MAX_PAGE:
        body = render_page(template, page=page, **values)
    return body, page
