"""SFT on the original model's own right answers, or on what it says in words, on an untrained VLM whose answers end early."""

import itertools
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from accelerate import PartialState
from safetensors.torch import load_file

from align import commands
from align.data import target, training_rows
from align.models import find_base, load
from align.own_answers import with_own_targets
from align.settings import DataConfig, RunSettings, read_settings
from harness_ext.benchmark.questions import TEXT_QUESTIONS
from harness_ext.common.errors import UserError
from harness_ext.models.decoding import Decoder, Row
from harness_ext.models.generation import request_seed
from harness_ext.models.settings import GenerationSettings
from harness_ext.models.store import AnswerStore

QUICK = {
    "renders": 1, "passes": 1, "max_steps": 2, "per_device_train_batch_size": 4, "per_device_eval_batch_size": 16,
    "lora_r": 2, "save_steps": 2, "gradient_checkpointing": "false", "report_to": "none", "disable_tqdm": "true",
    "targets": "own", "own_tokens": 12, "own_samples": 3, "own_judge": "even",
}  # fmt: skip

TOLD = {"targets": "told", "own_judge": "rules"}  # rules is the default

pytestmark = pytest.mark.usefixtures("even_judge")


@pytest.fixture
def model(ending_early: Path) -> Path:
    return ending_early


def options(model: Path, out: Path, **changes: Any) -> list[str]:
    given = {**QUICK, "model": model, "output_dir": out, **changes}
    return [str(word) for key, value in given.items() for word in (f"--{key}", value)]


def found(model: Path, out: Path, **changes: Any) -> tuple[Any, dict[str, Any], RunSettings]:
    settings = read_settings("sft", options(model, out, **changes))
    rows, told = with_own_targets(
        training_rows(settings.data), settings, find_base(settings.model), out / "own_answers"
    )
    return rows, told, settings


def test_a_target_is_an_answer_of_the_right_verdict(model: Path, tmp_path: Path) -> None:
    rows, told, settings = found(model, tmp_path)
    every = training_rows(settings.data)
    assert told["right"] == len(rows) < len(every) == 120
    assert sum(told["missing"].values()) == 120 - len(rows) and set(told["missing"]) <= set(every["concept"])
    kept = [
        row for file in (tmp_path / "own_answers").rglob("*.jsonl") for line in file.open() for row in json.loads(line)
    ]
    of_row: dict[int, list[list[str]]] = {}
    for each in sorted(kept, key=lambda each: each["attempt"]):
        of_row.setdefault(each["row"], []).append(json.loads(each["answer"]))
    for row in rows:
        (turn,) = row["completion"]
        *wrong, (text, verdict) = of_row[row["row"]]
        assert (turn["role"], turn["content"], verdict) == ("assistant", text, row["label"])
        assert verdict == ("safe" if len(text) % 2 == 0 else "unsafe")
        assert all(other != row["label"] for _, other in wrong)
    assert {len(each) for each in of_row.values()} == {1, 2, 3}
    assert any(verdict == "cut short" for each in of_row.values() for _, verdict in each)
    # The same seed draws the same ones, in whatever batches; another seed others.
    other = tmp_path / "other"
    again, _, _ = found(model, other / "again", per_device_eval_batch_size=7)
    assert again["row"][:] == rows["row"][:] and again["completion"][:] == rows["completion"][:]
    assert found(model, other / "seed", seed=1)[0]["completion"][:] != rows["completion"][:]


def test_every_process_has_looked_what_is_kept_before_one_answers(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another process has just answered would be missing from the batches that this one deals out."""
    happened: list[str] = []

    def noted(owner: type, name: str, what: str) -> None:
        does = getattr(owner, name)

        def noting(*given: Any) -> Any:
            happened.append(what)
            return does(*given)

        monkeypatch.setattr(owner, name, noting)

    noted(AnswerStore, "__init__", "reads")
    noted(AnswerStore, "add", "answers")
    noted(PartialState, "wait_for_everyone", "waits")
    found(model, tmp_path, own_samples=2)
    steps = [each for each, _ in itertools.groupby(happened)]
    assert steps == ["reads", "waits", "answers", "waits"] * 2 + ["reads"]


def test_rows_without_a_right_answer_get_the_written_one(model: Path, tmp_path: Path) -> None:
    rows, told, _ = found(model, tmp_path, own_missing="short")
    assert len(rows) == 120 > told["right"]
    config = DataConfig(targets="short")
    written = [
        row["completion"][0]["content"]
        == target(row["prompt"][0]["content"], row["concept"], row["label"] == "safe", config)
        for row in rows
    ]
    assert written.count(False) == told["right"]


def test_a_run_that_is_interrupted_asks_the_rest_and_ends_with_the_same_bits(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proceed, asked = Decoder.proceed, 0

    def counted(self: Any, *args: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == stop:
            raise KeyboardInterrupt
        return proceed(self, *args)

    def train(out: Path) -> None:
        monkeypatch.setattr(sys, "argv", ["align", "sft", *options(model, out)])
        commands.main()

    monkeypatch.setattr(Decoder, "proceed", counted)
    stop = 0
    train(tmp_path / "whole")
    whole, asked, stop = asked, 0, 6
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(tmp_path / "killed")
    assert not (tmp_path / "killed" / "checkpoint-2").exists()
    asked, stop = 0, 0
    train(tmp_path / "killed")
    assert asked == whole - 5
    ends = [load_file(tmp_path / run / "final" / "adapter_model.safetensors") for run in ("whole", "killed")]
    assert all(each.equal(ends[1][name]) for name, each in ends[0].items())
    records = [json.loads((tmp_path / run / "final" / "run.json").read_text())["data"] for run in ("whole", "killed")]
    assert records[0] == records[1]
    assert records[0]["rows"] == records[0]["own"]["right"] and records[0]["own_judge"] == "even"
    # A finished run, and one that goes on from its checkpoint, ask nothing again.
    asked = 0
    shutil.rmtree(tmp_path / "killed" / "final")
    train(tmp_path / "killed")
    assert asked == 0 and (tmp_path / "killed" / "final").is_dir()


def test_what_it_says_in_words_is_the_target_whatever_its_verdict(model: Path, tmp_path: Path) -> None:
    rows, told, settings = found(model, tmp_path, **TOLD, own_samples=2, own_tokens=5)
    assert told["told"] == len(rows) < 120 == len(rows) + sum(told["missing"].values()) and "judge" not in told
    # By hand: the question in words, alone in a batch, with the row's seed; the first answer that is not cut off.
    base = find_base(settings.model)
    decoder = Decoder(*load(base, settings.model, settings.arguments.device), base.template_options)
    sampling = GenerationSettings(max_new_tokens=5, do_sample=True)
    for row in rows.select(range(0, len(rows), 16)):
        text = TEXT_QUESTIONS[row["question"]].format(concept=row["concept"])
        inputs = decoder.encode([[{"role": "user", "content": [{"type": "text", "text": text}]}]])
        assert "pixel_values" not in inputs
        answers = []
        for attempt in range(2):
            seed = request_seed(settings.arguments.seed, "own", row["row"], row["question"], attempt)
            tokens, _, _ = decoder.proceed(inputs, [Row(0, seed=seed)], sampling)
            answers += decoder.text(tokens, sampling)
        whole = [each.strip() for each in answers if not each.cut_short]
        assert row["completion"] == [{"role": "assistant", "content": whole[0]}]


def test_too_few_are_refused(model: Path, tmp_path: Path) -> None:
    """The rules find no verdict in what it says, but for an accident."""
    message = (
        r"own right answers: [01] of 120 rows have one, and none of an image that is safe( or unsafe)?: raise own_s"
    )
    with pytest.raises(UserError, match=message):
        found(model, tmp_path, own_judge="rules", own_samples=1)


def test_an_update_takes_more_than_was_found(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\d+ of 120 rows have one, and an update takes 200: raise own_samples"):
        found(model, tmp_path, per_device_train_batch_size=200)


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("dpo", {}, "targets: own is of sft, found dpo"),
        ("sft", {"targets": "short"}, "own_samples, own_tokens, own_judge: without effect, for targets is short"),
        ("sft", {"targets": "told"}, "own_judge: without effect, for targets is told"),
        ("sft", TOLD | {"modality": "text"}, "modality: targets told are answers in words, to be learnt about images"),
        ("dpo", TOLD, "targets: told is of sft, found dpo"),
        ("sft", {"own_judge": "nobody"}, "own_judge: expected a judge, one of rules, .*found 'nobody'"),
        ("sft", {"own_samples": 0}, "own_samples: Input should be greater than 0, found 0"),
        ("sft", {"own_judge_options": "[1]"}, "own_judge_options: "),
        ("sft", {"counterfactual": "true"}, "counterfactual: targets own leaves rows out"),
    ],
)
def test_settings_that_cannot_be(method: str, changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read_settings(method, options(tmp_path, tmp_path / "out", **changes))
