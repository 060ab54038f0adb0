"""What the pages keep per app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from flask import current_app
from jinja2 import Environment

_KEY = "audit.ui"


@dataclass
class UiState:
    """In ``app.extensions``, so that nothing of an app is kept anywhere else.

    :ivar warned: the log has said that there is no access rule.
    :ivar environment: where the templates come from; made for the first page that is shown.
    """

    warned: bool = False
    environment: Environment | None = None


def get_ui_state() -> UiState:
    """The current app's."""
    return cast("UiState", current_app.extensions.setdefault(_KEY, UiState()))
