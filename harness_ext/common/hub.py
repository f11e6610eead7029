"""The Hugging Face hub's data sets: whether they can be had, found out within seconds; downloaded whole.

An unreachable hub would make the harness hang for two minutes, so the hub is asked first, under a wall-clock limit: timeouts
of HTTP clients bound each socket operation, not the whole. Imports huggingface_hub and nothing heavier.
"""

import functools
import warnings
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Final, TypeVar

from huggingface_hub import HfApi, constants, get_token, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

# The HTTP client that huggingface_hub brings along, whichever of httpx and httpx2 it is built on; exported there for
# downstream libraries, not declared to type checkers.
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

from harness_ext.common.errors import SourceError

__all__ = ["cached_snapshot", "call_within", "download", "httpx", "hub_in_reach"]

_TIMEOUT: Final = 3.5
# Request timeout, too many requests: no word on access.
_BUSY: Final = (408, 429)

Result = TypeVar("Result")


def call_within(seconds: float, call: Callable[[], Result]) -> Result:
    """The result of ``call()``, or whatever it raises; ``TimeoutError`` if it has not returned after ``seconds``.

    A call that is given up continues in a daemon thread, which does not hold up the end of the program.
    """
    outcome: Future[Result] = Future()

    def run() -> None:
        try:
            outcome.set_result(call())
        except BaseException as error:  # handed to the thread that waits, which raises it
            outcome.set_exception(error)

    Thread(target=run, daemon=True).start()
    return outcome.result(timeout=seconds)


@functools.cache
def hub_in_reach(repo: str, otherwise: str, gated: bool, revision: str | None = None) -> bool:
    """True if the hub grants access to ``repo``, False if only the copy in the local hub cache can be read.

    The cache serves when the hub is off (``HF_HUB_OFFLINE``) or does not answer, never when it refuses. Raises
    ``SourceError`` if neither serves; its second line is ``otherwise``, what to do without access.
    """
    ask = " Download it where there is a network."
    if gated:
        ask = f" Ask for access at https://huggingface.co/datasets/{repo}, then log in with `hf auth login` or set HF_TOKEN."
    if constants.HF_HUB_OFFLINE:
        unreachable = "HF_HUB_OFFLINE is set"
    else:
        try:
            if gated:
                call_within(_TIMEOUT, lambda: HfApi().auth_check(repo, repo_type="dataset"))
            else:
                call_within(_TIMEOUT, lambda: HfApi().repo_info(repo, repo_type="dataset", revision=revision))
            return True
        except HfHubHTTPError as error:
            if error.response.status_code < 500 and error.response.status_code not in _BUSY:
                raise SourceError(f"{_refusal(error, repo)}{ask}", otherwise) from error
            unreachable = f"{constants.ENDPOINT} answers {error.response.status_code}"
        except TimeoutError:
            unreachable = f"{constants.ENDPOINT} did not answer within {_TIMEOUT:g} s"
        except (httpx.HTTPError, OSError) as error:
            unreachable = f"{constants.ENDPOINT} cannot be reached ({type(error).__name__}: {error})"
    if cached_snapshot(repo, revision) is None:
        cache = constants.HF_HUB_CACHE
        raise SourceError(f"{unreachable}, and {repo} is not complete in the cache {cache}.{ask}", otherwise)
    if not constants.HF_HUB_OFFLINE:
        warnings.warn(f"{unreachable}; reading {repo} from the local hub cache", stacklevel=2)
    return False


def _refusal(error: HfHubHTTPError, repo: str) -> str:
    """Why the hub refuses, in a sentence."""
    status = error.response.status_code
    if status == 401 and get_token() is None:
        return f"{repo} is gated, and you are not logged in to Hugging Face."
    if status == 401:
        return f"{repo} is gated, and the hub does not accept your Hugging Face token (expired or mistyped)."
    if isinstance(error, GatedRepoError):
        return f"{repo} is gated, and the account of your Hugging Face token has not been granted access."
    if isinstance(error, RepositoryNotFoundError):
        return f"{constants.ENDPOINT} knows no dataset {repo}."
    # As to a fine-grained token that may not read gated repositories.
    message = error.response.headers.get("X-Error-Message", "no reason given")
    return f"{constants.ENDPOINT} refuses {repo}: {status}, {message[:200]}."


def cached_snapshot(repo: str, revision: str | None = None) -> Path | None:
    """A dataset's last downloaded revision, or the one named, a folder in the hub cache.

    ``None`` if it is missing or incomplete.
    """
    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, IncompleteSnapshotError):
        return None


def download(repo: str, *, revision: str | None = None, local_files_only: bool = False) -> Path:
    """The folder of the files of ``repo`` in the hub cache, named by its commit; downloads what is missing.

    Raises ``SourceError`` if the download breaks off.
    """
    try:
        found = snapshot_download(repo, repo_type="dataset", revision=revision, local_files_only=local_files_only)
        return Path(found)
    except (httpx.HTTPError, OSError) as error:
        raise SourceError(
            f"the download of {repo} broke off: {type(error).__name__}: {error}",
            "Run again: it resumes where it stopped.",
        ) from error
