"""What ``flask audit check`` finds, for the pages: looked for at most once a minute."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import Engine, MetaData

from ..context.scope import ContextScope
from ..database.check import Finding, check

#: Seconds for which findings are kept.
KEPT_FOR = 60.0


@dataclass
class Health:
    """The findings about an app's databases, by bind key, and when they were found."""

    _found: dict[str | None, tuple[float, tuple[Finding, ...]]] = field(default_factory=dict, repr=False)

    def check(
        self,
        bind: str | None,
        metadata: MetaData,
        engine: Engine,
        beside: Collection[MetaData] = (),
        app_roles: Collection[str] = (),
    ) -> tuple[Finding, ...]:
        """As :func:`flask_pg_audit.database.check.check`; what was found within the last minute is returned again."""
        found_at, findings = self._found.get(bind, (float("-inf"), ()))
        if time.monotonic() - found_at > KEPT_FOR:
            findings = _check(metadata, engine, beside, app_roles)
            self._found[bind] = time.monotonic(), findings
        return findings


def _check(
    metadata: MetaData, engine: Engine, beside: Collection[MetaData], app_roles: Collection[str]
) -> tuple[Finding, ...]:
    # The catalog is read with SQL of our own, which counts as writing: whoever is logged in would be looked up for it,
    # on a connection that the pool may not have.
    with ContextScope({"username": None}), engine.connect() as connection:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        return check(metadata, connection, beside, app_roles)
