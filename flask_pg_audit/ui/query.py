"""Terms of the search language, for links that lead to the feed."""

from __future__ import annotations

import datetime
import re

_BARE = re.compile(r'[^\s",][^\s,]*')
_MINUTE = datetime.timedelta(minutes=1)


def term(name: str, value: str | None) -> str:
    """``name:value``; ``None`` is nobody."""
    if value is None:
        return f"{name}:nobody"
    is_bare = _BARE.fullmatch(value) is not None and value != "nobody"
    return f"{name}:{value}" if is_bare else f'{name}:"{value.replace(chr(34), chr(34) * 2)}"'


def between(start: datetime.datetime, end: datetime.datetime) -> str:
    """The term for the time from ``start`` on until before ``end``, both on whole minutes of the viewer's zone.

    A range includes its last day or minute.
    """
    if start.time() == end.time() == datetime.time():
        first, last = start.date(), end.date() - datetime.timedelta(days=1)
        return f"at:{first}" if first == last else f"at:{first}..{last}"
    return f"at:{start:%Y-%m-%dT%H:%M}..{end - _MINUTE:%Y-%m-%dT%H:%M}"
