"""An audit trail for Flask on PostgreSQL: every change, who made it, and what it was before."""

from . import mask
from .context.settings import set_session_vars
from .database.install import install_audit_triggers, uninstall_audit_triggers
from .declare.options import audited
from .declare.registry import enable
from .errors import (
    AuditConfigError,
    AuditConflictError,
    AuditContextError,
    AuditError,
    AuditInstallError,
    AuditSealError,
    Conflict,
)
from .ui.access import Access
from .web.actors import Actor
from .web.extension import FlaskAudit

__all__ = [
    "Access",
    "Actor",
    "AuditConfigError",
    "AuditConflictError",
    "AuditContextError",
    "AuditError",
    "AuditInstallError",
    "AuditSealError",
    "Conflict",
    "FlaskAudit",
    "audited",
    "enable",
    "install_audit_triggers",
    "mask",
    "set_session_vars",
    "uninstall_audit_triggers",
]
