"""The search of a request: the text ``q``, or what the form's controls say, which is the same text."""

from __future__ import annotations

import datetime
from dataclasses import fields

from flask import request

from .search import Form, Query, parse
from .viewer import Reading, Viewer

#: The names of the form's controls in the query string: ``form.actor``.
FORM_PREFIX = "form."


def read_query(viewer: Viewer, reading: Reading) -> Query:
    """What the request asks for, among what the viewer may see."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return parse(request.args.get("q", ""), reading.tables, viewer.zone, now)


def read_form() -> str | None:
    """The text that the controls of a submitted form write; ``None`` when no form was submitted."""
    names = [field.name for field in fields(Form)]
    values = {name: request.args[FORM_PREFIX + name].strip() for name in names if FORM_PREFIX + name in request.args}
    return str(Form(**values)) if values else None
