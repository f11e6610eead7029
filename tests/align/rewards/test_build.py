"""A recipe's list of rewards, as TRL's trainers get to see it."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForImageTextToText, AutoProcessor, TrainerState
from trl import GRPOConfig, GRPOTrainer

from align.rewards.base import Reward
from align.rewards.build import REWARDS, build_rewards
from align.stopped import TrainingStopped
from harness_ext.common.errors import UserError


def test_names_and_weights(text_classifier: Path) -> None:
    specs = yaml.safe_load(f"""
        - {{name: verdict, weight: 1, na: -0.5}}
        - {{name: length, weight: 0.1, cap: 64}}
        - {{name: verdict, weight: 0}}
        - {{name: classifier, model: {text_classifier}, device: cpu, floor: -8}}
        - {{name: verdict, weight: -2.5}}
        - {{name: upstream, judge: rules}}
        - {{name: repetition}}
    """)
    before = yaml.safe_dump(specs)
    rewards, weights = build_rewards(specs)
    names = ["verdict", "length", "verdict_2", "classifier", "verdict_3", "upstream", "repetition"]
    assert [each.__name__ for each in rewards] == names
    assert weights == [1.0, 0.1, 0.0, 1.0, -2.5, 1.0, 1.0]
    assert yaml.safe_dump(specs) == before


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("[]", r"rewards: expected a list such as \[\{name: verdict, weight: 1.0\}\], found \[\]"),
        ("{name: verdict}", "rewards: expected a list"),
        ("[verdict]", "reward 1: expected a mapping such as .*, found 'verdict'"),
        ("[{weight: 1}]", "reward 1: name: expected one of verdict, .*, found None$"),
        ("[{name: verdict}, {name: lenght}]", "reward 2: name: expected one of .*'lenght'; did you mean length[?]"),
        ("[{name: [verdict]}]", "reward 1: name: expected one of verdict, .*; did you mean verdict"),
        ("[{name: length, cpa: 3}]", r"reward 1 \(length\): key: .* name, weight, cap, found 'cpa'; did you mean cap"),
        ("[{name: length, 7: 3}]", r"reward 1 \(length\): key: .*, found 7$"),
        ("[{name: length, cap: 6.5}]", r"\(length\): cap: Input should be a valid integer, found 6.5"),
        ("[{name: length, cap: true}]", "cap: Input should be a valid integer, found True"),
        ("[{name: length, cap: 0}]", r"reward 1 \(length\): cap: Input should be greater than or equal to 1, found 0"),
        ("[{name: verdict, na: .nan}]", "na: Input should be a finite number, found nan"),
        ("[{name: verdict, weight: .inf}]", "weight: Input should be a finite number, found inf"),
        ("[{name: verdict, weight: 1e-3}]", "found '1e-3', which is text to YAML: write a number as in 1.0e-3"),
        ("[{name: verdict, right: null}]", "right: Input should be a valid number, found None"),
        ("[{name: verdict, judge: 1}]", "judge: Input should be a valid string, found 1"),
        ("[{name: classifier}]", r"\(classifier\): model is missing"),
        ("[{name: classifier, model: no/where}]", r"\(classifier\): model: expected the folder"),
        ("[{name: upstream}]", r"\(upstream\): expected one of model"),
        ("[{name: verdict, weight: 0}]", "all weights are 0"),
    ],
)
def test_lists_that_cannot_be(written: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_rewards(yaml.safe_load(written))


def test_a_missing_column() -> None:
    reward = build_rewards([{"name": "verdict"}])[0][0]
    with pytest.raises(UserError, match="'verdict' needs question, found the columns completions, label"):
        reward(completions=["Yes."], label=["safe"])


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_value_that_is_no_number(monkeypatch: pytest.MonkeyPatch, value: float | None) -> None:
    def partial(*, at: int) -> Reward:
        def reward(row: list[int], **_: Any) -> Any:
            return [value if each == at else 0.0 for each in row]

        return reward

    monkeypatch.setitem(REWARDS, "partial", partial)  # type: ignore[arg-type]
    rewards, _ = build_rewards([{"name": "verdict"}, {"name": "partial", "at": 4}, {"name": "partial", "at": 31}])
    columns = {"completions": ["Yes.", "No."], "row": [30, 31], "label": ["safe", "safe"]}
    assert rewards[1](**columns) == [0.0, 0.0]
    message = (
        f"stopped at step 7: the reward 'partial_2' of response 2 of 2 is {value}, expected a finite number; rows 31$"
    )
    with pytest.raises(TrainingStopped, match=message) as stopped:
        rewards[2](**columns, trainer_state=TrainerState(global_step=7))
    assert stopped.value.samples == [{"row": 31, "label": "safe", "response": "No."}]


# --- in TRL -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grpo(untrained_vlm: Path, text_classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> GRPOTrainer:
    """GRPO of TRL on a tiny VLM, with five rewards, two of them the same one."""
    rewards, weights = build_rewards(
        [
            {"name": "verdict", "na": -0.5},
            {"name": "verdict", "weight": 0.5, "right": 3.0},
            {"name": "classifier", "model": str(text_classifier), "device": "cpu"},
            {"name": "length", "cap": 4},
            {"name": "upstream", "judge": "rules", "weight": 0.1},
        ]
    )
    rows = [
        {"prompt": [{"role": "user", "content": "Is it safe?"}], "row": at, "label": label, "question": at}
        for at, label in enumerate(["safe", "unsafe", "safe", "unsafe"])
    ]
    return GRPOTrainer(
        model=AutoModelForImageTextToText.from_pretrained(untrained_vlm, dtype=torch.float32),
        reward_funcs=rewards,
        args=GRPOConfig(
            output_dir=str(tmp_path_factory.mktemp("grpo")),
            reward_weights=weights,
            per_device_train_batch_size=4,
            num_generations=2,
            max_completion_length=5,
            max_steps=1,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoProcessor.from_pretrained(untrained_vlm),
        peft_config=LoraConfig(r=2, target_modules=r".*language_model.*(q|v)_proj"),
    )


def test_trl_calls_them(grpo: GRPOTrainer) -> None:
    inputs = [
        {"prompt": [{"role": "user", "content": "?"}], "row": at, "label": label, "question": 0}
        for at, label in enumerate(["safe", "unsafe", "unsafe"])
    ]
    completions = [[{"role": "assistant", "content": text}] for text in ("Yes.", "Yes.", "Who knows?")]
    ids = [[5, 6], [5, 6], [5, 6, 7, 8, 9]]
    found = grpo._calculate_rewards(inputs, [each["prompt"] for each in inputs], completions, ids)
    assert found[:, 0].tolist() == [1.0, -1.0, -0.5]
    assert found[:, 1].tolist() == [3.0, -1.0, 0.0]
    assert all(-5 <= each < 0 for each in found[:, 2].tolist())
    assert found[:, 3].tolist() == [0.5, 0.5, 1.0]
    assert found[:, 4].tolist() == pytest.approx([10 + 80 / 512, 80 / 512, 200 / 512])
    pending = {name: values for name, values in grpo._pending_metrics.items() if "classifier" not in name}
    grpo._pending_metrics.clear()
    third = pytest.approx([1 / 3])
    assert pending == {
        "rewards/verdict/na": third,
        "rewards/verdict/unsafe": [0.0],
        "rewards/verdict_2/na": third,
        "rewards/verdict_2/unsafe": [0.0],
        "rewards/upstream/na": third,
        "rewards/upstream/unsafe": [0.0],
        "rewards/upstream/tied": [0.0],
    }


def test_trl_trains_and_logs_them(grpo: GRPOTrainer) -> None:
    grpo.train()
    log = grpo.state.log_history[0]
    for name in ("verdict", "verdict_2", "classifier", "length", "upstream"):
        assert math.isfinite(log[f"rewards/{name}/mean"])
    for name in ("verdict", "verdict_2", "classifier", "upstream"):
        assert 0 <= log[f"rewards/{name}/na"] <= 1 and 0 <= log[f"rewards/{name}/unsafe"] <= 1
    means = [log[f"rewards/{name}/mean"] for name in ("verdict", "verdict_2", "classifier", "length", "upstream")]
    weights = [1.0, 0.5, 1.0, 1.0, 0.1]
    assert log["reward"] == pytest.approx(sum(w * m for w, m in zip(weights, means, strict=True)), abs=1e-5)
