"""Nothing: what the others are compared with."""

from __future__ import annotations

from benchmarks.contenders import Contender
from benchmarks.writing.tables import create_plain

NONE = Contender("none", "no auditing", "the tables and nothing else", create_plain)
