"""A benchmark's folder with all of its images looked at: what is wrong, and what a user should know."""

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from harness_ext.benchmark.probes import groups_of, tasks_of
from harness_ext.common.errors import SourceError, shown
from harness_ext.common.files import digest
from harness_ext.own.benchmark import OwnBenchmark
from harness_ext.own.folder import Contents, read_contents
from harness_ext.own.listing import Listing
from harness_ext.own.pictures import of_files, open_rows, sizes, undecoded
from harness_ext.own.problems import listed

if TYPE_CHECKING:
    from datasets import Dataset


def examine(folder: Path, taken: Collection[str] = ()) -> tuple[OwnBenchmark, tuple[str, ...]]:
    """The benchmark in a folder, every image of it opened once, and notes on images that are the same.

    ``taken`` are names of tasks and groups that it must not have.

    Raises:
        FaultyBenchmarkError: Something is wrong; the message names everything, with file and line.
        SourceError: Images on the hub cannot be had.
    """
    contents = read_contents(folder)
    notes: tuple[str, ...] = ()
    if contents.listing is not None:
        notes = _look(contents, contents.listing)
    if contents.wrong:
        contents.problems.raise_any()
    benchmark = OwnBenchmark(contents)
    if clash := sorted({*tasks_of(benchmark), *groups_of(benchmark)} & set(taken)):
        line = contents.written.line("name")
        contents.problems.add(
            contents.written.file, line, f"name: lmms-eval has {clash[0]!r} of its own; choose another name"
        )
    contents.problems.raise_any()
    if contents.listing is None:
        benchmark.require(["images"])
    return benchmark, notes


def _look(contents: Contents, listing: Listing) -> tuple[str, ...]:
    """Note every image that cannot be read; returns notes on images that are the same."""
    from harness_ext.sources.prepared import unreadable_images

    if listing.names:
        found = sizes(contents.folder, listing, contents.problems)
        rows = [row for row, size in enumerate(found) if size >= 0]
        images = of_files([listing.file.parent / listing.names[row] for row in rows])
        of_size = Counter(found)
        suspects = [at for at, row in enumerate(rows) if of_size[found[row]] > 1]
    else:
        try:
            images = _embedded(contents, listing)
        except SourceError as error:
            contents.problems.add(listing.file, 0, " ".join(error.args).removeprefix(f"{contents.form.images.path}: "))
            return ()
        rows = suspects = list(range(len(images)))
    for at, unreadable in unreadable_images(images, str(contents.folder)):
        row, cause = rows[at], unreadable.__cause__
        reason = type(cause).__name__ if cause else str(unreadable).partition(": ")[2]
        name = f"{listing.names[row]} ({reason})" if listing.names else reason
        listing.note(contents.problems, row, "the image cannot be read", name)
    return _alike(listing, rows, images, suspects)


def _embedded(contents: Contents, listing: Listing) -> "Dataset":
    assert listing.layout is not None
    images = contents.form.images
    return undecoded(open_rows(listing.layout, images, images.path), images.columns.image, images.path)


def _alike(listing: Listing, rows: Sequence[int], images: "Dataset", suspects: Sequence[int]) -> tuple[str, ...]:
    """Notes on images with the same bytes; ``suspects`` are those of ``images`` that can have them."""
    first: dict[str, int] = {}
    same: list[str] = []
    contradicting: list[str] = []
    for at in tqdm(suspects, desc="Comparing images", unit="image", leave=False):
        image = images[at]["image"]
        of_bytes = digest(image["bytes"] if image["bytes"] is not None else Path(image["path"]))
        row, other = rows[at], rows[first.setdefault(of_bytes, at)]
        if row != other:
            pair = f"{_named(listing, row)} and {_named(listing, other)}"
            (same if listing.concepts[row] == listing.concepts[other] else contradicting).append(pair)
    return (
        *([f"{len(same)} images are there twice: {listed(same)}"] if same else []),
        *([f"{len(contradicting)} images have two concepts: {listed(contradicting)}"] if contradicting else []),
    )


def _named(listing: Listing, row: int) -> str:
    return shown(listing.names[row]) if listing.names else f"row {row}"
