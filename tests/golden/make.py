"""The golden files: what every command that reads runs prints and writes about the saved runs of ``tests/golden/runs``.

python tests/golden/make.py             remakes ``outputs``; look at the difference before you commit it

The commands run in this process through their entry points, in a folder of their own, so that no file names a module or a
place of this machine. ``make_runs.py`` makes the saved runs.
"""

import base64
import contextlib
import gzip
import io
import json
import math
import os
import re
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from html.parser import HTMLParser
from importlib.metadata import entry_points, version
from itertools import dropwhile, zip_longest
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from harness_ext.judges.llm.prompt import QUALITY
from harness_ext.runs.ratings import rateable_tasks, write_people

HERE: Final = Path(__file__).parent
RUNS: Final = HERE / "runs"
OUTPUTS: Final = HERE / "outputs"
COLUMNS: Final = "200"
# Only retention prints whole paths, which here and there are of another length.
COLUMNS_OF: Final = {"retention": "800", "retention-text": "800"}
TOLERANCE: Final = 1e-9
_FLOAT: Final = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?|-?\d+e-\d+")

_WRITTEN: Final = "--markdown {0}.md --json {0}.json"
_ALL: Final = f"{_WRITTEN} --csv {{0}}.csv"
_COMPARED: Final = f"{_ALL} --latex {{0}}.tex"
_ADDED: Final = "leaderboard out/board.jsonl --check --name glyph-vlm --source https://example.org/golden"
_RETENTION: Final = (
    "unsafeconcepts retention --before hf-vlm,pretrained=runs/before --after hf-vlm,pretrained=runs/after"
)
# By name, the commands of one after another: {0} is the place of what the last one writes, "out/NAME".
CASES: Final[Mapping[str, tuple[str, ...]]] = {
    "table": (f"unsafeconcepts table runs/original {_WRITTEN}",),
    "table-three-models": ("unsafeconcepts table runs/methods --task glyphworld_image",),
    "table-failed": (f"unsafeconcepts table runs/failed {_WRITTEN}",),
    "table-rejudged": ("unsafeconcepts table runs/rejudged",),
    "table-sampled": (f"unsafeconcepts table runs/sampled {_WRITTEN}",),
    "compare": (f"unsafeconcepts compare runs/original runs/sft {_COMPARED}",),
    "compare-three": (
        "unsafeconcepts compare runs/original/generated runs/sft/generated runs/ppo/generated"
        " --margin 0.05 --markdown {0}.md",
    ),
    "compare-na": (f"unsafeconcepts compare runs/original/generated runs/na {_ALL}",),
    "compare-benchmarks": (f"unsafeconcepts compare runs/lm_eval/original runs/lm_eval/sft {_ALL}",),
    "quality": (f"unsafeconcepts quality runs/rated/original runs/rated/ppo {_WRITTEN}",),
    "quality-table": ("unsafeconcepts table runs/rated/ppo --task glyphworld_test",),
    "quality-compare": ("unsafeconcepts compare runs/rated/original runs/rated/ppo --task glyphworld_test",),
    "agreement": ("unsafeconcepts agreement runs/original/generated runs/rejudged --disagreements {0}.jsonl",),
    "agreement-human": (
        f"unsafeconcepts agreement runs/original/generated runs/rejudged --human runs/labels.jsonl {_ALL}",
    ),
    "judge-lines": ("unsafeconcepts judge runs/responses.jsonl",),
    "judge-run": ("unsafeconcepts judge runs/original/generated --judge rules -o {0}",),
    "leaderboard": (
        f"unsafeconcepts {_ADDED} --add runs/original/generated",
        f"unsafeconcepts {_ADDED} --add runs/sft --training SFT --trained-on 'training split'",
        f"unsafeconcepts {_ADDED} --add runs/ppo --training PPO --trained-on 'training split' --na wrong",
        "unsafeconcepts leaderboard out/board.jsonl --sort perception --markdown {0}.md --csv {0}.csv",
    ),
    "align-table": (f"align table runs/methods --methods original sft ppo --against original ppo {_WRITTEN}",),
    "align-table-seeds": (f"align table runs/seeds --against original {_WRITTEN}",),
    "align-ways": (f"align ways runs/methods --methods original sft ppo {_WRITTEN}",),
    "retention": (f"{_RETENTION} --suite glyphworld --output retained",),
    "retention-text": (f"{_RETENTION} --suite text --without mmlu --margin 0.05 --output retained",),
    "report": ("unsafeconcepts report runs/original runs/sft runs/ppo -o {0}.html --assets {0}",),
    "refused-other-questions": ("unsafeconcepts compare runs/original/generated runs/sft/likelihood",),
    "refused-other-judge": ("unsafeconcepts compare runs/original/generated runs/rejudged",),
    "refused-other-answers": ("unsafeconcepts agreement runs/original/generated runs/sft/generated",),
    "refused-failed": ("unsafeconcepts compare runs/original/generated runs/failed",),
    "refused-two-models": ("unsafeconcepts compare runs/original runs/methods --task glyphworld_image",),
}


def make(name: str, folder: Path) -> dict[str, str]:
    """Run a case in ``folder``, which is made; returns what it printed and wrote, by the name of the golden file."""
    lay_out(folder)
    environment = {"COLUMNS": COLUMNS_OF.get(name, COLUMNS), "UNSAFECONCEPTS_ANSWERS": "none"}
    terminated = signal.getsignal(signal.SIGTERM)
    with contextlib.chdir(folder), patch.dict(os.environ, environment):
        for variable in ("UNSAFECONCEPTS_MODELS", "FORCE_COLOR", "TTY_COMPATIBLE"):
            os.environ.pop(variable, None)
        printed = [_printed(command.format(f"out/{name}")) for command in CASES[name]]
    # retention sets its own.
    signal.signal(signal.SIGTERM, terminated)
    files = {"printed.txt": "".join(printed)}
    for path in sorted(folder.glob("out/*")):
        files |= _run_files(name, path, folder) if name == "judge-run" else _files(path)
    return {file: _anywhere(text, folder) for file, text in files.items()}


def difference(expected: str, found: str, file: str) -> str | None:
    """The first line of a golden file that differs; ``None`` where none does.

    Floats of full precision, which only files for programs hold, may differ by ``TOLERANCE``: processors round differently.
    """
    precise = file.endswith((".json", ".jsonl", ".csv"))
    for number, (before, now) in enumerate(zip_longest(expected.split("\n"), found.split("\n")), 1):
        if before != now and not (precise and before and now and _close(before, now)):
            return f"{file}, line {number}: expected {before!r}, found {now!r}"
    return None


def _close(expected: str, found: str) -> bool:
    """Whether two lines are the same but for the last digits of floats."""
    if _FLOAT.sub("#", expected) != _FLOAT.sub("#", found):
        return False
    floats = zip(_FLOAT.findall(expected), _FLOAT.findall(found), strict=True)
    # Of what should be 0, a processor may leave a rounding error.
    return all(math.isclose(float(before), float(now), rel_tol=TOLERANCE, abs_tol=1e-14) for before, now in floats)


def lay_out(folder: Path) -> None:
    """The runs as the commands find them: plain, by method, and by seed and method."""
    runs = folder / "runs"
    shutil.copytree(RUNS, runs)
    for method in ("original", "sft", "ppo"):
        for part in ("generated", "final"):
            if (runs / method / part).is_dir():
                shutil.copytree(runs / method / part, runs / "methods" / method / part)
    for seed, tuned in enumerate(("sft", "ppo")):
        shutil.copytree(runs / "methods" / "original", runs / "seeds" / f"seed{seed}" / "original")
        shutil.copytree(runs / "methods" / tuned, runs / "seeds" / f"seed{seed}" / "tuned")
    for marred in ("na", "failed"):
        shutil.copytree(runs / "original" / "generated", runs / marred)
        for path in (runs / marred).rglob("*.jsonl"):
            _mar(path, marred)
    for method in ("original", "ppo"):
        shutil.copytree(runs / method / "generated", runs / "rated" / method)
        _rate(runs / "rated" / method)
    # What retention knows a model by: the contents of its folder.
    for role in ("before", "after"):
        (runs / role).mkdir()
        (runs / role / "config.json").write_text(json.dumps({"model_type": role}), encoding="utf-8")
    harness = folder / "saved_harness"
    harness.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "saved_harness.py"}" "$@"\n', encoding="utf-8")
    harness.chmod(0o755)
    (folder / "out").mkdir()


def _mar(samples: Path, verdict: str) -> None:
    """Take the verdict from every seventh answer, and from some more: it is empty, or its request failed."""
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    for row in rows[::7] + rows[::11]:
        row["filtered_resps"], row["judgement"]["verdict"] = "", verdict
    samples.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _rate(run: Path) -> None:
    """Ratings of TEST by a judge and by two people, one of whom rated a part."""
    (task,) = rateable_tasks(run)
    for rater, part, more in (("llm-quality-1-saved", 1, 0), ("people:anna", 1, 1), ("people:ben", 2, 0)):
        grades = {
            key: (1 + (len(key[2]) + key[4] + at % 2 * more) % 5, 1 + (len(answer.response) + at // 3 % 2 * more) % 5)
            for at, (key, answer) in enumerate(task.answers.items())
            if at % part == 0
        }
        write_people(task, rater, QUALITY, 0, grades)


@cache
def _entry(program: str) -> Callable[[], None]:
    (found,) = entry_points(group="console_scripts", name=program)
    entry: Callable[[], None] = found.load()
    return entry


def _printed(command: str) -> str:
    """What a command prints, and where it is not 0 its exit status, after the command itself."""
    program, *arguments = shlex.split(command)
    out, err = io.StringIO(), io.StringIO()
    # retention starts a harness by the interpreter; the saved runs answer instead.
    harness = patch.object(sys, "executable", str(Path("saved_harness").absolute()))
    with (
        patch.object(sys, "argv", [program, *arguments]),
        harness,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            _entry(program)()
            status: Any = 0
        except SystemExit as ended:
            status = ended.code or 0
    # Above an error may stand warnings of other packages.
    lines = err.getvalue().splitlines(keepends=True) if status else []
    said = "".join(dropwhile(lambda line: not line.startswith(program), lines))
    ended = f"[exit status {status}]\n" if status else ""
    return f"$ {command}\n{out.getvalue()}{said}{ended}"


def _files(path: Path) -> dict[str, str]:
    """The golden files of a file or folder that a command wrote."""
    if path.is_dir():
        written = {name: text for inner in sorted(path.iterdir()) for name, text in _files(inner).items()}
        return {f"{path.name}.folder.txt": "".join(f"=== {name}\n{text}" for name, text in written.items())}
    if path.suffix in (".png", ".svg") or path.name.startswith("."):
        # Another version of matplotlib draws a picture otherwise.
        return {}
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".html":
        shown, responses = _page(text)
        return {f"{path.stem}.page.txt": shown, f"{path.stem}.page.json": responses}
    return {path.name: text}


def _run_files(name: str, folder: Path, work: Path) -> dict[str, str]:
    """A run that was judged again: its results, and the rows of its samples that differ from those it was made from."""
    files, changed = {}, []
    for path in sorted(folder.rglob("*.json*")):
        if path.suffix == ".json":
            files[f"{name}.json"] = path.read_text(encoding="utf-8")
            continue
        before = work / "runs" / "original" / "generated" / path.relative_to(folder)
        rows = [[json.loads(line) for line in each.read_text(encoding="utf-8").splitlines()] for each in (before, path)]
        changed.append(f"{path.relative_to(folder)}: {len(rows[1])} rows")
        changed += [f"{was}\n{now}" for was, now in zip_longest(*rows) if was != now]
    return files | {f"{name}.changed.txt": "\n".join(changed) + "\n"}


def _page(html: str) -> tuple[str, str]:
    """A page's text, a line a block or row of a table, and the responses that lie in it as JSON."""
    (payload,) = re.findall(r'<template id="answers">(.*?)</template>', html)
    content = json.loads(gzip.decompress(base64.b64decode(payload)))
    reader = _PageText()
    reader.feed(html.replace(payload, ""))
    reader.close()
    return reader.text(), json.dumps(content, indent=0, ensure_ascii=False) + "\n"


class _PageText(HTMLParser):
    """The text between tags, without style, script and figures."""

    _LINES: Final = {"title", "h1", "h2", "h3", "p", "li", "tr", "figcaption", "div", "button", "option"}
    _LEFT_OUT: Final = {"style", "script", "svg"}

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = [""]
        self._within = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._LEFT_OUT:
            self._within += 1
        if tag in self._LINES:
            self._lines.append(f"{tag}: ")
        elif tag in ("td", "th"):
            self._lines[-1] += " | "

    def handle_endtag(self, tag: str) -> None:
        if tag in self._LEFT_OUT:
            self._within -= 1

    def handle_data(self, data: str) -> None:
        if not self._within:
            self._lines[-1] += data

    def text(self) -> str:
        """A line each, those without text left out."""
        lines = (" ".join(line.split()) for line in self._lines)
        return "".join(f"{line}\n" for line in lines if line and not line.endswith(":"))


def _anywhere(text: str, folder: Path) -> str:
    """``text`` without what another place, version, hour or processor would change."""
    text = text.replace(str(folder.resolve()), "WORK")
    text = text.replace(f"unsafeconcepts {version('unsafeconcepts')}", "unsafeconcepts VERSION")
    text = re.sub(r'("unsafeconcepts_version": )"[^"]*"', r'\1"VERSION"', text)
    # The figures' part of a page's size is matplotlib's; a model's folder in retention is named by digests of versions too.
    text = re.sub(r"[\d.]+ (kB|MB)\b", "SIZE", text)
    text = re.sub(r"\b(glyphworld|text|runs-before|runs-after)-[0-9a-f]{6,8}\b", r"\1-DIGEST", text)
    return re.sub(r"  done in \d+ s", "  done in N s", text)


def main() -> None:
    """Write every golden file anew."""
    shutil.rmtree(OUTPUTS, ignore_errors=True)
    for name in CASES:
        with tempfile.TemporaryDirectory() as made:
            (OUTPUTS / name).mkdir(parents=True)
            for file, text in make(name, Path(made) / "work").items():
                (OUTPUTS / name / file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
