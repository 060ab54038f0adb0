"""Users, customers, products and orders.

``audited()`` is all it takes to have a table's changes recorded.
"""
# SQLAlchemy reads ``__table_args__`` off the class, as the dictionary it is.
# ruff: noqa: RUF012
# Flask-SQLAlchemy and Flask-Login come without the types of the base classes they ask for.
# mypy: disable-error-code="name-defined, misc"

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated

from flask_login import UserMixin
from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Numeric, String, func
from sqlalchemy import Enum as EnumType
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship
from werkzeug.security import check_password_hash, generate_password_hash

from flask_pg_audit import audited

from .extensions import db

Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]
Money = Annotated[Decimal, mapped_column(Numeric(10, 2))]


class Role(Enum):
    """What a user may do."""

    ADMIN = "admin"  #: everything, bringing back what the audit log has too
    CLERK = "clerk"  #: customers, products and orders
    AUDITOR = "auditor"  #: look at everything, the audit log too; change nothing


class OrderStatus(Enum):
    """How far an order has got."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"

    @property
    def following(self) -> tuple[OrderStatus, ...]:
        """What an order can become from here."""
        return _FOLLOWING.get(self, ())


_FOLLOWING = {
    OrderStatus.PLACED: (OrderStatus.PAID, OrderStatus.CANCELLED),
    OrderStatus.PAID: (OrderStatus.SHIPPED, OrderStatus.CANCELLED),
    OrderStatus.SHIPPED: (OrderStatus.DELIVERED,),
}


def _enum(type_: type[Enum], name: str) -> EnumType:
    """An enum type of PostgreSQL's whose labels are the values: ``paid`` rather than ``PAID``."""
    return EnumType(type_, name=name, values_callable=lambda members: [member.value for member in members])


class User(UserMixin, db.Model):
    """Somebody who works here."""

    # The hash must not survive in a history, and logging in is no change worth a row.
    __table_args__ = {"info": audited(exclude=["password_hash", "last_login_at"])}

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    full_name: Mapped[str]
    role: Mapped[Role] = mapped_column(_enum(Role, "user_role"))
    password_hash: Mapped[str]
    #: Recorded, so that the trail shows a new password, if not which.
    password_changed_at: Mapped[Moment]
    last_login_at: Mapped[Moment | None]

    def set_password(self, password: str) -> None:
        """Replace the password."""
        self.password_hash = generate_password_hash(password)
        self.password_changed_at = func.now()

    def has_password(self, password: str) -> bool:
        """Whether this is the user's password."""
        return check_password_hash(self.password_hash, password)

    @property
    def may_edit(self) -> bool:
        """Whether the user may change the shop's data."""
        return self.role in (Role.ADMIN, Role.CLERK)

    @property
    def may_audit(self) -> bool:
        """Whether the user may read the audit log."""
        return self.role in (Role.ADMIN, Role.AUDITOR)


class Customer(db.Model):
    """Somebody who buys."""

    __table_args__ = {"info": audited()}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str] = mapped_column(unique=True)
    phone: Mapped[str | None]
    #: Lines differ from country to country: street, postcode, city, country.
    address: Mapped[dict[str, str]] = mapped_column(JSONB)
    created_at: Mapped[Moment] = mapped_column(server_default=func.now())


# A table without a model is marked the same way.
product_tag = db.Table(
    "product_tag",
    Column("product_id", ForeignKey("product.id", ondelete="CASCADE"), primary_key=True),
    Column("tag_id", ForeignKey("tag.id", ondelete="CASCADE"), primary_key=True),
    info=audited(),
)


class Tag(db.Model):
    """A word that products are found by."""

    __table_args__ = {"info": audited()}

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class Product(db.Model):
    """Something to sell."""

    __table_args__ = (
        CheckConstraint("price >= 0", name="price_not_negative"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        {"info": audited()},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sku: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    description: Mapped[str]
    price: Mapped[Money]
    stock: Mapped[int]

    tags: Mapped[list[Tag]] = relationship(secondary=product_tag, order_by=Tag.name)


class Order(db.Model):
    """What a customer ordered; its history also tells at which terminal each change was made."""

    __table_args__ = {"info": audited(session_settings=[Column("terminal", String)])}

    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"), index=True)
    status: Mapped[OrderStatus] = mapped_column(_enum(OrderStatus, "order_status"))
    note: Mapped[str]
    placed_at: Mapped[Moment] = mapped_column(server_default=func.now())

    customer: Mapped[Customer] = relationship()
    lines: Mapped[list[OrderLine]] = relationship(cascade="all, delete-orphan", order_by="OrderLine.id")

    @property
    def total(self) -> Decimal:
        """What the customer pays."""
        return sum((line.total for line in self.lines), Decimal(0))


class OrderLine(db.Model):
    """A quantity of one product, at the price of the day."""

    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        {"info": audited()},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("order.id"), index=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id"), index=True)
    quantity: Mapped[int]
    unit_price: Mapped[Money]

    product: Mapped[Product] = relationship()

    @property
    def total(self) -> Decimal:
        """What the line costs."""
        return self.quantity * self.unit_price

    def put_back(self) -> None:
        """Return what was ordered to the shelf, whatever else happens to the stock meanwhile."""
        self.product.stock = Product.stock + self.quantity
