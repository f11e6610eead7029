"""The plugin: the entry point by which lmms-eval learns our models and tasks, without a flag.

lmms-eval's entry-point group is for models only; the callable that it loads also patches it, see :mod:`harness_ext.hooks`.
Kept light: it runs at every start of lmms-eval.
"""

import sys
from typing import TYPE_CHECKING, Final

from harness_ext.common.errors import UserError
from harness_ext.common.output import say
from harness_ext.hooks import list_models, register_tasks
from harness_ext.models.catalogue import CATALOGUE_FILE, load_names, model_attribute, read_names

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest

_MODELS_MODULE: Final = "harness_ext.models.names"


def register() -> list["ModelManifest"]:
    """Register tasks with lmms-eval and return a manifest for every model name (the ``lmms_eval.models`` entry point)."""
    from lmms_eval.models.registry_v2 import ModelManifest

    register_tasks()
    try:
        names = load_names()
    except UserError as error:
        # An exception here would take every other plugin down with it, and our own names too.
        say(f"unsafeconcepts: {error}; only the packaged model names are known", file=sys.stderr)
        names = read_names(CATALOGUE_FILE)
    list_models(names)
    return [ModelManifest(name, chat_class_path=f"{_MODELS_MODULE}.{model_attribute(name)}") for name in names]
