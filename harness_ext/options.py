"""Options of lmms-eval that would do nothing here, or do harm, without a word: each is refused, with the reason.

A number that was produced under another setting than the one asked for is worse than an error.
"""

import argparse
import difflib
from collections.abc import Iterator

from harness_ext.benchmark import SOURCES
from harness_ext.errors import UserError
from harness_ext.models.catalogue import describe_names, load_catalogue


def check_options(arguments: argparse.Namespace) -> None:
    """Raise ``UserError`` for lmms-eval's parsed ``arguments`` where they ask for what would not be done."""
    if problems := list(_problems(arguments)):
        raise UserError("\n".join(problems))


def check_model_name(name: str) -> None:
    """Raise ``UserError``, with the nearest names, for a model that neither lmms-eval nor the catalogue knows."""
    from lmms_eval.models import list_available_models

    known = list_available_models(include_aliases=True)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        hint = f"Did you mean {' or '.join(near)}?\n" if near else ""
        raise UserError(f"no model is named {name!r}. {hint}{describe_names()}")


def _problems(arguments: argparse.Namespace) -> Iterator[str]:
    our_model = arguments.model in load_catalogue()
    our_task = any(name.startswith(SOURCES) for name in (arguments.tasks or "").split(","))
    if our_model and arguments.use_cache:
        yield (
            "--use_cache: lmms-eval's cache does not know the weights behind a name or an adapter, keeps failed requests as "
            "answers, and would serve both; leave it out"
        )
    if our_model and arguments.system_instruction:
        yield "--system_instruction: lmms-eval does not hand it to chat models; it would be recorded but not used"
    if our_model and arguments.apply_chat_template:
        yield "--apply_chat_template: this backend always applies the model's own chat template; leave it out"
    if our_model and arguments.gen_kwargs:
        yield from _generation_problems(arguments.gen_kwargs)
    if our_task and arguments.repeats > 1:
        yield f"--repeats {arguments.repeats}: these tasks judge one answer a question, the others would be thrown away"
    if our_task and arguments.limit is not None and 0 < arguments.limit < 1:
        yield (
            f"--limit {arguments.limit:g}: lmms-eval takes a share of the first task only and its count for the others; "
            "give a whole number"
        )


def _generation_problems(gen_kwargs: str) -> Iterator[str]:
    given = dict(part.split("=", 1) for part in gen_kwargs.replace(" ", "").split(",") if "=" in part)
    # A task's own do_sample stays where --gen_kwargs does not name it.
    decoding = {"temperature", "top_p", "top_k"} & given.keys()
    if decoding and "do_sample" not in given:
        yield (
            f"--gen_kwargs: say do_sample=true or do_sample=false beside {', '.join(sorted(decoding))}; without it the "
            "task's own decoding decides whether it has any effect"
        )
