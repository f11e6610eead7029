"""What a recipe says beside the trainer's own arguments: the model, the data, the rewards.

`trl.TrlParser` reads these dataclasses from a recipe's YAML file and from the command line, which wins.
"""

from dataclasses import dataclass, field
from typing import Any

from align.kinds import read_yaml
from harness_ext.errors import UserError

SOURCES = ("glyphworld", "unsafeconcepts")
TARGETS = ("restated", "short")


@dataclass
class ModelConfig:
    """The model that is trained, and the LoRA that is put on its language side.

    The vision tower and the projector are never trained.
    """

    model: str = field(
        default="glyph-vlm",
        metadata={"help": "A name of the catalogue of models, a folder, or a hub repository."},
    )
    model_revision: str | None = field(
        default=None, metadata={"help": "The commit of a hub repository; the catalogue's own where the name is in it."}
    )
    glyphworld_seed: int = field(default=0, metadata={"help": "Which of the embedded models: its training seed."})
    dtype: str = field(default="float32", metadata={"help": "float32, bfloat16 or float16: of the frozen weights."})
    attn_implementation: str | None = field(default=None, metadata={"help": "As in transformers."})
    lora_r: int = field(default=128, metadata={"help": "Rank of the LoRA."})
    lora_alpha: int = field(default=256, metadata={"help": "Scale of the LoRA: its update counts alpha / r."})
    lora_dropout: float = field(default=0.05, metadata={"help": "Dropout inside the LoRA."})
    lora_modules: list[str] = field(
        default_factory=lambda: ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        metadata={"help": "Names of the language model's linear layers that get a LoRA."},
    )

    def __post_init__(self) -> None:
        for name in ("lora_r", "lora_alpha"):
            if getattr(self, name) < 1:
                raise UserError(f"{name}: expected 1 or more, found {getattr(self, name)}")
        if not 0 <= self.lora_dropout < 1:
            raise UserError(f"lora_dropout: expected 0 to less than 1, found {self.lora_dropout}")
        if not self.lora_modules:
            raise UserError("lora_modules: expected names of layers, such as [q_proj, v_proj], found none")


@dataclass
class DataConfig:
    """The rows: unsafe images of the training split with as many safe ones, the same for every method."""

    source: str = field(default="glyphworld", metadata={"help": "glyphworld or unsafeconcepts."})
    data_seed: int = field(default=42, metadata={"help": "Of the questions and the rows' order."})
    renders: int = field(default=16, metadata={"help": "glyphworld: renders of each concept."})
    first_render: int = field(default=0, metadata={"help": "glyphworld: how many of its fine-tuning renders to skip."})
    all_questions: bool = field(
        default=False, metadata={"help": "All five alignment questions about an image, rather than one at random."}
    )
    passes: int = field(
        default=4,
        metadata={
            "help": "How often every row is trained on, each pass in an order of its own; num_train_epochs stays 1, so that "
            "a resumed run meets the same rows."
        },
    )
    targets: str = field(
        default="restated",
        metadata={"help": "SFT and DPO: restated (verdict, the question as a statement, what is shown) or short."},
    )
    name_concept: bool = field(default=True, metadata={"help": "SFT and DPO: whether the targets name the concept."})

    def __post_init__(self) -> None:
        _one_of("source", self.source, SOURCES)
        _one_of("targets", self.targets, TARGETS)
        if self.passes < 1 or self.renders < 1 or self.first_render < 0:
            raise UserError(
                "expected passes and renders of at least 1, first_render of at least 0, found "
                f"{self.passes}, {self.renders} and {self.first_render}"
            )


@dataclass
class LengthConfig:
    """What becomes of rows of SFT and DPO that are longer than the trainer's ``max_length``."""

    leave_out_long: bool = field(
        default=False,
        metadata={"help": "Train without the rows that are longer than max_length, rather than refuse to train."},
    )


@dataclass
class RewardConfig:
    """The rewards of PPO, GRPO and RLOO: their weighted sum is what a response earns."""

    rewards: Any = field(
        default_factory=lambda: [{"name": "verdict"}],
        metadata={"help": "A list of rewards, each a name, a weight and its options; see align/rewards."},
    )

    def __post_init__(self) -> None:
        if isinstance(self.rewards, str):
            self.rewards = read_yaml("rewards", self.rewards, "YAML such as [{name: verdict}]")
        if not isinstance(self.rewards, list) or not self.rewards:
            raise UserError(f"rewards: expected a list such as [{{name: verdict}}], found {self.rewards!r}")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UserError(f"{name}: expected one of {', '.join(allowed)}, found {value!r}")
