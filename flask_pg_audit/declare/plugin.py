"""``create_engine(url, plugins=["audit"])``."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import URL, CreateEnginePlugin

from .registry import enable


class AuditPlugin(CreateEnginePlugin):
    """Calls :func:`flask_pg_audit.enable` when an engine is created; registered as the plugin ``audit``."""

    def __init__(self, url: URL, kwargs: dict[str, Any]) -> None:
        super().__init__(url, kwargs)
        enable()

    def update_url(self, url: URL) -> URL:
        return url.difference_update_query(["plugin"])
