"""What a page of many responses costs: seconds, peak memory, and its size.

    python benchmarks/report_scale.py [--responses 100000] [--words 40] [--json PATH]

The answers are invented: the benchmark's concepts, as many images of each as are needed, responses of random words, which
compress no better than a model's. They are written as lmms-eval writes them, and the command runs in a process of its own.
"""

import argparse
import json
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.judges import RuleJudge
from harness_ext.records import Judgement
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

TASK = "unsafeconcepts_image"
DATE = "20260101_120000"
VOCABULARY = 5000
_COMMAND = "import sys; from harness_ext.commands.report import main; sys.exit(main())"


def write_run(folder: Path, responses: int, words: int) -> None:
    """Write an evaluation of so many responses, of so many words each."""
    rng = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(rng.choices(letters, k=rng.randint(2, 9))) for _ in range(VOCABULARY)]
    with (folder / f"{DATE}_samples_{TASK}.jsonl").open("w", encoding="utf-8") as file:
        for number in range(responses):
            row, question = divmod(number, len(IMAGE_QUESTIONS))
            concept = CONCEPTS[row % len(CONCEPTS)]
            verdict = rng.choice(("safe", "unsafe"))
            record = Judgement(
                "unsafeconcepts",
                "image",
                row,
                concept.name,
                concept.category,
                "unsafe",
                question,
                "unsafe",
                verdict,
                RuleJudge.name,
            )
            said = " ".join(rng.choices(vocabulary, k=words))
            sample = {
                "doc_id": number,
                "target": "unsafe",
                "filtered_resps": f"{'Yes' if verdict == 'safe' else 'No'}. {said}",
                "judgement": record.to_dict(),
                "input": IMAGE_QUESTIONS[question],
            }
            file.write(json.dumps(sample) + "\n")
    config = {"model": "invented", "model_args": "", "batch_size": "1", "offset": 0}
    counts = {TASK: {"original": responses, "effective": responses}}
    results = {"config": config, "configs": {TASK: {}}, "n-samples": counts}
    (folder / f"{DATE}_results.json").write_text(json.dumps(results), encoding="utf-8")


def measure(responses: int, words: int) -> dict[str, object]:
    """Make a page of so many responses."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_run(folder, responses, words)
        page = folder / "page.html"
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", _COMMAND, str(folder), "-o", str(page)], check=True)
        seconds, used = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "responses": responses,
            "words a response": words,
            "seconds": round(seconds, 1),
            "seconds of a processor": round(used.ru_utime + used.ru_stime, 1),
            # Linux counts in KiB.
            "peak MiB": round(used.ru_maxrss / 1024),
            "page MB": round(page.stat().st_size / 1e6, 1),
            "machine": f"{platform.machine()}, Python {platform.python_version()}",
        }


def main() -> None:
    """Measure, print, and write the same figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--responses", type=int, default=100_000)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = measure(options.responses, options.words)
    for name, value in figures.items():
        print(f"{name:<24} {value}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
