"""What the pages keep per app."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from flask import current_app
from jinja2 import Environment

if TYPE_CHECKING:
    from babel import Locale

    from .catalog import Language

_KEY = "audit.ui"


@dataclass
class UiState:
    """In ``app.extensions``, so that nothing of an app is kept anywhere else.

    :ivar warned: the log has said that there is no access rule.
    :ivar environment: where the templates come from; made for the first page that is shown.
    :ivar key: signs what comes back from a page, where the app has no ``SECRET_KEY``; another in each process.
    :ivar languages: those that a page was shown in, by locale.
    """

    warned: bool = False
    environment: Environment | None = None
    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    languages: dict[Locale, Language] = field(default_factory=dict)


def get_ui_state() -> UiState:
    """The current app's."""
    return cast("UiState", current_app.extensions.setdefault(_KEY, UiState()))
