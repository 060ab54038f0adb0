"""The catalogs have every text of the sources, and every text of the sources is for a catalog."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from babel import Locale
from babel.messages import Catalog
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

from flask_pg_audit.ui.catalog import DOMAIN
from tools.translations import SOURCES, TEMPLATE, compiled, extract, languages, read, source_of, untranslated

RENEW = "run: make translations"


def ids(catalog: Catalog) -> set[tuple[str, ...]]:
    return {_texts(message.id) for message in catalog if message.id}


def _texts(text: str | Iterable[str] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)s", text))


# The catalogs


def test_the_template_has_the_texts_of_the_sources() -> None:
    with TEMPLATE.open("rb") as file:
        written = read_po(file)
    assert ids(written) == ids(extract()), RENEW
    assert len(ids(written)) > 250


def test_german_ships() -> None:
    assert Locale.parse("de") in languages()


@pytest.mark.parametrize("locale", languages(), ids=str)
def test_a_language_is_complete(locale: Locale) -> None:
    catalog = read(locale)
    assert ids(catalog) == ids(extract()), RENEW
    missing = [message.id for message in untranslated(catalog)]
    assert not missing, f"to be translated in {source_of(locale)}"


@pytest.mark.parametrize("locale", languages(), ids=str)
def test_what_is_filled_in_is_the_same_in_every_language(locale: Locale) -> None:
    for message in read(locale):
        known = set().union(*map(placeholders, _texts(message.id)))
        for text in _texts(message.string) if message.id else ():
            # A form for one may say "the first row".
            assert known - {"num"} <= placeholders(text) <= known, message.id
            assert "%" not in re.sub(r"%\(\w+\)s", "", text) and "<" not in text, message.id


@pytest.mark.parametrize("locale", languages(), ids=str)
def test_what_the_pages_read_is_what_the_translator_wrote(locale: Locale) -> None:
    def strings(file: BytesIO) -> dict[object, object]:
        return {_texts(message.id): message.string for message in read_mo(file) if message.id}

    shipped = source_of(locale).with_suffix(".mo").read_bytes()
    assert strings(BytesIO(shipped)) == strings(BytesIO(compiled(read(locale)))), RENEW


# The templates: what is written in them and not for the catalog

#: What is no text of a language.
NAMES = {"NULL", "SHA-256", "UTC"}
READ_ATTRIBUTES = {"aria-label", "aria-description", "title", "placeholder", "alt", "label"}
#: The words of the search language are the same in all of them.
EXAMPLES = {"actor:alice table:order op:update at:today"}


class Written(HTMLParser):
    """Collects the texts of a page, attributes that are read out included."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value for name, value in attrs if name in READ_ATTRIBUTES and value]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def is_text(text: str) -> bool:
    return re.search("[^\\W\\d_]", text) is not None and text.strip() not in NAMES | EXAMPLES


TEMPLATES = sorted(SOURCES.glob("templates/**/*.html"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_writes_no_text_of_its_own(path: Path) -> None:
    source = re.sub(r"</?\{\{.*?\}\}[^>]*>", "", path.read_text())  # an element whose name is chosen
    page = Written()
    page.feed("".join(text for _, kind, text in Environment().lex(source) if kind == "data"))
    page.close()
    assert [text.strip() for text in page.texts if is_text(text)] == []


def _constants(node: nodes.Node) -> Iterator[str]:
    """What an expression may come to, as far as it is written there; arguments of calls and filters are not."""
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, nodes.CondExpr):
        yield from _constants(node.expr1)
        if node.expr2 is not None:
            yield from _constants(node.expr2)
    elif isinstance(node, (nodes.Pair, nodes.Filter)):
        yield from _constants(node.value if isinstance(node, nodes.Pair) else node.node or nodes.Const(None))
    elif isinstance(node, (nodes.Concat, nodes.Or, nodes.Dict, nodes.Tuple)):
        for child in node.iter_child_nodes():
            yield from _constants(child)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_an_expression_of_a_template_comes_to_no_text_of_its_own(path: Path) -> None:
    tree = Environment().parse(path.read_text())
    shown: list[nodes.Node] = [child for output in tree.find_all(nodes.Output) for child in output.nodes]
    shown += [assignment.node for assignment in tree.find_all(nodes.Assign)]
    texts = [text for child in shown for text in _constants(child)]
    # Names of elements and formats of times are no words of a language.
    assert [text for text in texts if is_text(text) and text not in ("div", "main") and "%" not in text] == []


# The modules: what a person is told goes through gettext()

#: Errors whose text is shown on a page.
SHOWN = {"BadRequest", "NotFound", "Forbidden", "AuditError", "NotUnderstood", "NoTime"}
#: For programs, which match the texts.
OF_THE_API = {"api.py", "openapi.py"}


def _raised(path: Path) -> Iterator[tuple[int, ast.expr]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SHOWN:
            yield from ((node.lineno, argument) for argument in node.args[:1])


def test_an_error_that_is_shown_is_told_in_the_language_of_the_page() -> None:
    written = [
        f"{path.name}:{line}"
        for path in SOURCES.rglob("*.py")
        if path.name not in OF_THE_API
        for line, argument in _raised(path)
        if isinstance(argument, (ast.Constant, ast.JoinedStr))
    ]
    assert written == []


def test_nothing_is_translated_before_there_is_a_request() -> None:
    """Texts of modules are marked with message(), and go through gettext() when they are shown."""
    early = [
        f"{path.name}:{node.lineno}"
        for path in SOURCES.rglob("*.py")
        for node in _outside_functions(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("gettext", "ngettext")
    ]
    assert early == []


def _outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.Lambda)):
            yield child
            yield from _outside_functions(child)


def test_the_catalogs_are_where_the_wheel_takes_them_from() -> None:
    """Everything below the package ships; the rules of .gitignore must not keep it out."""
    ignored = (SOURCES.parents[1] / ".gitignore").read_text().split()
    assert SOURCES.parent.name == "flask_pg_audit" and DOMAIN == "flask_pg_audit"
    assert not {"*.mo", "*.pot", "*.po"} & set(ignored)
