"""Whether the images of UnsafeConcepts can be had, found out within seconds and before any long work.

The dataset is gated on the Hugging Face hub: one has to ask for access, and be logged in. Other data sets of its authors are
asked for in the same way, gated or not. An unreachable hub would make
the harness hang for two minutes, so the question is put to the hub first, under a wall-clock limit. Imports
huggingface_hub and nothing heavier.
"""

import functools
import os
import warnings
from pathlib import Path
from typing import Final

from huggingface_hub import HfApi, constants, get_token, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from harness_ext.benchmark.sources.errors import SourceError
from harness_ext.benchmark.sources.layout import find_layout
from harness_ext.benchmark.sources.network import call_within, httpx

REPO: Final = "yiting/UnsafeConcepts"
PATH_VARIABLE: Final = "UNSAFECONCEPTS_PATH"
TIMEOUT: Final = 3.5
# Request timeout, too many requests: no word on access.
_BUSY: Final = (408, 429)

_OTHERWISE: Final = (
    f"Or set {PATH_VARIABLE} to a local copy, or try the harmless stand-in: "
    "lmms_eval --model glyph-vlm --tasks glyphworld"
)


def local_copy(variable: str = PATH_VARIABLE) -> Path | None:
    """The local copy that an environment variable names, or ``None`` where it names none."""
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None


def check_access(timeout: float = TIMEOUT) -> None:
    """Return if the images can be had; otherwise raise ``SourceError`` within ``timeout`` seconds.

    A local copy is only looked at from outside here (is it there, in a known layout); loading it checks its rows.
    """
    path = local_copy()
    if path is not None:
        find_layout(path)
    else:
        hub_in_reach(timeout)


@functools.cache
def hub_in_reach(timeout: float = TIMEOUT, repo: str = REPO, otherwise: str = _OTHERWISE) -> bool:
    """True if the hub grants access to ``repo``, False if only the copy in the local hub cache can be read.

    The cache serves when the hub is off (``HF_HUB_OFFLINE``) or does not answer, never when it refuses. Raises
    ``SourceError`` if neither serves; its second line is ``otherwise``, what to do without access.
    """
    ask = f"Ask for access at https://huggingface.co/datasets/{repo}, then log in with `hf auth login` or set HF_TOKEN."
    if constants.HF_HUB_OFFLINE:
        unreachable = "HF_HUB_OFFLINE is set"
    else:
        try:
            call_within(timeout, lambda: HfApi().auth_check(repo, repo_type="dataset"))
            return True
        except HfHubHTTPError as error:
            if error.response.status_code < 500 and error.response.status_code not in _BUSY:
                raise SourceError(f"{_refusal(error, repo)} {ask}", otherwise) from error
            unreachable = f"{constants.ENDPOINT} answers {error.response.status_code}"
        except TimeoutError:
            unreachable = f"{constants.ENDPOINT} did not answer within {timeout:g} s"
        except (httpx.HTTPError, OSError) as error:
            unreachable = f"{constants.ENDPOINT} cannot be reached ({type(error).__name__}: {error})"
    if cached_snapshot(repo) is None:
        cache = constants.HF_HUB_CACHE
        raise SourceError(f"{unreachable}, and {repo} is not complete in the cache {cache}. {ask}", otherwise)
    if not constants.HF_HUB_OFFLINE:
        warnings.warn(f"{unreachable}; reading {repo} from the local hub cache", stacklevel=2)
    return False


def cached_snapshot(repo: str = REPO) -> Path | None:
    """A dataset's last downloaded revision, a folder in the hub cache; ``None`` if it is missing or incomplete."""
    try:
        return Path(snapshot_download(repo, repo_type="dataset", local_files_only=True))
    except (LocalEntryNotFoundError, IncompleteSnapshotError):
        return None


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
