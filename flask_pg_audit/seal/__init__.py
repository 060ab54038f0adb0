"""Tamper evidence: closing the settled part of the history, and finding out later whether it is what it was.

:func:`seal` and :func:`verify_seals` are what ``flask audit seal`` and ``flask audit verify --seals`` call.
"""

from .finding import SealFinding, VerifiedSeals
from .keys import SealKey, read_key, read_key_file
from .leaves import read_leaf
from .record import Seal, SealedTable
from .redactions import Redactions
from .sealing import seal
from .verifying import verify_seals

__all__ = [
    "Redactions",
    "Seal",
    "SealFinding",
    "SealKey",
    "SealedTable",
    "VerifiedSeals",
    "read_key",
    "read_key_file",
    "read_leaf",
    "seal",
    "verify_seals",
]
