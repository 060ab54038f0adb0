"""Customers."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from ..access import editing, require_login
from ..extensions import db
from ..forms import Form
from ..models import Customer

blueprint = Blueprint("customers", __name__, url_prefix="/customers")
blueprint.before_request(require_login)

ADDRESS = ("street", "postcode", "city", "country")


@blueprint.get("/")
def index() -> str:
    """All customers."""
    customers = db.session.scalars(select(Customer).order_by(Customer.name)).all()
    return render_template("customers/index.html", customers=customers)


@blueprint.route("/new", methods=["GET", "POST"])
@editing
def create() -> ResponseReturnValue:
    """Add a customer."""
    return _edit(Customer(address={}))


@blueprint.route("/<int:customer_id>", methods=["GET", "POST"])
@editing
def edit(customer_id: int) -> ResponseReturnValue:
    """Change a customer."""
    return _edit(db.get_or_404(Customer, customer_id))


@blueprint.post("/<int:customer_id>/delete")
@editing
def delete(customer_id: int) -> ResponseReturnValue:
    """Delete a customer who has never ordered."""
    customer = db.get_or_404(Customer, customer_id)
    name = customer.name
    db.session.delete(customer)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        flash(f"{name} has orders and cannot be deleted.", "error")
        return redirect(url_for(".edit", customer_id=customer_id))
    flash(f"{name} is deleted.")
    return redirect(url_for(".index"))


def _edit(customer: Customer) -> ResponseReturnValue:
    form = Form(request.form)
    if request.method == "POST" and _save(customer, form):
        flash(f"{customer.name} is saved.")
        return redirect(url_for(".index"))
    return render_template("customers/edit.html", customer=customer, form=form)


def _save(customer: Customer, form: Form) -> bool:
    name, email = form.text("name"), form.email("email")
    phone = form.text("phone", required=False, longest=40)
    address = {part: form.text(part) for part in ADDRESS}
    if form.errors:
        return False
    customer.name, customer.email, customer.phone = name, email, phone or None
    customer.address = address
    db.session.add(customer)
    return form.commit(unique="email")
