"""Serve a report while it grows, to browsers of this machine that know its address.

    changed ──event──► live.js ──asks again──► the page, rendered anew
    end     ──event──► live.js ──asks again──► the file that is left on the disk

The server listens on 127.0.0.1 alone. Its address contains a token, which no other page knows; what
another page asks, or is asked of another name of this machine, is refused.
"""

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from tornado import httpserver, iostream, netutil, web

from lenet.errors import LenetError

LAST = 10.0
"""Seconds for which the end waits until browsers have taken the file."""


@contextlib.contextmanager
def serving(render: Callable[[], bytes], empty: bytes) -> "Iterator[Live]":
    """Serve a page until the block ends.

    Args:
      render: returns the page as it is now, in a thread of its own.
      empty: the page until `render` succeeds; a LenetError of it leaves the page as it was.
    """
    live = Live(render, empty)
    thread = threading.Thread(target=asyncio.run, args=(live.serve(),), daemon=True)
    thread.start()
    live.ready.wait()
    try:
        yield live
    finally:
        live.ask(live.stopped.set)
        thread.join()


class Live:
    """A page that is served, and whom it is served to."""

    def __init__(self, render: Callable[[], bytes], empty: bytes) -> None:
        self.render, self.content = render, empty
        self.file: Path | None = None  # that is left
        (self.socket,) = netutil.bind_sockets(0, "127.0.0.1")
        port, token = self.socket.getsockname()[1], secrets.token_urlsafe(16)
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.path = f"/{token}/"
        self.address = f"http://127.0.0.1:{port}{self.path}"
        self.stale = False
        self.watching: set[_Events] = set()
        self.due: set[_Events] = set()  # of those who watched at the end
        self.ready, self.taken = threading.Event(), threading.Event()

    def changed(self) -> None:
        """Tell that there is more to show."""
        self.ask(self.tell)

    def end(self, file: Path) -> None:
        """Tell that the page is finished, in a file; wait until browsers have it."""
        self.ask(self.finish, file)
        self.taken.wait(LAST)

    def ask(self, act: Callable[..., None], *args: object) -> None:
        """Act in the thread of the server, to which all below belongs."""
        self.loop.call_soon_threadsafe(act, *args)

    async def serve(self) -> None:
        """Answer until `stopped` is set."""
        self.loop = asyncio.get_running_loop()
        self.told, self.stopped = asyncio.Event(), asyncio.Event()
        paths = [
            (self.path, _Page, {"live": self}),
            (f"{self.path}events", _Events, {"live": self}),
        ]
        server = httpserver.HTTPServer(web.Application(paths, log_function=lambda handler: None))
        server.add_socket(self.socket)
        self.ready.set()
        await self.stopped.wait()
        self.tell()
        server.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                while self.watching:
                    await asyncio.sleep(0.01)
        await server.close_all_connections()

    def tell(self) -> None:
        """Wake those who wait for the next change."""
        self.stale = True
        self.told.set()
        self.told = asyncio.Event()

    def finish(self, file: Path) -> None:
        """Serve a file from now on."""
        self.file, self.due = file, set(self.watching)
        self.check()
        self.tell()

    def check(self) -> None:
        """End the wait of `end` when nobody is due to ask for the file."""
        if self.file and not self.due:
            self.taken.set()

    def page(self) -> bytes:
        """Return the page as it is now."""
        if self.file is not None:
            return self.file.read_bytes()
        if self.stale:
            self.stale = False
            with contextlib.suppress(LenetError):  # nothing to show yet
                self.content = self.render()
        return self.content


class _Guarded(web.RequestHandler):
    """Answer only who was given the address."""

    def initialize(self, live: Live) -> None:
        self.live = live

    def prepare(self) -> None:
        origin = self.request.headers.get("Origin")
        asked = {self.request.host, *([urlsplit(origin).netloc] if origin else [])}
        if not asked <= self.live.hosts:
            raise web.HTTPError(403)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("X-Content-Type-Options", "nosniff")


class _Page(_Guarded):
    async def get(self) -> None:
        """Send the page; who knows of the end asks with `?last`."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        await self.finish(self.live.page())
        if "last" in self.request.arguments and self.live.due:
            self.live.due.pop()  # whichever it was
            self.live.check()


class _Events(_Guarded):
    async def get(self) -> None:
        """Send an event at once, and one at each change, until the end."""
        self.set_header("Content-Type", "text/event-stream")
        live, file = self.live, None
        live.watching.add(self)
        try:
            while not (file or live.stopped.is_set()):
                told, file = live.told, live.file
                self.write(f"event: {'end' if file else 'change'}\ndata: {file or ''}\n\n")
                await self.flush()
                if not file:
                    await told.wait()
        except iostream.StreamClosedError:
            self.on_connection_close()
        live.watching.discard(self)

    def on_connection_close(self) -> None:
        self.live.watching.discard(self)
        self.live.due.discard(self)  # it will not ask
        self.live.check()
