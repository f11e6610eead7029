"""A Chromium for tests of pages: one that is named, or one that is fetched once.

    PYTHONPATH=benchmarks python tests/support/browser.py      # fetches it where it is not there yet, and prints where it is

No wheel on PyPI holds a Chromium, and what playwright downloads lies on a server of its own. The npm package
``@sparticuz/chromium`` does hold one, a headless shell with the libraries that it needs beside the C library: its archive is
fetched by npm, checked against its hash (``benchmarks/npm_package.py``), and unpacked into this Python's environment. On
other machines than Linux on x86-64, or without npm, ``UNSAFECONCEPTS_CHROMIUM`` names an installed one (Debian: ``apt-get
install chromium``, then ``/usr/lib/chromium/chromium``).
"""

import io
import os
import platform
import shutil
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from npm_package import NotFetched, fetch

VARIABLE = "UNSAFECONCEPTS_CHROMIUM"
VERSION = "153.0.0"
INTEGRITY = "jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


class NoBrowser(Exception):
    """There is no Chromium to test with; the message says how to get one."""


def chromium() -> dict[str, Any]:
    """What ``playwright``'s ``chromium.launch`` takes; fetches the browser where it is not there yet.

    Raises:
        NoBrowser: None is named, and none can be had.
    """
    if named := os.environ.get(VARIABLE):
        if not shutil.which(named):
            raise NoBrowser(f"{VARIABLE} is {named}, which is no program")
        return {"executable_path": shutil.which(named), "chromium_sandbox": False}
    folder = Path(sys.prefix) / "share" / f"chromium-{VERSION}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            _unpack(_fetch(), folder)
    libraries = {"LD_LIBRARY_PATH": str(folder / "al2023" / "lib"), "FONTCONFIG_FILE": str(folder / "fonts.conf")}
    return {"executable_path": str(folder / "chromium"), "chromium_sandbox": False, "env": {**os.environ, **libraries}}


def _fetch() -> bytes:
    """The package's archive, checked."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise NoBrowser(f"a Chromium can be fetched for Linux on x86-64 only: install one, and name it in {VARIABLE}")
    try:
        return fetch(f"@sparticuz/chromium@{VERSION}", INTEGRITY)
    except NotFetched as error:
        raise NoBrowser(
            f"{error}: install Chromium (Debian: apt-get install chromium), and name it in {VARIABLE}"
        ) from error


def _unpack(archive: bytes, folder: Path) -> None:
    import brotli

    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:

        def content(name: str) -> bytes:
            file = package.extractfile(f"package/bin/{name}.br")
            assert file, f"no {name} in the package"
            return bytes(brotli.decompress(file.read()))

        (unfinished / "chromium").write_bytes(content("chromium"))
        for name in ("al2023", "fonts"):
            with tarfile.open(fileobj=io.BytesIO(content(f"{name}.tar"))) as files:
                files.extractall(unfinished / name, filter="data")
    (unfinished / "chromium").chmod(0o755)
    (unfinished / "fonts.conf").write_text(_FONTS.format(fonts=folder / "fonts" / "fonts", cache=folder / "cache"))
    unfinished.rename(folder)


@contextmanager
def browser() -> Iterator[Any]:
    """A running headless Chromium, as ``playwright`` drives it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(**chromium())
        try:
            yield running
        finally:
            running.close()


if __name__ == "__main__":
    print(chromium()["executable_path"])
