"""What is measured against one another: a module for each.

A contender is told which tables there are, in a database of its own, and makes them audited, each in the configuration
that its own documentation recommends. From then on the same statements are run on all of them.

Those from PyPI are installed by :mod:`.environment`, pinned, into an environment of their own, and put their triggers
into the database themselves: a program in ``installers/`` is run there. What cannot be installed or run is left out,
with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from benchmarks.writing.tables import Shape


class Unavailable(Exception):
    """It cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Contender:
    """One way to audit tables.

    :ivar name: also that of its database.
    :ivar configuration: a phrase for the tables of the documentation.
    :ivar install: creates the tables and makes them audited. Raises :class:`Unavailable`.
    :ivar begin: PL/pgSQL statements that its program sends at the start of each transaction that writes.
    :ivar by_hand: the statements themselves write the history, there are no triggers.
    """

    name: str
    title: str
    configuration: str
    install: Callable[[Engine, Sequence[Shape]], None]
    begin: str = ""
    by_hand: bool = False


def own() -> tuple[Contender, ...]:
    """No auditing, the floor, and ours: what is there without PyPI."""
    from benchmarks.contenders import floor, ours, unaudited

    return (unaudited.NONE, floor.FLOOR, ours.DEFAULT, ours.MINIMAL)


def from_pypi() -> tuple[Contender, ...]:
    """What one could use instead."""
    from benchmarks.contenders import (
        auditrum,
        django_pghistory,
        flask_audit_logger,
        flask_postgresql_audit,
        postgresql_audit,
    )

    modules = (postgresql_audit, flask_audit_logger, flask_postgresql_audit, django_pghistory, auditrum)
    return tuple(module.CONTENDER for module in modules)
