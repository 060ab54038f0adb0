"""``flask audit``: one module for each command or pair of commands; importing it adds it to the group."""

from . import check, install, status
from .group import audit_cli

__all__ = ["audit_cli", "check", "install", "status"]
