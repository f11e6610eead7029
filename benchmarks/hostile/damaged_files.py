"""Every kind of file that this project reads, damaged in every way, through the commands that read it."""

import random
import shlex
import shutil
import sys
import time
from collections import Counter
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any, Final

from cases import CASES, Case, lay_out
from damage import damages
from forked import Ended, finish, run
from judge_stub import judging

from harness_ext.common.errors import exit_status

_LONGEST_LINE: Final = 4000


def damaged(folder: Path, draw: random.Random, values: int, part: float, most: int, only: str) -> dict[str, Any]:
    """What came of damaged copies of each file of each case.

    Args:
        folder: Made here, with the files.
        draw: Of the damages.
        values: Of each file, how many of its single values are replaced.
        part: Of all damages, the share that is tried.
        most: Of a case's damages, how many are tried at most.
        only: Only cases of this name, ``*`` for anything.
    """
    found: dict[str, Counter[str]] = {}
    failures: list[dict[str, str]] = []
    longest = 0
    with judging() as server:
        lay_out(folder, server.url)
        for case in (replace(each, reader=_served(each, server.url)) for each in CASES if fnmatch(each.name, only)):
            start, counts = time.monotonic(), Counter[str]()
            # Where nothing damaged is taken, the case of the seal tries what is whole.
            usual = finish(_once(case, folder)) if case.expects != "refused" else None
            for file in (sorted(folder.glob(pattern))[0] for pattern in case.files):
                whole = file.read_bytes()
                for each in damages(file.name, whole, draw, values):
                    if draw.random() > part * case.weight or each.content == whole or counts["damaged files"] == most:
                        continue
                    file.write_bytes(each.content)
                    ended = _once(case, folder)
                    read = "read as before" if usual and ended.out == usual.out else "read otherwise"
                    outcome = "refused" if ended.status else read
                    counts.update(("damaged files", outcome))
                    longest = max(longest, *map(len, ended.err.splitlines() or [""]))
                    never = each.reads == "never" and not case.expects and not case.foreign
                    problem = _problem(ended, file.relative_to(folder), never)
                    if problem := problem or _unexpected(case, outcome):
                        counts[problem.partition(":")[0]] += 1
                        failures.append({"case": case.name, "file": file.name, "damage": each.kind, "problem": problem})
                        print(f"{case.name}, {file.name}, {each.kind}: {problem}", file=sys.stderr, flush=True)
                file.write_bytes(whole)
            found[case.name] = counts
            print(f"{case.name}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    return {
        "kinds of files": len({each for case in CASES if case.name in found for each in case.files}),
        **dict.fromkeys(("traceback", "hang", "killed", "swallowed", "no file named", "long"), 0),
        **sum(found.values(), Counter()),
        "longest line": longest,
        "cases": found,
        "failures": failures,
    }


def _served(case: Case, url: str) -> Any:
    return case.reader.replace("{url}", url) if isinstance(case.reader, str) else case.reader


def _problem(ended: Ended, file: Path, unreadable: bool) -> str:
    said = ended.err + ended.out
    named = file.name in said or any(str(above) in said for above in file.parents if str(above) not in (".", "runs"))
    if not ended.problem and max(map(len, ended.err.splitlines()), default=0) > _LONGEST_LINE:
        return f"long: {ended.err[:200]}"
    if ended.problem or named:
        return ended.problem
    if ended.status:
        return f"no file named: {ended.err[-200:]}"
    return "swallowed: nothing can read it, and the command ended with status 0" if unreadable else ""


def _unexpected(case: Case, outcome: str) -> str:
    if (case.expects == "refused" and outcome != "refused") or (case.expects == "same" and outcome == "read otherwise"):
        return f"swallowed: {outcome}, expected {case.expects}"
    return ""


def _once(case: Case, folder: Path) -> Ended:
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    if case.copied:
        shutil.copytree(folder / case.copied, folder / "out" / case.copied)
    for written in folder.glob("runs/rated/*/*/*people-clara.jsonl"):
        written.unlink()
    environment = {"UNSAFECONCEPTS_ANSWERS": "none", "COLUMNS": "200", **case.environment}
    if isinstance(case.reader, str):
        return run(shlex.split(case.reader), folder, environment)
    return run(partial(exit_status, case.name, case.reader), folder, environment)
