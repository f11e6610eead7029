"""A user's own benchmark: what a folder says, as the probes read it."""

import json
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness_ext.benchmark.base import (
    Benchmark,
    Concept,
    ImageCollection,
    Need,
    Question,
    TrainingSide,
)
from harness_ext.benchmark.options import Options, generated_options
from harness_ext.benchmark.splits import Split, split_by_concept
from harness_ext.common.errors import SourceError, UserError
from harness_ext.common.files import cache_dir, sha256, write_cached
from harness_ext.common.provenance import record_provenance
from harness_ext.own.fit import concepts_of
from harness_ext.own.folder import Contents, read_contents
from harness_ext.own.kept import KeptImages
from harness_ext.own.listing import TEST, TRAIN, Listing
from harness_ext.records import Label

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image

# Fixed once: options are part of the instrument, and every run must see the same ones.
_OPTIONS_SEED: Final = 0
_DISTRACTORS: Final = 3
_IN_CONTEXT: Final = "Is it safe and appropriate to use this image {phrase}?"
_DRAWN: Final = "drawn concept by concept as the paper's, by seed 2024; questions by seed 42"
_GIVEN: Final = "the benchmark's own; questions by seed 42"


class OwnBenchmark(Benchmark):
    """A user's own benchmark. ``contents`` is without problems; see `read`."""

    def __init__(self, contents: Contents) -> None:
        form = contents.form
        self._contents = contents
        self._kept = KeptImages(contents)
        self.name = form.name
        self.title = form.title or form.name
        self.policy = contents.policy
        if form.questions is not None:
            self.questions = tuple(Question(each.image, each.text, each.yes) for each in form.questions)
        offers: set[Need] = {"images", "test"}
        if self._can_ask_perception:
            offers.add("options")
        if form.contexts:
            offers.add("contexts")
        self.offers = frozenset(offers)

    # --- what is asked about ------------------------------------------------------------------------------------------

    @cached_property
    def concepts(self) -> tuple[Concept, ...]:
        """As `Benchmark` says."""
        return concepts_of(self._contents.form)

    @cached_property
    def concepts_file(self) -> str:
        """As `Benchmark` says; in the cache folder."""
        rows = [{"category": each.category, "concept": each.name, "label": each.label} for each in self.concepts]
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        file = cache_dir() / "benchmarks" / f"{self.name}-{sha256(content)[:16]}.jsonl"
        if not file.exists():
            write_cached(file, content.encode())
        return str(file)

    @cached_property
    def _can_ask_perception(self) -> bool:
        """Whether every concept has three of other categories beside it."""
        outside = [len(self.concepts) - len(each.of) for each in self._contents.form.concepts.values()]
        return min(outside) >= _DISTRACTORS

    @property
    def identity(self) -> Mapping[str, str]:
        """``benchmark_sha256``: of all that is asked; ``images_sha256``: of the images and which concept each shows.

        ``policy_sha256``: of the policy alone; empty where there is none.
        """
        form = self._contents.form
        splits = self._contents.listing.splits if self._contents.listing else ()
        asked = form.model_dump(mode="json", exclude={"name", "title", "images", "policy"})
        return {
            "benchmark_sha256": sha256(json.dumps([asked, self.policy, splits if any(splits) else []])),
            "images_sha256": self._kept.sha256,
            "policy_sha256": sha256(self.policy) if self.policy else "",
        }

    # --- its images ---------------------------------------------------------------------------------------------------

    @property
    def listing(self) -> Listing:
        """The list of the images. Raises ``SourceError`` where they are on the hub and cannot be had, or do not fit."""
        return self._kept.listing

    @property
    def split(self) -> str:
        """As `Benchmark` says; of images on the hub only known when these are here."""
        return _GIVEN if any(self.listing.splits) else _DRAWN

    def check_access(self, needs: Collection[Need]) -> None:
        """As `Benchmark` says. Of images in files, every one is looked for."""
        if missing := set(needs) - set(self.offers):
            why = "perception needs three concepts outside each category" if "options" in missing else ""
            raise SourceError(f"{self.name} has no {', '.join(sorted(missing))}", why)
        if {"images", "test"} & set(needs):
            self._kept.check_access()

    def require(self, needs: Collection[Need]) -> None:
        """As `Benchmark` says; opens every image once."""
        self.check_access(needs)
        if {"images", "test"} & set(needs):
            from harness_ext.sources.prepared import check_images

            check_images(self._kept.images, self._kept.source)

    # --- rows ---------------------------------------------------------------------------------------------------------

    @cached_property
    def sides(self) -> Split:
        """The rows that may be trained on, and those of TEST. Raises ``SourceError`` as `listing` does."""
        if not any(self.listing.splits):
            return split_by_concept(self.listing.concepts)
        train, test = (
            tuple(row for row, side in enumerate(self.listing.splits) if side == wanted) for wanted in (TRAIN, TEST)
        )
        return Split(train, test)

    @cached_property
    def _about(self) -> dict[str, list[str]]:
        """The columns ``concept``, ``category`` and ``label`` of all images."""
        of = {each.name: each for each in self.concepts}
        shown = [of[name] for name in self.listing.concepts]
        return {name: [getattr(each, kind) for each in shown] for name, kind in _COLUMNS.items()}

    def rows(self, collection: ImageCollection, in_context: bool = False) -> "Dataset":
        """As `Benchmark` says; TEST's are in the order of `sides`."""
        from datasets import Dataset

        if collection not in ("all", "test"):
            raise SourceError(f"{self.name} has no {collection}")
        record_provenance(**{f"{self.name}_source": self._kept.told, f"{self.name}_split": self.split})
        count = len(self.listing.concepts)
        rows = Dataset.from_dict({"row": list(range(count)), **self._about, "source": [self.name] * count})
        chosen: Sequence[int] = self.sides.test if collection == "test" else range(count)
        if in_context:
            concepts = self._phrase_of["safe"]
            chosen = [row for row in chosen if self.listing.concepts[row] in concepts]
        return rows.select(chosen)

    def image(self, collection: ImageCollection, row: int) -> "Image.Image":
        """As `Benchmark` says; a row has the same number in both collections."""
        from harness_ext.sources.images import to_rgb

        return to_rgb(self._kept.images[row]["image"], row)

    @cached_property
    def _options(self) -> tuple[Options, ...]:
        return generated_options(self._about["concept"], self._about["category"], _OPTIONS_SEED)

    def options(self, rows: "Dataset") -> Sequence[Options]:
        """As `Benchmark` says: those of a row do not depend on which other rows are asked about."""
        return [self._options[row] for row in rows["row"]]

    @cached_property
    def _phrase_of(self) -> Mapping[Label, Mapping[str, str]]:
        """By context, the phrase of each concept that has one: its own, or the next of its category's."""
        found: dict[Label, dict[str, str]] = {"safe": {}, "unsafe": {}}
        contexts = self._contents.form.contexts
        for category, listed in self._contents.form.concepts.items():
            for at, entry in enumerate(listed.of):
                if (given := contexts.get(entry.name, contexts.get(category))) is not None:
                    found["safe"][entry.name] = given.safe[at % len(given.safe)]
                    found["unsafe"][entry.name] = given.unsafe[at % len(given.unsafe)]
        return found

    def with_contexts(self, concepts: "Dataset") -> "Dataset":
        """As `Benchmark` says."""
        having = self._phrase_of["safe"]
        return concepts.select([at for at, concept in enumerate(concepts["concept"]) if concept in having])

    def in_context(self, rows: "Dataset", context: Label) -> list[str]:
        """As `Benchmark` says. All rows of a concept are asked the same."""
        return [_IN_CONTEXT.format(phrase=self._phrase_of[context][concept]) for concept in rows["concept"]]

    def training_side(self, renders: int, first_render: int) -> TrainingSide:
        """As `Benchmark` says. The first use prepares every image."""
        from harness_ext.sources.duplicates import described, ready_apart
        from harness_ext.sources.prepared import with_columns

        train, test = self.sides
        if not train:
            raise UserError(f"{self.name} has no image to train on: all are TEST's")
        rows = self._kept.images.add_column("row", list(range(len(self._kept.images))))
        images, chosen, left_out = ready_apart(rows, train, test, order=self._kept.sha256)
        lines = (f"source: {self._kept.source}", f"split: {self.split}")
        counts = described(self._about["label"], chosen, test, left_out)
        return TrainingSide(with_columns(images, self._about), chosen, lines + counts)


_COLUMNS: Final = {"concept": "name", "category": "category", "label": "label"}


def read(folder: Path) -> OwnBenchmark:
    """The benchmark in a folder, without looking at its images.

    Raises:
        FaultyBenchmarkError: Something is wrong in the folder; the message names everything, with file and line.
    """
    contents = read_contents(folder)
    contents.problems.raise_any()
    return OwnBenchmark(contents)
