"""Times as a person writes them: a day, a minute, from one to another, the last seven days."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from ..language import gettext, message

_POINT = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)(?:-(?P<day>\d\d)(?:[T ](?P<hour>\d\d):(?P<minute>\d\d)"
    r"(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{1,6}))?)?(?P<offset>Z|[+-]\d\d:\d\d)?)?)?",
    re.ASCII,
)
_LAST = re.compile(r"last-(?P<number>\d{1,4})-(?P<unit>minute|hour|day)s?", re.ASCII)
_YEARS = range(1900, 9999)

FORMS = message(
    "2026-01-31, 2026-01, 2026-01-31T14:05, 2026-01-31T14:05:30+02:00, today, yesterday, last-7-days, last-24-hours, "
    "last-30-minutes, or from one to another: A..B, A.., ..B"
)


class NoTime(ValueError):
    """A text is no time; the message says what it is instead."""


@dataclass(frozen=True)
class Period:
    """From ``start`` on until before ``end``, both in UTC; ``None`` where it does not begin or end."""

    start: datetime.datetime | None
    end: datetime.datetime | None


def parse_period(text: str, zone: datetime.tzinfo, now: datetime.datetime) -> Period:
    """The time that ``text`` stands for.

    A day or a minute stands for all of it, so that ``A..B`` includes B.

    :param zone: what is written without an offset is a time there.
    :raises NoTime: it is none.
    """
    first, dots, last = text.partition("..")
    if not dots:
        return _parse(text, zone, now)
    if not first and not last:
        raise NoTime(gettext("a range has a beginning or an end"))
    start = _parse(first, zone, now).start if first else None
    end = _parse(last, zone, now).end if last else None
    if start is not None and end is not None and start >= end:
        raise NoTime(gettext("%(first)s is not before %(last)s", first=first, last=last))
    return Period(start, end)


def _parse(text: str, zone: datetime.tzinfo, now: datetime.datetime) -> Period:
    today = now.astimezone(zone).date()
    if text == "today":
        return _days(today, 1, zone)
    if text == "yesterday":
        return _days(today - datetime.timedelta(1), 1, zone)
    if last := _LAST.fullmatch(text):
        return _last(int(last["number"]), last["unit"], today, zone, now)
    point = _POINT.fullmatch(text)
    if point is None:
        raise NoTime(gettext("%(text)s is no time", text=repr(text)))
    try:
        return _of_point(point, zone)
    except ValueError as error:
        problem = gettext("%(text)s is not in the calendar: %(reason)s", text=repr(text), reason=error)
        raise NoTime(problem) from error


def _last(number: int, unit: str, today: datetime.date, zone: datetime.tzinfo, now: datetime.datetime) -> Period:
    """Days are whole ones, today included; hours and minutes end now."""
    if unit == "day":
        first = today - datetime.timedelta(days=max(number - 1, 0))
        return Period(_days(first, 1, zone).start, None)
    return Period(now.astimezone(datetime.timezone.utc) - datetime.timedelta(**{unit + "s": number}), None)


def _of_point(point: re.Match[str], zone: datetime.tzinfo) -> Period:
    year, month = int(point["year"]), int(point["month"])
    if year not in _YEARS:
        raise ValueError(gettext("years are %(first)s to %(last)s", first=_YEARS[0], last=_YEARS[-1]))
    if point["day"] is None:
        first = datetime.date(year, month, 1)
        following = (first + datetime.timedelta(days=31)).replace(day=1)
        return _days(first, (following - first).days, zone)
    day = datetime.date(year, month, int(point["day"]))
    return _days(day, 1, zone) if point["hour"] is None else _of_clock(day, point, zone)


def _days(first: datetime.date, number: int, zone: datetime.tzinfo) -> Period:
    start, end = (
        datetime.datetime.combine(day, datetime.time(), zone).astimezone(datetime.timezone.utc)
        for day in (first, first + datetime.timedelta(days=number))
    )
    return Period(start, end)


def _of_clock(day: datetime.date, point: re.Match[str], zone: datetime.tzinfo) -> Period:
    fraction = int((point["fraction"] or "").ljust(6, "0"))
    time = datetime.time(int(point["hour"]), int(point["minute"]), int(point["second"] or 0), fraction)
    local = datetime.datetime.combine(day, time, _offset(point["offset"]) if point["offset"] else zone)
    # A time that the clocks show twice stands for both.
    both = sorted(local.replace(fold=fold).astimezone(datetime.timezone.utc) for fold in (0, 1))
    return Period(both[0], both[1] + _unit(point))


def _unit(point: re.Match[str]) -> datetime.timedelta:
    """As exact as it is written."""
    if point["second"] is None:
        return datetime.timedelta(minutes=1)
    return datetime.timedelta(microseconds=1_000_000 // 10 ** len(point["fraction"] or ""))


def _offset(text: str) -> datetime.timezone:
    if text == "Z":
        return datetime.timezone.utc
    hours, minutes = int(text[1:3]), int(text[4:6])
    if minutes > 59:
        raise ValueError(gettext("an hour has 60 minutes"))
    offset = datetime.timedelta(hours=hours, minutes=minutes)
    return datetime.timezone(-offset if text[0] == "-" else offset)
