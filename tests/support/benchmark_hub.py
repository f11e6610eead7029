"""A Hugging Face hub on loopback with a few rows of every benchmark of retention, see ``benchmark_rows``.

The harnesses' own tasks read it as they read the hub, so that their prompts, scoring and sums are what is tested. The
endpoint is read when huggingface_hub is imported, so clients are subprocesses with ``BenchmarkHub.environment``. By hand:
``python tests/support/benchmark_hub.py`` prints what to export.
"""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Event

import hub_stub
import yaml
from benchmark_rows import in_text, of_safety, with_images
from datasets import Dataset
from loopback import Loopback, until_interrupted


@cache
def repositories() -> dict[str, dict[str, bytes]]:
    """The files of every data set: a card that lists its configurations, and a parquet file a split."""
    return {
        name: _files(configurations) for name, configurations in {**with_images(), **of_safety(), **in_text()}.items()
    }


def _files(configurations: Mapping[str, Mapping[str, Dataset]]) -> dict[str, bytes]:
    files, listed = {}, []
    for configuration, splits in configurations.items():
        paths = {split: f"{configuration}/{split}-00000-of-00001.parquet" for split in splits}
        for split, table in splits.items():
            buffer = io.BytesIO()
            table.to_parquet(buffer)
            files[paths[split]] = buffer.getvalue()
        data_files = [{"split": split, "path": path} for split, path in paths.items()]
        listed.append({"config_name": configuration, "data_files": data_files})
    return {"README.md": f"---\n{yaml.safe_dump({'configs': listed})}---\n".encode(), **files}


class BenchmarkHub(Loopback):
    """The hub; a context manager that serves from entering to leaving. ``requests`` lists what came in."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.requests: list[str] = []

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """The environment of a client whose caches are all below ``home``."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        # Tasks of lmms-eval want a token, though the data are open.
        ours = {"HF_ENDPOINT": self.url, "HF_HOME": str(home / "hf"), "HF_TOKEN": hub_stub.GRANTED}
        return {**inherited, **ours, "HF_HUB_DISABLE_TELEMETRY": "1", **more}

    def repository(self, path: str) -> "_Repository":
        """The one that the path of a request is about; one that is not there where it is about none."""
        name = next((name for name in repositories() if f"datasets/{name}" in path), "no/repository")
        return _Repository(name, repositories().get(name, {}), self.requests, self.stopped)


@dataclass
class _Repository:
    """One repository, in the form of a hub that has no other."""

    repo: str
    files: Mapping[str, bytes]
    requests: list[str]
    stopped: Event
    static: Mapping[str, bytes] = field(default_factory=dict)
    hangs: bool = False
    status: int | None = None


class _Handler(hub_stub._Handler):
    def do_GET(self) -> None:
        # A connection is served by one thread, one request after the other.
        self.stub = type(self).stub.repository(self.path)  # type: ignore[attr-defined, assignment]
        super().do_GET()

    do_HEAD = do_POST = do_GET


if __name__ == "__main__":
    with BenchmarkHub() as hub:
        print(
            f"export HF_ENDPOINT={hub.url} HF_HOME=$(mktemp -d) HF_TOKEN={hub_stub.GRANTED} HF_HUB_OFFLINE=0",
            flush=True,
        )
        until_interrupted()
