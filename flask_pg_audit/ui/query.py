"""Terms of the search language, for links that lead to the feed."""

from __future__ import annotations

import datetime

from .search import Term

_MINUTE = datetime.timedelta(minutes=1)


def term(name: str, value: str | None) -> str:
    """``name:value``; ``None`` is nobody."""
    return str(Term(name, (value,)))


def between(start: datetime.datetime, end: datetime.datetime) -> str:
    """The term for the time from ``start`` on until before ``end``, both on whole minutes of the viewer's zone.

    A range includes its last day or minute.
    """
    if start.time() == end.time() == datetime.time():
        first, last = start.date(), end.date() - datetime.timedelta(days=1)
        return f"at:{first}" if first == last else f"at:{first}..{last}"
    return f"at:{start:%Y-%m-%dT%H:%M}..{end - _MINUTE:%Y-%m-%dT%H:%M}"
