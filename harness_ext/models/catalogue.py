"""The catalogue: model names, in YAML, and what they stand for.

The harness reads it at every start, whichever model is run, so it is parsed by libyaml where PyYAML has it, and once a
process. Where several files have the same name, the last file counts: the packaged catalogue, ``models.yaml`` in the user's
configuration folder, the file that ``UNSAFECONCEPTS_MODELS`` names, the file that ``--models-file`` names.
"""

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import platformdirs
import yaml

from harness_ext.common.errors import UserError
from harness_ext.models.entries import Entry, Fault, Loader, read_entry

CATALOGUE_FILE: Final = Path(__file__).with_name("catalogue.yaml")
USER_FILE_VARIABLE: Final = "UNSAFECONCEPTS_MODELS"
# Set by --models-file, so that every process that a run starts knows it too.
OPTION_FILE_VARIABLE: Final = "UNSAFECONCEPTS_MODELS_OPTION"
_FAST: Final = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


def read_catalogue(path: Path, source: str = "") -> dict[str, Entry]:
    """The names of one file, said to be from ``source``. Raises ``UserError`` that names file, line and allowed keys."""
    try:
        return dict(_parsed(path, path.read_text(encoding="utf-8"), source))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the model catalogue {path}: {error}") from error


@functools.cache
def _parsed(path: Path, text: str, source: str) -> Mapping[str, Entry]:
    try:
        return _entries(_FAST(text), path, source)
    except yaml.YAMLError:
        # PyYAML's own parser says the same, and quotes the line at fault.
        return _entries(yaml.SafeLoader(text), path, source)


def _entries(loader: Loader, path: Path, source: str) -> Mapping[str, Entry]:
    node = loader.get_single_node()
    if not isinstance(node, yaml.MappingNode):
        raise UserError(f"{path}: expected a mapping from model names to entries, NAME: {{weights: …}}")
    catalogue: dict[str, Entry] = {}
    for key, value in node.value:
        name, line = loader.construct_object(key, deep=True), key.start_mark.line + 1
        try:
            _check_name(name, line, catalogue)
            catalogue[name] = read_entry(loader, value, line, source)
        except Fault as fault:
            raise UserError(f"{path}, line {fault.line}: model {name!r}: {fault}") from fault
    return catalogue


def _check_name(name: object, line: int, catalogue: dict[str, Entry]) -> None:
    if not isinstance(name, str) or not name or any(sign in name for sign in ", =/\\"):
        raise Fault(line, "a name is text without spaces, commas, slashes or equals signs")
    if name in catalogue:
        raise Fault(line, f"{name!r} is there twice; keep one of the two")


def configuration_file() -> Path:
    """The user's own catalogue, read where it exists."""
    return Path(platformdirs.user_config_dir("unsafeconcepts")) / "models.yaml"


def user_files() -> list[Path]:
    """The user's files, the one that wins last; all but the one of the configuration folder must exist."""
    files = [configuration_file()] if configuration_file().is_file() else []
    named = (os.environ.get(variable) for variable in (USER_FILE_VARIABLE, OPTION_FILE_VARIABLE))
    return files + [Path(name).expanduser() for name in named if name]


def load_catalogue() -> dict[str, Entry]:
    """The packaged names and the user's own, which win. Raises ``UserError`` for a wrong file."""
    catalogue = read_catalogue(CATALOGUE_FILE)
    for path in user_files():
        catalogue.update(read_catalogue(path, str(path)))
    return catalogue


def model_attribute(name: str) -> str:
    """The attribute of ``harness_ext.models.names`` that stands for a name; a dot would be read as a submodule."""
    return name.replace(".", "·")


def describe_names() -> str:
    """The names, in groups, with memory and notes, one a line, and how to add one."""
    catalogue = load_catalogue()
    lines = ["Models by name, with the GiB of their weights:"]
    width = max(map(len, catalogue))
    for title, names in _groups(catalogue).items():
        lines += [f"  {title}", *(_line(name, catalogue[name], width) for name in names)]
    return "\n".join(
        [
            *lines,
            "To add a name: write 'NAME: {weights: REPOSITORY_OR_FOLDER}' into a YAML file and give it as --models-file FILE",
            f"or {USER_FILE_VARIABLE}=FILE, or keep it as {configuration_file()}.",
        ]
    )


def _groups(catalogue: dict[str, Entry]) -> dict[str, list[str]]:
    begin, paper, open_families = "To begin with", "The paper's eight", "Open families"
    groups: dict[str, list[str]] = {begin: [], paper: [], open_families: []}
    for name, entry in catalogue.items():
        if entry.source:
            groups.setdefault(f"Yours ({entry.source})", []).append(name)
        elif entry.paper:
            groups[paper].append(name)
        else:
            groups[begin if entry.needs.memory_gib is None else open_families].append(name)
    return {title: names for title, names in groups.items() if names}


def _line(name: str, entry: Entry, width: int) -> str:
    memory = "" if entry.needs.memory_gib is None else f"{entry.needs.memory_gib:.1f}"
    marks = {"gated": entry.needs.access, "runs code of its own": entry.needs.remote_code}
    words = [entry.note or entry.weights, *(mark for mark, there in marks.items() if there)]
    return f"    {name:<{width}}  {memory:>5}  {'; '.join(words)}"
