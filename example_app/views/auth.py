"""Logging in and out."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user, login_user, logout_user
from sqlalchemy import func, select

from ..extensions import db
from ..forms import Form
from ..models import User

blueprint = Blueprint("auth", __name__)

TERMINALS = ("Counter 1", "Counter 2", "Telephone", "Office")


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    """Ask for name, password and the place of work."""
    if current_user.is_authenticated:
        return redirect(url_for("home"))
    form = Form(request.form)
    if request.method == "POST" and (user := _authenticate(form)):
        _begin_session(user, form.text("terminal", required=False))
        return redirect(_where_to())
    return render_template("auth/login.html", form=form, terminals=[(name, name) for name in TERMINALS])


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Forget who it was."""
    logout_user()
    session.clear()
    flash("You are logged out. See you soon!")
    return redirect(url_for(".login"))


def _authenticate(form: Form) -> User | None:
    username, password = form.text("username"), form.text("password")
    user: User | None = db.session.scalar(select(User).where(User.username == username))
    if user is not None and user.has_password(password):
        return user
    form.errors.setdefault("password", "Wrong name or password.")
    return None


def _begin_session(user: User, terminal: str) -> None:
    session.clear()  # the token of a form that somebody else may have seen goes with it
    login_user(user)
    session["terminal"] = terminal if terminal in TERMINALS else None
    user.last_login_at = func.now()
    db.session.commit()


def _where_to() -> str:
    """Back to the page that asked for the login, if it is one of ours."""
    target = request.args.get("next", "")
    if target.startswith("/") and not target.startswith(("//", "/\\")):
        return target
    return url_for("home")
