"""The plugin: the entry point that makes lmms-eval know our models and tasks, without a flag.

lmms-eval has an entry-point group for models only. The callable it loads also teaches ``TaskManager`` our task folder, and
makes sure that what a task needs is there before a model is loaded for it. Kept light: it runs at every start of lmms-eval.
"""

import difflib
import functools
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness_ext.benchmark import SOURCES
from harness_ext.errors import UserError
from harness_ext.models.catalogue import CATALOGUE_FILE, load_catalogue, model_attribute, read_catalogue

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest

_MODELS_MODULE: Final = "harness_ext.models.names"
_HUB_TOKEN: Final = re.compile(r"\bhf_[A-Za-z0-9]{20,}")


def task_folder(harness: str) -> Path:
    """Our task folder for ``"lmms_eval"`` or ``"lm_eval"``.

    Installed, it lies inside the package; in a checkout, beside it. Raises ``UserError`` if it is in neither place.
    """
    package = Path(__file__).parent
    for tasks in (package / "tasks", package.parent / "tasks"):
        if (tasks / harness).is_dir():
            return tasks / harness
    raise UserError(f"the task folder {harness!r} is neither in {package} nor beside it; install unsafeconcepts again")


def register() -> list["ModelManifest"]:
    """Register tasks with lmms-eval and return a manifest for every model name (the ``lmms_eval.models`` entry point)."""
    from lmms_eval.models.registry_v2 import ModelManifest

    register_tasks()
    try:
        names = list(load_catalogue())
    except UserError as error:
        # An exception here would take every other plugin down with it, and our own names too.
        print(f"unsafeconcepts: {error}; only the packaged model names are known", file=sys.stderr)
        names = list(read_catalogue(CATALOGUE_FILE))
    # `lmms-eval models` lists these static names, not the registry.
    listed = sys.modules["lmms_eval.models"].AVAILABLE_CHAT_TEMPLATE_MODELS
    listed.update({name: name for name in names})
    return [ModelManifest(name, chat_class_path=f"{_MODELS_MODULE}.{model_attribute(name)}") for name in names]


def register_tasks() -> None:
    """Make every ``TaskManager`` with default tasks index our folder too, and check sources as tasks are chosen."""
    from lmms_eval.tasks import TaskManager

    if getattr(TaskManager, "_unsafeconcepts", False):
        return
    TaskManager._unsafeconcepts = True
    _keep_the_token_out_of_logs()
    TaskManager.initialize_tasks = _with_our_folder(TaskManager.initialize_tasks)
    TaskManager.match_tasks = _with_source_check(TaskManager.match_tasks)


def _with_our_folder(initialize: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(initialize)
    def initialize_tasks(manager: Any, include_path: Any = None, include_defaults: bool = True) -> Any:
        _name_result_folders()
        if include_defaults:
            given = [include_path] if isinstance(include_path, str) else list(include_path or [])
            include_path = [*given, str(task_folder("lmms_eval"))]
        return initialize(manager, include_path=include_path, include_defaults=include_defaults)

    return initialize_tasks


def _with_source_check(match: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(match)
    def match_tasks(manager: Any, task_list: Iterable[str]) -> Any:
        asked = list(task_list)
        names = match(manager, asked)
        for name in asked:
            if name.startswith(SOURCES) and "*" not in name and name not in manager.all_tasks:
                near = difflib.get_close_matches(name, manager.all_tasks, n=3)
                raise UserError(
                    f"no task {name!r}; did you mean {' or '.join(near) or 'one of `lmms_eval tasks list`'}?"
                )
        from harness_ext.benchmark.preflight import require_sources

        require_sources(names)
        return names

    return match_tasks


def _keep_the_token_out_of_logs() -> None:
    """lmms-eval logs its tracker's arguments, and the hub token among them: the environment's, or one in an option."""
    from loguru import logger

    def hide(record: Any) -> None:
        message = record["message"]
        if token := os.environ.get("HF_TOKEN"):
            message = message.replace(token, "[HF_TOKEN]")
        record["message"] = _HUB_TOKEN.sub("[HF_TOKEN]", message)

    logger.configure(patcher=hide)


def _name_result_folders() -> None:
    """Give a model that is named, without ``pretrained=``, a result folder of its own; say what its name stood for there.

    lmms-eval names the folder under ``--output_path`` after ``pretrained=`` in the model's arguments, so that two models
    named by the catalogue would write into one.
    """
    from lmms_eval.loggers.evaluation_tracker import EvaluationTracker, GeneralConfigTracker
    from lmms_eval.utils import sanitize_model_name

    from harness_ext.metrics.harness import plain
    from harness_ext.provenance import provenance
    from harness_ext.report.results import read_results
    from harness_ext.saving import require_read_back, save_readably

    if getattr(GeneralConfigTracker, "_unsafeconcepts", False):
        return
    GeneralConfigTracker._unsafeconcepts = True
    log_arguments = GeneralConfigTracker.log_experiment_args

    @functools.wraps(log_arguments)
    def log_experiment_args(tracker: Any, *args: Any, **kwargs: Any) -> None:
        log_arguments(tracker, *args, **kwargs)
        arguments = str(kwargs.get("model_args") or "")
        if tracker.model_source in load_catalogue() and (not tracker.model_name or "adapter=" in arguments):
            tracker.model_name = result_name(tracker.model_name or tracker.model_source, arguments)
            tracker.model_name_sanitized = sanitize_model_name(tracker.model_name)

    GeneralConfigTracker.log_experiment_args = log_experiment_args
    save_readably(EvaluationTracker, plain)
    save = EvaluationTracker.save_results_aggregated

    @functools.wraps(save)
    def save_results_aggregated(tracker: Any, results: Any, samples: Any, datetime_str: str) -> None:
        results["config"] |= provenance()
        configs = _without_addresses(results["configs"])
        save(tracker, {**results, "configs": configs}, samples, datetime_str=datetime_str)
        if tracker.output_path:
            folder = Path(tracker.output_path) / tracker.general_config_tracker.model_name_sanitized
            require_read_back(lambda: read_results(folder / f"{datetime_str.replace(':', '-')}_results.json"))

    EvaluationTracker.save_results_aggregated = save_results_aggregated


def _without_addresses(value: Any) -> Any:
    """A task's configuration as it is the same in every run: lmms-eval writes where in memory a function was."""
    if isinstance(value, dict):
        return {key: _without_addresses(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_addresses(inner) for inner in value]
    text = str(value) if callable(value) else value
    return re.sub(r"<function (\S+) at 0x[0-9a-f]+>", r"<function \1>", text) if isinstance(text, str) else text


def result_name(model: str, model_args: str) -> str:
    """The name of a model's results: its own, and its adapter's where it has one (folders of one name are told apart)."""
    options = dict(part.split("=", 1) for part in model_args.split(",") if "=" in part)
    if not (adapter := options.get("adapter")):
        return model
    # A repository has the same name wherever the command is run.
    place = Path(adapter).absolute() if Path(adapter).is_dir() else Path(adapter)
    return f"{model}+{place.name}-{hashlib.sha256(str(place).encode()).hexdigest()[:6]}"
