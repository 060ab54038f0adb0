"""What differs between two sketched images, value by value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .diff import Diff, diff
from .sketch import SketchedImage, SketchedValue


@dataclass(frozen=True)
class Written:
    """What is known by its text only: a number, JSON's ``null``, a value that is cut or too deep to be read."""

    text: str

    def __str__(self) -> str:
        return self.text


def diff_sketches(old: SketchedImage | None, new: SketchedImage | None) -> Diff:
    """As :func:`~flask_pg_audit.history.diff.diff`; numbers are :class:`Written`, so that no digit is lost.

    Values that are cut are compared as far as they are there: what differs behind that is not found.
    """
    return diff(_read(old), _read(new))


def _read(image: SketchedImage | None) -> Mapping[str, Any] | None:
    return None if image is None else {name: read_value(value) for name, value in image.items()}


def read_value(value: SketchedValue) -> Any:
    """``None`` for NULL, else what the JSON says."""
    if value.json is None:
        return None
    if value.is_cut:
        return Written(value.json)
    try:
        found = json.loads(value.json, parse_int=Written, parse_float=Written)
    except (ValueError, RecursionError):
        return Written(value.json)
    return Written("null") if found is None else found
