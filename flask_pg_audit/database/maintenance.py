"""Opening history for what this package itself has to rewrite: see ``sql/refuse_rewriting.sql.jinja``."""

from __future__ import annotations

from sqlalchemy import Connection

from .function import Infrastructure
from .installed import Installed
from .render import literal, qualified


def begin_maintenance(connection: Connection, shared: Infrastructure, installed: Installed, reason: str) -> int | None:
    """Let the rest of the running transaction rewrite history; ``audit_maintenance`` keeps the reason.

    The id of the row there is returned. Nothing is done where there is no guard yet, as before the first installation
    of a version that has one.
    """
    if not installed.is_ours(shared.begin_maintenance):
        return None
    statement = f"SELECT {qualified(shared.begin_maintenance)}({literal(reason)})"
    return int(connection.exec_driver_sql(statement, execution_options={"no_parameters": True}).scalar_one())
