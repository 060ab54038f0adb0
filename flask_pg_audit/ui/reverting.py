"""The page that brings a version of a record back: what would be written is shown, and written when it is sent back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from flask import redirect, request
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection
from werkzeug.exceptions import BadRequest, Forbidden, NotFound

from ..errors import AuditConflictError, AuditError
from ..history.excerpts import Excerpt, Field, read_excerpts
from ..history.feed import read_places
from ..history.position import Position
from ..history.timeline import order_places, record_places
from ..history.versions import RowState, find_versions, read_row_state
from .arguments import prefers_json, read_position
from .csrf import FIELD, read, sign
from .language import gettext, message
from .links import link
from .numbers import format_number
from .record import Record, find_record
from .rendering import render_page
from .room import FULL
from .view_log import View, record_with
from .viewer import Preview, Reading, Version, Viewer, get_viewer
from .views import build_view, log_view

#: Changes since the version that are listed, and characters of the reason.
MAX_SINCE, MAX_REASON = 20, 1_000

_NOT_FOUND = message("There is no such version, or the row is not yours to change.")
_CHANGED = message("Meanwhile something was changed, and nothing was written. This is what would be written now.")
_TOO_OLD = message(
    "This form was too old, or not made for you, and nothing was written. Look again, and send this one."
)
_HIDDEN = message("A column would change that you may not see, so you may not bring the row back.")
_STRAYED = message("The row is not as the log has it, so it cannot be told whether it is yours to change.")
_IN_THE_WAY = message(
    "It cannot be brought back: the row as it is now, or a rule of the database, stands in the way. Somebody who may "
    "see the whole log is told what."
)


class _RefusedError(AuditError):
    """What the page refuses; the message may be shown to everybody."""


class _ChangedError(_RefusedError):
    """What would be written is not what was shown."""


@dataclass(frozen=True)
class _Choice:
    """What the query string asks for.

    :ivar is_version: there is a change that left the record so.
    :ivar may_have_children: the row was deleted after that version, so that there may be rows that went with it.
    """

    record: Record
    version: Version
    is_version: bool
    may_have_children: bool


@dataclass(frozen=True)
class RevertPage:
    """What would be written, and what stands in the way.

    :ivar version: the change right after which the record was as it is wanted; ``None`` if it was not there.
    :ivar since: the record's changes since then, the newest first.
    :ivar more: there are more of them.
    :ivar preview: what would be written; ``None`` if that cannot be done.
    :ivar problems: sentences that say why not.
    :ivar token: for the form.
    :ivar reason: what was typed already.
    """

    record: Record
    version: Excerpt | None
    since: tuple[Excerpt, ...]
    more: bool
    may_have_children: bool
    with_children: bool
    preview: Preview | None
    problems: tuple[str, ...]
    token: str
    reason: str


def show_preview() -> ResponseReturnValue:
    """What would be written."""
    viewer = get_viewer()
    _require(viewer)
    page = _read_page(viewer, _read_choice(viewer))
    log_view(viewer, "view", 1)
    return _render(page, None)


def carry_out() -> ResponseReturnValue:
    """Write it, unless it is something else by now than what was shown."""
    viewer = get_viewer()
    _require(viewer)
    choice, reason = _read_choice(viewer), request.form.get("reason", "").strip()
    if len(reason) > MAX_REASON:
        raise BadRequest(gettext("reason: at most %(number)s characters.", number=format_number(MAX_REASON)))
    shown = read(request.form.get(FIELD, ""), _subject(viewer, choice))
    if shown is None:
        return _again(viewer, choice, 400, gettext(_TOO_OLD))
    agreement = _Agreement(viewer, choice, shown, build_view(viewer, "revert", None))
    try:
        newest = viewer.state.revert(viewer.bind, choice.version, reason or None, agreement)
    except _ChangedError as error:
        return _again(viewer, choice, 409, str(error))
    except AuditError as error:
        return _again(viewer, choice, 409, " ".join(_sentences(viewer, error)))
    return redirect(link("transaction", id=newest and newest.transaction_id, done="revert"), 303)


def _require(viewer: Viewer) -> None:
    if not viewer.state.config.ui_revert:
        raise Forbidden(gettext("Bringing rows back from here is switched off in this application."))
    if not viewer.may_revert:
        raise Forbidden(gettext("You may not bring rows back."))


# What is asked for


def _read_choice(viewer: Viewer) -> _Choice:
    """
    :raises werkzeug.exceptions.BadRequest: an argument makes no sense.
    :raises werkzeug.exceptions.NotFound: the version, or the row as it is now, may not be seen.
    """
    with viewer.read() as reading:
        record = find_record(viewer, reading)
        now = _read_now(reading.connection, record)
        to, is_version = _read_place(reading, record)
        was_deleted_then = viewer.sees_everything and to == _read_last(reading, record, now)
    children = request.args.get("children", "")
    if children not in ("", "1") or (children and not was_deleted_then):
        raise BadRequest(gettext("children: nothing can have been deleted together with this version."))
    version = Version(record.table.table, record.values, to, with_children=bool(children))
    return _Choice(record, version, is_version, was_deleted_then)


def _read_now(connection: Connection, record: Record) -> RowState:
    """What became of the row, which has to be in the viewer's scope."""
    seen = read_row_state(connection, record.table, record.values)
    newest = read_row_state(connection, replace(record.table, scope=None), record.values)
    if seen is None or seen != newest:
        raise NotFound(gettext(_NOT_FOUND))
    return seen


def _read_place(reading: Reading, record: Record) -> tuple[Position, bool]:
    """The place of the version, and whether a change of the record is there."""
    to, before = read_position("to"), read_position("before")
    place = to or before
    if place is None or (to and before):
        raise BadRequest(gettext("Say which version: to, or before, the position of a change."))
    if not find_versions(reading.connection, record.table, record.values, [place]):
        raise NotFound(gettext(_NOT_FOUND))
    return (place, True) if before is None else _read_before(reading, record, before)


def _read_before(reading: Reading, record: Record, place: Position) -> tuple[Position, bool]:
    """The version that a change put an end to; where there was no row, the place right before the change."""
    just_before = Position(place.transaction_id, place.audit_id - 1)
    state = read_row_state(reading.connection, record.table, record.values, just_before)
    return (state.place, True) if state is not None and state.is_there else (just_before, False)


def _read_last(reading: Reading, record: Record, now: RowState) -> Position | None:
    """The version of a row that is gone after which it was removed; ``None`` while it is there."""
    if now.is_there:
        return None
    at_last = read_row_state(reading.connection, record.table, record.values, now.place)
    is_truncated = at_last is not None and at_last.is_there
    return now.place if is_truncated else _read_before(reading, record, now.place)[0]


# What is shown


def _again(viewer: Viewer, choice: _Choice, status: int, notice: str) -> ResponseReturnValue:
    """What was not done is recorded too, with no rows."""
    log_view(viewer, "revert", 0)
    if prefers_json():
        return {"error": notice}, status
    page = _read_page(viewer, choice)
    return _render(page, None if notice in page.problems else notice), status


def _render(page: RevertPage, notice: str | None) -> str:
    """One row is shown as far as it was read, many as far as there is room."""
    is_one = page.preview is not None and page.preview.count == 1
    return render_page("revert.html", room=FULL if is_one else None, page=page, notice=notice)


def _read_page(viewer: Viewer, choice: _Choice) -> RevertPage:
    preview, problems = _read_preview(viewer, choice)
    # Afterwards, so that nothing is missing among the changes since then that the preview knows of.
    with viewer.read() as reading:
        version, since = _read_since(reading, choice)
    return RevertPage(
        choice.record,
        version,
        tuple(since[:MAX_SINCE]),
        len(since) > MAX_SINCE,
        choice.may_have_children,
        choice.version.with_children,
        preview,
        problems,
        sign(_subject(viewer, choice), _shown(preview)) if preview is not None else "",
        request.form.get("reason", "")[:MAX_REASON],
    )


def _read_preview(viewer: Viewer, choice: _Choice) -> tuple[Preview | None, tuple[str, ...]]:
    try:
        preview = viewer.state.preview_revert(viewer.bind, choice.version)
        _check_visible(viewer, choice.record, preview)
    except AuditError as error:
        return None, tuple(_sentences(viewer, error))
    return preview, ()


def _read_since(reading: Reading, choice: _Choice) -> tuple[Excerpt | None, Sequence[Excerpt]]:
    record, to = choice.record, choice.version.to
    key = record.table.table.key
    newest = order_places(record_places(record.table, record.values), None, None, MAX_SINCE + 1)
    places = [place for place in read_places(reading.connection, newest) if place[1].audit_id > to.audit_id]
    shown = [(key, to)] if choice.is_version else []
    version = next(iter(read_excerpts(reading.connection, [record.table], shown)), None)
    return version, read_excerpts(reading.connection, [record.table], places)


def _sentences(viewer: Viewer, error: AuditError) -> Iterable[str]:
    """Why it cannot be done. What the database says may be about anything, so not everybody is told."""
    if isinstance(error, _RefusedError):
        return [str(error)]
    if not viewer.sees_everything:
        return [gettext(_IN_THE_WAY)]
    if isinstance(error, AuditConflictError):
        return [_sentence(str(conflict)) for conflict in error.conflicts[: error.MAX_LINES]]
    return [_sentence(str(error))]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


# What may be written, and was agreed to


def _check_visible(viewer: Viewer, record: Record, preview: Preview) -> None:
    """Nothing is written that the viewer may not see."""
    hidden = {column.name for column in record.table.hidden}
    for row in preview.rows:
        if hidden and (row.operation == "D" or any(field.name in hidden for field in row.fields)):
            raise _RefusedError(gettext(_HIDDEN))
    if viewer.access.scope is not None and not preview.is_as_recorded:
        raise _RefusedError(gettext(_STRAYED))


@dataclass(frozen=True)
class _Agreement:
    """Asked when the rows are locked: whether it is still what was shown. Then it is recorded who does it."""

    viewer: Viewer
    choice: _Choice
    shown: Sequence[str]
    view: View

    def __call__(self, connection: Connection, preview: Preview) -> None:
        viewer = self.viewer
        _read_now(connection, self.choice.record)
        _check_visible(viewer, self.choice.record, preview)
        if list(self.shown) != _shown(preview) or not preview.count:
            raise _ChangedError(gettext(_CHANGED))
        if viewer.state.config.log_views:
            record_with(connection, viewer.metadata, replace(self.view, row_count=preview.count))


def _subject(viewer: Viewer, choice: _Choice) -> Sequence[object]:
    """Who may send the form, and what for."""
    username, actor_id, _ = viewer.state.who()
    version = choice.version
    key = choice.record.text
    return "revert", username, actor_id, viewer.bind, version.audited.key, key, version.to, version.with_children


def _shown(preview: Preview) -> list[str]:
    """The record's newest change, and a digest of everything that the page shows of what would be written."""
    rows = [(row.table_key, row.operation, *map(_written, (*row.key, *row.fields))) for row in preview.rows]
    digest = hashlib.sha256(repr((preview.count, rows)).encode()).hexdigest()
    return [str(preview.newest), digest]


def _written(field: Field) -> object:
    values = (value and (value.text, value.length) for value in (field.old, field.value))
    return field.name, *values
