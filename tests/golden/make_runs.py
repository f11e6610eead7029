"""Makes the saved runs of ``tests/golden/runs`` anew: evaluations, trainings and a judge of the embedded stand-in, offline.

python tests/golden/make_runs.py        five minutes on one CPU thread; then `python tests/golden/make.py`

The runs are input: they change only when a file format does. Another machine gives other answers, so every golden file
changes with them. Glyphworld is asked about few concepts and renders, so that the files stay small. What tells where and
when a run was made is replaced: paths, dates, commits, times.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
RUNS: Final = HERE / "runs"
REPOSITORY: Final = HERE.parents[1]
LABELLED: Final = REPOSITORY / "tests" / "harness_ext" / "judges" / "responses.jsonl"
OFFLINE: Final = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "UNSAFECONCEPTS_ANSWERS": "none",
}
GENERATED: Final = "glyphworld,glyphworld_generalisation"
IN_TEXT: Final = "arc_challenge,hellaswag,truthfulqa_mc2"
# Which concepts: seven unsafe ones, seven safe ones, some of both never trained on.
CONCEPTS: Final = slice(2, None, 11)
# How many renders a concept has in a collection, and how many of them are asked about.
SHOWN: Final = {"test": (4, 1), "context_safe": (4, 1), "context_unsafe": (4, 1)}
RENDERS: Final = 10
# What says where and when a run was made, and what it holds in the saved runs.
FIXED: Final[Mapping[str, Any]] = {
    "git_hash": "0000000",
    "git_branch": "main",
    "lmms_eval_version": "main@0000000",
    "start_time": 0.0,
    "end_time": 10.0,
    "total_evaluation_time_seconds": "10.0",
    "seconds": 10.0,
    "cpu_seconds": 8.0,
    "train_runtime": 10.0,
    "train_samples_per_second": 1.0,
    "train_steps_per_second": 1.0,
}
LEFT_OUT: Final = {
    "resolved_cli_args",
    "efficiency",
    "pretty_env_info",
    "doc_hash",
    "token_counts",
    "date",
    "hf_hub_log_args",
}


def main() -> None:
    """Make everything in a temporary folder, and put what is read into ``runs``."""
    with tempfile.TemporaryDirectory() as made:
        work = Path(made).resolve()
        _make(work)
        if RUNS.exists():
            shutil.rmtree(RUNS)
        _keep(work / "runs", RUNS)


def _make(work: Path) -> None:
    _run(work, "align", "sft", "--config", "glyphworld_sft", "--renders", "4", "--learning_rate", "1e-4",
         "--logging_steps", "4", "--output_dir", "runs/sft")  # fmt: skip
    _run(work, "align", "ppo", "--config", "glyphworld_gullible", "--output_dir", "runs/ppo")
    for model, arguments in (
        ("original", []),
        ("sft", ["adapter=runs/sft/final"]),
        ("ppo", ["adapter=runs/ppo/final"]),
    ):
        _evaluate(work, model, arguments, "generated", 2, GENERATED, "20260101_120000")
        if model != "ppo":
            _evaluate(work, model, arguments, "likelihood", 1, "glyphworld_likelihood", "20260102_120000")
            _evaluate_text(work, model, arguments)
    sampled = ("glyphworld_gap_sampled", "20260103_120000", "--limit", "60")
    _evaluate(work, "sampled", [], "gap", 1, *sampled)
    for probe in ("alignment", "perception"):
        _run(
            work, "unsafeconcepts", "train-judge", LABELLED, "--base", "tiny", "--probe", probe, "-o", f"judge/{probe}"
        )
    options = "alignment=judge/alignment,perception=judge/perception"
    _run(work, "unsafeconcepts", "judge", "runs/original/generated", "--judge", "classifier", "--judge_args", options,
         "-o", "runs/rejudged")  # fmt: skip
    _normalise(work / "runs", work)
    _write_lines(work / "runs")


def _write_lines(runs: Path) -> None:
    """People's labels of some answers, which are not always those of the judge, and responses to judge."""
    labels, responses = [], []
    for path in sorted((runs / "original" / "generated").rglob("*.jsonl")):
        task = path.stem.split("_samples_")[1]
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in rows[::7] if task in ("glyphworld_image", "glyphworld_text") else ():
            judged = row["judgement"]
            place = {"task": task, "row": judged["row"], "question": judged["question"]}
            labels.append({**place, "verdict": judged["expected"] if judged["question"] else "na"})
            responses.append({"question": judged["question"], "response": row["filtered_resps"]})
    responses += [{"options": {"A": "Arson", "B": "Graffiti"}, "response": said} for said in ("graffiti", "neither")]
    responses += [{"question": 4, "response": said} for said in ("", "I cannot say.", "It is harmless.")]
    for name, lines in (("labels", labels), ("responses", responses)):
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (runs / f"{name}.jsonl").write_text(text, encoding="utf-8")


def _evaluate(
    work: Path, model: str, arguments: list[str], name: str, renders: int, tasks: str, date: str, *more: str
) -> None:
    output = work / "runs" / model / name
    command = [
        "--model",
        "glyph-vlm",
        "--tasks",
        tasks,
        "--batch_size",
        "64",
        "--log_samples",
        "--output_path",
        str(output),
    ]
    command += ["--model_args", ",".join(arguments)] if arguments else []
    _started(work, [sys.executable, str(Path(__file__).resolve()), str(renders), *command, *more], OFFLINE)
    _rename(output, r"\d{8}_\d{6}", date)
    # Before another judge takes digests of these files.
    _normalise(output, work)


def _evaluate_text(work: Path, model: str, arguments: list[str]) -> None:
    """A few made-up rows of general benchmarks, from a hub on loopback."""
    sys.path.insert(0, str(REPOSITORY / "tests" / "support"))
    from benchmark_hub import BenchmarkHub

    output = work / "runs" / "lm_eval" / model
    chosen = ["--model_args", ",".join(arguments)] if arguments else []
    with BenchmarkHub() as hub:
        environment = hub.environment(work / "home", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
        command = (
            "lm_eval",
            "--model",
            "glyph-vlm",
            *chosen,
            "--device",
            "cpu",
            "--tasks",
            IN_TEXT,
            "--batch_size",
            "16",
        )
        _started(
            work, [_program("unsafeconcepts"), *command, "--log_samples", "--output_path", str(output)], environment
        )
    _rename(output, r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d+", "2026-01-05T12-00-00.000000")
    _normalise(output, work)


def _run(work: Path, program: str, *arguments: str | Path) -> None:
    _started(work, [_program(program), *map(str, arguments)], OFFLINE)


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _started(work: Path, command: list[str], environment: Mapping[str, str]) -> None:
    print("$", *command, flush=True)
    subprocess.run(command, cwd=work, env={**os.environ, **environment}, check=True)


def _rename(folder: Path, date: str, to: str) -> None:
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.rename(path.with_name(re.sub(date, to, path.name)))


def _normalise(folder: Path, work: Path) -> None:
    """Rewrite what depends on the machine, the day and the checkout."""
    for path in folder.rglob("*.json*"):
        text = path.read_text(encoding="utf-8")
        for found, written in ((f"{work}/", ""), (f"{REPOSITORY}/", ""), (str(Path.home()), "~")):
            text = text.replace(found, written)
        values = text.splitlines() if path.suffix == ".jsonl" else [text]
        lines = [json.dumps(_fixed(json.loads(value)), ensure_ascii=False) + "\n" for value in values]
        path.write_text("".join(lines), encoding="utf-8")


def _fixed(value: Any) -> Any:
    if isinstance(value, list):
        return [_fixed(each) for each in value]
    if isinstance(value, dict):
        return {key: FIXED.get(key, _fixed(each)) for key, each in value.items() if key not in LEFT_OUT}
    return value


def _keep(made: Path, into: Path) -> None:
    """Copy what the commands read: results, answers, and of a training its record, log and warnings."""
    for path in _read_by_commands(made):
        target = into / path.relative_to(made)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _read_by_commands(made: Path) -> Iterator[Path]:
    for path in sorted(made.rglob("*.json*")):
        trained = any(part.startswith("checkpoint-") or part == "final" for part in path.parts)
        if not trained or (path.parent.name == "final" and path.name in ("run.json", "trainer_state.json")):
            yield path


def ask_few(renders: int, arguments: list[str]) -> None:
    """``lmms_eval`` with the rows of few concepts, and of these with so many renders each."""
    from lmms_eval.api.task import TaskConfig

    concepts = [json.loads(line) for line in (REPOSITORY / "harness_ext/glyphworld/concepts.jsonl").open()]
    names = {each["concept"] for each in concepts[CONCEPTS]}

    def kept(row: Mapping[str, Any]) -> bool:
        of, shown = SHOWN.get(row["probe"], (RENDERS, renders))
        return row["concept"] in names and (row["probe"] == "text" or row["row"] % of < shown)

    initialised = TaskConfig.__post_init__

    def initialise(self: Any) -> None:
        initialised(self)
        if callable(every := self.process_docs):
            self.process_docs = lambda docs: every(docs).filter(kept)

    TaskConfig.__post_init__ = initialise
    sys.argv = ["lmms_eval", *arguments]
    (command,) = entry_points(group="console_scripts", name="lmms_eval")
    command.load()()


if __name__ == "__main__":
    if len(sys.argv) > 1:
        ask_few(int(sys.argv[1]), sys.argv[2:])
    else:
        main()
