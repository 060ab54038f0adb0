"""How much is stored, for people to read."""

from __future__ import annotations

from .language import gettext, message, ngettext
from .numbers import format_tenths

#: Each a thousand of the one before.
_UNITS = (
    message("%(number)s kB"),
    message("%(number)s MB"),
    message("%(number)s GB"),
    message("%(number)s TB"),
    message("%(number)s PB"),
)


def format_size(number: int) -> str:
    """So many bytes, from a thousand on in the unit that leaves it below a thousand: ``1.2 MB``."""
    if number < 1000:
        return ngettext("%(num)s byte", "%(num)s bytes", number)
    size, unit = number / 1000, 0
    while size >= 999.95 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return gettext(_UNITS[unit], number=format_tenths(size))
