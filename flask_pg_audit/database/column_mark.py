"""Planning the marks on the columns of an audit table that tell from which change on they are recorded, or masked."""

from __future__ import annotations

from collections.abc import Iterator

from ..declare.absence import ABSENT, COMMENT_PREFIX, MASKED, is_open, is_recorded, parse_absences, parse_masks
from .action import Action
from .declared import DeclaredTable
from .installed import InstalledRelation
from .render import render

#: The code of a mark that goes with a column which is added: ``flask audit check`` says ``column-missing`` of it.
NEW_COLUMN = "new-column"


def plan_marks(table: DeclaredTable, existing: InstalledRelation) -> Iterator[Action]:
    """The steps that mark the columns which are recorded from now on, or no longer."""
    recorded = table.trigger.columns
    for column in recorded:
        if column not in existing.columns:
            yield _mark(table, column, ABSENT, begins=False, code=NEW_COLUMN)
        elif not _is_marked_recorded(existing, column):
            yield _mark(table, column, ABSENT, begins=False)
    for column in existing.columns:
        # One with a default is somebody's own: images have none.
        is_image = column not in {*recorded, *existing.filled} and not _is_of_the_audit_table(table, column)
        if is_image and _is_marked_recorded(existing, column):
            yield _mark(table, column, ABSENT, begins=True)


def plan_mask_marks(table: DeclaredTable, existing: InstalledRelation | None) -> Iterator[Action]:
    """The steps that mark the columns which are masked from now on, or no longer.

    :param existing: the audit table; ``None`` where it is created now.
    """
    comments = {} if existing is None else existing.comments
    masked = {mask.column for mask in table.trigger.masks}
    known = {*masked, *(name for name, comment in comments.items() if is_open(parse_masks(comment)))}
    for column in sorted(known):
        if (column in masked) != is_open(parse_masks(comments.get(column))):
            yield _mark(table, column, MASKED, begins=column in masked)


def _is_marked_recorded(existing: InstalledRelation, column: str) -> bool:
    return is_recorded(parse_absences(existing.comments.get(column)))


def _is_of_the_audit_table(table: DeclaredTable, column: str) -> bool:
    """No image: an id, the operation, a session setting, one that is no longer declared included."""
    return column.startswith("audit_") and column not in table.audited.table.columns


_REASONS = {
    (ABSENT, False): "recorded from now on",
    (ABSENT, True): "no longer recorded",
    (MASKED, True): "masked from now on",
    (MASKED, False): "no longer masked",
}


def _mark(table: DeclaredTable, column: str, kind: str, begins: bool, code: str = "column-unmarked") -> Action:
    def sql(begins: bool) -> str:
        return render(
            "mark_column",
            table=table.trigger.audit_table,
            column=column,
            sequence=table.trigger.sequence,
            prefix=COMMENT_PREFIX,
            kind=kind,
            begins=begins,
        )

    name = table.trigger.audit_table
    return Action(
        code,
        "mark",
        f"column {column} of {name.display}",
        _REASONS[kind, begins],
        (sql(begins),),
        table.name,
        (sql(not begins),),
        (name,),
    )
