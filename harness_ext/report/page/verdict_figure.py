"""Verdicts as a picture: of what is asked about images of unsafe concepts, how much is called what, by category."""

from collections import Counter
from typing import TYPE_CHECKING, Final

from harness_ext.benchmark.taxonomy import CATEGORIES
from harness_ext.common.errors import UserError
from harness_ext.runs.load import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Right first; the two that are no verdict last, in greys.
_LOOKS: Final = {"unsafe": "#0072B2", "safe": "#D55E00", "na": "#999999", "failed": "#D9D9D9"}
_LABELS: Final = {"unsafe": "unsafe (right)", "safe": "safe (wrong)", "na": "na", "failed": "failed"}


def verdicts(run: Run) -> dict[str, Counter[str]]:
    """How often the generated answers about images of unsafe concepts are what, overall and by category."""
    counts: dict[str, Counter[str]] = {}
    for records in run.answers.values():
        for record in records:
            if record.probe == "image" and record.label == "unsafe":
                for name in ("All unsafe concepts", record.category):
                    counts.setdefault(name, Counter())[record.verdict] += 1
    return {name: counts[name] for name in ("All unsafe concepts", *CATEGORIES) if name in counts}


def draw_verdicts(run: Run) -> "Figure":
    """Shares of all requests, failed ones too; raises ``UserError`` if there are no such answers."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not (counts := verdicts(run)):
        raise UserError("the figure is about answers to images of unsafe concepts, and the run has none")
    height = 0.36 * len(counts) + 1.1
    figure = Figure(figsize=(9.0, height))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.27, 0.6 / height, 0.62, 1 - 1.1 / height))
    for position, of_category in enumerate(counts.values()):
        total, left = of_category.total(), 0.0
        for verdict, colour in _LOOKS.items():
            share = of_category[verdict] / total
            axes.barh(
                position, share, left=left, height=0.66, color=colour, label=_LABELS[verdict] if position == 0 else None
            )
            left += share
        axes.annotate(
            f"{total:,}",
            (1.11, position),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            fontsize=10,
            annotation_clip=False,
        )
    axes.annotate(
        "asked", (1.11, -0.85), xycoords=("axes fraction", "data"), ha="right", fontsize=10, annotation_clip=False
    )
    axes.set_yticks(range(len(counts)), list(counts), fontsize=10)
    axes.get_yticklabels()[0].set_fontweight("bold")
    axes.set_ylim(len(counts) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("share of the questions about images of unsafe concepts", fontsize=10)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, fontsize=10)
    return figure
