"""A package of the npm registry, fetched by npm itself, which keeps it, and held to a version and a hash."""

import base64
import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Final

_SECONDS: Final = 300


class NotFetched(Exception):
    """A package cannot be had, or is not the one that was expected; the message says why."""


def fetch(package: str, integrity: str) -> bytes:
    """The archive (``.tgz``) of a package.

    Args:
        package: ``NAME@VERSION``.
        integrity: The sha512 of the archive, in base64.

    Raises:
        NotFetched: npm is not installed, cannot get it, or gets another archive.
    """
    with tempfile.TemporaryDirectory() as folder:
        # npm's cache is asked first: after the first time no network is needed.
        pack = ["npm", "pack", "--loglevel=error", "--prefer-offline", "--pack-destination", folder, package]
        try:
            subprocess.run(pack, check=True, capture_output=True, text=True, timeout=_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", None) or str(error)
            raise NotFetched(f"`npm pack {package}` failed ({' '.join(said.split())[:300]})") from error
        (written,) = Path(folder).iterdir()
        archive = written.read_bytes()
    if (found := base64.b64encode(hashlib.sha512(archive).digest()).decode()) != integrity:
        raise NotFetched(f"{package}: expected sha512 {integrity}, found {found}")
    return archive
