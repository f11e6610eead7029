"""What a guard's format file says: the guard's own prompt, and how its own answer is read.

The packaged ones are in ``formats/``; an entry of the catalogue names one, or a file of the same form. Light on purpose: what
reads saved answers needs no torch.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness_ext.common.errors import UserError, one_line
from harness_ext.common.files import sha256
from harness_ext.common.options import problem
from harness_ext.common.provenance import recorded
from harness_ext.common.reading import read_text
from harness_ext.common.reading_yaml import parse_yaml, yaml_value
from harness_ext.common.thoughts import after_thoughts
from harness_ext.records import NA, SAFE, UNSAFE, Verdict

if TYPE_CHECKING:
    from jinja2 import Environment

FORMATS: Final = Path(__file__).with_name("formats")
# What a judged answer bears as its judge, before the format's name.
READER: Final = "guard-"
# A sign that no text of a format holds; it stands for the image until a turn is taken apart.
_IMAGE: Final = "\ue000"
_LONGEST_CATEGORY: Final = 200


@functools.cache
def _templates() -> "Environment":
    # When a format is read, for the names of the catalogue are read at every start.
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True)


def _template(text: str) -> str:
    from jinja2 import TemplateError

    try:
        _templates().parse(text)
    except TemplateError as error:
        raise ValueError(f"expected a template in Jinja ({one_line(error)})") from error
    return text


def _pattern(text: str) -> str:
    try:
        groups = re.compile(text).groups
    except re.error as error:
        raise ValueError(f"expected a regular expression ({error})") from error
    if groups != 1:
        raise ValueError("expected a regular expression with one group, which is what is read")
    return text


Template = Annotated[str, AfterValidator(_template)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class Reading(NamedTuple):
    """What an answer says: its verdict, and the categories it names where it is unsafe (else empty)."""

    verdict: Verdict
    category: str = ""


class Beginnings(BaseModel):
    """What an answer of each verdict may begin with, for its likelihood."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    safe: Annotated[tuple[str, ...], Field(min_length=1)]
    unsafe: Annotated[tuple[str, ...], Field(min_length=1)]


class GuardFormat(BaseModel):
    """One guard's format.

    The templates are Jinja. They know ``image``, which stands where the image does, ``concept``, ``policy`` (of the
    benchmark or the user; empty where there is none), ``categories`` (the benchmark's, by name) and ``rule``.

    Attributes:
        name: The file's, with its version: ``"llavaguard-1"``; it is written beside every verdict.
        version: Raised when what is asked or read changes.
        source: Where the format is known from.
        system: The system's turn, where there is one.
        about_image: The user's turn about an image.
        about_text: The user's turn about a concept's name alone; empty for a guard that needs an image.
        options: What the chat template of the weights is given beside the conversation.
        policy_options: The same for a policy, for a guard whose chat template has the slot.
        generation: What of a task's settings of generation is another for it: an answer of one word needs no 512 tokens.
        own_rules: Whether the weights' processor holds rules (``policy_definitions``), each asked by itself as ``rule``. A
            policy takes their place as the one rule.
        verdict: A regular expression whose group is the verdict's word.
        safe: The words for safe, in small letters.
        unsafe: The words for unsafe, in small letters.
        category: A regular expression whose group is a category, or several.
        begins: What an answer of each verdict begins with, whose likelihood is the guard's probability; none without one.
        scores: Whether the answer itself holds a probability.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    version: int
    source: str
    system: Template = ""
    about_image: Template
    about_text: Template = ""
    options: Mapping[str, Any] = {}
    policy_options: Mapping[str, Any] = {}
    generation: Mapping[str, Any] = {}
    own_rules: bool = False
    verdict: Pattern
    safe: tuple[str, ...]
    unsafe: tuple[str, ...]
    category: Pattern | None = None
    begins: Beginnings | None = None
    scores: bool = False

    @property
    def has_policy_slot(self) -> bool:
        """Whether a policy can be put into its prompt, or into what its chat template is given."""
        return bool(self.policy_options) or self.own_rules or "policy" in self.about_image

    def turns(self, image: Any, **known: Any) -> list[dict[str, Any]]:
        """What the guard is asked, in the form of lmms-eval's messages; about ``image``, unless that is ``None``.

        Raises:
            UserError: The format cannot be filled in.
        """
        user = _filled(self.about_text if image is None else self.about_image, known)
        parts: list[dict[str, Any]] = []
        for at, text in enumerate(user.split(_IMAGE)):
            parts += [{"type": "image", "url": image}] * (at > 0)
            parts += [{"type": "text", "text": text}] * bool(text)
        system = [{"role": "system", "content": _filled(self.system, known)}] if self.system else []
        return [*system, {"role": "user", "content": parts}]

    def template_options(self, policy: str) -> dict[str, Any]:
        """What the chat template is given, with ``policy`` in its slot where it has one."""
        return {**self.options, **(_each_filled(self.policy_options, {"policy": policy}) if policy else {})}

    def read(self, response: str) -> Reading:
        """The verdict of an answer in this format; ``na`` where it is in another, or says both.

        Of several rules (``own_rules``), one a line, one that is broken makes it unsafe.
        """
        answer, _ = after_thoughts(response)
        words = {word.casefold() for word in re.findall(self.verdict, answer or "")}
        if not words or words - {*self.safe, *self.unsafe}:
            return Reading(NA)
        verdicts = {SAFE if word in self.safe else UNSAFE for word in words}
        if len(verdicts) > 1 and not self.own_rules:
            return Reading(NA)
        if UNSAFE not in verdicts:
            return Reading(SAFE)
        named = re.findall(self.category, answer or "") if self.category else []
        return Reading(UNSAFE, ", ".join(dict.fromkeys(each.strip() for each in named))[:_LONGEST_CATEGORY])


def _filled(template: str, known: Mapping[str, Any]) -> str:
    from jinja2 import TemplateError

    try:
        return _templates().from_string(template).render(image=_IMAGE, **known)
    except TemplateError as error:
        raise UserError(f"a guard's format cannot be filled in: {one_line(error)}") from error


def _each_filled(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _each_filled(each, known) for key, each in value.items()}
    return _filled(value, known) if isinstance(value, str) else value


def format_names() -> Sequence[str]:
    """The names of the packaged formats."""
    return sorted(file.stem for file in FORMATS.glob("*.yaml"))


def format_file(named: str, folder: Path | None = None) -> Path:
    """The file of the format of that name, or the file that is named, from ``folder`` on, else the working folder.

    Raises ``UserError`` where there is none.
    """
    if named in format_names():
        return FORMATS / f"{named}.yaml"
    if (file := (folder or Path()) / Path(named).expanduser()).is_file():
        return file
    within = f" in {folder}" if folder else ""
    raise UserError(f"a guard's format is a YAML file{within}, or one of {', '.join(format_names())}; found {named!r}")


@functools.cache
def read_format(named: str) -> GuardFormat:
    """The format of that name, or of a file. Raises ``UserError`` where there is none, or it is not as expected."""
    file, packaged = format_file(named), named in format_names()
    text = read_text(file)
    found = yaml_value(parse_yaml(text, file), file)
    if not isinstance(found, Mapping):
        raise UserError(f"{file}: expected a mapping, as in {FORMATS / 'llavaguard.yaml'}")
    version = found.get("version", "?")
    # A file of the user is known by its contents too.
    name = f"{file.stem}-{version}" if packaged else f"{file.stem}-{version}-{sha256(text)[:8]}"
    try:
        return GuardFormat.model_validate({**found, "name": name})
    except ValidationError as error:
        raise UserError(f"{file}: {problem(error)}") from error


def format_in_force() -> GuardFormat | None:
    """The format of the guard that this process asks; ``None`` where it asks none."""
    named = recorded("guard")
    return read_format(named) if named else None
