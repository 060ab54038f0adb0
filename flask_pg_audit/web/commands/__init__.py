"""``flask audit``: one module for each command or pair of commands; importing it adds it to the group."""

from . import baseline, check, history, install, redact, seal, status, verify, views
from .group import audit_cli

__all__ = ["audit_cli", "baseline", "check", "history", "install", "redact", "seal", "status", "verify", "views"]
