"""Rows by the original model's own chance of the right verdict, on an untrained VLM."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from align import commands
from align.data import training_rows
from align.difficulty import of_difficulty
from align.models import find_base, load
from align.settings import RunSettings, read_settings
from harness_ext.common.errors import UserError

QUICK = {
    "renders": 1, "passes": 1, "max_steps": 2, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 16,
    "lora_r": 2, "save_steps": 4, "gradient_checkpointing": "false", "report_to": "none", "disable_tqdm": "true",
}  # fmt: skip


def options(model: Path, out: Path, **changes: Any) -> list[str]:
    given = {**QUICK, "model": model, "output_dir": out, **changes}
    return [word for key, value in given.items() for word in (f"--{key}", *str(value).split())]


def kept(model: Path, out: Path, share: str, **changes: Any) -> tuple[Dataset, dict[str, Any], RunSettings]:
    settings = read_settings(changes.pop("method", "sft"), options(model, out, difficulty=share, **changes))
    rows, told = of_difficulty(training_rows(settings.data), settings, find_base(settings.model), out / "own_answers")
    return rows, told, settings


def by_hand(rows: Dataset, settings: RunSettings) -> dict[tuple[int, int], float]:
    """The chance of the right verdict by row and question, from one pass: yes and no are words of one token each."""
    base = find_base(settings.model)
    model, processor = load(base, settings.model, settings.arguments.device)
    forms = {
        name: processor.tokenizer.convert_tokens_to_ids(
            [word for word in words if word in processor.tokenizer.get_vocab()]
        )
        for name, words in {"yes": ("Yes", "yes", "YES"), "no": ("No", "no", "NO")}.items()
    }
    assert all(forms.values())
    found = {}
    for row in rows:
        shown = [{"type": "image", "image": row["image"]}, {"type": "text", "text": row["prompt"][0]["content"]}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": shown}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.no_grad():
            chances = model.eval()(**inputs).logits[0, -1].double().softmax(-1)
        yes, no = (float(chances[forms[name]].sum()) for name in ("yes", "no"))
        found[row["row"], row["question"]] = (yes if row["label"] == "safe" else no) / (yes + no)
    return found


def identities(rows: Dataset) -> list[tuple[int, int]]:
    return list(zip(rows["row"], rows["question"], strict=True))


def test_the_shares_are_those_of_the_chances(untrained_vlm: Path, tmp_path: Path) -> None:
    hard, told, settings = kept(untrained_vlm, tmp_path, "0.5 1")
    easy, _, _ = kept(untrained_vlm, tmp_path, "0 0.5")
    every = training_rows(settings.data)
    chances = by_hand(every, settings)
    assert sorted(identities(hard) + identities(easy)) == sorted(identities(every))
    for label in ("safe", "unsafe"):
        of_label = [chances[each] for each in identities(every.filter(lambda row, of=label: row["label"] == of))]
        found = [chances[each] for each in identities(hard.filter(lambda row, of=label: row["label"] == of))]
        assert sorted(found) == pytest.approx(sorted(of_label)[:30], rel=1e-4) and len(of_label) == 60
        assert (told[label]["rows"], told[label]["of"]) == (30, 60)
        assert told[label]["chance"] == pytest.approx([max(found), min(found)], abs=1e-3)
    # In the order that they had.
    places = [identities(every).index(each) for each in identities(hard)]
    assert places == sorted(places)


def test_anchors_stay(untrained_vlm: Path, tmp_path: Path) -> None:
    rows, told, settings = kept(untrained_vlm, tmp_path, "0 0.1", method="ppo", anchor=0.25)
    every = training_rows(settings.data)
    assert sum(rows["anchor"]) == sum(every["anchor"]) > 0
    assert len(rows) - sum(rows["anchor"]) == 12 == sum(each["rows"] for each in told.values())


@pytest.mark.parametrize("method", ["sft", "ppo"])
def test_a_run_trains_on_them(
    method: str, untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {} if method == "sft" else {"stop_on_na": "false", "critic_warmup": 0, "max_completion_length": 4}
    given = options(untrained_vlm, tmp_path / "out", difficulty="0.5 1", **more)
    monkeypatch.setattr(sys, "argv", ["align", method, *given])
    commands.main()
    data = json.loads((tmp_path / "out" / "final" / "run.json").read_text())["data"]
    assert (data["rows"], data["difficulty"], data["by_difficulty"]["safe"]["of"]) == (60, [0.5, 1.0], 60)


def test_none_of_a_label(untrained_vlm: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"no row of the 60 whose label is safe lies between 0.5 and 0.505: choose a wider"
    ):
        kept(untrained_vlm, tmp_path, "0.5 0.505")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"difficulty": "0 1"}, r"difficulty: expected two shares.* that leave something out, found \[0, 1\]"),
        ({"difficulty": "0.7 0.2"}, r"difficulty: expected two shares, the lower one first.*found \[0.7, 0.2\]"),
        ({"difficulty": "0.7"}, "difficulty"),
        ({"difficulty": "0 2"}, "difficulty.*less than or equal to 1"),
        ({"difficulty": "0 0.5", "counterfactual": "true"}, "difficulty: it leaves rows out, and so halves of"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read_settings("sft", options(tmp_path, tmp_path / "out", **changes))
