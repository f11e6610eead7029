"""The built model's cache: trained once for a recipe and a seed, in a process of its own, written whole or not at all.

A second process waits for the first one's result. The next build sweeps away what an interrupted one has written.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Final

from harness_ext.common.errors import UserError
from harness_ext.common.files import cache_dir, held, new_folder, not_cached, sha256, write_text
from harness_ext.glyphworld.arithmetic import environment
from harness_ext.glyphworld.pretrain import Recipe

MANIFEST: Final = "manifest.json"
# Raise when anything beside the recipe's settings changes what a build makes: glyphs, sentences, model, curriculum.
WORLD_VERSION: Final = 2


def checkpoint_path(seed: int = 0, recipe: Recipe | None = None) -> Path:
    """Where the checkpoint of ``recipe`` and ``seed`` is, or would be."""
    return cache_dir() / "glyphworld" / f"seed{seed}-{_key(seed, recipe or Recipe())[:12]}"


def ensure_model(seed: int = 0, *, progress: bool = True, recipe: Recipe | None = None) -> Path:
    """The checkpoint's folder for ``seed``, built first where it is absent (about three minutes on one thread).

    The folder loads with ``AutoProcessor`` and ``AutoModelForImageTextToText``.
    """
    recipe = recipe or Recipe()
    target = checkpoint_path(seed, recipe)
    if not (target / MANIFEST).is_file():
        with _alone(target):
            if not (target / MANIFEST).is_file():
                _build(target, seed, recipe, progress)
    return target


def remove_model(seed: int = 0, *, recipe: Recipe | None = None) -> None:
    """Delete the cached checkpoint of ``seed``, if there is one, so that the next call builds it anew."""
    target = checkpoint_path(seed, recipe)
    with _alone(target):
        if target.exists():
            shutil.rmtree(target)


def _alone(target: Path) -> AbstractContextManager[None]:
    return held(target.with_name(f"{target.name}.lock"), functools.partial(not_cached, target))


def _build(target: Path, seed: int, recipe: Recipe, progress: bool) -> None:
    if target.exists():  # without a manifest
        shutil.rmtree(target)
    with new_folder(target) as folder:
        command = [sys.executable, "-P", "-m", "harness_ext.glyphworld.train", str(folder), str(seed)]
        command += [json.dumps(asdict(recipe)), *(["--progress"] if progress else [])]
        trained = subprocess.run(command, env={**os.environ, **environment()})
        if trained.returncode:
            raise UserError(
                f"{target}: training the embedded model ended with status {trained.returncode}; the reason stands above. "
                "The next start trains it anew"
            )
        manifest = {"seed": seed, "key": _key(seed, recipe), **_key_parts(recipe)}
        write_text(folder / MANIFEST, json.dumps(manifest, indent=2) + "\n")


def _key_parts(recipe: Recipe) -> dict[str, object]:
    packages = {name: version(name) for name in ("torch", "transformers", "tokenizers", "pillow", "numpy")}
    return {"world_version": WORLD_VERSION, "recipe": asdict(recipe), **packages}


def _key(seed: int, recipe: Recipe) -> str:
    return sha256(json.dumps([seed, _key_parts(recipe)], sort_keys=True))
