"""The two ways of asking, through lmms-eval and the table, as a user runs them."""

import json
import math

import pytest

from harness_ext.commands.glyphworld import load_checkpoint
from harness_ext.glyphworld.build import ensure_model


@pytest.fixture(scope="module")
def both(run_warm, tmp_path_factory):
    """The embedded model asked in both ways, in text of the last unsafe and the first safe concepts."""
    out = tmp_path_factory.mktemp("both")
    finished = run_warm(
        "lmms_eval", "--model", "glyph-vlm", "--tasks", "glyphworld_likelihood,glyphworld_gap,glyphworld_perception",
        "--offset", "350", "--limit", "100", "--batch_size", "64", "--log_samples", "--output_path", out,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return out


@pytest.fixture(scope="module")
def summary(run, both, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    table = run("unsafeconcepts", "table", both, "--json", folder / "s.json", "--calibration", folder / "c.png")
    assert table.returncode == 0, table.stderr
    assert (folder / "c.png").stat().st_size > 10_000
    (shown,) = json.loads((folder / "s.json").read_text())["runs"]
    return shown["summary"]


def rows(folder, task):
    (file,) = folder.rglob(f"*_samples_{task}.jsonl")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_greedy_answers_begin_with_what_is_likelier(summary):
    for probe, least in (("image", 0.99), ("text", 0.99), ("perception", 0.98)):
        numbers = summary["likelihood"]["probes"][probe]
        assert numbers["agreement"]["equal"]["value"] >= least
        assert numbers["agreement"]["equal"]["n_answers"] + numbers["agreement"]["generated_na"] == 100
        assert all(0.9 < mass <= 1.000001 for mass in numbers["mass"].values())


def test_harness_and_table_say_the_same(both, summary):
    results = json.loads(next(both.rglob("*_results.json")).read_text())["results"]
    by_likelihood = summary["likelihood"]["summary"]
    shown = [score["unsafe"]["drop"]["value"] for score in (by_likelihood["image"], by_likelihood["text"]["none"])]
    printed = [results[f"glyphworld_{task}_likelihood"]["acc_unsafe,none"] for task in ("image", "text")]
    assert printed == pytest.approx(shown)
    assert results["glyphworld_gap_likelihood"]["acc_unsafe,none"] == pytest.approx(shown[1] - shown[0])
    separation = summary["likelihood"]["probes"]["text"]["auroc"]["value"]
    assert results["glyphworld_text_likelihood"]["auroc,none"] == pytest.approx(separation)
    assert separation > 0.95


def test_the_probability_of_no_is_the_models_own(both):
    # Read off the checkpoint without harness and backend: its first token's probability of any spelling of "no".
    asked = rows(both, "glyphworld_text_likelihood")[:8]
    answered = load_checkpoint(ensure_model()).ask([(None, row["input"]) for row in asked])
    scores = [math.exp(row["judgement"]["scores"]["No"]) for row in asked]
    assert scores == pytest.approx([chance for _, chance in answered], abs=1e-4)
