"""The language of the pages: English, or the one that Flask-Babel says the request is in, if there is a catalog of it.

Our texts are in a catalog of our own, the domain ``flask_pg_audit``; the application's ``_`` and its domain are left
alone. A catalog of that domain in one of the application's own ``BABEL_TRANSLATION_DIRECTORIES`` adds a language, or
replaces some texts of ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import current_app, g, has_app_context
from markupsafe import Markup, escape

from .state import get_ui_state

if TYPE_CHECKING:
    from babel import Locale

DOMAIN = "flask_pg_audit"
#: Our own catalogs, as gettext lays them out: ``<locale>/LC_MESSAGES/<domain>.mo``.
TRANSLATIONS = Path(__file__).with_name("translations")
_ENGLISH_ONLY = "_flask_pg_audit_english"


@dataclass(frozen=True)
class Language:
    """A language that pages are shown in.

    :ivar tag: for the attribute ``lang``: ``de-AT``.
    :ivar direction: for the attribute ``dir``: ``ltr`` or ``rtl``.
    :ivar locale: how it writes numbers and days; ``None`` without Flask-Babel.
    """

    tag: str = "en"
    direction: str = "ltr"
    locale: Locale | None = None
    catalog: NullTranslations = field(default_factory=NullTranslations, repr=False, compare=False)


ENGLISH = Language()


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
    return _filled(english, translated, {"num": format_number(number), **values})


def message(text: str) -> str:
    """``text`` as it is: marked for the catalog where it is written, for :func:`gettext` where it is shown."""
    return text


def template_gettext(text: str, /, **values: object) -> Markup:
    """:func:`gettext` for templates: text and values are escaped, except for values that are markup already."""
    return Markup(_filled(escape(text), escape(_translated(text)), values))  # noqa: S704 (escaped, both)


def template_ngettext(singular: str, plural: str, number: int, /, **values: object) -> Markup:
    """:func:`ngettext` for templates: text and values are escaped, except for values that are markup already."""
    english, translated = _translated_plural(singular, plural, number)
    filled = _filled(escape(english), escape(translated), {"num": format_number(number), **values})
    return Markup(filled)  # noqa: S704 (escaped, both)


def format_number(number: int) -> str:
    """With separators of thousands, as the request's language writes it."""
    locale = get_language().locale
    if locale is None:
        return f"{number:,}"
    from babel.numbers import format_decimal

    return format_decimal(number, locale=locale)


def speak_english() -> None:
    """For the rest of this request: programs get the same words whatever the language of who runs them."""
    setattr(g, _ENGLISH_ONLY, True)


def get_language() -> Language:
    """The request's: English where there is no catalog of the one that the application chose for it."""
    locale = _host_locale()
    if locale is None:
        return ENGLISH
    languages = get_ui_state().languages
    name = str(locale)
    if name not in languages:
        languages[name] = _read_language(locale)
    return languages[name]


def _host_locale() -> Locale | None:
    """Flask-Babel's, when the application set it up. A selector that fails costs the language, not the page."""
    if not has_app_context() or not _host_directories() or _ENGLISH_ONLY in g:
        return None
    try:
        from flask_babel import get_locale

        locale: Locale | None = get_locale()
    except Exception:
        current_app.logger.exception("Flask-Babel cannot tell the request's locale; the audit log is shown in English")
        speak_english()
        return None
    return locale


def _host_directories() -> list[str]:
    """Where the application has its catalogs; none when it did not set up Flask-Babel 3 or later."""
    host: Any = current_app.extensions.get("babel")
    return [str(directory) for directory in getattr(host, "translation_directories", ())]


def _read_language(locale: Locale) -> Language:
    first, *others = [*_catalogs(locale), NullTranslations()]
    for other in others:
        first.add_fallback(other)
    if not others and locale.language != "en":
        return ENGLISH
    tag = "-".join(part for part in (locale.language, locale.script, locale.territory) if part)
    return Language(tag, locale.text_direction, locale, first)


def _catalogs(locale: Locale) -> Iterator[NullTranslations]:
    """The application's before ours, and of a country before those of the whole language.

    Each keeps its own rule for plurals, which Flask-Babel's ``Domain`` loses where it merges catalogs.
    """
    # Among the application's the last one wins, as in Flask-Babel.
    for directory in (*reversed(_host_directories()), TRANSLATIONS):
        for name in _names(locale):
            path = Path(directory, name, "LC_MESSAGES", f"{DOMAIN}.mo")
            if path.is_file():
                with path.open("rb") as file:
                    yield GNUTranslations(file)


def _names(locale: Locale) -> list[str]:
    parts = [locale.language, locale.script, locale.territory]
    choices = [parts, parts[:2], [parts[0], parts[2]], parts[:1]]
    return list(dict.fromkeys("_".join(part for part in choice if part) for choice in choices))


def _translated(text: str) -> str:
    # What the catalog has under "" is its header.
    return get_language().catalog.gettext(text) if text else text


def _translated_plural(singular: str, plural: str, number: int) -> tuple[str, str]:
    """In English and in the request's language."""
    return singular if number == 1 else plural, get_language().catalog.ngettext(singular, plural, number)


def _filled(english: str, translated: str, values: Mapping[str, object]) -> str:
    """A placeholder that a translator of the application misspelt costs the translation, not the page."""
    if not values:
        return translated
    try:
        return translated % values
    except (KeyError, TypeError, ValueError):
        return english % values
