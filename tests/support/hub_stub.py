"""A Hugging Face hub on loopback with one gated dataset, for tests of the real client libraries.

Serves what huggingface_hub and datasets ask of the hub for a dataset: auth-check, repository information, file tree, and
the files themselves, behind the gate where the hub has them so. The endpoint is read when huggingface_hub is imported, so
clients are subprocesses with ``HubStub.environment``. By hand: ``python tests/support/hub_stub.py`` prints what to export.
"""

import argparse
import hashlib
import io
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from loopback import Handler, Loopback, until_interrupted
from PIL import Image

from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

REPO = "yiting/UnsafeConcepts"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GRANTED = "hf_granted"
UNGRANTED = "hf_ungranted"

_CARD = """---
dataset_info:
  features:
  - name: image
    dtype: image
  - name: category
    dtype: string
  - name: unsafe_concept
    dtype: string
  splits:
  - name: train
    num_bytes: {size}
    num_examples: {rows}
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
extra_gated_prompt: A stand-in of flat colours for tests.
---
"""


def png(row: int, size: int = 12) -> bytes:
    """A harmless flat colour that names its row, in red and green; every fourth has one transparent pixel, at the origin."""
    pixels = np.full((size, size, 4), (row // 256, row % 256, 128, 255), dtype=np.uint8)
    file = io.BytesIO()
    image = Image.fromarray(pixels)
    if row % 4 == 0:
        image.putpixel((0, 0), (*pixels[0, 0, :3].tolist(), 0))
    else:
        image = image.convert("RGB")
    image.save(file, "PNG")
    return file.getvalue()


def rows() -> list[dict[str, str]]:
    """Category and concept of the 1,567 rows, as the taxonomy says."""
    return [
        {"category": concept.category, "unsafe_concept": concept.name}
        for concept in CONCEPTS
        for _ in range(concept.images)
    ]


def table(start: int = 0, stop: int | None = None) -> pa.Table:
    """Rows ``start`` to ``stop`` in the columns of the hub dataset, images as bytes."""
    chosen = list(enumerate(rows()))[start:stop]
    images = [{"bytes": png(row), "path": f"{row}.png"} for row, _ in chosen]
    return pa.table(
        {
            "image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            "category": [values["category"] for _, values in chosen],
            "unsafe_concept": [values["unsafe_concept"] for _, values in chosen],
        }
    )


@cache
def dataset_files() -> dict[str, bytes]:
    """The files of the gated repository: a card, and two parquet shards of 1,567 rows together."""
    files = {}
    count = len(rows())
    for shard, (start, stop) in enumerate(((0, count // 2), (count // 2, count))):
        buffer = io.BytesIO()
        pq.write_table(table(start, stop), buffer)
        files[f"data/train-{shard:05d}-of-00002.parquet"] = buffer.getvalue()
    card = _CARD.format(size=sum(map(len, files.values())), rows=count).encode()
    return {".gitattributes": b"*.parquet filter=lfs\n", "README.md": card, **files}


class HubStub(Loopback):
    """The hub; a context manager that serves from entering to leaving.

    ``files`` are those of the one gated repository ``repo``; ``static`` are further paths served to anyone (a mirror of
    published files). ``hangs`` accepts connections and answers nothing; ``status`` answers everything with that status.
    ``requests`` lists what came in, as ``"METHOD path"``.
    """

    def __init__(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        repo: str = REPO,
        static: Mapping[str, bytes] | None = None,
        hangs: bool = False,
        status: int | None = None,
    ) -> None:
        super().__init__(_Handler)
        self.files = dict(dataset_files() if files is None else files)
        self.repo = repo
        self.static = dict(static or {})
        self.hangs = hangs
        self.status = status
        self.requests: list[str] = []

    def environment(self, home: Path, token: str | None = None, **more: str) -> dict[str, str]:
        """The environment of a client whose caches are all below ``home``, logged in by ``token`` or not at all."""
        ours = ("HF_", "HUGGING", "UNSAFECONCEPTS_", "TRANSFORMERS_OFFLINE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **inherited,
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home / "hf"),
            "UNSAFECONCEPTS_CACHE": str(home / "unsafeconcepts"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            **({"HF_TOKEN": token} if token else {}),
            **more,
        }


class _Handler(Handler):
    stub: HubStub

    def do_GET(self) -> None:
        self.stub.requests.append(f"{self.command} {self.path}")
        length = int(self.headers.get("Content-Length") or 0)
        self.posted = self.rfile.read(length)
        if self.stub.hangs:
            self.stub.stopped.wait()
            return
        if self.stub.status is not None:
            self.send(self.stub.status, b"")
            return
        self._route(unquote(urlsplit(self.path).path).lstrip("/"))

    do_HEAD = do_POST = do_GET

    def _route(self, path: str) -> None:
        repo = self.stub.repo
        if path in self.stub.static:
            self.send(200, self.stub.static[path])
        elif self._token() not in (None, GRANTED, UNGRANTED):
            self._refuse(401, None, "Invalid credentials in Authorization header")
        elif path == f"api/datasets/{repo}/auth-check":
            self._behind_gate(lambda: self._send_json({}))
        elif path in (f"api/datasets/{repo}", *(f"api/datasets/{repo}/revision/{name}" for name in ("main", COMMIT))):
            self._send_json(self._information())
        elif path.startswith(tuple(f"api/datasets/{repo}/tree/{name}" for name in ("main", COMMIT))):
            _, _, folder = path.removeprefix(f"api/datasets/{repo}/tree/").partition("/")
            self._send_json(self._tree(folder, recursive="recursive=true" in self.path.lower()))
        elif path.startswith(f"api/datasets/{repo}/paths-info/"):
            self._send_json([self._entry(name) for name in self._posted_paths() if name in self.stub.files])
        elif path.startswith(tuple(f"datasets/{repo}/resolve/{name}/" for name in ("main", COMMIT))):
            name = path.removeprefix(f"datasets/{repo}/resolve/").split("/", 1)[1]
            self._behind_gate(lambda: self._send_file(name))
        elif path.startswith(f"datasets/{repo}/resolve/") or path.startswith(f"api/datasets/{repo}/revision/"):
            self._refuse(404, "RevisionNotFound", "Invalid rev id")
        else:
            self._refuse(404 if self._token() else 401, "RepoNotFound", "Repository not found")

    def _token(self) -> str | None:
        header = self.headers.get("Authorization")
        return header.removeprefix("Bearer ") if header else None

    def _behind_gate(self, serve) -> None:
        if self._token() == GRANTED:
            serve()
        else:
            status = 403 if self._token() else 401
            self._refuse(status, "GatedRepo", f"Access to dataset {self.stub.repo} is restricted.")

    def _information(self) -> dict:
        return {
            "id": self.stub.repo,
            "author": self.stub.repo.split("/")[0],
            "sha": COMMIT,
            "private": False,
            "gated": "manual",
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "lastModified": "2025-01-01T00:00:00.000Z",
            "createdAt": "2025-01-01T00:00:00.000Z",
            "siblings": [{"rfilename": name} for name in self.stub.files],
        }

    def _tree(self, folder: str, recursive: bool) -> list[dict]:
        inside = f"{folder}/" if folder else ""
        below = {name: name.removeprefix(inside) for name in self.stub.files if name.startswith(inside)}
        folders = {inside + rest.split("/")[0] for rest in below.values() if "/" in rest}
        files = [self._entry(name) for name, rest in below.items() if recursive or "/" not in rest]
        return [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in sorted(folders)] + files

    def _entry(self, name: str) -> dict:
        content = self.stub.files[name]
        entry = {"type": "file", "path": name, "size": len(content), "oid": _git_blob_id(content)}
        if name.endswith(".parquet"):
            sha256 = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
        return entry

    def _posted_paths(self) -> list[str]:
        text = self.posted.decode()
        if text.startswith("{"):
            return json.loads(text)["paths"]
        return parse_qs(text).get("paths", [])

    def _send_file(self, name: str) -> None:
        if name not in self.stub.files:
            self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": COMMIT})
            return
        content = self.stub.files[name]
        entry = self._entry(name)
        etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{etag}"', "Accept-Ranges": "bytes"}
        if (wanted := self.headers.get("Range")) and self.command == "GET":
            start, _, stop = wanted.removeprefix("bytes=").partition("-")
            first, last = int(start), min(int(stop or len(content) - 1), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            self.send(206, content[first : last + 1], headers)
        else:
            self.send(200, content, headers)

    def _refuse(self, status: int, code: str | None, message: str, more: Mapping[str, str] | None = None) -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(more or {})}
        self.send(status, json.dumps({"error": message}).encode(), headers)

    def _send_json(self, value: object) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _git_blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A stand-in hub with a gated dataset of flat colours, until Ctrl-C.")
    parser.add_argument("--hangs", action="store_true", help="answer nothing")
    with HubStub(hangs=parser.parse_args().hangs) as stub:
        print(f"export HF_ENDPOINT={stub.url} HF_HOME=$(mktemp -d) HF_TOKEN={GRANTED}  # or {UNGRANTED}", flush=True)
        until_interrupted()
