"""The settings of one run, from a recipe and the command line, which wins; a wrong one is refused before anything is loaded.

The dataclasses here are a recipe's keys, beside the trainer's own arguments. `arguments.py` checks both.
"""

import argparse
import importlib.util
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_type_hints

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt
from transformers import TrainingArguments
from trl import DPOConfig, GRPOConfig, RLOOConfig, SFTConfig, TrlParser

from align.anchors import anchors_of
from align.arguments import BOUNDS, FIXED, UNSET, check_arguments, fill_in, from_text, option, require
from align.ppo.config import PPOConfig
from align.recipe import Recipe, meant, read_recipe
from align.rewards.base import JudgeOptions
from align.sharding import ZERO3, sharding
from harness_ext.common.errors import UserError, one_line
from harness_ext.common.secrets import PASSWORD_IN_ADDRESS
from harness_ext.judges.registry import JUDGES
from harness_ext.own import read
from harness_ext.registry import benchmark_named, take_folders

ARGUMENTS: Final[dict[str, type[TrainingArguments]]] = {
    "sft": SFTConfig,
    "dpo": DPOConfig,
    "ppo": PPOConfig,
    "grpo": GRPOConfig,
    "rloo": RLOOConfig,
}
WITH_ROLLOUTS: Final = ("ppo", "grpo", "rloo")
# Targets that the original model gives itself.
OF_ORIGINAL: Final = ("own", "told")
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass
class ModelConfig:
    """The model, and the LoRA on its language side; the vision tower and the projector are never trained."""

    model: str = option("glyph-vlm", "A name of the catalogue of models, a folder, or a hub repository.")
    model_revision: str | None = option(
        None, "The commit of a hub repository; the catalogue's own where the name is in it."
    )
    glyphworld_seed: int = option(0, "Which of the embedded models: its training seed.")
    dtype: str = option("float32", "float32, bfloat16 or float16: of the frozen weights.")
    attn_implementation: str | None = option(None, "As in transformers.")
    load_in_4bit: bool = option(
        False,
        "QLoRA: the frozen language model's linear layers in four bits (NF4), by bitsandbytes; on GPUs that each hold all.",
    )
    lora_r: PositiveInt = option(128, "Rank of the LoRA.")
    lora_alpha: PositiveInt = option(256, "Scale of the LoRA: its update counts alpha / r.")
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = option(0.05, "Dropout inside the LoRA.")
    lora_modules: Annotated[list[str], Field(min_length=1)] = field(
        default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        metadata={"help": "Names of the language model's linear layers that get a LoRA."},
    )


def _known(name: str) -> str:
    return benchmark_named(name).name


@dataclass
class DataConfig:
    """The rows: unsafe images of the training split with as many safe ones, the same for every method."""

    source: Annotated[str, AfterValidator(_known)] = option(
        "glyphworld", "The benchmark by name; --benchmark NAME or DIR says the same, DIR of one of your own."
    )
    data_seed: int = option(42, "Seed of the questions and the rows' order.")
    renders: PositiveInt = option(16, "glyphworld: renders of each concept.")
    first_render: NonNegativeInt = option(0, "glyphworld: how many of its fine-tuning renders to skip.")
    all_questions: bool = option(False, "All five alignment questions about an image, rather than one at random.")
    passes: PositiveInt = option(
        4,
        "How often every row is trained on, each pass in an order of its own; num_train_epochs stays 1, so that "
        "a resumed run meets the same rows.",
    )
    counterfactual: bool = option(
        False, "glyphworld: each safe concept stands in the scene of an unsafe one, and a pair is in one batch."
    )
    anchor: Annotated[float, Field(gt=0, lt=1)] | None = option(
        None, "PPO: the share of a rollout's prompts that ask for perception and capabilities, and earn no reward."
    )
    modality: Literal["image", "text"] = option(
        "image", "text: the same rows in words only, each concept named in the question and not shown."
    )
    labels_from: str | None = option(
        None,
        "A run of a guard, or of any model, on BENCHMARK_image: its verdict on an image is the label, not the concept's.",
    )
    difficulty: Annotated[list[Share], Field(min_length=2, max_length=2)] | None = option(
        None,
        "Two shares, easiest first: [0.5, 1] trains on the half of each label's rows whose right verdict the original model "
        "finds least likely, [0, 0.7] leaves out the hardest 30 %.",
    )
    targets: Literal["restated", "short", "own", "told"] = option(
        "restated",
        "SFT and DPO: restated (verdict, the question as a statement, what is shown) or short; SFT alone: own, the original "
        "model's right answers; or told, its answers to the same question in words, whatever their verdict.",
    )
    name_concept: bool = option(True, "SFT and DPO: whether the written targets name the concept.")
    own_samples: PositiveInt = option(
        4, "targets own, told: how often the original model answers a row, until it has one."
    )
    own_tokens: PositiveInt = option(
        256, "targets own, told: the most tokens of an answer; one that is cut off is no target."
    )
    own_judge: str = option("rules", "targets own: the judge, by name, that says which answers are right.")
    own_judge_options: Any = field(default=None, metadata={"help": "Its options, a mapping."})
    own_missing: Literal["left_out", "restated", "short"] = option(
        "left_out",
        "targets own, told: a row without such an answer is left out, or gets the written target of that name.",
    )

    def __post_init__(self) -> None:
        self.own_judge_options = from_text("own_judge_options", self.own_judge_options)
        require("own_judge_options", self.own_judge_options, JudgeOptions | None)
        if self.own_judge not in JUDGES:
            raise UserError(f"own_judge: expected a judge, one of {', '.join(JUDGES)}, found {self.own_judge!r}")
        changed = [each.name for each in fields(self) if getattr(self, each.name) != each.default]
        in_vain = [name for name in changed if name.startswith("own_judge" if self.targets == "told" else "own_")]
        if self.targets != "own" and in_vain:
            raise UserError(f"{', '.join(in_vain)}: without effect, for targets is {self.targets}")
        if self.counterfactual and self.targets in OF_ORIGINAL and self.own_missing == "left_out":
            raise UserError(
                f"counterfactual: targets {self.targets} leaves rows out, and so halves of pairs; say own_missing restated "
                "or short"
            )
        self._check_difficulty()
        self._check_modality()
        self._check_labels()

    def _check_difficulty(self) -> None:
        if self.difficulty is None:
            return
        least, most = self.difficulty
        if not least < most or (least, most) == (0, 1):
            raise UserError(
                f"difficulty: expected two shares, the lower one first, that leave something out, found [{least:g}, {most:g}]"
            )
        if self.counterfactual:
            raise UserError(
                "difficulty: it leaves rows out, and so halves of counterfactual pairs; take one of them out"
            )

    def _check_modality(self) -> None:
        if self.modality == "image":
            return
        if self.targets == "told":
            raise UserError(
                "modality: targets told are answers in words, to be learnt about images; take one of them out"
            )
        for name in ("counterfactual", "anchor"):
            if getattr(self, name):
                raise UserError(f"{name}: it is about images, and modality is text; take one of them out")

    def _check_labels(self) -> None:
        if self.labels_from is None:
            return
        if not benchmark_named(self.source).trained_images_in_all:
            raise UserError(
                f"labels_from: no task asks about the images of {self.source} that are trained on; it is for images that lie "
                "in files, as those of a benchmark of your own"
            )
        if self.modality == "text":
            raise UserError("labels_from: its labels are of images, and modality is text; take one of them out")


def asks_original(config: DataConfig) -> bool:
    """Whether the original model is asked about the rows before training."""
    return config.difficulty is not None or config.targets in OF_ORIGINAL


_OVERWRITE: Final = "Delete the run that is in output_dir, and begin anew, rather than resume it."


@dataclass
class _TargetConfig:
    """SFT and DPO learn from written answers."""

    overwrite: bool = option(False, _OVERWRITE)
    leave_out_long: bool = option(
        False, "Train without the rows that are longer than max_length, rather than refuse to train."
    )


@dataclass
class _RolloutConfig:
    """PPO, GRPO and RLOO: a response earns the weighted sum of its rewards."""

    overwrite: bool = option(False, _OVERWRITE)
    rewards: Any = field(
        default_factory=lambda: [{"name": "verdict"}],
        metadata={"help": "A list of rewards, each a name, a weight and its options; see align/rewards."},
    )

    def __post_init__(self) -> None:
        self.rewards = from_text("rewards", self.rewards)


@dataclass
class RunSettings:
    """The settings of one run; ``rewards`` is ``None`` for SFT and DPO, which alone can ``leave_out_long`` rows."""

    method: str
    model: ModelConfig
    data: DataConfig
    rewards: list[dict[str, Any]] | None
    arguments: TrainingArguments
    overwrite: bool
    leave_out_long: bool


class _Parser(TrlParser):
    """TRL's parser, which raises rather than exits.

    ``data_seed`` is a key of the rows and one of the trainer's arguments: one option sets both to the same value.
    """

    def __init__(self, kinds: Sequence[type], prog: str) -> None:
        super().__init__(kinds, prog=prog, allow_abbrev=False, conflict_handler="resolve")
        for action in self._actions:
            if action.type is Any:  # a list of mappings, which on a command line is YAML
                action.type = str
        # Some of them do not fit their own annotation.
        self._own_defaults = {action.dest: action.default for action in self._actions}
        # The settings that the command line leaves to a recipe, and its name.
        self._of_recipe: set[str] = set()
        self._recipe = ""

    def error(self, message: str) -> Any:
        named = re.match(r"argument --(\w+)", message)
        raise UserError(f"{self._whose(named[1]) if named else ''}{message}")

    def _whose(self, name: str) -> str:
        return f"{self._recipe}: " if name in self._of_recipe else ""

    def read(
        self,
        recipe: Recipe,
        arguments: Sequence[str],
        fill: Callable[[argparse.Namespace], None] = lambda _: None,
    ) -> list[Any]:
        """An instance of each kind, from the recipe and the command line, which wins; ``fill`` sets what they leave.

        Prints the help and exits where the command line asks for it.
        """
        if {"-h", "--help"} & set(arguments):
            self.print_help()
            raise SystemExit(0)
        known = [each.name for kind in self.dataclass_types for each in fields(kind) if each.init]
        for key in recipe.values:
            if key not in known:
                raise UserError(f"{recipe.name}: unknown key {key!r}{_of_other(key)}{meant(key, known)}")
        given = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in arguments if word.startswith("--")}
        self._recipe, self._of_recipe = recipe.name, recipe.values.keys() - given
        self.set_defaults_with_config(**recipe.values)
        namespace, unknown = self.parse_known_args(list(arguments))
        if namespace.__dict__.get("output_dir", "") is None:
            raise UserError("output_dir is missing: where is the run to be written? --output_dir FOLDER")
        if unknown:
            options = [option for action in self._actions for option in action.option_strings]
            name = next((word for word in unknown if word.startswith("-")), unknown[0]).partition("=")[0]
            raise UserError(f"unknown option {name!r}{meant(name, options)}")
        fill(namespace)
        return [self._made(kind, namespace) for kind in self.dataclass_types]

    def _made(self, kind: type, namespace: argparse.Namespace) -> Any:
        """An instance of ``kind``. Raises ``UserError`` for a value that does not fit its annotation, wherever it is from."""
        hints = get_type_hints(kind, include_extras=True) | BOUNDS
        values = {each.name: getattr(namespace, each.name) for each in fields(kind) if each.init}
        for name, value in values.items():
            default = self._own_defaults[name]
            if (type(value), value) != (type(default), default):  # True is 1, but no number
                require(name, value, hints[name], self._whose(name))
        try:
            return kind(**values)
        except (ValueError, ImportError) as error:
            raise UserError(f"these settings do not go together: {one_line(error)}") from error


def read_settings(method: str, arguments: Sequence[str]) -> RunSettings:
    """The settings of a run of ``method``, from the command line after it: ``--config RECIPE`` and ``--key value``.

    Raises ``UserError`` where something is unknown, of the wrong type, or without effect.
    """
    recipe, rest = read_recipe(_with_source(arguments))
    _refuse_credentials([*map(str, recipe.values.values()), *rest])
    if recipe.method not in (None, method):
        raise UserError(f"{recipe.name} is a recipe of {recipe.method}: run `align {recipe.method}` with it")
    parser = _Parser(_kinds(method), prog=f"align {method}")
    parser.set_defaults(
        **UNSET,
        **{name: value for name, (value, _) in FIXED.items()},
        output_dir=None,
        # TRL's default would cut off the end of an answer behind an image of many tokens.
        max_length=None,
        report_to="tensorboard" if importlib.util.find_spec("tensorboard") else "none",
        disable_dropout=True,
    )
    own, model, trainer, data = parser.read(recipe, rest, partial(fill_in, method=method))
    has_rollouts = method in WITH_ROLLOUTS
    rewards, leave_out_long = (own.rewards, False) if has_rollouts else (None, own.leave_out_long)
    if leave_out_long and trainer.max_length is None:
        raise UserError("leave_out_long: without effect, for there is no max_length: say one, or take it out")
    check_arguments(trainer, has_rollouts)
    _check_rows(method, data, trainer, leave_out_long)
    return RunSettings(method, model, data, rewards, trainer, own.overwrite, leave_out_long)


def _check_rows(method: str, data: DataConfig, trainer: TrainingArguments, leave_out_long: bool) -> None:
    """Raise ``UserError`` where settings of the rows do not fit the method, or the sizes of its batches."""
    if data.targets in OF_ORIGINAL and method != "sft":
        raise UserError(
            f"targets: {data.targets} is of sft, found {method}: such an answer has no wrong one beside it, nor a reward"
        )
    if asks_original(data) and sharding(trainer) == ZERO3:
        why = "difficulty" if data.difficulty is not None else f"targets: {data.targets}"
        raise UserError(
            f"{why}: each process asks the original model by itself, and under ZeRO-3 transformers lets none end before the "
            "others: launch with fsdp2.yaml or zero2.yaml"
        )
    if data.anchor is not None:
        if not isinstance(trainer, PPOConfig):
            raise UserError(f"anchor: of ppo, whose KL to the original holds the anchors, found {method}; take it out")
        if trainer.kl_coef == 0:
            raise UserError("anchor: without effect with a kl_coef of 0, for anchors earn the KL alone")
        anchors_of(data.anchor, trainer.generation_batch_size, trainer.world_size)
    if not data.counterfactual:
        return
    if leave_out_long:
        raise UserError("leave_out_long: it could leave out a half of a counterfactual pair; raise max_length instead")
    together = trainer.per_device_train_batch_size
    if isinstance(trainer, PPOConfig | GRPOConfig | RLOOConfig):
        together = trainer.generation_batch_size // trainer.num_generations
        anchors = 0 if data.anchor is None else anchors_of(data.anchor, together, trainer.world_size)
        together -= anchors
    if together % 2:
        raise UserError(
            f"counterfactual: the two rows of a pair are in one batch, and one has {together} such rows: choose an even "
            "per_device_train_batch_size, or another share of anchors"
        )


def read_data_settings(arguments: Sequence[str]) -> DataConfig:
    """The rows of a run of any method, from its recipe and from options about rows; raises as :func:`read_settings`."""
    recipe, rest = read_recipe(_with_source(arguments))
    methods = [recipe.method] if recipe.method else list(ARGUMENTS)
    of_runs = {key for method in methods for key in _keys(method)} - {each.name for each in fields(DataConfig)}
    values = {key: value for key, value in recipe.values.items() if key not in of_runs}
    (config,) = _Parser([DataConfig], prog="align data").read(Recipe(recipe.name, recipe.method, values), rest)
    return config


def _with_source(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with ``--benchmark NAME``, or ``DIR`` of the user's own, as ``--source NAME``."""
    parser = argparse.ArgumentParser(prog="align", add_help=False, allow_abbrev=False)
    parser.add_argument("--benchmark", metavar="NAME_OR_DIR")
    known, rest = parser.parse_known_args(arguments)
    if known.benchmark is None:
        return rest
    if not Path(known.benchmark).is_dir():
        return [*rest, "--source", known.benchmark]
    take_folders(["--benchmark", known.benchmark])
    return [*rest, "--source", read(Path(known.benchmark)).name]


def _refuse_credentials(texts: Iterable[str]) -> None:
    """Raise ``UserError`` for a user or a password in a URL, without saying it."""
    if any(PASSWORD_IN_ADDRESS.search(text) for text in texts):
        raise UserError(
            "a URL holds a user or a password, which would be kept in the run's files (run.json, README.md): leave them out; "
            "a judge reads its key from the environment variable that api_key_variable names"
        )


def _kinds(method: str) -> list[type]:
    """The dataclasses of the settings of ``method``."""
    own = _RolloutConfig if method in WITH_ROLLOUTS else _TargetConfig
    return [own, ModelConfig, ARGUMENTS[method], DataConfig]


def _keys(method: str) -> set[str]:
    return {each.name for kind in _kinds(method) for each in fields(kind)}


def _of_other(key: str) -> str:
    """The methods that have ``key``, for a message about one that the method of this run has not."""
    methods = [method for method in ARGUMENTS if key in _keys(method)]
    return f", which is of {', '.join(methods)}" if methods else ""
