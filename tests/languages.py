"""Languages for the pages: a host that speaks them, catalogs made at test time, and what a page leaves untranslated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

from babel import Locale
from babel.messages import Catalog
from flask import Flask
from flask_babel import Babel

from flask_pg_audit.ui.catalog import DOMAIN
from tools.translations import compiled, extract

#: A language that nobody ships, in which every text of ours is between these.
PSEUDO, OPEN, CLOSE = "eo", "⟦", "⟧"

READ_ATTRIBUTES = ("aria-label", "aria-description", "title", "placeholder", "alt", "label")

#: Elements and classes with what is data, or a word of the search language, which is the same in all languages.
_DATA_ELEMENTS = {"bdi", "code", "time", "option", "style", "script", "kbd"}
_DATA_CLASSES = {
    "fpa-name",
    "fpa-text",
    "fpa-null",
    "fpa-code",
    "fpa-format",
    "fpa-axis",
    "fpa-keep",
    "fpa-old",
    "fpa-new",
    "fpa-path",
}
_VOID = {"input", "meta", "link", "br", "hr", "img", "rect", "wbr", "col"}


class Host:
    """An app that speaks a language.

    :ivar locale: the one that its next request is in.
    """

    def __init__(self, app: Flask, locale: str | None = None, *directories: Path) -> None:
        self.locale = locale
        if directories:
            app.config["BABEL_TRANSLATION_DIRECTORIES"] = ";".join(map(str, directories))
        Babel(app, locale_selector=lambda: self.locale)


def write_catalog(
    directory: Path, locale: str, texts: Mapping[str | tuple[str, str], str | tuple[str, ...]], domain: str = DOMAIN
) -> Path:
    """A catalog of these texts in ``directory``, as pybabel compile leaves it."""
    catalog = Catalog(locale=locale, domain=domain)
    for text, translated in texts.items():
        catalog.add(text, translated)
    path = directory / locale / "LC_MESSAGES" / f"{domain}.mo"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compiled(catalog))
    return directory


def write_pseudo_catalog(directory: Path) -> Path:
    """Every text there is, marked."""
    texts: dict[str | tuple[str, str], str | tuple[str, ...]] = {}
    forms = Catalog(locale=Locale.parse(PSEUDO)).num_plurals
    for message in extract():
        if isinstance(message.id, (tuple, list)):
            singular, plural = message.id
            texts[singular, plural] = (_marked(singular), *[_marked(plural)] * (forms - 1))
        elif message.id:
            texts[message.id] = _marked(message.id)
    return write_catalog(directory, PSEUDO, texts)


def _marked(text: str) -> str:
    return f"{OPEN}{text}{CLOSE}"


def unmarked(page: str) -> list[str]:
    """The words on a page in the pseudo-language that did not go through the catalog and are not data."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.depth == 0
    return reader.found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.depth = 0
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        classes = set((values.get("class") or "").split())
        is_data = tag in _DATA_ELEMENTS or bool(classes & _DATA_CLASSES) or values.get("lang") == "en"
        if tag not in _VOID:
            self._open.append((tag, is_data))
        for name in READ_ATTRIBUTES:
            text = values.get(name)
            # The time of day has the whole time as its title; the box of the search shows words of its language.
            if text and tag != "time" and name != "placeholder":
                self._take(re.sub(f"{OPEN}.*{CLOSE}", "", text))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        outside = ""
        for character in data:
            self.depth += character == OPEN
            outside += character if self.depth == 0 else ""
            self.depth -= character == CLOSE
        # The day is written by Babel.
        if not any(is_data for _, is_data in self._open) and not re.fullmatch(r"\s*\w+, .* 20\d\d\s*", outside):
            self._take(outside)

    def _take(self, text: str) -> None:
        if re.search(r"[^\W\d_]", text) and text.strip() != "SHA-256":
            self.found.append(" ".join(text.split()))
