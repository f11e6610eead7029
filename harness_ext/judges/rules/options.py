"""Where a response names an option: by its letter, or by its text.

A letter is told from the article "A" and the pronoun "I" by what stands around it; a text is found whatever its case,
number and ending, and a longer option's text is never also counted as the shorter one inside it.
"""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from harness_ext.judges.rules.lexicon import word_set

_TOKEN: Final = re.compile(r"\w+(?:['-]\w+)*|[^\w\s]")
_FILLERS: Final = word_set("a an the of in or and")
_MOST_FILLERS: Final = 3
_ENDINGS: Final = (
    *("ization", "isation", "nesses", "ments", "ment", "ness", "eries", "ery", "ings", "ing", "ies", "ied", "ers"),
    *("ed", "es", "er", "s", "y", "e"),
)

# Words that announce a letter; and words that may follow "A" when it is a letter and not an article.
_STRONG_CUES: Final = word_set("option options choice answer letter")
_SAYS: Final = word_set("is think say choose pick with select")
_BEFORE_LETTER: Final = word_set("whereas only but")
_AFTER_LETTER: Final = word_set(
    "is and or nor because as but since would seems appears might could may was matches fits describes represents best "
    "rather over seemed can should does do makes it has have applies remains not"
)


@dataclass(frozen=True)
class Mention:
    """An option named at the tokens ``start`` to ``end``, which is excluded, by its letter or by its text."""

    start: int
    end: int
    letter: str
    by_letter: bool


def tokens(text: str) -> list[str]:
    """Words and single punctuation marks, case kept."""
    return _TOKEN.findall(text)


def stem(word: str) -> str:
    """A word without its inflection: plural, -ing, -ed, -ment, a final e; a doubled end letter is made single."""
    word = word.casefold().removesuffix("'s").removesuffix("'")
    word = word.removesuffix(next((e for e in _ENDINGS if word.endswith(e) and len(word) - len(e) >= 3), ""))
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def content(text: str) -> tuple[str, ...]:
    """The stems of a text's words, hyphens opened, without articles, prepositions and conjunctions."""
    words = [part for word in tokens(text) if word[0].isalnum() for part in re.split(r"[-']", word) if part]
    return tuple(stem(w) for w in words if w.casefold() not in _FILLERS) or tuple(stem(w) for w in words)


@lru_cache(maxsize=1024)
def variants(text: str) -> frozenset[tuple[str, ...]]:
    """What an option's text stands for: itself and, for "drug/alcohol abuse", "drug abuse" and "alcohol abuse"."""
    left, either, right = re.sub(r"/| or ", "\n", text, count=1).partition("\n")
    if not either:
        return frozenset({content(text)})
    first, second = content(left), content(right)
    return frozenset({content(text), (*first, *second[-1:]), *([second] if len(second) > 1 else [])})


def mentions(words: Sequence[str], options: Mapping[str, str]) -> list[Mention]:
    """Every naming of an option, by position; where texts overlap, the longest one, and every option that has it."""
    texts = [(variant, letter) for letter, text in options.items() for variant in variants(text)]
    found: list[Mention] = []
    at = 0
    while at < len(words):
        ends = [(end, letter) for text, letter in texts if (end := _text_end(words, at, text)) is not None]
        if ends:
            longest = max(end for end, _ in ends)
            letters = sorted({letter for end, letter in ends if end == longest})
            found += [Mention(at, longest, letter, False) for letter in letters]
            at = longest
            continue
        letter = words[at].upper()
        if letter in options and len(letter) == 1 and _is_letter(words, at):
            found.append(Mention(at, at + 1, letter, True))
        at += 1
    return found


def _text_end(words: Sequence[str], start: int, text: Sequence[str]) -> int | None:
    """Where an option's stems end, all met from ``start`` on in any order, with only fillers between; else ``None``."""
    left, at, skipped = list(text), start, 0
    while left and at < len(words):
        used = _take(left, words, at)
        if not used:
            if at == start or skipped == _MOST_FILLERS or not (words[at].casefold() in _FILLERS or words[at] in "/-'&"):
                return None
            skipped += 1
        at += used or 1
    return at if text and not left else None


def _take(left: list[str], words: Sequence[str], at: int) -> int:
    """Strikes the word at ``at``, or it and the next where an option joins them, from ``left``; how many words it took."""
    if not words[at][0].isalnum():
        return 0
    parts = [stem(part) for part in re.split(r"[-']", words[at]) if part]
    if all(part in left for part in parts):
        for part in parts:
            if part in left:
                left.remove(part)
        return 1
    if (whole := stem(words[at].replace("-", ""))) in left:  # "cyber-bullying"
        left.remove(whole)
        return 1
    joined = stem(words[at] + words[at + 1]) if at + 1 < len(words) and words[at + 1][0].isalnum() else ""
    if joined in left:
        left.remove(joined)
        return 2
    return 0


def _is_letter(words: Sequence[str], at: int) -> bool:
    """Whether the single letter at ``words[at]`` names an option."""
    before = words[at - 1].casefold() if at else ""
    after = words[at + 1] if at + 1 < len(words) else ""
    ends = after in ("", *",;:.)]!?/")
    if words[at].islower():  # a small letter needs a frame: "b", "(b)", "b)", "option b", "answer: a"
        framed = after in (")", "]") and before in ("(", "[", "", ",")
        return (
            framed
            or before in _STRONG_CUES
            or (ends and (at == 0 or before in (":", "it's", "that's") or (before in _SAYS and after == "")))
        )
    if words[at] not in ("A", "I"):
        return True
    if after in ("(", '"', "'") or (words[at - 1 : at] and before == words[at - 1] and before in _BEFORE_LETTER):
        return True
    return ends or before in _STRONG_CUES or after.casefold() in _AFTER_LETTER


def overlap(words: Sequence[str], options: Mapping[str, str]) -> str | None:
    """The option that a paraphrase shares most content with ("a person robbing a shop"), if one stands out."""
    stems = content(" ".join(words))
    said = {*stems, *(first + second for first, second in itertools.pairwise(stems))}
    shares = {letter: _share(content(text), said) for letter, text in options.items()}
    best = max(shares, key=lambda letter: shares[letter])
    rival = max((share for letter, share in shares.items() if letter != best), default=0.0)
    clear = shares[best] >= 0.5 and rival < shares[best] - 0.2
    return best if clear or (shares[best] > 0.3 and rival == 0) else None


def _share(text: Sequence[str], said: set[str]) -> float:
    return sum(any(_related(stem_, other) for other in said) for stem_ in text) / len(text) if text else 0.0


def _related(left: str, right: str) -> bool:
    """Whether two stems share a beginning that leaves at most three letters of the longer one."""
    if left == right:
        return True
    shared = next((i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right)))
    return shared >= max(4, max(len(left), len(right)) - 3)
