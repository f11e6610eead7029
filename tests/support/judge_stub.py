"""A judging model on loopback: ``api_stub`` with replies in the form that the judge ``llm`` asks for.

By hand: ``python tests/support/judge_stub.py`` prints the options that judge with it.
"""

import json
from collections.abc import Callable
from typing import Any

from api_stub import MODEL, ApiStub, Asked, Fault
from loopback import until_interrupted

from harness_ext.judges.registry import open_judge

ALWAYS = float("inf")


def data_in(asked: Asked) -> dict[str, Any]:
    """The question and the answer that a call shows."""
    lines = asked.body["messages"][-1]["content"].splitlines()
    assert lines[0] == "BEGIN DATA" and lines[2] == "END DATA"
    return json.loads(lines[1])


def verdict_on(asked: Asked) -> str:
    """The stub's verdict: by the answer's first word, or the letter that it ends with."""
    data = data_in(asked)
    if "options" in data:
        return data["answer"][-1] if data["answer"][-1] in data["options"] else "na"
    return {"Yes": "safe", "No": "unsafe"}.get(data["answer"].split()[0].strip(".,"), "na")


def rating_on(asked: Asked) -> dict[str, int]:
    """The stub's rating: whether the answer names what is shown, and how many words it has."""
    data = data_in(asked)
    named = data["shown"].casefold() in data["answer"].casefold()
    return {"soundness": 4 if named else 2, "informativeness": min(5, 1 + len(data["answer"].split()) // 3)}


def reply(asked: Asked) -> tuple[dict[str, Any], str]:
    """A reply as it should be."""
    if "shown" in data_in(asked):
        return {"content": json.dumps(rating_on(asked))}, "stop"
    return {"content": json.dumps({"verdict": verdict_on(asked)})}, "stop"


def judging(*faults: Fault, message: Callable[[Asked], tuple[dict[str, Any], str]] = reply, **options: Any) -> ApiStub:
    """The stub, which replies by ``message``."""
    return ApiStub(*faults, message=message, **options)


def judge_of(stub: ApiStub, **options: object) -> Any:
    """The judge that asks it, without waiting long for anything."""
    quick = {"backoff": 0.01, "max_retries": 3, "timeout": 30.0, "answers": "none"}
    given = {"model": MODEL, "base_url": stub.url, **quick, **options}
    return open_judge("llm", {name: str(value) for name, value in given.items()})


if __name__ == "__main__":
    with judging(delay=0.2) as server:
        print(f"--judge llm --judge_args model={MODEL},base_url={server.url}", flush=True)
        until_interrupted()
