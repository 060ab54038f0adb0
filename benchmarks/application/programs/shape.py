"""The table that is written to, of ten columns, and what its rows look like."""

import datetime
import decimal

import sqlalchemy as sa
from flask_login import UserMixin
from sqlalchemy.dialects.postgresql import ARRAY, JSONB


class Columns:
    """Of the model ``Account``; each contender adds its own."""

    __tablename__ = "account"

    id = sa.Column(sa.BigInteger, sa.Identity(), primary_key=True)
    name = sa.Column(sa.Text)
    email = sa.Column(sa.Text)
    note = sa.Column(sa.Text)
    amount = sa.Column(sa.Integer)
    price = sa.Column(sa.Numeric(12, 2))
    tags = sa.Column(ARRAY(sa.Text))
    doc = sa.Column(JSONB)
    active = sa.Column(sa.Boolean)
    at = sa.Column(sa.DateTime(timezone=True))


NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def values(number):
    """Those of a new row."""
    return {
        "name": f"name {number}",
        "email": f"user{number}@example.org",
        "note": "a note of some length about nothing in particular",
        "amount": number,
        "price": decimal.Decimal("12.50"),
        "tags": ["a", "b", "c"],
        "doc": {"k": [1, 2, 3], "plan": "free"},
        "active": True,
        "at": NOW,
    }


def declare_user(db):
    """The model of who logs in, which some contenders refer to."""

    class User(UserMixin, db.Model):
        __tablename__ = "user"
        id = sa.Column(sa.BigInteger, primary_key=True)
        username = sa.Column(sa.Text)

    return User
