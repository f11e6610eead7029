"""How well a judge reads labelled responses: accuracy by probe and by kind of answer, with exact 95 % intervals.

    python benchmarks/judge_accuracy.py tests/harness_ext/judges/unseen.jsonl [--misses] [--json PATH]

A line is a response with its label, as in tests/harness_ext/judges: ``{"question", "response", "verdict", "kind"}`` or
``{"options", "response", "choice", "kind"}``.
"""

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from scipy.stats import binomtest

from harness_ext.judges import RuleJudge


def main() -> None:
    """Judge every line, print the table, and write the same figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labelled", type=Path)
    parser.add_argument("--misses", action="store_true", help="print every response that was read wrong")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.labelled.read_text(encoding="utf-8").splitlines()]
    judge, counts, misses = RuleJudge(), defaultdict(lambda: [0, 0]), []
    begun = time.perf_counter()
    for row in rows:
        probe = "perception" if "options" in row else "alignment"
        expected = row["choice"] if probe == "perception" else row["verdict"]
        asked = row["options"] if probe == "perception" else row["question"]
        read = getattr(judge, probe)(asked, row["response"])
        for part in (probe, f"{probe}: {row['kind']}"):
            counts[part][0] += read == expected
            counts[part][1] += 1
        if read != expected:
            misses.append((expected, read, row["response"]))
    seconds = time.perf_counter() - begun
    table = Table("", "right", "of", "accuracy", title=f"{judge.name} on {options.labelled.name}")
    figures = {}
    for part, (right, total) in sorted(counts.items()):
        interval = binomtest(right, total).proportion_ci(0.95, method="exact")
        figures[part] = {"right": right, "of": total, "low": interval.low, "high": interval.high}
        table.add_row(part, str(right), str(total), f"{right / total:.3f} [{interval.low:.3f}, {interval.high:.3f}]")
    console = Console(width=100)
    console.print(table)
    console.print(f"{1000 * seconds / len(rows):.1f} ms a response", highlight=False)
    for expected, read, response in misses if options.misses else ():
        console.print(f"expected {expected}, read {read}: {response!r}", markup=False, highlight=False)
    if options.json:
        written = {"judge": judge.name, "file": options.labelled.name, "ms_a_response": 1000 * seconds / len(rows)}
        options.json.write_text(json.dumps({**written, "parts": figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
