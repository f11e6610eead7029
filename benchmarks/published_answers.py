"""How well a judge reads the authors' published answers of LLaVA-1.5-7B, by kind of answer, with exact 95 % intervals.

    python benchmarks/published_answers.py OUTPUTS [--judge rules] [--half "held aside"] [--json PATH] [--markdown PATH]

``OUTPUTS`` is the folder ``outputs`` of github.com/TrustAIRLab/SaferVLM at commit 4246835 (``git clone``, ``git checkout
4246835``). The labels, results/judge/published_labels.jsonl, name each answer by its place (run, data set, ``idx``) and hold
what two readers say that it says, ``safe``, ``unsafe`` or ``na``; the answers themselves are the authors' and are not here.
Half of the labelled answers were looked at while the rule judge was written; the other half, "held aside", was not.
"""

import argparse
import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import write_text
from harness_ext.judges.base import AlignmentAnswer, verdicts
from harness_ext.judges.registry import read_spec
from harness_ext.metrics.agreement import Labelled, against_labels
from harness_ext.report.blocks import markdown_table

LABELS: Final = Path(__file__).parents[1] / "results" / "judge" / "published_labels.jsonl"
_LEADING: Final = re.compile(r"\W*(?:yes|no)\b", re.IGNORECASE)
# A published answer's question in a context has no index; in it, too, "yes" means safe.
_IN_A_CONTEXT: Final = 0
HEADER: Final = (
    "answers",
    "labelled",
    "read as labelled",
    "reversed",
    "na, labelled safe or unsafe",
    "readers disagree",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and write it where that is asked for."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outputs", type=Path, help="the authors' folder outputs at commit 4246835")
    parser.add_argument("--labels", type=Path, default=LABELS)
    parser.add_argument("--judge", default="rules", metavar="NAME:k=v,k=v")
    parser.add_argument("--half", choices=("held aside", "chosen on"), help="only this half")
    parser.add_argument("--misses", action="store_true", help="print the place, the label and the verdict of each miss")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    return exit_status("published_answers", lambda: _run(parser.parse_args(arguments), arguments))


def _run(options: argparse.Namespace, arguments: Sequence[str]) -> None:
    rows = [row for row in read_labels(options.labels) if options.half in (None, row["half"])]
    answers = [answer_of(options.outputs, row) for row in rows]
    judge = read_spec(options.judge).open()
    read = list(verdicts(judge, answers))
    parts: dict[str, list[int]] = {}
    for at, (row, answer) in enumerate(zip(rows, answers, strict=True)):
        for part in parts_of(row, answer):
            parts.setdefault(part, []).append(at)
    table = {part: count([(rows[at], read[at]) for at in at_all]) for part, at_all in sorted(parts.items())}
    lines = [[part, *cells(counted)] for part, counted in table.items()]
    text = markdown_table(HEADER, lines)
    print(text)
    if options.misses:
        for row, verdict in zip(rows, read, strict=True):
            if (label := agreed(row)) and label != verdict:
                print(f"{row['run']} {row['data']} {row['idx']}: labelled {label}, read {verdict}")
    command = shlex.join(["python", "benchmarks/published_answers.py", *arguments])
    if options.markdown:
        write_text(options.markdown, f"Made by `{command}`, judge {judge.name}.\n\n{text}\n")
    if options.json:
        content = {"command": command, "judge": judge.name, "parts": table}
        write_text(options.json, json.dumps(content, indent=1) + "\n")


def read_labels(path: Path) -> list[dict[str, Any]]:
    """The labels, one mapping an answer."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def answer_of(outputs: Path, row: Mapping[str, Any]) -> AlignmentAnswer:
    """The published answer that a label is of. Raises ``UserError``, naming the file, where it is not there."""
    file = outputs / row["run"] / f"{row['data']}_result.json"
    if file not in _FILES:
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{file}: cannot be read ({error}). Expected the authors' outputs at 4246835.") from error
        _FILES[file] = {str(each["idx"]): each for each in content}
    if (found := _FILES[file].get(str(row["idx"]))) is None:
        raise UserError(f"{file}: no answer {row['idx']}. Expected the authors' outputs at commit 4246835.")
    prompt = found["prompt"]
    question = IMAGE_QUESTIONS.index(prompt) if prompt in IMAGE_QUESTIONS else _IN_A_CONTEXT
    return AlignmentAnswer(question, found["output"], prompt)


_FILES: dict[Path, dict[str, dict[str, Any]]] = {}


def parts_of(row: Mapping[str, Any], answer: AlignmentAnswer) -> Iterator[str]:
    """The rows of the table that an answer belongs to."""
    data = "contexts" if row["data"].startswith("context") else row["data"].removeprefix("UnsafeConcepts_")
    leads = "with a leading yes or no" if _LEADING.match(answer.response) else "without a leading yes or no"
    yield from ("all", leads, f"{leads}, {data}", f"labelled {agreed(row) or 'differently'}")


def agreed(row: Mapping[str, Any]) -> str | None:
    """What both readers say."""
    first, second = row["labels"]
    return str(first) if first == second else None


def count(read: Sequence[tuple[Mapping[str, Any], str]]) -> dict[str, Any]:
    """The numbers of one part: over the answers on which the readers agree."""
    pairs = [(label, verdict) for row, verdict in read if (label := agreed(row))]
    labelled: Labelled | None = against_labels(pairs) if pairs else None
    return {
        "labelled": len(pairs),
        "accuracy": asdict(labelled.accuracy) if labelled else None,
        "reversed": sum({label, verdict} == {"safe", "unsafe"} for label, verdict in pairs),
        "na": sum(verdict == "na" != label for label, verdict in pairs),
        "readers_disagree": len(read) - len(pairs),
    }


def cells(counted: Mapping[str, Any]) -> list[str]:
    """A part's numbers as a table has them."""
    accuracy = counted["accuracy"]
    read = f"{accuracy['value']:.3f} [{accuracy['low']:.3f}, {accuracy['high']:.3f}]" if accuracy else "none"
    return [str(counted["labelled"]), read, *(str(counted[name]) for name in ("reversed", "na", "readers_disagree"))]


if __name__ == "__main__":
    sys.exit(main())
