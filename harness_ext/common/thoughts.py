"""Where a thinking model's thoughts end and its answer begins.

The marks are those that models and servers of 2024 to 2026 write: DeepSeek-R1, QwQ and Qwen3 (``<think>``), Magistral
(``[THINK]``), Kimi-VL (``◁think▷``), Command A (``<|START_THINKING|>``), Seed-OSS (``<seed:think>``), gpt-oss (channels, also
with their special tokens stripped), MedGemma (``<unused94>thought``), Gemma 4 (``<|channel>thought``), LLaVA-CoT (sections).
"""

import re
from typing import Final

_THINKING: Final = (
    r"(?:think(?:ing)?|thoughts?|reason(?:ing)?|analysis|scratchpad|reflections?|reflect|inner_monologue)"
)
_MARK: Final = re.compile(
    rf"<(?P<tag>/?)\s*(?:[\w.-]{{1,20}}[:_-])?(?:ant)?{_THINKING}(?:_(?:process|content|steps?|trace))?(?:\s[^<>\n]{{0,80}})?>"
    rf"|\[(?P<bracket>/?){_THINKING}\]"
    rf"|◁(?P<triangle>/?){_THINKING}▷"
    rf"|<\|(?P<before>/|begin_of_|begin_|end_of_|end_|start_of_|start_)?{_THINKING}(?P<after>_begin|_start|_end)?\|>"
    r"|<(?P<section>/?)(?-i:SUMMARY|CAPTION|REASONING)>"
    r"|<(?P<unused>unused94>thought|unused95>)"
    r"|<\|channel\|>\s*(?P<channel>\w+)[^<]{0,80}(?:<\|constrain\|>[^<]{0,40})?<\|message\|>"
    r"|<(?P<gemma>\|channel>\s*thought|channel\|>)",
    re.IGNORECASE,
)
# gpt-oss where the server has stripped the special tokens.
_STRIPPED: Final = re.compile(r"\A\s*analysis(?=[A-Z\s])")
_STRIPPED_FINAL: Final = re.compile(r"assistant(?:commentary|final)(?=\W|[A-Z])")


def after_thoughts(text: str) -> tuple[str | None, bool]:
    """What follows the last thought, ``None`` where the text ends inside one; and whether there is any thought."""
    if found := _STRIPPED.match(text):
        finals = list(_STRIPPED_FINAL.finditer(text, found.end()))
        if finals:
            return text[finals[-1].end() :], True
        if not text[found.end() :][:1].isspace():
            return None, True
    inside, end, seen = False, 0, False
    for mark in _MARK.finditer(text):
        seen = True
        inside, end = _opens(mark, inside), mark.end()
    return (None if inside else text[end:]), seen


def _opens(mark: re.Match[str], inside: bool) -> bool:
    """Whether a thought is open behind ``mark``."""
    kind = mark.lastgroup
    if (channel := mark["channel"]) is not None:
        return channel.casefold() not in ("final", "response", "answer")
    if mark["unused"] or mark["gemma"]:
        return "thought" in mark[0].casefold()
    if kind in ("before", "after"):
        sides = f"{mark['before'] or ''}{mark['after'] or ''}".casefold()
        return not ("end" in sides or "/" in sides)
    slash = next((mark[name] for name in ("tag", "bracket", "triangle", "section") if mark[name] is not None), None)
    if slash is None:  # <|think|>, which opens and closes alike
        return not inside
    return slash == ""
