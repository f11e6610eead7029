"""Files that the authors publish beside their code: the perception options and the questions in a context.

They are fetched at run time, pinned to a commit and checked by their sha256. They are not shipped here, because upstream
carries no clear licence. Source: github.com/TrustAIRLab/SaferVLM.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness_ext.benchmark.options import Options
from harness_ext.common.errors import SourceError
from harness_ext.common.files import cache_dir, sha256, write_cached
from harness_ext.common.hub import call_within, httpx
from harness_ext.unsafeconcepts.contexts import Contexts, parse_contexts
from harness_ext.unsafeconcepts.sets import SETS

UPSTREAM: Final = "TrustAIRLab/SaferVLM"
COMMIT: Final = "22632cf1b1d0a91dba8541df95a8d400fc59db52"
MIRROR_VARIABLE: Final = "UNSAFECONCEPTS_MIRROR"
_HOST: Final = "https://raw.githubusercontent.com"
_CONNECT_SECONDS: Final = 5.0
_TOTAL_SECONDS: Final = 15.0
_MAX_BYTES: Final = 4 * 2**20


@dataclass(frozen=True)
class PublishedFile:
    """A file of the authors' repository at ``COMMIT``.

    Attributes:
        path: Its path there.
        sha256: In hexadecimal.
        what: What messages call it.
        variable: The environment variable that names the user's own copy.
    """

    path: str
    sha256: str
    what: str
    variable: str

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.path).name

    @property
    def url(self) -> str:
        """Where it is fetched: raw.githubusercontent.com, or the base URL that ``UNSAFECONCEPTS_MIRROR`` names."""
        return self._below(os.environ.get(MIRROR_VARIABLE, _HOST).rstrip("/"))

    @property
    def remedy(self) -> str:
        """What to do without it; the second line of errors."""
        return (
            f"Without a network: download it elsewhere from {self._below(_HOST)} and set {self.variable} to the file, "
            f"or put it into the folder that {SETS['images'].variable} names."
        )

    @property
    def own(self) -> Path | None:
        """The user's own copy: the one that ``variable`` names, or one beside the images of a local copy."""
        if named := os.environ.get(self.variable):
            return Path(named).expanduser().absolute()
        copy = SETS["images"].local_copy
        beside = copy / self.name if copy is not None else None
        return beside if beside is not None and beside.is_file() else None

    def _below(self, host: str) -> str:
        return f"{host}/{UPSTREAM}/{COMMIT}/{self.path}"


OPTIONS: Final = PublishedFile(
    "data/UnsafeConcepts/perception_metadata.jsonl",
    "4a2af5da9a6826c2e22a9a40cf8cb24de81611163c40927159572ab650380b60",
    "the perception options",
    "UNSAFECONCEPTS_PERCEPTION_OPTIONS",
)
CONTEXTS: Final = PublishedFile(
    "data/contexts/generated_questions.json",
    "fb791851e2241d4b4688352535790e18eeebe48a6067d7d01820112101c020e9",
    "the context questions",
    "UNSAFECONCEPTS_CONTEXT_QUESTIONS",
)


def published_options() -> tuple[Options, ...]:
    """The authors' options for the 1,567 rows of UnsafeConcepts, in row order.

    Read from the file that ``UNSAFECONCEPTS_PERCEPTION_OPTIONS`` names, or from ``perception_metadata.jsonl`` in the
    folder that ``UNSAFECONCEPTS_PATH`` names if it is there, or else fetched once and cached; always checked by sha256.
    A row may have the same distractor twice (59 rows), and some are names from outside the taxonomy. Raises
    ``SourceError`` if they cannot be had; nothing else is put in their place.
    """
    return parse_published(_read(OPTIONS))


def parse_published(text: str) -> tuple[Options, ...]:
    """The options in the authors' JSON lines (keys ``option_str`` and ``correct_option``), whose sha256 was checked."""
    return tuple(_parse_row(json.loads(line)) for line in text.splitlines())


def _parse_row(row: Mapping[str, str]) -> Options:
    # One option a line, "A: text", most lines ending in a blank.
    lines = [line.strip().partition(": ") for line in row["option_str"].split("\n")]
    return Options({letter: option for letter, _, option in lines}, row["correct_option"])


def published_contexts() -> Mapping[str, Contexts]:
    """The authors' questions in a context, by concept.

    Read as :func:`published_options` are, from the file that ``UNSAFECONCEPTS_CONTEXT_QUESTIONS`` names or from
    ``generated_questions.json``.
    """
    return parse_contexts(_read(CONTEXTS))


def _read(file: PublishedFile) -> str:
    """The text of ``file``, of the user's own copy where there is one."""
    if (own := file.own) is None:
        return fetch(file).decode("utf-8")
    try:
        content = own.read_bytes()
    except OSError as error:
        raise SourceError(f"{file.what} {own} cannot be read ({error.strerror})", file.remedy) from error
    _verify(content, file, str(own))
    return content.decode("utf-8")


def fetch(file: PublishedFile) -> bytes:
    """The file's bytes, from the cache or else over the network, checked either way.

    A cached copy that does not match (a disk error) is fetched again. Raises ``SourceError`` if the file cannot be had within
    seconds, or is not the published one.
    """
    cached = cache_dir() / f"{COMMIT[:12]}-{file.name}"
    if cached.is_file():
        content = cached.read_bytes()
        if sha256(content) == file.sha256:
            return content
    try:
        content = call_within(_TOTAL_SECONDS, lambda: _download(file.url))
    except (httpx.HTTPError, OSError) as error:  # the TimeoutError of call_within is an OSError
        reason = str(error) or f"nothing within {_TOTAL_SECONDS:g} s"
        raise SourceError(f"{file.url} cannot be fetched ({type(error).__name__}: {reason})", file.remedy) from error
    _verify(content, file, file.url)
    write_cached(cached, content)
    return content


def _verify(content: bytes, file: PublishedFile, origin: str) -> None:
    if (found := sha256(content)) != file.sha256:
        raise SourceError(
            f"{origin} is not the published {file.name}: expected sha256 {file.sha256}, "
            f"found {found} ({len(content)} bytes)",
            file.remedy,
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
