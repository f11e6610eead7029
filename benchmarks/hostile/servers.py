"""Servers that misbehave, through the commands that ask one: an evaluation of a model behind an API, and a judging model.

A part of the requests gets the misbehaviour. Each of these has to end as failed, or the command in some lines that say why;
all others have to be answered as by a server that does nothing wrong, in bounded memory.
"""

import json
import random
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from api_stub import ANSWERED, ANY_BODY, BROKEN, ENDLESS, MIB, MODEL, SLOW, ApiStub, Fault
from forked import Ended, finish, run
from judge_stub import judging
from make import lay_out

from harness_ext.benchmark.questions import IMAGE_QUESTIONS
from harness_ext.common.failures import is_failed

ALWAYS: Final = float("inf")
_STATUSES: Final = (204, 400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 500, 501, 502, 503, 504, 599)
_REDIRECTS: Final = (301, 302, 303, 307, 308)
# What a model may say: each is an answer.
_WORDS: Final = ("\x1b[2J\x1b]0;zebra\x07", "[red]zebra[/red]", "\0", "x" * 8 * MIB, "\u2028\u202e" * 5000, "=1+1")
_LONGEST_MESSAGE: Final = 4000
_MEMORY: Final = 256 * MIB


@dataclass(frozen=True)
class Asking:
    """A command that asks a server, the requests that get the misbehaviour, and what became of the rows: ``None`` is failed.

    ``weight`` is the share of all misbehaviours that are tried.
    """

    name: str
    command: str
    serve: Callable[..., ApiStub]
    text: str
    rows: Callable[[Ended, Path], dict[Any, str | None]]
    weight: float = 1.0


def _judged(ended: Ended, _: Path) -> dict[Any, str | None]:
    read = [row.get("verdict", row.get("choice")) for row in map(json.loads, ended.out.splitlines())]
    return {at: None if verdict == "failed" else verdict for at, verdict in enumerate(read)}


def _evaluated(_: Ended, folder: Path) -> dict[Any, str | None]:
    (samples,) = folder.glob("out/runs/**/*_samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").split("\n")[:-1]]
    answers = [(row["doc_id"], row["filtered_resps"], row["judgement"]["verdict"]) for row in rows]
    assert all(is_failed(str(answer)) <= (verdict == "failed") for _, answer, verdict in answers)
    return {at: None if verdict == "failed" else str(answer) for at, answer, verdict in answers}


_ARGUMENTS: Final = f"model={MODEL},base_url={{url}},answers=none,backoff=0.01,max_retries=1,timeout={{timeout}}"
ASKING: Final = (
    Asking("judge a file", f"unsafeconcepts judge runs/responses.jsonl --judge llm --judge_args {_ARGUMENTS}", judging,
           "SS-Runes", _judged),
    Asking("evaluation", f"lmms_eval --model api-vlm --model_args {_ARGUMENTS},max_failed=1 --tasks glyphworld_image "
           "--limit 10 --log_samples --output_path out/runs", ApiStub, IMAGE_QUESTIONS[1], _evaluated, 0.3),
)  # fmt: skip


def misbehaved(folder: Path, draw: random.Random, part: float, most: int, only: str) -> dict[str, Any]:
    """What came of the misbehaviours, a ``part`` of them and ``most`` through each command of this name.

    ``folder`` is made here.
    """
    lay_out(folder)
    counts: Counter[str] = Counter({"servers": 0, "traceback": 0, "hang": 0, "memory": 0, "swallowed": 0, "lost": 0})
    failures: list[dict[str, str]] = []
    for each in [one for one in ASKING if fnmatch(one.name, only)]:
        usual = finish(_ask(each, folder))
        rows = each.rows(usual, folder)
        assert rows and None not in rows.values(), each.name
        with ApiStub() as other:
            chosen = [fault for fault in _faults(other.url) if draw.random() < part * each.weight]
            for name, fault in draw.sample(chosen, min(len(chosen), most)):
                ended = _ask(each, folder, replace(fault, text=each.text))
                found = each.rows(ended, folder) if not ended.status and not ended.problem else {}
                failed = sum(row is None for row in found.values())
                counts.update({"servers": 1, "requests that failed": failed, "commands that ended": bool(ended.status)})
                if problem := _problem(ended, usual, found, rows, name):
                    counts[problem.partition(":")[0]] += 1
                    failures.append({"command": each.name, "server": name, "problem": problem})
                    print(f"{each.name}, {name}: {problem}", file=sys.stderr, flush=True)
            if other.asked:
                failures.append({"command": each.name, "server": "redirects", "problem": "another server was asked"})
    return {**counts, "failures": failures}


def _faults(elsewhere: str) -> Iterator[tuple[str, Fault]]:
    for kind in (*_STATUSES, *BROKEN, *ENDLESS, "unpacking charset"):
        yield f"{kind}", Fault(kind, ALWAYS)
    for status in _REDIRECTS:
        for place in (f"{elsewhere}/chat/completions", "", "http://[::1", "file:///etc/passwd", "\x1b[2J"):
            yield f"{status} to {place[:4]!a}", Fault(status, ALWAYS, headers={"Location": place})
    for wait in ("3600", "-1", "nan", "1e999", "9" * 400, "²", "Wed, 01 Jan 3000 00:00:00 GMT"):
        yield f"503, Retry-After {wait[:20]}", Fault(503, 1, retry_after=wait)
    for body in ANY_BODY:
        for status in (200, 400, 429, 500):
            yield f"{status} {body[:40]}", Fault(status, ALWAYS, error=body.encode("utf-8", "surrogateescape"))
    for said in _WORDS:
        yield f"words {said[:20]!a}", Fault(200, ALWAYS, error=(ANSWERED % (json.dumps(said), '"stop"')).encode())
        yield f"400 {said[:20]!a}", Fault(400, ALWAYS, error={"message": said})


def _ask(each: Asking, folder: Path, *faults: Fault) -> Ended:
    shutil.rmtree(folder / "out", ignore_errors=True)
    (folder / "out").mkdir()
    timeout = 3 if any(fault.kind in SLOW for fault in faults) else 60
    with each.serve(*faults) as server:
        command = each.command.replace("{url}", server.url).replace("{timeout}", str(timeout))
        return run(shlex.split(command), folder, {"UNSAFECONCEPTS_ANSWERS": "none"})


def _problem(
    ended: Ended, usual: Ended, found: Mapping[Any, str | None], rows: Mapping[Any, str | None], name: str
) -> str:
    said = ended.out + ended.err
    if ended.problem:
        return ended.problem
    if ended.most_memory - usual.most_memory > _MEMORY:
        return f"memory: {(ended.most_memory - usual.most_memory) // MIB} MiB more"
    if "\x1b[2J" in said or "\x1b]0;" in said:
        return "commands to the terminal"
    if ended.status:
        return "" if len(ended.err) < len(usual.err) + _LONGEST_MESSAGE else f"long: {len(ended.err)} characters"
    if found.keys() != rows.keys():
        return f"lost: {len(rows) - len(found)} rows"
    other = [at for at in rows if found[at] != rows[at]]
    if not other and not name.startswith("503, Retry"):
        return "swallowed: all is as if nothing had gone wrong"
    if len(other) > len(rows) // 2:
        return f"lost: {len(other)} of {len(rows)} rows, most of which the server answered"
    if not name.startswith("words") and (wrong := [found[at] for at in other if found[at] is not None]):
        return f"swallowed: an answer that nobody gave: {wrong[0]!a:.100}"
    return ""
