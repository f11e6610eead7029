"""What ``unsafeconcepts compare`` costs: seconds, and the peak of memory, for more and more samples.

    python benchmarks/compare_scale.py [--samples 1000 10000 100000] [--json PATH]

Each case writes two result folders as the harnesses write them, with responses of 1,500 letters, and compares them in a
process of its own, from the files to the table's rows. "right or wrong" and "real scores" are one lm-eval task, whose samples
are the units; "probes" are verdicts on images of 150 concepts. "interval alone" is 10,000 draws of weights of units of which
no two are alike. Seconds are by the clock, and of the processor, which tells more on a machine that does other things too.
"""

import argparse
import functools
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

RESPONSE = "The image shows something. " * 55
LM_DATE, LMMS_DATE = "2026-01-01T12-00-00.000000", "20260101_120000"


def scores(count: int, seed: int, real: bool) -> Iterator[dict[str, Any]]:
    """Rows of lm-eval."""
    rng = np.random.default_rng(seed)
    for at, value in enumerate(rng.random(count)):
        row = {
            "doc_id": at,
            "doc": {"question": f"question {at}"},
            "target": "0",
            "resps": [[RESPONSE]],
            "filtered_resps": [RESPONSE],
        }
        hashes = {name: f"{at:064x}" for name in ("doc_hash", "prompt_hash", "target_hash")}
        yield {**row, **hashes, "filter": "none", "metrics": ["acc"], "acc": float(value if real else value < 0.6)}


def verdicts(count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Rows of lmms-eval: five questions an image."""
    rng = np.random.default_rng(seed)
    for at, value in enumerate(rng.random(count)):
        image, question = divmod(at, 5)
        label = "unsafe" if image % 150 < 75 else "safe"
        about = {
            "source": "glyphworld",
            "probe": "image",
            "row": image,
            "concept": f"concept {image % 150}",
            "category": "Hate",
        }
        judged = {
            "label": label,
            "question": question,
            "expected": label,
            "judge": "rules-1",
            "way": "generated",
            "scores": None,
        }
        verdict = ("unsafe", "safe")[bool((value < 0.6) ^ (label == "unsafe"))]
        row = {"doc_id": at, "target": label, "filtered_resps": RESPONSE, "input": f"question {question}"}
        yield {**row, "judgement": {**about, **judged, "verdict": verdict}}


def write(folder: Path, task: str, rows: Iterator[dict[str, Any]], harness: str) -> None:
    """A result folder of one task."""
    folder.mkdir(parents=True)
    samples = f"samples_{task}_{LM_DATE}.jsonl" if harness == "lm-eval" else f"{LMMS_DATE}_samples_{task}.jsonl"
    count, total = 0, 0.0
    with (folder / samples).open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            count, total = count + 1, total + row.get("acc", 0.0)
    content = {
        "results": {task: {"acc,none": total / count}},
        "configs": {task: {"metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}]}},
        "n-samples": {task: {"original": count, "effective": count}},
        "config": {"model": "hf", "model_args": f"pretrained={folder.name}"},
    }
    name = f"results_{LM_DATE}.json" if harness == "lm-eval" else f"{LMMS_DATE}_results.json"
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


CASES: dict[str, tuple[str, str, Callable[[int, int], Iterator[dict[str, Any]]]]] = {
    "probes": ("lmms-eval", "glyphworld_image", verdicts),
    "right or wrong": ("lm-eval", "task", functools.partial(scores, real=False)),
    "real scores": ("lm-eval", "task", functools.partial(scores, real=True)),
}


def compared(folders: tuple[Path, Path]) -> int:
    """Compare them; returns the number of rows."""
    from harness_ext.report.compare import compare

    return len(compare(folders).pairs[0].rows)


def drawn(units: int) -> int:
    """The draws of that many units, none like another; returns how many draws."""
    from harness_ext.metrics.intervals import drawn_changes
    from harness_ext.metrics.units import pair_scores

    rng = np.random.default_rng(0)
    before, after = rng.random((2, units))
    return len(drawn_changes(pair_scores(range(units), list(before), list(after))))


def measured(run: Callable[[Any], int], argument: Any) -> dict[str, float]:
    """In a process of its own: seconds, the peak of its memory and, of this, what importing takes."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_timed, (run, argument))


def _timed(run: Callable[[Any], int], argument: Any) -> dict[str, float]:
    import scipy.signal
    import scipy.stats  # noqa: F401

    from harness_ext.report import compare  # noqa: F401

    imported = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    begun, processor = time.perf_counter(), time.process_time()
    rows = run(argument)
    return {
        "seconds": time.perf_counter() - begun,
        "processor seconds": time.process_time() - processor,
        "peak MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10,
        "MiB after import": imported,
        "result": rows,
    }


def show(figure: dict[str, Any]) -> None:
    """One line."""
    numbers = (figure[name] for name in ("seconds", "processor seconds", "peak MiB"))
    print("{:<16} {:>9,} {:>8.1f} {:>17.1f} {:>9.0f}".format(figure["what"], figure["samples"], *numbers), flush=True)


def main() -> None:
    """Measure, print, and write what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--json", type=Path, metavar="PATH")
    options = parser.parse_args()
    figures: list[dict[str, Any]] = []
    print(f"{'what':<16} {'samples':>9} {'seconds':>8} {'of the processor':>17} {'peak MiB':>9}")
    for count in options.samples:
        for name, (harness, task, rows) in CASES.items():
            with tempfile.TemporaryDirectory() as folder:
                folders = (Path(folder, "before"), Path(folder, "after"))
                for seed, each in enumerate(folders):
                    write(each, task, rows(count, seed), harness)
                figures.append({"what": name, "samples": count, **measured(compared, folders)})
            show(figures[-1])
        figures.append({"what": "interval alone", "samples": count, **measured(drawn, count)})
        show(figures[-1])
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
