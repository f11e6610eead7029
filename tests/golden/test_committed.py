"""The tables in results/ have the headings and rows that the present code gives them: one of an old commit is found out.

The same command is run over the saved runs of ``tests/golden/runs``, about the same tasks, and their headings are compared.
"""

import contextlib
import importlib.util
import os
import re
from pathlib import Path
from unittest.mock import patch

import pytest

_spec = importlib.util.spec_from_file_location("golden_make", Path(__file__).with_name("make.py"))
golden = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(golden)

REPOSITORY = Path(__file__).parents[2]
RESULTS = REPOSITORY / "results"
# What depends on the answers, not on the code: which conventions differ, which categories were asked about.
_CONVENTION = re.compile(r"na (dropped|wrong)|no answer was na")
Heading = tuple[str, ...]


def headings(text: str) -> dict[str, set[Heading]]:
    """Of a Markdown document's tables, by title: the header's cells, and the first cell of each row."""
    found: dict[str, set[Heading]] = {}
    title, header = "", False
    for line in text.splitlines():
        if not line.startswith("|"):
            header = False
            title = line.lstrip("# ") if line.startswith("#") else title
            continue
        cells = tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        if header and not set("".join(cells)) <= set("-: "):
            found[title].add(cells[:1])
        elif not header:
            found.setdefault(title, set()).add(cells)
            header = True
    return found


def structure(text: str) -> dict[str, set[Heading]]:
    """The headings that the code alone decides: neither the settings of a run nor the categories that were asked about."""
    found: dict[str, set[Heading]] = {}
    for title, of_table in headings(text).items():
        if title != "Settings":
            name = _CONVENTION.sub("…", title)
            kept = {each for each in of_table if len(each) > 1} if title.startswith("By category") else of_table
            found.setdefault(name, set()).update(kept)
    return found


def tasks(text: str) -> list[str]:
    """What the runs behind a table asked, as its settings say."""
    return [name for row in re.findall(r"^\| tasks[^|]*\|([^|]*)\|", text, re.M) for name in re.findall(r"\w+", row)]


def golden_table(command: str, folder: Path) -> str:
    """The Markdown that a command writes about the saved runs."""
    golden.lay_out(folder)
    with contextlib.chdir(folder), patch.dict(os.environ, {"UNSAFECONCEPTS_ANSWERS": "none", "COLUMNS": "200"}):
        golden._printed(f"{command} --markdown made.md")
    return (folder / "made.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["table.md", "likelihood.md"])
def test_the_tables_of_the_embedded_model_are_todays(name: str, tmp_path: Path) -> None:
    committed = (RESULTS / "glyphworld" / name).read_text(encoding="utf-8")
    asked = tasks(committed)
    assert len(asked) >= 5
    chosen = " ".join(f"--task {each}" for each in asked)
    assert structure(committed) == structure(
        golden_table(f"unsafeconcepts table runs/original {chosen}", tmp_path / "a")
    )


def headers(text: str) -> set[Heading]:
    return {each for of_table in headings(text).values() for each in of_table if len(each) > 1}


def test_the_leaderboard_is_what_its_lines_give_today(tmp_path: Path) -> None:
    with patch.dict(os.environ, {"COLUMNS": "200"}), contextlib.chdir(REPOSITORY):
        golden._printed(f"unsafeconcepts leaderboard results/leaderboard.jsonl --markdown {tmp_path / 'made.md'}")
    made, committed = (path.read_text(encoding="utf-8") for path in (tmp_path / "made.md", RESULTS / "leaderboard.md"))
    # The first lines have the command.
    assert made[made.index("#") :] == committed[committed.index("#") :]


@pytest.mark.parametrize("name", ["guard-stub.md", "glyph-vlm.md", "policies.md"])
def test_the_tables_of_the_own_demo_have_todays_headers(name: str) -> None:
    case = "compare" if name == "policies.md" else "table"
    today = headers((golden.OUTPUTS / case / f"{case}.md").read_text(encoding="utf-8"))
    committed = headings((RESULTS / "own-demo" / name).read_text(encoding="utf-8"))
    found = {
        each for title, of_table in committed.items() for each in of_table if len(each) > 1 and "verdicts" not in title
    }
    assert found and found <= today


@pytest.mark.parametrize("name", ["table.md", "dpo.md", "ablations.md"])
def test_the_tables_of_align_have_todays_rows(name: str) -> None:
    today = (golden.OUTPUTS / "align-table" / "align-table.md").read_text(encoding="utf-8")
    committed = (RESULTS / "align" / name).read_text(encoding="utf-8")
    assert first_cells(committed) == first_cells(today)


def test_the_table_of_ways_has_todays_columns() -> None:
    today = (golden.OUTPUTS / "align-ways" / "align-ways.md").read_text(encoding="utf-8")
    assert headers((RESULTS / "ways" / "table.md").read_text(encoding="utf-8")) == headers(today)


def first_cells(text: str) -> set[str]:
    """The names of all rows of a document's tables, without the counts behind some."""
    return {re.sub(r" \(.*", "", line.split("|")[1].strip()) for line in text.splitlines() if line.startswith("|")}


def test_a_renamed_row_and_a_missing_one_are_found_out(tmp_path: Path) -> None:
    committed = (RESULTS / "glyphworld" / "table.md").read_text(encoding="utf-8")
    first = structure(committed)
    for changed in (
        committed.replace("| Perception, unsafe |", "| Perception of unsafe concepts |"),
        re.sub(r"\| Perception, safe \|.*\n", "", committed),
        committed.replace("| concepts | asked |", "| concepts |"),
        committed.replace("## Accuracy", "## Right answers"),
    ):
        assert changed != committed and structure(changed) != first
