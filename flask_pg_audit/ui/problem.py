"""Answers that say what is wrong: JSON for programs, for people a page with a way back."""

from __future__ import annotations

from flask import current_app, request
from flask.typing import ResponseReturnValue

from .arguments import prefers_json
from .language import gettext
from .links import link
from .rendering import render_page
from .viewer import find_viewer


def answer_problem(status: int, title: str, text: str) -> ResponseReturnValue:
    """What is wrong and how to go on, in the frame of the log; for those who were not let in, what is wrong."""
    if prefers_json():
        return {"error": text}, status
    return (_render_framed(title, text) or _render_bare(title, text)), status


def answer_refusal(text: str, title: str | None = None) -> ResponseReturnValue:
    """For those who are not let in. Nothing of the log is shown, not its frame, not what the pages are."""
    title = title or gettext("No access")
    return ({"error": text} if prefers_json() else _render_bare(title, text)), 403


def _render_bare(title: str, text: str) -> str:
    return render_page("message.html", title=title, text=text)


def _render_framed(title: str, text: str) -> str | None:
    """``None`` where there is no frame: nobody has been let in, or the host's own part of it fails.

    It may need the very database that cannot be reached.
    """
    if find_viewer() is None:
        return None
    query = request.args.get("q", "")
    try:
        return render_page("problem.html", title=title, text=text, query_text=query, back_url=link("index", q=query))
    except Exception:
        current_app.logger.exception("the frame of the audit log failed; what is wrong is shown without it")
        return None
