"""Products and their tags."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from ..access import editing, require_login
from ..extensions import db
from ..forms import Form
from ..models import Product, Tag

blueprint = Blueprint("products", __name__, url_prefix="/products")
blueprint.before_request(require_login)


@blueprint.get("/")
def index() -> str:
    """All products, or those with a tag."""
    products = select(Product).options(selectinload(Product.tags)).order_by(Product.name)
    tag = request.args.get("tag")
    if tag:
        products = products.where(Product.tags.any(Tag.name == tag))
    return render_template("products/index.html", products=db.session.scalars(products).all(), tag=tag)


@blueprint.route("/new", methods=["GET", "POST"])
@editing
def create() -> ResponseReturnValue:
    """Add a product."""
    return _edit(Product())


@blueprint.route("/<int:product_id>", methods=["GET", "POST"])
@editing
def edit(product_id: int) -> ResponseReturnValue:
    """Change a product."""
    return _edit(db.get_or_404(Product, product_id))


@blueprint.post("/<int:product_id>/delete")
@editing
def delete(product_id: int) -> ResponseReturnValue:
    """Delete a product that was never ordered."""
    product = db.get_or_404(Product, product_id)
    name = product.name
    db.session.delete(product)
    try:
        db.session.commit()
    except IntegrityError:
        db.session.rollback()
        flash(f"{name} is part of orders and cannot be deleted.", "error")
        return redirect(url_for(".edit", product_id=product_id))
    flash(f"{name} is deleted.")
    return redirect(url_for(".index"))


def _edit(product: Product) -> ResponseReturnValue:
    form = Form(request.form)
    if request.method == "POST" and _save(product, form):
        flash(f"{product.name} is saved.")
        return redirect(url_for(".index"))
    return render_template("products/edit.html", product=product, form=form)


def _save(product: Product, form: Form) -> bool:
    sku, name = form.text("sku", longest=20), form.text("name")
    description = form.text("description", required=False, longest=2000)
    price, stock = form.price("price"), form.count("stock")
    tags = form.text("tags", required=False)
    if form.errors:
        return False
    product.sku, product.name, product.description = sku, name, description
    product.price, product.stock = price, stock
    product.tags = _find_or_create_tags(tags)
    db.session.add(product)
    return form.commit(unique="sku")


def _find_or_create_tags(words: str) -> list[Tag]:
    """The tags of a list such as ``green, organic``."""
    names = {word.strip().lower() for word in words.split(",")} - {""}
    # A product that is half changed is not to be written because tags are looked up.
    with db.session.no_autoflush:
        known = {tag.name: tag for tag in db.session.scalars(select(Tag).where(Tag.name.in_(names)))}
    return [known.get(name) or Tag(name=name) for name in sorted(names)]
