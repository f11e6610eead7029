"""`align ways`, over made-up evaluations in the harness's own format."""

import json
from pathlib import Path

import pytest
from compared import evaluation

from align.ways import main
from harness_ext.common.errors import UserError
from harness_ext.common.provenance import forget_model, record_provenance, recorded


def defended(folder: Path, right: float) -> None:
    evaluation(folder, right)
    # As a model's backend notes it, and the hooks write it.
    record_provenance(defence="caption", passes=2)
    noted = {name: recorded(name) for name in ("defence", "passes")}
    forget_model()
    (file,) = folder.glob("*_results.json")
    results = json.loads(file.read_text())
    results["config"] |= noted
    file.write_text(json.dumps(results))


@pytest.fixture
def ways(tmp_path: Path) -> Path:
    for seed, shift in ((1, 0.0), (2, 0.1)):
        folder = tmp_path / f"seed{seed}"
        evaluation(folder / "original" / "eval", 0.4 + shift)
        evaluation(folder / "sft" / "eval", 0.8 + shift)
        (folder / "sft" / "final").mkdir()
        (folder / "sft" / "final" / "run.json").write_text(json.dumps({"cpu_seconds": 100 * seed}))
        defended(folder / "caption" / "eval", 0.6 + shift)
    return tmp_path


def test_a_way_a_row(ways: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = {name: ways / f"ways.{name}" for name in ("md", "json", "png")}
    flags = [f"--{flag}={written[name]}" for flag, name in (("markdown", "md"), ("json", "json"), ("figure", "png"))]
    assert main([str(ways), *flags]) == 0
    assert "glyphworld, a stand-in and not the benchmark" in capsys.readouterr().out
    lines = written["md"].read_text().splitlines()
    assert [line.split(" |")[0] for line in lines if line.startswith("| ")] == [
        "| way",
        "| ---",
        "| original",
        "| sft",
        "| caption",
    ]
    rows = json.loads(written["json"].read_text())["ways"]
    assert {way: (row["passes an answer"], row["CPU seconds of training"]) for way, row in rows.items()} == {
        "original": (1, None), "sft": (1, 150), "caption": (2, None),
    }  # fmt: skip
    for way, right in (("original", 0.45), ("sft", 0.85), ("caption", 0.65)):
        assert rows[way]["text"]["value"] == pytest.approx(right, abs=0.01)
        assert rows[way]["capabilities"]["value"] == pytest.approx(right, abs=0.01)
        assert rows[way]["over-refusal"]["value"] == pytest.approx(1 - right, abs=0.03)
    assert written["png"].stat().st_size > 10_000 and written["png"].with_suffix(".svg").is_file()


@pytest.mark.parametrize(
    ("passes", "message"), [("3", "other numbers of passes"), ("two", "a whole number as the passes")]
)
def test_passes_that_cannot_be(ways: Path, passes: str, message: str) -> None:
    (file,) = (ways / "seed2" / "caption" / "eval").glob("*_results.json")
    results = json.loads(file.read_text())
    results["config"]["passes"] = passes
    file.write_text(json.dumps(results))
    with pytest.raises(UserError, match=message):
        main([str(ways)])
