"""Terms of the search language, for links that lead to the feed."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from ..history.excerpts import Field
from .search import Term

_MINUTE = datetime.timedelta(minutes=1)


def term(name: str, value: str | None) -> str:
    """``name:value``; ``None`` is nobody."""
    return str(Term(name, (value,)))


def of_record(table_key: str, key: Sequence[Field]) -> str:
    """The terms for the changes of one record.

    :param key: its columns, each with a value that is known.
    """
    texts = tuple(field.value.text for field in key if field.value is not None)
    return f"{Term('table', (table_key,))} {Term('key', texts)}"


def between(start: datetime.datetime, end: datetime.datetime) -> str:
    """The term for the time from ``start`` on until before ``end``, both on whole minutes of the viewer's zone.

    A range includes its last day or minute.
    """
    if start.time() == end.time() == datetime.time():
        first, last = start.date(), end.date() - datetime.timedelta(days=1)
        return f"at:{first}" if first == last else f"at:{first}..{last}"
    return f"at:{start:%Y-%m-%dT%H:%M}..{end - _MINUTE:%Y-%m-%dT%H:%M}"
