"""A class for every name of the catalogue, made when lm-eval asks for it: the language side of what the name stands for.

lm-eval has no entry points; its registry takes ``module:attribute`` (see ``harness_ext.hooks.register_language_sides``). The
names and their options are those that lmms-eval knows (:mod:`harness_ext.models.names`).
"""

from dataclasses import replace

from harness_ext.common.errors import UserError
from harness_ext.models.catalogue import load_catalogue
from harness_ext.models.entries import LANGUAGE_BACKEND
from harness_ext.models.names import class_of


def __getattr__(name: str) -> type:
    if (entry := load_catalogue().get(name)) is None:
        raise AttributeError(f"no model {name!r} in the catalogue")
    require_language_side(name)
    from harness_ext.models.language import LanguageSide

    # The entry's defaults of generation stand in for what tasks of lmms-eval leave open; tasks of lm-eval leave nothing open.
    return class_of(name, replace(entry, generation={}), LanguageSide, __name__)


def require_language_side(name: str) -> None:
    """Raise ``UserError`` for a name of the catalogue whose model cannot be asked by lm-eval; not for one that is none."""
    entry = load_catalogue().get(name)
    if entry and entry.guard:
        raise UserError(
            f"model {name!r} is a guard: it is asked by its own prompt, which lm-eval does not put; evaluate it by lmms_eval"
        )
    if entry and entry.backend != LANGUAGE_BACKEND:
        raise UserError(
            f"model {name!r} (backend {entry.backend}) has no language side for lm-eval: text is scored by its likelihood, "
            "which needs a model of this project's Hugging Face backend"
        )
