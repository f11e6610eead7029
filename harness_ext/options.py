"""Options of lmms-eval that would do nothing here, or do harm, without a word: each is refused, with the reason.

A number that was produced under another setting than the one asked for is worse than an error.
"""

import argparse
import difflib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness_ext.common.errors import UserError
from harness_ext.common.files import require_writable_folder
from harness_ext.common.processes import processes_of_run
from harness_ext.common.secrets import PASSWORD_IN_ADDRESS
from harness_ext.judges.registry import JUDGE_VARIABLE
from harness_ext.models.catalogue import USER_FILE_VARIABLE, load_catalogue
from harness_ext.records import LIKELIHOOD
from harness_ext.registry import tasks_named

# The backends that score candidates, by their names in the catalogue.
_SCORING = frozenset({"huggingface", "vllm", "shieldgemma2", "moderation"})


def check_options(arguments: argparse.Namespace) -> None:
    """Raise ``UserError`` for lmms-eval's parsed ``arguments`` where they ask for what would not be done."""
    if arguments.output_path:
        require_writable_folder(Path(arguments.output_path))
    if problems := list(_problems(arguments)):
        raise UserError("\n".join(problems))


def check_model_name(name: str) -> None:
    """Raise ``UserError``, with the nearest names, for a model that neither lmms-eval nor the catalogue knows."""
    from lmms_eval.models import list_available_models

    known = list_available_models(include_aliases=True)
    if name not in known:
        raise UserError(f"no model is named {name!r}.{_suggestion(name, known)}")


def _suggestion(name: str, known: Sequence[str]) -> str:
    """What may have been meant: an entry of these weights, weights of no entry, or the nearest names, ours first."""
    catalogue = load_catalogue()
    near = [ours for ours, entry in catalogue.items() if entry.weights.lower() == name.lower()]
    hint = ""
    if "/" in name and not near:
        hint = f" For weights: --model hf-vlm --model_args pretrained={name}"
    elif not near:
        spelt = {other.lower().replace("_", "-"): other for other in [*known, *catalogue]}
        wanted = name.lower().replace("_", "-")
        ours = [spelling for spelling, other in spelt.items() if other in catalogue]
        close = difflib.get_close_matches(wanted, ours, n=3) + difflib.get_close_matches(wanted, spelt, n=3)
        near = list(dict.fromkeys(spelt[spelling] for spelling in close))[:3]
    if near:
        hint = f" Did you mean {' or '.join(near)}?"
    return f"{hint}\n`lmms_eval models` lists all names; --models-file and {USER_FILE_VARIABLE} add yours"


def _problems(arguments: argparse.Namespace) -> Iterator[str]:
    if arguments.output_path and not _read_as_it_is(arguments.output_path):
        yield (
            f"--output_path {arguments.output_path}: lmms-eval passes it among other arguments and would write to another "
            "place; expected neither a comma, a quotation mark nor a bracket in it, and no number (./2026 is none)"
        )
    # lmms-eval itself writes [REDACTED] for keys and tokens, but not for this.
    if PASSWORD_IN_ADDRESS.search(str(arguments.model_args or "")):
        yield "--model_args: a password in an address would be written into the results; leave it out of the address"
    our_model = arguments.model in load_catalogue()
    asked = (arguments.tasks or "").split(",")
    our_tasks = tasks_named(asked)
    our_task = bool(our_tasks)
    if our_model and arguments.use_cache:
        yield (
            "--use_cache: lmms-eval's cache does not know the weights behind a name or an adapter, keeps failed requests as "
            "answers, and would serve both; leave it out"
        )
    if our_model and arguments.system_instruction:
        yield "--system_instruction: lmms-eval does not pass it to chat models; it would be recorded but not used"
    if our_model and arguments.apply_chat_template:
        yield "--apply_chat_template: this backend always applies the model's own chat template; leave it out"
    if our_model and arguments.gen_kwargs:
        given = dict(part.split("=", 1) for part in arguments.gen_kwargs.replace(" ", "").split(",") if "=" in part)
        # A task's own do_sample stays where --gen_kwargs does not name it.
        decoding = {"temperature", "top_p", "top_k"} & given.keys()
        if decoding and "do_sample" not in given:
            yield (
                f"--gen_kwargs: say do_sample=true or do_sample=false beside {', '.join(sorted(decoding))}; without it the "
                "task's own decoding decides whether it has any effect"
            )
    scored = [name for name in asked if any(task.manner == LIKELIHOOD for task in tasks_named([name]))]
    if scored and not (our_model and load_catalogue()[arguments.model].backend in _SCORING):
        yield (
            f"--tasks {','.join(scored)}: candidates are scored by this project's backends for weights only; choose a name "
            "of them, or --model hf-vlm --model_args pretrained=..."
        )
    if scored and arguments.gen_kwargs:
        yield f"--gen_kwargs: nothing is generated by {','.join(scored)}; leave it out, or run the other tasks apart"
    if our_task and arguments.repeats > 1:
        yield f"--repeats {arguments.repeats}: these tasks judge one answer a question, the others would be thrown away"
    if our_task and arguments.limit is not None and 0 < arguments.limit < 1:
        yield (
            f"--limit {arguments.limit:g}: lmms-eval takes a share of the first task only and its count for the others; "
            "give a whole number"
        )
    if our_model and load_catalogue()[arguments.model].guard:
        yield from _problems_of_guard(arguments.model, str(arguments.model_args or ""), asked)
    processes = processes_of_run()
    together = math.lcm(*(len(task.benchmark.questions) for task in our_tasks)) * processes
    if our_task and arguments.limit is not None and processes > 1 and arguments.limit % together:
        yield (
            f"--limit {arguments.limit:g}: each of {processes} processes asks all questions about its images; a limit that "
            f"is no multiple of {together} would cut off other questions than in one process"
        )


def _problems_of_guard(model: str, model_args: str, asked: Sequence[str]) -> Iterator[str]:
    from harness_ext.models.guards.form import read_format
    from harness_ext.models.guards.tasks import not_asked

    form = read_format(load_catalogue()[model].guard)
    for task in asked:
        # A group is asked whole, so that one task of it that is not put to a guard is reason enough.
        names = [each.name for each in tasks_named([task])] or [task]
        if refused := [f"{name} ({why})" for name in names if (why := not_asked(form, name))]:
            possible = [name for name in names if not not_asked(form, name)]
            instead = f"; of these take {','.join(possible)}" if possible else ""
            yield f"--tasks {task}: {model} is a guard, which is not asked {'; '.join(refused)}{instead}"
    if any(option.strip().startswith("guard_policy=") for option in model_args.split(",")):
        for source in sorted({task.source for task in tasks_named(asked) if task.benchmark.policy}):
            yield f"--model_args guard_policy: {source} has a policy of its own; leave guard_policy out"
    if named := os.environ.get(JUDGE_VARIABLE, "").strip():
        yield f"{JUDGE_VARIABLE}={named}: {model} is a guard, whose answers are read in its own format; unset it"


def _read_as_it_is(path: str) -> bool:
    """Whether lmms-eval, which writes the path and the hub's token into one text, reads both out of it again."""
    from lmms_eval.utils import simple_parse_args_string

    try:
        return simple_parse_args_string(f"output_path={path},token=t") == {"output_path": path, "token": "t"}
    except ValueError:
        return False
