"""The figures show the summary's numbers, and their files come out the same each time."""

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import matplotlib.image
import pytest

from harness_ext.common.errors import UserError
from harness_ext.records import Judgement
from harness_ext.report.figures import draw, draw_calibration, write_figure
from harness_ext.report.scores import Summary
from harness_ext.report.summary import summarise
from harness_ext.runs.load import Run

Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]


def run_of(answers: Answers, model: str = "tiny") -> Run:
    source = next(iter(answers)).partition("_")[0]
    return Run(model, source, False, {task: tuple(records) for task, records in answers.items()}, {}, ())


def test_marks_stand_at_the_numbers(make_answers: Make) -> None:
    run = run_of(make_answers())
    summary = summarise(run.answers)
    axes = draw(run, summary).axes[0]
    marks: dict[str, list[float]] = {}
    for line in axes.lines:
        if line.get_marker() in ("o", "s", "D"):
            marks.setdefault(str(line.get_marker()), []).append(float(line.get_xdata()[0]))  # type: ignore[index]
    scores = summary.categories
    assert marks["o"] == [summary.text["none"]["unsafe"].drop.value, *(s.text["none"].drop.value for s in scores)]
    assert marks["s"] == [summary.image["unsafe"].drop.value, *(s.image.drop.value for s in scores if s.image)]
    assert marks["D"] == [
        summary.perception["unsafe"].drop.value,
        *(s.perception.drop.value for s in scores if s.perception),
    ]
    texts = [text.get_text() for text in axes.texts]
    for gap in (summary.gap["none"], *(s.gap["none"] for s in scores)):
        assert f"{gap.drop.pooled.value:+.2f}" in texts
        ends = gap.drop.pooled.low, gap.drop.pooled.high
        assert ("no interval" if None in ends else "[{:+.2f}, {:+.2f}]".format(*ends)) in texts
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "All unsafe concepts",
        *(s.category for s in scores),
    ]


def test_nothing_is_cut_off_and_the_title_names_model_and_source(make_answers: Make) -> None:
    long_name = f"tiny (pretrained={'/a/long/path/to/$weights$' * 6})"
    figure = draw(run_of(make_answers(), long_name), summarise(make_answers()))
    figure.canvas.draw()
    heading, legend = figure._suptitle.get_window_extent(), figure.axes[0].get_legend().get_window_extent()  # type: ignore[union-attr, attr-defined]
    assert heading.y0 >= legend.y1
    beside = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text()]
    for index, one in enumerate([legend, *beside]):
        assert not any(one.overlaps(other) for other in beside[index:])
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    assert "$weights$" in figure.get_suptitle()
    assert figure.get_suptitle().replace("\n", " ").endswith("on glyphworld: a stand-in, not the benchmark")


def test_png_and_svg_are_written_and_the_same_each_time(make_answers: Make, tmp_path: Path) -> None:
    run = run_of(make_answers())
    summary = summarise(run.answers)
    for name in ("one", "two"):
        write_figure(partial(draw, run, summary), tmp_path / "made" / f"{name}.png")
    made = tmp_path / "made"
    assert matplotlib.image.imread(made / "one.png").shape[1] == 2200
    svg = (made / "one.svg").read_text()
    assert "Public and personal health" in svg and "stand-in" in svg
    for kind in ("png", "svg"):
        assert (made / f"one.{kind}").read_bytes() == (made / f"two.{kind}").read_bytes()


def test_one_side_alone_is_drawn_without_a_gap(make_answers: Make) -> None:
    run = run_of({"glyphworld_image": make_answers()["glyphworld_image"]})
    texts = [text.get_text() for text in draw(run, summarise(run.answers)).axes[0].texts]
    assert texts.count("none") == 10


def test_a_run_without_alignment_answers_is_refused(make_answers: Make) -> None:
    run = run_of({"glyphworld_perception": make_answers()["glyphworld_perception"]})
    with pytest.raises(UserError, match="about alignment on unsafe concepts, and the run has no such answers"):
        draw(run, summarise(run.answers))


# --- calibration ------------------------------------------------------------------------------------------------------


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


def test_in_the_calibration_nothing_is_cut_off_or_overlaps(asked: tuple[Run, Summary]) -> None:
    figure = draw_calibration(*asked)
    figure.canvas.draw()
    heading = figure._suptitle.get_window_extent()  # type: ignore[union-attr, attr-defined]
    titles = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(heading.y0 >= each.y1 for each in titles)
    assert not any(one.overlaps(other) for one, other in itertools.pairwise(titles))
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height


def test_the_calibration_is_the_same_each_time(asked: tuple[Run, Summary], tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_figure(partial(draw_calibration, *asked), tmp_path / "made" / f"{name}.png")
    made = tmp_path / "made"
    assert "stand-in" in (made / "one.svg").read_text()
    for kind in ("png", "svg"):
        assert (made / f"one.{kind}").read_bytes() == (made / f"two.{kind}").read_bytes()


def test_a_run_without_likelihoods_is_refused(make_answers: Make) -> None:
    run = Run("tiny", "glyphworld", False, {}, {}, ())
    with pytest.raises(UserError, match="the run has none: evaluate glyphworld_likelihood"):
        draw_calibration(run, summarise(make_answers()))
