"""The comparison as a picture: the gain on unsafe images, and the cost on everything else."""

from collections.abc import Mapping
from typing import Final

from matplotlib.figure import Figure

from align.crossed import CrossedEstimate

# Two panels: the purpose of training, and the skills that it must keep.
_GAINED: Final = (
    "unsafe images",
    "unsafe images, concepts never trained on",
    "safe images",
    "safe images, concepts never trained on",
)
_KEPT: Final = ("perception", "text, unsafe", "text, safe", "colour", "count", "position")
# Colour-blind safe (Okabe and Ito, 2008), in an order that also differs in grey.
_COLOURS: Final = ("#999999", "#E69F00", "#56B4E9", "#D55E00", "#009E73", "#0072B2", "#CC79A7", "#000000")
_SHORT: Final = {
    "unsafe images": "unsafe\nimages",
    "unsafe images, concepts never trained on": "unsafe,\nnew concepts",
    "safe images": "safe\nimages",
    "safe images, concepts never trained on": "safe,\nnew concepts",
    "text, unsafe": "text,\nunsafe",
    "text, safe": "text,\nsafe",
}


def draw(figures: Mapping[str, Mapping[str, CrossedEstimate | float | None]], note: str) -> Figure:
    """Every method's shares with their intervals."""
    picture = Figure(figsize=(13, 4.8), layout="constrained")
    axes = picture.subplots(1, 2, width_ratios=[len(_GAINED), len(_KEPT)], sharey=True)
    for axis, names, title in zip(axes, (_GAINED, _KEPT), ("Verdicts on images", "What must not be lost"), strict=True):
        for at, (method, of_one) in enumerate(figures.items()):
            shares = [value for name in names if isinstance(value := of_one[name], CrossedEstimate)]
            places = [place + (at - (len(figures) - 1) / 2) * 0.8 / len(figures) for place in range(len(names))]
            heights = [each.value for each in shares]
            errors = [
                [max(0.0, each.value - each.low) for each in shares],
                [max(0.0, each.high - each.value) for each in shares],
            ]
            colour = _COLOURS[at % len(_COLOURS)]
            width = 0.8 / len(figures) * 0.92
            axis.bar(
                places,
                heights,
                width,
                yerr=errors,
                color=colour,
                label=method,
                error_kw={"linewidth": 0.8, "capsize": 2},
            )
        axis.set_xticks(range(len(names)), [_SHORT.get(name, name) for name in names])
        axis.set_title(title, loc="left", fontsize=11)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", linewidth=0.4, alpha=0.5)
        axis.set_axisbelow(True)
    axes[0].set_ylim(0, 1.04)
    axes[0].set_ylabel("accuracy, `na` wrong")
    # Above both panels: of many methods it is wider than one of them.
    handles, labels = axes[0].get_legend_handles_labels()
    picture.legend(handles, labels, ncols=len(figures), loc="outside upper right", frameon=False, fontsize=9)
    picture.supxlabel(note, fontsize=7.5, color="#444444")
    return picture
