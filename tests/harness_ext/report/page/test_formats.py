"""SVG in a page's colours."""

import re

import pytest
from matplotlib.figure import Figure

from harness_ext.report.page.page import inline_svg


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
