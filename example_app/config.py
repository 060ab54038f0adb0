"""The settings."""

from __future__ import annotations

import os
import secrets
from typing import Any

from sqlalchemy import URL, make_url


def from_environment() -> dict[str, Any]:
    """The settings of an app that runs where ``DATABASE_URL`` and ``SECRET_KEY`` say so."""
    settings: dict[str, Any] = {
        # Without a key of your own nobody stays logged in over a restart, and several processes disagree.
        "SECRET_KEY": os.environ.get("SECRET_KEY") or secrets.token_hex(),
        "SESSION_COOKIE_SAMESITE": "Lax",
        # Admins may; see auditing.py.
        "AUDIT_UI_REVERT": True,
    }
    if address := os.environ.get("DATABASE_URL"):
        settings["SQLALCHEMY_DATABASE_URI"] = database_url(address)
    return settings


def database_url(address: str) -> URL:
    """The address with its driver named: which one a bare ``postgresql://`` means differs between
    SQLAlchemy 2.0 and 2.1, and ``postgres://``, as hosting services write it, is refused by both.
    """
    scheme, separator, rest = address.partition("://")
    if scheme in ("postgres", "postgresql"):
        scheme = "postgresql+psycopg2"
    return make_url(f"{scheme}{separator}{rest}")
