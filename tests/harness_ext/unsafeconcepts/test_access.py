"""Clients are subprocesses, for huggingface_hub reads its settings when it is imported."""

import subprocess
import sys
from pathlib import Path

import pytest
from hub_stub import GRANTED, REPO, UNGRANTED, HubStub

CHECK = """
import sys
from harness_ext.unsafeconcepts.sets import check_access
from harness_ext.common.errors import SourceError
try:
    check_access("images")
except SourceError as error:
    print(error)
    sys.exit(3)
finally:
    assert not {"datasets", "torch", "lmms_eval"} & sys.modules.keys(), "the check is slow to import"
"""
# Far above what the check allows itself, on a loaded machine too: reached only by one that hangs.
HANGS = 900


def check(environment: dict[str, str], tmp_path: Path) -> subprocess.CompletedProcess:
    root = Path(__file__).parents[3]
    environment = environment | {"PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, "-c", CHECK], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=HANGS
    )


def refused(result: subprocess.CompletedProcess, problem: str) -> None:
    """The two lines that say what is missing, where to ask for it, how to log in, and what to try instead."""
    assert result.returncode == 3, result.stderr
    assert result.stderr == ""
    first, second = result.stdout.splitlines()
    assert problem in first
    assert "https://huggingface.co/datasets/yiting/UnsafeConcepts" in first
    assert "`hf auth login`" in first and "HF_TOKEN" in first
    assert "UNSAFECONCEPTS_PATH" in second
    assert second.endswith("lmms_eval --model glyph-vlm --tasks glyphworld")


def test_granted(tmp_path):
    with HubStub() as hub:
        result = check(hub.environment(tmp_path, GRANTED), tmp_path)
        assert (result.returncode, result.stdout) == (0, ""), result.stderr
        assert hub.requests == [f"GET /api/datasets/{REPO}/auth-check"]


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        (None, "is gated, and you are not logged in"),
        (UNGRANTED, "is gated, and the account of your Hugging Face token has not been granted access"),
        ("hf_expired", "does not accept your Hugging Face token"),
    ],
)
def test_the_gate(tmp_path, token, problem):
    with HubStub() as hub:
        result = check(hub.environment(tmp_path, token), tmp_path)
    refused(result, problem)
    assert token is None or token not in result.stdout


@pytest.mark.parametrize(
    ("mode", "problem"),
    [
        ({"repo": "yiting/Unsafeconcept"}, "knows no dataset yiting/UnsafeConcepts"),
        ({"hangs": True}, "did not answer within 3.5 s"),
        ({"status": 503}, "answers 503"),
        ({"status": 429}, "answers 429"),
        ({"status": 403}, "refuses yiting/UnsafeConcepts: 403, no reason given"),
    ],
    ids=["no such dataset", "slow", "down", "too many requests", "forbidden"],
)
def test_a_hub_that_does_not_help(tmp_path, mode, problem):
    with HubStub(**mode) as hub:
        refused(check(hub.environment(tmp_path, GRANTED), tmp_path), problem)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"HF_ENDPOINT": "http://127.0.0.1:1"}, "cannot be reached (ConnectError"),
        ({"HF_ENDPOINT": "http://hub.invalid"}, "http://hub.invalid"),
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set, and yiting/UnsafeConcepts is not complete in the cache"),
    ],
    ids=["no server", "no such host", "offline"],
)
def test_no_network(tmp_path, settings, problem):
    refused(check(HubStub().environment(tmp_path, GRANTED, **settings), tmp_path), problem)


def test_a_saved_login_counts(tmp_path):
    with HubStub() as hub:
        environment = hub.environment(tmp_path)
        (tmp_path / "hf").mkdir()
        (tmp_path / "hf" / "token").write_text(GRANTED)
        assert check(environment, tmp_path).returncode == 0


def test_a_local_copy_needs_no_hub(tmp_path):
    (tmp_path / "rows.parquet").touch()
    with HubStub() as hub:
        environment = hub.environment(tmp_path, UNSAFECONCEPTS_PATH=str(tmp_path / "rows.parquet"))
        assert check(environment, tmp_path).returncode == 0
        assert hub.requests == []


def test_a_local_copy_that_is_not_there_is_not_replaced_by_the_hub(tmp_path):
    with HubStub() as hub:
        result = check(hub.environment(tmp_path, GRANTED, UNSAFECONCEPTS_PATH="~/nowhere"), tmp_path)
        assert result.returncode == 3
        assert "nowhere, which does not exist" in result.stdout
        assert len(result.stdout.splitlines()) == 2
        assert hub.requests == []
