"""Names of audit tables, functions and triggers, from ``MetaData(naming_convention=...)``."""

from __future__ import annotations

import hashlib
import re

from sqlalchemy import MetaData, Table

from ..errors import AuditConfigError

#: ``NAMEDATALEN - 1``: PostgreSQL silently cuts longer identifiers, counted in bytes.
MAX_IDENTIFIER_BYTES = 63

DEFAULT_CONVENTIONS = {
    "audit.table": "%(table_name)s_audit",
    "audit.function": "%(schema)s_%(table_name)s_audit",
    "audit.trigger": "%(schema)s_%(table_name)s_audit",
}


def audit_table_name(table: Table) -> str:
    """The name of the audit table of ``table``, at most 63 bytes."""
    return _conventional_name("audit.table", table)


def audit_function_name(table: Table) -> str:
    """The name of the trigger function of ``table``, at most 63 bytes."""
    return _conventional_name("audit.function", table)


def audit_trigger_name(table: Table, suffix: str, prefix: str = "") -> str:
    """The name of one trigger of ``table``: the conventional name between ``prefix`` and ``suffix``."""
    return _conventional_name("audit.trigger", table, suffix, prefix)


def _conventional_name(key: str, table: Table, suffix: str = "", prefix: str = "") -> str:
    convention = _convention(table.metadata, key)
    name = convention % {"table_name": table.name, "schema": table.schema or "public"}
    return shorten(name, suffix, prefix)


def _convention(metadata: MetaData, key: str) -> str:
    conventions: dict[str, object] = dict(metadata.naming_convention)
    convention = conventions.get(key, DEFAULT_CONVENTIONS[key])
    if not isinstance(convention, str) or not _CONVENTION.fullmatch(convention):
        raise AuditConfigError(
            f"naming convention {key!r} is {convention!r}; it has to be a text with %(table_name)s in it, and "
            "allowed are %(table_name)s and %(schema)s"
        )
    return convention


#: Text around %(table_name)s, without any other % than those of %(schema)s and %%.
_PLAIN = r"(?:[^%]|%%|%\((?:schema|table_name)\)s)*"
_CONVENTION = re.compile(rf"{_PLAIN}%\(table_name\)s{_PLAIN}")


def shorten(name: str, suffix: str = "", prefix: str = "") -> str:
    """Return ``prefix + name + suffix``, with ``name`` cut and hashed when the whole exceeds 63 bytes.

    The hash covers the uncut name, so two long names that differ only at their end stay apart, and the
    same name always shortens to the same identifier.
    """
    whole = f"{prefix}{name}{suffix}"
    if len(whole.encode()) <= MAX_IDENTIFIER_BYTES:
        return whole
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    tail = f"_{digest}{suffix}"
    room = MAX_IDENTIFIER_BYTES - len(prefix.encode()) - len(tail.encode())
    head = name.encode()[:room].decode(errors="ignore")
    return f"{prefix}{head}{tail}"
