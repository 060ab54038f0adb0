"""Who may look: closed unless the application's access rule opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import AuditConfigError


@dataclass(frozen=True)
class Access:
    """What the access rule grants.

    :ivar read: look at the pages.
    :ivar export: download what they show.
    :ivar revert: bring old rows back.

    .. versionadded:: 0.1
    """

    read: bool = True
    export: bool = False
    revert: bool = False


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
