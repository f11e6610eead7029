"""``unsafeconcepts init DIR --images FOLDER``: makes a benchmark of your own from folders of images.

Each sub-folder of FOLDER becomes a concept; where there are two levels, the first are categories. DIR gets benchmark.yaml,
which you edit, and images/metadata.jsonl. The images are copied into DIR unless they are in it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness_ext.common.errors import exit_status
from harness_ext.common.output import CommandParser, say

_PROG: Final = "unsafeconcepts init"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    parser = CommandParser(prog=_PROG, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the benchmark's folder; its name becomes the benchmark's"
    )
    parser.add_argument("--images", type=Path, required=True, metavar="FOLDER", help="CONCEPT/… or CATEGORY/CONCEPT/…")
    options = parser.parse_args(argv)
    return exit_status(_PROG, lambda: _run(options))


def _run(options: argparse.Namespace) -> None:
    from harness_ext.own.making import described, make_benchmark

    say(described(options.folder, make_benchmark(options.folder, options.images)))
