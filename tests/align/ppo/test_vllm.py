"""Rollouts by vLLM where it is not installed: what it is given, and what becomes of what it gives.

Here the policy itself draws in vLLM's place. `vllm_installed.py` beside this file draws by the real one.
"""

import inspect
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ppo_runs import Noted, logged, rows, settings, trainer
from trl.generation.vllm_generation import VLLMGeneration
from trl.trainer import grpo_trainer, rloo_trainer

from align import vllm
from align.ppo.trainer import PPOTrainer
from align.settings import read_settings
from align.stopped import TrainingStopped
from align.vllm import DrawnAsScored
from harness_ext.common.errors import UserError


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """By ``nats``, how much more likely than to the policy each token seems to what draws."""
    found = {"nats": 0.0}

    def init(self: Any) -> None:
        self._image = self.model.config.image_token_id

    def generate(self: Any, prompts: list[list[int]], images: list[Any], *_: Any, **__: Any) -> tuple[Any, ...]:
        drawn, said = [], []
        for ids, (image,) in zip(prompts, images, strict=True):
            pixels = self.processing_class.image_processor(images=[image], return_tensors="pt")["pixel_values"]
            given = self.model.generate(
                input_ids=torch.tensor([ids]),
                pixel_values=pixels,
                max_new_tokens=self.max_completion_length,
                do_sample=False,
                output_logits=True,
                return_dict_in_generate=True,
            )
            tokens = given.sequences[0, len(ids) :]
            of_tokens = torch.cat(given.logits).log_softmax(-1).gather(-1, tokens[:, None])
            drawn.append(tokens.tolist())
            said.append((of_tokens + found["nats"]).tolist())
        return prompts, drawn, said, None

    monkeypatch.setattr(DrawnAsScored, "_init_vllm", init)
    monkeypatch.setattr(DrawnAsScored, "generate", generate)
    monkeypatch.setattr(DrawnAsScored, "sync_weights", lambda _: None)
    return found


def drawn_by_vllm(folder: Path, output: Path, **changes: Any) -> Noted:
    modes = {"vllm_importance_sampling_mode": "token_truncate"}
    run = trainer(folder, settings(output, use_vllm=True, max_steps=1, **{**modes, **changes}), kind=Noted)
    assert isinstance(run, Noted)
    return run


def test_the_surrogate_is_weighted_by_the_policys_ratio_to_vllm(
    untrained_vlm: Path, tmp_path: Path, apart: dict[str, float]
) -> None:
    advantages = []
    for nats, corrected in ((0.0, True), (0.05, True), (0.05, False)):
        apart["nats"] = nats
        run = drawn_by_vllm(untrained_vlm, tmp_path, vllm_importance_sampling_correction=corrected)
        run.train()
        assert logged(run, "ppo/mismatch") == [pytest.approx(nats, abs=1e-4)]
        assert logged(run, "ppo/mismatch_max") == [pytest.approx(nats, abs=1e-3)]
        assert not {"sampling_per_token_logps", "importance_sampling_ratio"} & run.batch.keys()
        advantages.append(run.batch["advantages"])
    alike, weighted, left = advantages
    torch.testing.assert_close(weighted, alike * math.exp(-0.05), rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(left, alike, rtol=1e-3, atol=1e-5)


def test_a_response_that_vllm_drew_too_seldom_is_masked(
    untrained_vlm: Path, tmp_path: Path, apart: dict[str, float]
) -> None:
    """In TRL's own mode: a token that is 1.2 nats likelier to the policy is beyond a ratio of 3."""
    apart["nats"] = -1.2
    run = drawn_by_vllm(untrained_vlm, tmp_path, vllm_importance_sampling_mode="sequence_mask", max_mismatch=2.0)
    run.train()
    assert not run.batch["advantages"].any()


def test_a_run_stops_where_vllm_draws_from_something_else(
    untrained_vlm: Path, tmp_path: Path, apart: dict[str, float]
) -> None:
    apart["nats"] = -0.5
    with pytest.raises(TrainingStopped, match=r"are 0\.5 nats a token apart, and max_mismatch is 0\.1.*; rows"):
        drawn_by_vllm(untrained_vlm, tmp_path).train()


# --- what vLLM is given -----------------------------------------------------------------------------------------------


def generation(folder: Path, output: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[PPOTrainer, DrawnAsScored]:
    """A trainer, and what draws for it, before vLLM itself is started."""
    monkeypatch.setattr(VLLMGeneration, "_init_vllm", lambda self: setattr(self, "seen", self.model.name_or_path))
    run = trainer(folder, settings(output, use_vllm=True))
    assert type(run.vllm_generation) is DrawnAsScored
    return run, run.vllm_generation


def test_vllm_gets_the_merged_weights_of_the_trained_layers_alone(
    untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, drawing = generation(untrained_vlm, tmp_path, monkeypatch)
    with torch.no_grad():
        for name, each in run.model.named_parameters():
            if "lora_B" in name:
                each.normal_(std=0.5)
    before = {name: each.clone() for name, each in run.model.named_parameters()}
    sent = {name: each.clone() for name, each in drawing._iter_named_params()}
    assert all(torch.equal(each, before[name]) for name, each in run.model.named_parameters())
    base = run.model.merge_and_unload()
    expected = dict(base.named_parameters())
    assert sent and all("language_model" in name and name.endswith(("q_proj.weight", "v_proj.weight")) for name in sent)
    for name, each in sent.items():
        torch.testing.assert_close(each, expected[name])


def test_vllm_draws_no_image_and_ends_where_the_trainer_does(
    untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, drawing = generation(untrained_vlm, tmp_path, monkeypatch)
    given = drawing.generation_kwargs
    assert given["logit_bias"] == {run.model.config.image_token_id: -100.0}
    assert given["ignore_eos"] and set(given["stop_token_ids"]) == set(run.eos_token_ids)
    assert drawing.seen == str(untrained_vlm) and "name_or_path" not in vars(run.model)
    assert run.model.peft_config["default"].base_model_name_or_path == str(untrained_vlm)


def test_an_image_is_one_token_to_vllm_and_read_as_many(
    untrained_vlm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, drawing = generation(untrained_vlm, tmp_path, monkeypatch)
    messages = [[{"role": "user", "content": [{"type": "image", "image": row["image"]}, {"type": "text", "text": "?"}]}]
                for row in rows(2)]  # fmt: skip
    prompts, images, _ = run._tokenize_prompts(messages)
    image = run.model.config.image_token_id
    assert prompts[0].count(image) > 1
    given: list[list[int]] = []

    def read(self: Any, prompts: list[list[int]], *_: Any, **__: Any) -> tuple[Any, ...]:
        given[:] = prompts
        return found, [[5], [6]], [[[-1.0]], [[-2.0]]], None

    monkeypatch.setattr(VLLMGeneration, "generate", read)
    found = prompts
    assert drawing.generate(prompts, images, 1)[:2] == (prompts, [[5], [6]])
    assert [each.count(image) for each in given] == [1, 1]
    assert [[token for token in each if token != image] for each in given] == [
        [token for token in each if token != image] for each in prompts
    ]
    found = [prompts[0], [*prompts[1], image]]
    with pytest.raises(UserError, match=r"vLLM reads a prompt as \d+ tokens where the trainer reads \d+"):
        drawing.generate(prompts, images, 1)


# --- settings, and TRL's side -----------------------------------------------------------------------------------------


def test_what_vllm_could_not_do_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    command = ["--config", "glyphworld_ppo", "--output_dir", str(tmp_path), "--use_vllm", "true"]
    with pytest.raises(UserError, match="use_vllm: vLLM is not installed"):
        read_settings("ppo", command)
    with pytest.raises(UserError, match="vllm_mode: expected colocate or server, found 'remote'"):
        read_settings("grpo", ["--config", "glyphworld_grpo", *command[2:], "--vllm_mode", "remote"])
    with pytest.raises(UserError, match="vllm_structured_outputs_regex: without effect in PPO, or harmful"):
        settings(tmp_path, vllm_structured_outputs_regex="yes|no")


def test_a_server_without_a_gpu_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm.importlib.util, "find_spec", lambda _: object())
    with pytest.raises(UserError, match="vllm_enable_sleep_mode: vLLM forgets all weights"):
        vllm.check(settings(tmp_path, use_vllm=True, vllm_mode="colocate", vllm_enable_sleep_mode=True))
    with pytest.raises(UserError, match="vllm_mode: a server gets its weights by NCCL"):
        vllm.check(settings(tmp_path, use_vllm=True, vllm_mode="server"))


def test_the_record_says_that_the_noise_is_not_ours(tmp_path: Path) -> None:
    assert "a resumed run draws other responses" in vllm.noted(settings(tmp_path, use_vllm=True))["noise"]
    assert vllm.noted(settings(tmp_path)) == {}


def test_trl_still_generates_as_is_relied_on() -> None:
    for module in (grpo_trainer, rloo_trainer):
        assert "VLLMGeneration(" in inspect.getsource(module), f"{module.__name__} draws by something else now"
    assert list(inspect.signature(VLLMGeneration.generate).parameters)[1:4] == ["prompts", "images", "num_generations"]
    begun, drawn = inspect.getsource(VLLMGeneration._init_vllm), inspect.getsource(VLLMGeneration.generate)
    assert "model=model.name_or_path" in begun and 'logprobs_mode="processed_logprobs"' in begun
    assert "generation_kwargs.update(self.generation_kwargs)" in drawn
    assert 'row = {"prompt_token_ids": ids}' in drawn, "TRL may have mended the prompts of issue 6294 itself"
    assert "self._iter_named_params()" in inspect.getsource(VLLMGeneration.sync_weights)
    scored = inspect.getsource(grpo_trainer.GRPOTrainer._generate_and_score_completions)
    assert 'output["importance_sampling_ratio"]' in scored and 'output["sampling_per_token_logps"]' in scored
