"""Who is asked: a model as it is named on a command line, and what it is by its contents, whatever it is called.

Results are kept for what a model is: a retrained adapter at the same path is another model, a copy of it is the same.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.common.files import sha256
from harness_ext.models.catalogue import describe_names, load_catalogue
from harness_ext.models.checkpoint import locate
from harness_ext.models.entries import Entry, prompt_text
from harness_ext.models.identity import adapter_identity, weights_identity
from harness_ext.models.names import GLYPHWORLD, embedded

# Arguments that say where something lies, while its contents say what it is, or where answers are kept.
_PLACES: Final = frozenset({"pretrained", "revision", "adapter", "adapter_base", "answers"})
# Arguments that only one side of a model takes: that which generates, for lmms-eval, or that which scores text, for lm-eval.
GENERATING: Final = frozenset({"share_prefix", "answers", "max_failed", "seed"})
SCORING: Final = frozenset({"softmax_dtype", "max_length"})


@dataclass(frozen=True)
class Model:
    """One model.

    Attributes:
        name: Its name in the catalogue.
        arguments: What ``--model_args`` says, in the user's words; paths of folders are absolute.
        what: What it is: the contents of its weights and adapter, and all else that its answers rest on.
    """

    name: str
    arguments: Mapping[str, str]
    what: Mapping[str, Any]

    @property
    def title(self) -> str:
        """For the reader of a table: the name, and the last two of its adapter's or its weights' path, ``ppo-final``."""
        named = self.arguments.get("adapter") or self.arguments.get("pretrained")
        return f"{self.name}+{'-'.join(Path(named).parts[-2:]).strip('/-')}" if named else self.name

    @property
    def folder(self) -> str:
        """The name of its folder of results, the same for the same contents."""
        return f"{self.title}-{sha256(json.dumps(self.what, sort_keys=True))[:8]}"

    @property
    def named(self) -> str:
        """As a user names it: ``"llava-7b,adapter=/runs/ppo"``."""
        return f"{self.name},{self.model_args()}".rstrip(",")

    def model_args(self, without: frozenset[str] = frozenset()) -> str:
        """As a harness reads them: ``"adapter=/runs/ppo,dtype=bfloat16"``."""
        return ",".join(f"{key}={value}" for key, value in self.arguments.items() if key not in without)


def read_model(specification: str) -> Model:
    """The model that ``specification`` names, known by its contents; its weights are read, not loaded.

    The embedded model is built where it is not there, an adapter of a hub repository is fetched.

    Args:
        specification: ``NAME`` or ``NAME,key=value,…``, as ``--model`` and ``--model_args`` of lmms-eval.

    Raises:
        UserError: There is no such model, its files cannot be had, or its adapter is for other weights.
    """
    name, arguments = _parse(specification)
    entry = load_catalogue()[name]
    if entry.backend == "api":
        raise UserError(
            f"{specification!r}: what weights a server runs under a name cannot be seen from here, so that results could not "
            "be kept for them.\nEvaluate it by lmms_eval --tasks retention_vision"
        )
    pretrained, revision = _weights(name, entry, arguments)
    if adapter := arguments.get("adapter"):
        from harness_ext.models.adapters import check_adapter

        check_adapter(adapter, pretrained, arguments.get("adapter_base"))
    folder = locate(pretrained, revision, "weights")
    commit = None if Path(pretrained).is_dir() else folder.name
    named_prompt = arguments.get("prompt") or entry.prompt
    what = {
        "weights": _weights_identity(pretrained, commit),
        "adapter": adapter_identity(adapter) if adapter else "none",
        "backend": entry.backend,
        "tokenizer": entry.tokenizer,
        "prompt": prompt_text(named_prompt) if named_prompt else None,
        "template_options": dict(entry.template_options),
        "generation": dict(entry.generation),
        "arguments": {key: value for key, value in sorted(arguments.items()) if key not in {*_PLACES, "prompt"}},
    }
    return Model(name, arguments, what)


# Both models are mostly of the same weights, and those of a folder are read whole.
_weights_identity = functools.cache(weights_identity)


def _weights(name: str, entry: Entry, arguments: Mapping[str, str]) -> tuple[str, str | None]:
    """What is loaded under a name, and its revision, as ``harness_ext.models.names`` has it."""
    pretrained, revision = arguments.get("pretrained"), arguments.get("revision")
    if not pretrained:
        pretrained, revision = entry.weights, revision or entry.revision
    if not pretrained:
        raise UserError(f"model {name!r} needs its weights named: {name},pretrained=REPOSITORY_OR_FOLDER")
    return (embedded(pretrained) if pretrained.startswith(GLYPHWORLD) else pretrained), revision


def _parse(specification: str) -> tuple[str, dict[str, str]]:
    """The name and the arguments of ``NAME`` or ``NAME,key=value,…``.

    Raises:
        UserError: It is not of that form, or no model is named so.
    """
    name, _, rest = specification.partition(",")
    arguments: dict[str, str] = {}
    for part in rest.split(",") if rest else []:
        key, equals, value = part.partition("=")
        if not (key and equals and value) or key in arguments:
            raise UserError(
                f"{specification!r}: expected NAME or NAME,key=value,… as in llava-7b,adapter=runs/ppo/final; found {part!r}"
            )
        if key in ("batch_size", "max_batch_size"):
            raise UserError(f"{specification!r}: {key} is for both models; say --batch_size {value}")
        folder = Path(value).expanduser()
        arguments[key] = str(folder.absolute()) if key in _PLACES and folder.is_dir() else value
    if name not in load_catalogue():
        raise UserError(f"{specification!r}: no model is named {name!r}.\n{describe_names()}")
    return name, arguments
