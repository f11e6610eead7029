"""Tables as CSV, read back by another reader, and as LaTeX, whose special signs are text; SVG in a page's colours."""

import io
import re

import pandas
import pytest
from matplotlib.figure import Figure

from harness_ext.report.cells import Block
from harness_ext.report.page.formats import csv_table, latex_table
from harness_ext.report.page.layout import numeric_columns, short_columns, spans, whole_columns
from harness_ext.report.page.page import inline_svg

BLOCK = Block(
    'Accuracy of "a & b"',
    ("measure, of", "value", "model"),
    (
        (("Perception",), ("0.500", "[0.250, 0.750]"), ("50%_of $x$ {y} #1 \\ ~ ^ <z>",)),
        (("Perception",), ("none",), ("b",)),
        (("Gap",), ("-0.100", "[-0.200, +0.000]"), ("c",)),
    ),
)


def test_csv_has_a_column_for_each_end_of_an_interval() -> None:
    table = pandas.read_csv(io.StringIO(csv_table(BLOCK)), keep_default_na=False)
    assert list(table.columns) == ["measure, of", "value", "value, low", "value, high", "model"]
    assert table["value"].tolist() == ["0.500", "none", "-0.100"]
    assert table["value, low"].tolist() == ["0.250", "", "-0.200"]
    assert table["value, high"].tolist() == ["0.750", "", "+0.000"]
    assert table["model"][0] == "50%_of $x$ {y} #1 \\ ~ ^ <z>"


def test_csv_keeps_the_parts_of_a_cell_without_an_interval_together() -> None:
    block = Block("", ("", "units"), ((("Hate",), ("10 concepts,", "50 answers")), (("MME",), ("5 images",))))
    table = pandas.read_csv(io.StringIO(csv_table(block)))
    assert table["units"].tolist() == ["10 concepts, 50 answers", "5 images"] and len(table.columns) == 2


def test_latex_escapes_what_it_would_read_as_commands() -> None:
    table = latex_table(BLOCK, "gap")
    assert r"\caption{Accuracy of " '"a \\& b"}' in table
    assert (
        r"50\%\_of \$x\$ \{y\} \#1 \textbackslash{} \textasciitilde{} \textasciicircum{} \textless{}z\textgreater{} \\"
        in table
    )
    assert r"\begin{tabular}{lrl}" in table
    body = re.search(r"\\midrule\n(.*?)\\bottomrule", table, re.DOTALL)
    assert body and [line.count(" & ") for line in body[1].splitlines() if line.endswith(r"\\")] == [2, 2, 2]


def test_columns_are_told_by_what_they_hold() -> None:
    assert numeric_columns(BLOCK) == [False, True, False]
    assert short_columns(BLOCK) == [False, True, True]
    path = ("/a/folder/of/results",)
    assert short_columns(Block("", ("", "a", "b"), ((("x",), ("not shown",), path),))) == [False, True, False]
    parts = Block("", ("", "units", "run"), ((("x",), ("75 concepts,", "3750 answers"), ("the run of PPO",)),))
    assert whole_columns(parts) == [False, True, True] and whole_columns(BLOCK) == [False, False, False]
    assert spans(BLOCK) == [2, 0, 1]


def drawn(colour: str) -> Figure:
    figure = Figure(figsize=(2, 1))
    axes = figure.add_subplot()
    axes.plot([0, 1], color=colour)
    axes.set_title("</text><script>alert(1)</script>")
    return figure


def test_a_figure_takes_the_pages_colours_and_ids_of_its_own() -> None:
    one, two = inline_svg(lambda: drawn("#0072B2"), "one"), inline_svg(lambda: drawn("#0072B2"), "two")
    assert "var(--blue)" in one and not re.search(r"#[0-9a-f]{6}", one)
    assert "<script>" not in one and "<style" not in one and "metadata" not in one
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, two)]
    assert ids[0] and not ids[0] & ids[1]
    for svg, names in zip((one, two), ids, strict=True):
        assert set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", svg)) <= names
    with pytest.raises(ValueError, match="no light and dark form of the colour #123456"):
        inline_svg(lambda: drawn("#123456"), "three")
