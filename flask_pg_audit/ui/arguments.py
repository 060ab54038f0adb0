"""What the query string says, or a sentence about what it should have said."""

from __future__ import annotations

import datetime
import re

from flask import request
from werkzeug.exceptions import BadRequest

from ..history.position import Position
from .language import gettext

MIN_ID, MAX_ID = -(2**63), 2**63 - 1
_ID = re.compile(r"-?[0-9]{1,19}", re.ASCII)


def read_position(name: str) -> Position | None:
    """A position.

    :raises werkzeug.exceptions.BadRequest: it is none.
    """
    token = request.args.get(name)
    if token is None:
        return None
    try:
        return Position.parse(token)
    except ValueError as error:
        raise BadRequest(
            gettext(
                "%(name)s: %(text)s is no position in the log; it has to look like %(example)s.",
                name=name,
                text=repr(token),
                example="12.345",
            )
        ) from error


def read_list(name: str) -> tuple[str, ...]:
    """Values separated by commas, or given several times as a form does; each once."""
    values = (value.strip() for text in request.args.getlist(name) for value in text.split(","))
    return tuple(dict.fromkeys(value for value in values if value))


def read_moment(name: str, zone: datetime.tzinfo) -> datetime.datetime | Position | None:
    """A position, or a time, which without an offset is one in ``zone``; ``None`` if there is none.

    :raises werkzeug.exceptions.BadRequest: it is neither.
    """
    text = request.args.get(name, "").strip()
    if text == "":
        return None
    try:
        return Position.parse(text)
    except ValueError:
        return _parse_time(name, text, zone)


def _parse_time(name: str, text: str, zone: datetime.tzinfo) -> datetime.datetime:
    # In a query string "+" is a space, and Python reads "Z" from 3.11 on only.
    written = text.replace("Z", "+00:00") if text.endswith("Z") else text
    if len(written) > 6 and written[-6] == " " and "T" in written:
        written = f"{written[:-6]}+{written[-5:]}"
    try:
        time = datetime.datetime.fromisoformat(written)
        time = time.replace(tzinfo=zone) if time.utcoffset() is None else time
        time.astimezone(zone)
        return time.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            gettext(
                "%(name)s: %(text)s is no time; it has to look like %(example)s.",
                name=name,
                text=repr(text[:40]),
                example="2026-01-31T14:00",
            )
        ) from error


def read_id(name: str) -> int | None:
    """A transaction's id from the query string.

    :raises werkzeug.exceptions.BadRequest: it is no number that fits into a ``bigint``.
    """
    text = request.args.get(name)
    if text is None:
        return None
    if not _ID.fullmatch(text) or not MIN_ID <= int(text) <= MAX_ID:
        raise BadRequest(gettext("%(name)s: %(text)s is no number of a transaction.", name=name, text=repr(text[:40])))
    return int(text)


def prefers_json() -> bool:
    """Whether a program asks, not a person."""
    # Not by its path: a host may mount the pages below "/api" as well.
    is_api = (request.endpoint or "").startswith(("audit.api_", "audit.openapi"))
    return is_api or request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def refuse_both(before: object, after: object) -> None:
    """A page is before a place or after one.

    :raises werkzeug.exceptions.BadRequest: both are given.
    """
    if before is not None and after is not None:
        raise BadRequest(gettext("Give before or after, not both."))
