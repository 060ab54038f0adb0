"""One renderer for all SQL that this package sends as text: ``sql/*.sql.jinja`` in, statements out."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from sqlalchemy.dialects.postgresql.base import PGDialect

from .name import QualifiedName

#: Goes into the header of every function; raise it when a template changes what it does.
TEMPLATE_VERSION = 1

#: Compiles and quotes for SQL that is sent without parameters: unlike the drivers' dialects it leaves ``%`` alone.
DIALECT = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]


def ident(name: str) -> str:
    """Quote an identifier where PostgreSQL needs it."""
    return DIALECT.identifier_preparer.quote(name)


def qualified(name: QualifiedName) -> str:
    """Quote ``schema.name``."""
    return f"{ident(name.schema)}.{ident(name.name)}"


def literal(value: str) -> str:
    """Quote a string so that it means the same under either ``standard_conforming_strings``."""
    quoted = "'" + value.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in value else quoted


def dollar_quoted(body: str) -> str:
    """Put ``body`` between dollar quotes whose tag does not occur in it."""
    tag, number = "$audit$", 0
    while tag in body:
        number += 1
        tag = f"$audit{number}$"
    return f"{tag}\n{body}\n{tag}"


def comment(text: str) -> str:
    """Make ``text`` safe behind ``--``: it stays on one line."""
    return " ".join(text.split())


# SQL is no HTML: autoescaping would corrupt it. Values are quoted by the filters below.
_environment = Environment(  # noqa: S701
    loader=PackageLoader("flask_pg_audit.database", "sql"),
    undefined=StrictUndefined,
)
_environment.filters.update(ident=ident, name=qualified, literal=literal, dollar_quoted=dollar_quoted, comment=comment)
_environment.globals["template_version"] = TEMPLATE_VERSION


def render(template: str, **values: Any) -> str:
    """Render ``sql/<template>.sql.jinja``; a name that ``values`` lacks is an error, never an empty string."""
    return _environment.get_template(f"{template}.sql.jinja").render(**values)
