"""The page: one file with everything in it, which fetches nothing; and the same figures and tables as files beside it."""

import base64
import hashlib
import io
import json
import re
import secrets
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from matplotlib.figure import Figure

from harness_ext import __version__
from harness_ext.common.files import write_text
from harness_ext.common.output import neutral_text
from harness_ext.registry import benchmark_named
from harness_ext.report.blocks import (
    Block,
    block_csv,
    block_latex,
    block_markdown,
    column_kinds,
    markdown_text,
    spans,
)
from harness_ext.report.figures import drawn, write_figure
from harness_ext.report.page.chapters import Chapter
from harness_ext.report.page.responses import NOT_ASKED, encode, read_responses
from harness_ext.report.page.sections import Picture, Section

_PACKAGE: Final = "harness_ext.report.page"
# The figures' colours, each a variable of page.css with a value for light and one for dark.
_COLOURS: Final = {
    "#000000": "--ink",
    "#333333": "--ink-soft",
    "#444444": "--ink-soft",
    "#999999": "--grey",
    "#b0b0b0": "--grid",
    "#d9d9d9": "--band",
    "#eeeeee": "--grid",
    "#ffffff": "--paper",
    # Okabe and Ito's.
    "#0072b2": "--blue",
    "#56b4e9": "--sky",
    "#009e73": "--green",
    "#e69f00": "--orange",
    "#d55e00": "--vermilion",
    "#cc79a7": "--pink",
}
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}\b")
_FONT: Final = re.compile(r"'DejaVu Sans'[^;]*")
_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "http://www.w3.org/1999/xlink"
Chapters = Sequence[tuple[Chapter, Sequence[Section]]]


def render(chapters: Chapters, command: str, include_images: bool = False) -> tuple[str, int, int]:
    """Make the page: the file's content, and how many responses and images are in it.

    ``command`` is the one that makes it. With ``include_images`` images are put in, blurred until they are asked for.

    Raises:
        UserError: A response is no text, or the images cannot be read.
    """
    responses = [read_responses(chapter, include_images) for chapter, _ in chapters]
    images = sum(len(each["images"]) for each in responses)
    count = sum(verdict != NOT_ASKED for each in responses for run in each["answers"] for verdict in run["verdict"])
    script = Markup(_resource("page.js"))
    # Of no text that comes from outside, and of as many letters every time.
    place_of_size = secrets.token_hex(16)
    html = _template().render(
        chapters=chapters,
        titles={chapter.source: benchmark_named(chapter.source).full_title for chapter, _ in chapters},
        models=list(dict.fromkeys(shown.run.model for chapter, _ in chapters for shown in chapter.shown)),
        gated_images=any(each["images"] and benchmark_named(each["source"]).gated for each in responses),
        command=command,
        version=__version__,
        responses=count,
        images=images,
        size=place_of_size,
        payload=encode(responses) if count else "",
        style=Markup(_resource("page.css")),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    )
    return html.replace(place_of_size, file_size(len(html.encode("utf-8")))), count, images


def file_size(count: int) -> str:
    """A number of bytes for a reader, as in "4.1 MB"."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _template() -> Template:
    loader = PackageLoader(_PACKAGE, "")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        finalize=neutral_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(column_kinds=column_kinds, spans=spans)
    environment.filters["kind"] = lambda part: type(part).__name__
    environment.filters["svg"] = lambda picture, name: Markup(inline_svg(picture.draw, name))
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment.get_template("page.html.jinja")


def _resource(name: str) -> str:
    return (files(_PACKAGE) / name).read_text(encoding="utf-8")


# --- figures ----------------------------------------------------------------------------------------------------------


def inline_svg(draw: Callable[[], Figure], name: str) -> str:
    """Draw a figure as SVG in the page's type, in colours of its theme, with ids of its own.

    ``name`` is unique among the page's figures; ``NAME-title`` is the id of the caption that describes it.

    Raises:
        ValueError: It has a colour for which the page has no light and dark form.
    """
    written = io.BytesIO()
    with drawn(draw) as figure:
        figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(written.getvalue())
    for parent in root.iter():
        for child in list(parent):
            # The page has one style sheet, and nobody reads who drew its figures.
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style") or child.tag.endswith("}RDF"):
                parent.remove(child)
    for element in root.iter():
        _fit(element, name)
    for size in ("width", "height"):
        del root.attrib[size]
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title")
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _fit(element: ElementTree.Element, name: str) -> None:
    if identity := element.get("id"):
        element.set("id", f"{name}-{identity}")
    if target := element.get(f"{{{_XLINK}}}href"):
        element.set(f"{{{_XLINK}}}href", target.replace("#", f"#{name}-", 1))
    for key in ("clip-path", "style", "fill", "stroke"):
        if (value := element.get(key)) is not None:
            value = value.replace("url(#", f"url(#{name}-")
            element.set(key, _FONT.sub("var(--sans)", _COLOUR.sub(_variable, value)))


def _variable(found: re.Match[str]) -> str:
    colour = found[0].lower()
    if colour not in _COLOURS:
        raise ValueError(
            f"the page has no light and dark form of the colour {colour}: add it to _COLOURS and to page.css"
        )
    return f"var({_COLOURS[colour]})"


# --- files beside the page --------------------------------------------------------------------------------------------


def write_assets(chapters: Chapters, folder: Path) -> None:
    """Write ``<source>-<name>`` files: figures as PNG and SVG, tables as Markdown, CSV and LaTeX. Raises ``UserError``.

    Beside a figure that brings its numbers they lie as JSON.
    """
    for chapter, sections in chapters:
        for section in sections:
            tables = [part for part in section.parts if isinstance(part, Block)]
            for number, block in enumerate(tables, start=1):
                name = f"{chapter.source}-{section.name}" + (f"-{number}" if len(tables) > 1 else "")
                titled = Block(
                    f"{block.title}. {benchmark_named(chapter.source).full_title}.", block.header, block.rows
                )
                write_text(folder / f"{name}.md", f"{markdown_text(titled.title)}\n\n{block_markdown(block)}\n")
                write_text(folder / f"{name}.csv", block_csv(block))
                write_text(folder / f"{name}.tex", block_latex(titled, name))
            for part in section.parts:
                if isinstance(part, Picture):
                    write_figure(part.draw, folder / f"{chapter.source}-{part.name}.png")
                    if part.figures is not None:
                        numbers = json.dumps(part.figures, indent=2)
                        write_text(folder / f"{chapter.source}-{part.name}.json", f"{numbers}\n")
