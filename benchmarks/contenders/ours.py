"""This project, as the Flask extension configures it, and the least that can be configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Column, Engine, String

from benchmarks.contenders import Contender
from benchmarks.writing.tables import Shape, create
from flask_pg_audit import audited, enable, install_audit_triggers

#: What the extension sends before the first write of a transaction: who, and the request.
WHO = """PERFORM set_config('audit.username', 'alice', true), set_config('audit.actor_id', '17', true),
set_config('audit.context', '{"endpoint": "orders.edit", "method": "POST", "path": "/orders/7",
"remote_addr": "10.1.2.3", "request_id": "7f3c3f0e-8f6c-4d4c-9a53-0d6a3a4f7e10",
"user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"}', true);"""


def _default(**options: Any) -> Mapping[str, Any]:
    """Made anew for each table: a column belongs to one."""
    return audited(session_settings=[Column("username", String)], **options)


def _install(
    options: Callable[[], Mapping[str, Any]], engine: Engine, shapes: Sequence[Shape], afterwards: str = ""
) -> None:
    enable()
    metadata = create(engine, shapes, options)
    install_audit_triggers(metadata, engine)
    if afterwards:
        with engine.begin() as connection:
            connection.exec_driver_sql(afterwards, execution_options={"no_parameters": True})


DEFAULT = Contender(
    "ours",
    "flask-pg-audit",
    "the default: statement triggers, unchanged updates skipped, both indexes, transaction row, user name",
    partial(_install, _default),
    begin=WHO,
)

MINIMAL = Contender(
    "minimal",
    "flask-pg-audit, minimal",
    "`skip_unchanged=False`, no session settings, nobody logged in; the indexes stay",
    partial(_install, lambda: audited(skip_unchanged=False)),
)


def variant(name: str, title: str, afterwards: str = "", **options: Any) -> Contender:
    """The default configuration with other options, or with something done to it: to see what that costs."""
    return Contender(name, title, title, partial(_install, partial(_default, **options), afterwards=afterwards), WHO)
