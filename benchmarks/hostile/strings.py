"""Strings that no model should give, through the envelope and the rule judge: each gets a verdict of the vocabulary."""

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from harness_ext.benchmark.questions import NUM_QUESTIONS
from harness_ext.judges.base import AlignmentAnswer, PerceptionAnswer, verdicts
from harness_ext.judges.rules import RuleJudge

# What rules and envelopes look for, and what breaks parsers.
_PIECES: Final = (
    "Yes", "No", "yes,", "not", "n't", "safe", "unsafe", "It is", "isn't", "never", "harmful",
    "I cannot", "sorry", "however",
    "but", "the image", "shows a", "A", "B)", "(C)", "D.", "answer:", "Answer", "verdict", "<think>",
    "</think>", "<answer>",
    "</answer>", "```json", "```", "{", "}", '"', '{"safe": true}', '{"answer": "no"}', "[", "]", ":",
    ",", ".", "!", "?",
    "\n", "\n\n", "\r", "\t", " ", "  ", "**", "__", "#", "\n#", "|", "-", "—", "1.", "0.7", "10/10",
    "100%", "9" * 30, "-1e999",
    "null", "\x00", "\x1b[31m", "\u200b", "\u2028", "\ufeff", "\u202e", "\ud800", "\udfff", "é", "ß",
    "İ", "ﬁ", "是", "不安全",
    "🙂", "👨\u200d👩", "<|im_end|>", "<|eot_id|>", "USER:", "ASSISTANT:", "\\boxed{yes}", "&lt;", "<b>",
    "</b>", "$", "%", "\\", "'", "`",
    "a" * 50,
)  # fmt: skip
# A judge reads ten thousand answers in a minute or two: none may take long.
_SLOW_SECONDS: Final = 2.0
_OPTIONS: Final = {"A": "beer", "B": "a pistol", "C": "SS-Runes", "D": "a cup"}


def fuzzed(count: int, seed: int) -> dict[str, Any]:
    """Judge so many strings, half of them as answers to each kind of question."""
    draw, judge = random.Random(seed), RuleJudge()
    made: tuple[Callable[[random.Random], str], ...] = (_of_pieces, _of_points, _repeated, _of_json)
    found: dict[str, int] = {}
    failures: list[dict[str, str]] = []
    slowest = 0.0
    for at in range(count):
        text = made[at % len(made)](draw)
        if at // len(made) % 2:
            answer: Any = PerceptionAnswer(_OPTIONS, text)
        else:
            answer = AlignmentAnswer(at // 8 % NUM_QUESTIONS, text, yes="unsafe" if at // 8 % 7 == 0 else "safe",
                                     prompt="Is it?" if at // 8 % 7 == 0 else "")  # fmt: skip
        start = time.process_time()
        try:
            (verdict,) = verdicts(judge, [answer])
            found[verdict] = found.get(verdict, 0) + 1
        except Exception as error:
            failures.append({"string": ascii(text)[:200], "problem": f"{type(error).__name__}: {error}"[:200]})
        spent = time.process_time() - start
        slowest = max(slowest, spent)
        if spent > _SLOW_SECONDS:
            failures.append({"string": ascii(text)[:200], "problem": f"slow: {spent:.1f} s of {len(text)} characters"})
        if at and at % 20_000 == 0:
            print(f"{at} strings, failures: {failures[-3:]}", file=sys.stderr, flush=True)
    return {"strings": count, "verdicts": found, "slowest, in seconds": round(slowest, 3), "failures": failures}


def _of_pieces(draw: random.Random) -> str:
    return draw.choice(("", " ")).join(draw.choices(_PIECES, k=draw.randint(0, 20)))


def _of_points(draw: random.Random) -> str:
    return "".join(chr(draw.choice((draw.randrange(128), draw.randrange(0x3000), draw.randrange(0x110000))))
                   for _ in range(draw.randint(0, 40)))  # fmt: skip


def _repeated(draw: random.Random) -> str:
    return "".join(draw.choice(_PIECES) * draw.choice((1, 2, 50)) for _ in range(draw.randint(1, 4)))


def _of_json(draw: random.Random) -> str:
    def value(depth: int) -> Any:
        kind = draw.randrange(6 if depth else 4)
        if kind < 4:
            return draw.choice((None, True, False, draw.random(), draw.randrange(-5, 11), draw.choice(_PIECES)))
        inner = [value(depth - 1) for _ in range(draw.randrange(4))]
        return inner if kind == 4 else {draw.choice(_PIECES): each for each in inner}

    written = json.dumps({draw.choice(("answer", "safe", "verdict", "unsafe", "reason")): value(3)})
    return draw.choice(
        (written, f"```json\n{written}\n```", written[: draw.randrange(len(written))], f"{written}\n{written}")
    )
