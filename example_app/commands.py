"""``flask create-user``: somebody has to be the first."""

from __future__ import annotations

import click
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy.exc import IntegrityError

from .extensions import db
from .models import Role, User


def init_app(app: Flask) -> None:
    """Register the command."""
    app.cli.add_command(create_user_command)


@click.command("create-user")
@click.argument("username")
@click.option("--full-name", help="What to call the user; the user name unless given.")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.CLERK.value)
@click.password_option()
@with_appcontext
def create_user_command(username: str, full_name: str | None, role: str, password: str) -> None:
    """Create a user who can log in."""
    user = User(username=username, full_name=full_name or username, role=Role(role))
    user.set_password(password)
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError:
        raise click.ClickException(f"there is a user {username!r} already") from None
    click.echo(f"Created {role} {username}.")
