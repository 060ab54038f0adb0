"""A name in a schema."""

from __future__ import annotations

from typing import NamedTuple


class QualifiedName(NamedTuple):
    """The full name of a relation or function, unquoted."""

    schema: str
    name: str

    @property
    def display(self) -> str:
        """For messages: the schema is left out where it is ``public``."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"
