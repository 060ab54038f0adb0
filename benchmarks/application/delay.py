"""``python delay.py SOCKET SECONDS``: a TCP port of the loopback interface that leads to a Unix socket, with a delay.

Prints the port, and ends with its standard input. Needs nothing but Python, so that it starts in a moment.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
from collections import deque


async def serve(path: str, seconds: float) -> None:
    """Until the standard input ends."""

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(path)
        await asyncio.gather(pass_on(reader, back, seconds), pass_on(there, writer, seconds))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Each piece that comes in goes out so many seconds later; pieces do not wait for one another."""
    loop, pieces = asyncio.get_running_loop(), deque[bytes]()
    while piece := await reader.read(65_536):
        pieces.append(piece)
        # Whichever call comes first takes the oldest piece: their order is kept.
        loop.call_later(seconds, lambda: writer.write(pieces.popleft()))
    loop.call_later(seconds, writer.close)


if __name__ == "__main__":
    # epoll counts in milliseconds; select in microseconds.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    loop.run_until_complete(serve(sys.argv[1], float(sys.argv[2])))
