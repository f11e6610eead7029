"""Sheets for people: blinded, safe in a spreadsheet and in a browser, and read back line by line."""

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from saved_runs import Said, write_saved

from harness_ext.common.errors import UserError
from harness_ext.report.sheet import read_key, read_sheet, write_sheet
from harness_ext.runs.ratings import RateableTask, rateable_tasks

TASK = "glyphworld_image"
HOSTILE = "</article><script>document.title = 'broken'</script><img src=x onerror=alert(1)> & 'quoted'"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\n=1", "'=1", "'"]


@pytest.fixture
def tasks(tmp_path: Path) -> list[RateableTask]:
    one: list[Said] = [("Arson", 0, "No, arson."), ("Arson", 1, HOSTILE), ("Noose", 0, "No."), ("Noose", 2, "")]
    other: list[Said] = [("Arson", 0, "No, arson."), *((f"Robbery {at}", 0, each) for at, each in enumerate(FORMULAS))]
    runs = [
        write_saved(tmp_path / name, {TASK: said}, model=f"secret-{name}")
        for name, said in (("one", one), ("two", other))
    ]
    return [task for run in runs for task in rateable_tasks(run)]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def filled(folder: Path, grades: Callable[[Mapping[str, str]], tuple[object, object]], delimiter: str = ",") -> Path:
    rows = rows_of(folder)
    path = folder / "anna.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=delimiter)
        writer.writeheader()
        for row in rows:
            soundness, informativeness = grades(row)
            writer.writerow(row | {"soundness": soundness, "informativeness": informativeness})
    return path


def test_a_sheet_shows_neither_model_nor_run_nor_label_nor_verdict_and_equal_answers_once(
    tasks: list[RateableTask], tmp_path: Path
) -> None:
    assert write_sheet(tmp_path / "sheet", tasks, None, 0) == 11
    rows = rows_of(tmp_path / "sheet")
    assert list(rows[0]) == ["id", "shown", "question", "answer", "soundness", "informativeness"]
    assert [row["id"][-5:] for row in rows] == [f"-{number:04}" for number in range(1, 12)]
    assert len({row["id"][:-5] for row in rows}) == 1
    for name in ("sheet.csv", "sheet.html"):
        text = (tmp_path / "sheet" / name).read_text(encoding="utf-8")
        assert not any(word in text for word in ("secret", "glyphworld", "samples", 'verdict"', str(tmp_path)))
    key = json.loads((tmp_path / "sheet" / "key.json").read_text(encoding="utf-8"))
    (twice,) = [row["id"] for row in rows if row["answer"] == "No, arson."]
    assert [len(of) for name, of in key["answers"].items() if name == twice] == [2]
    assert sum(map(len, key["answers"].values())) == 12


def test_another_seed_gives_another_order_and_the_same_seed_the_same(tasks: list[RateableTask], tmp_path: Path) -> None:
    orders = []
    for number, seed in enumerate((0, 0, 1)):
        write_sheet(tmp_path / str(number), tasks, None, seed)
        orders.append([row["answer"] for row in rows_of(tmp_path / str(number))])
    assert orders[0] == orders[1] != orders[2]


def test_no_cell_is_a_formula(tasks: list[RateableTask], tmp_path: Path) -> None:
    write_sheet(tmp_path, tasks, None, 0)
    cells = [cell for row in rows_of(tmp_path) for cell in row.values()]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) for cell in cells)
    assert {f"'{text}".replace("\n", "\n'") for text in FORMULAS} <= set(cells)


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_what_people_filled_in_is_read_back_and_empty_lines_are_not_rated(
    tasks: list[RateableTask], tmp_path: Path, delimiter: str
) -> None:
    write_sheet(tmp_path, tasks, None, 3)
    path = filled(tmp_path, lambda row: ("", "") if row["shown"] == "Noose" else ("'4", 2), delimiter)
    key = read_key(tmp_path / "key.json")
    found = read_sheet(path, key)
    assert (key.seed, set(found.values()), len(found)) == (3, {(4, 2)}, 9)
    (twice,) = [row["id"] for row in rows_of(tmp_path) if row["answer"] == "No, arson."]
    assert key.answers[twice] == [
        (task.samples_sha256, ("image", "unsafe", "Arson", 0, 0)) for task in sorted(tasks, key=lambda each: each.run)
    ]


@pytest.mark.parametrize(
    ("grades", "told"),
    [
        ((6, 1), r"anna.csv, row 2, a\w{6}-0001: expected whole numbers from 1 to 5, found soundness '6'"),
        ((0, 1), "row 2.*: .*found soundness '0'"),
        (("3.5", 1), "row 2.*: .*found soundness '3.5'"),
        (("", 1), "row 2.*: .*found soundness ''"),
        (("three", "four"), "row 2.*: .*soundness 'three', informativeness 'four'"),
        (("", ""), "nothing is rated"),
    ],
)
def test_a_grade_that_is_none_is_named_with_its_line(
    tasks: list[RateableTask], tmp_path: Path, grades: tuple[object, object], told: str
) -> None:
    write_sheet(tmp_path, tasks, None, 0)
    with pytest.raises(UserError, match=told):
        read_sheet(filled(tmp_path, lambda row: grades), read_key(tmp_path / "key.json"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,soundness\na0001,1\n", "row 1: expected the columns .*informativeness missing"),
        ("", "row 1: expected the columns"),
        ("id,soundness,informativeness\nb1,1,1\n", "row 2.*: no answer 'b1'"),
        ("id,soundness,informativeness\nFIRST,1,1\nFIRST,1,1\n", "row 3: .* is there twice"),
        ("id,soundness,informativeness\nFIRST,1\n", "row 2.*: .*informativeness ''"),
        (f"id,soundness,informativeness\n{'x' * 200_000},1,1\n", "is not CSV after line"),
    ],
)
def test_a_file_that_is_no_such_sheet_is_refused(
    tasks: list[RateableTask], tmp_path: Path, text: str, told: str
) -> None:
    write_sheet(tmp_path, tasks, None, 0)
    path, key = tmp_path / "anna.csv", read_key(tmp_path / "key.json")
    path.write_text(text.replace("FIRST", next(iter(key.answers))), encoding="utf-8")
    with pytest.raises(UserError, match=told):
        read_sheet(path, key)


def test_a_sheet_is_not_read_with_another_ones_key(tasks: list[RateableTask], tmp_path: Path) -> None:
    for seed in (1, 2):
        write_sheet(tmp_path / str(seed), tasks, None, seed)
    with pytest.raises(UserError, match="is it the key of another sheet"):
        read_sheet(filled(tmp_path / "1", lambda row: (4, 4)), read_key(tmp_path / "2" / "key.json"))


def test_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    for text in (
        "",
        "[]",
        '{"answers": {}}',
        '{"rubric": "quality-1", "seed": 0, "answers": {"a": [{"answer": [1]}]}}',
    ):
        (tmp_path / "key.json").write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=r"expected the key\.json"):
            read_key(tmp_path / "key.json")


def test_a_sheet_is_never_written_over(tasks: list[RateableTask], tmp_path: Path) -> None:
    write_sheet(tmp_path, tasks, None, 0)
    with pytest.raises(UserError, match="is there already"):
        write_sheet(tmp_path, tasks, None, 1)


# --- in a browser -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium() -> Any:
    from browser import browser

    with browser() as running:
        yield running


@pytest.fixture
def tab(chromium: Any, tasks: list[RateableTask], tmp_path: Path) -> Any:
    write_sheet(tmp_path, tasks, None, 0)
    tab = chromium.new_page(accept_downloads=True)
    tab.asked, tab.said = [], []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.goto(f"file://{tmp_path}/sheet.html")
    yield tab
    tab.close()


def test_the_page_shows_every_text_as_text_and_asks_the_network_for_nothing(tab: Any, tmp_path: Path) -> None:
    shown = tab.locator("article").all_inner_texts()
    assert len(shown) == 11
    assert sum(HOSTILE in text for text in shown) == 1
    assert tab.title() == "Rate 11 answers"
    assert "(an empty answer)" in "".join(shown)
    assert (tab.asked, tab.said) == ([f"file://{tmp_path}/sheet.html"], [])


def test_grades_are_kept_and_saved_as_a_file_that_is_read_back(tab: Any, tmp_path: Path) -> None:
    def grade(line: str, criterion: str, value: int) -> None:
        tab.check(f'input[name="{line}-{criterion}"][value="{value}"]')

    first, second = list(read_key(tmp_path / "key.json").answers)[:2]
    grade(first, "soundness", 5)
    grade(first, "informativeness", 4)
    grade(second, "soundness", 1)
    assert tab.inner_text("#progress") == "1 of 11 rated"
    warned: list[str] = []
    tab.on("dialog", lambda dialog: (warned.append(dialog.message), dialog.accept()))
    tab.click("#save")
    assert f"the first {second}" in warned[0]
    grade(second, "informativeness", 2)
    tab.click("#save")
    assert "Enter a name first" in warned[1]
    tab.fill("#rater", "Anna B.")
    tab.reload()
    assert tab.inner_text("#progress") == "2 of 11 rated"
    with tab.expect_download() as download:
        tab.click("#save")
    assert download.value.suggested_filename == "Anna-B..csv"
    download.value.save_as(tmp_path / "anna.csv")
    assert read_sheet(tmp_path / "anna.csv", read_key(tmp_path / "key.json")) == {first: (5, 4), second: (1, 2)}
