"""The example application: what people copy has to work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from example_app import create_app
from example_app.config import database_url
from example_app.demo.browser import Page
from example_app.extensions import db
from example_app.models import Role, User
from flask_pg_audit import install_audit_triggers
from tests.server import Database

REPOSITORY = Path(__file__).parents[1]
PASSWORD = "correct horse"


@pytest.fixture
def app(database: Database) -> Iterator[Flask]:
    app = create_app({"SQLALCHEMY_DATABASE_URI": database.url(), "TESTING": True})
    with app.app_context():
        db.create_all()
        install_audit_triggers(db.metadata, db.engine)
        for role in Role:
            user = User(username=role.value, full_name=f"The {role.value}", role=role)
            user.set_password(PASSWORD)
            db.session.add(user)
        db.session.commit()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def clerk(app: Flask) -> FlaskClient:
    return logged_in(app, "clerk", "Counter 2")


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    return logged_in(app, "admin")


@pytest.fixture
def auditor(app: Flask) -> FlaskClient:
    return logged_in(app, "auditor")


def logged_in(app: Flask, username: str, terminal: str = "Office") -> FlaskClient:
    client = app.test_client()
    response = submit(client, "/login", username=username, password=PASSWORD, terminal=terminal)
    assert response.location == "/"
    return client


def submit(client: FlaskClient, path: str, action: str = "", /, **typed: object) -> TestResponse:
    """Fill in a form of a page, as a browser does, and send it."""
    response = client.get(path)
    assert response.status_code == 200
    fields = Page(path, response.text).form(action).fields
    return client.post(action or path, data={**fields, **typed})


def ask(app: Flask, sql: str) -> list[tuple[Any, ...]]:
    with app.app_context():
        return [tuple(row) for row in db.session.execute(text(sql))]


def number_of_transactions(app: Flask) -> object:
    return ask(app, "SELECT count(*) FROM audit_transaction")[0][0]


def add_product(client: FlaskClient, **changed: object) -> TestResponse:
    product = {"sku": "GRN-001", "name": "Sencha", "price": "9.80", "stock": 10, "tags": "green, japan"}
    return submit(client, "/products/new", **{**product, **changed})


def add_customer(client: FlaskClient, **changed: object) -> TestResponse:
    address = {"street": "Am Sandtorkai 7", "postcode": "20457", "city": "Hamburg", "country": "Germany"}
    customer = {"name": "Zoë Müller", "email": "zoe@example.com", **address}
    return submit(client, "/customers/new", **{**customer, **changed})


def place_order(client: FlaskClient) -> TestResponse:
    add_product(client)
    add_customer(client)
    return submit(client, "/orders/new", **{"customer": 1, "quantity-1": 3})


# Logging in


def test_pages_are_for_users_only(app: Flask) -> None:
    response = app.test_client().get("/orders/")
    assert response.location == "/login?next=%2Forders%2F"


@pytest.mark.parametrize(("username", "password"), [("clerk", "wrong"), ("nobody", PASSWORD), ("", "")])
def test_wrong_login(app: Flask, username: str, password: str) -> None:
    client = app.test_client()
    response = submit(client, "/login", username=username, password=password)
    assert "Wrong name or password." in response.text or "Please fill this in." in response.text
    assert client.get("/orders/").status_code == 302


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [("/products/", "/products/"), ("//example.com", "/"), ("https://example.com/", "/"), ("/\\example.com", "/")],
)
def test_login_leads_to_our_own_pages_only(app: Flask, wanted: str, reached: str) -> None:
    client = app.test_client()
    fields = Page("", client.get("/login").text).form("").fields
    fields |= {"username": "clerk", "password": PASSWORD}
    response = client.post("/login", query_string={"next": wanted}, data=fields)
    assert response.location == reached


def test_logging_in_and_out_is_no_change(app: Flask, clerk: FlaskClient) -> None:
    before = number_of_transactions(app)
    submit(clerk, "/orders/", "/logout")
    assert clerk.get("/orders/").status_code == 302
    logged_in(app, "clerk")
    assert number_of_transactions(app) == before


def test_a_form_without_its_token_is_refused(app: Flask, clerk: FlaskClient) -> None:
    before = number_of_transactions(app)
    assert clerk.post("/products/new", data={"sku": "X", "name": "X", "price": 1}).status_code == 400
    assert number_of_transactions(app) == before


# What the pages do, and what the trail says about it


def test_a_product_with_tags(app: Flask, clerk: FlaskClient) -> None:
    assert add_product(clerk).location == "/products/"
    page = clerk.get("/products/?tag=japan")
    assert "Sencha" in page.text
    recorded = ask(app, "SELECT audit_operation, audit_username, name, price::text FROM product_audit")
    assert recorded == [("I", "clerk", "Sencha", "9.80")]
    assert ask(app, "SELECT audit_operation, audit_username FROM product_tag_audit") == [("I", "clerk")] * 2


def test_changing_tags_changes_the_association(app: Flask, clerk: FlaskClient) -> None:
    add_product(clerk)
    submit(clerk, "/products/1", tags="green, organic")
    changes = """
        SELECT audit_operation, name FROM product_tag_audit JOIN tag ON tag.id = tag_id
        WHERE product_tag_audit.audit_transaction_id = (SELECT max(id) FROM audit_transaction) ORDER BY name
    """
    assert ask(app, changes) == [("D", "japan"), ("I", "organic")]
    assert ask(app, "SELECT count(*) FROM product_audit") == [(1,)]


def test_an_order_is_one_transaction_with_its_terminal(app: Flask, clerk: FlaskClient) -> None:
    assert place_order(clerk).location == "/orders/1"
    assert "29.40" in clerk.get("/orders/1").text
    order = ask(app, "SELECT audit_transaction_id, audit_username, audit_terminal, status::text FROM order_audit")
    assert [row[1:] for row in order] == [("clerk", "Counter 2", "placed")]
    [(transaction, *_)] = order
    stock = ask(app, f"SELECT stock FROM product_audit WHERE audit_transaction_id = {transaction}")
    lines = ask(app, f"SELECT quantity FROM order_line_audit WHERE audit_transaction_id = {transaction}")
    assert (stock, lines) == ([(7,)], [(3,)])
    [(endpoint,)] = ask(app, f"SELECT context ->> 'endpoint' FROM audit_transaction WHERE id = {transaction}")
    assert endpoint == "orders.create"


def test_an_order_takes_its_course(app: Flask, clerk: FlaskClient) -> None:
    place_order(clerk)
    for status in ("paid", "shipped", "delivered"):
        submit(clerk, "/orders/1", "/orders/1/status", status=status)
    submit(clerk, "/orders/1", "/orders/1/status", status="cancelled")
    assert "cannot become cancelled" in clerk.get("/orders/1").text
    history = ask(app, "SELECT status::text FROM order_audit ORDER BY audit_id")
    assert [status for (status,) in history] == ["placed", "paid", "shipped", "delivered"]


def test_cancelling_returns_the_stock(app: Flask, clerk: FlaskClient) -> None:
    place_order(clerk)
    submit(clerk, "/orders/1", "/orders/1/status", status="cancelled")
    stock = ask(app, "SELECT stock FROM product_audit ORDER BY audit_id")
    assert stock == [(10,), (7,), (10,)]


def test_removing_a_line(app: Flask, clerk: FlaskClient) -> None:
    place_order(clerk)
    submit(clerk, "/orders/1", "/orders/1/lines/1/remove")
    lines = ask(app, "SELECT audit_operation, quantity FROM order_line_audit ORDER BY audit_id")
    assert lines == [("I", 3), ("D", 3)]


@pytest.mark.parametrize(
    ("path", "typed", "complaint"),
    [
        ("/products/new", {"sku": "X", "name": "", "price": "1"}, "Please fill this in."),
        ("/products/new", {"sku": "X", "name": "X", "price": "1,50"}, "A price such as 4.20, please."),
        ("/products/new", {"sku": "X", "name": "X", "price": "1", "stock": "-1"}, "zero or more"),
        ("/products/new", {"sku": "GRN-001", "name": "X", "price": "1"}, "This one is taken."),
        ("/products/1", {"price": "NaN", "name": "Unsaved"}, "A price such as 4.20, please."),
        ("/customers/1", {"email": "nowhere"}, "This is no e-mail address."),
        ("/orders/new", {}, "Please choose a customer."),
        ("/orders/new", {"customer": "1", "quantity-1": "999"}, "Only 7 left."),
        ("/orders/new", {"customer": "1"}, "at least one quantity"),
    ],
)
def test_what_is_refused_is_explained_and_leaves_no_trace(
    app: Flask, clerk: FlaskClient, path: str, typed: dict[str, str], complaint: str
) -> None:
    place_order(clerk)
    before = number_of_transactions(app)
    response = submit(clerk, path, **typed)
    assert response.status_code == 200
    assert complaint in response.text
    assert number_of_transactions(app) == before


def test_deleting_a_customer(app: Flask, clerk: FlaskClient) -> None:
    add_customer(clerk)
    submit(clerk, "/customers/1", "/customers/1/delete")
    last = ask(app, "SELECT audit_operation, name, address ->> 'city' FROM customer_audit ORDER BY audit_id")[-1]
    assert last == ("D", "Zoë Müller", "Hamburg")


def test_a_customer_with_orders_stays(app: Flask, clerk: FlaskClient) -> None:
    place_order(clerk)
    submit(clerk, "/customers/1", "/customers/1/delete")
    assert "has orders and cannot be deleted" in clerk.get("/customers/1").text
    assert ask(app, "SELECT audit_operation FROM customer_audit") == [("I",)]


# Who may do what


def test_only_auditors_and_admins_see_the_audit_log(
    app: Flask, admin: FlaskClient, clerk: FlaskClient, auditor: FlaskClient
) -> None:
    add_product(clerk)
    assert [client.get("/audit/").status_code for client in (auditor, admin)] == [200] * 2
    assert [client.get("/audit/").status_code for client in (app.test_client(), clerk)] == [403] * 2


def test_only_they_get_a_link_to_it(admin: FlaskClient, clerk: FlaskClient, auditor: FlaskClient) -> None:
    pages = [Page("", client.get("/orders/").text) for client in (auditor, clerk, admin)]
    assert [page.links.get("Audit log") for page in pages] == ["/audit/", None, "/audit/"]


def test_an_admin_brings_back_what_a_clerk_deleted(
    app: Flask, admin: FlaskClient, clerk: FlaskClient, auditor: FlaskClient
) -> None:
    add_customer(clerk)
    submit(clerk, "/customers/1", "/customers/1/delete")
    record = "/audit/record?table=customer&key=1"
    assert "Bring the row back" not in auditor.get(record).text
    preview = Page(record, admin.get(record).text).links["Bring the row back"]
    assert auditor.get(preview).status_code == 403
    assert submit(admin, preview, preview, reason="by mistake").status_code == 303
    assert ask(app, "SELECT name FROM customer") == [("Zoë Müller",)]
    last = "SELECT username, context->>'reason', context->>'terminal' FROM audit_transaction ORDER BY id DESC LIMIT 1"
    assert ask(app, last) == [("admin", "by mistake", "Office")]


def test_an_order_leads_the_auditor_to_its_history(clerk: FlaskClient, auditor: FlaskClient) -> None:
    place_order(clerk)
    pages = [Page("", client.get("/orders/1").text) for client in (auditor, clerk)]
    assert [page.links.get("History") for page in pages] == ["/audit/record?table=order&key=1&with=lines", None]
    history = auditor.get(pages[0].links["History"])
    assert history.status_code == 200 and "order_line" in history.text


def test_the_auditor_changes_nothing(app: Flask, clerk: FlaskClient, auditor: FlaskClient) -> None:
    place_order(clerk)
    before = number_of_transactions(app)
    assert [auditor.get(path).status_code for path in ("/products/1", "/customers/new", "/orders/new")] == [403] * 3
    token = Page("", auditor.get("/orders/1").text).form("/logout").fields
    assert auditor.post("/orders/1/status", data={**token, "status": "paid"}).status_code == 403
    assert number_of_transactions(app) == before


def test_users_are_the_admins_business(admin: FlaskClient, clerk: FlaskClient, auditor: FlaskClient) -> None:
    assert [client.get("/users/").status_code for client in (admin, clerk, auditor)] == [200, 403, 403]


def test_a_new_password_shows_and_the_hash_does_not(app: Flask, admin: FlaskClient, auditor: FlaskClient) -> None:
    [(number, old)] = ask(app, "SELECT id, password_hash FROM \"user\" WHERE username = 'clerk'")
    submit(admin, f"/users/{number}", password="another horse")
    [(new,)] = ask(app, f'SELECT password_hash FROM "user" WHERE id = {number}')
    assert new != old
    assert ask(
        app,
        f"""SELECT audit_operation, audit_username, password_changed_at = (SELECT max(password_changed_at) FROM "user")
        FROM user_audit WHERE id = {number} ORDER BY audit_id""",
    ) == [("I", None, False), ("U", "admin", True)]
    with app.app_context():
        trail = [table for name, table in db.metadata.tables.items() if "audit" in name]
        everything = str([list(db.session.execute(table.select())) for table in trail])
    assert "The clerk" in everything
    assert "scrypt" not in everything
    assert "scrypt" not in auditor.get("/audit/").text


# The command line


def test_the_commands_of_the_readme(database: Database) -> None:
    """In processes of their own: Alembic's env.py sets up logging for the whole process."""

    def flask(*arguments: str) -> str:
        result = subprocess.run(
            [sys.executable, "-m", "flask", "--app", "example_app", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "DATABASE_URL": database.url().render_as_string(hide_password=False)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert result.returncode == 0, result.stdout
        return result.stdout

    flask("db", "upgrade")
    assert flask("audit", "check") == "everything is recorded as declared\n"
    assert flask("audit", "install") == "nothing to do\n"
    assert flask("create-user", "ada", "--role", "admin", "--password", "x") == "Created admin ada.\n"
    status = flask("audit", "status").splitlines()
    assert [line.split()[:2] for line in status if line.startswith("user ")] == [["user", "installed"]]
    # The migrations and the models agree, and both directions work.
    assert "No new upgrade operations detected." in flask("db", "check")
    flask("db", "downgrade", "base")
    flask("db", "upgrade")


def test_a_user_name_is_taken_once(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["create-user", "clerk", "--password", "x"])
    assert (result.exit_code, result.output) == (1, "Error: there is a user 'clerk' already\n")


@pytest.mark.parametrize(
    ("address", "driver"),
    [
        ("postgres://me@host/shop", "postgresql+psycopg2"),
        ("postgresql://me@host/shop", "postgresql+psycopg2"),
        ("postgresql+psycopg://me@host/shop", "postgresql+psycopg"),
    ],
)
def test_the_driver_of_an_address(address: str, driver: str) -> None:
    assert database_url(address).drivername == driver
