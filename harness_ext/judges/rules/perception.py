"""Which option a response chooses: the order in which its namings of options count.

1. A restated list of the options is the question, not the answer.
2. The last sentence that announces a choice ("the answer is", "I would choose", "option … is the most relevant") decides.
3. Else the sentence a response opens with, where that is little more than an option; else the only option named anywhere.
4. Else the option whose words a paraphrase shares. A letter beside another option's text, or two options side by side,
   is no choice.

An option that is named to be excluded ("not A but B", "rather than C") is not chosen.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from harness_ext.judges.rules.aliases import renamed
from harness_ext.judges.rules.checklist import by_letter, gone_through
from harness_ext.judges.rules.lexicon import word_set
from harness_ext.judges.rules.namings import namings
from harness_ext.judges.rules.options import mentions, overlap
from harness_ext.judges.rules.passages import spoken
from harness_ext.judges.rules.text import unwrap
from harness_ext.records import NA

_BLANKS: Final = re.compile(r"[ \t]+")
_NO_ANSWER: Final = re.compile(r"\bn\s?/\s?a\b", re.IGNORECASE)
_CUES: Final = frozenset(("but", "yet", "so", "most", "left"))
_REASONS: Final = word_set("because since as while whereas although though")

_ANNOUNCES: Final = re.compile(
    r"\b(?:final|answer|choose|chose|select|selected|pick|(?:more|most) relevant|best|therefore|thus|hence|"
    r"conclusion|closest|most (?:likely|accurate|appropriate|suitable|fitting|plausible|probable)|likeliest|leaves|"
    r"leaving|remains|remaining|better|closer|(?:choice|selection|match|fit|result|decision)(?= ?:)|left with|"
    r"my (?:pick|guess|vote|choice)|by elimination|go with|correct|right option|verdict|actually)\b",
    re.IGNORECASE,
)
_GIVES: Final = re.compile(
    r"^\W*(?:(?:the |my )?(?:correct |right |best )?(?:answer|choice|option)|i (?:would |will )?(?:choose|select|pick|"
    r"say))\b",
    re.IGNORECASE,
)
_RETRACTS: Final = re.compile(
    r"\b(?:wait|actually|second thoughts?|correction|scratch that|sorry|mistaken?|rather|instead|final|finally|"
    r"reconsider\w*|no ,|however|but|correct(?:ed|ing) )\b",
    re.IGNORECASE,
)
# After "but": what was named before is taken back.
_CORRECTS: Final = word_set("no actually then rather instead really")
_PEOPLE: Final = re.compile(
    r"\b(?:people|persons?|individuals?|who|faces?|identit(?:y|ies)|man|woman|men|women|someone|anyone|names?)\b",
    re.IGNORECASE,
)
_NONE: Final = re.compile(
    r"\b(?:none|neither|all|any|either) of (?:the|these|those|them)\b(?! other)|\bnone\b(?! of the other)|\bunable to\b"
    r"|\bnot (?:listed|any of|among|sure)\b|\bno (?:relevant|suitable|correct|matching|appropriate|right) (?:option|"
    r"answer)"
    r"|\bi (?:can(?:not| not|'t)(?! (?:see|make out|read) (?:every|all|much|the whole|the details|entirely|fully))|do "
    r"not know|don't know)\b"
    r"|\bcan not (?:determine|tell|answer)|\bi(?: a|')m (?:unable|sorry|not able)",
    re.IGNORECASE,
)


def choice_of(options: Mapping[str, str], response: str) -> str:
    """The letter of ``options`` that ``response`` chooses, or ``"na"``; every string has an answer."""
    text = _BLANKS.sub(" ", _NO_ANSWER.sub("none", unwrap(response)))
    text = renamed(by_letter(text, options), options)
    listed = gone_through(text, options)
    if listed is None:
        return _read(options, text)
    right, rest = listed
    return _read(options, rest) if _ANNOUNCES.search(rest) else _only(right)


def _read(options: Mapping[str, str], text: str) -> str:
    named = [(words, _chosen(words, options)) for words in spoken(options, text)]
    decisive = [(words, letters) for words, letters in named if _announces(words, letters)]
    if decisive:
        return NA if _gives_two_answers(decisive) else _only(decisive[-1][1])
    naming = [(words, letters) for words, letters in named if letters]
    if not naming:
        return NA if any(mentions(words, options) for words, _ in named) else _paraphrased(named, options)
    everything = set().union(*(letters for _, letters in naming))
    last_words, last = naming[-1]
    if len(everything) > 1 and any(_RETRACTS.search(" ".join(words)) for words, _ in naming[1:]):
        return _only(last) if _RETRACTS.search(" ".join(last_words)) else NA
    if len(everything) == 1 or _is_bare_choice(named[0][0], options):
        return _only(naming[0][1])
    return _only(last if len(naming) > 1 and _is_bare_choice(last_words, options, 0) else everything)


def _gives_two_answers(decisive: Sequence[tuple[Sequence[str], set[str]]]) -> bool:
    """Whether the answer is announced twice, differently, and the second time without taking the first one back."""
    answers = [(" ".join(words), letters) for words, letters in decisive if letters]
    plain = [letters for text, letters in answers if _GIVES.search(text)]
    return len(plain) > 1 and plain[0] != plain[-1] and not any(_RETRACTS.search(text) for text, _ in answers[1:])


def _only(letters: set[str]) -> str:
    return next(iter(letters)) if len(letters) == 1 else NA


def _announces(words: Sequence[str], letters: set[str]) -> bool:
    """Whether a sentence announces a choice, or announces that there is none."""
    text = " ".join(words)
    if letters:
        return bool(_ANNOUNCES.search(text) or words[0].casefold() == "so")
    return bool(_NONE.search(text)) and not _PEOPLE.search(text)


def _paraphrased(named: Sequence[tuple[Sequence[str], set[str]]], options: Mapping[str, str]) -> str:
    described = [words for words, _ in named if not _NONE.search(" ".join(words))]
    return overlap([word for words in described for word in words], options) or NA


def _is_bare_choice(words: Sequence[str], options: Mapping[str, str], beside: int = 2) -> bool:
    """Whether a sentence is an option and little else ("B: Burglary", "Option B")."""
    covered = {at for found in mentions(words, options) for at in range(found.start, found.end)}
    return bool(covered) and sum(w[0].isalnum() for at, w in enumerate(words) if at not in covered) <= beside


def _contrasts(words: Sequence[str], at: int) -> bool:
    """Whether a choice begins at a word; "but also" adds."""
    return words[at].casefold() in _CUES and words[at + 1 : at + 2] != ["also"]


def _gives_reason(words: Sequence[str], at: int) -> bool:
    """Whether a reason begins at a word; "as well as" and "as much … as" add."""
    return words[at].casefold() in _REASONS and not {"well", "much"} & {*words[max(0, at - 4) : at + 2]}


def _takes_back(words: Sequence[str], at: int, announced: int) -> bool:
    """Whether "but no", "but actually", "but … is better" take back what was named before."""
    return words[at].casefold() == "but" and (words[at + 1].casefold() in _CORRECTS or at <= announced)


def _last_announced(words: Sequence[str]) -> int:
    """At which word the last announcement of a choice begins; -1 where there is none."""
    text, last = " ".join(words), -1
    while found := _ANNOUNCES.search(text, last + 1):
        last = found.start()
    return -1 if last < 0 else text.count(" ", 0, last)


def _chosen(words: Sequence[str], options: Mapping[str, str]) -> set[str]:
    """The options a sentence names and does not exclude: after the words that announce a choice, before the reasons."""
    kept = [found for found in namings(words, options) if found[2]]
    if words[0].casefold() in _REASONS and "," in words:  # "while one may think of A, it shows B"
        comma = words.index(",")
        kept = [found for found in kept if found[0] > comma] or kept
    first = min((found[0] for found in kept), default=len(words))
    reason = next((at for at in range(first + 1, len(words)) if _gives_reason(words, at)), len(words))
    announced = _last_announced(words[reason:]) + reason
    back = next((at for at in range(reason, len(words) - 1) if _takes_back(words, at, announced)), len(words))
    kept = [found for found in kept if not reason < found[0] < back] or kept
    last = max((found[0] for found in kept), default=0)
    cue = max((at for at in range(last) if _ANNOUNCES.fullmatch(words[at]) or _contrasts(words, at)), default=-1)
    return set().union(*(letters for at, letters, _ in kept if at > cue))
