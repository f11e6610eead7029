"""The figure shows the reliability curves as they are, and its files come out the same each time."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from harness_ext.common.errors import UserError
from harness_ext.records import Judgement
from harness_ext.report.calibration_figure import draw_calibration, save_calibration
from harness_ext.report.scores import Summary
from harness_ext.report.summary import summarise
from harness_ext.runs.load import Run

Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]


@pytest.fixture(scope="module")
def asked(make_answers: Make, ask_likelihood: Make) -> tuple[Run, Summary]:
    generated = make_answers(images=1)
    likelihood = {task: tuple(records) for task, records in ask_likelihood(generated).items()}
    run = Run(f"tiny (pretrained={'/a/long/path/$weights$' * 6})", "glyphworld", False, {}, {}, (), likelihood)
    return run, summarise({}, likelihood)


def test_a_panel_a_probe_with_its_curve_and_its_error(asked: tuple[Run, Summary]) -> None:
    run, summary = asked
    assert summary.likelihood is not None
    probes = summary.likelihood.probes
    panels = draw_calibration(run, summary).axes
    assert len(panels) == len(probes) == 3
    for axes, numbers in zip(panels, probes.values(), strict=True):
        (curve,) = (line for line in axes.lines if line.get_marker() in ("o", "s", "D"))
        assert list(curve.get_xdata()) == [point.confidence for point in numbers.reliability]
        assert list(curve.get_ydata()) == [point.accuracy.value for point in numbers.reliability]
        bars = [list(line.get_ydata()) for line in axes.lines if line.get_alpha() == 0.5]
        assert bars == [[point.accuracy.low, point.accuracy.high] for point in numbers.reliability]
        assert f"ECE {numbers.calibration_error.value:.3f}" in axes.get_title()


def test_nothing_is_cut_off_or_overlaps(asked: tuple[Run, Summary]) -> None:
    figure = draw_calibration(*asked)
    figure.canvas.draw()
    heading = figure._suptitle.get_window_extent()  # type: ignore[union-attr, attr-defined]
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(heading.y0 >= each.y1 for each in titles)
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(titles))
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_png_and_svg_are_the_same_each_time(asked: tuple[Run, Summary], tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_calibration(*asked, tmp_path / "made" / f"{name}.png")
    made = tmp_path / "made"
    assert "stand-in" in (made / "one.svg").read_text()
    for kind in ("png", "svg"):
        assert (made / f"one.{kind}").read_bytes() == (made / f"two.{kind}").read_bytes()


def test_a_run_without_likelihoods_is_refused(make_answers: Make) -> None:
    run = Run("tiny", "glyphworld", False, {}, {}, ())
    with pytest.raises(UserError, match="the run has none: evaluate glyphworld_likelihood"):
        draw_calibration(run, summarise(make_answers()))
