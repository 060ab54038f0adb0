"""Turning the database's refusal of a change into :class:`AuditContextError`."""

from __future__ import annotations

from sqlalchemy.engine import ExceptionContext

from .errors import AuditContextError, driver_message, sqlstate

#: not_null_violation, raised by ``database/sql/refuse_change.sql.jinja`` with a constraint named ``audit.<setting>``.
REFUSAL_SQLSTATE = "23502"
REFUSAL_CONSTRAINT_PREFIX = "audit."


def raise_refusal(context: ExceptionContext) -> None:
    """``handle_error`` listener: raise :class:`AuditContextError` for a missing mandatory session setting.

    Any other error passes.
    """
    error = context.original_exception
    if sqlstate(error) == REFUSAL_SQLSTATE and _constraint(error).startswith(REFUSAL_CONSTRAINT_PREFIX):
        hint = getattr(_diagnostics(error), "message_hint", None) or getattr(error, "hint", None)
        raise AuditContextError(" ".join(filter(None, (f"{driver_message(error)}.", hint)))) from error


def _constraint(error: BaseException) -> str:
    return getattr(_diagnostics(error), "constraint_name", None) or ""


def _diagnostics(error: BaseException) -> object:
    # psycopg2 and psycopg 3 keep the fields of the server's message in .diag, asyncpg on the error itself.
    return getattr(error, "diag", error)
