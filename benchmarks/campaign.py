"""What commands do with damaged files, when they are killed, and with strings that nobody expects.

    python benchmarks/campaign.py                 # all of it; writes results/campaign.json
    python benchmarks/campaign.py --quick         # a minute, and nothing is written

Counted are tracebacks, hangs (a command that takes more than 20 seconds of the processor), and swallowed errors: a file that
nothing can read, and a command that ends with status 0 without naming it. Expected is none of each.
"""

import argparse
import json
import random
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, Final

from damage import damages
from forked import Ended, entry, run

from harness_ext.common.errors import exit_status
from harness_ext.common.files import write_text

ROOT: Final = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests" / part) for part in ("golden", "support")]
from make import lay_out as lay_out_runs  # noqa: E402 - the tests' saved runs
from own_folders import own_folder  # noqa: E402

_RETENTION: Final = "unsafeconcepts retention --before hf-vlm,pretrained=runs/before --after hf-vlm,pretrained=runs/after --suite glyphworld"
_GENERATED: Final = "runs/original/generated/*/*"
_SFT: Final = "runs/sft/generated/*/*"


@dataclass(frozen=True)
class Case:
    """A command, and the files that it reads, each to be damaged by itself."""

    name: str
    command: str | Callable[[], Any]
    files: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


CASES: Final = (
    Case("table", "unsafeconcepts table runs/original", [f"{_GENERATED}_results.json", f"{_GENERATED}_glyphworld_image.jsonl"]),
    Case("table of ratings", "unsafeconcepts table runs/rated/ppo --task glyphworld_test", ["runs/rated/ppo/*/*_quality_*.jsonl"]),
    Case("compare", "unsafeconcepts compare runs/original/generated runs/sft/generated", [f"{_SFT}_results.json", f"{_SFT}_glyphworld_perception.jsonl"]),
    Case("compare, other benchmarks", "unsafeconcepts compare runs/lm_eval/original runs/lm_eval/sft", ["runs/lm_eval/sft/*/results_*.json", "runs/lm_eval/sft/*/samples_arc*.jsonl"]),
    Case("quality", "unsafeconcepts quality runs/rated/original runs/rated/ppo", ["runs/rated/ppo/*/*_quality_*.jsonl", "runs/rated/ppo/*/*_results.json"]),
    Case("quality, a person's sheet", "unsafeconcepts quality runs/rated/ppo --ratings sheet/clara.csv --key sheet/key.json", ["sheet/key.json", "sheet/clara.csv"]),
    Case("agreement", "unsafeconcepts agreement runs/original/generated runs/rejudged --human runs/labels.jsonl", ["runs/labels.jsonl", "runs/rejudged/*/*_glyphworld_image.jsonl"]),
    Case("judge", "unsafeconcepts judge runs/responses.jsonl", ["runs/responses.jsonl"]),
    Case("judge a run", "unsafeconcepts judge runs/sampled --judge rules -o out/judged", ["runs/sampled/*/*/*_results.json", "runs/sampled/*/*/*_samples_*.jsonl"]),
    Case("leaderboard", "unsafeconcepts leaderboard board.jsonl --markdown out/board.md", ["board.jsonl"]),
    Case("report", "unsafeconcepts report runs/ppo -o out/page.html", ["runs/ppo/final/run.json", "runs/ppo/final/trainer_state.json", "runs/ppo/monitor.jsonl"]),
    Case("align table", "align table runs/methods --methods original sft ppo --against original", ["runs/methods/ppo/final/run.json"]),
    Case("retention", f"{_RETENTION} --output retained", ["retained/*/*/*/retention.json", "retained/*/*/*/*/*_results.json"]),
    Case("import", "unsafeconcepts import given -o out/imported --partial", ["given/*.json"]),
    Case("check", "unsafeconcepts check own", ["own/benchmark.yaml", "own/images/metadata.jsonl"]),
    Case("models", "names", ["models.yaml"], {"UNSAFECONCEPTS_MODELS": "models.yaml"}),
    Case("plugin", "plugin", ["models.yaml"], {"UNSAFECONCEPTS_MODELS": "models.yaml"}),
    Case("recipe", "recipe", ["recipe.yaml"]),
    Case("labelled responses", "labelled", ["labelled.jsonl"]),
)  # fmt: skip


def _names() -> None:
    from harness_ext.models.catalogue import describe_names

    print(describe_names())


def _plugin() -> None:
    """What plain `lmms-eval` loads: without the packaged names, none of it would know us."""
    from harness_ext.plugin import register

    assert {"llava-7b", "glyph-vlm"} <= {each.model_id for each in register()}


def _recipe() -> None:
    from align.settings import read_settings

    read_settings("sft", ["--config", "recipe.yaml", "--output_dir", "out/run"])


def _labelled() -> None:
    from harness_ext.runs.labelled import read_labelled

    read_labelled([Path("labelled.jsonl")], None)


_FUNCTIONS: Final = {"names": _names, "plugin": _plugin, "recipe": _recipe, "labelled": _labelled}


def lay_out(folder: Path) -> None:
    """The files that commands read, undamaged."""
    lay_out_runs(folder)
    environment = {"UNSAFECONCEPTS_ANSWERS": "none"}
    # Saved runs answer retention in the place of a harness, which it starts by the interpreter.
    sys.executable = str(folder / "saved_harness")
    for command in (f"{_RETENTION} --output retained", "unsafeconcepts quality runs/rated/ppo --sheet sheet"):
        _finish(run(shlex.split(command), folder, environment))
    key = json.loads((folder / "sheet/key.json").read_text(encoding="utf-8"))
    rows = [f"{name},3,4" for name in list(key["answers"])[:5]]
    write_text(folder / "sheet/clara.csv", "\n".join(["id,soundness,informativeness", *rows, ""]))
    write_text(folder / "board.jsonl", (ROOT / "results/leaderboard.jsonl").read_text(encoding="utf-8"))
    write_text(folder / "given/unsafeconcepts_text_result.json", json.dumps(_given()))
    own_folder(folder / "own")
    catalogue = "mine:\n  weights: some/where\n  generation: {max_new_tokens: 5}\n  needs:\n    memory_gib: 1.5\n    packages: [einops]\n"
    write_text(folder / "models.yaml", catalogue)
    labelled = [{"question": at, "response": f"Yes, {at}.", "verdict": "safe"} for at in range(5)]
    write_text(folder / "labelled.jsonl", "".join(json.dumps(line) + "\n" for line in labelled))
    write_text(folder / "recipe.yaml", (ROOT / "align/recipes/glyphworld_sft.yaml").read_text(encoding="utf-8"))


def _given() -> list[dict[str, str]]:
    from harness_ext.benchmark.questions import TEXT_QUESTIONS
    from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

    asked = [question.format(concept=CONCEPTS[0].name) for question in TEXT_QUESTIONS]
    return [
        {"idx": str(at), "prompt": text, "image_fname": "blank.png", "output": "No."} for at, text in enumerate(asked)
    ]


def _finish(ended: Ended) -> Ended:
    if ended.status or ended.problem:
        raise SystemExit(f"an undamaged file is refused: {ended.problem or ended.err[-500:]}")
    return ended


# --- damaged files ----------------------------------------------------------------------------------------------------


def damaged(folder: Path, draw: random.Random, values: int, part: float, only: str) -> dict[str, Any]:
    """Every case with damaged copies of each of its files; a ``part`` of them is tried."""
    counts: Counter[str] = Counter()
    failures: list[dict[str, str]] = []
    longest = 0
    for case in CASES:
        if only and not fnmatch(case.name, only):
            continue
        command = shlex.split(case.command) if isinstance(case.command, str) and " " in case.command else None
        function = None if command else partial(exit_status, case.name, _FUNCTIONS[str(case.command)])
        environment = {"UNSAFECONCEPTS_ANSWERS": "none", "COLUMNS": "200", **case.environment}
        start = time.monotonic()
        for pattern in case.files:
            file = sorted(folder.glob(pattern))[0]
            whole = file.read_bytes()
            usual = _finish(_once(command or function, folder, environment))
            for each in damages(file.name, whole, draw, values):
                if draw.random() > part:
                    continue
                file.write_bytes(each.content)
                ended = _once(command or function, folder, environment)
                counts["damaged files"] += 1
                counts[
                    "refused" if ended.status else "read, as before" if ended.out == usual.out else "read, otherwise"
                ] += 1
                longest = max(longest, *map(len, ended.err.splitlines() or [""]))
                problem = ended.problem
                named = _names(file.relative_to(folder), ended)
                if not problem and each.reads == "never" and not ended.status and not named:
                    problem = "swallowed: the command ended with status 0"
                if not problem and ended.status and not named:
                    problem = f"no file is named: {ended.err[-200:]}"
                if problem:
                    counts[problem.partition(":")[0]] += 1
                    failures.append({"case": case.name, "file": file.name, "damage": each.kind, "problem": problem})
                    print(f"{case.name}, {file.name}, {each.kind}: {problem}", flush=True)
            file.write_bytes(whole)
        print(f"{case.name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return {**dict(sorted(counts.items())), "longest line": longest, "failures": failures}


def _names(file: Path, ended: Ended) -> bool:
    """Whether a command says of which file, or of which folder among those it was given, it speaks."""
    said = ended.err + ended.out
    return file.name in said or any(str(above) in said for above in file.parents if len(above.parts) > 1)


def _once(command: Any, folder: Path, environment: Mapping[str, str]) -> Ended:
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    for written in folder.glob("runs/rated/*/*/*people-clara.jsonl"):
        written.unlink()
    return run(command, folder, environment)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute of it")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--values", type=int, default=40, help="of each file, how many of its values are replaced")
    parser.add_argument("--part", type=float, default=1.0, help="of the damages, the share that is tried")
    parser.add_argument("--only", default="", help="only cases of this name, * for anything")
    options = parser.parse_args()
    for program in ("unsafeconcepts", "align"):
        entry(program)
    _import_all()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "work"
        lay_out(folder)
        found = damaged(folder, random.Random(options.seed), options.values, options.part, options.only)
    print(json.dumps({key: value for key, value in found.items() if key != "failures"}, indent=1))


def _import_all() -> None:
    """So that no child has to."""
    import importlib

    import lmms_eval.models.registry_v2  # noqa: F401

    import align.settings
    import align.table  # noqa: F401

    for name in (
        "table",
        "compare",
        "quality",
        "agreement",
        "judge",
        "leaderboard",
        "report",
        "retention",
        "import_answers",
        "check",
    ):
        importlib.import_module(f"harness_ext.commands.{name}")


if __name__ == "__main__":
    main()
