"""How the operations are written into a revision."""

from __future__ import annotations

import re
import textwrap
from copy import copy
from typing import TYPE_CHECKING

from alembic.autogenerate import renderers
from alembic.operations.ops import AddColumnOp, CreateTableOp

from .operations import AddHistoryColumnOp, AuditDDLOp, CreateHistoryTableOp, KeepHistoryOp

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext

_INDENT = " " * 4


@renderers.dispatch_for(AuditDDLOp)
def render_audit_ddl(context: AutogenContext, op: AuditDDLOp) -> list[str]:
    """A comment that says what and why, and the statements as blocks that can be read."""
    if not op.statements:
        return []
    prefix = context.opts.get("alembic_module_prefix", "op.")
    arguments = "\n".join(f"{_INDENT}{_literal(statement)}," for statement in op.statements)
    return [f"# {' '.join(op.comment.split())}", f"{prefix}audit_ddl(\n{arguments}\n)"]


@renderers.dispatch_for(KeepHistoryOp)
def render_keep_history(context: AutogenContext, op: KeepHistoryOp) -> list[str]:
    """A statement, since a body of comments alone is no Python."""
    return [f"pass  # {' '.join(op.subject.split())}: stays"]


@renderers.dispatch_for(CreateHistoryTableOp)
def render_create_history_table(context: AutogenContext, op: CreateHistoryTableOp) -> str:
    """Alembic's text, which forgets a prefix within PostgreSQL's types when the last bind is another database."""
    plain = copy(op)
    plain.__class__ = CreateTableOp  # type: ignore[assignment]
    text: str = renderers.dispatch(plain)(context, plain)
    return text.replace("astext_type=Text()", f"astext_type={context.opts['sqlalchemy_module_prefix']}Text()")


@renderers.dispatch_for(AddHistoryColumnOp)
def render_add_history_column(context: AutogenContext, op: AddHistoryColumnOp) -> str:
    """Alembic's text, which forgets ``if_not_exists`` within ``batch_alter_table()``: Flask-Migrate's default."""
    plain = AddColumnOp(op.table_name, op.column, schema=op.schema, if_not_exists=True)
    text: str = renderers.dispatch(plain)(context, plain)
    given = ", if_not_exists=True)"
    return text if text.endswith(given) else text.removesuffix(")") + given


def _literal(statement: str) -> str:
    """A block where that reads back as it was, which text with odd white space does not."""
    escaped = statement.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    block = textwrap.indent(escaped, _INDENT)
    is_plain = _ODD_WHITE_SPACE.search(statement) is None and statement == statement.strip()
    if "\n" in statement and is_plain and textwrap.dedent(block) == escaped:
        return f'"""\n{block}\n{_INDENT}"""'
    return repr(statement)


#: Alembic strips the ends of lines; indenting takes other things than a line feed for the end of one.
_ODD_WHITE_SPACE = re.compile(r"[ \t]$|[\x00-\x09\x0b-\x1f\x7f\x85\u2028\u2029]", re.MULTILINE)
