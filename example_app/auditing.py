"""The audit trail's rules: who may read it, and what each change carries along."""

from __future__ import annotations

from typing import Any

from flask import has_request_context, session
from flask_login import current_user

from flask_pg_audit import Access

from .extensions import audit
from .models import Role


@audit.access_loader
def may_read_audit_log() -> Access | None:
    """Auditors, who may download, and admins, who may bring back what they find; without this it would be nobody."""
    if not current_user.is_authenticated or not current_user.may_audit:
        return None
    return Access(export=current_user.role is Role.AUDITOR, revert=current_user.role is Role.ADMIN)


@audit.context_loader
def add_terminal(context: dict[str, Any]) -> dict[str, Any]:
    """Where the user said, at login, to be working; ``Order`` has a session setting of that name."""
    if has_request_context():  # "flask create-user" has no session
        context["terminal"] = session.get("terminal")
    return context
