"""The texts of the pages in the language of the request: ``gettext()`` and ``ngettext()``, of our own catalog."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup, escape

from .catalog import get_language
from .numbers import format_number


def gettext(text: str, /, **values: object) -> str:
    """``text`` in the request's language, with ``%(name)s`` in it replaced by ``values``.

    To be called while a request is answered, never when a module is imported: see :func:`message`.
    """
    return _filled(text, _translated(text), values)


def ngettext(singular: str, plural: str, number: int, /, **values: object) -> str:
    """The form that the request's language has for ``number``.

    :param values: ``num`` is ``number`` as the language writes it, unless it is given.
    """
    english, translated = _translated_plural(singular, plural, number)
    return _filled(english, translated, _with_number(number, values))


def message(text: str) -> str:
    """``text`` as it is: marked for the catalog where it is written, for :func:`gettext` where it is shown."""
    return text


def template_gettext(text: str, /, **values: object) -> Markup:
    """:func:`gettext` for templates: text and values are escaped, except for values that are markup already."""
    return Markup(_filled(escape(text), escape(_translated(text)), values))  # noqa: S704 (escaped, both)


def template_ngettext(singular: str, plural: str, number: int, /, **values: object) -> Markup:
    """:func:`ngettext` for templates: text and values are escaped, except for values that are markup already."""
    english, translated = _translated_plural(singular, plural, number)
    filled = _filled(escape(english), escape(translated), _with_number(number, values))
    return Markup(filled)  # noqa: S704 (escaped, both)


def _translated(text: str) -> str:
    # What the catalog has under "" is its header.
    return get_language().catalog.gettext(text) if text else text


def _translated_plural(singular: str, plural: str, number: int) -> tuple[str, str]:
    """In English and in the request's language."""
    return singular if number == 1 else plural, get_language().catalog.ngettext(singular, plural, number)


def _with_number(number: int, values: Mapping[str, object]) -> Mapping[str, object]:
    return values if "num" in values else {"num": format_number(number), **values}


def _filled(english: str, translated: str, values: Mapping[str, object]) -> str:
    """A placeholder that a translator of the application misspelt costs the translation, not the page."""
    if not values:
        return translated
    try:
        return translated % values
    except (KeyError, TypeError, ValueError):
        return english % values
