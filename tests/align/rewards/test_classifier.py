"""The classifier's log-probability, by a real, tiny, random RoBERTa."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from align.rewards.build import build_rewards
from align.rewards.verdict import classifier
from harness_ext.common.errors import UserError
from harness_ext.judges.classifier.text_classifier import TextClassifier

TEXTS = ["Yes.", "No, it is not safe: the image shows something harmful.", "", "safe " * 60]
LABELS = ["safe", "unsafe", "safe", "unsafe"]


def by_hand(folder: Path) -> list[float]:
    """The log-probability of each label, one response at a time and without padding."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float64)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = []
    for text, label in zip(TEXTS, LABELS, strict=True):
        logits = model(**tokenizer(text, return_tensors="pt", truncation=True)).logits
        target = torch.tensor([model.config.label2id[label]])
        found.append(-torch.nn.functional.cross_entropy(logits, target).item())
    return found


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_it_is_the_log_probability_of_the_label(text_classifier: Path, batch_size: int) -> None:
    expected = by_hand(text_classifier)
    assert max(expected) - min(expected) > 0.1
    reward = classifier(model=str(text_classifier), floor=-100.0, batch_size=batch_size, device="cpu")
    assert reward(completions=TEXTS, label=LABELS) == pytest.approx(expected, abs=1e-9)


def test_it_is_bounded_below(text_classifier: Path) -> None:
    expected = by_hand(text_classifier)
    floor = sorted(expected)[1] - 1e-4
    reward = classifier(model=str(text_classifier), floor=floor, device="cpu")
    found = reward(completions=TEXTS, label=LABELS)
    assert found == pytest.approx([max(floor, each) for each in expected], abs=1e-6)
    assert min(found) > min(expected)


def test_it_logs_the_likeliest_labels(text_classifier: Path) -> None:
    logged: dict[str, float] = {}
    classifier(model=str(text_classifier), device="cpu")(completions=TEXTS, label=LABELS, log_metric=logged.__setitem__)
    likeliest = TextClassifier(str(text_classifier), "cpu").log_probabilities(TEXTS).argmax(1).tolist()
    assert logged == {"na": likeliest.count(2) / 4, "unsafe": likeliest.count(1) / 4}


def test_it_is_not_trained_and_leaves_no_graph(text_classifier: Path) -> None:
    judge = TextClassifier(str(text_classifier), "cpu")
    assert not judge.log_probabilities(TEXTS).requires_grad
    assert not judge._model.training and not any(each.requires_grad for each in judge._model.parameters())


def edited(file: str, **changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        (folder / file).write_text(json.dumps({**content, **changes}))

    return edit


def without_head(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: each for name, each in weights.items() if not name.startswith("classifier.")}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def broken(folder: Path) -> None:
    weights = {name: each * torch.nan for name, each in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            edited("config.json", id2label={"0": "no", "1": "yes", "2": "na"}),
            r"expected the labels safe, unsafe, na .* found no, yes, na",
        ),
        (edited("config.json", id2label=None), "expected the labels safe, unsafe, na .* found LABEL_0, LABEL_1"),
        (edited("tokenizer_config.json", model_max_length=10**30), "write model_max_length"),
        (edited("tokenizer_config.json", model_max_length=100), "one of 100 tokens"),
        (edited("tokenizer_config.json", pad_token=None), "has no padding token"),
        (without_head, "lack 4 tensors that the model has, classifier.dense.bias the first"),
        (broken, "its log-probabilities are not finite"),
        (lambda folder: (folder / "model.safetensors").unlink(), "there are none in the folder"),
        (lambda folder: (folder / "config.json").unlink(), "the folder has no config.json"),
        (shutil.rmtree, "expected the folder of a text classifier, found"),
    ],
)
def test_a_checkpoint_that_cannot_be_used(
    text_classifier: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    folder = tmp_path / "classifier"
    shutil.copytree(text_classifier, folder)
    damage(folder)
    with pytest.raises(UserError, match=message):
        classifier(model=str(folder), device="cpu")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"floor": 0.0}, "floor: Input should be less than 0, found 0.0"),
        ({"batch_size": 0}, "batch_size: expected at least 1"),
        ({"device": "abacus"}, "device: cannot put the classifier there"),
    ],
)
def test_options_that_cannot_be(text_classifier: Path, option: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_rewards([{"name": "classifier", "model": str(text_classifier), **option}])
