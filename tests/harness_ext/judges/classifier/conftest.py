"""The authors' files, tiny, and a cache of the test's own."""

from pathlib import Path

import pytest
from paper_files import write_base, write_pickle


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNSAFECONCEPTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "judges"


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def alignment(base: Path, tmp_path: Path) -> Path:
    return write_pickle(tmp_path / "alignment.pt", base, labels=3)


@pytest.fixture
def perception(base: Path, tmp_path: Path) -> Path:
    return write_pickle(tmp_path / "perception.pt", base, labels=5, seed=1)
