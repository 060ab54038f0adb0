"""The group ``flask audit``, and what its commands have in common: options, binds, progress, readable errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import click
from sqlalchemy import Engine, MetaData
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ...database.batches import BATCH_SIZE
from ...database.patience import LOCK_TIMEOUT, TRIES
from ...database.progress import Progress
from ...declare.registry import audit_metadata
from ...errors import AuditConfigError, AuditError, driver_message
from ...ui.text import visible
from ..state import get_state


class AuditGroup(click.Group):
    """Turns this package's and the database's errors into one readable line and exit code 1.

    They quote what was asked for, and on a terminal no character of that does anything.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            error.message = visible(error.message)  # type: ignore[misc]  # click may set it in __init__() only
            raise
        except AuditError as error:
            raise click.ClickException(visible(str(error))) from error
        except DBAPIError as error:
            raise click.ClickException(visible(f"the database said: {driver_message(error)}")) from error
        except SQLAlchemyError as error:
            raise click.ClickException(visible(str(error))) from error
        except UnicodeEncodeError as error:  # a byte of an argument that is no UTF-8
            raise click.ClickException(visible(f"this is no text that PostgreSQL keeps: {error.object}")) from error


@click.group("audit", cls=AuditGroup)
def audit_cli() -> None:
    """Record every change in the database, and see what is recorded."""


bind_option = click.option(
    "--bind", "bind_key", metavar="KEY", help="Only this bind of SQLALCHEMY_BINDS (default: all)."
)


app_role_option = click.option(
    "--app-role",
    "app_roles",
    multiple=True,
    metavar="ROLE",
    help="The database role as which the app runs, besides those of AUDIT_APP_ROLE; repeatable.",
)


def app_roles_of(given: Sequence[str]) -> tuple[str, ...]:
    """The roles that were configured, and those of ``--app-role``.

    :raises click.BadParameter: one of them is empty.
    """
    if not all(given):
        raise click.BadParameter("give the name of a database role", param_hint="--app-role")
    return tuple(dict.fromkeys((*get_state().config.app_roles, *given)))


_LOCK_TIMEOUT = click.option(
    "--lock-timeout",
    type=click.FloatRange(min=0, max=86_400),
    default=LOCK_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for a table's lock before everybody else is let through; 0 waits without end.",
)
_TRIES = click.option(
    "--tries", type=click.IntRange(min=1), default=TRIES, show_default=True, help="How often to try for the locks."
)


def lock_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--lock-timeout`` and ``--tries``."""
    for option in (_TRIES, _LOCK_TIMEOUT):
        command = option(command)
    return command


tables_argument = click.argument("tables", metavar="[TABLE]...", nargs=-1)

batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=BATCH_SIZE,
    show_default=True,
    metavar="N",
    help="Rows that are handled at once.",
)


@contextmanager
def progress_bar(label: str) -> Iterator[Progress | None]:
    """A function that is told how much is done, and of how much; it draws once there is something.

    ``None`` without a terminal: then nobody needs to count beforehand.
    """
    if not sys.stderr.isatty():
        yield None
        return
    with ExitStack() as stack:
        bars: list[Any] = []

        def show(done: int, total: int) -> None:
            if not bars:
                bars.append(stack.enter_context(click.progressbar(length=total, label=label, file=sys.stderr)))
            bars[0].length = total
            bars[0].update(done - bars[0].pos)

        yield show


def binds(bind_key: str | None) -> Iterator[tuple[str | None, MetaData, Engine]]:
    """The binds that have audited tables: key, models and engine.

    :raises AuditConfigError: there are none, or not the one called ``bind_key``.
    """
    state = get_state()
    metadatas = state.metadatas
    if not metadatas:
        raise AuditConfigError(
            "no audited table is declared; give a model __table_args__ = {'info': audited()} and make sure that "
            "the app imports it"
        )
    if bind_key is not None and bind_key not in metadatas:
        known = ", ".join(sorted(str(key) for key in metadatas if key is not None)) or "none"
        raise AuditConfigError(f"no bind {bind_key!r} with audited tables; there are: {known}")
    for key, metadata in metadatas.items():
        if bind_key is None or key == bind_key:
            yield key, metadata, state.db.engines[key]


def chosen(
    tables: Sequence[str], bind_key: str | None
) -> Iterator[tuple[str | None, MetaData, Engine, list[str] | None]]:
    """The binds with those of ``tables`` that they have, ``None`` for all; binds that have none are left out.

    :raises AuditConfigError: none of the binds has one of them.
    """
    found = list(binds(bind_key))
    names = {key: {audited.table.fullname for audited in audit_metadata(metadata)} for key, metadata, _ in found}
    known = set().union(*names.values())
    for table in tables:
        if table not in known:
            raise AuditConfigError(f"no audited table is called {table!r}; there are: {', '.join(sorted(known))}")
    for key, metadata, engine in found:
        own = [table for table in tables if table in names[key]]
        if own or not tables:
            yield key, metadata, engine, own or None


def heading(key: str | None) -> None:
    """Say which bind the following lines are about."""
    if key is not None:
        click.echo(f"-- bind {key}")
