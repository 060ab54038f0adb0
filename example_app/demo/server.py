"""The application behind a port of this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from flask import Flask
from werkzeug.serving import make_server

from . import DemoError

HOST = "127.0.0.1"
DEFAULT_PORT = 5000
ATTEMPTS = 100


def find_port() -> socket.socket:
    """Listen on ``PORT``, or 5000, or the next one that is free.

    :raises DemoError: there is none, or ``PORT`` is no number of a port.
    """
    first = wanted_port()
    for port in range(first, min(first + ATTEMPTS, 65536)):
        try:
            return socket.create_server((HOST, port))
        except OSError as error:
            refusal = error.strerror
    raise DemoError(f"no port from {first} to {port} can be used ({refusal}); set PORT to another one")


@contextmanager
def serve(app: Flask, listener: socket.socket) -> Iterator[str]:
    """Answer requests, in threads, until the end of the block; yields the address."""
    port = listener.getsockname()[1]
    # Given the socket, and not the number, the server does not have to find out whether the port is free.
    server = make_server(HOST, port, app, threaded=True, fd=listener.fileno())
    thread = Thread(target=server.serve_forever, name="server")
    thread.start()
    try:
        yield f"http://{HOST}:{port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        listener.close()


def wanted_port() -> int:
    """The port to begin with.

    :raises DemoError: ``PORT`` is none.
    """
    wanted = os.environ.get("PORT") or str(DEFAULT_PORT)
    if not (wanted.isascii() and wanted.isdigit() and 0 < int(wanted[:6]) < 65536):
        raise DemoError(f"PORT must be a number from 1 to 65535, not {wanted!r}")
    return int(wanted)
