"""``python -m harness_ext.judges.classifier.convert KIND``: one of the authors' classifiers as a folder, for a
reward of ``align``.

Prints the folder; it is the one that the judge ``paper`` reads, with the same options.
"""

import argparse
import sys
from collections.abc import Sequence

from harness_ext.common.errors import exit_status
from harness_ext.judges.classifier import LABELS
from harness_ext.judges.classifier.paper import BASE, REPOSITORIES, Published, converted

_PROG = "python -m harness_ext.judges.classifier.convert"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns 2, with a message, when the classifier cannot be had."""
    parser = argparse.ArgumentParser(prog=_PROG, description=__doc__.split("\n\n")[0].split(": ", 1)[1])
    parser.add_argument("kind", choices=list(LABELS), help=" or ".join(REPOSITORIES.values()))
    parser.add_argument("--revision", metavar="COMMIT", help="the repository's commit, a branch, or a tag")
    parser.add_argument("--file", metavar="FILE", help="a copy of its epoch_10.pt instead")
    parser.add_argument("--sha256", help="what the file's sha256 must be")
    parser.add_argument(
        "--base", default=BASE, help="roberta-base's configuration and tokenizer (default: %(default)s)"
    )
    parser.add_argument("--base-revision", metavar="COMMIT", help="its commit; needed for another one")
    given = parser.parse_args(argv)
    published = Published(given.kind, given.file, given.revision, given.sha256, given.base, given.base_revision)
    return exit_status(_PROG, lambda: print(converted(published).folder))


if __name__ == "__main__":
    sys.exit(main())
