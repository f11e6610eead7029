"""What spreads a model over processes: the launcher's files, what is refused, and which models are left whole."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sharded_runs
import torch
from accelerate.commands.config.config_args import load_config_from_file
from torch import distributed, nn
from transformers import AutoModelForImageTextToText
from transformers.integrations import deepspeed, is_fsdp_enabled

from align.rollouts import draw_what_is_scored
from align.settings import read_settings
from align.sharding import CompleteSpread
from harness_ext.common.errors import UserError
from harness_ext.models.loading import load_model

FILES = Path(sharded_runs.REPOSITORY) / "align" / "accelerate"
QUICK = ["--report_to", "none", "--bf16", "false", "--use_cpu", "false"]


@pytest.fixture
def fsdp2(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that ``accelerate launch`` gives a process."""
    for variable, value in sharded_runs.launched(FILES / "fsdp2.yaml", "no").items():
        monkeypatch.setenv(variable, value)


def test_each_ready_file_is_one_of_an_engine_that_is_served() -> None:
    found = {file.stem: load_config_from_file(str(file)) for file in FILES.glob("*.yaml")}
    assert found.keys() == {"fsdp2", "zero2", "zero3"}
    assert all(config.mixed_precision == "bf16" for config in found.values())
    assert found["fsdp2"].fsdp_config["fsdp_version"] == 2
    assert [found[f"zero{stage}"].deepspeed_config["zero_stage"] for stage in (2, 3)] == [2, 3]


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("FSDP_VERSION", "1", "fsdp_version: expected 2, found 1: launch with one of align/accelerate"),
        ("FSDP_STATE_DICT_TYPE", "SHARDED_STATE_DICT", "fsdp_state_dict_type: expected FULL_STATE_DICT"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true", "align has gradient_checkpointing"),
        ("ACCELERATE_MIXED_PRECISION", "bf16", "bf16 is false, but accelerate's mixed_precision is 'bf16'"),
    ],
)
def test_another_way_to_spread_a_model_is_refused(
    variable: str, value: str, said: str, fsdp2: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_settings("sft", ["--output_dir", str(tmp_path), *QUICK])
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=said):
        read_settings("sft", ["--output_dir", str(tmp_path), *QUICK])


def test_no_model_is_spread_on_a_cpu(fsdp2: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="accelerate spreads no model on a CPU"):
        read_settings("sft", ["--output_dir", str(tmp_path), *QUICK, "--use_cpu", "true"])


def test_an_engine_is_not_named_among_the_settings(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the launcher's, and no settings of a run"):
        read_settings("sft", ["--output_dir", str(tmp_path), *QUICK, "--fsdp", "full_shard"])


# --- which models are spread ------------------------------------------------------------------------------------------


@pytest.fixture
def second_process(fsdp2: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Not the first of its machine."""
    monkeypatch.setenv("LOCAL_RANK", "1")
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


class Watched:
    """Loads as transformers does, and notes what it knows of FSDP and of ZeRO-3 meanwhile."""

    def __init__(self) -> None:
        self.seen: list[tuple[bool, bool]] = []

    def from_pretrained(self, *args: Any, **options: Any) -> Any:
        self.seen.append((is_fsdp_enabled(), deepspeed.is_deepspeed_zero3_enabled()))
        return AutoModelForImageTextToText.from_pretrained(*args, **options)


def load(folder: Path, **options: Any) -> Any:
    return load_model(str(folder), revision=None, dtype="float32", device="cpu", **options)


def test_fsdp_is_told_of_the_trained_model_alone(untrained_vlm: Path, second_process: None) -> None:
    """A judge, or the original model, is loaded in every process, whatever the launcher says."""
    watched, before = Watched(), dict(os.environ)
    load(untrained_vlm, auto_class=watched)
    load(untrained_vlm, auto_class=watched, sharded=True)
    assert watched.seen == [(False, False), (True, False)]
    assert os.environ == before


def test_zero3_is_told_of_the_trained_model_alone(untrained_vlm: Path) -> None:
    """transformers asks its configuration, which lives as long as the trainer's arguments."""

    class Config:
        def is_zero3(self) -> bool:
            return True

    config, watched = Config(), Watched()
    deepspeed.set_hf_deepspeed_config(config)
    try:
        load(untrained_vlm, auto_class=watched)
        assert watched.seen == [(False, False)]
        assert deepspeed.is_deepspeed_zero3_enabled()
    finally:
        deepspeed.unset_hf_deepspeed_config()


def test_a_bias_that_is_whole_passes_for_a_spread_one(untrained_vlm: Path) -> None:
    """As TRL asks for it, and with the same logits."""
    model = load(untrained_vlm)
    draw_what_is_scored(model)
    output = model.get_output_embeddings()
    hidden = torch.randn(2, output.in_features, generator=torch.Generator().manual_seed(0))
    expected, bias = output(hidden), output.bias
    peft_model = nn.Module()
    peft_model.get_base_model = lambda: model  # type: ignore[assignment]
    for engine in ("fsdp2", "zero3"):
        output.register_buffer("bias", bias.clone(), persistent=False)
        CompleteSpread(engine).on_train_begin(None, None, None, model=peft_model)  # type: ignore[arg-type]
        assert torch.equal(output.bias.full_tensor(), bias) and type(output.bias.full_tensor()) is torch.Tensor
        logits = output(hidden)
        assert torch.equal(logits, expected) and type(logits) is torch.Tensor
        assert not output.bias.requires_grad
