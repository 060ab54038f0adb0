"""Serving an app to a real browser, and listening to what the browser complains about."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from playwright.sync_api import Page


class _Handler(WSGIRequestHandler):
    """Silent; a connection that a browser opened in advance ends by itself."""

    timeout = 1

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def served(app: Any, prefix: str = "") -> Iterator[str]:
    """The address of a WSGI application, mounted at ``prefix``; whatever it is doing is waited for at the end."""
    mounted = DispatcherMiddleware(NotFound(), {prefix: app}) if prefix else app
    server = make_server("127.0.0.1", 0, mounted, threaded=True, request_handler=_Handler)
    server.daemon_threads = False  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}{prefix}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def complaints_of(page: Page) -> list[str]:
    """What the browser will have complained about: scripts that failed, and what the page's own policy refused."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.text} {message.location['url']}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.route("**/favicon.ico", lambda route: route.fulfill(status=204))  # browsers ask the host for one
    return complaints
