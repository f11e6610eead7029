"""Every packaged recipe runs: cut short, on a tiny model of the same architecture."""

import json
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from tiny_vlms import FAMILIES

from align import commands
from align.recipe import packaged_recipes, read_recipe
from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

CUT = {
    "max_steps": 2,
    "per_device_train_batch_size": 4,
    "lora_r": 2,
    "dtype": "float32",
    "bf16": "false",
    "report_to": "none",
    "disable_tqdm": "true",
}
ROLLOUTS = {"max_completion_length": 6}


@pytest.fixture(scope="session")
def tiny_llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny_llava")
    FAMILIES["llava"](folder)
    return folder


@pytest.fixture(scope="session")
def gated_copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up UnsafeConcepts of coloured noise, and safe images beside it."""
    folder = tmp_path_factory.mktemp("gated")
    noise = np.random.default_rng(0).integers(0, 256, (1567 + 1800, 12, 12, 3), dtype=np.uint8)
    images = [Image.fromarray(pixels) for pixels in noise]
    unsafe = [concept for concept in CONCEPTS for _ in range(concept.images)]
    columns: dict[str, dict[str, Any]] = {
        "unsafe": {
            "image": images[:1567],
            "category": [concept.category for concept in unsafe],
            "unsafe_concept": [concept.name for concept in unsafe],
        },
        "safe": {"image": images[1567:], "concept": [f"class {at}" for at in range(len(images) - 1567)]},
    }
    for name, values in columns.items():
        features = {key: datasets.Image() if key == "image" else datasets.Value("string") for key in values}
        rows = datasets.Dataset.from_dict(values, features=datasets.Features(features))
        rows.to_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture
def gated(gated_copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSAFECONCEPTS_PATH", str(gated_copies / "unsafe.parquet"))
    monkeypatch.setenv("UNSAFECONCEPTS_SAFE_PATH", str(gated_copies / "safe.parquet"))
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(gated_copies / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", gated_copies / "datasets")


def test_all_recipes_are_here() -> None:
    methods = {read_recipe(["--config", name])[0].method for name in packaged_recipes()}
    assert methods == {"sft", "dpo", "ppo", "grpo", "rloo"}
    assert {"paper", "paper_fixed", "paper_sft", "paper_dpo"} <= set(packaged_recipes())


@pytest.mark.parametrize("name", packaged_recipes())
def test_a_recipe_runs(
    name: str,
    untrained_vlm: Path,
    tiny_llava: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe, _ = read_recipe(["--config", name])
    assert recipe.method is not None
    is_paper = recipe.values["source"] == "unsafeconcepts"
    if is_paper:
        request.getfixturevalue("gated")
    settings: dict[str, Any] = {
        **CUT,
        "model": tiny_llava if is_paper else untrained_vlm,
        "output_dir": tmp_path / "out",
    }
    if not is_paper:
        settings |= {"renders": 1}
    if recipe.values.get("targets") in ("own", "told"):  # untrained, it neither ends an answer nor says anything right
        settings |= {"model": request.getfixturevalue("ending_early"), "own_tokens": 12}
    if recipe.values.get("targets") == "own":
        request.getfixturevalue("even_judge")
        settings |= {"own_judge": "even"}
    if recipe.method not in ("sft", "dpo"):
        settings |= ROLLOUTS
    if recipe.method == "ppo":  # untrained, it answers nothing that could be read; no update is the critic's alone
        settings |= {"stop_on_na": "false", "critic_warmup": 0}
    options = [str(word) for key, value in settings.items() for word in (f"--{key}", value)]
    monkeypatch.setattr(sys, "argv", ["align", recipe.method, "--config", name, *options])
    commands.main()
    record = json.loads((tmp_path / "out" / "final" / "run.json").read_text())
    assert record["step"] == 2
    kept = record["data"]["own"]["told"] if "told" in record["data"].get("own", ()) else 120
    kept = 60 if "difficulty" in recipe.values else kept
    assert record["data"]["rows"] == (2 * 1222 if is_paper else kept)
    adapter = load_file(tmp_path / "out" / "final" / "adapter_model.safetensors")
    moved = [name for name, each in adapter.items() if "lora_B" in name and each.any()]
    assert moved and all(each.isfinite().all() for each in adapter.values())
    assert not [name for name in adapter if "vision" in name or "projector" in name]
    # What the recipe says and the test left alone is what was run.
    told = {**record["model"], **record["data"], **record["arguments"], "rewards": record["rewards"]}
    kept = {key: value for key, value in recipe.values.items() if key not in settings}
    assert {key: told[key] for key in kept} == kept
