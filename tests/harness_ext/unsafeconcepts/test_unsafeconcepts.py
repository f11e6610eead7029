"""The hub dataset through the real client libraries; clients are subprocesses, as in test_access.py."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hub_stub import COMMIT, GRANTED, HubStub, dataset_files

from harness_ext.unsafeconcepts.taxonomy import CONCEPTS

LOAD = """
import json, sys
from harness_ext.sources.images import to_rgb
from harness_ext.unsafeconcepts.load import load_set
from harness_ext.common.errors import SourceError
try:
    dataset, described = load_set("images")
except SourceError as error:
    print(error)
    sys.exit(3)
pixels = [to_rgb(dataset[row]["image"], row).getpixel((5, 5)) for row in (0, 4, 784, 1566)]
columns = {name: dataset[name][:] for name in ("row", "concept", "label")}
print(json.dumps({"source": described, "pixels": pixels, **columns}))
"""
PLAIN = """
import datasets
assert len(datasets.load_dataset("yiting/UnsafeConcepts", split="train")) == 1567
"""


def run(program: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess:
    environment = environment | {"PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.run([sys.executable, "-c", program], env=environment, cwd=folder, capture_output=True, text=True)


def loaded(result: subprocess.CompletedProcess) -> dict:
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def of_the_hub(loaded_rows: dict) -> None:
    assert loaded_rows["source"] == f"yiting/UnsafeConcepts@{COMMIT}"
    assert loaded_rows["row"] == list(range(1567))
    assert loaded_rows["concept"] == [concept.name for concept in CONCEPTS for _ in range(concept.images)]
    assert set(loaded_rows["label"]) == {"unsafe"}
    assert loaded_rows["pixels"] == [[row // 256, row % 256, 128] for row in (0, 4, 784, 1566)]


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory):
    """The caches of a user who loaded the dataset once, and how that went."""
    home = tmp_path_factory.mktemp("home")
    with HubStub() as hub:
        return home, run(LOAD, hub.environment(home, GRANTED), home)


def test_the_first_load_downloads_and_opens_every_image(downloaded):
    _, result = downloaded
    of_the_hub(loaded(result))
    assert "Checking images (once): 100%" in result.stderr


def test_the_second_load_downloads_nothing_and_opens_no_image(downloaded):
    home, _ = downloaded
    with HubStub() as hub:
        result = run(LOAD, hub.environment(home, GRANTED), home)
        of_the_hub(loaded(result))
        assert not [request for request in hub.requests if "parquet" in request]
    assert "Checking images" not in result.stderr


def test_offline_it_is_read_from_the_cache(downloaded):
    home, _ = downloaded
    with HubStub() as hub:
        of_the_hub(loaded(run(LOAD, hub.environment(home, HF_HUB_OFFLINE="1"), home)))
        assert hub.requests == []


def test_when_the_hub_is_down_it_is_read_from_the_cache_and_said(downloaded):
    home, _ = downloaded
    with HubStub(status=503) as hub:
        result = run(LOAD, hub.environment(home, GRANTED), home)
    of_the_hub(loaded(result))
    assert "answers 503; reading yiting/UnsafeConcepts from the local hub cache" in result.stderr


def test_when_access_is_refused_the_cache_does_not_stand_in(downloaded):
    home, _ = downloaded
    with HubStub() as hub:
        result = run(LOAD, hub.environment(home), home)
    assert result.returncode == 3
    assert "you are not logged in" in result.stdout


def test_a_folder_of_the_datasets_name_is_not_taken_for_it(downloaded, tmp_path):
    home, _ = downloaded
    (tmp_path / "yiting" / "UnsafeConcepts").mkdir(parents=True)
    (tmp_path / "yiting" / "UnsafeConcepts" / "rows.csv").write_text("image,category,unsafe_concept\n")
    with HubStub() as hub:
        of_the_hub(loaded(run(LOAD, hub.environment(home, GRANTED), tmp_path)))


def test_what_load_dataset_left_in_the_cache_serves_offline(tmp_path):
    with HubStub() as hub:
        plain = run(PLAIN, hub.environment(tmp_path, GRANTED), tmp_path)
        assert plain.returncode == 0, plain.stderr
        of_the_hub(loaded(run(LOAD, hub.environment(tmp_path, HF_HUB_OFFLINE="1"), tmp_path)))


def test_an_incomplete_cache_does_not_serve_offline(downloaded, tmp_path):
    home, _ = downloaded
    shutil.copytree(home, tmp_path / "home", symlinks=True)
    next((tmp_path / "home").rglob("snapshots/*/data/train-00001*")).unlink()
    result = run(LOAD, HubStub().environment(tmp_path / "home", HF_HUB_OFFLINE="1"), tmp_path)
    assert result.returncode == 3
    assert "yiting/UnsafeConcepts is not complete in the cache" in result.stdout


def test_of_two_processes_that_start_together_one_opens_the_images(downloaded, tmp_path):
    home, _ = downloaded
    shutil.copytree(home, tmp_path / "home", symlinks=True)
    shutil.rmtree(tmp_path / "home" / "unsafeconcepts")
    with HubStub() as hub, ThreadPoolExecutor(2) as pool:
        environment = hub.environment(tmp_path / "home", GRANTED)
        results = list(pool.map(lambda _: run(LOAD, environment, tmp_path), range(2)))
    for result in results:
        of_the_hub(loaded(result))
    assert sorted("Checking images" in result.stderr for result in results) == [False, True]


def _without_a_shard() -> dict[str, bytes]:
    return {name: content for name, content in dataset_files().items() if "00001" not in name}


def _with_a_broken_shard() -> dict[str, bytes]:
    return {name: content[:-50] if "00001" in name else content for name, content in dataset_files().items()}


@pytest.mark.parametrize(
    ("files", "problem"),
    [(_without_a_shard, "NonMatchingSplitsSizesError"), (_with_a_broken_shard, "cannot be read: Arrow")],
)
def test_another_dataset_under_its_name_is_refused(tmp_path, files, problem):
    with HubStub(files()) as hub:
        result = run(LOAD, hub.environment(tmp_path, GRANTED), tmp_path)
    assert result.returncode == 3, result.stderr
    assert f"yiting/UnsafeConcepts@{COMMIT} cannot be read: " in result.stdout
    assert problem in result.stdout
    assert len(result.stdout.splitlines()) == 2
