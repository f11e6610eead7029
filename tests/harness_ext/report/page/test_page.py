"""The page's content: the numbers of the metrics, nothing that could run or be fetched, and no page of broken input."""

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness_ext.commands.report import main
from harness_ext.metrics.ratios import accuracy, modality_gap
from harness_ext.records import FAILED, Judgement
from harness_ext.report.compare import compare

Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]
Write = Callable[..., Path]
MakePage = Callable[..., str]


def rows_of(page: str, source: str) -> dict[str, list[list[str]]]:
    """The cells of a chapter's headline, by measure, one list a run."""
    start = page.index(f'<h3 id="{source}-headline">')
    found: dict[str, list[list[str]]] = {}
    name = ""
    for row in re.findall(r"<tr.*?</tr>", page[start : page.index("</section>", start)], re.DOTALL)[1:]:
        if heading := re.search(r"<th scope=\"row[^>]*>(.*?)</th>", row):
            name = heading[1]
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
        found.setdefault(name, []).append([re.sub(r"<[^>]+>", "", cell) for cell in cells])
    return found


def payload_of(page: str) -> Any:
    (letters,) = re.findall(r'<template id="answers">([A-Za-z0-9+/=]*)</template>', page)
    return json.loads(gzip.decompress(base64.b64decode(letters)))


def test_the_headline_has_every_runs_numbers(hostile_page: Path, make_answers: Make) -> None:
    headline = rows_of(hostile_page.read_text(), "glyphworld")
    for seed, run in ((0, "A, before"), (1, "B, after")):
        answers = make_answers(seed=seed, images=1)
        image = answers["glyphworld_image"]
        unsafe, safe = ([record for record in image if record.label == label] for label in ("unsafe", "safe"))
        text = [record for record in answers["glyphworld_text"] if record.label == "unsafe"]
        called_unsafe = sum(record.verdict == "unsafe" for record in safe)
        decided = sum(record.verdict in ("safe", "unsafe") for record in safe)
        answered = sum(record.verdict != "failed" for record in safe)
        for measure, drop, wrong in (
            ("Image alignment, unsafe", f"{accuracy(unsafe, 'drop'):.3f}", f"{accuracy(unsafe, 'wrong'):.3f}"),
            (
                "Over-refusal: safe images called unsafe",
                f"{called_unsafe / decided:.3f}",
                f"{called_unsafe / answered:.3f}",
            ),
            (
                "Modality gap: text-only minus image, unsafe",
                f"{modality_gap(text, unsafe, 'drop').pooled.value:+.3f}",
                f"{modality_gap(text, unsafe, 'wrong').pooled.value:+.3f}",
            ),
        ):
            (cells,) = [cells for cells in headline[measure] if cells[0] == run]
            assert (cells[1].split()[0], cells[2].split()[0]) == (drop, wrong)
        (cells,) = [cells for cells in headline["Image alignment, unsafe"] if cells[0] == run]
        failed = sum(record.verdict == "failed" for record in unsafe)
        na = sum(record.verdict == "na" for record in unsafe)
        assert cells[3:] == [
            f"{na / (len(unsafe) - failed):.3f}",
            f"{failed / len(unsafe):.3f}",
            "75",
            str(len(unsafe)),
        ]


def percent(records: list[Judgement]) -> str:
    return f"{100 * accuracy(records, 'drop'):.1f}\N{NO-BREAK SPACE}%"


def test_a_chapter_opens_with_what_the_gap_means(hostile_page: Path, make_answers: Make) -> None:
    page = hostile_page.read_text()
    answers = make_answers("unsafeconcepts", seed=2, images=1)
    perception, text, image = (
        [record for record in answers[f"unsafeconcepts_{probe}"] if record.label == "unsafe"]
        for probe in ("perception", "text", "image")
    )
    safe = [record for record in answers["unsafeconcepts_image"] if record.label == "safe"]
    gap = modality_gap(text, image, "drop").pooled
    assert gap.low is not None and gap.high is not None and gap.low > 0
    opening = re.search(
        r'<h2 id="unsafeconcepts">.*?</h2>\s*<section[^>]*>\s*<h3[^>]*>(.*?)</h3>\s*<p class="answer">(.*?)</p>', page
    )
    assert opening and opening[1] == "The modality gap"
    assert opening[2] == (
        f"On UnsafeConcepts, three recognises the unsafe concept in {percent(perception)} of the images, judges "
        f"{percent(text)} right in words and {percent(image)} right as images: the modality gap is "
        f"<strong>{gap.value:+.3f} [{gap.low:+.3f}, {gap.high:+.3f}]</strong>, so it judges the same concepts worse as "
        f"images than in words; it judges {percent(safe)} of the safe images right."
    )
    before, after = re.findall(r'<p class="answer">(.*?)</p>', page)[1:]
    assert before.startswith("A, before: on glyphworld (a stand-in), one (pretrained=&lt;script&gt;")
    assert after.startswith("B, after: on glyphworld (a stand-in), two recognises ")


@pytest.mark.parametrize(
    ("tasks", "verdicts", "said"),
    [
        (("image", "text"), {"image": "unsafe", "text": "unsafe"}, "which includes 0"),
        (
            ("image", "text"),
            {"image": "unsafe", "text": "safe"},
            "it judges the same concepts better as images than in words;",
        ),
        (("image",), {}, "the modality gap is <strong>not known</strong>, since nothing was asked in words."),
        (
            ("image", "text"),
            {"image": "na"},
            "<strong>not known</strong>, since no concept has a verdict in words and one",
        ),
    ],
)
def test_a_gap_that_is_no_gap_is_not_called_one(
    tmp_path: Path,
    make_answers: Make,
    write: Write,
    make_page: MakePage,
    tasks: tuple[str, ...],
    verdicts: dict[str, str],
    said: str,
) -> None:
    answers = {
        f"glyphworld_{task}": [
            replace(record, verdict=verdicts.get(task, record.verdict))
            for record in make_answers(images=1)[f"glyphworld_{task}"]
        ]
        for task in tasks
    }
    write(tmp_path / "run", answers)
    (answer,) = re.findall(r'<p class="answer">(.*?)</p>', make_page(tmp_path / "page.html", tmp_path / "run"))
    assert said in answer


def test_what_was_run_comes_last(hostile_page: Path) -> None:
    page = hostile_page.read_text()
    last = page[page.index('<h2 id="runs">What was run</h2>') :]
    assert page.index('<h2 id="responses">') < page.index('<h2 id="runs">') and last.count("<h2") == 1
    assert re.findall(r"<h3[^>]*>(.*?)</h3>", last) == ["Evaluations (unsafeconcepts)", "Evaluations (glyphworld)"]
    # The caveats stay beside the numbers.
    assert "Judge: rules-1. Decoding: greedy" not in last and page.count("Decoding: greedy") == 2


def test_sources_have_chapters_of_their_own(hostile_page: Path) -> None:
    page = hostile_page.read_text()
    starts = [page.index(f'<h2 id="{name}">') for name in ("unsafeconcepts", "glyphworld", "responses")]
    benchmark, stand_in = page[starts[0] : starts[1]], page[starts[1] : starts[2]]
    assert "three" in benchmark and "stand-in" not in benchmark and "two" not in benchmark.split("<svg")[0]
    assert "stand-in, not the benchmark" in stand_in and "three" not in stand_in
    assert page.count('class="banner" role="note"') == 1
    assert [chapter["source"] for chapter in payload_of(page)] == ["unsafeconcepts", "glyphworld"]


def test_before_and_after_are_told_within_a_source(hostile_page: Path) -> None:
    page = hostile_page.read_text()
    assert "<b>A</b>: three on unsafeconcepts" in page
    assert "<b>A, before</b>: one (pretrained=&lt;script&gt;" in page and "<b>B, after</b>: two on glyphworld" in page
    assert page.count("Before and after</h3>") == 1


def test_what_was_not_asked_has_no_section(
    tmp_path: Path, make_answers: Make, ask_likelihood: Make, write: Write
) -> None:
    answers = make_answers(images=1)
    perception = {"glyphworld_perception": answers["glyphworld_perception"]}
    write(tmp_path / "perception", perception)
    write(tmp_path / "likelihood", ask_likelihood(answers))
    write(tmp_path / "sampled", {f"{task}_sampled": records for task, records in answers.items()})
    found = {}
    for name in ("perception", "likelihood", "sampled"):
        output = tmp_path / f"{name}.html"
        assert main([str(tmp_path / name), "-o", str(output)]) == 0
        found[name] = re.findall(r'<h3 id="glyphworld-(\w+)">', output.read_text())
    assert found["perception"] == ["headline", "categories", "runs"]
    assert found["likelihood"] == ["likelihood", "runs"]
    assert found["sampled"] == ["gap", "headline", "generalisation", "categories", "runs"]
    assert "tiny on glyphworld, sampled" in (tmp_path / "sampled.html").read_text()


def test_nothing_runs_or_is_fetched_beyond_the_one_script(hostile_page: Path) -> None:
    page = hostile_page.read_text()
    (script,) = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}';" in page
    assert page.count("<style") == 1
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert "alert(" not in page.replace("&lt;script&gt;alert(3)&lt;/script&gt;", "")


def test_every_response_is_in_the_page(hostile_page: Path, make_answers: Make) -> None:
    _, stand_in = payload_of(hostile_page.read_text())
    items, names, texts = stand_in["items"], stand_in["names"], stand_in["texts"]
    for at, seed in enumerate((0, 1)):
        given = stand_in["answers"][at]
        shown = sorted(
            (
                names[items["task"][item]],
                items["row"][item],
                items["number"][item],
                names[items["expected"][item]],
                names[verdict],
            )
            for item, verdict in enumerate(given["verdict"])
            if verdict >= 0 and not names[items["task"][item]].endswith("_likelihood")
        )
        judged = make_answers(seed=seed, images=1)
        assert shown == sorted(
            (task, record.row, record.question, record.expected, record.verdict)
            for task, records in judged.items()
            for record in records
        )
    said = {texts[response] for response in stand_in["answers"][0]["response"]}
    assert any("</script></template>" in text and "\ud800" in text for text in said)
    assert any(re.fullmatch(r"P\(Yes\) = 0\.\d{4}, P\(No\) = 0\.\d{4}", text) for text in said)


def test_the_same_folders_give_the_same_page(
    tmp_path: Path, make_answers: Make, write: Write, make_page: MakePage
) -> None:
    write(tmp_path / "run", {"glyphworld_image": make_answers(images=1)["glyphworld_image"]})
    pages = [make_page(tmp_path / "page.html", tmp_path / "run") for _ in range(2)]
    assert pages[0] == pages[1]
    size = re.search(r"One file of (\d+) kB", pages[0])
    assert size and abs(int(size[1]) - len(pages[0].encode()) / 1e3) < 1
    assert "The modality gap" in pages[0] and "Differences" not in pages[0] and "data:image" not in pages[0]


def test_folders_are_compared_or_it_is_said_why_not(
    tmp_path: Path, make_answers: Make, write: Write, make_page: MakePage
) -> None:
    answers = [
        [
            replace(record, verdict="na") if record.verdict == FAILED else record
            for record in make_answers(seed=seed, images=1)["glyphworld_image"]
        ]
        for seed in range(2)
    ]
    for name, found in zip(("one", "two", "part"), (*answers, answers[1][:-1]), strict=True):
        write(tmp_path / name, {"glyphworld_image": found}, model=name)
    runs = [tmp_path / name for name in ("one", "two", "part")]
    page = make_page(tmp_path / "page.html", *runs, "--margin", "0.05")
    start = page.index('<h3 id="glyphworld-comparison">Differences</h3>')
    section = page[start : page.index("</section>", start)]
    (pair,) = compare(runs[:2], 0.05).pairs
    assert "B against A" in section and "Against a margin of 0.05" in section
    for row in pair.rows:
        assert f"{row.change:+.3f}" in section and row.title in section
    assert "C against A: not compared." in section and str(runs[2]) in section


def test_runs_of_test_and_contexts_alone_are_a_page(
    tmp_path: Path, make_answers: Make, generalise: Make, write: Write, make_page: MakePage
) -> None:
    both = [generalise(make_answers("unsafeconcepts", seed=seed, images=1)) for seed in range(2)]
    for name, answers in zip("ab", both, strict=True):
        write(tmp_path / name, answers, model=name)
    page = make_page(tmp_path / "page.html", tmp_path / "a", tmp_path / "b")
    headline = page[page.index('id="unsafeconcepts-headline"') : page.index('id="unsafeconcepts-compared"')]
    for answers in both:
        assert f"{accuracy(answers['unsafeconcepts_test'], 'wrong'):.3f}" in headline
    figure = page[page.index('id="unsafeconcepts-compared"') : page.index('id="unsafeconcepts-generalisation"')]
    for name in (
        "TEST, all",
        "SMID, unsafe",
        "NSFW, safe",
        "TEST, safe context, all",
        "Text-only, unsafe context, all",
    ):
        assert name in figure


def test_a_margin_that_is_no_share_is_refused(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "run", {"glyphworld_image": make_answers(images=1)["glyphworld_image"]})
    assert main([str(tmp_path / "run"), "-o", str(tmp_path / "page.html"), "--margin", "5"]) == 2
    assert "--margin 5.0: expected a share between 0 and 1" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_images_are_put_in_only_when_asked_for(
    tmp_path: Path, make_answers: Make, generalise: Make, write: Write, make_page: MakePage
) -> None:
    answers = make_answers(images=1)
    answers |= generalise(answers, "glyphworld")
    few = {task: answers[task][:6] for task in ("glyphworld_image", "glyphworld_text", "glyphworld_context_text_safe")}
    write(tmp_path / "run", few)
    without = payload_of(make_page(tmp_path / "without.html", tmp_path / "run"))
    page = make_page(tmp_path / "with.html", tmp_path / "run", "--include-images")
    assert without[0]["images"] == {}
    (chapter,) = payload_of(page)
    assert set(chapter["images"]) == {f"all/{record.row}" for record in few["glyphworld_image"]}
    assert all(image.startswith("data:image/jpeg;base64,/9j/") for image in chapter["images"].values())
    assert {chapter["names"][int(task)]: name for task, name in chapter["pictured"].items()} == {
        "glyphworld_image": "all"
    }
    assert "This page holds 2 images" in page and "gated" not in page.split('id="responses"')[1].split("<noscript>")[0]


def test_assets_are_the_pages_figures_and_tables(
    tmp_path: Path, make_answers: Make, write: Write, make_page: MakePage
) -> None:
    answers = make_answers(images=1)
    write(tmp_path / "run", answers)
    page = make_page(tmp_path / "page.html", tmp_path / "run", "--assets", tmp_path / "assets")
    written = {path.name for path in (tmp_path / "assets").iterdir()}
    for figure in re.findall(r'<figcaption id="(\w+)-figure-([\w-]+)-title">', page):
        assert {f"{figure[0]}-{figure[1]}.png", f"{figure[0]}-{figure[1]}.svg"} <= written
    assert {f"glyphworld-headline.{suffix}" for suffix in ("md", "csv", "tex")} <= written
    table = (tmp_path / "assets" / "glyphworld-headline.csv").read_text().splitlines()
    assert table[0].startswith('measure,na dropped,"na dropped, low","na dropped, high",na wrong')
    for line, cells in zip(table[1:], rows_of(page, "glyphworld").values(), strict=True):
        assert re.findall(r"[+-]?\d+\.\d+", line) == re.findall(r"[+-]?\d+\.\d+", " ".join(cells[0]))


def cut(folder: Path, pattern: str) -> None:
    (path,) = folder.rglob(pattern)
    path.write_text(path.read_text()[: path.stat().st_size // 2])


def other_harness(folder: Path) -> None:
    (path,) = folder.rglob("*_samples_glyphworld_image.jsonl")
    path.write_text(path.read_text().replace('"filtered_resps"', '"responses"'))


def wrong_names(folder: Path) -> None:
    (path,) = folder.rglob("*_samples_glyphworld_image.jsonl")
    path.write_text(path.read_text().replace('"judge"', '"judged_by"'))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: cut(folder, "*_results.json"), "_results.json, line 18: not JSON"),
        (lambda folder: cut(folder, "*.jsonl"), "the run was cut off while writing"),
        (lambda folder: next(folder.rglob("*.jsonl")).unlink(), "missing. The run was cut off"),
        (lambda folder: next(folder.rglob("*.jsonl")).write_text(""), "rows, found 0"),
        (other_harness, "image.jsonl, line 1: expected a question ('input') and a response ('filtered_resps') as text"),
        (wrong_names, "missing ['judge']"),
        (lambda folder: next(folder.rglob("*_results.json")).unlink(), "no <date>_results.json in it"),
    ],
)
def test_no_page_is_made_of_broken_folders(
    tmp_path: Path,
    make_answers: Make,
    write: Write,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    message: str,
) -> None:
    write(tmp_path / "run", {"glyphworld_image": make_answers(images=1)["glyphworld_image"]})
    damage(tmp_path / "run")
    assert main([str(tmp_path / "run"), "-o", str(tmp_path / "page.html")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("unsafeconcepts report: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "page.html").exists()


def test_what_cannot_be_asked_for_is_refused(
    tmp_path: Path, make_answers: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "run" / "inner", {"glyphworld_image": make_answers(images=1)["glyphworld_image"]})
    run = str(tmp_path / "run")
    for arguments, message in (
        ([str(tmp_path / "nowhere"), "-o", "page.html"], "no such folder"),
        ([run, "-o", "page.pdf"], "expected a name ending in .html"),
        ([run, run, "-o", "page.html"], "given twice"),
        ([run, f"{run}/inner", "-o", "page.html"], "run/inner: given twice, or inside another folder"),
        ([run, "-o", f"{run}/inner/20260101_120000_results.json/page.html"], "cannot be written"),
    ):
        assert main(arguments) == 2
        assert message in capsys.readouterr().err
