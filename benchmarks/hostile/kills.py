"""Commands that are killed at random moments, and started again: nothing is lost, and they end as one that was left alone."""

import json
import random
import re
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from cases import PPO, RETENTION, ROOT, TRAIN_JUDGE, TRAINED, given
from forked import finish, run
from judge_stub import MODEL, judging
from labelled_responses import verdict_rows, write_rows
from make import lay_out as lay_out_runs

from harness_ext.common.files import write_text


@dataclass(frozen=True)
class Long:
    """A command, what it writes, and which of its files grow line by line; ``{url}`` stands for a judging server."""

    name: str
    command: str
    written: Sequence[str]
    growing: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


_BY_MODEL: Final = f"runs/original/generated --judge llm --judge_args model={MODEL},base_url={{url}}"
_JUDGE: Final = f"unsafeconcepts judge {_BY_MODEL} -o out/judged"
_QUALITY: Final = f"unsafeconcepts quality {_BY_MODEL},answers=none"
_TRAINED: Final = ["out/run/final/*.safetensors"]
_BOARD: Final = (
    "unsafeconcepts leaderboard board.jsonl --add runs/sft --training SFT --trained-on 'training split' --name glyph-vlm "
    "--source https://example.org"
)
COMMANDS: Final = (
    Long(
        "judge a run",
        "unsafeconcepts judge runs/original/generated --judge rules -o out/judged",
        ["out/judged/**/*.json*"],
        ["out/judged*/**/*_samples_*.jsonl"],
    ),
    Long("report", "unsafeconcepts report runs/original runs/sft runs/ppo -o out/page.html", ["out/page.html"]),
    Long("quality", _QUALITY, ["runs/original/**/*_quality_*"], ["runs/original/**/*_quality_*"]),
    Long("retention", RETENTION, ["retained/**/*.json*"]),
    Long("leaderboard", _BOARD, ["board.jsonl"]),
    Long("evaluation", "lmms_eval --model glyph-vlm --tasks glyphworld_test --limit 60 --batch_size 4 --log_samples "
         "--output_path out/runs", ["out/runs/**/*_samples_*.jsonl"], ["answers/**/*.jsonl"],
         {"UNSAFECONCEPTS_ANSWERS": "answers"}),
    *(Long(f"align {method}", f"align {method} {TRAINED}", _TRAINED) for method in ("sft", "dpo")),
    Long("align ppo", PPO, _TRAINED),
    Long("train-judge", TRAIN_JUDGE, ["out/judge/*.safetensors", "out/judge/measures.json"]),
    Long("import", "unsafeconcepts import given -o out/imported --partial", ["out/imported/**/*.json*"]),
    Long("judge by a language model", _JUDGE, ["out/judged/**/*.json*"], ["answers/**/*.jsonl"],
         {"UNSAFECONCEPTS_ANSWERS": "answers"}),
    Long("compare", "unsafeconcepts compare runs/original/generated runs/sft/generated --json out/a.json --markdown out/a.md",
         ["out/a.*"]),
)  # fmt: skip


def killed(folder: Path, draw: random.Random, moments: int, only: str) -> dict[str, Any]:
    """What came of the commands of this name, each killed at so many moments; ``folder`` is made here."""
    found: dict[str, Any] = {}
    failures: list[dict[str, str]] = []
    with judging() as server:
        _lay_out(folder / "clean")
        for each in [one for one in COMMANDS if fnmatch(one.name, only)]:
            command = shlex.split(each.command.replace("{url}", server.url))
            expected, seconds = _left_alone(each, command, folder)
            kills = lost = tried = 0
            # One may have ended before its moment comes.
            while kills < moments and tried < 3 * moments:
                tried += 1
                work = _fresh(folder)
                ended = run(command, work, each.environment, kill_after=draw.uniform(0, seconds))
                kills += ended.status == -9
                kept = _lines(each, work)
                again = run(command, work, each.environment)
                problem = again.problem or (f"refused: {again.err[-300:]}" if again.status else "")
                if not problem and (missing := kept - _lines(each, work)):
                    lost += len(missing)
                    problem = f"lost: {len(missing)} lines"
                of = _results(each, work)
                if not problem and of != expected:
                    problem = f"other result: {[name for name in expected if of.get(name) != expected[name]][:3]}"
                # A command that had done all of it may refuse to write over what is there.
                if problem and not (of == expected and problem.startswith("refused")):
                    failures.append({"command": each.name, "problem": problem})
                    print(f"{each.name}: {problem}", file=sys.stderr, flush=True)
            found[each.name] = {"started": tried, "killed": kills, "lines lost": lost}
            print(f"{each.name}: {found[each.name]}", file=sys.stderr, flush=True)
    return {"commands": found, "failures": failures}


def _lay_out(folder: Path) -> None:
    """What the commands read."""
    lay_out_runs(folder)
    write_text(folder / "board.jsonl", (ROOT / "results/leaderboard.jsonl").read_text(encoding="utf-8"))
    write_text(folder / "given/unsafeconcepts_text_result.json", json.dumps(given()))
    write_rows(folder / "verdicts.jsonl", verdict_rows(12))


def _fresh(folder: Path) -> Path:
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder / "clean", work)
    sys.executable = str(work / "saved_harness")
    return work


def _left_alone(each: Long, command: Sequence[str], folder: Path) -> tuple[dict[str, str], float]:
    work, start = _fresh(folder), time.monotonic()
    finish(run(command, work, each.environment))
    return _results(each, work), time.monotonic() - start


def _lines(each: Long, work: Path) -> set[str]:
    """The whole lines that a command has written so far."""
    files = [file for pattern in each.growing for file in work.glob(pattern) if file.is_file()]
    texts = [file.read_bytes().rpartition(b"\n")[0].decode("utf-8") for file in files]
    return {line for text in texts for line in text.split("\n") if line}


def _results(each: Long, work: Path) -> dict[str, str]:
    """What a command wrote, by name, without the hours and seconds in it; lines that grew in an order of their own sorted."""
    found = {}
    for pattern in each.written:
        for file in work.glob(pattern):
            text = file.read_bytes().decode("utf-8", "backslashreplace") if file.is_file() else ""
            text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?|\"seconds\": [\d.]+|[\d.]+ seconds", "TIME", text)
            rows = text.split("\n")
            name = re.sub(r"\d{8}_\d{6}", "DATE", str(file.relative_to(work)))
            found[name] = "\n".join(sorted(rows) if file.suffix == ".jsonl" else rows)
    return found
