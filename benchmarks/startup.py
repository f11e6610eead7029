"""What the plugin adds to the start of lmms-eval: seconds to import and call its entry point, beside lmms-eval's own.

    python benchmarks/startup.py [--repeats 5] [--json PATH]

Each figure is the median of fresh processes. The entry point is called as lmms-eval calls it, after lmms-eval's own modules
are loaded, so that what both import is counted once, and for the host.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

_HOST = "import time; begun = time.perf_counter(); import lmms_eval.__main__; print(time.perf_counter() - begun)"
# Within one process: the host's modules first, then what is ours alone.
_PLUGIN = """
import lmms_eval.__main__, sys, time
for name in [name for name in sys.modules if name.split(".")[0] == "harness_ext"]:
    del sys.modules[name]
from lmms_eval.tasks import TaskManager
if hasattr(TaskManager, "_unsafeconcepts"):
    del TaskManager._unsafeconcepts
begun = time.perf_counter()
from harness_ext.plugin import register
register()
print(time.perf_counter() - begun)
"""
_ALONE = "import time; begun = time.perf_counter(); import harness_ext.plugin; print(time.perf_counter() - begun)"


def seconds(code: str, repeats: int) -> float:
    """Median of what ``code`` prints last, over fresh processes."""
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(repeats)
    ]
    return statistics.median(float(run.stdout.split()[-1]) for run in runs)


def main() -> None:
    """Measure, print, and write the same figures if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    figures = {
        "lmms-eval's own imports, the plugin's with them": seconds(_HOST, options.repeats),
        "the plugin's entry point, imported and called": seconds(_PLUGIN, options.repeats),
        "the plugin's import alone, nothing loaded before": seconds(_ALONE, options.repeats),
    }
    for name, value in figures.items():
        print(f"{name:<50} {value:7.3f} s")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
