"""How both models are asked, and what their numbers rest on beside the models."""

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness_ext import __version__
from harness_ext.judges import RuleJudge
from harness_ext.retention.benchmarks import Suite
from harness_ext.retention.judging import Judge

# A harness's tasks have the version of its package; ours have that of this one, and answers on glyphworld a judge's.
_HARNESSES: Final[Mapping[Suite, str]] = {"vision": "lmms-eval", "glyphworld": "lmms-eval", "text": "lm-eval"}
_PACKAGES: Final = ("torch", "transformers", "peft")


@dataclass(frozen=True)
class Settings:
    """How both models are asked.

    Attributes:
        batch_size: Questions at a time; only the last bits of an answer depend on it.
        limit: The most rows of a task; ``None`` for all.
        chat_template: Whether text is asked within the model's chat template; about images it always is.
        judge: Who judges what is judged by a language model; ``None`` where nothing is.
    """

    batch_size: int
    limit: int | None
    chat_template: bool
    judge: Judge | None

    def of(self, suite: Suite) -> dict[str, Any]:
        """What the numbers of all benchmarks of ``suite`` rest on, beside the models; who judges one of them is not in it."""
        versions = {name: importlib.metadata.version(name) for name in (_HARNESSES[suite], *_PACKAGES)}
        return {
            **versions,
            "unsafeconcepts": __version__,
            "limit": self.limit,
            **({"chat_template": self.chat_template} if suite == "text" else {}),
            **({"rules": RuleJudge().name} if suite == "glyphworld" else {}),
        }
