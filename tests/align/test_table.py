"""The comparison's figures against arithmetic, and the command over made-up evaluations in the harness's own format."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from compared import evaluation, rows
from hypothesis import given
from hypothesis import strategies as st

from align.comparison import evaluations
from align.crossed import CrossedEstimate, difference, share
from align.table import main
from harness_ext.common.errors import UserError
from harness_ext.common.files import sha256
from harness_ext.glyphworld.concepts import NEVER_SEEN
from harness_ext.judges.base import RatedAnswer
from harness_ext.judges.llm.prompt import QUALITY
from harness_ext.metrics.ratios import accuracy_estimate
from harness_ext.records import Judgement
from harness_ext.runs.ratings import RateableTask, write_people


def width(estimate: CrossedEstimate) -> float:
    assert estimate.low is not None and estimate.high is not None
    return estimate.high - estimate.low


COUNTS = st.lists(st.integers(0, 10), min_size=12, max_size=12)


@given(COUNTS)
def test_a_share_is_the_mean_and_lies_in_its_interval(right: list[int]) -> None:
    counts = np.array(right, float).reshape(2, 6)
    found = share(counts, np.full((2, 6), 10.0))
    assert found.value == pytest.approx(sum(right) / 120)
    assert found.seeds == pytest.approx(tuple(counts.sum(1) / 60))
    assert found.low is not None and found.high is not None
    assert found.low - 1e-12 <= found.value <= found.high + 1e-12


def test_over_one_seed_it_is_the_interval_over_concepts() -> None:
    rng = np.random.default_rng(0)
    right = rng.binomial(10, rng.uniform(0.3, 0.9, size=60)).astype(float)
    records = [
        Judgement("glyphworld", "image", at, f"c{at:03}", "Hate", "unsafe", 0, "unsafe", verdict, "rules-1")
        for at, count in enumerate(right)
        for verdict in ["unsafe"] * int(count) + ["safe"] * int(10 - count)
    ]
    expected = accuracy_estimate(records, "wrong")
    found = share(right[None], np.full((1, 60), 10.0))
    assert found.value == pytest.approx(expected.value)
    assert (found.low, found.high) == (expected.low, expected.high)


def test_a_difference_is_paired_by_concept() -> None:
    """Where both sides vary together, their difference hardly varies."""
    rng = np.random.default_rng(0)
    right, asked = rng.integers(1, 10, (2, 40)).astype(float), np.full((2, 40), 10.0)
    noise = rng.integers(0, 2, (2, 40))
    together, apart = (
        difference((right, asked), (right - noise, asked)),
        difference((right, asked), (right[:, ::-1], asked)),
    )
    assert width(together) < 0.7 * width(apart)
    assert together.value == pytest.approx(noise.sum() / 800)


def test_what_never_differed_still_could() -> None:
    """All right over three seeds: the interval is that of as many concepts, not a point."""
    found = share(np.full((3, 75), 10.0), np.full((3, 75), 10.0))
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.952, abs=0.001)


def test_seeds_that_differ_widen_the_interval() -> None:
    alike = share(np.tile(np.arange(50.0) % 3 + 4, (3, 1)), np.full((3, 50), 10.0))
    apart = share(np.array([[2.0] * 50, [5.0] * 50, [8.0] * 50]), np.full((3, 50), 10.0))
    assert width(alike) < 0.12
    assert width(apart) > 0.2


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def comparison(tmp_path: Path) -> Path:
    for seed, shift in ((1, 0.0), (2, 0.1)):
        evaluation(tmp_path / f"seed{seed}" / "ppo" / "eval", 0.8 + shift)
        evaluation(tmp_path / f"seed{seed}" / "original" / "eval", 0.4 + shift)
        final = tmp_path / f"seed{seed}" / "ppo" / "final"
        final.mkdir()
        (final / "run.json").write_text(json.dumps({"cpu_seconds": 100 * seed}))
    return tmp_path


def test_the_table(comparison: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = {name: comparison / f"table.{name}" for name in ("md", "json", "png")}
    assert main([str(comparison), *(f"--{name}={written[key]}" for name, key in
                 (("markdown", "md"), ("json", "json"), ("figure", "png")))]) == 0  # fmt: skip
    assert "glyphworld, a stand-in and not the benchmark" in capsys.readouterr().out
    table = written["md"].read_text()
    assert table.splitlines()[0] == "| | original | ppo |"
    figures = json.loads(written["json"].read_text())["methods"]
    records = [row["judgement"] for right in (0.8, 0.9) for row in rows(right, "image")]
    new = [each for each in records if each["label"] == "unsafe" and each["concept"] in NEVER_SEEN]
    expected = sum(each["verdict"] == each["expected"] for each in new) / len(new)
    assert figures["ppo"]["unsafe images, concepts never trained on"]["value"] == pytest.approx(expected)
    assert len(figures["ppo"]["unsafe images"]["seeds"]) == 2
    assert figures["ppo"]["CPU seconds of training"] == 150 and figures["original"]["CPU seconds of training"] is None
    diversity = figures["ppo"]["diversity (1 - self-BLEU)"]
    assert 0 < diversity["low"] <= diversity["value"] <= diversity["high"] <= 1
    # Every answer names the concept and its own number.
    assert figures["ppo"]["distinct answers"] == 1.0
    assert figures["ppo"]["names what is shown"]["value"] == 1.0
    assert not any("soundness" in name for name in figures["ppo"])
    gap = figures["original"]["gap"]
    assert gap["low"] <= gap["value"] <= gap["high"] and abs(gap["value"]) < 0.1
    assert written["png"].stat().st_size > 10_000 and written["png"].with_suffix(".svg").is_file()


def test_ratings_are_shown_where_one_rater_rated_all_methods(comparison: Path) -> None:
    def rate(folder: Path, rater: str, grades: tuple[int, int]) -> None:
        (path,) = folder.rglob("*_samples_glyphworld_image.jsonl")
        records = [json.loads(line)["judgement"] for line in path.read_text().splitlines()]
        answers = {
            (each["probe"], each["label"], each["concept"], each["row"], each["question"]): RatedAnswer(0, "No.")
            for each in records
        }
        task = RateableTask(folder, "glyphworld_image", path, sha256(path), answers, 0)
        write_people(task, rater, QUALITY, 0, dict.fromkeys(list(answers)[::2], grades))

    for seed, method, soundness in ((1, "original", 2), (2, "original", 3), (1, "ppo", 4), (2, "ppo", 5)):
        rate(comparison / f"seed{seed}" / method, "people:anna", (soundness, 5))
    rate(comparison / "seed1" / "ppo", "people:ben", (1, 1))
    written = comparison / "table.json"
    assert main([str(comparison), "--json", str(written)]) == 0
    figures = json.loads(written.read_text())["methods"]
    found = {name: figures[name]["soundness from 1 to 5, by people:anna"] for name in ("original", "ppo")}
    assert {name: each["value"] for name, each in found.items()} == pytest.approx({"original": 2.5, "ppo": 4.5})
    assert found["ppo"]["seeds"] == pytest.approx([4, 5])
    assert 1 <= found["ppo"]["low"] <= 4.5 <= found["ppo"]["high"] <= 5
    assert figures["ppo"]["informativeness from 1 to 5, by people:anna"]["value"] == 5
    assert not any("people:ben" in name for name in figures["ppo"])


def test_what_the_original_never_says_is_told_apart(comparison: Path) -> None:
    written = comparison / "table.json"
    assert main([str(comparison), f"--json={written}"]) == 0
    found = json.loads(written.read_text())["by what the original judged right"]
    expected: dict[str, dict[str, list[bool]]] = {"original": defaultdict(list), "ppo": defaultdict(list)}
    cells = Counter()
    for shift in (0.0, 0.1):
        right = {
            method: [
                (row["concept"], row["verdict"] == row["expected"])
                for row in (each["judgement"] for each in rows(share + shift, "image"))
                if row["label"] == "unsafe"
            ]
            for method, share in (("original", 0.4), ("ppo", 0.8))
        }
        for concept in {name for name, _ in right["original"]}:
            rate = np.mean([correct for name, correct in right["original"] if name == concept])
            stratum = "at most 10 %" if rate <= 0.1 else "10 to 50 %" if rate <= 0.5 else "more than 50 %"
            cells[stratum] += 1
            for method, answers in right.items():
                expected[method][stratum] += [correct for name, correct in answers if name == concept]
    assert len(cells) > 1
    for method, strata in expected.items():
        assert found[method].keys() == {f"{name} ({count} of 150)" for name, count in cells.items()}
        for name, answers in strata.items():
            figure = found[method][f"{name} ({cells[name]} of 150)"]
            assert (
                figure["value"] == pytest.approx(np.mean(answers))
                and figure["low"] <= figure["value"] <= figure["high"]
            )


def test_methods_are_chosen_and_compared(comparison: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = comparison / "table.json"
    assert main([str(comparison), "--methods", "ppo", "original", "--against", "original", f"--json={written}"]) == 0
    assert "Difference to original, paired by concept" in capsys.readouterr().out
    found = json.loads(written.read_text())
    assert list(found["methods"]) == ["ppo", "original"] and list(found["against"]["original"]) == ["ppo"]
    for name, figure in found["against"]["original"]["ppo"].items():
        before, after = (found["methods"][method][name]["value"] for method in ("original", "ppo"))
        assert figure["value"] == pytest.approx(after - before) and figure["low"] <= figure["value"] <= figure["high"]
    assert evaluations(comparison, ["original"]).keys() == {"original"}
    with pytest.raises(UserError, match="--against: expected one of original, ppo, found sft"):
        main([str(comparison), "--against", "sft"])
    with pytest.raises(UserError, match="seed1: expected evaluations of sft, ppo, found ppo"):
        evaluations(comparison, ["sft", "ppo"])


def test_a_skill_that_a_seed_does_not_ask_of_a_concept(comparison: Path) -> None:
    """Whether it is asked, as of a position, depends on the images; a concept that is not asked about at all is a fault."""
    concept = rows(1.0, "capability")[0]["judgement"]["concept"]

    def leave_out(*questions: int) -> None:
        for method in ("original", "ppo"):
            folder = comparison / "seed2" / method / "eval"
            path = folder / "20260101_000000_samples_glyphworld_capability.jsonl"
            found = [json.loads(line) for line in path.read_text().splitlines()]
            kept = [
                row
                for row in found
                if row["judgement"]["concept"] != concept or row["judgement"]["question"] not in questions
            ]
            path.write_text("".join(json.dumps(row) + "\n" for row in kept))
            results = json.loads((folder / "20260101_000000_results.json").read_text())
            results["n-samples"]["glyphworld_capability"] = {"original": len(kept), "effective": len(kept)}
            (folder / "20260101_000000_results.json").write_text(json.dumps(results))

    leave_out(2)
    assert main([str(comparison), "--json", str(comparison / "table.json")]) == 0
    position = json.loads((comparison / "table.json").read_text())["methods"]["ppo"]["position"]
    asked = [
        row["judgement"]
        for seed, right in ((1, 0.8), (2, 0.9))
        for row in rows(right, "capability")
        if row["judgement"]["question"] == 2 and (seed == 1 or row["judgement"]["concept"] != concept)
    ]
    assert position["value"] == pytest.approx(sum(each["verdict"] == each["expected"] for each in asked) / len(asked))
    leave_out(0, 1)
    with pytest.raises(UserError, match="glyphworld_capability: the evaluations asked about other concepts"):
        main([str(comparison)])


def test_seeds_are_chosen(comparison: Path) -> None:
    assert {len(each) for each in evaluations(comparison, only=[2]).values()} == {1}
    with pytest.raises(UserError, match="no seed3; there is seed1, seed2"):
        evaluations(comparison, only=[1, 3])


@pytest.mark.parametrize(
    ("file", "part", "key", "message"),
    [
        ("results.json", "config", "weights_identity", "are of different models"),
        ("samples_glyphworld_image.jsonl", "judgement", "row", "were not asked the same questions of glyphworld_image"),
    ],
)
def test_what_is_not_of_one_comparison(comparison: Path, file: str, part: str, key: str, message: str) -> None:
    path = comparison / "seed2" / "ppo" / "eval" / f"20260101_000000_{file}"
    first, *rest = path.read_text().splitlines()
    content = json.loads(first)
    content[part][key] = "another" if key == "weights_identity" else 7777
    path.write_text("\n".join([json.dumps(content), *rest]) + "\n")
    with pytest.raises(UserError, match=f"seed2: original and ppo {message}"):
        evaluations(comparison)


@pytest.mark.parametrize("problem", ["nothing", "a task", "a method", "two evaluations"])
def test_what_cannot_be_compared(tmp_path: Path, problem: str) -> None:
    if problem != "nothing":
        evaluation(tmp_path / "seed1" / "ppo" / "eval", 0.5, ("image", "text") if problem == "a task" else
                   ("image", "text", "perception", "capability"))  # fmt: skip
    if problem == "a method":
        evaluation(tmp_path / "seed2" / "sft" / "eval", 0.5)
    if problem == "two evaluations":
        evaluation(tmp_path / "seed1" / "ppo" / "again", 0.5)
    expected = {
        "nothing": "expected evaluations of methods, found none",
        "a task": "the evaluation lacks glyphworld_capability, glyphworld_perception",
        "a method": "seed2: expected evaluations of ppo, found sft",
        "two evaluations": "expected one evaluation of glyphworld_image, found 2",
    }
    with pytest.raises(UserError, match=expected[problem]):
        evaluations(tmp_path)
