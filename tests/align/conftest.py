"""A made-up UnsafeConcepts; a tiny text classifier on disk: RoBERTa's architecture, random weights, its own tokenizer; a VLM
whose answers end early, and a judge that has verdicts on what it says.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from gated_copies import copies, gated  # noqa: F401
from own_settings import with_generation_settings


@pytest.fixture(scope="session")
def text_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its labels are in another order than ours, and what it says differs from text to text."""
    import torch
    from paper_files import write_base
    from transformers import RobertaConfig, RobertaForSequenceClassification

    folder = write_base(tmp_path_factory.mktemp("text_classifier"))
    config = RobertaConfig.from_pretrained(
        folder, id2label={0: "na", 1: "unsafe", 2: "safe"}, label2id={"na": 0, "unsafe": 1, "safe": 2}
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        RobertaForSequenceClassification(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def ending_early(untrained_vlm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained VLM of which every fourth word ends an answer."""
    words = len(json.loads((untrained_vlm / "tokenizer.json").read_text())["model"]["vocab"])
    ends = {"eos_token_id": list(range(0, words, 4))}
    return with_generation_settings(untrained_vlm, tmp_path_factory.mktemp("own") / "model", ends)


@pytest.fixture
def even_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge ``even``, which has verdicts on what untrained models say."""
    from ppo_runs import EvenLetters

    from harness_ext.judges import registry
    from harness_ext.judges.base import BatchJudge

    def even() -> BatchJudge:
        return EvenLetters()

    judges: Mapping[str, str] = {**registry.JUDGES, "even": "harness_ext.judges.registry:even"}
    monkeypatch.setattr(registry, "even", even, raising=False)
    for module in ("harness_ext.judges.registry", "align.settings"):
        monkeypatch.setattr(f"{module}.JUDGES", judges)
