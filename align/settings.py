"""A recipe and the command line, as the settings of one run; what is wrong with them is said before anything is loaded."""

import argparse
import difflib
import importlib.util
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any, Final, get_type_hints

from transformers import TrainingArguments
from trl import DPOConfig, GRPOConfig, RLOOConfig, SFTConfig, TrlParser

from align.arguments import check_arguments
from align.config import DataConfig, LengthConfig, ModelConfig, RewardConfig
from align.kinds import unfit
from align.machine import UNSET, fill_in
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
_CREDENTIALS: Final = re.compile(r"://[^/\s@]+@")
WITH_ROLLOUTS: Final = ("ppo", "grpo", "rloo")


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
        leave_out_long: Whether rows longer than ``max_length`` are left out; of SFT and DPO alone.
    """

    method: str
    model: ModelConfig
    data: DataConfig
    rewards: RewardConfig | None
    arguments: TrainingArguments
    overwrite: bool
    leave_out_long: bool = False


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

    def read(
        self,
        recipe: Recipe,
        arguments: Sequence[str],
        fill: Callable[[argparse.Namespace], None] = lambda _: None,
    ) -> list[Any]:
        """An instance of each kind, from the recipe and the command line, which wins; ``fill`` sets what they leave."""
        self._check(recipe)
        self.set_defaults_with_config(**recipe.values)
        namespace, unknown = self.parse_known_args(list(arguments))
        if namespace.__dict__.get("output_dir", "") is None:
            raise UserError("output_dir is missing: where is the run to be written? --output_dir FOLDER")
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            name = next((word for word in unknown if word.startswith("-")), unknown[0]).partition("=")[0]
            raise UserError(f"unknown option {name!r}{_meant(name, options)}")
        fill(namespace)
        return [self._made(kind, namespace) for kind in self.dataclass_types]

    def _made(self, kind: type, namespace: argparse.Namespace) -> Any:
        try:
            return kind(**{each.name: getattr(namespace, each.name) for each in fields(kind) if each.init})
        except (ValueError, ImportError) as error:
            raise UserError(f"these settings do not go together: {' '.join(str(error).split())}") from error

    def _check(self, recipe: Recipe) -> None:
        """Raise ``UserError`` for a key of the recipe that there is not, and for a value of another type."""
        # The types as they are written: a parser takes None out of those in its fields.
        kinds = {key: hint for kind in self.dataclass_types for key, hint in get_type_hints(kind).items()}
        known = {each.name: each.default for kind in self.dataclass_types for each in fields(kind) if each.init}
        for key, value in recipe.values.items():
            if key not in known:
                raise UserError(f"{recipe.name}: unknown key {key!r}{_of_other(key)}{_meant(key, known)}")
            if expected := unfit(value, kinds[key], known[key]):
                found = "null" if value is None else repr(value)
                raise UserError(f"{recipe.name}: {key}: expected {expected}, found {found}")


def read_settings(method: str, arguments: Sequence[str]) -> Settings:
    """The settings of a run.

    Args:
        method: One of `ARGUMENTS`.
        arguments: The command line after the method: ``--config RECIPE`` and ``--key value``.

    Raises:
        UserError: Something is unknown, of the wrong type, or without effect.
    """
    recipe, rest = read_recipe(arguments)
    _refuse_credentials([*map(str, recipe.values.values()), *rest])
    if recipe.method not in (None, method):
        raise UserError(f"{recipe.name} is a recipe of {recipe.method}: run `align {recipe.method}` with it")
    kinds = [
        RunConfig,
        ModelConfig,
        _own(method),
        ARGUMENTS[method],
        DataConfig,
    ]
    parser = _Parser(kinds, prog=f"align {method}")
    parser.set_defaults(
        **UNSET,
        output_dir=None,
        # TRL's would cut off the end of an answer behind an image of many tokens.
        max_length=None,
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
    run, model, own, trainer, data = parser.read(recipe, rest, partial(fill_in, method=method))
    rewards, leave_out = (own, False) if method in WITH_ROLLOUTS else (None, own.leave_out_long)
    if leave_out and trainer.max_length is None:
        raise UserError("leave_out_long: without effect, for there is no max_length: say one, or take it out")
    settings = Settings(method, model, data, rewards, trainer, run.overwrite, leave_out)
    check_arguments(trainer, has_rollouts=method in WITH_ROLLOUTS)
    return settings


def read_data_settings(arguments: Sequence[str]) -> DataConfig:
    """The rows of a run of any method, from its recipe and from options about rows.

    Raises:
        UserError: As :func:`read_settings`.
    """
    recipe, rest = read_recipe(arguments)
    of_runs = {
        each.name
        for kind in (RunConfig, ModelConfig, RewardConfig, LengthConfig, *_of(recipe.method))
        for each in fields(kind)
    }
    of_rows = {each.name for each in fields(DataConfig)}
    values = {key: value for key, value in recipe.values.items() if key in of_rows or key not in of_runs}
    parser = _Parser([DataConfig], prog="align data")
    if {"-h", "--help"} & set(rest):
        parser.print_help()
        raise SystemExit(0)
    (config,) = parser.read(Recipe(recipe.name, recipe.method, values), rest)
    return config


def _refuse_credentials(texts: Iterable[str]) -> None:
    """Raise ``UserError`` for a user or a password in a URL, without saying it."""
    if any(_CREDENTIALS.search(text) for text in texts):
        raise UserError(
            "a URL holds a user or a password, which would be kept in the run's files (run.json, README.md): leave them out; "
            "a judge reads its key from the environment variable that api_key_variable names"
        )


def _own(method: str) -> type:
    """The settings of some methods alone."""
    return RewardConfig if method in WITH_ROLLOUTS else LengthConfig


def _of(method: str | None) -> list[type]:
    return [ARGUMENTS[method]] if method else list(ARGUMENTS.values())


def _of_other(key: str) -> str:
    """Of which methods a key is, for one that is not of the one that is run."""
    methods = [
        method
        for method, kind in ARGUMENTS.items()
        if key in {each.name for own in (kind, _own(method)) for each in fields(own)}
    ]
    return f", which is of {', '.join(methods)}" if methods else ""


def _meant(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {nearest[0]}?" if nearest else ""
