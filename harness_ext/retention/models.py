"""Who is asked, known by the contents of its weights and adapter; and who judges LLaVA-Bench (in the wild) and HoliSafe.

An adapter that was trained again at the same path is another model; a copy of it is the same one.
"""

import base64
import functools
import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness_ext.common.errors import UserError
from harness_ext.common.failures import is_failed, reason_of
from harness_ext.common.files import sha256
from harness_ext.models.catalogue import describe_names, load_catalogue
from harness_ext.models.checkpoint import adapter_identity, commit_of, weights_identity
from harness_ext.models.entries import SERVERS, prompt_text
from harness_ext.models.language_names import require_language_side
from harness_ext.models.names import GLYPHWORLD, defaults_of, embedded
from harness_ext.retention.benchmarks import HOLISAFE_JUDGED

if TYPE_CHECKING:
    from harness_ext.models.api_client import Server

# Arguments that say where something lies, while its contents say what it is, or where answers are kept.
_PLACES: Final = frozenset({"pretrained", "revision", "adapter", "adapter_base", "answers"})
# Arguments that only one side of a model takes: that which generates, for lmms-eval, or that which scores text, for lm-eval.
GENERATING: Final = frozenset({"share_prefix", "answers", "max_failed", "seed"})
SCORING: Final = frozenset({"softmax_dtype", "max_length"})
# Options that lm-eval's side does not take; without them another model would be measured.
_NOT_IN_TEXT: Final = ("defence", "load_in_4bit")
# The judge's client in lmms-eval wants a key, also where the server needs none.
_NO_KEY: Final = "none"


@dataclass(frozen=True)
class Model:
    """One model of the catalogue."""

    name: str
    arguments: Mapping[str, str]  # of ``--model_args``, in the user's words; paths of folders are absolute
    what: Mapping[str, Any]  # the contents of its weights and adapter, and all else that its answers rest on

    @property
    def title(self) -> str:
        """For the reader of a table: name, last two of its adapter's or its weights' path, ``ppo-final``, defences."""
        named = self.arguments.get("adapter") or self.arguments.get("pretrained")
        place = f"{self.name}+{'-'.join(Path(named).parts[-2:]).strip('/-')}" if named else self.name
        defences = self.arguments.get("defence", "").split("+")
        return "+".join([place, *(each.partition(":")[0] for each in defences if each)])

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
    """Read what ``NAME`` or ``NAME,key=value,…`` names, as ``--model`` and ``--model_args`` of lmms-eval; loads no weights.

    Builds the embedded model where it is missing, and fetches an adapter of a hub repository.

    Raises:
        UserError: There is no such model, its files are missing, or its adapter is for other weights.
    """
    name, arguments = _parse(specification)
    entry = load_catalogue()[name]
    if entry.guard:
        raise UserError(
            f"{specification!r}: a guard gives verdicts, by a prompt of its own; abilities are not asked of it.\n"
            "Evaluate it by lmms_eval --tasks unsafeconcepts_gap, and compare two by `unsafeconcepts compare`"
        )
    if entry.backend in SERVERS:
        raise UserError(
            f"{specification!r}: what weights a server runs under a name cannot be seen from here, so that results could not "
            "be kept for them.\nEvaluate it by lmms_eval --tasks retention_vision"
        )
    options = defaults_of(entry, "pretrained" in arguments) | arguments
    if not (pretrained := options.get("pretrained")):
        raise UserError(f"model {name!r} needs its weights named: {name},pretrained=REPOSITORY_OR_FOLDER")
    if pretrained.startswith(GLYPHWORLD):
        pretrained = embedded(pretrained)
    elif not Path(pretrained).is_absolute() and Path(pretrained).is_dir():
        # The harness runs in a folder of its own; one that is named in the specification is absolute already.
        raise UserError(
            f"{specification!r}: {entry.source or name} names the folder {pretrained}, which is neither absolute nor "
            f"beside that file: say {Path(pretrained).absolute()} there"
        )
    if adapter := arguments.get("adapter"):
        from harness_ext.models.loading import check_adapter

        check_adapter(adapter, pretrained, arguments.get("adapter_base"))
    defence = {}
    if "defence" in arguments:
        from harness_ext.models.defences.registry import open_defences, with_absolute_paths

        defence = {"defence": open_defences(arguments["defence"]).told()}
        arguments["defence"] = with_absolute_paths(arguments["defence"])
    commit = commit_of(pretrained, options.get("revision"), "weights")
    what = {
        "weights": _weights_identity(pretrained, commit),
        "adapter": adapter_identity(adapter) if adapter else "none",
        "backend": entry.backend,
        "tokenizer": entry.tokenizer,
        "prompt": prompt_text(options["prompt"]) if "prompt" in options else None,
        "template_options": dict(entry.template_options),
        "generation": dict(entry.generation),
        **defence,
        "arguments": {key: value for key, value in sorted(arguments.items()) if key not in {*_PLACES, "prompt"}},
    }
    return Model(name, arguments, what)


def require_text(specification: str) -> None:
    """Raise ``UserError`` where what ``specification`` names cannot be asked by lm-eval; reads no weights."""
    name, arguments = _parse(specification)
    require_language_side(name)
    if refused := [option for option in _NOT_IN_TEXT if option in arguments]:
        raise UserError(
            f"{specification!r}: text is asked by lm-eval, which does not take {' and '.join(refused)}.\n"
            "Take --suite vision for this model, and measure text without it"
        )


# Both models mostly have the same weights, and those of a folder are read whole.
_weights_identity = functools.cache(weights_identity)


def _parse(specification: str) -> tuple[str, dict[str, str]]:
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


@dataclass(frozen=True)
class Judge:
    """An OpenAI-compatible chat model."""

    server: "Server"
    model: str

    @property
    def name(self) -> str:
        """Which judge, for the reader of a result."""
        return f"{self.model} at {self.server.base_url}"

    def environment(self) -> dict[str, str]:
        """What lmms-eval 0.7.3 reads (``lmms_eval/llm_judge/providers/openai.py``, ``tasks/llava-in-the-wild/utils.py``)."""
        url, key = self.server.base_url, self.server.key or _NO_KEY
        return {"API_TYPE": "openai", "OPENAI_API_URL": url, "OPENAI_API_KEY": key, "MODEL_VERSION": self.model}

    def require_answer(self, tasks: Collection[str]) -> None:
        """Ask it for a word, and show it an image where one of ``tasks`` does.

        Where a judge fails, lmms-eval averages -1 in the place of a score of LLaVA-Bench, and has rules judge HoliSafe.

        Raises:
            UserError: It does not answer. The message does not hold the key.
        """
        from harness_ext.models.api_client import ChatClient, several_at_a_time

        said = "Answer with one word: are you there?"
        image = [{"type": "image_url", "image_url": {"url": _blank_image()}}] if HOLISAFE_JUDGED in tasks else []
        turn = {"role": "user", "content": [{"type": "text", "text": said}, *image] if image else said}
        try:
            ((_, reply),) = several_at_a_time(
                self.server, [{"model": self.model, "messages": [turn]}], ChatClient.reply
            )
            if is_failed(reply.text):
                raise UserError(reason_of(reply.text))
        except UserError as error:
            raise UserError(f"the judge of {' and '.join(tasks)}, {self.name}, does not answer: {error}") from None


def _blank_image() -> str:
    from PIL import Image

    file = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(file, "JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def read_judge(url: str | None, model: str | None, key_variable: str | None, tasks: Sequence[str]) -> Judge:
    """The judge of ``tasks`` that ``--judge-url``, ``--judge-model`` and ``--judge-key-variable`` name.

    Raises:
        UserError: The server or the model is not named, or the key is missing.
    """
    # Slow to import, and most suites have no judge.
    from harness_ext.models.api_client import open_server

    if not url or not model:
        raise UserError(
            f"{' and '.join(tasks)}: judged by a language model of your choice, which is not named.\n"
            "Add --judge-url https://…/v1 --judge-model NAME (any OpenAI-compatible server), "
            f"or leave it out by --without {','.join(tasks)}"
        )
    try:
        return Judge(open_server(url, key_variable, concurrency=1, timeout=60, max_retries=1, backoff=1), model)
    except UserError as error:
        raise UserError(f"{str(error).splitlines()[0]}\nSee --judge-url and --judge-key-variable NAME") from error
