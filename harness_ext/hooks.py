"""Every patch of lmms-eval and lm-eval, in one place. ``tests/harness_ext/test_hooks.py`` holds both harnesses to this list.

lmms-eval, by the plugin, whichever command starts it:

- ``TaskManager.initialize_tasks``: indexes our task folder beside lmms-eval's own, all of it by libyaml.
- ``TaskManager.match_tasks``: checks names and access to data before a model is loaded.
- ``AVAILABLE_CHAT_TEMPLATE_MODELS``: lists our names in ``lmms_eval models``, which does not read the registry.
- ``GeneralConfigTracker.log_experiment_args``: gives each name of ours and each adapter its own result folder.
- ``EvaluationTracker.save_results_aggregated``: adds provenance, keeps addresses in memory out, takes a name that no other
  evaluation has, reads the file back.
- loguru's ``logger.configure(patcher=...)``: hides the hub token, which lmms-eval logs among its tracker's arguments, and
  shows what would command a terminal as its escape.

lmms-eval, by our command ``lmms_eval`` alone:

- ``__main__.cli_evaluate_single``: checks each evaluation first, and remembers its error, which lmms-eval prints and forgets.

lm-eval, by ``unsafeconcepts lm_eval``:

- ``model_registry``: knows the names of the catalogue; lm-eval has no entry points for them.

Both, because both catch an error where they save, log a line, and end with status 0:

- ``EvaluationTracker.save_results_aggregated`` and ``save_results_samples``: escape what UTF-8 cannot carry.
- a handler on their logs (:class:`Swallowed`): what was caught becomes the exit status of our commands.

:func:`require_imports` patches nothing: it imports early what a harness imports late.

The plugin imports this module at every start of lmms-eval, so nothing heavy is imported before it is needed.
"""

import contextlib
import functools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

from harness_ext.common.errors import UserError, tell
from harness_ext.common.failures import failure_reason, writable
from harness_ext.common.output import guard_log, say
from harness_ext.models.catalogue import load_catalogue

Function: TypeAlias = Callable[..., Any]
# Where lmms-eval 0.7.3 catches an error that costs a result which was asked for, and continues: in saving, pushing to the
# hub, comparing with --baseline, logging to Weights and Biases and SwanLab, and where HoliSafe's judge failed, whose place
# rules take; and where we look at what was saved.
LMMS_EVAL_SWALLOWS: Final = (
    "lmms_eval.loggers.evaluation_tracker",
    "lmms_eval.evaluator",
    "lmms_eval.__main__",
    "lmms_eval.tasks.holisafe.utils",
    __name__,
)
LM_EVAL_SWALLOWS: Final = ("lm_eval.loggers.evaluation_tracker", "lm_eval._cli.run")
# What lmms-eval 0.7.3 imports when a model has been loaded, or when it prints its table. Quick to import, before and after
# lmms-eval itself is.
LATE: Final = ("filelock._api", "pytablewriter")
LATE_AFTER_IT: Final = (
    "datasets.utils._filelock",
    "lmms_eval.models.model_utils.gen_metrics",
    "lmms_eval.filters.transformation",
)
# How lmms-eval 0.7.3 names the files of an evaluation.
_MOMENT: Final = "%Y%m%d_%H%M%S"
_LANGUAGE_SIDES: Final = "harness_ext.models.language_names"


def _replace(owner: Any, name: str, make: Callable[[Function], Function]) -> None:
    """Put ``make(original)`` in the place of the function ``owner.name``."""
    original = getattr(owner, name)
    setattr(owner, name, functools.wraps(original)(make(original)))


def _first_time(owner: Any) -> bool:
    """Whether ``owner`` is patched for the first time in this process."""
    first = not getattr(owner, "_unsafeconcepts", False)
    owner._unsafeconcepts = True
    return first


# Whether a fault of one of the user's benchmarks ends the command. Else it is left out: an exception would take the harness's
# own tasks away too.
_faults_end_it = False


def let_faults_end_it() -> None:
    """Have a fault of one of the user's benchmarks end the command, as befits the project's own."""
    global _faults_end_it
    _faults_end_it = True


def list_models(names: Iterable[str]) -> None:
    """Let ``lmms_eval models`` list ``names``. Called while ``lmms_eval.models`` is being imported."""
    sys.modules["lmms_eval.models"].AVAILABLE_CHAT_TEMPLATE_MODELS.update({name: name for name in names})


def register_tasks() -> None:
    """Make every ``TaskManager`` with default tasks index our folder too, and check sources as tasks are chosen."""
    from lmms_eval.tasks import TaskManager

    if not _first_time(TaskManager):
        return
    guard_log()
    _replace(TaskManager, "initialize_tasks", _with_our_folder)
    _replace(TaskManager, "match_tasks", _with_source_check)


def _with_our_folder(initialize: Function) -> Function:
    def initialize_tasks(manager: Any, include_path: Any = None, include_defaults: bool = True) -> Any:
        # Not earlier: lmms-eval's trackers take long to import, and no command without tasks needs them.
        _mend_results()
        if include_defaults:
            given = [include_path] if isinstance(include_path, str) else list(include_path or [])
            if ours := _task_files():
                include_path = [*given, str(ours)]
        with _parsed_by_libyaml():
            index = initialize(manager, include_path=include_path, include_defaults=include_defaults)
        if include_defaults and ours:
            return _without_taken_names(index, ours)
        return index

    return initialize_tasks


def _task_files() -> Path | None:
    """The folder of our task files; ``None``, with a message, where it cannot be made.

    An exception here would take the harness's own tasks away too.
    """
    from harness_ext.probes.files import tasks_folder
    from harness_ext.registry import benchmarks, leave_out_faulty

    try:
        benchmarks()
    except UserError as error:
        if _faults_end_it:
            raise
        say(f"unsafeconcepts: {error}\nWhat is at fault is left out.", file=sys.stderr)
        leave_out_faulty()
    try:
        return tasks_folder("lmms_eval")
    except UserError as error:
        say(f"unsafeconcepts: {error}\nnone of this project's tasks are known", file=sys.stderr)
        return None


def _without_taken_names(index: dict[str, Any], ours: Path) -> dict[str, Any]:
    """``index`` without the benchmarks one of whose tasks or groups has a name that is taken, which would be asked instead.

    By a task, group or tag of lmms-eval's or of ``--include_path``. Raises ``UserError`` where faults end the command, or a
    packaged benchmark has the name.
    """
    from harness_ext.registry import PACKAGED, leave_out_faulty, owner_of

    taken: dict[str, str] = {}
    for file in ours.iterdir():
        found = index[file.stem]
        if found["yaml_path"] != str(file):
            where = f"{found['type']} {found['yaml_path']}" if found["yaml_path"] != -1 else "tag"
            problem = (
                f"lmms-eval or --include_path has {file.stem!r} of its own ({where}): give the benchmark another name"
            )
            owner = owner_of(file.stem)
            if _faults_end_it or owner in {each.name for each in PACKAGED}:
                raise UserError(problem)
            taken.setdefault(owner, problem)
    for name, problem in taken.items():
        say(f"unsafeconcepts: {problem}\nThe benchmark {name} is left out.", file=sys.stderr)
    if not taken:
        return index
    gone = {str(file) for file in ours.iterdir() if owner_of(file.stem) in taken}
    leave_out_faulty(*taken)
    return {name: each for name, each in index.items() if each["yaml_path"] not in gone}


def names_of_lmms_eval() -> set[str]:
    """The tasks, groups and tags that lmms-eval has of its own."""
    from lmms_eval.tasks import TaskManager
    from loguru import logger

    # It says at length what it thinks of its own files.
    logger.disable("lmms_eval")
    with _parsed_by_libyaml():
        return set(TaskManager().all_tasks)


@contextlib.contextmanager
def _parsed_by_libyaml() -> Iterator[None]:
    """lmms-eval parses its task files by ``yaml.full_load`` at every start: 2.6 s of processor time, by libyaml 0.3 s."""
    import yaml

    def full_load(stream: Any) -> Any:
        # lmms-eval tells FullLoader alone what `!function` is.
        loader.yaml_constructors = yaml.FullLoader.yaml_constructors
        return yaml.load(stream, loader)

    loader: Any = type("Loader", (getattr(yaml, "CFullLoader", yaml.FullLoader),), {})
    original, yaml.full_load = yaml.full_load, full_load
    try:
        yield
    finally:
        yaml.full_load = original


def _with_source_check(match: Function) -> Function:
    def match_tasks(manager: Any, task_list: Iterable[str]) -> Any:
        asked = list(task_list)
        names = match(manager, asked)
        from harness_ext.registry import benchmarks

        sources = tuple(benchmarks())
        for name in asked:
            if name.startswith(sources) and "*" not in name and name not in manager.all_tasks:
                import difflib

                near = difflib.get_close_matches(name, manager.all_tasks, n=3)
                raise UserError(
                    f"no task {name!r}; did you mean {' or '.join(near) or 'one of `lmms_eval tasks list`'}?"
                )
        from harness_ext.probes.preflight import require_sources

        require_sources(names)
        return names

    return match_tasks


def _mend_results() -> None:
    """Patch what lmms-eval saves: the folder's name, the results and the sample rows."""
    from lmms_eval.loggers.evaluation_tracker import EvaluationTracker, GeneralConfigTracker

    from harness_ext.probes.metrics import plain

    if _first_time(GeneralConfigTracker):
        _replace(GeneralConfigTracker, "log_experiment_args", _with_result_name)
        save_readably(EvaluationTracker, plain)
        _replace(EvaluationTracker, "save_results_aggregated", _with_provenance)


def _with_result_name(log_arguments: Function) -> Function:
    """lmms-eval names the folder after ``pretrained=``, so two models named by the catalogue would write into one."""
    from lmms_eval.utils import sanitize_model_name

    def log_experiment_args(tracker: Any, *args: Any, **kwargs: Any) -> None:
        log_arguments(tracker, *args, **kwargs)
        arguments = str(kwargs.get("model_args") or "")
        told_apart = any(f"{option}=" in arguments for option in ("adapter", "defence"))
        if tracker.model_source in load_catalogue() and (not tracker.model_name or told_apart):
            tracker.model_name = result_name(tracker.model_name or tracker.model_source, arguments)
            tracker.model_name_sanitized = sanitize_model_name(tracker.model_name)

    return log_experiment_args


def result_name(model: str, model_args: str) -> str:
    """The name of a model's results: its own, its adapter's (folders of one name are told apart), and its defence's."""
    from harness_ext.common.files import sha256

    options = dict(part.split("=", 1) for part in model_args.split(",") if "=" in part)
    if adapter := options.get("adapter"):
        # A repository has the same name wherever the command is run.
        place = Path(adapter).absolute() if Path(adapter).is_dir() else Path(adapter)
        model = f"{model}+{place.name}-{sha256(str(place))[:6]}"
    if defence := options.get("defence"):
        names = [each.partition(":")[0] for each in defence.split("+")]
        # Options may be texts.
        model = "+".join([model, *names]) + (f"-{sha256(defence)[:6]}" if ":" in defence else "")
    return model


def _with_provenance(save: Function) -> Function:
    from loguru import logger

    from harness_ext.common.files import alone_with, each_leaf
    from harness_ext.common.provenance import provenance, without_address
    from harness_ext.runs.evaluations import read_results

    def same_in_every_run(value: Any) -> Any:
        return without_address(str(value)) if callable(value) or isinstance(value, str) else value

    def save_results_aggregated(tracker: Any, results: Any, samples: Any, datetime_str: str) -> None:
        results["config"] |= provenance()
        _tell_benchmarks(results)
        whole = {**results, "configs": each_leaf(results["configs"], same_in_every_run)}
        if not tracker.output_path:
            save(tracker, whole, samples, datetime_str=datetime_str)
            return
        folder = Path(tracker.output_path) / tracker.general_config_tracker.model_name_sanitized
        # Python closes a file that nobody closed, and only prints what goes wrong then: a full disk, for example.
        try:
            # Until the results are there, by which the next one knows that the name is taken.
            with alone_with(folder / "results"):
                name = unused_name(folder, datetime_str)
                save(tracker, whole, samples, datetime_str=name)
            read_results(folder / f"{name}_results.json")
        except UserError as error:
            logger.error(str(error))  # a :class:`Swallowed` hears it

    return save_results_aggregated


def unused_name(folder: Path, name: str) -> str:
    """``name``, a moment to the second as lmms-eval writes it, or the next one that no file of ``folder`` begins with.

    lmms-eval would write over the results of an evaluation that was saved in the same second, and add to its samples.
    """
    name = name.replace(":", "-")
    while any(each.is_file() for each in folder.glob(f"{name}_*")):
        name = (datetime.strptime(name, _MOMENT) + timedelta(seconds=1)).strftime(_MOMENT)
    return name


def _tell_benchmarks(results: Any) -> None:
    """Write into ``results`` what they must say of benchmarks that are not packaged, to be read where these are not."""
    from harness_ext.registry import described
    from harness_ext.runs.evaluations import BENCHMARKS

    if told := described(results.get("configs", {})):
        results["config"][BENCHMARKS] = told


def save_readably(tracker: Any, plain: Callable[[Any], Any] = lambda value: value) -> None:
    """Let a harness's class ``tracker`` save what no UTF-8 can carry as an escape, and a row's value as ``plain(value)``."""
    from harness_ext.common.files import each_leaf

    def escaped(value: Any) -> Any:
        return each_leaf(value, lambda leaf: writable(leaf) if isinstance(leaf, str) else leaf)

    def aggregated(save: Function) -> Function:
        def save_results_aggregated(self: Any, results: Any, samples: Any = None, **kwargs: Any) -> None:
            save(self, results=escaped(results), samples=samples, **kwargs)

        return save_results_aggregated

    def rows(save: Function) -> Function:
        def save_results_samples(self: Any, task_name: str, samples: Any) -> None:
            for sample in samples:  # in place, as the harness itself changes them
                sample.update({key: escaped(plain(value)) for key, value in sample.items()})
            save(self, task_name=task_name, samples=samples)

        return save_results_samples

    _replace(tracker, "save_results_aggregated", aggregated)
    _replace(tracker, "save_results_samples", rows)


class Swallowed(logging.Handler):
    """Remembers each error that one of ``modules`` caught: what a module logs while it handles an error is about that."""

    def __init__(self, *modules: str) -> None:
        super().__init__()
        self.errors: list[
            tuple[BaseException, str]
        ] = []  # with what was logged, in the order in which they were caught
        self.modules = modules

    def emit(self, record: logging.LogRecord) -> None:
        """See :class:`logging.Handler`; the record's name is that of the module."""
        error = sys.exception()
        if error is None or record.name not in self.modules or any(error is known for known, _ in self.errors):
            return
        said = record.getMessage()
        if isinstance(error, Exception) and str(error) not in said:
            said = f"{said}: {failure_reason(error)}"
        self.errors.append((error, said))


def watch_lmms_eval(swallowed: Swallowed, failures: list[Exception], check: Callable[[Any], None]) -> None:
    """Check each evaluation before it begins; keep its error in ``failures``, after which lmms-eval begins the next one.

    ``check`` is given the parsed arguments; its ``UserError`` is printed as one line. ``swallowed`` hears lmms-eval's log.
    """
    from lmms_eval import __main__ as upstream
    from loguru import logger

    @functools.cache
    def listen() -> int:
        return logger.add(
            swallowed, level=0, format="{message}", filter=lambda record: record["name"] in swallowed.modules
        )

    def watched(evaluate: Function) -> Function:
        def cli_evaluate_single(args: Any = None) -> Any:
            # Not earlier: lmms-eval removes every handler first. At any level, whatever --verbosity is.
            listen()
            try:
                check(args)
                return evaluate(args)
            except UserError as error:
                tell(f"lmms_eval: {error}")
                failures.append(error)
                return None, None
            except Exception as error:
                failures.append(error)
                raise

        return cli_evaluate_single

    _replace(upstream, "cli_evaluate_single", watched)


def watch_lm_eval(swallowed: Swallowed) -> None:
    """Save readably, with what is to be said of benchmarks, and let ``swallowed`` hear what lm-eval logs of an error.

    It hears what is logged while an error is handled, at any level of logging.
    """
    from lm_eval.loggers import EvaluationTracker

    def told(save: Function) -> Function:
        def save_results_aggregated(tracker: Any, results: Any, samples: Any = None) -> None:
            _tell_benchmarks(results)
            save(tracker, results=results, samples=samples)

        return save_results_aggregated

    save_readably(EvaluationTracker)
    _replace(EvaluationTracker, "save_results_aggregated", told)
    for name in swallowed.modules:
        module = logging.getLogger(name)
        module.addHandler(swallowed)
        module.setLevel(logging.INFO)


def register_language_sides() -> None:
    """Make lm-eval know every name of the catalogue.

    Raises ``UserError`` for one with a language side that lm-eval uses for a model of its own; one without leaves it to
    lm-eval, as ``vllm-vlm``, which both harnesses have.
    """
    from lm_eval.api.registry import model_registry

    # Importing it fills the registry with lm-eval's own names.
    from lm_eval.models import MODEL_MAPPING

    # Here, for it brings pydantic, which lmms-eval's start has no need of.
    from harness_ext.models.entries import LANGUAGE_BACKEND

    for name, entry in load_catalogue().items():
        if name in MODEL_MAPPING:
            if entry.backend != LANGUAGE_BACKEND:
                continue
            raise UserError(
                f"{name!r} is the name of a model of lm-eval's own; give the entry of the catalogue another"
            )
        # Known already where this process has started lm-eval before.
        if name not in model_registry:
            model_registry.register(name, target=f"{_LANGUAGE_SIDES}:{name}")


def require_imports(harness: str, *modules: str) -> None:
    """Import ``modules``, which ``harness`` (a distribution's name) needs; raises ``UserError`` for one that there is not.

    A harness imports some when a model has been loaded; here they are asked for in the first seconds.
    """
    import importlib
    from importlib import metadata

    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            package = (error.name or module).partition(".")[0]
            distribution = metadata.packages_distributions().get(package, [package])[0]
            try:
                found = f"{distribution} {metadata.version(distribution)}"
            except metadata.PackageNotFoundError:
                found = f"{distribution}, which is not installed"
            raise UserError(
                f"{harness} {metadata.version(harness)} cannot run with {found}: {error}.\n"
                "Install the versions that this project is tested with: pip install . -c constraints.txt"
            ) from error
