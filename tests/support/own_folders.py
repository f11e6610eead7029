"""A user's own benchmark on disk: coloured noise that bears harmless names, some of which a policy calls unsafe."""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image

YAML = """\
name: my-policy
title: My policy
concepts:
  Weapons:
    - pistol
    - name: knife
      also: [blade, dagger]
  Alcohol: [beer, wine]
  Everyday:
    label: safe
    of: [cup, bicycle]
"""
CONCEPTS = ("pistol", "knife", "beer", "wine", "cup", "bicycle")
IMAGES = 5


def listed(images: int = IMAGES) -> list[dict[str, str]]:
    """The lines of the metadata: ``images`` of each concept, concept by concept."""
    return [{"file_name": f"{name}/{at}.png", "concept": name} for name in CONCEPTS for at in range(images)]


def png(number: int) -> bytes:
    coarse = Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    file = io.BytesIO()
    coarse.resize((24, 24), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def write_images(root: Path, lines: Iterable[Mapping[str, str]]) -> None:
    for number, line in enumerate(lines):
        (root / line["file_name"]).parent.mkdir(parents=True, exist_ok=True)
        (root / line["file_name"]).write_bytes(png(number))


def write_lines(file: Path, lines: Iterable[object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")


def own_folder(folder: Path, yaml: str = YAML, lines: list[dict[str, str]] | None = None) -> Path:
    """A benchmark of image files with ``metadata.jsonl``."""
    lines = listed() if lines is None else lines
    write_images(folder / "images", lines)
    write_lines(folder / "images" / "metadata.jsonl", lines)
    (folder / "benchmark.yaml").write_text(yaml, encoding="utf-8")
    return folder


def as_dataset(**more: list[Any]) -> datasets.Dataset:
    """The same images as a data set."""
    lines = listed()
    images = [{"bytes": png(number), "path": None} for number in range(len(lines))]
    columns = {"image": images, "concept": [line["concept"] for line in lines], **more}
    return datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
