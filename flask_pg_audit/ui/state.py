"""What the pages keep per app."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from flask import current_app
from jinja2 import Environment

if TYPE_CHECKING:
    from .catalog import Language

_KEY = "audit.ui"


@dataclass
class UiState:
    """In ``app.extensions``, so that nothing of an app is kept anywhere else.

    :ivar warned: the log has said that there is no access rule.
    :ivar environment: where the templates come from; made for the first page that is shown.
    :ivar languages: those that a page was shown in, by the name of the locale.
    """

    warned: bool = False
    environment: Environment | None = None
    languages: dict[str, Language] = field(default_factory=dict)


def get_ui_state() -> UiState:
    """The current app's."""
    return cast("UiState", current_app.extensions.setdefault(_KEY, UiState()))
