"""A Hugging Face hub on loopback with one model, for tests of the real client library.

The endpoint is read when huggingface_hub is imported, so clients are subprocesses with ``ModelHub.environment``.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# Why the hub refuses: the code it gives, and the status.
_REFUSED = {"gated": ("GatedRepo", 401), "unrevised": ("RevisionNotFound", 404), "bare": ("EntryNotFound", 404)}


class ModelHub:
    """A context manager that serves ``me/model``, the files of ``folder``, and refuses anything else.

    ``name`` is another name for the model, of any owner; the API tells the commit of all its branches.

    ``me/gated``, ``me/unrevised`` and ``me/bare`` are there, but not to be had. ``sent`` counts the bytes sent, by file.
    """

    def __init__(self, folder: Path | None = None, name: str = "model") -> None:
        self.folder = folder
        self.name = name
        self.sent: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))

    def environment(self, home: Path) -> dict[str, str]:
        """The environment of a client whose cache is below ``home``, and who is not logged in."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        return {
            "HF_ENDPOINT": url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PATH": str(Path(sys.executable).parent),
        }

    def __enter__(self) -> "ModelHub":
        Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ModelHub

    def do_GET(self) -> None:
        _, _, repo, *rest = self.path.split("/")
        if self.path.startswith("/api/models/") and rest[1] == self.hub.name:
            self._answer(200, json.dumps({"id": "/".join(rest[:2]), "sha": COMMIT}).encode(), {})
            return
        name = rest[-1] if rest else ""
        file = self.hub.folder / name if self.hub.folder and repo == self.hub.name else None
        if file and file.is_file():
            self._send_file(name, file.read_bytes())
        else:
            code, status = (
                ("EntryNotFound", 404) if repo == self.hub.name else _REFUSED.get(repo, ("RepoNotFound", 401))
            )
            self._answer(status, b"", {"X-Error-Code": code})

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _send_file(self, name: str, content: bytes) -> None:
        headers = {"ETag": f'"{name}"', "Accept-Ranges": "bytes"}
        status = 200
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            whole = len(content)
            content, status = content[int(first) : int(last or whole) + 1], 206
            headers["Content-Range"] = f"bytes {first}-{int(first) + len(content) - 1}/{whole}"
        if self.command == "GET":
            self.hub.sent[name] = self.hub.sent.get(name, 0) + len(content)
        self._answer(status, content, headers)

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "X-Repo-Commit": COMMIT, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
