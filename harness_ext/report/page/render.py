"""The page: one file with everything in it, nothing of which is fetched from anywhere."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness_ext import __version__
from harness_ext.report.cells import Block
from harness_ext.report.page.images import thumbnails
from harness_ext.report.page.layout import numeric_columns, short_columns, spans, whole_columns
from harness_ext.report.page.parts import Notes, Picture
from harness_ext.report.page.payload import encode
from harness_ext.report.page.responses import read_responses
from harness_ext.report.page.runs import Chapter
from harness_ext.report.page.sections import Section
from harness_ext.report.page.svg import inline_svg
from harness_ext.report.table import SOURCE_TITLES

_PACKAGE: Final = "harness_ext.report.page"
_SIZE: Final = "{the size of this file}"


@dataclass(frozen=True)
class Page:
    """A page, and what it holds.

    Attributes:
        html: The file's content.
        responses: How many responses are in it.
        images: How many images are.
    """

    html: str
    responses: int
    images: int


def render(chapters: Sequence[tuple[Chapter, Sequence[Section]]], command: str, include_images: bool = False) -> Page:
    """Make the page.

    Args:
        chapters: Each with its sections.
        command: The command that makes it, for whoever wants to make it again.
        include_images: Whether images are put in, which are blurred until they are asked for.

    Raises:
        UserError: A response is no text, or the images cannot be read.
    """
    answered = [(chapter, read_responses(chapter)) for chapter, _ in chapters]
    with_images = [
        (chapter, responses, thumbnails(chapter.source, responses) if include_images else {})
        for chapter, responses in answered
    ]
    count = sum(responses.count for _, responses in answered)
    images = sum(len(pictures) for _, _, pictures in with_images)
    script = Markup(_resource("page.js"))
    html = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            chapters=chapters,
            titles=SOURCE_TITLES,
            models=list(dict.fromkeys(shown.run.model for chapter, _ in chapters for shown in chapter.shown)),
            gated_images=any(pictures and chapter.source != "glyphworld" for chapter, _, pictures in with_images),
            command=command,
            version=__version__,
            responses=count,
            images=images,
            size=_SIZE,
            payload=encode(with_images) if count else "",
            style=Markup(_resource("page.css")),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        )
    )
    return Page(html.replace(_SIZE, file_size(len(html.encode("utf-8"))), 1), count, images)


def file_size(count: int) -> str:
    """A number of bytes for a reader, as in "4.1 MB"."""
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(_PACKAGE, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    kinds: dict[str, Any] = {"table": Block, "figure": Picture, "notes": Notes}
    environment.tests.update({name: lambda part, kind=kind: isinstance(part, kind) for name, kind in kinds.items()})
    environment.globals.update(
        numeric_columns=numeric_columns, short_columns=short_columns, spans=spans, whole_columns=whole_columns
    )
    environment.filters["svg"] = lambda picture, name: Markup(inline_svg(picture.draw, name))
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment


def _resource(name: str) -> str:
    return (files(_PACKAGE) / name).read_text(encoding="utf-8")
