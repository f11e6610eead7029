"""What commands do with damaged files, when they are killed, with servers that misbehave, and with strange strings.

    python benchmarks/campaign.py                 # all of it; writes results/campaign.json
    python benchmarks/campaign.py --quick         # a minute; nothing is written

Counted are tracebacks, hangs (a command that takes more than 20 seconds of the processor), lines of thousands of
characters, lost lines, and swallowed errors: a file that nothing can read, and a command that ends with status 0 without
naming it; a sealed file or a kept answer that is not what was written, and is used. Expected is none of each. A part that
is told by ``--parts`` replaces what the file of results says of it.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
sys.path += [str(ROOT / part) for part in ("benchmarks/hostile", "tests/golden", "tests/support")]

from damaged_files import damaged  # noqa: E402 - they lie in the folders named above
from forked import entry  # noqa: E402
from kills import killed  # noqa: E402
from servers import misbehaved  # noqa: E402
from strings import fuzzed  # noqa: E402

from harness_ext.common.files import write_text  # noqa: E402

PARTS: Final = ("damaged", "kills", "servers", "strings")
RESULTS: Final = ROOT / "results" / "campaign.json"


def main() -> int:
    """Try what is asked for, print the counts, and return 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a minute of it; nothing is written")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--values", type=int, default=60, help="of each file, so many of its values are replaced")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of all damages and misbehaviours, the share that is tried"
    )
    parser.add_argument("--most", type=int, default=10**6, help="of a case's damages, or a command's servers, so many")
    parser.add_argument("--only", default="*", help="damaged files: only cases of this name")
    parser.add_argument("--commands", default="*", help="kills, servers: only commands of this name")
    parser.add_argument("--moments", type=int, default=15, help="at which each command is killed")
    parser.add_argument("--strings", type=int, default=1_000_000)
    options = parser.parse_args()
    if options.quick:
        options.moments, options.most = min(options.moments, 2), min(options.most, 2)
        options.share, options.strings = min(options.share, 0.05), min(options.strings, 5000)
    draw = random.Random(options.seed)
    parts: dict[str, Callable[[Path], dict[str, Any]]] = {
        "damaged": lambda folder: damaged(folder, draw, options.values, options.share, options.most, options.only),
        "kills": lambda folder: killed(folder, draw, options.moments, options.commands),
        "servers": lambda folder: misbehaved(folder, draw, options.share, options.most, options.commands),
        "strings": lambda _: fuzzed(options.strings, options.seed),
    }
    _import_all()
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as made:
        for part in options.parts:
            folder = Path(made) / part
            start = time.monotonic()
            of_part = parts[part](folder)
            found[part] = {"command": " ".join(["python", "benchmarks/campaign.py", *sys.argv[1:]]), **of_part,
                           "seconds": round(time.monotonic() - start)}  # fmt: skip
    print(json.dumps(found, indent=1, ensure_ascii=False))
    if not options.quick:
        before = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        write_text(RESULTS, json.dumps({**before, **found}, indent=1, ensure_ascii=False) + "\n")
    return int(any(each["failures"] for each in found.values()))


def _import_all() -> None:
    """So that no child has to."""
    import importlib

    import peft  # noqa: F401

    import align.settings
    import align.table  # noqa: F401

    for each in (ROOT / "harness_ext/commands").glob("[!_]*.py"):
        importlib.import_module(f"harness_ext.commands.{each.stem}")
    for program in ("unsafeconcepts", "align", "lmms_eval"):
        entry(program)


if __name__ == "__main__":
    sys.exit(main())
