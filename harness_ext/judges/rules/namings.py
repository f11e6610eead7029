"""Which options a sentence asserts and which it names only to exclude them ("not A but B", "C is wrong")."""

from collections.abc import Mapping, Sequence
from typing import Final

from harness_ext.judges.rules.lexicon import word_set
from harness_ext.judges.rules.options import Mention, mentions

LOOK_BACK: Final = 8  # words: no "not" governs an option from farther away
_NEGATORS: Final = word_set(
    "rule rules ruled ruling not neither nor no than instead over without unlike excluding exclude excluded excludes "
    "dismiss dismissed eliminated eliminate eliminating cannot isn't aren't don't doesn't wasn't can't never"
)
_LOOK_BACK_STOPS: Final = word_set(", ; : but only doubt although though so therefore because")
_DENIALS: Final = word_set(
    "isn't aren't doesn't don't not wrong incorrect irrelevant unrelated can't cannot ruled eliminated excluded "
    "dismissed discarded rejected out off nothing unlikely"
)
_AUXILIARIES: Final = word_set('is are does do can seems would could be have has seem clearly ) " also')
_LISTING: Final = word_set(", or and nor / ( ) \" option options '")
_BETWEEN_PAIR: Final = word_set(": . - ( ) \" , = ' the a an")


def namings(words: Sequence[str], options: Mapping[str, str]) -> list[tuple[int, set[str], bool]]:
    """Each naming as its position, its letters (a letter and a text side by side are one) and whether it is asserted."""
    out: list[tuple[int, set[str], bool]] = []
    chain: list[int] = []
    last_end = -1
    for start, end, letters in _pairs(mentions(words, options), words):
        listed = bool(out) and all(w.casefold() in _LISTING for w in words[last_end:start])
        asserted = out[-1][2] if listed else not _excluded_before(words, start)
        chain = [*chain[-len(options) :], len(out)] if listed else [len(out)]
        out.append((start, letters, asserted))
        if _excluded_after(words, end):  # "A, B and D are wrong": what is said of a list is said of each
            for at in chain:
                out[at] = (*out[at][:2], False)
        if len(chain) == len(options) > 1 and set().union(*(out[at][1] for at in chain)) == set(options):
            del out[chain[0] :]  # "from A, B, C or D": the question again
            chain = []
        last_end = end
    return out


def _pairs(found: Sequence[Mention], words: Sequence[str]) -> list[tuple[int, int, set[str]]]:
    """Mentions as (start, end, letters); a letter and the text beside it make one, naming both if they differ."""
    out: list[tuple[int, int, set[str], bool | None]] = []  # the last: named by letter; None for a pair
    for mention in found:
        if out:
            start, end, letters, by_letter = out[-1]
            if mention.start == start and mention.end == end:
                out[-1] = (start, end, letters | {mention.letter}, by_letter)
                continue
            gap = words[end : mention.start]
            beside = len(gap) <= 3 and all(w.casefold() in _BETWEEN_PAIR for w in gap)
            if beside and by_letter is (not mention.by_letter):
                same = mention.letter in letters
                out[-1] = (start, mention.end, {mention.letter} if same else letters | {mention.letter}, None)
                continue
        out.append((mention.start, mention.end, {mention.letter}, mention.by_letter))
    return [(start, end, letters) for start, end, letters, _ in out]


def _excluded_before(words: Sequence[str], start: int) -> bool:
    """Whether a "not", "rather than", "neither" shortly before an option reaches it."""
    for at in range(start - 1, max(-1, start - 1 - LOOK_BACK), -1):
        word = words[at].casefold()
        if word in _NEGATORS:
            return not (word in ("not", "no") and words[at + 1].casefold() in ("only", "doubt", "just"))
        if word in _LOOK_BACK_STOPS:
            return False
    return False


def _excluded_after(words: Sequence[str], end: int) -> bool:
    """Whether what is said right after an option denies it ("B is wrong", "A does not apply")."""
    said = (word.casefold() for word in words[end : end + 4])
    return next((word for word in said if word not in _AUXILIARIES), "") in _DENIALS
