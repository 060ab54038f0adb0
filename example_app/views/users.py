"""Users, for admins."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from ..access import allow, require_login
from ..extensions import db
from ..forms import Form
from ..models import Role, User

blueprint = Blueprint("users", __name__, url_prefix="/users")
blueprint.before_request(require_login)


@blueprint.get("/")
@allow(Role.ADMIN)
def index() -> str:
    """All users."""
    users = db.session.scalars(select(User).order_by(User.username)).all()
    return render_template("users/index.html", users=users)


@blueprint.route("/new", methods=["GET", "POST"])
@allow(Role.ADMIN)
def create() -> ResponseReturnValue:
    """Add a user."""
    return _edit(User(role=Role.CLERK))


@blueprint.route("/<int:user_id>", methods=["GET", "POST"])
@allow(Role.ADMIN)
def edit(user_id: int) -> ResponseReturnValue:
    """Change a user."""
    return _edit(db.get_or_404(User, user_id))


def _edit(user: User) -> ResponseReturnValue:
    form = Form(request.form)
    if request.method == "POST" and _save(user, form):
        flash(f"{user.full_name} is saved.")
        return redirect(url_for(".index"))
    roles = [(role.value, role.value) for role in Role]
    return render_template("users/edit.html", user=user, form=form, roles=roles)


def _save(user: User, form: Form) -> bool:
    username, full_name = form.text("username", longest=40), form.text("full_name")
    role = form.choice("role", Role)
    # A password is needed once; later, nothing filled in means no change.
    password = form.text("password", required=user.id is None)
    if form.errors:
        return False
    user.username, user.full_name, user.role = username, full_name, role
    if password:
        user.set_password(password)
    db.session.add(user)
    return form.commit(unique="username")
