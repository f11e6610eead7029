"""A figure as SVG inside a page: in the page's type, in colours of its theme, with ids of its own.

Every colour that a figure uses is one of ``COLOURS``: a variable of ``page.css``, with a value for light and one for dark.
"""

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS: Final = {
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
_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "{http://www.w3.org/1999/xlink}href"
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}\b")
_FONT: Final = re.compile(r"'DejaVu Sans'[^;]*")


def inline_svg(draw: Callable[[], "Figure"], name: str) -> str:
    """Draw a figure for the page.

    Args:
        draw: Makes it.
        name: Unique among the page's figures: ``<name>-title`` is the id of the caption that describes it.

    Raises:
        ValueError: It has a colour that is not one of ``COLOURS``.
    """
    import matplotlib

    written = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "unsafeconcepts", "svg.fonttype": "none"}):
        draw().savefig(written, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(written.getvalue())
    for parent in root.iter():
        for child in list(parent):
            # The page has one style sheet, and nobody reads who drew its figures.
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style") or child.tag.endswith("}RDF"):
                parent.remove(child)
    for element in root.iter():
        _dress(element, name)
    for size in ("width", "height"):
        del root.attrib[size]
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title")
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    return ElementTree.tostring(root, encoding="unicode")


def _dress(element: ElementTree.Element, name: str) -> None:
    if identity := element.get("id"):
        element.set("id", f"{name}-{identity}")
    if target := element.get(_XLINK):
        element.set(_XLINK, target.replace("#", f"#{name}-", 1))
    for key in ("clip-path", "style", "fill", "stroke"):
        if (value := element.get(key)) is not None:
            value = value.replace("url(#", f"url(#{name}-")
            element.set(key, _FONT.sub("var(--sans)", _COLOUR.sub(_variable, value)))


def _variable(found: re.Match[str]) -> str:
    colour = found[0].lower()
    if colour not in COLOURS:
        raise ValueError(
            f"the page has no light and dark form of the colour {colour}: add it to COLOURS and to page.css"
        )
    return f"var({COLOURS[colour]})"
