"""One entry of the model catalogue: what it may say, and what is wrong with it, by the line of the key at fault.

The types of the fields are the checks of their values (pydantic's), and say what a value must be.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, get_args, get_type_hints

import yaml
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo

from harness_ext.common.errors import UserError, shown
from harness_ext.common.reading_yaml import key_twice, merged, yaml_value
from harness_ext.models.guards.form import format_file, format_names
from harness_ext.models.settings import Flag, GenerationSettings, Number

# By name, each with its class, imported only when it is used: each brings its own libraries.
BACKENDS: Final = {
    "huggingface": "harness_ext.models.hf.HuggingFaceVLM",
    "vllm": "harness_ext.models.vllm.VllmVLM",
    "api": "harness_ext.models.api.OpenAICompatible",
    "moderation": "harness_ext.models.guards.moderation.Moderation",
    "shieldgemma2": "harness_ext.models.guards.shieldgemma.ShieldGemma2",
    "cogvlm": "harness_ext.models.remote.families.CogVLM",
    "xcomposer2": "harness_ext.models.remote.families.XComposer2",
    "minicpmv": "harness_ext.models.remote.families.MiniCPMV",
}
# Those whose models are a server's.
SERVERS: Final = ("api", "moderation")
# The one whose models have a language side for lm-eval.
LANGUAGE_BACKEND: Final = "huggingface"
TEMPLATES: Final = Path(__file__).with_name("templates")

Text = Annotated[str, Field(description="text (quote it if it is a number)")]
Word = Annotated[str, Field(pattern=r"^\S+$", description="text without spaces (quote it)")]
Options = Annotated[dict[str, Any], Field(description="a mapping, NAME: VALUE")]


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


def _format_name(named: str, info: ValidationInfo) -> str:
    """The name of a guard's format, or its file, absolute: an entry means one beside it (the context is that folder).

    Raises ``UserError`` where there is no such one.
    """
    file = format_file(named, info.context)
    return named if named in format_names() else str(file)


def _weights(named: str, info: ValidationInfo) -> str:
    """A folder beside the entry's file, absolute (the context is that file's folder); else as it is named."""
    beside = (info.context or Path()) / Path(named).expanduser()
    return str(beside) if beside.is_dir() else named


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

    memory_gib: Number | None = None
    packages: Annotated[list[str], Field(description="a list of texts")] = field(default_factory=list)
    remote_code: Flag = False
    access: Annotated[str, Field(pattern="^gated$", description="one of gated")] = ""
    licence: Text = ""


@dataclass(frozen=True)
class Api:
    """A model behind a server: the name that is sent (empty where the user gives it), where, and the key's variable."""

    model: Text = ""
    base_url: Text = ""
    api_key_variable: Text = ""


@dataclass(frozen=True)
class Entry:
    """What a name stands for; the keys are described at the top of ``catalogue.yaml``.

    ``source`` is the file that the entry is from, empty for the packaged catalogue.
    """

    backend: Annotated[str, Field(pattern=f"^({'|'.join(BACKENDS)})$", description=f"one of {', '.join(BACKENDS)}")] = (
        "huggingface"
    )
    weights: Annotated[Text, AfterValidator(_weights)] = ""
    family: Text = ""
    revision: Word | None = None
    tokenizer: Text | None = None
    prompt: Annotated[Text, AfterValidator(prompt_text)] | None = None
    template_options: Options = field(default_factory=dict)
    generation: Mapping[str, Any] = field(default_factory=dict)
    guard: Annotated[Text, AfterValidator(_format_name)] = ""
    needs: Needs = Needs()
    api: Api = Api()
    note: Text = ""
    paper: Flag = False
    source: str = ""


Fault = Callable[[int, str], UserError]
_NESTED: Final[Mapping[str, type]] = {"needs": Needs, "api": Api, "generation": GenerationSettings}
# Fields that an entry cannot set: where it is from; whether candidates are scored, which is the task's to say.
_NOT_WRITTEN: Final = {"source", "likelihood"}


def read_entry(path: Path, node: yaml.Node, line: int, source: str, fault: Fault) -> Entry:
    """The entry in ``node``, whose name is on ``line`` of ``path``.

    Raises ``Unreadable``, or the error that ``fault`` makes of a line and what is wrong.
    """
    values = _read_keys(path, node, Entry, line, "", fault)
    needs, api = Needs(**values.pop("needs", {})), Api(**values.pop("api", {}))
    return Entry(**values, needs=needs, api=api, source=source)


def _read_keys(path: Path, node: yaml.Node, kind: type, line: int, within: str, fault: Fault) -> dict[str, Any]:
    """A mapping that may hold the fields of ``kind``; ``within`` is the key that holds it, for messages."""
    keys = set(kind.__annotations__) - _NOT_WRITTEN
    allowed = f"allowed are {', '.join(sorted(keys))}"
    if not isinstance(node, yaml.MappingNode):
        found = type(yaml_value(node, path)).__name__
        raise fault(line, f"{within}expected keys and values, found {found}; {allowed}")
    if twice := key_twice(node):
        raise fault(twice.start_mark.line + 1, f"{within}{shown(twice.value)} is there twice; keep one of the two")
    values: dict[str, Any] = {}
    for key_node, value_node in merged(node, path):
        key, at = yaml_value(key_node, path), key_node.start_mark.line + 1
        if not isinstance(key, str) or key not in keys:
            raise fault(at, f"{within}unknown key {str(key)[:60]}; {allowed}")
        if key in _NESTED:
            values[key] = _read_keys(path, value_node, _NESTED[key], at, f"{within}{key}: ", fault)
            continue
        value, (check, must_be) = yaml_value(value_node, path), _check(kind, key)
        try:
            checked = check.validate_python(value, context=path.absolute().parent)
        except UserError as error:
            raise fault(at, f"{within}{key} is not usable: {error}") from error
        except ValidationError as error:
            raise fault(at, f"{within}{key} must be {must_be}, found {shown(value)}") from error
        # As it is written, but for the place of a file or folder: it is recorded so.
        values[key] = checked if key in ("guard", "weights") else value
    return values


@functools.cache
def _check(kind: type, key: str) -> tuple[TypeAdapter[Any], str]:
    """What checks the value of a field, and what that must be; ``None``, a default, cannot be written."""
    hint = get_type_hints(kind, include_extras=True)[key]
    if type(None) in get_args(hint):
        hint = get_args(hint)[0]
    check = TypeAdapter(hint, config=ConfigDict(strict=True))
    return check, check.json_schema()["description"]
