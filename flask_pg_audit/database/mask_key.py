"""Planning ``audit_mask_key``, which holds the keys of masks.

It is no history: nothing guards it, and nobody but its owner may read it, the application's role included.
"""

from __future__ import annotations

from collections.abc import Iterator

from .action import Action
from .audit_table import plan_history
from .declared import Declared
from .function import Infrastructure
from .installed import Installed
from .render import render

READABLE = "mask-key-readable"


def plan_mask_key_table(declared: Declared, installed: Installed, former: Infrastructure | None) -> Iterator[Action]:
    """Create it, or keep others out of it; nothing where no column is masked with a key.

    :param former: where it comes from when AUDIT_SCHEMA changed.
    """
    table, name = declared.mask_key_table, declared.infrastructure.mask_key_table
    if table is None:
        return
    existing = installed.relations.get(name)
    if existing is None and former is not None:
        existing = installed.relations.get(former.mask_key_table)
    yield from plan_history(table, name, existing, None, installed)
    if existing is None or existing.readers:
        reason = "for its owner only" if existing is None else f"readable by {', '.join(sorted(existing.readers))}"
        revoke = render("revoke_reading", table=name)
        yield Action(READABLE, "restrict", f"table {name.display}", reason, (revoke,), relations=(name,))
