"""Removing values from history for good, with a record of it: data-protection requests."""

from .record import Redacted, redact
from .unmasked import redact_unmasked
from .views import redact_views

__all__ = ["Redacted", "redact", "redact_unmasked", "redact_views"]
