"""Where a benchmark's images are kept: in its folder, or as a commit on the hub; and how they are had."""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from harness_ext.common import files
from harness_ext.common.hub import cached_snapshot, download, hub_in_reach
from harness_ext.own.fit import check_listing
from harness_ext.own.folder import Contents
from harness_ext.own.listing import Listing, from_columns
from harness_ext.own.pictures import of_files, open_rows, sizes, undecoded
from harness_ext.own.problems import Problems
from harness_ext.sources.access import Layout

if TYPE_CHECKING:
    from datasets import Dataset


class KeptImages:
    """The images of a folder without problems. Nothing is read, or asked of the hub, before it is needed."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._said = contents.form.images

    @property
    def source(self) -> str:
        """Where the images come from, for messages: the folder, or ``repository@commit``."""
        return f"{self._said.hub}@{self._said.revision}" if self._said.hub else str(self._contents.folder)

    @property
    def told(self) -> str:
        """The same for results, which others read: of a folder its name alone, and the digest of its images."""
        return self.source if self._said.hub else f"{self._contents.folder.name}, images {self.sha256[:12]}"

    @cached_property
    def sha256(self) -> str:
        """A digest of the images and which concept each shows: of the files' contents, or of the hub's commit."""
        listing = self._contents.listing
        if listing is None:
            return files.sha256(self._said.model_dump_json())
        # Also where files are missing: a run without images has to be told apart too.
        names = [listing.file.parent / name for name in listing.names] or listing.tables
        return files.sha256(json.dumps([_digests(list(names)), listing.concepts]))

    @cached_property
    def _missing(self) -> Problems:
        """What is wrong with the files of the images, looked at from outside."""
        problems = Problems(self._contents.folder)
        sizes(self._contents.folder, self.listing, problems)
        return problems

    def check_access(self) -> None:
        """Look for every file, or ask the hub, without downloading. Raises ``SourceError`` where something is missing."""
        if not self._said.hub:
            if self.listing.names:
                self._missing.raise_any()
        elif not self._is_here:
            instead = f"Or keep the images in the folder {self._contents.folder}."
            hub_in_reach(self._said.hub, instead, gated=True, revision=self._said.revision)

    @property
    def _is_here(self) -> bool:
        # A commit does not change: a complete copy of it in the hub's cache is enough.
        return cached_snapshot(self._said.hub, self._said.revision) is not None

    @cached_property
    def _hub_rows(self) -> "Dataset":
        self.check_access()
        folder = download(self._said.hub, revision=self._said.revision, local_files_only=self._is_here)
        return open_rows(Layout("hub", (folder,)), self._said, self.source)

    @cached_property
    def listing(self) -> Listing:
        """The list of the images. Raises ``SourceError`` where they are on the hub and cannot be had, or do not fit."""
        if self._contents.listing is not None:
            return self._contents.listing
        problems = Problems(self._contents.folder)
        columns, rows = self._said.columns, self._hub_rows
        values = {name: rows[name][:] for name in columns.besides_image if name in rows.column_names}
        found = from_columns(Path(self.source), None, columns, rows.column_names, values, problems)
        if found is not None:
            check_listing(found, self._contents.form, self._contents.written, problems)
        problems.raise_any()
        assert found is not None
        return found

    @cached_property
    def images(self) -> "Dataset":
        """All images, undecoded: the one column ``image``. Raises ``SourceError`` where one is not there."""
        listing = self.listing
        if listing.names:
            self.check_access()
            return of_files([listing.file.parent / name for name in listing.names])
        rows = self._hub_rows if listing.layout is None else open_rows(listing.layout, self._said, self.source)
        return undecoded(rows, self._said.columns.image, self.source)


def _digests(paths: Sequence[Path]) -> list[str]:
    """A digest of the content of each of ``paths``; empty where there is no such file.

    Some GB a second; kept in the cache folder for as long as the files keep their size and time of change.
    """
    there = [file for file in paths if file.is_file()]
    state = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in there]
    kept = files.cache_dir() / "images-digests" / files.sha256(json.dumps(state))
    if not kept.exists():
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            bar = tqdm(pool.map(files.digest, there), total=len(there), desc="Reading images (once)", leave=False)
            files.write_cached(kept, json.dumps(list(bar)).encode())
    found = dict(zip(there, json.loads(kept.read_text(encoding="utf-8")), strict=True))
    return [found.get(file, "") for file in paths]
