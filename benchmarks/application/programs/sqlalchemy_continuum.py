"""SQLAlchemy-Continuum, as its documentation has it for Flask."""

from sqlalchemy.orm import configure_mappers
from sqlalchemy_continuum import make_versioned
from sqlalchemy_continuum.plugins import FlaskPlugin

from .shape import Columns

make_versioned(plugins=[FlaskPlugin()])


def declare(db):
    return type("Account", (Columns, db.Model), {"__versioned__": {}})


def start(app, db):
    configure_mappers()


def install(db):
    db.create_all()
