"""``audit_transaction.context`` as it comes from the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

#: Characters that are read; the Flask layer writes at most 16,384.
MAX_CONTEXT_LENGTH = 20_000


def parse_context(text: str | None) -> Mapping[str, Any]:
    """The JSON object in ``text``; empty for none, for a longer one than is read, and for any other JSON.

    Whoever may send SQL chooses what is in ``audit.context``, and must not be able to make the log unreadable:
    numbers stay text, for Python refuses to read long ones, and a thousand brackets are no error.
    """
    if text is None or len(text) > MAX_CONTEXT_LENGTH:
        return {}
    try:
        context = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return {}
    return context if isinstance(context, dict) else {}
