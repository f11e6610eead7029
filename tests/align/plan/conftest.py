"""A model for plans: LLaVA-1.5's architecture, narrower, and some ten times the embedded model."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def wider_vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder."""
    import torch
    from shapes import llava

    folder = tmp_path_factory.mktemp("wider_vlm")
    with torch.random.fork_rng():
        llava("narrow", folder, torch.float32, "cpu", image_size=112)
    return folder
