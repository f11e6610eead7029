"""A class for every name of the catalogue, made when lmms-eval asks for it.

lmms-eval resolves ``--model NAME`` by importing a module and taking an attribute of it, which is made here on demand. The
name's entry and the user's options become the keyword arguments of its backend.
"""

import importlib
import importlib.util
import inspect
import json
from pathlib import Path
from typing import Any, Final

from harness_ext.common.errors import UserError
from harness_ext.common.provenance import record_provenance
from harness_ext.models.catalogue import load_catalogue, model_attribute
from harness_ext.models.checkpoint import require_family
from harness_ext.models.entries import BACKENDS, SERVERS, Entry

GLYPHWORLD: Final = "glyphworld:"
_FLAGS: Final = {"trust_remote_code", "share_prefix", "load_in_4bit"}


def _resolve(name: str, entry: Entry, options: dict[str, Any], allowed: set[str]) -> dict[str, Any]:
    """The entry's defaults under the user's options, as keyword arguments ``allowed`` by the backend.

    Raises:
        UserError: An option is unknown, or something that must be given or installed is missing.
    """
    if unknown := sorted(options.keys() - allowed):
        raise UserError(f"unknown model_args: {', '.join(unknown)}; allowed are {', '.join(sorted(allowed))}")
    for option in _FLAGS & options.keys():
        # The harness leaves "no" and "off" as text, which Python takes for true.
        if not isinstance(options[option], bool):
            raise UserError(f"model_args: {option} must be True or False, found {options[option]!r}")
    if not isinstance(options.get("seed") or 0, int):
        raise UserError(f"model_args: seed must be a whole number, found {options['seed']!r}")
    defaults = defaults_of(entry, bool(options.get("pretrained")))
    if unused := sorted(defaults.keys() - allowed):
        raise UserError(
            f"model {name!r}: its entry sets {', '.join(unused)}, which backend {entry.backend} does not take"
        )
    resolved = defaults | {key: value for key, value in options.items() if value not in (None, "")}
    if entry.backend in SERVERS and not resolved.get("model"):
        raise UserError(
            f"model {name!r} needs the name of a model at its server: --model_args model=NAME\n{entry.note}"
        )
    if entry.backend not in SERVERS and not resolved.get("pretrained"):
        raise UserError(f"model {name!r} needs its weights named: --model_args pretrained=REPOSITORY_OR_FOLDER")
    _check_needs(name, entry, resolved)
    return resolved


def defaults_of(entry: Entry, other_weights: bool) -> dict[str, Any]:
    """The options that the entry sets; not its weights' revision where the user names other weights."""
    values = {
        "pretrained": entry.weights,
        "revision": None if other_weights else entry.revision,
        "tokenizer": entry.tokenizer,
        "prompt": entry.prompt,
        "template_options": entry.template_options,
        "generation": entry.generation,
        "guard": entry.guard,
        "model": entry.api.model,
        "base_url": entry.api.base_url,
        "api_key_variable": entry.api.api_key_variable,
    }
    return {key: value for key, value in values.items() if value}


def _check_needs(name: str, entry: Entry, resolved: dict[str, Any]) -> None:
    missing = [package for package in entry.needs.packages if importlib.util.find_spec(package) is None]
    if missing:
        raise UserError(f"model {name!r} needs packages that are not installed:\npip install {' '.join(missing)}")
    if entry.needs.remote_code and resolved.get("trust_remote_code") is not True:
        commit = f" (revision {resolved['revision']})" if resolved.get("revision") else ""
        raise UserError(
            f"model {name!r} runs code from the repository {resolved['pretrained']}{commit} on this machine.\n"
            "Read it, and if you trust it, add trust_remote_code=True to --model_args"
        )


def embedded(pretrained: str) -> str:
    """The folder of the embedded model that ``glyphworld:SEED`` names, built where it is not there."""
    from harness_ext.glyphworld.build import ensure_model

    seed = pretrained.removeprefix(GLYPHWORLD)
    if not seed.isdigit():
        raise UserError(f"expected glyphworld:SEED with a whole number, found {pretrained!r}")
    return str(ensure_model(int(seed)))


def __getattr__(name: str) -> type:
    for known, entry in load_catalogue().items():
        if model_attribute(known) == name:
            module, _, backend = BACKENDS[entry.backend].rpartition(".")
            kind = getattr(importlib.import_module(module), backend)
            if entry.guard:
                from harness_ext.models.guards.asking import guarded

                kind = guarded(kind)
            return class_of(known, entry, kind, __name__)
    raise AttributeError(f"no model {name!r} in the catalogue")


def _options_of(backend: Any) -> set[str]:
    """The options of a backend: its constructor's, and those of the constructors that it hands further options on to."""
    names: set[str] = set()
    for kind in backend.__mro__:
        parameters = inspect.signature(kind.__init__).parameters.values()
        names |= {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return names - {"self"}


def class_of(name: str, entry: Entry, backend: Any, module: str) -> type:
    """A subclass of ``backend``, made in ``module``, that takes the user's options and asks what ``entry`` names."""
    allowed = _options_of(backend)

    def init(self: Any, **options: Any) -> None:
        resolved = _resolve(name, entry, options, allowed)
        named = str(resolved.get("pretrained", ""))
        if named.startswith(GLYPHWORLD):
            resolved["pretrained"] = embedded(named)
        if entry.family and named:
            require_family(resolved["pretrained"], resolved.get("revision"), entry.family)
        backend.__init__(self, **resolved)
        record_provenance(
            prompt=resolved.get("prompt", "the model's own"),
            template_options=json.dumps(resolved.get("template_options", {})),
            generation_defaults=json.dumps(resolved.get("generation", {})),
        )
        if named.startswith(GLYPHWORLD):
            # Not where this machine keeps it, but what it is: the folder is named after the seed and the recipe's hash.
            record_provenance(weights=f"{named} ({Path(resolved['pretrained']).name})")

    return type(name, (backend,), {"__init__": init, "__module__": module, "__doc__": entry.note})
