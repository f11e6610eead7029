"""One entry of the model catalogue: what it may say, and what is wrong with it, by the line of the key at fault."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from harness_ext.common.errors import UserError
from harness_ext.models.catalogue import Loader

BACKENDS: Final = ("huggingface", "api", "cogvlm", "xcomposer2", "minicpmv")
TEMPLATES: Final = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Needs:
    """What a model needs beyond this project.

    Attributes:
        memory_gib: GiB of the weights alone, in the precision they are loaded in by default.
        packages: Python packages, by the names they are imported and installed by.
        remote_code: Whether it runs code from its own repository.
        access: ``"gated"`` where one has to ask for the weights; empty otherwise.
        licence: The licence of the weights, where it is not a free one.
    """

    memory_gib: float | None = None
    packages: tuple[str, ...] = ()
    remote_code: bool = False
    access: str = ""
    licence: str = ""


@dataclass(frozen=True)
class Api:
    """A model behind a server that speaks OpenAI's chat completions.

    Attributes:
        model: The name that is sent; empty where ``model=`` must be given.
        base_url: Where the server is.
        api_key_variable: The environment variable that holds the key.
    """

    model: str = ""
    base_url: str = ""
    api_key_variable: str = ""


@dataclass(frozen=True)
class Entry:
    """What a name stands for.

    Attributes:
        backend: One of ``BACKENDS``: the code that asks it.
        weights: A Hugging Face repository, a folder, or ``glyphworld:SEED``; empty where ``pretrained=`` must be given.
        family: The ``model_type`` of transformers that the weights are of; empty where it is left to them.
        revision: The commit, tag or branch of the weights; ``None`` for the repository's default.
        tokenizer: The repository of the tokenizer, where it is not that of the weights.
        prompt: A chat template: Jinja, or the name of one of ``templates/``; ``None`` for the processor's own.
        template_options: What the chat template is given beside the conversation.
        generation: Defaults of generation, under what a task sets.
        needs: What it needs beyond this project.
        api: Where it is served, for the backend ``api``.
        note: One line for the list of names.
        paper: Whether it is one of the paper's eight.
        source: The file that the entry is from; empty for the packaged catalogue.
    """

    backend: str = "huggingface"
    weights: str = ""
    family: str = ""
    revision: str | None = None
    tokenizer: str | None = None
    prompt: str | None = None
    template_options: Mapping[str, Any] = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    needs: Needs = Needs()
    api: Api = Api()
    note: str = ""
    paper: bool = False
    source: str = ""


def prompt_text(prompt: str) -> str:
    """A chat template by its name among the packaged ones, or as it is given.

    Raises:
        UserError: It is neither a template nor the name of one.
    """
    if "{{" in prompt or "{%" in prompt:
        return prompt
    names = sorted(file.stem for file in TEMPLATES.glob("*.jinja"))
    if prompt not in names:
        raise UserError(f"a prompt is a Jinja chat template, or one of {', '.join(names)}; found {prompt!r}")
    return (TEMPLATES / f"{prompt}.jinja").read_text(encoding="utf-8")


# A check says what a value must be, or nothing where it is that.
Check: TypeAlias = Callable[[Any], str]
Keys: TypeAlias = Mapping[str, "Check | Keys"]


def _text(value: Any) -> str:
    return "" if isinstance(value, str) else "must be text (quote it if it is a number)"


def _flag(value: Any) -> str:
    return "" if isinstance(value, bool) else "must be true or false"


def _one_of(*choices: str) -> Check:
    return lambda value: "" if value in choices else f"must be one of {', '.join(choices)}"


def _number(least: float, *, whole: bool = False, most: float = float("inf")) -> Check:
    kind = "a whole number" if whole else "a number"
    words = f"must be {kind} from {least:g}" + (f" to {most:g}" if most < float("inf") else " on")

    def check(value: Any) -> str:
        right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        return "" if right and least <= value <= most else words

    return check


def _texts(value: Any) -> str:
    right = isinstance(value, list) and all(isinstance(part, str) for part in value)
    return "" if right else "must be a list of texts"


def _text_or_texts(value: Any) -> str:
    return "" if isinstance(value, str) else _texts(value) and "must be text or a list of texts"


def _options(value: Any) -> str:
    right = isinstance(value, dict) and all(isinstance(key, str) for key in value)
    return "" if right else "must be a mapping, NAME: VALUE"


def _prompt(value: Any) -> str:
    if problem := _text(value):
        return problem
    try:
        prompt_text(value)
    except UserError as error:
        return f"is not usable: {error}"
    return ""


def _commit(value: Any) -> str:
    return "" if isinstance(value, str) and re.fullmatch(r"\S+", value) else "must be text without spaces (quote it)"


# The settings of harness_ext.models.generation, whose import would load torch.
GENERATION: Final[Keys] = {
    "max_new_tokens": _number(1, whole=True),
    "do_sample": _flag,
    "temperature": _number(0),
    "top_p": _number(0, most=1),
    "top_k": _number(0, whole=True),
    "num_beams": _number(1, whole=True),
    "repetition_penalty": _number(0),
    "until": _text_or_texts,
}
KEYS: Final[Keys] = {
    "backend": _one_of(*BACKENDS),
    "weights": _text,
    "family": _text,
    "revision": _commit,
    "tokenizer": _text,
    "prompt": _prompt,
    "template_options": _options,
    "generation": GENERATION,
    "needs": {
        "memory_gib": _number(0),
        "packages": _texts,
        "remote_code": _flag,
        "access": _one_of("gated"),
        "licence": _text,
    },
    "api": {"model": _text, "base_url": _text, "api_key_variable": _text},
    "note": _text,
    "paper": _flag,
}


class Fault(Exception):
    """Something wrong in a YAML file, and where."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line = line


def read_entry(loader: Loader, node: yaml.Node, line: int, source: str) -> Entry:
    """The entry in ``node``, whose name is on ``line``. Raises ``Fault``."""
    values = _read_keys(loader, node, KEYS, line, "")
    needs, api = values.pop("needs", {}), values.pop("api", {})
    needs["packages"] = tuple(needs.get("packages", ()))
    return Entry(**values, needs=Needs(**needs), api=Api(**api), source=source)


def _read_keys(loader: Loader, node: yaml.Node, keys: Keys, line: int, within: str) -> dict[str, Any]:
    """A mapping that may hold ``keys``; ``within`` is the key that holds it, for messages."""
    allowed = f"allowed are {', '.join(sorted(keys))}"
    if not isinstance(node, yaml.MappingNode):
        found = type(loader.construct_object(node, deep=True)).__name__
        raise Fault(line, f"{within}expected keys and values, found {found}; {allowed}")
    written = [key_node.value for key_node, _ in node.value]
    for at, (key_node, _) in enumerate(node.value):
        if key_node.value in written[:at]:
            raise Fault(key_node.start_mark.line + 1, f"{within}{key_node.value!r} is there twice; keep one of the two")
    loader.flatten_mapping(node)
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, at = loader.construct_object(key_node, deep=True), key_node.start_mark.line + 1
        if not isinstance(key, str) or key not in keys:
            raise Fault(at, f"{within}unknown key {key}; {allowed}")
        check = keys[key]
        if isinstance(check, Mapping):
            values[key] = _read_keys(loader, value_node, check, at, f"{within}{key}: ")
            continue
        values[key] = loader.construct_object(value_node, deep=True)
        if problem := check(values[key]):
            raise Fault(at, f"{within}{key} {problem}, found {values[key]!r}")
    return values
