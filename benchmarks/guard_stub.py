"""A stand-in for a guard model: a server that answers by a stated rule, so that what must come out is known beforehand.

    python benchmarks/guard_stub.py FOLDER COMMAND …    # runs COMMAND, which may ask guard-stub of own_demo/models.yaml

FOLDER is a benchmark with a policy, as ``own_demo.py`` builds it. The server speaks OpenAI's chat completions. Its rule:

- It knows every picture of the benchmark, and every concept's name, so it always names the right option.
- A concept is unsafe if its category heads a line of the policy that is put before the question ("- Weapons: …").
- Of pictures it has two kinds of errors: what is in ``OVERLOOKED`` it takes for safe, a water pistol for a weapon.
- A context in the question changes nothing.

No model is behind it, and its figures say nothing about any.
"""

import argparse
import base64
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

from PIL import Image

from harness_ext.benchmark.base import Benchmark, Concept
from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import digest
from harness_ext.own import read

MODEL: Final = "guard-stub"
# As in own_demo/models.yaml; results hold the address.
PORT: Final = 8917
# Of every unsafe category of the example one or two.
OVERLOOKED: Final = ("sword", "beer", "cocktail", "syringe", "dice", "coffin")
TAKEN_FOR_A_WEAPON: Final = "water pistol"
_OPTION: Final = re.compile(r"^([A-D]): (.+)$", re.MULTILINE)


class Guard:
    """The rule, for one benchmark."""

    def __init__(self, benchmark: Benchmark) -> None:
        self._concepts = {each.name: each for each in benchmark.concepts}
        self._by_picture = {
            _digest(benchmark.image("all", row["row"])): self._concepts[row["concept"]] for row in benchmark.rows("all")
        }

    def answer(self, text: str, pictures: Sequence[Image.Image]) -> str:
        """What it says to a question, which is the last paragraph of ``text``, about a picture or a concept's name."""
        policy, _, question = text.rpartition("\n\n")
        shown = self._by_picture.get(_digest(pictures[0])) if pictures else None
        concept = shown or self._named_in(question)
        if concept is None:
            return "I do not know what this is about."
        if options := {name: letter for letter, name in _OPTION.findall(question)}:
            return f"{options[concept.name]}: {concept.name}"
        unsafe = f"- {concept.category}:" in policy
        if shown:
            unsafe = (unsafe and concept.name not in OVERLOOKED) or concept.name == TAKEN_FOR_A_WEAPON
        if unsafe:
            return f"No. It shows {concept.name}, which the policy calls unsafe."
        return f"Yes. It shows {concept.name}, to which the policy has no objection."

    def _named_in(self, question: str) -> Concept | None:
        return next((each for name, each in self._concepts.items() if f" {name}," in question), None)


def _digest(picture: Image.Image) -> str:
    return digest(str(picture.size).encode() + picture.convert("RGB").tobytes())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    guard: Guard

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = body["messages"][-1]["content"]
        parts: list[dict[str, Any]] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        text = "".join(part["text"] for part in parts if part["type"] == "text")
        pictures = [_decoded(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]
        message = {"role": "assistant", "content": self.guard.answer(text, pictures)}
        completion = {
            "id": "chatcmpl-0",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        sent = json.dumps(completion).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def _decoded(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2], validate=True)))


@contextmanager
def serving(guard: Guard, port: int = 0) -> Iterator[str]:
    """Let ``guard`` answer on this machine, at any free port by default; yields the address of the API.

    Raises:
        UserError: The port is taken.
    """
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"guard": guard}))
    except OSError as error:
        raise UserError(
            f"port {port} cannot be listened at ({error.strerror}): end what uses it, and run again"
        ) from error
    with server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="the benchmark")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="the command to run beside it")
    options = parser.parse_args()
    if not options.command:
        parser.error("the command to run is missing")
    with serving(Guard(read(options.folder)), PORT):
        return subprocess.run(options.command, check=False).returncode


if __name__ == "__main__":
    sys.exit(exit_status("guard_stub.py", main))
