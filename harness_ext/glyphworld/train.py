"""Train a model into a folder, in a process whose variables `build` has set (`arithmetic.py` says why).

python -P -m harness_ext.glyphworld.train FOLDER SEED RECIPE [--progress]     RECIPE as JSON
"""

import json
import os
import sys
from pathlib import Path
from typing import Final

from tqdm import tqdm

from harness_ext.common.output import CommandParser, say
from harness_ext.glyphworld.arithmetic import alike
from harness_ext.glyphworld.figures import Checkpoint, perception, views_of
from harness_ext.glyphworld.pretrain import Recipe, pretrain
from harness_ext.glyphworld.render import DEVELOPMENT_SEEDS

# Twelve of thirteen seeds come to .98 or more, and one to .233 (README).
_LEAST_PERCEPTION: Final = 0.9


def main() -> None:
    """Train, and save model and processor."""
    parser = CommandParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("seed", type=int)
    parser.add_argument("recipe", type=lambda text: Recipe(**json.loads(text)))
    parser.add_argument("--progress", action="store_true")
    options = parser.parse_args()
    recipe: Recipe = options.recipe
    asked_by = os.getppid()
    steps = recipe.tower_steps + recipe.language_steps
    title = f"glyphworld model, seed {options.seed}"
    with tqdm(total=steps, desc=title, unit="step", disable=not options.progress) as bar, alike():

        def advance(count: int) -> None:
            if os.getppid() != asked_by:
                sys.exit("the process that wanted the model has ended")
            bar.update(count)

        model, processor = pretrain(options.seed, recipe, advance)
    model.save_pretrained(options.folder)
    processor.save_pretrained(options.folder)
    _ask_letters(Checkpoint(processor, model), options.seed)


def _ask_letters(checkpoint: Checkpoint, seed: int) -> None:
    """Warn on stderr if the model has not learned which letter an option has."""
    views = views_of(DEVELOPMENT_SEEDS[:1])
    right = perception(checkpoint, views)
    if right < _LEAST_PERCEPTION:
        say(
            f"warning: the model of seed {seed} has {right:.3f} right of {len(views)} perception questions about "
            f"development renders; expected at least {_LEAST_PERCEPTION}. It has not learned which letter an option has, so "
            "its figures of perception say nothing: take another seed for them",
            file=sys.stderr,
        )


if __name__ == "__main__":
    main()
