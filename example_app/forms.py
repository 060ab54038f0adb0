"""Typed values out of submitted forms.

A form is read field by field; what is wrong is collected, and nothing is saved until nothing is::

    form = Form(request.form)
    name, price = form.text("name"), form.price("price")
    if not form.errors:
        ...
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import TypeVar

from flask import abort
from sqlalchemy.exc import IntegrityError

from .extensions import db

E = TypeVar("E", bound=Enum)

MOST = 1_000_000


class Form:
    """A submitted form, or one still to be filled in.

    :ivar errors: what is wrong, by the name of the field.
    """

    def __init__(self, submitted: Mapping[str, str]) -> None:
        self._submitted = submitted
        self.errors: dict[str, str] = {}

    def shown(self, name: str, saved: object = "") -> object:
        """What the field shows: what was typed, or else what is saved."""
        return self._submitted.get(name, "" if saved is None else saved)

    def text(self, name: str, *, required: bool = True, longest: int = 200) -> str:
        """Some text, without the spaces around it, and without what PostgreSQL cannot store."""
        value = self._submitted.get(name, "").replace("\0", "").strip()
        if required and not value:
            self.errors[name] = "Please fill this in."
        elif len(value) > longest:
            self.errors[name] = f"At most {longest} characters, please."
        return value

    def email(self, name: str) -> str:
        """An e-mail address, in lower case."""
        value = self.text(name).lower()
        if value and "@" not in value.strip("@"):
            self.errors[name] = "This is no e-mail address."
        return value

    def price(self, name: str) -> Decimal:
        """An amount of money: not negative, two places."""
        try:
            value = Decimal(self._submitted.get(name, ""))
        except InvalidOperation:
            value = Decimal("NaN")
        if not (value.is_finite() and 0 <= value < MOST and value == round(value, 2)):
            self.errors[name] = "A price such as 4.20, please."
        return value

    def count(self, name: str) -> int:
        """A whole number, not negative; nothing means none."""
        value = self._submitted.get(name, "").strip() or "0"
        if not (value.isascii() and value.isdigit() and len(value) <= 6):
            self.errors[name] = "A whole number, please, zero or more."
            return 0
        return int(value)

    def choice(self, name: str, among: type[E]) -> E:
        """A member of an enum; a browser cannot send anything else."""
        try:
            return among(self._submitted.get(name))
        except ValueError:
            abort(400)

    def commit(self, unique: str) -> bool:
        """Commit, unless the database finds that the value of the field ``unique`` is taken."""
        try:
            db.session.commit()
        except IntegrityError:
            db.session.rollback()
            self.errors[unique] = "This one is taken."
        return not self.errors
