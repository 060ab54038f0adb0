"""One line of ``flask audit views``."""

from __future__ import annotations

import datetime
import json

from ...ui.text import visible
from ...ui.view_log import RecordedView


def render_view(view: RecordedView) -> str:
    """When (UTC), who and from where, what, how many rows, and what was asked for.

    Whoever made the request chose parts of it; on a terminal no character of it does anything.
    """
    when = view.viewed_at.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    who = view.username or view.actor_id or "nobody"
    place = f" from {view.remote_addr}" if view.remote_addr else ""
    rows = "" if view.row_count is None else f", {view.row_count:,} rows"
    query = f" {json.dumps(view.query, ensure_ascii=False)}" if view.query else ""
    return visible(f"{when}  {who}{place}  {view.action} {view.page}{rows}{query}").replace("\n", "⟨U+000A⟩")
