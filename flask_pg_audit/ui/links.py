"""Links between the pages: the URL is the whole state."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flask import request, url_for

from ..history.excerpts import Field
from ..history.key import format_key
from ..history.position import Position
from .language import message
from .viewer import get_viewer

#: The pages that are linked from every page: endpoint and label.
NAVIGATION = (
    ("overview", message("Overview")),
    ("index", message("Changes")),
    ("table", message("Tables")),
    ("views", message("Readers")),
)

#: Arguments of a URL that :func:`url_for` would take for its own.
_RESERVED = re.compile("endpoint|_.*", re.DOTALL)


def link(endpoint: str, **arguments: object) -> str:
    """The URL of a page of ours, for the database and time zone that are being looked at.

    ``None`` and ``""`` are left out of the query string.
    """
    viewer = get_viewer()
    kept = {"bind": viewer.bind, "tz": viewer.zone_name, **arguments}
    # A Position as it is would count as a list.
    texts = {name: str(value) for name, value in kept.items() if value is not None}
    given = {name: text for name, text in texts.items() if text != ""}
    return url_for(f"audit.{endpoint}", **given)  # type: ignore[arg-type]


def here(**arguments: str) -> str:
    """The URL of the page that is being shown, with other arguments; ``""`` takes one out."""
    kept = {**request.args.to_dict(flat=False), **{name: [value] for name, value in arguments.items() if value}}
    taken_out = [name for name, value in arguments.items() if value == ""]
    texts = {
        name: values
        for name, values in kept.items()
        if name not in taken_out and values != [""] and not _RESERVED.fullmatch(name)
    }
    return url_for(request.endpoint or "audit.index", **texts)  # type: ignore[arg-type]


def revert_link(table_key: str, key: Sequence[Field], **place: Position) -> str | None:
    """The URL of the preview of bringing a record back ``to`` what it was after a change, or ``before`` it.

    ``None`` for those who may not, and where :func:`record_link` is.
    """
    if not get_viewer().may_revert or (text := _key_text(table_key, key)) is None:
        return None
    return link("revert", table=table_key, key=text, **place)


def record_link(table_key: str, key: Sequence[Field]) -> str | None:
    """The URL of a record's page; ``None`` when its key is not known whole.

    :param key: of an :class:`~flask_pg_audit.history.excerpts.Excerpt`.
    """
    text = _key_text(table_key, key)
    return None if text is None else link("record", table=table_key, key=text)


def _key_text(table_key: str, key: Sequence[Field]) -> str | None:
    table = get_viewer().metadata.tables.get(table_key)
    if table is None or len(key) != len(table.primary_key) or not key:
        return None
    values = [field.value for field in key]
    if any(value is None or value.text is None or value.is_cut for value in values):
        return None
    return format_key([value.text for value in values if value is not None])


def table_link(table_key: str) -> str:
    """The URL of a table's page."""
    return link("table", name=table_key)


def change_link(table_key: str, position: Position, column: str | None = None) -> str:
    """The URL of one change with its values in full, or with as much of one column as can be shown."""
    return link("change", table=table_key, at=position, column=column)
