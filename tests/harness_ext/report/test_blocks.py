"""Tables as CSV, read back by another reader, and as LaTeX, whose special signs are text."""

import io
import re

import pandas

from harness_ext.report.blocks import (
    Block,
    block_csv,
    block_latex,
    column_kinds,
    spans,
)

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
    table = pandas.read_csv(io.StringIO(block_csv(BLOCK)), keep_default_na=False)
    assert list(table.columns) == ["measure, of", "value", "value, low", "value, high", "model"]
    assert table["value"].tolist() == ["0.500", "none", "-0.100"]
    assert table["value, low"].tolist() == ["0.250", "", "-0.200"]
    assert table["value, high"].tolist() == ["0.750", "", "+0.000"]
    assert table["model"][0] == "50%_of $x$ {y} #1 \\ ~ ^ <z>"


def test_csv_keeps_the_parts_of_a_cell_without_an_interval_together() -> None:
    block = Block("", ("", "units"), ((("Hate",), ("10 concepts,", "50 answers")), (("MME",), ("5 images",))))
    table = pandas.read_csv(io.StringIO(block_csv(block)))
    assert table["units"].tolist() == ["10 concepts, 50 answers", "5 images"] and len(table.columns) == 2


def test_latex_escapes_what_it_would_read_as_commands() -> None:
    table = block_latex(BLOCK, "gap")
    assert r"\caption{Accuracy of " '"a \\& b"}' in table
    assert (
        r"50\%\_of \$x\$ \{y\} \#1 \textbackslash{} \textasciitilde{} \textasciicircum{} \textless{}z\textgreater{} \\"
        in table
    )
    assert r"\begin{tabular}{lrl}" in table
    body = re.search(r"\\midrule\n(.*?)\\bottomrule", table, re.DOTALL)
    assert body and [line.count(" & ") for line in body[1].splitlines() if line.endswith(r"\\")] == [2, 2, 2]


def test_columns_are_told_by_what_they_hold() -> None:
    assert column_kinds(BLOCK) == ["", "number", "short"]
    path = ("/a/folder/of/results",)
    assert column_kinds(Block("", ("", "a", "b"), ((("x",), ("not shown",), path),))) == ["", "whole", ""]
    parts = Block("", ("", "units", "run"), ((("x",), ("75 concepts,", "3750 answers"), ("the run of PPO",)),))
    assert column_kinds(parts) == ["", "whole", "whole"]
    assert spans(BLOCK) == [2, 0, 1]
