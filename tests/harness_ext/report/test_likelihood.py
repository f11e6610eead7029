"""Answers by likelihood in a report: beside the generated ones, never among them."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness_ext.commands.table import main
from harness_ext.common.errors import UserError
from harness_ext.metrics.agreement import agreement
from harness_ext.metrics.likelihood import auroc, brier, expected_calibration_error, mean_mass, reliability
from harness_ext.metrics.ratios import accuracy_estimate, modality_gap
from harness_ext.records import Judgement
from harness_ext.report.summary import summarise
from harness_ext.runs.load import load_runs

Answers = dict[str, list[Judgement]]
Make = Callable[..., Answers]
Write = Callable[..., Path]
DATE = "20260101_120000"


def of(records: list[Judgement], label: str) -> list[Judgement]:
    return [record for record in records if record.label == label]


def test_every_number_is_the_metrics_and_the_generated_ones_stay(make_answers: Make, ask_likelihood: Make) -> None:
    generated = make_answers(images=1)
    asked = ask_likelihood(generated)
    summary = summarise(generated, asked)
    assert replace(summary, likelihood=None) == summarise(generated)
    scores = summary.likelihood
    assert scores is not None and list(scores.probes) == ["perception", "image", "text"]
    image, text = asked["glyphworld_image_likelihood"], asked["glyphworld_text_likelihood"]
    assert scores.summary.image["safe"].wrong == accuracy_estimate(of(image, "safe"), "wrong")
    assert scores.summary.gap["none"].drop == modality_gap(of(text, "unsafe"), of(image, "unsafe"), "drop")
    for probe, numbers in scores.probes.items():
        records, others = asked[f"glyphworld_{probe}_likelihood"], generated[f"glyphworld_{probe}"]
        assert numbers.mass == {label: mean_mass(of(records, label)) for label in ("unsafe", "safe")}
        assert numbers.auroc == (None if probe == "perception" else auroc(records))
        assert numbers.calibration_error == expected_calibration_error(records)
        assert numbers.brier == brier(records)
        assert numbers.reliability == reliability(records)
        assert numbers.agreement == agreement(records, others)


def test_the_two_ways_are_never_pooled(make_answers: Make, ask_likelihood: Make) -> None:
    generated = make_answers(images=1)
    asked = ask_likelihood(generated)
    mixed = [*generated["glyphworld_image"][:10], asked["glyphworld_image_likelihood"][10]]
    with pytest.raises(ValueError, match="glyphworld_image: expected answers of the way 'generated' only"):
        summarise({"glyphworld_image": mixed})
    with pytest.raises(ValueError, match="glyphworld_image: expected answers of the way 'likelihood' only"):
        summarise({}, {"glyphworld_image": mixed})


def test_the_json_is_strict_json_and_without_likelihood_what_it_was(make_answers: Make, ask_likelihood: Make) -> None:
    generated = make_answers("unsafeconcepts", images=1)
    generated = {task: of(records, "unsafe") for task, records in generated.items()}
    values = json.loads(json.dumps(summarise(generated, ask_likelihood(generated)).to_json(), allow_nan=False))
    # No safe concepts, so nothing that unsafe ones could be told from.
    assert values["likelihood"]["probes"]["image"]["auroc"]["value"] is None
    assert values["likelihood"]["probes"]["image"]["brier"]["value"] > 0
    del values["likelihood"]
    assert values == summarise(generated).to_json()


def test_likelihoods_stand_beside_the_greedy_answers_of_the_same_weights(
    tmp_path: Path, make_answers: Make, ask_likelihood: Make, write: Write
) -> None:
    generated = make_answers(images=1)
    asked = ask_likelihood(generated)
    write(tmp_path / "one", generated | asked)
    write(tmp_path / "apart", generated, weights="w")
    write(tmp_path / "apart", {"glyphworld_image_likelihood": []} | asked, date="20260102_000000", weights="w")
    together, apart = (load_runs(tmp_path / name) for name in ("one", "apart"))
    for (run,) in (together, apart):
        assert {task: list(records) for task, records in run.answers.items()} == generated
        assert {task: list(records) for task, records in run.likelihood.items()} == asked
        assert (run.settings["judge"], run.settings["judge, likelihood"]) == ("rules-1", "likelihood-1")
    assert apart[0].settings["results file, likelihood"] == "20260102_000000_results.json"

    write(tmp_path / "other", generated, weights="w")
    write(tmp_path / "other", asked, date="20260102_000000", weights="others")
    greedy, likelihood = load_runs(tmp_path / "other")
    assert not greedy.likelihood and not likelihood.answers
    assert likelihood.settings["decoding"] == "none, likelihoods"


def changed(folder: Path, **changes: Any) -> None:
    """Change the first judgement of the image task by likelihood."""
    path = folder / f"{DATE}_samples_glyphworld_image_likelihood.jsonl"
    first, *lines = path.read_text(encoding="utf-8").split("\n")
    row = json.loads(first)
    row["judgement"] |= changes
    path.write_text("\n".join([json.dumps(row), *lines]), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"way": "generated", "scores": None}, "the way 'likelihood' by the task's name, found 'generated'"),
        ({"way": "guessed"}, "way: Input should be 'generated' or 'likelihood'"),
        ({"verdict": "safe", "scores": None}, "expected finite scores of"),
        ({"verdict": "safe", "scores": {"Yes": -1.0}}, "expected finite scores of"),
        ({"verdict": "safe", "scores": {"Yes": -1.0, "No": math.nan}}, "expected finite scores of"),
        ({"verdict": "failed", "scores": {"Yes": -1.0, "No": -1.0}}, "expected no scores"),
    ],
)
def test_a_broken_row_is_named(
    tmp_path: Path, make_answers: Make, ask_likelihood: Make, write: Write, changes: dict[str, Any], message: str
) -> None:
    asked = ask_likelihood(make_answers())
    write(tmp_path, {"glyphworld_image_likelihood": asked["glyphworld_image_likelihood"][:20]})
    changed(tmp_path, **changes)
    with pytest.raises(UserError, match=message) as error:
        load_runs(tmp_path)
    assert "image_likelihood.jsonl, line 1" in str(error.value)


def test_rows_written_before_there_were_two_ways_load(tmp_path: Path, make_answers: Make, write: Write) -> None:
    answers = {"glyphworld_image": make_answers()["glyphworld_image"]}
    write(tmp_path, answers)
    path = tmp_path / f"{DATE}_samples_glyphworld_image.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
    for row in rows:
        del row["judgement"]["way"], row["judgement"]["scores"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (run,) = load_runs(tmp_path)
    assert list(run.answers["glyphworld_image"]) == answers["glyphworld_image"]


def lines_of(text: str, block: str) -> list[str]:
    """The lines below a block's title, up to the next empty one."""
    below = text.split(f"\n{block}", 1)[1].splitlines()[1:]
    return below[: below.index("")] if "" in below else below


@pytest.mark.parametrize("width", ["80", "120"])
def test_the_table_shows_both_ways_whole(
    tmp_path: Path,
    make_answers: Make,
    ask_likelihood: Make,
    write: Write,
    width: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generated = make_answers(images=1)
    asked = ask_likelihood(generated)
    write(tmp_path / "generated", generated)
    write(tmp_path / "both", generated | asked)
    monkeypatch.setenv("COLUMNS", width)
    assert main([str(tmp_path / "generated")]) == 0
    alone = capsys.readouterr().out
    assert "ikelihood" not in alone
    outputs = [f"{tmp_path}/{name}" for name in ("t.md", "t.json", "c.png")]
    assert (
        main([str(tmp_path / "both"), "--markdown", outputs[0], "--json", outputs[1], "--calibration", outputs[2]]) == 0
    )
    printed = capsys.readouterr().out
    # What stands above the first block by likelihood is what stood there without it.
    assert printed.startswith(alone[: alone.index("\nWhat answers are like")].rstrip())
    assert max(map(len, printed.splitlines())) <= int(width) and "…" not in printed

    scores = summarise(generated, asked).likelihood
    assert scores is not None
    shown = []
    for name in ("perception", "image", "text"):
        probe = scores.probes[name]
        assert probe.agreement is not None
        shown += [probe.calibration_error, probe.brier, probe.agreement.equal]
        shown += [probe.auroc] if probe.auroc else []
    markdown = Path(outputs[0]).read_text()
    for estimate in shown:
        for part in (f"{estimate.value:.3f}", f"[{estimate.low:.3f}, {estimate.high:.3f}]"):
            assert part in printed and part in markdown
    kappa = scores.probes["image"].agreement.kappa  # type: ignore[union-attr]
    mass = scores.probes["image"].mass["unsafe"]
    assert f"{kappa.value:+.3f} [{kappa.low:+.3f}, {kappa.high:+.3f}]" in markdown
    assert f"| {mass:.3f} |" in next(
        line for line in markdown.split("By likelihood")[1].splitlines() if "Image" in line
    )
    perception = lines_of(printed, "By likelihood: separation")[2]
    assert perception.startswith("Perception") and "not defined" in perception
    (values,) = json.loads(Path(outputs[1]).read_text())["runs"]
    assert values["summary"]["likelihood"]["probes"]["image"]["auroc"]["value"] == scores.probes["image"].auroc.value  # type: ignore[union-attr]
    assert Path(outputs[2]).is_file() and Path(outputs[2]).with_suffix(".svg").is_file()


def test_likelihoods_alone_are_a_table_of_their_own(
    tmp_path: Path, make_answers: Make, ask_likelihood: Make, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    generated = make_answers(images=1)
    asked = ask_likelihood(generated)
    little = [
        replace(r, scores={k: v - 3 for k, v in r.scores.items()}) if r.scores else r
        for r in of(asked["glyphworld_image_likelihood"], "unsafe")
    ]
    write(tmp_path, {"glyphworld_image_likelihood": little})
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    first = lines_of(printed, "By likelihood: accuracy")[2]
    assert first.startswith("Image alignment, unsafe") and "not asked" in first
    assert "Accuracy" not in printed and "By category" not in printed and "agreement" not in printed
    assert "AUROC needs unsafe and safe concepts" in printed
    assert "rest on less than 50% of the mass (Image alignment, unsafe)" in " ".join(printed.split())
    assert "Judge: likelihood-1. Decoding: none, likelihoods." in printed
