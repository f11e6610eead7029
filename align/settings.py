"""A recipe and the command line, as the settings of one run; what is wrong with them is said before anything is loaded."""

import argparse
import difflib
import importlib.util
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import torch
from transformers import TrainingArguments
from transformers.utils import is_torch_bf16_gpu_available
from trl import DPOConfig, GRPOConfig, RLOOConfig, SFTConfig, TrlParser

from align.config import DataConfig, ModelConfig, RewardConfig
from align.ppo.config import PPOConfig
from align.recipe import Recipe, read_recipe
from harness_ext.errors import UserError

ARGUMENTS: Final[dict[str, type[TrainingArguments]]] = {
    "sft": SFTConfig,
    "dpo": DPOConfig,
    "ppo": PPOConfig,
    "grpo": GRPOConfig,
    "rloo": RLOOConfig,
}
WITH_ROLLOUTS: Final = ("ppo", "grpo", "rloo")

# What a run rests on here; any other value would be without effect, or do harm.
_FIXED: Final[dict[str, tuple[Any, str]]] = {
    "num_train_epochs": (1.0, "say `passes` for how often each row is used"),
    "shuffle_dataset": (False, "each pass over the rows has an order of its own"),
    "train_sampling_strategy": ("sequential", "each pass over the rows has an order of its own"),
    "remove_unused_columns": (False, "rewards and messages need the rows' columns"),
    "save_strategy": ("steps", "a run goes on from its checkpoints, and ends with one; say save_steps"),
    "save_only_model": (False, "a run could not go on from such a checkpoint"),
    "ignore_data_skip": (False, "a run that goes on would meet its first rows again"),
    "auto_find_batch_size": (False, "a run that goes on would not know its batches"),
    "resume_from_checkpoint": (None, "the same command goes on by itself"),
    "eval_strategy": ("no", "evaluate through lmms_eval"),
    "do_eval": (False, "evaluate through lmms_eval"),
    "push_to_hub": (False, "upload OUTPUT_DIR/final when you have looked at it: hf upload"),
    "log_completions": (False, "it would print the responses"),
    "reward_weights": (None, "the weights stand beside the rewards"),
    "model_init_kwargs": (None, "say model, model_revision, dtype and attn_implementation"),
    "trust_remote_code": (False, "code of a model's repository is not run here"),
    "chat_template_kwargs": (None, "prompts are those that the model is evaluated with"),
    "chat_template_path": (None, "prompts are those that the model is evaluated with"),
    "precompute_ref_log_probs": (False, "rows become tokens as they are met"),
    "packing": (False, "rows have images"),
}


@dataclass
class RunConfig:
    """What becomes of an earlier run in the same folder."""

    overwrite: bool = field(
        default=False,
        metadata={"help": "Delete the run that is in output_dir, and begin anew, rather than go on with it."},
    )


@dataclass
class Settings:
    """What one run is told.

    Attributes:
        method: ``"sft"``, ``"dpo"``, ``"ppo"``, ``"grpo"`` or ``"rloo"``.
        model: The model and its LoRA.
        data: The rows.
        rewards: What a response earns; of methods with rollouts alone.
        arguments: The trainer's own.
        overwrite: Whether an earlier run in the same folder is deleted.
    """

    method: str
    model: ModelConfig
    data: DataConfig
    rewards: RewardConfig | None
    arguments: TrainingArguments
    overwrite: bool


class _Parser(TrlParser):
    """TRL's parser, which raises rather than exits.

    ``data_seed`` is of the rows and of the trainer's arguments: one option that sets both, for which they are told alike.
    """

    def __init__(self, kinds: Sequence[type], prog: str) -> None:
        super().__init__(kinds, prog=prog, allow_abbrev=False, conflict_handler="resolve")
        for action in self._actions:
            if action.type is Any:  # a list of mappings, which on a command line is YAML
                action.type = str

    def error(self, message: str) -> Any:
        raise UserError(message)

    def read(self, recipe: Recipe, arguments: Sequence[str]) -> list[Any]:
        """An instance of each kind, from the recipe and the command line, which wins."""
        self._check(recipe)
        self.set_defaults_with_config(**recipe.values)
        namespace, unknown = self.parse_known_args(list(arguments))
        if namespace.__dict__.get("output_dir", "") is None:
            raise UserError("output_dir is missing: where is the run to be written? --output_dir FOLDER")
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            name = next((word for word in unknown if word.startswith("-")), unknown[0])
            raise UserError(f"unknown option {name!r}{_meant(name.partition('=')[0], options)}")
        return [self._made(kind, namespace) for kind in self.dataclass_types]

    def _made(self, kind: type, namespace: argparse.Namespace) -> Any:
        try:
            return kind(**{each.name: getattr(namespace, each.name) for each in fields(kind) if each.init})
        except (ValueError, ImportError) as error:
            raise UserError(f"these settings do not go together: {' '.join(str(error).split())}") from error

    def _check(self, recipe: Recipe) -> None:
        """Raise ``UserError`` for a key of the recipe that there is not, and for a value of another type."""
        kinds = {each.name: each.type for kind in self.dataclass_types for each in fields(kind) if each.init}
        for key, value in recipe.values.items():
            if key not in kinds:
                raise UserError(f"{recipe.name}: unknown key {key!r}{_of_other(key)}{_meant(key, kinds)}")
            if expected := _unfit(value, kinds[key]):
                raise UserError(f"{recipe.name}: {key}: expected {expected}, found {value!r}")


def read_settings(method: str, arguments: Sequence[str]) -> Settings:
    """The settings of a run.

    Args:
        method: One of `ARGUMENTS`.
        arguments: The command line after the method: ``--config RECIPE`` and ``--key value``.

    Raises:
        UserError: Something is unknown, of the wrong type, or without effect.
    """
    recipe, rest = read_recipe(arguments)
    if recipe.method not in (None, method):
        raise UserError(f"{recipe.name} is a recipe of {recipe.method}: run `align {recipe.method}` with it")
    kinds = [
        RunConfig,
        ModelConfig,
        *([RewardConfig] if method in WITH_ROLLOUTS else []),
        ARGUMENTS[method],
        DataConfig,
    ]
    parser = _Parser(kinds, prog=f"align {method}")
    on_gpu = torch.accelerator.is_available() and not recipe.values.get("use_cpu") and "--use_cpu" not in rest
    parser.set_defaults(
        output_dir=None,
        # Without it, processes without a GPU would each train alone.
        use_cpu=not on_gpu,
        # TRL's default is bfloat16 anywhere.
        bf16=on_gpu and is_torch_bf16_gpu_available() and not recipe.values.get("fp16") and "--fp16" not in rest,
        dataloader_pin_memory=on_gpu,
        num_train_epochs=1.0,
        shuffle_dataset=False,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        report_to="tensorboard" if importlib.util.find_spec("tensorboard") else "none",
        disable_dropout=True,
    )
    if {"-h", "--help"} & set(rest):
        parser.print_help()
        raise SystemExit(0)
    run, model, *rewards, trainer, data = parser.read(recipe, rest)
    settings = Settings(method, model, data, rewards[0] if rewards else None, trainer, run.overwrite)
    _check(settings)
    return settings


def read_data_settings(arguments: Sequence[str]) -> DataConfig:
    """The rows of a run of any method, from its recipe and from options about rows.

    Raises:
        UserError: As :func:`read_settings`.
    """
    recipe, rest = read_recipe(arguments)
    of_runs = {
        each.name for kind in (RunConfig, ModelConfig, RewardConfig, *_of(recipe.method)) for each in fields(kind)
    }
    of_rows = {each.name for each in fields(DataConfig)}
    values = {key: value for key, value in recipe.values.items() if key in of_rows or key not in of_runs}
    parser = _Parser([DataConfig], prog="align data")
    if {"-h", "--help"} & set(rest):
        parser.print_help()
        raise SystemExit(0)
    (config,) = parser.read(Recipe(recipe.name, recipe.method, values), rest)
    return config


def _of(method: str | None) -> list[type]:
    return [ARGUMENTS[method]] if method else list(ARGUMENTS.values())


def _check(settings: Settings) -> None:
    """Raise ``UserError`` for what would be without effect, or could not be gone on with."""
    given = {each.name: getattr(settings.arguments, each.name) for each in fields(settings.arguments) if each.init}
    for name, (value, why) in _FIXED.items():
        if name in given and given[name] != value:
            raise UserError(f"{name}: always {_said(value)} here, found {_said(given[name])}: {why}")
    steps = given["save_steps"]
    if steps < 1 or steps != int(steps):
        raise UserError(f"save_steps: expected a whole number of optimiser steps, found {steps:g}")
    if settings.method in WITH_ROLLOUTS:
        passes = given["num_iterations"] * given["steps_per_generation"]
        accumulated = given["gradient_accumulation_steps"]
        every = math.lcm(passes, accumulated) // accumulated
        if int(steps) % every:
            raise UserError(
                f"save_steps: expected a multiple of {every}, for a run goes on at the beginning of a rollout, each of "
                f"{passes / accumulated:g} optimiser steps; found {steps:g}"
            )


def _unfit(value: Any, kind: Any) -> str:
    """What a value should be, where YAML made another thing of it; empty where it is that, or is text yet to be read."""
    flag = isinstance(value, bool)
    if value is None or kind not in (bool, bool | None, int, float, str):
        return ""
    if kind in (bool, bool | None):
        return "" if flag or isinstance(value, str) else "true or false"
    if kind is str:
        return "" if isinstance(value, str) else "text (quote it)"
    if kind is int:
        return "" if isinstance(value, int | str) and not flag else "a whole number"
    return "" if isinstance(value, int | float | str) and not flag else "a number"


def _of_other(key: str) -> str:
    """Of which methods a key is, for one that is not of the one that is run."""
    kinds = {method: {each.name for each in fields(kind)} for method, kind in ARGUMENTS.items()}
    methods = [
        method for method, names in kinds.items() if key in names or (key == "rewards" and method in WITH_ROLLOUTS)
    ]
    return f", which is of {', '.join(methods)}" if methods else ""


def _meant(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def _said(value: Any) -> str:
    if value is None:
        return "unset"
    return str(value).lower() if isinstance(value, bool) else str(getattr(value, "value", value))
