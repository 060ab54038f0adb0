"""The catalogs of the pages: ``python -m tools.translations`` reads the texts from the sources and brings the template,
the ``.po`` file of each language and the ``.mo`` file made of it up to date. ``--add fr`` begins a language.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel import Locale
from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from flask_pg_audit.ui.catalog import DOMAIN, TRANSLATIONS

SOURCES = TRANSLATIONS.parent
TEMPLATE = TRANSLATIONS / f"{DOMAIN}.pot"
_METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
#: What marks a text, and which of its arguments are texts.
_MARKERS: dict[str, tuple[int, ...] | None] = {
    "gettext": None,
    "ngettext": (1, 2),
    "message": None,
    "fpa_gettext": None,
    "fpa_ngettext": (1, 2),
}
#: Files that nobody changed stay as they are, whenever this runs.
_TIME = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def extract() -> Catalog:
    """The texts that are in the sources now, untranslated."""
    catalog = _catalog(None)
    for file, line, texts, comments, context in extract_from_dir(SOURCES, _METHODS, keywords=_MARKERS):
        catalog.add(texts, locations=[(Path(file).as_posix(), line)], auto_comments=comments, context=context)
    return catalog


def languages() -> list[Locale]:
    """Those that there is a catalog of."""
    return [Locale.parse(path.parents[1].name) for path in sorted(TRANSLATIONS.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))]


def source_of(locale: Locale) -> Path:
    """What a translator works on."""
    return TRANSLATIONS / str(locale) / "LC_MESSAGES" / f"{DOMAIN}.po"


def read(locale: Locale) -> Catalog:
    """What the translator of a language wrote."""
    with source_of(locale).open("rb") as file:
        return read_po(file, locale=locale, domain=DOMAIN)


def compiled(catalog: Catalog) -> bytes:
    """What the pages read."""
    buffer = BytesIO()
    write_mo(buffer, catalog)
    return buffer.getvalue()


def untranslated(catalog: Catalog) -> Iterator[Message]:
    """The texts that a language lacks."""
    for message in catalog:
        texts = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        if message.id and (message.fuzzy or not all(texts)):
            yield message


def _catalog(locale: Locale | None) -> Catalog:
    return Catalog(
        locale=locale,
        domain=DOMAIN,
        project="flask-pg-audit",
        version="0.1",
        header_comment="# The texts of the audit-log pages of flask-pg-audit.",
        copyright_holder="the flask-pg-audit authors",
        msgid_bugs_address="the issues of the project",
        creation_date=_TIME,
        revision_date=_TIME,
        last_translator="the flask-pg-audit authors",
        language_team="the flask-pg-audit authors",
        fuzzy=False,
    )


def _key(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def _write(catalog: Catalog, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        # Without line numbers: a line more at the top of a file would change the catalogs of all languages.
        write_po(file, catalog, width=120, sort_by_file=True, include_lineno=False)


def _update(locale: Locale, template: Catalog) -> None:
    catalog = _catalog(locale)
    known = read(locale) if source_of(locale).exists() else _catalog(locale)
    memory = {_key(message): message for message in [*known, *known.obsolete.values()] if message.id and message.string}
    for message in template:
        if message.id:
            before = memory.pop(_key(message), message)
            catalog.add(message.id, before.string, message.locations, context=message.context)
    # A text that is gone may be one that another branch has, or that comes back.
    catalog.obsolete.update(memory)
    _write(catalog, source_of(locale))
    source_of(locale).with_suffix(".mo").write_bytes(compiled(catalog))
    missing = list(untranslated(catalog))
    print(f"{locale}: {len(catalog)} texts, {len(missing)} to be translated")
    for message in missing:
        print(f"  {message.id!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--add", metavar="LOCALE", help="begin the catalog of a language, such as fr or pt_BR")
    added = parser.parse_args().add
    template = extract()
    _write(template, TEMPLATE)
    for locale in [*languages(), *([Locale.parse(added)] if added else [])]:
        _update(locale, template)


if __name__ == "__main__":
    main()
