"""Databases that many attacks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server import Database, DatabaseServer


@pytest.fixture(scope="module")
def shared_database(server: DatabaseServer, template: str) -> Iterator[Database]:
    """One database for all tests of a module."""
    with server.database(template) as database:
        yield database
