"""A benchmark's folder, read as a whole, with everything that is wrong in it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import platformdirs

from harness_ext.own.fit import check_concepts, check_contexts, check_listing, check_questions
from harness_ext.own.form import FILE, Form
from harness_ext.own.listing import Listing, read_listing
from harness_ext.own.problems import Problems, outside, read_text
from harness_ext.own.written import Written, read_form

FOLDERS_VARIABLE: Final = "UNSAFECONCEPTS_BENCHMARKS"
# Set by --benchmark, so that every process that a run starts knows it too.
OPTION_VARIABLE: Final = "UNSAFECONCEPTS_BENCHMARKS_OPTION"


@dataclass(frozen=True)
class Contents:
    """What a folder holds.

    Attributes:
        folder: The folder, an absolute path.
        written: ``benchmark.yaml`` as it was written.
        form: What it says.
        wrong: The keys of which it says nothing that could be read.
        policy: The text of the policy; empty where there is none.
        listing: The list of its images; ``None`` where they are on the hub, or it cannot be read.
        problems: What is wrong with all this.
    """

    folder: Path
    written: Written
    form: Form
    wrong: frozenset[str]
    policy: str
    listing: Listing | None
    problems: Problems


def read_contents(folder: Path) -> Contents:
    """Read ``benchmark.yaml``, the policy, and the list of images; no image, and nothing outside the folder."""
    folder = Path(os.path.abspath(folder.expanduser()))
    problems = Problems(folder)
    file = folder / FILE
    text = read_text(file, problems) if not folder.exists() or _within(folder, FILE, file, 0, problems) else None
    written = Written(file, text or "", problems) if text is not None else Written(file, "{}", problems)
    if text is None:
        written.data = None
    form, wrong = read_form(written, problems)
    check_concepts(form, written, problems)
    check_questions(form, written, problems)
    if "concepts" not in wrong:
        check_contexts(form, written, problems)
    policy = _policy(folder, form, written, problems)
    listing = None
    known = text is not None and written.data is not None and "images" not in wrong
    if known and form.images.path and _within(folder, form.images.path, file, written.line("images"), problems):
        listing = read_listing(folder, form.images, problems)
    if listing is not None:
        check_listing(listing, None if "concepts" in wrong else form, written, problems)
    return Contents(folder, written, form, frozenset(wrong), policy, listing, problems)


def _within(folder: Path, path: str, file: Path, line: int, problems: Problems) -> bool:
    if reason := outside(folder, path):
        problems.add(file, line, reason)
    return not reason


def _policy(folder: Path, form: Form, written: Written, problems: Problems) -> str:
    line = written.line("policy")
    if form.policy is None or not _within(folder, form.policy, written.file, line, problems):
        return ""
    text = read_text(folder / form.policy, problems)
    if text is not None and not text.strip():
        problems.add(folder / form.policy, 0, "is empty; leave policy: out where there is none")
    return (text or "").strip()


def user_folders() -> list[Path]:
    """The folders of the user's benchmarks, each once: of the configuration folder, the environment, and ``--benchmark``.

    Those that the environment or the option names need not be there; reading them says what is wrong.
    """
    configured = Path(platformdirs.user_config_dir("unsafeconcepts")) / "benchmarks"
    found = sorted(file.parent for file in configured.glob(f"*/{FILE}"))
    # By the option, a folder's name may hold what separates folders in the other.
    for variable, separator in ((FOLDERS_VARIABLE, os.pathsep), (OPTION_VARIABLE, "\n")):
        found += [Path(name).expanduser() for name in os.environ.get(variable, "").split(separator) if name]
    return list(dict.fromkeys(Path(os.path.abspath(folder)) for folder in found))
