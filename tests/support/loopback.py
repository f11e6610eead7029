"""What the stubs of services share: a server on loopback, in a thread of the test's own process."""

import sys
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, Self


class Loopback:
    """A context manager that serves from entering to leaving, each request with a ``handler`` that knows it as ``stub``.

    ``stopped`` is set on leaving, for requests that are kept waiting.
    """

    def __init__(self, handler: type["Handler"]) -> None:
        self.stopped = Event()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (handler,), {"stub": self}))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """Quiet about clients that hang up, as those with a time limit do."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection to a stub."""

    protocol_version = "HTTP/1.1"
    stub: Any

    def log_message(self, *_: object) -> None:
        """Quiet: the stub has what came in."""

    def send(
        self, status: int, content: bytes, headers: Mapping[str, str] | None = None, length: int | None = None
    ) -> None:
        """Answer; ``length`` is the one that is claimed, if it is not that of ``content``."""
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def until_interrupted() -> None:
    """Wait for Ctrl-C, for a stub that is run by hand."""
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        pass
