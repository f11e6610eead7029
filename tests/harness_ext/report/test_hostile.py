"""A model with a hostile name, through every command that reports: terminal, Markdown, CSV, LaTeX, figure and page."""

import csv
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness_ext.commands import compare, leaderboard, report, table
from harness_ext.records import FAILED
from harness_ext.report.blocks import (
    Block,
    block_csv,
    block_latex,
    block_markdown,
    console,
    csv_document,
    print_block,
    print_boxed,
)

ESCAPES = "\x1b[31m\x9b2J\x07\u202e"
NAME = f"[red]x[/red]:smile:{ESCAPES}$\\frac$|<b>[a](javascript:b)"
FORMULA = '=HYPERLINK("http://x";"y")'
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture
def runs(tmp_path: Path, make_answers: Callable[..., Any], write: Callable[..., Path]) -> tuple[Path, Path]:
    for seed, name in enumerate(("one", "two")):
        answers = make_answers(seed=seed, images=1)
        whole = {
            task: [replace(each, verdict="na") if each.verdict == FAILED else each for each in records]
            for task, records in answers.items()
        }
        write(tmp_path / name, whole, model=NAME)
    return tmp_path / "one", tmp_path / "two"


def texts_of(folder: Path, *suffixes: str) -> Iterator[str]:
    files = [file for file in sorted(folder.rglob("*")) if file.suffix in suffixes]
    assert files
    yield from (file.read_text(encoding="utf-8") for file in files)


def test_every_command_tells_a_hostile_name_and_obeys_nothing(runs, tmp_path, capsys):
    one, two = map(str, runs)
    out = tmp_path / "out"
    entry = {
        **{
            "benchmark": "glyphworld",
            "model": NAME,
            "trained_on": "nothing of it",
            "judge": NAME,
            "decoding": "greedy",
        },
        **{"questions": [0], "na": "drop", "images": 5, "origin": "submitted", "source": f"https://x/{ESCAPES}"},
        **{"scores": {"image_unsafe": {"value": 0.5}, "text_unsafe": {"value": 0.5}}, "date": None, "note": FORMULA},
    }
    board = tmp_path / "board.jsonl"
    board.write_text(json.dumps(entry) + "\n", encoding="utf-8")
    for module, arguments in (
        (table, f"{one} --markdown {out}/t.md --figure {out}/t.png"),
        (compare, f"{one} {two} --markdown {out}/c.md --csv {out}/c.csv --latex {out}/c.tex"),
        (leaderboard, f"{board} --markdown {out}/l.md --csv {out}/l.csv --figure {out}/l.png"),
        (report, f"{one} {two} -o {out}/page.html --assets {out}/assets"),
    ):
        assert module.main(shlex.split(arguments)) == 0
    printed = capsys.readouterr()
    assert "[red]x[/red]:smile:" in printed.out and not COMMANDS.search(printed.out + printed.err)
    for text in texts_of(out, ".md", ".csv", ".tex", ".html", ".svg"):
        assert not COMMANDS.search(text)
    for text in texts_of(out, ".md"):
        assert not re.search(r"(?<!\\)(<b>|\]\(java)", text)
    with (out / "l.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["note"] for row in rows} == {f"'{FORMULA}"}


def test_a_model_named_like_a_place_of_the_page_does_not_take_it(tmp_path, make_answers, write):
    name = "{the size of this file}"
    write(tmp_path / "run", make_answers(images=1), model=name)
    assert report.main([str(tmp_path / "run"), "-o", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page.count(name) >= 2
    assert re.search(r"One file of [\d.]+ (kB|MB) that asks nothing", page)


BLOCK = Block(
    "*title* [b]x[/b]",
    ("[i]model[/i]", "gap"),
    (
        (("[red]a[/red]\n| b |",), ("-0.308", "[-0.4, +0.2]")),
        (("=1+1",), ("+0.616",)),
        (("@x",), ("-x",)),
        (("\tx",), ("<0.001",)),
    ),
    ("note :warning: [/]",),
)


def test_a_cell_is_no_formula_and_a_number_stays_one():
    rows = list(csv.reader(io.StringIO(block_csv(BLOCK))))
    assert [row[0] for row in rows[2:]] == ["'=1+1", "'@x", "'\tx"]
    assert [row[1] for row in rows[1:]] == ["-0.308", "+0.616", "'-x", "<0.001"]


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
def test_no_cell_is_a_formula_whatever_a_sheet_takes_for_the_separator(separator):
    texts = ("=1", "a;=1", "b\n=1", 'c; "=1"', "d|+1", "e\t@x", "f\n\n-x", "g ;=;=1", "h;＝1")
    written = csv_document(["name", *texts], [["row", *texts], *([text] for text in texts)], signed=True)
    cells = [cell for row in csv.reader(io.StringIO(written), delimiter=separator) for cell in row]
    assert len(cells) >= 2 * len(texts)
    assert not [cell for cell in cells if cell.lstrip(' "').startswith(("=", "+", "-", "@", "＝"))]
    assert "a: 1; b = 2\nc" in csv_document(["a: 1; b = 2\nc"], [])


def test_a_row_of_markdown_and_of_latex_stays_one_row():
    assert block_markdown(BLOCK).splitlines()[2] == "| [red]a[/red] \\| b \\| | -0.308 [-0.4, +0.2] |"
    assert "{[}red]a[/red] | b | & -0.308" in block_latex(BLOCK, "x")


def test_nothing_is_markup_to_rich(capsys):
    for show in (print_block, print_boxed):
        show(BLOCK, console(200))
        printed = capsys.readouterr().out
        for text in ("[b]x[/b]", "[i]model[/i]", "[red]a[/red]", ":warning: [/]"):
            assert text in printed
