"""Numbers as the language of the page writes them."""

from __future__ import annotations

from .catalog import get_language


def format_number(number: int) -> str:
    """With separators of thousands: ``10,000``, in German ``10.000``."""
    locale = get_language().locale
    if locale is None:
        return f"{number:,}"
    from babel.numbers import format_decimal

    return format_decimal(number, locale=locale)


def format_tenths(number: float) -> str:
    """With one digit behind the point, or the comma."""
    locale = get_language().locale
    if locale is None:
        return f"{number:,.1f}"
    from babel.numbers import format_decimal

    return format_decimal(number, format="#,##0.0", locale=locale)
