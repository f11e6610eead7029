"""Result folders, pages made of them by the command, and a browser to open them with."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browser as running_browser

from harness_ext.commands.report import main

HOSTILE = (
    '</script></template><script>alert(1)</script><img src=x onerror="alert(2)">&amp; \ud800 \u2028 ${1} {{ 7 * 7 }}'
)


def change_samples(folder: Path, task: str, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change the sample rows of a task in place."""
    (path,) = folder.rglob(f"*_samples_{task}.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").removesuffix("\n").split("\n")]
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="session")
def make_page() -> Callable[..., str]:
    """Make a page by the command; returns its content."""

    def make(output: Path, *arguments: Path | str) -> str:
        assert main([*map(str, arguments), "-o", str(output)]) == 0
        return output.read_text(encoding="utf-8")

    return make


@pytest.fixture(scope="session")
def hostile_page(
    tmp_path_factory: pytest.TempPathFactory,
    make_answers: Callable[..., Any],
    ask_likelihood: Callable[..., Any],
    write: Callable[..., Path],
    make_page: Callable[..., str],
) -> Path:
    """Two models on the stand-in, the first by likelihood too, and one on the benchmark; text of one answer is an attack."""
    folder = tmp_path_factory.mktemp("page")
    before = make_answers(images=1)
    write(
        folder / "before",
        before | ask_likelihood(before),
        model="one",
        model_args="pretrained=<script>alert(3)</script>",
    )
    write(folder / "after", make_answers(seed=1, images=1), model="two")
    write(folder / "gated", make_answers("unsafeconcepts", seed=2, images=1), model="three")

    def attack(rows: list[dict[str, Any]]) -> None:
        rows[0]["filtered_resps"] = HOSTILE

    change_samples(folder / "before", "glyphworld_image", attack)
    make_page(folder / "page.html", folder / "before", folder / "after", folder / "gated")
    return folder / "page.html"


@pytest.fixture(scope="module")  # it keeps an event loop in this thread, in which nobody else could start one
def browser() -> Iterator[Any]:
    with running_browser() as running:
        yield running
