"""Numbers as the language of the page writes them."""

from __future__ import annotations

from .catalog import get_language

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def format_number(number: int) -> str:
    """With separators of thousands: ``10,000``, in German ``10.000``."""
    locale = get_language().locale
    if locale is None:
        return f"{number:,}"
    from babel.numbers import format_decimal

    return format_decimal(number, locale=locale)


def format_size(number: int) -> str:
    """So many bytes, from a thousand on in the unit that leaves it below a thousand: ``1.2 MB``."""
    if number < 1000:
        return f"{number} B"
    size, unit = number / 1000, 0
    while size >= 999.95 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{_format_tenths(size)} {_UNITS[unit]}"


def _format_tenths(number: float) -> str:
    locale = get_language().locale
    if locale is None:
        return f"{number:.1f}"
    from babel.numbers import format_decimal

    return format_decimal(number, format="#,##0.0", locale=locale)
