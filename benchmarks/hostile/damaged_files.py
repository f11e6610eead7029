"""Every kind of file that this project reads, damaged in every way, through the commands that read it."""

import json
import random
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, Final

from damage import damages
from forked import Ended, run
from make import lay_out as lay_out_runs
from own_folders import own_folder
from readers import adapter, labelled, names, plugin, recipe

from harness_ext.common.errors import exit_status
from harness_ext.common.files import write_text

ROOT: Final = Path(__file__).parents[2]
RETENTION: Final = (
    "unsafeconcepts retention --before hf-vlm,pretrained=runs/before --after hf-vlm,pretrained=runs/after "
    "--suite glyphworld --output retained"
)


@dataclass(frozen=True)
class Case:
    """What reads files, a command or a function, and these, each damaged by itself."""

    name: str
    reader: str | Callable[[], None]
    files: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


_RUN: Final = "runs/{}/generated/*/*"
_MODELS: Final = {"UNSAFECONCEPTS_MODELS": "models.yaml"}
CASES: Final = (
    Case(
        "table",
        "unsafeconcepts table runs/original",
        [_RUN.format("original") + "_results.json", _RUN.format("original") + "_glyphworld_image.jsonl"],
    ),
    Case(
        "table of ratings",
        "unsafeconcepts table runs/rated/ppo --task glyphworld_test",
        ["runs/rated/ppo/*/*_quality_*.jsonl"],
    ),
    Case(
        "compare",
        "unsafeconcepts compare runs/original/generated runs/sft/generated",
        [_RUN.format("sft") + "_results.json", _RUN.format("sft") + "_glyphworld_perception.jsonl"],
    ),
    Case(
        "compare other benchmarks",
        "unsafeconcepts compare runs/lm_eval/original runs/lm_eval/sft",
        ["runs/lm_eval/sft/*/results_*.json", "runs/lm_eval/sft/*/samples_arc*.jsonl"],
    ),
    Case(
        "quality",
        "unsafeconcepts quality runs/rated/original runs/rated/ppo",
        ["runs/rated/ppo/*/*_quality_*.jsonl", "runs/rated/ppo/*/*_results.json"],
    ),
    Case(
        "a person's sheet",
        "unsafeconcepts quality runs/rated/ppo --ratings sheet/clara.csv --key sheet/key.json",
        ["sheet/key.json", "sheet/clara.csv"],
    ),
    Case(
        "agreement",
        "unsafeconcepts agreement runs/original/generated runs/rejudged --human runs/labels.jsonl",
        ["runs/labels.jsonl", "runs/rejudged/*/*_glyphworld_image.jsonl"],
    ),
    Case("judge", "unsafeconcepts judge runs/responses.jsonl", ["runs/responses.jsonl"]),
    Case(
        "judge a run",
        "unsafeconcepts judge runs/sampled --judge rules -o out/judged",
        ["runs/sampled/*/*/*_results.json", "runs/sampled/*/*/*_samples_*.jsonl"],
    ),
    Case("leaderboard", "unsafeconcepts leaderboard board.jsonl --markdown out/board.md", ["board.jsonl"]),
    Case(
        "report",
        "unsafeconcepts report runs/ppo -o out/page.html",
        ["runs/ppo/final/run.json", "runs/ppo/final/trainer_state.json"],
    ),
    Case(
        "align table",
        "align table runs/methods --methods original sft ppo --against original",
        ["runs/methods/ppo/final/run.json"],
    ),
    Case("retention", RETENTION, ["retained/*/*/*/retention.json", "retained/*/*/*/*_results.json"]),
    Case("import", "unsafeconcepts import given -o out/imported --partial", ["given/*.json"]),
    Case("check", "unsafeconcepts check own", ["own/benchmark.yaml", "own/images/metadata.jsonl"]),
    Case("models by name", names, ["models.yaml"], _MODELS),
    Case("plugin", plugin, ["models.yaml"], _MODELS),
    Case("recipe", recipe, ["recipe.yaml"]),
    Case("labelled responses", labelled, ["labelled.jsonl"]),
    Case("adapter", adapter, ["adapter/adapter_config.json", "adapter/adapter_model.safetensors"]),
)


def lay_out(folder: Path) -> None:
    """The files, undamaged."""
    lay_out_runs(folder)
    # Saved runs answer retention in the place of a harness, which it starts by the interpreter.
    sys.executable = str(folder / "saved_harness")
    for command in (RETENTION, "unsafeconcepts quality runs/rated/ppo --sheet sheet"):
        finish(run(shlex.split(command), folder, {"UNSAFECONCEPTS_ANSWERS": "none"}))
    key = json.loads((folder / "sheet/key.json").read_text(encoding="utf-8"))
    rows = [f"{name},3,4" for name in list(key["answers"])[:5]]
    write_text(folder / "sheet/clara.csv", "\n".join(["id,soundness,informativeness", *rows, ""]))
    write_text(folder / "board.jsonl", (ROOT / "results/leaderboard.jsonl").read_text(encoding="utf-8"))
    write_text(folder / "given/unsafeconcepts_text_result.json", json.dumps(_given()))
    own_folder(folder / "own")
    write_text(
        folder / "models.yaml",
        "mine:\n  weights: some/where\n  generation: {max_new_tokens: 5}\n"
        "  needs:\n    memory_gib: 1.5\n    packages: [einops]\n",
    )
    lines = [{"question": at, "response": f"Yes, {at}.", "verdict": "safe"} for at in range(5)]
    write_text(folder / "labelled.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    write_text(folder / "recipe.yaml", (ROOT / "align/recipes/glyphworld_sft.yaml").read_text(encoding="utf-8"))
    finish(run(partial(adapter, make=True), folder, {}))


def _given() -> list[dict[str, str]]:
    from harness_ext.benchmark.questions import TEXT_QUESTIONS
    from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

    asked = [question.format(concept=CONCEPTS[0].name) for question in TEXT_QUESTIONS]
    return [
        {"idx": str(at), "prompt": text, "image_fname": "blank.png", "output": "No."} for at, text in enumerate(asked)
    ]


def finish(ended: Ended) -> Ended:
    """The same. Raises ``SystemExit`` where a command did not end well."""
    if ended.status or ended.problem:
        raise SystemExit(f"an undamaged file is refused: {ended.problem or ended.err[-500:]}")
    return ended


def damaged(folder: Path, draw: random.Random, values: int, part: float, only: str) -> dict[str, Any]:
    """What came of damaged copies of each file of each case.

    Args:
        folder: As :func:`lay_out` made it.
        draw: Of the damages.
        values: Of each file, how many of its single values are replaced.
        part: Of all damages, the share that is tried.
        only: Only cases of this name, ``*`` for anything.
    """
    counts: Counter[str] = Counter({"tracebacks": 0, "hangs": 0, "killed": 0, "swallowed": 0, "no file named": 0})
    failures: list[dict[str, str]] = []
    longest = 0
    for case in CASES:
        if not fnmatch(case.name, only):
            continue
        start = time.monotonic()
        for pattern in case.files:
            file = sorted(folder.glob(pattern))[0]
            whole = file.read_bytes()
            usual = finish(_once(case, folder))
            for each in damages(file.name, whole, draw, values):
                if draw.random() > part:
                    continue
                file.write_bytes(each.content)
                ended = _once(case, folder)
                counts["damaged files"] += 1
                counts[
                    "refused" if ended.status else "read as before" if ended.out == usual.out else "read otherwise"
                ] += 1
                longest = max(longest, *map(len, ended.err.splitlines() or [""]))
                if problem := _problem(ended, file.relative_to(folder), each.reads == "never"):
                    counts[problem.partition(":")[0]] += 1
                    failures.append({"case": case.name, "file": file.name, "damage": each.kind, "problem": problem})
                    print(f"{case.name}, {file.name}, {each.kind}: {problem}", file=sys.stderr, flush=True)
            file.write_bytes(whole)
        print(f"{case.name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return {"kinds of files": len({each for case in CASES for each in case.files}), **counts, "longest line": longest,
            "failures": failures}  # fmt: skip


def _problem(ended: Ended, file: Path, unreadable: bool) -> str:
    said = ended.err + ended.out
    named = file.name in said or any(str(above) in said for above in file.parents if str(above) not in (".", "runs"))
    if ended.problem or named:
        return ended.problem
    if ended.status:
        return f"no file named: {ended.err[-200:]}"
    return "swallowed: nothing can read it, and the command ended with status 0" if unreadable else ""


def _once(case: Case, folder: Path) -> Ended:
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    for written in folder.glob("runs/rated/*/*/*people-clara.jsonl"):
        written.unlink()
    environment = {"UNSAFECONCEPTS_ANSWERS": "none", "COLUMNS": "200", **case.environment}
    if isinstance(case.reader, str):
        return run(shlex.split(case.reader), folder, environment)
    return run(partial(exit_status, case.name, case.reader), folder, environment)
