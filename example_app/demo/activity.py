"""A day at the shop: what the people do there, each in a browser, and one of them in psql."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask
from sqlalchemy import URL, create_engine

from . import DemoError
from .browser import Browser

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Safari/605.1.15"


@dataclass(frozen=True)
class Person:
    """Somebody who works at the shop."""

    username: str
    full_name: str
    role: str

    @property
    def password(self) -> str:
        """Theirs, as long as this is a demo."""
        return f"{self.username}-demo"


ADA = Person("ada", "Ada Lindqvist", "admin")
BEN = Person("ben", "Ben Okafor", "clerk")
CARLA = Person("carla", "Carla Núñez", "clerk")
IRIS = Person("iris", "Iris Vandenberg", "auditor")
PEOPLE = (IRIS, ADA, BEN, CARLA)

PRODUCTS = [
    ("GRN-001", "Sencha Uji", "First flush, steamed, from the hills of Uji.", "9.80", 40, "green, japan, organic"),
    ("GRN-002", "Dragon Well", "Pan-fired Longjing with a note of chestnut.", "12.50", 25, "green, china"),
    ("BLK-001", "Earl Grey", "Ceylon with oil of bergamot.", "6.40", 80, "black, flavoured"),
    ("BLK-002", "Assam Mangalam", "Malty & strong; takes milk.", "7.20", 60, "black, india"),
    ("BLK-003", "Smoky “Lapsang” <Souchong>", "Dried over pinewood.", "8.90", 12, "black, china"),
    ("HRB-001", "Peppermint", "Whole leaves, Germany.", "4.10", 100, "herbal, organic"),
    ("ACC-001", "Glass teapot 1.2 l", "Borosilicate, with a strainer.", "34.00", 8, "accessories"),
    ("ACC-002", "Tea whisk (茶筅)", "Bamboo, 80 prongs.", "18.50", 6, "accessories, japan"),
]

CUSTOMERS = [
    ("Zoë Müller", "zoe.mueller@example.com", "+49 40 555 0134", "Am Sandtorkai 7", "20457", "Hamburg", "Germany"),
    ("O'Brien & Daughters", "office@obrien.example", "", "12 Quay Street", "H91 E9X3", "Galway", "Ireland"),
    ("José García", "jose@example.org", "+34 91 555 0177", "Calle de la Luna 3", "28004", "Madrid", "Spain"),
    ("Nguyễn Thị Lan", "lan.nguyen@example.net", "", "5 rue des Lilas", "69003", "Lyon", "France"),
    ("Café Nordlys", "bestilling@nordlys.example", "+47 55 55 01 90", "Bryggen 21", "5003", "Bergen", "Norway"),
]


def live_through(app: Flask, address: str, database: URL) -> None:
    """Let everything happen, the latest last.

    :raises DemoError: the application does not answer as it should.
    """
    _hire_admin(app)
    ada = _log_in(address, ADA, "Office")
    _hire(ada)
    ben = _log_in(address, BEN, "Counter 1")
    carla = _log_in(address, CARLA, "Telephone", SAFARI)
    _fill_shelves(ben)
    _meet_customers(carla)
    _mistype(address, ben, carla)
    _sell(ben, carla)
    _change_minds(ben, carla)
    raise_prices(database)
    _tidy_up(ada, carla)
    for browser in (ada, ben, carla):
        browser.submit("/orders/", "/logout")


def raise_prices(database: URL) -> None:
    """What Ada types into psql, where no application knows who she is."""
    engine = create_engine(database, connect_args={"application_name": "psql"})
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE product SET price = round(price * 1.05, 1) WHERE sku LIKE 'BLK-%%'")
    engine.dispose()


def _hire_admin(app: Flask) -> None:
    options = {"--role": ADA.role, "--full-name": ADA.full_name, "--password": ADA.password}
    arguments = ["create-user", ADA.username, *(word for option in options.items() for word in option)]
    result = app.test_cli_runner().invoke(args=arguments)
    if result.exit_code != 0:
        raise DemoError(f"flask create-user failed: {result.exception or result.output.strip()}")


def _log_in(address: str, person: Person, terminal: str, user_agent: str = FIREFOX) -> Browser:
    browser = Browser(address, user_agent)
    page = browser.submit("/login", username=person.username, password=person.password, terminal=terminal)
    if person.full_name not in page.text:
        raise DemoError(f"{person.username} could not log in")
    return browser


def _hire(ada: Browser) -> None:
    for person in (BEN, CARLA, IRIS):
        # Iris starts as a clerk by mistake, which an auditor must not be.
        ada.submit(
            "/users/new",
            username=person.username,
            full_name=person.full_name,
            role="clerk",
            password=person.password,
        )
    ada.submit(ada.follow("/users/", IRIS.username), role=IRIS.role)


def _fill_shelves(ben: Browser) -> None:
    for sku, name, description, price, stock, tags in PRODUCTS:
        ben.submit("/products/new", sku=sku, name=name, description=description, price=price, stock=stock, tags=tags)


def _meet_customers(carla: Browser) -> None:
    for name, email, phone, street, postcode, city, country in CUSTOMERS:
        carla.submit(
            "/customers/new",
            name=name,
            email=email,
            phone=phone,
            street=street,
            postcode=postcode,
            city=city,
            country=country,
        )


def _mistype(address: str, ben: Browser, carla: Browser) -> None:
    """None of this is recorded, for nothing of it is changed."""
    Browser(address, FIREFOX).submit("/login", username=BEN.username, password="ben-dmeo")
    ben.submit(ben.follow("/products/", "Earl Grey"), price="six forty")
    ben.submit(ben.follow("/products/", "Peppermint"), stock="-1")
    carla.submit(carla.follow("/customers/", "José García"), email="zoe.mueller@example.com")
    carla.submit("/orders/new", note="for whom?")


def _order(browser: Browser, customer: str, quantities: dict[str, int], note: str = "") -> str:
    """Place an order; returns its path."""
    numbers = {name: browser.open("/products/").links[name].rpartition("/")[2] for name in quantities}
    fields = {f"quantity-{numbers[name]}": quantity for name, quantity in quantities.items()}
    buyer = browser.open("/customers/").links[customer].rpartition("/")[2]
    page = browser.submit("/orders/new", **fields, customer=buyer, note=note)
    return page.url.removeprefix(browser.address)


def _mark(browser: Browser, order: str, *statuses: str) -> None:
    for status in statuses:
        browser.submit(order, f"{order}/status", status=status)


def _sell(ben: Browser, carla: Browser) -> None:
    teatime = _order(ben, "Zoë Müller", {"Earl Grey": 2, "Glass teapot 1.2 l": 1}, "A present: wrap it, please.")
    _mark(ben, teatime, "paid", "shipped", "delivered")
    cafe = _order(carla, "Café Nordlys", {"Peppermint": 20, "Assam Mangalam": 15, "Sencha Uji": 5})
    _mark(carla, cafe, "paid", "shipped")
    _order(carla, "O'Brien & Daughters", {"Earl Grey": 10, "Dragon Well": 3}, "Rings again on Friday.")
    whisk = _order(ben, "José García", {"Tea whisk (茶筅)": 1, "Sencha Uji": 2})
    _mark(ben, whisk, "paid")


def _change_minds(ben: Browser, carla: Browser) -> None:
    order = _order(ben, "Zoë Müller", {"Dragon Well": 4, "Peppermint": 1})
    page = ben.open(order)
    ben.submit(page, next(form.action for form in page.forms if form.action.endswith("/remove")))
    ben.submit(order, f"{order}/note", note="Only the peppermint after all.")
    mistake = _order(carla, "Café Nordlys", {"Tea whisk (茶筅)": 5})
    _mark(carla, mistake, "cancelled")
    carla.submit(carla.follow("/customers/", "O'Brien & Daughters"), phone="+353 91 555 016", street="14 Quay Street")


def _tidy_up(ada: Browser, carla: Browser) -> None:
    # Rounding made it an odd price.
    carla.submit(carla.follow("/products/", "Earl Grey"), price="6.75", tags="black, flavoured, bestseller")
    leaving = carla.follow("/customers/", "Nguyễn Thị Lan")
    carla.submit(leaving, f"{leaving.url.removeprefix(carla.address)}/delete")
    staying = carla.follow("/customers/", "José García")
    carla.submit(staying, f"{staying.url.removeprefix(carla.address)}/delete")  # refused: he has ordered
    ada.submit(ada.follow("/users/", BEN.username), full_name="Benjamin Okafor")
    _bring_back(ada, leaving.url.rpartition("/")[2])


def _bring_back(ada: Browser, customer: str) -> None:
    """From the audit log, since it was another customer who wanted to be deleted."""
    preview = ada.follow(f"/audit/record?table=customer&key={customer}", "Bring the row back")
    [action] = [form.action for form in preview.forms if "reason" in form.fields]
    ada.submit(preview, action, reason="The wrong customer.")
