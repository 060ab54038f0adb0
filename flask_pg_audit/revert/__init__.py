"""Bringing rows back to what the history says they were, as audited writes like any other."""

from .changes import revert, revert_transaction
from .record import restore, undelete
from .target import Reverted, RowWrite

__all__ = ["Reverted", "RowWrite", "restore", "revert", "revert_transaction", "undelete"]
