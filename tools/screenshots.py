"""The pictures of the documentation: ``make screenshots``.

Serves the example shop with its demo's history on a PostgreSQL of its own, opens the pages of the audit log in a
headless Chromium, and writes ``docs/_static/<page>-<look>.png``.
"""

from __future__ import annotations

import argparse
import datetime
import io
import logging
import os
import random
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from flask import Flask
from PIL import Image
from playwright.sync_api import Browser, FloatRect, Page, sync_playwright
from sqlalchemy import Connection, text

from example_app import create_app
from example_app.demo.activity import ADA, IRIS, Person, live_through
from example_app.demo.database import prepare
from example_app.demo.server import serve
from example_app.extensions import db
from tools.embedded_postgres import EmbeddedPostgres

FOLDER = Path(__file__).parents[1] / "docs" / "_static"

#: Bytes of one picture, and of all of them.
MAX_PICTURE, MAX_ALL = 150_000, 2_500_000

#: Each look: the window, the colours, and how many pixels a CSS pixel has.
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "light": {"viewport": {"width": 1120, "height": 760}, "color_scheme": "light", "device_scale_factor": 1.5},
    "dark": {"viewport": {"width": 1120, "height": 760}, "color_scheme": "dark", "device_scale_factor": 1.5},
    "narrow": {"viewport": {"width": 320, "height": 640}, "color_scheme": "light", "device_scale_factor": 2},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the pictures; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.screenshots", description="Pictures of the audit log.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"only these of {', '.join(PAGES)}")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where they go (docs/_static)")
    parser.add_argument("--whole", action="store_true", help="the whole pages, to look at: not for the documentation")
    options = parser.parse_args(arguments)
    logging.disable(logging.INFO)
    wanted = {name: PAGES[name] for name in options.pages or PAGES}
    options.folder.mkdir(parents=True, exist_ok=True)
    with _served_shop() as address, _chromium() as browser:
        for look, window in LOOKS.items():
            with browser.new_context(**window) as context:
                page = context.new_page()
                _log_in(page, address, IRIS)
                for name, open_page in wanted.items():
                    open_page(page, f"{address}/audit")
                    picture = _compress(_picture(page, options.whole))
                    (options.folder / f"{name}-{look}.png").write_bytes(picture)
    return 0 if options.whole else _check_sizes(options.folder)


def _feed(page: Page, log: str) -> None:
    page.goto(f"{log}/")


def _search(page: Page, log: str) -> None:
    page.goto(f"{log}/?q=actor:ben -table:order_line op:update,delete")
    page.locator(".fpa-controls > summary").click()


def _mistake(page: Page, log: str) -> None:
    page.goto(f"{log}/?q=actor:ben tabel:product at:2026-02-30")


def _transaction(page: Page, log: str) -> None:
    page.goto(f"{log}/?q=endpoint:products.create")
    page.locator(".fpa-facts a").nth(3).click()


def _record(page: Page, log: str) -> None:
    """Its first version beside its newest."""
    page.goto(f"{log}/record?table=product&key=3&with=tags")
    page.locator('.fpa-choice input[name="a"]').last.check()
    page.locator('.fpa-choice input[name="b"]').first.check()
    page.locator("#fpa-compare button").click()


def _change(page: Page, log: str) -> None:
    page.goto(f"{log}/?q=table:customer changed:address")
    page.locator("article .fpa-more").first.click()


def _views(page: Page, log: str) -> None:
    page.goto(f"{log}/views")


def _table(page: Page, log: str) -> None:
    page.goto(f"{log}/table?name=product")


def _tables(page: Page, log: str) -> None:
    page.goto(f"{log}/table")


def _overview(page: Page, log: str) -> None:
    page.goto(f"{log}/overview")


def _problem(page: Page, log: str) -> None:
    page.goto(f"{log}/record?table=order&key=seven")


def _revert(page: Page, log: str) -> None:
    """Only admins may; who comes after is an auditor again."""
    address = log.removesuffix("/audit")
    _log_in(page, address, ADA)
    page.goto(f"{log}/record?table=product&key=3")
    page.get_by_role("link", name="Bring this version back").last.click()


#: How each page is opened, in a browser that is logged in.
PAGES: Mapping[str, Callable[[Page, str], None]] = {
    "feed": _feed,
    "search": _search,
    "mistake": _mistake,
    "transaction": _transaction,
    "change": _change,
    "record": _record,
    "overview": _overview,
    "tables": _tables,
    "table": _table,
    "problem": _problem,
    "views": _views,
    "revert": _revert,
}


@contextmanager
def _served_shop() -> Iterator[str]:
    """The shop, a week's work in it; yields its address."""
    with ExitStack() as stack:
        server = stack.enter_context(EmbeddedPostgres())
        server.create_database("shop")
        app = create_app({"SQLALCHEMY_DATABASE_URI": server.url("shop")})
        prepare(app)
        address = stack.enter_context(serve(app, socket.create_server(("127.0.0.1", 0))))
        live_through(app, address, server.url("shop"))
        _spread(app)
        yield address


def _spread(app: Flask) -> None:
    """What the demo does within a second, as if it had been done in the week before today."""
    with app.app_context(), db.engine.begin() as connection:
        connection.execute(text("SELECT audit_begin_maintenance('the days of a picture')"))
        ids = connection.execute(text("SELECT id FROM audit_transaction ORDER BY id")).scalars().all()
        for id_, at in zip(ids, _working_hours(len(ids)), strict=True):
            _move(connection, id_, at)
        for table, column in (("order", "placed_at"), ("customer", "created_at")):
            connection.execute(
                text(
                    f"UPDATE {table}_audit c SET {column} = i.audit_operation_timestamp FROM {table}_audit i "
                    "WHERE i.id = c.id AND i.audit_operation = 'I'"
                )
            )
    with app.app_context(), db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))


def _working_hours(number: int) -> list[datetime.datetime]:
    """So many moments of the last six days before today, the same ones each time."""
    chance = random.Random(5)
    midnight = datetime.datetime.now(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [midnight - datetime.timedelta(days=chance.randint(1, 6)) for _ in range(number)]
    return sorted(day + datetime.timedelta(seconds=chance.randint(8 * 3600, 19 * 3600)) for day in days)


def _move(connection: Connection, id_: int, at: datetime.datetime) -> None:
    for table in db.metadata.tables.values():
        if table.info.get("audit.is_audit_table") and "audit_operation_timestamp" in table.columns:
            move = table.update().where(table.c.audit_transaction_id == id_)
            connection.execute(move.values(audit_operation_timestamp=at))
    connection.execute(text("UPDATE audit_transaction SET issued_at = :at WHERE id = :id"), {"at": at, "id": id_})


@contextmanager
def _chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("screenshots: no Chromium on this machine (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, chromium_sandbox=os.geteuid() != 0)
        yield browser
        browser.close()


def _log_in(page: Page, address: str, person: Person) -> None:
    page.context.clear_cookies()
    page.goto(f"{address}/login")
    page.locator("[name=username]").fill(person.username)
    page.locator("[name=password]").fill(person.password)
    page.locator("main button").click()
    page.wait_for_load_state()


def _picture(page: Page, whole: bool) -> bytes:
    """The page's beginning, without what is empty below it; or all of it."""
    page.evaluate("scrollTo(0, 0)")
    window, height = page.viewport_size, page.evaluate("document.querySelector('.fpa-root').offsetHeight")
    if whole or window is None:
        return page.screenshot(full_page=True)
    clip: FloatRect = {"x": 0, "y": 0, "width": window["width"], "height": min(window["height"], height)}
    return page.screenshot(full_page=True, clip=clip)


def _compress(picture: bytes) -> bytes:
    """With a palette: flat colours and grey edges of letters need no more."""
    image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()


def _check_sizes(folder: Path) -> int:
    sizes = {path.name: path.stat().st_size for path in sorted(folder.glob("*.png"))}
    too_large = [name for name, size in sizes.items() if size > MAX_PICTURE]
    if too_large or sum(sizes.values()) > MAX_ALL:
        print(f"screenshots: too large: {', '.join(too_large) or 'all together'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
