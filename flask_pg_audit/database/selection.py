"""Which of the declared tables a job is about, and whether they are ready for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import MetaData

from ..errors import AuditConfigError, AuditInstallError
from .action import Plan
from .adoption import UNFINISHED
from .declared import Declared, DeclaredTable
from .install import Bind, plan_installation
from .installed import Installed
from .name import QualifiedName

_INSTALL = "run flask audit install first"


@dataclass(frozen=True)
class Selection:
    """The tables of a job, as the catalog has them.

    :ivar named: somebody asked for these tables by name; else they are all that there are.
    """

    declared: Declared
    installed: Installed
    plan: Plan
    tables: tuple[DeclaredTable, ...]
    named: bool

    def require_installed(self) -> None:
        """Refuse to work on what is not recorded as declared: it could change unseen meanwhile.

        :raises AuditInstallError: names the table, what is missing, and the way out.
        """
        self.require_history()
        for table in self.tables:
            self._refuse(table, _texts(self._part(table)))

    def require_history(self) -> None:
        """Refuse to read a history that is not there, not complete, or in another place.

        :raises AuditInstallError: as above.
        """
        for table in self.tables:
            part = self._part(table)
            for problem in part.problems:
                if problem.fatal or problem.code == "index-missing":
                    raise AuditInstallError(f"{table.name.display}: {problem.message}")
            self._refuse(table, _texts(part, _NO_HISTORY))

    def _part(self, table: DeclaredTable) -> Plan:
        return self.plan.for_table(table.name, with_shared=True)

    def _refuse(self, table: DeclaredTable, missing: Sequence[str]) -> None:
        if missing:
            more = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise AuditInstallError(
                f"{table.name.display}: the database is not as declared: {missing[0]}{more}; {_INSTALL}"
            )


#: Findings of ``flask audit check`` that leave nothing to be read, or not all of it.
_NO_HISTORY = (UNFINISHED, "audit-table-elsewhere", "audit-table-missing")


def _texts(part: Plan, codes: Sequence[str] | None = None) -> list[str]:
    return [str(action) for action in part.actions if codes is None or action.code in codes]


def select_tables(metadata: MetaData, engine: Bind, names: Iterable[str] | None) -> Selection:
    """Read the catalog and choose the tables called ``names``, as declared or as messages name them.

    :param names: ``None`` for all audited tables.
    :raises AuditConfigError: no audited table has such a name, or none is declared at all.
    """
    declared, installed, plan = plan_installation(metadata, engine)
    declared = declared.as_in(installed)
    if names is None:
        return Selection(declared, installed, plan, declared.tables, named=False)
    wanted = tuple(dict.fromkeys(_find(name, declared) for name in names))
    tables = tuple(table for table in declared.tables if table.name in wanted)
    return Selection(declared, installed, plan, tables, named=True)


def _find(name: str, declared: Declared) -> QualifiedName:
    for table in declared.tables:
        if name in (table.name.display, table.audited.table.fullname):
            return table.name
    known = ", ".join(table.name.display for table in declared.tables)
    raise AuditConfigError(f"no audited table is called {name!r}; there are: {known}")
