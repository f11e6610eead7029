"""PPO whose rollouts vLLM draws, where vLLM is installed; pytest does not collect this file by itself.

VLLM_CPU_KVCACHE_SPACE=1 python -m pytest tests/align/ppo/vllm_installed.py
"""

from pathlib import Path

import pytest
import torch
from ppo_runs import logged, settings, trainer
from vllm_parity import with_the_hubs_names

from harness_ext.glyphworld.build import ensure_model


@pytest.fixture(autouse=True)
def _weights_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU, vLLM multiplies by copies of the weights that are made once; plain products read them anew."""
    from vllm import _custom_ops
    from vllm.model_executor.layers import utils

    monkeypatch.setattr(_custom_ops, "_supports_onednn", False)
    monkeypatch.setattr(utils, "check_cpu_sgl_kernel", lambda *_: False)


def test_vllm_draws_from_the_policy_as_it_is_trained(tmp_path: Path) -> None:
    """It computes in half precision, and with weights that do not follow the policy they would be far apart at once."""
    weights = with_the_hubs_names(ensure_model(0), tmp_path / "model")
    args = settings(tmp_path / "out", use_vllm=True, vllm_max_model_length=128, max_completion_length=24, max_kl=1e4)
    run = trainer(weights, args)
    with torch.no_grad():
        for name, each in run.model.named_parameters():
            if "lora_B" in name:
                each.normal_(std=0.05)
    run.train()
    assert run.state.global_step == 8
    assert max(logged(run, "ppo/mismatch")) < 0.1
    assert min(logged(run, "ppo/mismatch_max")) > 0
