"""Orders and their lines."""

from __future__ import annotations

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from ..access import editing, require_login
from ..extensions import db
from ..forms import Form
from ..models import Customer, Order, OrderLine, OrderStatus, Product

blueprint = Blueprint("orders", __name__, url_prefix="/orders")
blueprint.before_request(require_login)


@blueprint.get("/")
def index() -> str:
    """All orders, the newest first."""
    orders = select(Order).options(joinedload(Order.customer), selectinload(Order.lines))
    newest_first = db.session.scalars(orders.order_by(Order.id.desc())).all()
    return render_template("orders/index.html", orders=newest_first)


@blueprint.get("/<int:order_id>")
def show(order_id: int) -> str:
    """One order."""
    return render_template("orders/show.html", order=db.get_or_404(Order, order_id), form=Form({}))


@blueprint.route("/new", methods=["GET", "POST"])
@editing
def create() -> ResponseReturnValue:
    """Place an order."""
    form = Form(request.form)
    if request.method == "POST" and (order := _place(form)):
        flash(f"Order {order.id} is placed.")
        return redirect(url_for(".show", order_id=order.id))
    customers = db.session.execute(select(Customer.id, Customer.name).order_by(Customer.name)).all()
    products = db.session.scalars(select(Product).order_by(Product.name)).all()
    return render_template("orders/new.html", form=form, customers=customers, products=products)


@blueprint.post("/<int:order_id>/note")
@editing
def change_note(order_id: int) -> ResponseReturnValue:
    """Write something down about an order."""
    order = db.get_or_404(Order, order_id)
    form = Form(request.form)
    note = form.text("note", required=False)
    if form.errors:
        flash(form.errors["note"], "error")
    else:
        order.note = note
        db.session.commit()
    return redirect(url_for(".show", order_id=order_id))


@blueprint.post("/<int:order_id>/status")
@editing
def change_status(order_id: int) -> ResponseReturnValue:
    """Take an order one step further, or cancel it."""
    order = _lock(order_id)
    status = Form(request.form).choice("status", OrderStatus)
    if status not in order.status.following:
        db.session.rollback()
        flash(f"The order is {order.status.value} and cannot become {status.value}.", "error")
        return redirect(url_for(".show", order_id=order_id))
    if status is OrderStatus.CANCELLED:
        for line in order.lines:
            line.put_back()
    order.status = status
    db.session.commit()
    flash(f"Order {order_id} is {status.value}.")
    return redirect(url_for(".show", order_id=order_id))


@blueprint.post("/<int:order_id>/lines/<int:line_id>/remove")
@editing
def remove_line(order_id: int, line_id: int) -> ResponseReturnValue:
    """Take a product off an order that nobody has paid for yet."""
    order = _lock(order_id)
    line = next((line for line in order.lines if line.id == line_id), None)
    if line is None or order.status is not OrderStatus.PLACED:
        abort(404)
    line.put_back()
    order.lines.remove(line)
    db.session.commit()
    return redirect(url_for(".show", order_id=order_id))


def _lock(order_id: int) -> Order:
    """Two people may press buttons on the same order at the same time."""
    order: Order = db.one_or_404(select(Order).where(Order.id == order_id).with_for_update())
    return order


def _place(form: Form) -> Order | None:
    customer = db.session.get(Customer, form.count("customer"))
    if customer is None:
        form.errors["customer"] = "Please choose a customer."
    note = form.text("note", required=False)
    lines = _take_from_stock(form)
    if customer is None or form.errors:
        db.session.rollback()
        return None
    order = Order(customer=customer, status=OrderStatus.PLACED, note=note, lines=lines)
    db.session.add(order)
    db.session.commit()
    return order


def _take_from_stock(form: Form) -> list[OrderLine]:
    """The lines of a new order: one for each product of which a quantity was filled in."""
    quantities = {number: form.count(f"quantity-{number}") for number in db.session.scalars(select(Product.id))}
    wanted = {number: quantity for number, quantity in quantities.items() if quantity}
    if not wanted:
        form.errors["lines"] = "Please fill in at least one quantity."
    # Always locked in the same order: two clerks who sell the same products wait, rather than deadlock.
    products = select(Product).where(Product.id.in_(wanted)).order_by(Product.id).with_for_update()
    return [_line(product, wanted[product.id], form) for product in db.session.scalars(products)]


def _line(product: Product, quantity: int, form: Form) -> OrderLine:
    if quantity > product.stock:
        form.errors[f"quantity-{product.id}"] = f"Only {product.stock} left."
    product.stock -= quantity
    return OrderLine(product=product, quantity=quantity, unit_price=product.price)
