"""An audit trail for Flask on PostgreSQL: every change, who made it, and what it was before."""

from .declare.options import audited
from .declare.registry import enable
from .errors import AuditConfigError, AuditContextError, AuditError, AuditInstallError

__all__ = [
    "AuditConfigError",
    "AuditContextError",
    "AuditError",
    "AuditInstallError",
    "audited",
    "enable",
]
