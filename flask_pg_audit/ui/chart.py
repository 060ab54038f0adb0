"""Activity over time as bars."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from ..history.activity import Amount
from .language import gettext
from .links import link
from .numbers import format_number
from .query import between
from .span import Span

#: The drawing's size in its own units; a stylesheet says how large that is.
WIDTH, HEIGHT = 720, 120
_GAP = 0.2


@dataclass(frozen=True)
class Bar:
    """One part of the time.

    :ivar url: the feed of that time; ``None`` when nothing happened.
    :ivar left: of the part; the bar itself begins at ``x``.
    """

    label: str
    amount: Amount
    url: str | None
    left: float
    step: float
    x: float
    y: float
    width: float
    height: float

    @property
    def text(self) -> str:
        """The number, and what is to be known of it."""
        return format_amount(self.amount)


@dataclass(frozen=True)
class Chart:
    """Bars, the oldest first.

    :ivar unit: what is counted.
    :ivar highest: the number that the highest bar stands for.
    """

    unit: str
    bars: tuple[Bar, ...]
    highest: Amount
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return all(bar.url is None for bar in self.bars)

    @property
    def busy(self) -> tuple[Bar, ...]:
        """The parts in which something happened, the newest first."""
        return tuple(bar for bar in self.bars[::-1] if bar.url is not None)


def draw_chart(span: Span, amounts: Sequence[Amount], unit: str, terms: str = "") -> Chart:
    """Draw a bar for each part of ``span``, which leads to the feed of that time.

    :param terms: more of the query for those links.
    """
    highest = max(amounts, key=lambda amount: (amount.count, amount.is_capped))
    step = WIDTH / len(amounts)
    parts = zip(span.edges, span.edges[1:], amounts, strict=False)
    bars = tuple(_bar(i * step, step, highest.count, *part, terms) for i, part in enumerate(parts))
    return Chart(unit, bars, highest)


def _bar(
    left: float,
    step: float,
    highest: int,
    start: datetime.datetime,
    end: datetime.datetime,
    amount: Amount,
    terms: str,
) -> Bar:
    # However little it is, it can be seen.
    height = max(round(HEIGHT * amount.count / max(highest, 1), 2), 2) if amount.count or amount.is_capped else 0
    query = " ".join(filter(None, (terms, between(start, end))))
    url = link("index", q=query) if amount.count or amount.is_capped else None
    gap = step * _GAP
    x, width = round(left + gap / 2, 2), round(step - gap, 2)
    return Bar(_label(start, end), amount, url, round(left, 2), round(step, 2), x, HEIGHT - height, width, height)


def _label(start: datetime.datetime, end: datetime.datetime) -> str:
    if start.time() == end.time() == datetime.time():
        last = end.date() - datetime.timedelta(days=1)
        return str(start.date()) if last == start.date() else f"{start.date()} – {last}"
    return f"{start:%Y-%m-%d %H:%M}–{end:%H:%M}"


def format_amount(amount: Amount) -> str:
    """A number as a person reads it: ``1,234``, ``10,000+``, ``about 52,000``."""
    number = format_number(amount.count) + ("+" if amount.is_capped else "")
    return gettext("about %(number)s", number=number) if amount.is_estimated else number
