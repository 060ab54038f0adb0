"""What runs beside the clients: the package's own commands, and people who read the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_pg_audit import AuditError, install_audit_triggers
from flask_pg_audit.database.baseline import baseline
from flask_pg_audit.database.check import check
from flask_pg_audit.database.verify import verify
from flask_pg_audit.seal import seal
from soak.bank import Bank, build

#: Seconds after which somebody who was interrupted goes on.
PAUSE = 0.2

#: Seconds in which transactions that a seal waits for have to end.
WAIT = 5

#: Short, so that clients do not queue behind an installation for long.
LOCK_TIMEOUT, TRIES = 0.2, 200


@dataclass
class Jobs:
    """:ivar done: how often each was.
    :ivar interrupted: how often a fault ended one.
    :ivar findings: what should not have been found.
    """

    bank: Bank
    done: Counter[str] = field(default_factory=Counter)
    interrupted: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    def run(self, go_on: Callable[[], bool]) -> None:
        """All of them, again and again."""
        while go_on() and not self.done["baseline"]:
            # Before that, verifying finds rows from before auditing.
            self._do_all(go_on, ("install", "baseline"))
        while go_on():
            self._do_all(go_on, JOBS)

    def _do_all(self, go_on: Callable[[], bool], names: Iterable[str]) -> None:
        for name in names:
            if go_on():
                self.do(name, JOBS[name])

    def do(self, name: str, job: Callable[[Bank], list[str]]) -> None:
        """One of them; what ends it because the server is away is no finding."""
        errors: tuple[type[Exception], ...] = (AuditError, _NotShown, *self.bank.errors)
        try:
            self.findings += [f"{name}: {finding}" for finding in job(self.bank)]
        except errors:
            self.interrupted[name] += 1
            time.sleep(PAUSE)
        else:
            self.done[name] += 1


class _NotShown(Exception):
    """A page of the log could not be read."""


def _install(bank: Bank) -> list[str]:
    install_audit_triggers(bank.db.metadata, bank.desk, lock_timeout=LOCK_TIMEOUT, tries=TRIES)
    return []


def _install_otherwise(bank: Bank) -> list[str]:
    """With options of which the clients see nothing: the functions are replaced."""
    _install_options(bank, skip_unchanged=False)
    return []


def _install_row_triggers(bank: Bank) -> list[str]:
    """Functions and triggers are."""
    _install_options(bank, level="row")
    return []


def _install_options(bank: Bank, **options: Any) -> None:
    other = build(bank.desk.url, **options)
    install_audit_triggers(other.db.metadata, bank.desk, lock_timeout=LOCK_TIMEOUT, tries=TRIES)
    other.close()


def _baseline(bank: Bank) -> list[str]:
    baseline(bank.db.metadata, bank.desk)
    return []


def _verify(bank: Bank) -> list[str]:
    found = verify(bank.db.metadata, bank.desk)
    return [str(difference) for one in found for difference in one.differences]


def _seal(bank: Bank) -> list[str]:
    seal(bank.db.metadata, bank.desk, wait=WAIT)
    return []


def _check(bank: Bank) -> list[str]:
    _install(bank)
    with bank.desk.connect() as connection:
        return [str(finding) for finding in check(bank.db.metadata, connection)]


def _read(bank: Bank) -> list[str]:
    client = bank.app.test_client()
    for path in ("/", "/record?table=counter&key=-1", "/?q=op:delete", "/api/changes", "/table?name=account"):
        answer = client.get(f"/audit{path}")
        if answer.status_code >= 500:
            raise _NotShown(f"{path}: {answer.status}")
        if answer.status_code != 200:
            return [f"{path}: {answer.status}"]
    return []


#: By name, in the order in which they are done. Further commands of the package come here.
JOBS: Mapping[str, Callable[[Bank], list[str]]] = {
    "install": _install,
    "baseline": _baseline,
    "read": _read,
    "install, functions replaced": _install_otherwise,
    "seal": _seal,
    "verify": _verify,
    "install, triggers replaced": _install_row_triggers,
    "check": _check,
}
