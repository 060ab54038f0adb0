"""Stretches of time up to now, and how a chart divides them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from werkzeug.exceptions import BadRequest

from .language import gettext, message

_HOUR, _DAY = datetime.timedelta(hours=1), datetime.timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """A stretch of time that ends soon after now.

    :ivar name: as the query string has it.
    :ivar edges: where each part begins, in the viewer's time zone, and where the last one ends.
    """

    name: str
    label: str
    edges: tuple[datetime.datetime, ...]

    @property
    def start(self) -> datetime.datetime:
        return self.edges[0]


def read_span(name: str, now: datetime.datetime, zone: datetime.tzinfo) -> Span:
    """The stretch called ``name``.

    :raises werkzeug.exceptions.BadRequest: there is none.
    """
    if name not in _SPANS:
        known = ", ".join(_SPANS)
        raise BadRequest(gettext("range: %(name)s is none of %(known)s.", name=repr(name[:40]), known=known))
    label, divide = _SPANS[name]
    return Span(name, gettext(label), divide(now.astimezone(zone)))


def span_names() -> Mapping[str, str]:
    """The stretches that there are, with their labels."""
    return {name: gettext(label) for name, (label, _) in _SPANS.items()}


def _hours(now: datetime.datetime, number: int, hours: int) -> tuple[datetime.datetime, ...]:
    """So many hours each, counted from midnight; in UTC, where each hour has sixty minutes."""
    step, midnight = hours * _HOUR, _midnight(now, 0).astimezone(datetime.timezone.utc)
    end = midnight + ((now - midnight) // step + 1) * step
    return tuple((end - back * step).astimezone(now.tzinfo) for back in range(number, -1, -1))


def _days(now: datetime.datetime, number: int, days: int) -> tuple[datetime.datetime, ...]:
    """Whole days of the calendar, however many hours the clocks give them."""
    return tuple(_midnight(now, 1 - back * days) for back in range(number, -1, -1))


def _midnight(now: datetime.datetime, days: int) -> datetime.datetime:
    return datetime.datetime.combine(now.date() + days * _DAY, datetime.time(), now.tzinfo)


_SPANS: Mapping[str, tuple[str, Callable[[datetime.datetime], tuple[datetime.datetime, ...]]]] = {
    "24h": (message("24 hours"), lambda now: _hours(now, 24, 1)),
    "7d": (message("7 days"), lambda now: _hours(now, 28, 6)),
    "30d": (message("30 days"), lambda now: _days(now, 30, 1)),
    "1y": (message("1 year"), lambda now: _days(now, 53, 7)),
}
