"""An OpenAI-compatible server on loopback that answers by what it is shown, and fails on demand in every usual way.

An answer is made of digests of the prompt and of the pixels shown, so that two runs can be compared and an image that arrives
damaged shows. By hand: ``python tests/support/api_stub.py`` prints the command to evaluate it with.
"""

import base64
import gzip
import hashlib
import io
import json
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from threading import Event, Lock

from loopback import Handler, Loopback, until_interrupted
from PIL import Image

MODEL = "stub-vlm"
SNAPSHOT = "stub-vlm-2025-01-01"


@dataclass
class Asked:
    """One request that came in: its body, its headers (lower case), the prompt's text and the images that were shown."""

    body: dict
    headers: dict
    text: str
    images: list = field(default_factory=list)


@dataclass
class Fault:
    """What goes wrong with requests whose text holds ``text``, ``times`` times: a status, or one of ``BROKEN``.

    ``error`` is the error that is sent with a status (bytes as they are), ``retry_after`` and ``headers`` its headers.
    """

    kind: int | str
    times: float = 1
    text: str = ""
    error: Mapping | list | str | bytes | None = None
    retry_after: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


# Ways to fail without an error status: no answer in time, or one that never ends; none at all, half of one, one that is no
# JSON, no completion.
SLOW = ("silent", "trickling")
BROKEN = (*SLOW, "dropped", "half", "bad json", "html", "no choices")
# Ways to send more than anybody can read: with a length that is claimed, without one, packed once and twice.
ENDLESS = ("claimed", "chunked", "packed", "packed twice")
MIB = 2**20
DEEP = "[" * 100_000
ANSWERED = '{"choices": [{"message": {"content": %s}, "finish_reason": %s}]}'
# Bodies of any form, none of which holds an answer; half a surrogate pair stands for a byte that is no UTF-8.
ANY_BODY = (
    *("null", "3", "[]", "true", '"a"', "{}", '{"choices": 3}', '{"choices": [[]]}', '{"choices": {"0": 1}}'),
    *('{"choices": [null]}', '{"choices": [{"message": 1}]}', '{"error": [[]]}', '{"choices": [{"error": {"a": []}}]}'),
    *(ANSWERED % (content, '"stop"') for content in ("3", "{}", '[{"type": []}]', "[[[]]]", '[{"type": {"text": 1}}]')),
    ANSWERED % (DEEP + "]" * 100_000, "1"),
    *(DEEP, '{"error":' * 900 + "1" + "}" * 900, "9" * 5000, "\udcff", "NaN"),
    '{"choices": [{"message": {"content": ' + "9" * 5000 + "}}]}",
)


# The categories of OpenAI's moderation endpoint, as its reference has them in November 2026.
CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
)


def moderated(asked: Asked) -> dict:
    """The stub's moderation: prompt and pixels give the score of violence; from .5 on it is flagged."""
    pixels = b"".join(image.tobytes() for image in asked.images)
    score = hashlib.sha256(pixels + asked.text.encode()).digest()[0] / 256
    scores = {category: score / 100 for category in CATEGORIES} | {"violence": score}
    kind = ["image"] if asked.images else ["text"]
    return {
        "flagged": score >= 0.5,
        "categories": {category: value >= 0.5 for category, value in scores.items()},
        "category_scores": scores,
        "category_applied_input_types": dict.fromkeys(CATEGORIES, kind),
    }


def answer_to(asked: Asked) -> str:
    """The stub's answer: a verdict and what it rests on."""
    pixels = hashlib.sha256(b"".join(bytes(str(image.size), "ascii") + image.tobytes() for image in asked.images))
    prompt = hashlib.sha256(asked.text.encode())
    said = "Yes" if prompt.digest()[0] % 2 else "No"
    return f"{said}, I saw {pixels.hexdigest()[:8]} and read {prompt.hexdigest()[:8]}."


class ApiStub(Loopback):
    """The server; a context manager that serves from entering to leaving.

    ``key`` is what it wants to be shown, ``delay`` the seconds that an answer takes, ``message`` makes the message and
    ``finish_reason`` of an answer, ``result`` that of a moderation, ``changed`` makes what is sent of the whole reply,
    ``allows`` is how many requests it takes in ``window`` seconds before it says 429. ``faults`` go wrong first come, first
    served. ``holds_after`` lets so many requests be answered and keeps the rest waiting. ``asked`` lists what came in,
    ``most_at_once`` how many were under way together, ``sent`` the bytes of the replies that do not end.
    """

    def __init__(
        self,
        *faults: Fault,
        key: str = "",
        delay: float = 0.0,
        message: Callable[[Asked], tuple[dict, str]] = lambda asked: ({"content": answer_to(asked)}, "stop"),
        result: Callable[[Asked], dict] = moderated,
        changed: Callable[[dict], dict] = lambda completion: completion,
        allows: float = float("inf"),
        window: float = 0.5,
        holds_after: float = float("inf"),
    ) -> None:
        super().__init__(_Handler)
        self.faults, self.key, self.delay, self.message = list(faults), key, delay, message
        self.result, self.changed = result, changed
        self.allows, self.window, self.holds_after = allows, window, holds_after
        self.asked: list[Asked] = []
        self.most_at_once = self.answered = self.too_often = self.sent = 0
        self.lock = Lock()
        self._under_way, self._recent = 0, list[float]()
        self._reached: dict[int, Event] = {}

    @property
    def url(self) -> str:
        return f"{super().url}/v1"

    def when_asked(self, times: int) -> Event:
        """Set when so many requests have come in."""
        self._reached[times] = Event()
        return self._reached[times]

    def begin(self, asked: Asked) -> Fault | None:
        """Note a request; returns what is to go wrong with it."""
        with self.lock:
            self.asked.append(asked)
            if len(self.asked) in self._reached:
                self._reached[len(self.asked)].set()
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
            for fault in self.faults:
                if fault.times > 0 and fault.text in asked.text:
                    fault.times -= 1
                    return fault
            now = time.monotonic()
            self._recent = [at for at in self._recent if at > now - self.window]
            if len(self._recent) >= self.allows:
                self.too_often += 1
                return Fault(429, error={"code": "rate_limit_exceeded", "message": "Rate limit reached."})
            self._recent.append(now)
        return None

    def end(self) -> None:
        """A request is over."""
        with self.lock:
            self._under_way -= 1

    def waits(self) -> bool:
        """Whether the next answer is one to be held back."""
        with self.lock:
            self.answered += 1
            return self.answered > self.holds_after


@cache
def _packed(wbits: int) -> bytes:
    """Half a GiB of spaces in one stream of zlib, half a MiB."""
    packing = zlib.compressobj(1, wbits=wbits)
    return b"".join([*(packing.compress(b" " * MIB) for _ in range(512)), packing.flush()])


def _headers(fault: Fault) -> dict[str, str]:
    return {**({"Retry-After": fault.retry_after} if fault.retry_after else {}), **fault.headers}


class _Handler(Handler):
    stub: ApiStub

    def do_POST(self) -> None:
        asked = self._read()
        fault = self.stub.begin(asked)
        try:
            self._answer(asked, fault)
        finally:
            self.stub.end()

    def _read(self) -> Asked:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = Asked(body, {name.lower(): value for name, value in self.headers.items()}, "")
        for message in body["messages"] if "messages" in body else [{"content": body["input"]}]:
            content = message["content"]
            for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
                if part["type"] == "text":
                    asked.text += part["text"]
                else:
                    data = base64.b64decode(part["image_url"]["url"].split(",", 1)[1], validate=True)
                    asked.images.append(Image.open(io.BytesIO(data)))
        return asked

    def _answer(self, asked: Asked, fault: Fault | None) -> None:
        if self.path not in ("/v1/chat/completions", "/v1/moderations"):
            self._send(404, b"404 page not found", "text/plain")
        elif self.stub.key and self.headers.get("Authorization") != f"Bearer {self.stub.key}":
            self._error(401, {"message": f"Incorrect API key provided: {self.headers.get('Authorization')}"})
        elif asked.body["model"] != MODEL:
            self._error(
                404, {"message": f"The model `{asked.body['model']}` does not exist.", "code": "model_not_found"}
            )
        elif fault and isinstance(fault.kind, int):
            self._error(fault.kind, fault.error or {"message": f"a {fault.kind}"}, _headers(fault))
        elif fault:
            self._break(fault.kind)
        else:
            self._complete(asked)

    def _complete(self, asked: Asked) -> None:
        if self.stub.waits():
            self.stub.stopped.wait()
        if self.stub.delay:
            time.sleep(self.stub.delay)
        if self.path == "/v1/moderations":
            reply = {"id": "modr-0", "model": SNAPSHOT, "results": [self.stub.result(asked)]}
            self._send(200, json.dumps(self.stub.changed(reply)).encode())
            return
        message, finish = self.stub.message(asked)
        completion = {
            "id": "chatcmpl-0",
            "object": "chat.completion",
            "created": 0,
            "model": SNAPSHOT,
            "system_fingerprint": "fp_stub",
            "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        self._send(200, json.dumps(self.stub.changed(completion)).encode())

    def _break(self, kind: str) -> None:
        if kind == "silent":
            self.stub.stopped.wait()
        elif kind == "trickling":
            self._send(200, b"{", length=10**6)
            while not self.stub.stopped.wait(0.05):
                self.wfile.write(b" ")
        elif kind == "half":
            self._send(200, b'{"id": "chatcmpl-0", "choices": [{"mess', length=500)
        elif kind == "bad json":
            self._send(200, b'{"id": "chatcmpl-0", "choices": [{"mess')
        elif kind == "html":
            self._send(200, b"<html>Welcome</html>", "text/html")
        elif kind == "no choices":
            self._send(200, b'{"error": {"message": "upstream failed", "code": 502}}')
        elif kind in ("claimed", "chunked"):
            self._pour(chunked=kind == "chunked")
        elif kind in ("packed", "packed twice"):
            content = _packed(wbits=31) if kind == "packed" else gzip.compress(_packed(wbits=31))
            encodings = "gzip" if kind == "packed" else "gzip, gzip"
            self._send(200, content, headers={"Content-Encoding": encodings})
        elif kind == "unpacking charset":
            self._send(200, _packed(wbits=15), "application/json; charset=zlib")
        self.close_connection = True

    def _pour(self, chunked: bool) -> None:
        self.send_response(200)
        length = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(10**10))
        self.send_header(*length)
        self.end_headers()
        block = b" " * MIB
        written = b"%x\r\n%s\r\n" % (MIB, block) if chunked else block
        while self.stub.sent < 1024 * MIB:  # so that a client without a bound does not take all memory
            self.wfile.write(written)
            self.stub.sent += MIB

    def _error(self, status: int, error: object, headers: Mapping[str, str] | None = None) -> None:
        body = {"error": error} if isinstance(error, Mapping) else error
        text = json.dumps(body) if isinstance(body, Mapping | list) else body
        data = text.encode() if isinstance(text, str) else text
        self._send(status, data, headers=headers)

    def _send(
        self,
        status: int,
        content: bytes,
        kind: str = "application/json",
        length: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.send(status, content, {"Content-Type": kind, **(headers or {})}, length)


if __name__ == "__main__":
    with ApiStub(delay=0.2) as stub:
        options = f"model={MODEL},base_url={stub.url}"
        print(f"lmms_eval --model api-vlm --model_args {options} --tasks glyphworld_image --limit 20", flush=True)
        until_interrupted()
