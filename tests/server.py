"""The databases the tests run on: a new one for each test, copied from a template in a few milliseconds."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from sqlalchemy import URL, create_engine

DRIVER = os.environ.get("AUDIT_TEST_DRIVER", "psycopg2")


@dataclass(frozen=True)
class Database:
    """One test's database."""

    address: URL

    def url(self, driver: str | None = None) -> URL:
        """Its address for a driver, by default the one that this run of the suite is about."""
        return self.address.set(drivername=f"postgresql+{driver or DRIVER}")


class DatabaseServer:
    """Makes databases on a server whose address it is told; the role needs the right to create them."""

    def __init__(self, address: URL) -> None:
        self._address = address
        self._engine = create_engine(address, isolation_level="AUTOCOMMIT")
        run = secrets.token_hex(4)  # several runs may share a server
        self._names = (f"audit_test_{run}_{number}" for number in count())

    @cached_property
    def version(self) -> int:
        """The major version, as in 18."""
        return int(self._ask("SHOW server_version_num")) // 10_000

    @cached_property
    def is_superuser(self) -> bool:
        """Whether the tests' role is one."""
        return self._ask("SHOW is_superuser") == "on"

    @contextmanager
    def template(self) -> Iterator[str]:
        """An empty database to copy: the same text order everywhere, and none of a user's own objects."""
        with self._created("template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'") as name:
            yield name

    @contextmanager
    def database(self, template: str) -> Iterator[Database]:
        """A copy of the template, dropped afterwards with whoever is still connected."""
        with self._created(template) as name:
            yield Database(self._address.set(database=name))

    def close(self) -> None:
        """Disconnect."""
        self._engine.dispose()

    @contextmanager
    def _created(self, template: str) -> Iterator[str]:
        name = next(self._names)
        # Half as long as through the log, which is the default where there is a choice.
        strategy = " STRATEGY file_copy" if self.version >= 15 else ""
        self._do(f"CREATE DATABASE {name} TEMPLATE {template}{strategy}")
        try:
            yield name
        finally:
            self._do(f"DROP DATABASE {name} WITH (FORCE)")

    def _do(self, sql: str) -> None:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(sql)

    def _ask(self, sql: str) -> str:
        with self._engine.connect() as connection:
            return str(connection.exec_driver_sql(sql).scalar_one())
