"""What `make align-demo` and its like would run: recipes, settings and methods that there are, as make itself prints them."""

import os
import re
import shutil
import subprocess
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

from align.recipe import packaged_recipes
from align.settings import read_settings
from harness_ext.models.defences.registry import open_defences

REPOSITORY = Path(__file__).parents[2]
TRAINING = (
    "align-demo", "align-tuning", "align-tuning-dpo", "align-tuning-ways", "align-results", "align-ablations",
    "align-watched", "ways",
)  # fmt: skip
# What every run of a recipe is given, changed or not.
GIVEN = ["--config", "--output_dir", "--glyphworld_seed", "--seed", "--renders", "--first_render"]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Even `make -n` runs a line that calls make: what else stands on such a line finds a program that does nothing."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "unsafeconcepts").symlink_to(str(shutil.which("true")))
    return folder


@cache
def printed(programs: Path, *arguments: str) -> str:
    """What make prints, each command on one line."""
    made = subprocess.run(
        ["make", "-n", f"BIN={programs}", *arguments],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.replace("\\\n", " ")


def commands(programs: Path, target: str) -> list[list[str]]:
    """The words of every `align …`, as a shell reads them."""
    told = re.findall(rf"{re.escape(str(programs))}/align (.*)", printed(programs, target))
    shell = ["sh", "-c", "\n".join(f"printf '%s\\0' {each}; echo" for each in told)]
    read = subprocess.run(shell, capture_output=True, text=True, check=True).stdout
    return [line.split("\0")[:-1] for line in read.splitlines()]


def trained(programs: Path, target: str) -> list[list[str]]:
    """Those that train: the method and its options."""
    return [words for words in commands(programs, target) if words[0] not in ("table", "ways")]


def listed(words: list[str], option: str) -> set[str]:
    """What stands after an option that takes several values."""
    return set(takewhile(lambda word: not word.startswith("--"), words[words.index(option) + 1 :]))


def names(programs: Path, *targets: str) -> dict[str, list[str]]:
    """Of every run, by its name, what it changes in its recipe."""
    found = {}
    for target in targets:
        for words in trained(programs, target):
            name = Path(words[words.index("--output_dir") + 1]).name
            given = {at + more for option in GIVEN for at in [words.index(option)] for more in (0, 1)}
            found[name] = [word for at, word in enumerate(words[1:], 1) if at not in given]
    return found


def changes(programs: Path) -> set[str]:
    """The names that a change is defined for."""
    return set(re.findall(r"^CHANGED_(\S+) :?=", printed(programs, "-p", "help"), re.MULTILINE))


def evaluated(programs: Path, *targets: str) -> set[str]:
    """The names that an evaluation is of."""
    return {name for target in targets for name in re.findall(r"/([\w.-]+)/eval$", printed(programs, target), re.M)}


@pytest.mark.parametrize("target", TRAINING)
def test_what_is_trained_is_a_recipe_with_settings_that_there_are(programs: Path, target: str) -> None:
    runs = trained(programs, target)
    assert len(runs) >= 2
    for method, *options in runs:
        assert options[options.index("--config") + 1] in packaged_recipes()
        read_settings(method, options)


def test_a_name_with_a_dash_is_a_changed_recipe_and_every_change_is_run(programs: Path) -> None:
    runs = names(programs, *(target for target in TRAINING if target != "align-watched"))
    changed = {name for name, words in runs.items() if words}
    assert {name for name in runs if "-" in name} <= changed
    assert changed == changes(programs)


@pytest.mark.parametrize("target", ["align-demo", "align-results", "align-ablations"])
def test_a_table_is_of_what_was_evaluated(programs: Path, target: str) -> None:
    tables = [words for words in commands(programs, target) if words[0] == "table"]
    assert set().union(*(listed(table, "--methods") for table in tables)) == evaluated(programs, target)
    for table in tables:
        if "--against" in table:
            assert listed(table, "--against") <= listed(table, "--methods")


def test_what_a_change_is_worth_is_told_beside_the_method_that_it_changes(programs: Path) -> None:
    (table,) = (words for words in commands(programs, "align-ablations") if words[0] == "table")
    changed = {name for name in listed(table, "--methods") if "-" in name}
    assert listed(table, "--against") == {name.partition("-")[0] for name in changed} == {"ppo", "sft"}


def test_the_leaderboard_is_of_the_recipes_that_were_evaluated(programs: Path) -> None:
    told = printed(programs, "leaderboard")
    methods = max(re.findall(r'methods="([\w ]+)"', told), key=len)
    named = re.findall(r"--add \S+/seed\$seed/(\w+) ", told)
    recipes = {name for name in evaluated(programs, "align-results") if "-" not in name}
    assert {*methods.split(), *named} == recipes


def test_the_ways_are_what_is_asked_and_trained(programs: Path) -> None:
    """Every way of the table is evaluated, by a defence that there is or after a training; none is left out."""
    (table,) = (words for words in commands(programs, "ways") if words[0] == "ways")
    of_results = {"original", "sft", "dpo", "ppo"}
    trained_here = {Path(words[words.index("--output_dir") + 1]).name for words in trained(programs, "ways")}
    told = re.findall(r'defence=([^,"]+),.*?--output_path \S+/([\w-]+)/eval', printed(programs, "ways"))
    assert {name for _, name in told} == listed(table, "--methods") - of_results - trained_here
    for defence, name in told:
        found = open_defences(defence)
        assert found and name.startswith(next(iter(found.named))[0])
