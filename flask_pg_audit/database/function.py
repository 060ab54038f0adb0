"""The functions in the database, and the comment by which one of ours is known again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from ..declare.mask_key import MASK_KEY_TABLE_NAME
from ..declare.redaction_table import REDACTION_TABLE_NAME
from ..declare.seal_tables import SEAL_LEAVES_TABLE_NAME, SEAL_TABLE_NAME
from ..declare.tables import MAINTENANCE_TABLE_NAME, SEQUENCE_NAME, TRANSACTION_TABLE_NAME, VIEW_TABLE_NAME
from .name import QualifiedName
from .render import TEMPLATE_VERSION, literal, qualified, render

_COMMENT_PREFIX = "flask_pg_audit "


@dataclass(frozen=True)
class Fingerprint:
    """What the comment on a function says of it: by which template it was made, what of, and for which tables.

    A body that no longer has the digest was edited by hand. The tables are how an installation finds the history
    of a table that was renamed: its triggers went along, and call a function that names the old audit table.

    :ivar sha256: the first 16 hexadecimal digits of the digest of the function's source.
    :ivar table: the audited table; ``None`` for a shared function.
    """

    template: int
    sha256: str
    table: QualifiedName | None = None
    audit_table: QualifiedName | None = None

    def render(self) -> str:
        """The comment's text."""
        values = {key: value for key, value in asdict(self).items() if value is not None}
        return _COMMENT_PREFIX + json.dumps(values)

    @classmethod
    def parse(cls, comment: str | None) -> Fingerprint | None:
        """Read a function's comment; ``None`` when it is none of ours."""
        if comment is None or not comment.startswith(_COMMENT_PREFIX):
            return None
        try:
            values = json.loads(comment.removeprefix(_COMMENT_PREFIX))
            names = {key: QualifiedName(*values[key]) for key in ("table", "audit_table") if key in values}
            return cls(int(values["template"]), str(values["sha256"]), **names)
        except (KeyError, TypeError, ValueError, RecursionError):
            return None


def digest(source: str) -> str:
    """The digest of a function's source as a :class:`Fingerprint` has it."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class AuditFunction:
    """A function as it should be.

    :ivar table: the audited table whose changes it records; ``None`` for a shared function.
    :ivar audit_table: where it records them.
    """

    name: QualifiedName
    body: str
    arguments: str = ""
    returns: str = "pg_catalog.trigger"
    language: str = "plpgsql"
    security_definer: bool = True
    table: QualifiedName | None = None
    audit_table: QualifiedName | None = None

    @property
    def source(self) -> str:
        """What ``pg_proc.prosrc`` holds: :func:`dollar_quoted` puts a line break at both ends."""
        return f"\n{self.body}\n"

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(TEMPLATE_VERSION, digest(self.source), self.table, self.audit_table)

    @property
    def signature(self) -> str:
        """The name with the arguments: a user's function of the same name with others is not meant."""
        return f"{qualified(self.name)}({self.arguments})"

    @property
    def create_statements(self) -> tuple[str, ...]:
        """Create or replace, and make private: PostgreSQL lets everybody call a new function."""
        return (render("create_function", function=self), revoke_sql(self.signature, "PUBLIC"), self.comment_sql)

    @property
    def comment_sql(self) -> str:
        return comment_sql(self.signature, self.fingerprint.render())

    @property
    def drop_sql(self) -> str:
        return f"DROP FUNCTION IF EXISTS {self.signature}"


def revoke_sql(signature: str, role: str) -> str:
    """``role`` is SQL: quoted where it has to be."""
    return f"REVOKE ALL ON FUNCTION {signature} FROM {role}"


def comment_sql(signature: str, comment: str | None) -> str:
    return f"COMMENT ON FUNCTION {signature} IS {'NULL' if comment is None else literal(comment)}"


@dataclass(frozen=True)
class Infrastructure:
    """The objects that all audit tables of a database share.

    :ivar is_keyed: a column is masked with a key, so that there is one.
    """

    schema: str
    is_keyed: bool = False

    @property
    def sequence(self) -> QualifiedName:
        return QualifiedName(self.schema, SEQUENCE_NAME)

    @property
    def transaction_table(self) -> QualifiedName:
        return QualifiedName(self.schema, TRANSACTION_TABLE_NAME)

    @property
    def maintenance_table(self) -> QualifiedName:
        return QualifiedName(self.schema, MAINTENANCE_TABLE_NAME)

    @property
    def view_table(self) -> QualifiedName:
        """Where it would be; not every ``MetaData`` declares it."""
        return QualifiedName(self.schema, VIEW_TABLE_NAME)

    @property
    def redaction_table(self) -> QualifiedName:
        return QualifiedName(self.schema, REDACTION_TABLE_NAME)

    @property
    def mask_key_table(self) -> QualifiedName:
        """Where it would be; it is there when a column is masked with a key."""
        return QualifiedName(self.schema, MASK_KEY_TABLE_NAME)

    @property
    def current_mask_key(self) -> QualifiedName:
        return QualifiedName(self.schema, "audit_current_mask_key")

    @property
    def create_mask_key(self) -> QualifiedName:
        return QualifiedName(self.schema, "audit_create_mask_key")

    @property
    def seal_table(self) -> QualifiedName:
        return QualifiedName(self.schema, SEAL_TABLE_NAME)

    @property
    def leaves_table(self) -> QualifiedName:
        return QualifiedName(self.schema, SEAL_LEAVES_TABLE_NAME)

    @property
    def current_transaction(self) -> QualifiedName:
        return QualifiedName(self.schema, "audit_current_transaction")

    @property
    def begin_transaction(self) -> QualifiedName:
        return QualifiedName(self.schema, "audit_begin_transaction")

    @property
    def refuse_change(self) -> QualifiedName:
        return QualifiedName(self.schema, "audit_refuse_change")

    @property
    def refuse_rewriting(self) -> QualifiedName:
        """The trigger function of the guard."""
        return QualifiedName(self.schema, "audit_refuse_rewriting")

    @property
    def begin_maintenance(self) -> QualifiedName:
        """What opens the guard for one transaction."""
        return QualifiedName(self.schema, "audit_begin_maintenance")

    def functions(self) -> tuple[AuditFunction, ...]:
        """The shared functions, in the order in which they can be created."""

        def body(template: str) -> str:
            return render(template, infrastructure=self)

        return (
            AuditFunction(self.begin_transaction, body("begin_transaction"), returns="pg_catalog.int8"),
            AuditFunction(
                self.current_transaction,
                body("current_transaction"),
                returns="pg_catalog.int8",
                language="sql",
                security_definer=False,  # a definer's function would not be inlined
            ),
            AuditFunction(
                self.refuse_change,
                body("refuse_change"),
                arguments="table_name pg_catalog.text, setting pg_catalog.text",
                returns="pg_catalog.int8",
            ),
            AuditFunction(self.refuse_rewriting, body("refuse_rewriting")),
            AuditFunction(
                self.begin_maintenance,
                body("begin_maintenance"),
                arguments="reason pg_catalog.text",
                returns="pg_catalog.int8",
            ),
            *(self._key_functions() if self.is_keyed else ()),
        )

    def _key_functions(self) -> tuple[AuditFunction, ...]:
        return tuple(
            AuditFunction(name, render(template, infrastructure=self), returns="pg_catalog.bytea[]")
            for name, template in (
                (self.create_mask_key, "create_mask_key"),
                (self.current_mask_key, "current_mask_key"),
            )
        )
