"""No auditing."""

from .shape import Columns


def declare(db):
    return type("Account", (Columns, db.Model), {})


def start(app, db):
    pass


def install(db):
    db.create_all()
