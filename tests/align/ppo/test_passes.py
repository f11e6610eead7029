"""How responses are dealt into the updates of every pass."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ppo_runs import settings, trainer

from align.ppo.passes import deal


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize("updates", [1, 2, 4])
def test_updates_of_processes_make_up_those_of_one(processes: int, updates: int) -> None:
    whole = deal(16, updates, seed=7)
    assert whole.shape == (updates, 16 // updates)
    assert sorted(whole.flatten().tolist()) == list(range(16))
    mine = 16 // processes
    parts = [deal(mine, updates, 7, processes, process) + process * mine for process in range(processes)]
    assert torch.equal(whole, torch.cat(parts, dim=1))


def test_another_seed_deals_other_updates() -> None:
    """Each response comes into each update, and beside each of the others that are not dealt with it."""
    dealt = torch.stack([deal(8, 2, seed) for seed in range(64)])
    assert all((dealt[:, update] == response).any() for update in range(2) for response in range(8))
    together = {(int(a), int(b)) for update in dealt.view(-1, 4) for a in update for b in update}
    assert together == {(a, b) for a in range(8) for b in range(8) if a == b or a // 2 != b // 2}


def test_every_pass_has_an_order_of_its_own(untrained_vlm: Path, tmp_path: Path) -> None:
    parts = {"per_device_train_batch_size": 2, "steps_per_generation": 4, "num_iterations": 3}
    orders = []
    for run in range(2):
        made = trainer(untrained_vlm, settings(tmp_path / str(run), **parts), count=16)
        seen: list[list[int]] = []
        loss = made._compute_loss

        def noting(model: Any, inputs: dict[str, Any], seen: Any = seen, loss: Any = loss) -> torch.Tensor:
            seen.append(inputs["sample"].tolist())
            return loss(model, inputs)

        made._compute_loss = noting
        made.train()
        orders.append([seen[at : at + 4] for at in range(0, len(seen), 4)])
    passes = orders[0]
    assert len(passes) == 2 * 3
    assert all(sorted(each for update in updates for each in update) == list(range(8)) for updates in passes)
    assert len({str(updates) for updates in passes}) == 6
    assert orders[1] == passes
