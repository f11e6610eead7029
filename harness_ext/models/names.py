"""A class for every name of the catalogue, made when lmms-eval asks for it.

lmms-eval resolves ``--model NAME`` by importing a module and taking an attribute of it. Here the attribute is made on demand,
so that a name in a YAML file is all that a new model needs.
"""

import inspect
from pathlib import Path
from typing import Any, Final

from harness_ext.errors import UserError
from harness_ext.models.catalogue import Entry, load_catalogue, model_attribute
from harness_ext.models.hf import HuggingFaceVLM
from harness_ext.provenance import record_provenance

GLYPHWORLD: Final = "glyphworld:"


def _resolve(name: str, entry: Entry, options: dict[str, Any]) -> dict[str, Any]:
    """The entry's defaults under the user's options, with the embedded model built where it is asked for."""
    allowed = inspect.signature(HuggingFaceVLM.__init__).parameters.keys() - {"self"}
    if unknown := sorted(options.keys() - allowed):
        raise UserError(f"unknown model_args: {', '.join(unknown)}; allowed are {', '.join(sorted(allowed))}")
    resolved = dict(options)
    if not resolved.get("pretrained"):
        if not entry.weights:
            raise UserError(f"model {name!r} needs its weights named: --model_args pretrained=REPOSITORY_OR_FOLDER")
        resolved["pretrained"] = entry.weights
        resolved.setdefault("revision", entry.revision)
    if str(resolved["pretrained"]).startswith(GLYPHWORLD):
        from harness_ext.glyphworld.build import ensure_model

        seed = str(resolved["pretrained"]).removeprefix(GLYPHWORLD)
        if not seed.isdigit():
            raise UserError(f"expected glyphworld:SEED with a whole number, found {resolved['pretrained']!r}")
        resolved["pretrained"] = str(ensure_model(int(seed)))
    return resolved


def __getattr__(name: str) -> type[HuggingFaceVLM]:
    for known, entry in load_catalogue().items():
        if model_attribute(known) == name:
            return _model_class(known, entry)
    raise AttributeError(f"no model {name!r} in the catalogue")


def _model_class(name: str, entry: Entry) -> type[HuggingFaceVLM]:
    def init(self: HuggingFaceVLM, **options: Any) -> None:
        resolved = _resolve(name, entry, options)
        HuggingFaceVLM.__init__(self, **resolved)
        named = str(options.get("pretrained") or entry.weights)
        if named.startswith(GLYPHWORLD):
            # Not where this machine keeps it, but what it is: the folder is named after the seed and the recipe's hash.
            record_provenance(weights=f"{named} ({Path(resolved['pretrained']).name})")

    return type(name, (HuggingFaceVLM,), {"__init__": init, "__module__": __name__, "__doc__": entry.note})
