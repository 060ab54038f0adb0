"""What a person may do on the audit-log pages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Access:
    """What the access rule grants.

    :ivar read: look at the pages.
    :ivar export: download what they show.
    :ivar revert: bring old rows back.
    """

    read: bool = True
    export: bool = False
    revert: bool = False
