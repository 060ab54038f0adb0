"""Who may look, and at what: closed unless the application's access rule opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Select, Table

from ..errors import AuditConfigError
from ..history.recorded import RecordedTable


@dataclass(frozen=True)
class Access:
    """What the access rule grants.

    What ``scope``, ``tables`` and ``columns`` leave out is nowhere: not on a page, in an export, the API, a count, a
    search or an error message.

    :ivar read: look at the pages.
    :ivar export: download what they show.
    :ivar revert: bring old rows back.
    :ivar scope: narrows the changes of a table, the viewer's own tenant's say. It gets a ``select()`` of the audit
        table's columns and the audited ``Table``, and returns the narrowed ``select()``:
        ``lambda query, table: query.where(query.selected_columns.tenant_id == 7)``.
    :ivar tables: whether an audited ``Table`` is shown at all.
    :ivar columns: whether a column of a ``Table`` is shown, by its name.

    .. versionadded:: 0.1
    """

    read: bool = True
    export: bool = False
    revert: bool = False
    scope: Callable[[Select[Any], Table], Select[Any]] | None = None
    tables: Callable[[Table], bool] | None = None
    columns: Callable[[Table, str], bool] | None = None

    def visible(self, tables: Iterable[RecordedTable]) -> tuple[RecordedTable, ...]:
        """The part of ``tables`` that may be seen."""
        return tuple(self._narrow(table) for table in tables if self.tables is None or self.tables(table.table))

    def _narrow(self, table: RecordedTable) -> RecordedTable:
        if self.columns is None:
            return replace(table, scope=self.scope)
        shown = [column for column in table.columns if self.columns(table.table, column.name)]
        hidden = [column for column in table.columns if column not in shown]
        return replace(table, columns=tuple(shown), hidden=tuple(hidden), scope=self.scope)


NO_ACCESS = Access(read=False)


def decide(rule: Callable[[], object] | None) -> Access:
    """Ask the application's rule. An exception in it passes on: it never opens a page.

    :raises AuditConfigError: the rule returned something that is neither true, false, nor an :class:`Access`.
    """
    answer = rule() if rule is not None else None
    if isinstance(answer, Access):
        return answer
    if answer is True:
        return Access()
    if not answer:
        return NO_ACCESS
    raise AuditConfigError(f"the access_loader must return True, an Access(...), or something false, not {answer!r}")
