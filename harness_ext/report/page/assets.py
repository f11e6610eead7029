"""The page's figures and tables as files, for a paper or a repository."""

from collections.abc import Sequence
from pathlib import Path

from harness_ext.common.files import write_text
from harness_ext.report.cells import Block
from harness_ext.report.figure import write_figure
from harness_ext.report.page.formats import csv_table, latex_table
from harness_ext.report.page.parts import Picture
from harness_ext.report.page.runs import Chapter
from harness_ext.report.page.sections import Section
from harness_ext.report.table import SOURCE_TITLES, block_markdown


def write_assets(chapters: Sequence[tuple[Chapter, Sequence[Section]]], folder: Path) -> list[Path]:
    """Write ``<source>-<name>`` files: figures as PNG and SVG, tables as Markdown, CSV and LaTeX.

    Returns:
        The files.

    Raises:
        UserError: One cannot be written.
    """
    written = []
    for chapter, sections in chapters:
        for section in sections:
            tables = [part for part in section.parts if isinstance(part, Block)]
            for number, block in enumerate(tables, start=1):
                name = f"{chapter.source}-{section.name}" + (f"-{number}" if len(tables) > 1 else "")
                for suffix, text in _formats(block, name, SOURCE_TITLES[chapter.source]).items():
                    path = folder / f"{name}.{suffix}"
                    write_text(path, text)
                    written.append(path)
            for part in section.parts:
                if isinstance(part, Picture):
                    path = folder / f"{chapter.source}-{part.name}.png"
                    write_figure(part.draw, path)
                    written += [path, path.with_suffix(".svg")]
    return written


def _formats(block: Block, name: str, source: str) -> dict[str, str]:
    titled = Block(f"{block.title}. {source}.", block.header, block.rows)
    return {
        "md": f"{titled.title}\n\n{block_markdown(block)}\n",
        "csv": csv_table(block),
        "tex": latex_table(titled, name),
    }
