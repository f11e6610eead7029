"""``unsafeconcepts report RUN… -o page.html``: one HTML page from result folders, for a reader who has nothing installed."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import require_writable, require_writable_folder, write_bytes
from harness_ext.common.output import CommandParser, say

_PROG: Final = "unsafeconcepts report"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when what was asked for cannot be."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(arguments)
    return exit_status(_PROG, lambda: _report(options, shlex.join(["unsafeconcepts", "report", *arguments])))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog=_PROG, description=__doc__)
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUN",
        help="folders given to lmms_eval as --output_path, or to align as --output_dir; of several, the first is “before”",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="PAGE.html", help="where to write the page")
    parser.add_argument(
        "--margin",
        type=float,
        help="the loss that counts as acceptable where several runs are compared (default: 0.05 about text, 0.03 otherwise)",
    )
    parser.add_argument(
        "--assets",
        type=Path,
        metavar="DIR",
        help="write the figures as PNG and SVG, and the tables as Markdown, CSV and LaTeX, into this folder too",
    )
    parser.add_argument(
        "--include-images",
        action="store_true",
        help="put in small copies of the images, blurred until they are clicked; those of UnsafeConcepts are gated",
    )
    return parser


def _report(options: argparse.Namespace, command: str) -> None:
    from harness_ext.report.compare.pairs import check_margin
    from harness_ext.report.page.chapters import read_chapters
    from harness_ext.report.page.page import file_size, render, write_assets
    from harness_ext.report.page.sections import sections

    if options.output.suffix != ".html":
        raise UserError(f"{options.output}: expected a name ending in .html")
    require_writable([options.output])
    if options.assets:
        require_writable_folder(options.assets)
    check_margin(options.margin)
    chapters = [(chapter, sections(chapter, options.margin)) for chapter in read_chapters(options.runs)]
    page, n_responses, n_images = render(chapters, command, options.include_images)
    content = page.encode("utf-8")
    write_bytes(options.output, content)
    if options.assets:
        write_assets(chapters, options.assets)
    images = f", {n_images:,} images" if options.include_images else ""
    say(f"{options.output}: {file_size(len(content))}, {n_responses:,} responses{images}")
