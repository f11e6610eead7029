"""Tables and a figure of the answers that the paper's authors published: LLaVA-1.5-7B before and after SFT, DPO and PPO.

The answers are those of the authors' runs (``outputs`` of github.com/TrustAIRLab/SaferVLM at 4246835); this project's rule
judge reads them. They are never copied: what is written holds numbers alone.

    python benchmarks/published_results.py SaferVLM/outputs -o results/published
"""

import argparse
import csv
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zipfile import BadZipFile

import numpy as np
from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException
from tqdm import tqdm

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.common.errors import UserError, exit_status, one_line
from harness_ext.common.files import require_writable_folder, without_nan, write_text
from harness_ext.judges.base import AlignmentAnswer, verdicts
from harness_ext.judges.rules import RuleJudge
from harness_ext.judges.rules.shown import names
from harness_ext.metrics.diversity import SAMPLED, diversity
from harness_ext.metrics.intervals import SEED
from harness_ext.metrics.quality import named_shares
from harness_ext.metrics.ratios import accuracy_estimate, na_rate, ratio_estimate
from harness_ext.metrics.units import ConceptKey, Estimate, Ratio, pair_scores, pair_sums, ratio_by_unit
from harness_ext.records import LABELS, SAFE, UNSAFE, Judgement
from harness_ext.report.blocks import Block, Cell, estimated, json_document, markdown_document, number
from harness_ext.report.compare.measures import Measure, Row, rows
from harness_ext.report.compare.pairs import compare
from harness_ext.report.figures import BAND, IMAGE, TEXT, name_rows, plot_estimate, write_figure
from harness_ext.report.quality import texts
from harness_ext.runs.imported import import_answers, read_given
from harness_ext.runs.load import load_runs
from harness_ext.unsafeconcepts.published import CONTEXTS
from harness_ext.unsafeconcepts.taxonomy import CATEGORIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COMMIT: Final = "4246835"
# The authors' runs; the second of each method is an earlier one.
ORIGINAL: Final = "original"
TRAINED: Final = ("sft", "dpo", "ppo")
EARLIER: Final = tuple(f"{name}_v1" for name in TRAINED)
RUNS: Final = (ORIGINAL, *TRAINED, *EARLIER)
TEST: Final = "unsafeconcepts_test"
IN_CONTEXT: Final = ("unsafeconcepts_context_safe", "unsafeconcepts_context_unsafe")
# TEST was answered greedily, with at most so many tokens.
_GENERATION: Final = {"do_sample": False, "max_new_tokens": 512}
# Scores of LLaVA-Bench, beside the answers of a run.
_LLAVA_BENCH: Final = "LLaVABench_openai_result.xlsx"
_DECIMALS: Final = 4
_FIRST: Final = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_WHOSE: Final = (
    f"The answers are those of the authors' own runs of LLaVA-1.5-7B (github.com/TrustAIRLab/SaferVLM at {COMMIT}), which "
    "this project did not make; its rule judge read them. In brackets: 95 % intervals, over concepts."
)
_CHANGES: Final = ("measure", "before", "after", "change", "gained", "lost", "McNemar p", "p", "p (Holm)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the script; returns 2, with a message, when what was asked for cannot be."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("outputs", type=Path, help="the authors' outputs folder")
    parser.add_argument(
        "--contexts", type=Path, help="their generated_questions.json (default: fetched, or from the cache)"
    )
    parser.add_argument(
        "--llava-bench",
        action="append",
        default=[],
        metavar="FILE.csv|RUN=FILE.xlsx",
        help="LLaVA-Bench's scores: one CSV with the columns method, score, gpt4_score, or a workbook a run; may be repeated "
        f"(default: {_LLAVA_BENCH} of each run)",
    )
    parser.add_argument(
        "--mme-answers", type=Path, metavar="FILE.jsonl", help="MME's right answers, one yes or no a line"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="the folder of the tables and the figure")
    options = parser.parse_args(arguments)
    command = ["python", "benchmarks/published_results.py", *arguments]
    return exit_status("published_results", lambda: _run(options, command))


def _run(options: argparse.Namespace, command: Sequence[str]) -> None:
    require_writable_folder(options.output)
    published = [f"{name}={file}" for name in RUNS if (file := options.outputs / name / _LLAVA_BENCH).is_file()]
    scores = llava_bench(options.llava_bench or published)
    if options.contexts:
        os.environ[CONTEXTS.variable] = str(options.contexts)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "runs"
        import_answers(options.outputs, runs, generation=_GENERATION, partial=True)
        found = [name for name in RUNS if (runs / name).is_dir()]
        if missing := sorted(set(RUNS) - set(found)):
            raise UserError(f"{options.outputs}: expected the folders {', '.join(RUNS)}, missing {', '.join(missing)}.")
        loaded = {name: load_runs(runs / name)[0] for name in found}
        judged = {name: run.answers for name, run in loaded.items()}
        described = describe({name: texts(run.evaluations[TEST], TEST) for name, run in loaded.items()})
        tables = [*test_blocks(judged, described), *context_blocks(judged), *change_blocks(runs, judged)]
    tables += [table for data in ("SMID", "NSFW") for table in share_blocks(options.outputs, data)]
    tables += mme_blocks(options.outputs, options.mme_answers)
    tables += llava_bench_blocks(scores) if scores else []
    parts: list[Block | str] = ["# The authors' published answers", _WHOSE, *(table.block for table in tables)]
    write_text(options.output / "tables.md", markdown_document(command, parts))
    content = {table.block.title: table.numbers for table in tables}
    write_text(options.output / "tables.json", json_document(command, {"about": _WHOSE, "tables": _rounded(content)}))
    write_figure(lambda: draw(judged, described, scores), options.output / "published.png")
    print(markdown_document(command, parts))


@dataclass(frozen=True)
class Table:
    """A table, and its numbers for the JSON."""

    block: Block
    numbers: Any


def _rounded(value: Any) -> Any:
    """Plain values, shares to four decimals: what 690 answers can carry."""
    value = without_nan(value)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, _DECIMALS) if isinstance(value, float) and abs(value) >= 10**-_DECIMALS else value


# --- TEST -------------------------------------------------------------------------------------------------------------

Judged = Mapping[str, Mapping[str, Sequence[Judgement]]]
# The concept and the text of each answer.
Said = Sequence[tuple[ConceptKey, str]]


@dataclass(frozen=True)
class Described:
    """One run's answers to TEST as texts.

    How many are different, their mean number of words, the share about unsafe images that names the concept, and diversity.
    """

    different: int
    words: float
    names: Estimate
    ours: float
    theirs: float


def describe(said: Mapping[str, Said]) -> dict[str, Described]:
    """Each run's answers as texts; a minute a run, in as many processes as there are processors."""
    with ProcessPoolExecutor() as pool:
        found = tqdm(pool.map(_described, said.values()), desc="Diversity", total=len(said), disable=None)
        return dict(zip(said, found, strict=True))


def _described(said: Said) -> Described:
    found = [text for _, text in said]
    words = float(np.mean([len(each.split()) for each in found]))
    named = ratio_estimate(named_shares([each for each in said if each[0][0] == UNSAFE], names).values())
    return Described(len(set(found)), words, named, diversity(found), authors_diversity(found))


def test_blocks(judged: Judged, described: Mapping[str, Described]) -> Iterator[Table]:
    """Accuracy, diversity and length; by category and by question."""
    lines, numbers = [], {}
    for name, answers in judged.items():
        records = answers[TEST]
        accuracy = {"all": accuracy_estimate(records, "wrong")} | {
            label: accuracy_estimate([record for record in records if record.label == label], "wrong")
            for label in LABELS
        }
        text, na = described[name], na_rate(records)
        numbers[name] = {key: asdict(each) for key, each in accuracy.items()} | {"na": na, "texts": asdict(text)}
        plain = [number(na), str(text.different), f"{text.words:.0f}", number(text.ours), number(text.theirs)]
        cells = [*(estimated(accuracy[key]) for key in ("all", *LABELS)), *((each,) for each in plain)]
        lines.append(((name,), *cells, estimated(text.names)))
    notes = (
        "na counts as wrong, as in the paper's TEST. Different: how many of the 690 answers are different texts.",
        f"Diversity, ours: 1 - self-BLEU (sacrebleu) of {SAMPLED} answers. Theirs: 1 - the mean of NLTK's sentence BLEU "
        "(smoothing method 1) of every answer against all others, split at white space.",
        "Names it: answers about unsafe images with the concept's name, or what it is also called, in them; denials too.",
    )
    header = ("run", "all", *LABELS, "na", "different", "words", "diversity, ours", "diversity, theirs", "names it")
    yield Table(Block("TEST: 690 images, one question each", header, tuple(lines), notes), numbers)
    by = {record.category: None for record in judged[ORIGINAL][TEST] if record.label == UNSAFE}
    categories = [category for category in CATEGORIES if category in by]
    yield _parts(
        judged, "TEST by category, unsafe images", "category", {each: _of("category", each) for each in categories}
    )
    questions = {question: _of("question", at) for at, question in enumerate(IMAGE_QUESTIONS)}
    yield _parts(judged, "TEST by question, unsafe images", "question", questions)


def _of(name: str, value: object) -> Callable[[Judgement], bool]:
    return lambda record: record.label == UNSAFE and getattr(record, name) == value


def _parts(judged: Judged, title: str, what: str, parts: Mapping[str, Callable[[Judgement], bool]]) -> Table:
    """Accuracy of parts of TEST."""
    found = {
        part: {name: accuracy_estimate(list(filter(chosen, judged[name][TEST])), "wrong") for name in judged}
        for part, chosen in parts.items()
    }
    lines = tuple(
        ((part,), (str(next(iter(of.values())).n_answers),), *(estimated(each) for each in of.values()))
        for part, of in found.items()
    )
    numbers = {part: {name: asdict(each) for name, each in of.items()} for part, of in found.items()}
    return Table(Block(title, (what, "images", *judged), lines), numbers)


def authors_diversity(responses: Sequence[str]) -> float:
    """1 - the mean of NLTK's sentence BLEU of each response against all others: Texygen's self-BLEU, arXiv 1802.01886.

    Equal responses are scored once: they have the same references.
    """
    from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

    smoothing = SmoothingFunction().method1
    words = [each.split() for each in responses]
    score_of: dict[str, float] = {}
    for at, each in enumerate(responses):
        if each not in score_of:
            others = words[:at] + words[at + 1 :]
            score_of[each] = sentence_bleu(others, words[at], smoothing_function=smoothing)
    return 1 - float(np.mean([score_of[each] for each in responses]))


# --- contexts, and paired differences ---------------------------------------------------------------------------------


def context_blocks(judged: Judged) -> Iterator[Table]:
    """Accuracy in a safe and in an unsafe context; nothing where no run has them."""
    with_contexts = [name for name, answers in judged.items() if set(IN_CONTEXT) <= answers.keys()]
    if not with_contexts:
        return
    found = {
        name: {task.rpartition("_")[2]: accuracy_estimate(judged[name][task], "wrong") for task in IN_CONTEXT}
        for name in with_contexts
    }
    lines = tuple(((name,), estimated(of["safe"]), estimated(of["unsafe"])) for name, of in found.items())
    header = ("run", "safe context, right to show", "unsafe context, wrong to show")
    numbers = {name: {key: asdict(each) for key, each in of.items()} for name, of in found.items()}
    yield Table(Block("TEST's 345 unsafe images in a context (na wrong)", header, lines), numbers)


def change_blocks(runs: Path, judged: Judged) -> Iterator[Table]:
    """Paired differences of TEST and the contexts: each method against the original, against SFT, and its earlier run."""
    pairs = [(ORIGINAL, name) for name in TRAINED] + [("sft", "ppo")]
    pairs += [(earlier, name) for earlier, name in zip(EARLIER, TRAINED, strict=True)]
    for before, after in pairs:
        tasks = [task for task in (TEST, *IN_CONTEXT) if task in judged[before] and task in judged[after]]
        comparison = compare([runs / before, runs / after], tasks=tasks)
        run_to_run = " (an earlier run of the method to the later one)" if before in EARLIER else ""
        yield _changes(f"{before} to {after}{run_to_run}", comparison.pairs[0].rows)


def _changes(title: str, found: Sequence[Row], notes: Sequence[str] = ()) -> Table:
    lines = []
    for row in found:
        change = Estimate(row.change, row.low, row.high, row.n_units, row.n_samples)
        counts = ["" if each is None else str(each) for each in (row.gained, row.lost)]
        chances = [_chance(each) for each in (row.mcnemar_p, row.p, row.p_holm)]
        values = (number(row.before),), (number(row.after),), estimated(change, signed=True)
        lines.append(((row.title,), *values, *((each,) for each in (*counts, *chances))))
    return Table(Block(title, _CHANGES, tuple(lines), tuple(notes)), [asdict(row) for row in found])


def _chance(p: float | None) -> str:
    return "" if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


# --- SMID and NSFW ----------------------------------------------------------------------------------------------------


def share_blocks(outputs: Path, data: str) -> Iterator[Table]:
    """The share of a data set's images that are judged unsafe; its labels are not among the published files.

    Nothing where no run has the data set.
    """
    judge = RuleJudge()
    files = {name: file for name in RUNS if (file := next((outputs / name).glob(f"{data}*_result.json"), None))}
    said: dict[str, dict[int, str]] = {}
    for name, file in tqdm(files.items(), desc=data, disable=None):
        given = read_given(file)
        answers = [AlignmentAnswer(IMAGE_QUESTIONS.index(each.prompt), each.output, each.prompt) for each in given]
        said[name] = dict(zip((each.number for each in given), verdicts(judge, answers), strict=True))
    if ORIGINAL not in said:
        return
    shares = {
        name: ratio_estimate([Ratio(float(verdict == UNSAFE), 1) for verdict in of.values()])
        for name, of in said.items()
    }
    lines = tuple(((name,), (str(len(said[name])),), estimated(share)) for name, share in shares.items())
    numbers = {name: asdict(share) for name, share in shares.items()}
    title = f"{data}: share of images judged unsafe"
    notes = ("Which of them are unsafe is not among the published files: no accuracy. Here each image is a concept.",)
    yield Table(Block(title, ("run", "images", "judged unsafe"), lines, notes), numbers)
    measures = []
    for name in said.keys() - {ORIGINAL}:
        common = sorted(said[ORIGINAL].keys() & said[name].keys())
        before, after = ([float(of[image] == UNSAFE) for image in common] for of in (said[ORIGINAL], said[name]))
        # Counted as "lost": judged unsafe by the method alone.
        right = tuple([not each for each in of] for of in (before, after))
        asked = f"{name}, {len(common)} images of both"
        paired = pair_scores(common, before, after)
        measures.append(
            Measure("gap", data, asked, "judged_unsafe", True, "image", len(common), paired, right, margin=None)
        )
    measures.sort(key=lambda each: RUNS.index(each.title.partition(",")[0]))
    notes = ("Gained: judged unsafe by the original alone; lost: by the method alone.",)
    if any(len(of) < len(said[ORIGINAL]) for of in said.values()):
        notes += ("Where only some images were asked about, their questions were drawn anew: often another question.",)
    yield _changes(f"{data}: share judged unsafe, the original to", rows(measures, None, SEED), notes)


# --- general benchmarks -----------------------------------------------------------------------------------------------


def mme_blocks(outputs: Path, answers: Path | None) -> Iterator[Table]:
    """How many answers differ from the original's; accuracy where the right answers are given."""
    given = {name: read_given(outputs / name / "MME_result.json") for name in RUNS}
    said = {name: [_first_word(each.output) for each in of] for name, of in given.items()}
    right = _mme_answers(answers, len(said[ORIGINAL])) if answers else None
    lines, numbers = [], {}
    for name, of in said.items():
        changed = _by_image([one != two for one, two in zip(said[ORIGINAL], of, strict=True)])
        yes, neither = of.count("yes") / len(of), of.count("") / len(of)
        cells: list[Cell] = [("",) if name == ORIGINAL else estimated(changed), (number(yes),), (number(neither),)]
        numbers[name] = {"changed": asdict(changed), "yes": yes, "neither": neither}
        if right:
            accuracy = _by_image([one == two for one, two in zip(right, of, strict=True)])
            cells.append(estimated(accuracy))
            numbers[name]["accuracy"] = asdict(accuracy)
        lines.append(((name,), *cells))
    notes = ("By the first word, yes or no; intervals over images, which have two questions each.",)
    if not right:
        notes += ("Which answers are right is not among the published files: no accuracy.",)
    header = ("run", "changed against the original", "yes", "neither yes nor no", *(["accuracy"] if right else []))
    yield Table(Block("MME: 2,374 yes-or-no questions", header, tuple(lines), notes), numbers)


def _first_word(text: str) -> str:
    return match[1].lower() if (match := _FIRST.match(text)) else ""


def _by_image(true: Sequence[bool]) -> Estimate:
    """A share of MME's questions, two of which follow each other about each image; the images are the units."""
    return ratio_estimate(ratio_by_unit((at // 2, float(each)) for at, each in enumerate(true)).values())


def _mme_answers(file: Path, expected: int) -> list[str]:
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    words = [str(each["answer"] if isinstance(each, dict) else each).lower() for each in found]
    if len(words) != expected or set(words) - {"yes", "no"}:
        raise UserError(
            f"{file}: expected {expected} lines of yes or no in the order of MME, found {len(words)} lines."
        )
    return words


Scores = Mapping[str, Sequence[tuple[float, float]]]


def llava_bench(sources: Sequence[str]) -> Scores:
    """Of each run, (score, GPT-4's own score) of each question, in the file's order."""
    found: dict[str, list[tuple[float, float]]] = {}
    for source in sources:
        named, _, path = source.rpartition("=")
        for row in _sheet(Path(path)):
            try:
                name = named or row["method"]
                found.setdefault(name, []).append((float(row["score"]), float(row["gpt4_score"])))
            except (KeyError, TypeError, ValueError) as error:
                raise UserError(f"{path}: expected the columns method, score and gpt4_score: {error}.") from error
    if found and (missing := sorted(set(RUNS) - found.keys())):
        raise UserError(f"--llava-bench: no scores of {', '.join(missing)}")
    if len(counts := {len(of) for of in found.values()}) > 1:
        raise UserError(f"--llava-bench: expected as many questions in every run, found {sorted(counts)}")
    return found


def _sheet(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a CSV or of a workbook's first sheet, whose first row has the columns' names."""
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as file:
                yield from csv.DictReader(file)
            return
        header, *body = load_workbook(path, read_only=True).worksheets[0].iter_rows(values_only=True)
    except (OSError, ValueError, BadZipFile, InvalidFileException) as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)}).") from error
    for row in body:
        yield dict(zip(map(str, header), row, strict=True))


def llava_bench_blocks(scores: Scores) -> Iterator[Table]:
    """The sum of a run's scores over the sum of GPT-4's own, and the paired differences by question."""
    lines, numbers = [], {}
    for name in RUNS:
        share = relative_score(scores[name])
        lines.append(((name,), estimated(share)))
        numbers[name] = asdict(share)
    notes = ("Scores by GPT-4o as the authors published them; intervals over the 60 questions.",)
    title = "LLaVA-Bench: score relative to GPT-4's own answers"
    yield Table(Block(title, ("run", "relative score"), tuple(lines), notes), numbers)
    pairs = [(ORIGINAL, name) for name in (*TRAINED, *EARLIER)] + [("sft", "ppo")]
    yield _changes("LLaVA-Bench: paired by question", rows([_paired(scores, *pair) for pair in pairs], None, SEED))


def relative_score(scores: Sequence[tuple[float, float]]) -> Estimate:
    """Sum over sum, with an interval over the questions."""
    return ratio_estimate([Ratio(own, int(reference)) for own, reference in scores])


def _paired(scores: Scores, before: str, after: str) -> Measure:
    paired = pair_sums(*(np.array(scores[name], dtype=float) for name in (before, after)))
    title = f"{before} to {after}"
    return Measure("gap", "LLaVA-Bench", title, "relative", True, "question", paired.units, paired, margin=None)


# --- the figure -------------------------------------------------------------------------------------------------------


def draw(judged: Judged, described: Mapping[str, Described], scores: Scores) -> "Figure":
    """Accuracy on TEST, diversity and length of its answers, and LLaVA-Bench, a run a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 4.2))
    names = [name for name in RUNS if name in judged]
    panels = figure.subplots(1, 3 if scores else 2, sharey=True)
    for at, name in enumerate(names):
        for label, colour, mark in ((UNSAFE, IMAGE, "s"), (SAFE, TEXT, "o")):
            records = [record for record in judged[name][TEST] if record.label == label]
            offset = -0.13 if label == UNSAFE else 0.13
            _point(panels[0], at + offset, accuracy_estimate(records, "wrong"), (colour, mark))
        panels[1].barh(at, described[name].words, height=0.5, color=BAND)
        note = f"{described[name].words:.0f} words, {described[name].different} different"
        panels[1].annotate(note, (2, at), va="center", fontsize=9)
        if scores:
            _point(panels[2], at, relative_score(scores[name]), ("#333333", "D"))
    titles = (
        "TEST: accuracy on unsafe (squares)\nand safe images (circles)",
        "TEST: words an answer,\ndifferent answers of 690",
    )
    for axes, title in zip(panels, [*titles, "LLaVA-Bench:\nscore relative to GPT-4's"], strict=False):
        name_rows(axes, names)
        axes.set_title(title, fontsize=10, loc="left")
        axes.grid(axis="x", color=BAND, linewidth=0.6)
    panels[1].set_xlim(0, None)
    panels[1].autoscale(axis="x")
    whose = f"The authors' own answers of LLaVA-1.5-7B (SaferVLM at {COMMIT})"
    about = f"{whose}, read by this project's rule judge; 95 % intervals"
    figure.text(0.01, 0.01, about, fontsize=8)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


def _point(axes: "Axes", at: float, estimate: Estimate, look: tuple[str, str]) -> None:
    plot_estimate(axes, estimate.value, (estimate.low, estimate.high), at, look, markersize=6)


if __name__ == "__main__":
    sys.exit(main())
