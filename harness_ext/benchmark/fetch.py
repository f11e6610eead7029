"""Files the authors publish beside their code, fetched at run time, pinned to a commit and checked by their sha256.

They are not shipped here, for upstream carries no clear licence. Source: github.com/TrustAIRLab/SaferVLM.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness_ext.benchmark.sources.access import local_copy
from harness_ext.common.errors import SourceError
from harness_ext.common.files import cache_dir, sha256, write_cached
from harness_ext.common.hub import call_within, httpx

UPSTREAM: Final = "TrustAIRLab/SaferVLM"
COMMIT: Final = "22632cf1b1d0a91dba8541df95a8d400fc59db52"
MIRROR_VARIABLE: Final = "UNSAFECONCEPTS_MIRROR"
_CONNECT_SECONDS: Final = 5.0
_TOTAL_SECONDS: Final = 15.0
_MAX_BYTES: Final = 4 * 2**20


@dataclass(frozen=True)
class PublishedFile:
    """A file of the authors' repository at ``COMMIT``: its path there, and its sha256 in hexadecimal."""

    path: str
    sha256: str

    @property
    def url(self) -> str:
        """Where it is fetched: raw.githubusercontent.com, or the base URL that ``UNSAFECONCEPTS_MIRROR`` names."""
        base = os.environ.get(MIRROR_VARIABLE, "https://raw.githubusercontent.com").rstrip("/")
        return f"{base}/{UPSTREAM}/{COMMIT}/{self.path}"


def named_file(file: PublishedFile, variable: str) -> Path | None:
    """The user's own copy of ``file``: the one that ``variable`` names, or one beside the images of a local copy."""
    if named := os.environ.get(variable):
        return Path(named).expanduser().absolute()
    copy = local_copy()
    beside = copy / Path(file.path).name if copy is not None else None
    return beside if beside is not None and beside.is_file() else None


def read_published(file: PublishedFile, own: Path | None, what: str, remedy: str) -> str:
    """The text of ``file``, from the user's ``own`` copy of it where there is one, or else fetched; checked either way.

    Raises ``SourceError``, which calls the file ``what``, if it cannot be had or is not the published one.
    """
    if own is None:
        return fetch(file, remedy).decode("utf-8")
    try:
        content = own.read_bytes()
    except OSError as error:
        raise SourceError(f"{what} {own} cannot be read ({error.strerror})", remedy) from error
    verify(content, file, str(own), remedy)
    return content.decode("utf-8")


def fetch(file: PublishedFile, remedy: str) -> bytes:
    """The file's bytes, from the cache or else over the network, checked either way.

    A cached copy that does not match (a disk error) is fetched again. ``remedy`` is the second line of the
    ``SourceError`` that is raised if the file cannot be had within seconds, or is not the published one.
    """
    cached = cache_dir() / f"{COMMIT[:12]}-{Path(file.path).name}"
    if cached.is_file():
        content = cached.read_bytes()
        if sha256(content) == file.sha256:
            return content
    try:
        content = call_within(_TOTAL_SECONDS, lambda: _download(file.url))
    except (httpx.HTTPError, OSError) as error:  # TimeoutError, of the whole, is an OSError
        reason = str(error) or f"nothing within {_TOTAL_SECONDS:g} s"
        raise SourceError(f"{file.url} cannot be fetched ({type(error).__name__}: {reason})", remedy) from error
    verify(content, file, file.url, remedy)
    write_cached(cached, content)
    return content


def verify(content: bytes, file: PublishedFile, origin: str, remedy: str) -> None:
    """Raise ``SourceError`` unless ``content``, read from ``origin``, is the published file."""
    if (found := sha256(content)) != file.sha256:
        raise SourceError(
            f"{origin} is not the published {Path(file.path).name}: expected sha256 {file.sha256}, "
            f"found {found} ({len(content)} bytes)",
            remedy,
        )


def _download(url: str) -> bytes:
    content = bytearray()
    with httpx.stream("GET", url, timeout=_CONNECT_SECONDS, follow_redirects=True) as response:
        response.raise_for_status()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > _MAX_BYTES:
                raise OSError(f"more than {_MAX_BYTES} bytes")
    return bytes(content)
