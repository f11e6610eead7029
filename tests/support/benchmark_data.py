from pathlib import Path

import datasets
import pytest

_REFERENCE = Path(__file__).parents[3] / "shared" / "data"


@pytest.fixture(autouse=True)
def own_caches(tmp_path, monkeypatch):
    """Nothing a test does lands in the user's caches, or depends on the user's settings."""
    for name in (
        "UNSAFECONCEPTS_PATH",
        "UNSAFECONCEPTS_SAFE_PATH",
        "UNSAFECONCEPTS_SMID_PATH",
        "UNSAFECONCEPTS_NSFW_PATH",
        "UNSAFECONCEPTS_PERCEPTION_OPTIONS",
        "UNSAFECONCEPTS_CONTEXT_QUESTIONS",
        "UNSAFECONCEPTS_MIRROR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))


def _reference(name: str) -> Path:
    path = _REFERENCE / name
    if not path.exists():
        pytest.skip(f"the authors' {name} is not in {_REFERENCE}")
    return path


@pytest.fixture
def authors_metadata() -> Path:
    return _reference("unsafeconcepts_metadata.jsonl")


@pytest.fixture
def authors_options() -> Path:
    return _reference("unsafeconcepts_perception_metadata.jsonl")


@pytest.fixture
def authors_contexts() -> Path:
    return _reference("unsafeconcepts_context_questions.json")


@pytest.fixture
def authors_outputs() -> Path:
    return _reference("published")
