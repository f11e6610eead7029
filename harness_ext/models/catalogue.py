"""The catalogue: model names, in YAML, and what they stand for.

lmms-eval asks for the names at every start, so they are read by libyaml where PyYAML has it, and their entries only by
:func:`load_catalogue`. The last of these files that has a name counts: the packaged catalogue, ``models.yaml`` in the user's
configuration folder, the file that ``UNSAFECONCEPTS_MODELS`` names, the file that ``--models-file`` names.
"""

import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import platformdirs
import yaml

from harness_ext.common.errors import UserError, shown
from harness_ext.common.reading import read_text
from harness_ext.common.reading_yaml import parse_yaml, yaml_value

if TYPE_CHECKING:
    from harness_ext.models.entries import Entry

CATALOGUE_FILE: Final = Path(__file__).with_name("catalogue.yaml")
USER_FILE_VARIABLE: Final = "UNSAFECONCEPTS_MODELS"
# Set by --models-file, so that every process that a run starts knows it too.
OPTION_FILE_VARIABLE: Final = "UNSAFECONCEPTS_MODELS_OPTION"


def read_names(path: Path) -> list[str]:
    """The names in one file; their entries may be wrong. Raises ``UserError`` that names file and line."""
    return [name for name, _, _ in _named_nodes(path, read_text(path))]


def read_catalogue(path: Path, source: str = "") -> dict[str, "Entry"]:
    """The entries of one file, said to be from ``source``. Raises ``UserError`` that names file, line and allowed keys."""
    return dict(_entries(path, read_text(path), source))


@functools.cache
def _entries(path: Path, text: str, source: str) -> Mapping[str, "Entry"]:
    from harness_ext.models.entries import read_entry

    return {
        name: read_entry(path, node, line, source, functools.partial(_fault, path, name))
        for name, line, node in _named_nodes(path, text)
    }


def _fault(path: Path, name: object, line: int, problem: str) -> UserError:
    return UserError(f"{path}, line {line}: model {shown(name)}: {problem}")


def _named_nodes(path: Path, text: str) -> Iterator[tuple[str, int, yaml.Node]]:
    """The names of a file, each with its line and the node of its entry."""
    root = parse_yaml(text, path)
    if not isinstance(root, yaml.MappingNode):
        raise UserError(f"{path}: expected a mapping from model names to entries, NAME: {{weights: …}}")
    seen = set()
    for key, node in root.value:
        name, line = yaml_value(key, path), key.start_mark.line + 1
        if not isinstance(name, str) or not name or any(sign in name for sign in ", =/\\"):
            raise _fault(path, name, line, "a name is text without spaces, commas, slashes or equals signs")
        if name in seen:
            raise _fault(path, name, line, f"{shown(name)} is there twice; keep one of the two")
        seen.add(name)
        yield name, line, node


def configuration_file() -> Path:
    """The user's own catalogue, read where it exists."""
    return Path(platformdirs.user_config_dir("unsafeconcepts")) / "models.yaml"


def user_files() -> list[Path]:
    """The user's files, the one that wins last; all but the one of the configuration folder must exist."""
    files = [configuration_file()] if configuration_file().is_file() else []
    named = (os.environ.get(variable) for variable in (USER_FILE_VARIABLE, OPTION_FILE_VARIABLE))
    return files + [Path(name).expanduser() for name in named if name]


def load_names() -> list[str]:
    """The packaged names and the user's own. Raises ``UserError`` for a file that cannot be read."""
    return list(dict.fromkeys(name for path in [CATALOGUE_FILE, *user_files()] for name in read_names(path)))


def load_catalogue() -> dict[str, "Entry"]:
    """The packaged entries and the user's own, which win. Raises ``UserError`` for a wrong file."""
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
    groups: dict[str, list[str]] = {"To begin with": [], "The paper's eight": [], "Open families": [], "Guards": []}
    width = max(map(len, catalogue))
    for name, entry in catalogue.items():
        groups.setdefault(_group(entry), []).append(_line(name, entry, width))
    return "\n".join(
        [
            "Models by name, with the GiB of their weights:",
            *(line for title, lines in groups.items() if lines for line in (f"  {title}", *lines)),
            "To add a name: write 'NAME: {weights: REPOSITORY_OR_FOLDER}' into a YAML file and give it as --models-file FILE",
            f"or {USER_FILE_VARIABLE}=FILE, or keep it as {configuration_file()}.",
        ]
    )


def _group(entry: "Entry") -> str:
    if entry.source:
        return f"Yours ({entry.source})"
    if entry.guard:
        return "Guards"
    if entry.paper:
        return "The paper's eight"
    return "To begin with" if entry.needs.memory_gib is None else "Open families"


def _line(name: str, entry: "Entry", width: int) -> str:
    memory = "" if entry.needs.memory_gib is None else f"{entry.needs.memory_gib:.1f}"
    marks = {"gated": entry.needs.access, "runs code of its own": entry.needs.remote_code}
    words = [entry.note or entry.weights, *(mark for mark, there in marks.items() if there)]
    return f"    {name:<{width}}  {memory:>5}  {'; '.join(words)}"
