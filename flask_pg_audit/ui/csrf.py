"""Requests that change something: sent from our own page, by whom it was shown to, and not long ago.

None of it needs a session or an extension: browsers say where a request comes from, and the form has a token that is
signed with the app's secret key. An app that checks a token of its own gets that as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from flask import current_app, request
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer

from ..errors import AuditError
from .language import gettext, message

#: Seconds for which a form can be sent.
MAX_AGE = 3_600

#: The field of the form that has our token.
FIELD = "fpa_token"

_SALT = "flask_pg_audit.ui.csrf"

_NO_KEY = message(
    "The application has no SECRET_KEY, without which no form of the audit log can be told from a forged one. Set it."
)


def is_from_elsewhere() -> bool:
    """Whether a browser says that another site sent the request; programs say nothing."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is not None and origin.partition("://")[2].lower() != request.host.lower()


def sign(subject: Sequence[object], shown: Sequence[str]) -> str:
    """A token for a form.

    :param subject: who may send it, and about what.
    :param shown: what the form said that would be done; :func:`read` returns it.
    :raises AuditError: the app has no secret key.
    """
    token: str | bytes = _serializer().dumps([_digest(subject), *shown])
    return token if isinstance(token, str) else token.decode()


def read(token: str, subject: Sequence[object]) -> list[str] | None:
    """What was shown to the person who sends a token; ``None`` when it is forged, another's, or too old.

    :raises AuditError: the app has no secret key.
    """
    try:
        digest, *shown = _serializer().loads(token, max_age=MAX_AGE)
    except (BadSignature, SignatureExpired):
        return None
    return shown if digest == _digest(subject) else None


def _serializer() -> URLSafeTimedSerializer:
    key = current_app.secret_key
    if not key:
        raise AuditError(gettext(_NO_KEY))
    # Flask signs with the newest, and reads what older ones signed.
    keys = [*(current_app.config.get("SECRET_KEY_FALLBACKS") or ()), key]
    return URLSafeTimedSerializer(keys, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256})


def _digest(subject: Sequence[object]) -> str:
    return hashlib.sha256(
        json.dumps([str(part) if part is not None else None for part in subject]).encode()
    ).hexdigest()
