"""Which language a page is in, and where its texts are: English, or what Flask-Babel says if there is a catalog of it.

Our texts are in a catalog of our own, the domain ``flask_pg_audit``; the application's ``_`` and its domain are left
alone. A catalog of that domain in one of the application's own ``BABEL_TRANSLATION_DIRECTORIES`` adds a language, or
replaces some texts of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import current_app, g, has_app_context

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


def speak_english() -> None:
    """For the rest of this request: programs get the same words whatever the language of who runs them."""
    setattr(g, _ENGLISH_ONLY, True)


def get_language() -> Language:
    """The request's: English where there is no catalog of the one that the application chose for it."""
    locale = _host_locale()
    if locale is None:
        return ENGLISH
    languages = get_ui_state().languages
    if locale not in languages:
        languages[locale] = _read_language(locale)
    return languages[locale]


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
    """Where the application has its catalogs; none when it did not set up Flask-Babel."""
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
    for directory in (*map(Path, reversed(_host_directories())), TRANSLATIONS):
        for name in _names(locale):
            path = Path(directory, name, "LC_MESSAGES", f"{DOMAIN}.mo")
            if path.is_file():
                with path.open("rb") as file:
                    yield GNUTranslations(file)


def _names(locale: Locale) -> list[str]:
    parts = [locale.language, locale.script, locale.territory]
    choices = [parts, parts[:2], [parts[0], parts[2]], parts[:1]]
    return list(dict.fromkeys("_".join(part for part in choice if part) for choice in choices))
