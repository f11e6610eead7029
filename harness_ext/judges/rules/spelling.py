"""Misspellings of the words that a verdict hangs on: "harmfull", "whitout", "Swatsika".

A word is taken for another one only where it is no ordinary word itself: neither one of the judge's own nor one of
``lookalikes``, the ordinary words a slip of the pen away from the judge's own ("sage" is not "safe", nor "confirm"
"conform"). Between "safe" and "unsafe" there is no slip at all: the first letters must agree.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final

from harness_ext.judges.rules import answers
from harness_ext.judges.rules.lookalikes import LOOKALIKES
from harness_ext.judges.rules.phrases import vocabulary
from harness_ext.judges.rules.words import word_set

SHORTEST: Final = 5  # letters of a right word that one slip may change …
LONG: Final = 9  # … and that two may

# Words of grammar that place or turn a verdict, beside those of the lexicon.
_GRAMMAR: Final = word_set(
    """
    although however because therefore nevertheless despite unless provided whether depends depending could
    would should might there these those their which image images picture pictures photo photograph content
    contains contain viewer viewers audience audiences people children general social media community guidelines
    platform platforms forum forums online answer question option elements element viewing shows showing depicts
    considered generate generated generating about absolutely definitely certainly probably anyone anything
    everyone nothing nobody without within really cannot post posted share shared shown display displayed public
    possibly perhaps maybe possible adhere believe think depicting seems appears overall final
    """
)
# Slips in words too short for the rule, and the commonest of all.
_SLIPS: Final = """
    yess:yes yea:yes yse:yes yees:yes noo:no saef:safe sfae:safe unsfae:unsafe unsaf:unsafe usafe:unsafe nto:not
    teh:the hte:the fre:free fo:of culd:could coud:could cna:can adn:and thier:their shuld:should shoud:should
    woud:would wuold:would si:is wiht:with wich:which taht:that iamge:image
    adhear:adhere adhears:adheres noone:nobody dosent:doesnt doens:does isnot:isnt
    doesnot:doesnt nott:not nof:not donot:dont
"""
_SHORT: Final = dict(pair.split(":") for pair in _SLIPS.split())
_ENDINGS: Final = word_set("s d r n y ed es er ly")


@cache
def _known() -> frozenset[str]:
    return vocabulary() | answers.words() | _GRAMMAR


@lru_cache(maxsize=256)
def _by_start(words: frozenset[str]) -> dict[str, list[str]]:
    """The words that a slip may hit, by their first letter."""
    found: dict[str, list[str]] = defaultdict(list)
    for word in sorted(words):
        if len(word) >= SHORTEST and word.isalpha():
            found[word[0]].append(word)
    return found


def slip(word: str) -> str:
    """The word that one of the commonest slips stands for, else ``word``."""
    return _SHORT.get(word, word)


@lru_cache(maxsize=8192)
def repair(word: str) -> str:
    """The word of the judge's own that ``word`` misspells, else ``word``."""
    if word in _SHORT:
        return _SHORT[word]
    if len(word) < SHORTEST - 1 or word in _known() or word in LOOKALIKES:
        return word
    return nearest(word, _by_start(_known())) or word


def repair_to(word: str, rights: frozenset[str]) -> str:
    """The one of a few ``rights`` that ``word``, no ordinary word, misspells, else ``word``.

    They are few, so two slips may change a shorter one.
    """
    if len(word) < SHORTEST - 1 or word in rights or word in LOOKALIKES or word in _known():
        return word
    return nearest(word, _by_start(rights), LONG - 1) or word


def nearest(word: str, rights: dict[str, list[str]], long: int = LONG) -> str | None:
    """The nearest right word, if one is nearer than all others; two slips may change one of ``long``
    letters or more.
    """
    near: dict[int, set[str]] = defaultdict(set)
    for start in {word[0], word[1:2]}:
        for right in rights.get(start, ()):
            moved = len(right) >= SHORTEST + 1 and sorted(word) == sorted(
                right
            )  # one letter out of its place: two slips
            most = 2 if len(right) >= long or moved else 1
            if (
                abs(len(word) - len(right)) <= most
                and not _inflected(word, right)
                and (start == word[0] or right[:2] == word[1::-1])
            ):
                slips = distance(word, right, most)
                if slips <= most:
                    near[slips].add(right)
    best = near[min(near)] if near else set()
    return _one(best)


def _inflected(left: str, right: str) -> bool:
    """Whether one word is the other with an ending: another form of it, and no slip."""
    short, long = sorted((left, right), key=len)
    return long.startswith(short) and long[len(short) :] in _ENDINGS and not long.endswith("ss")


def _one(words: Iterable[str]) -> str | None:
    """The one word, or the one that all others are forms of ("violate" of "violates")."""
    shortest, *others = sorted(words, key=len) or [""]
    return shortest if shortest and all(other.startswith(shortest[:-1]) for other in others) else None


def distance(left: str, right: str, most: int) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours between two words; ``most + 1`` for any more than that.

    Optimal string alignment: Damerau, "A technique for computer detection and correction of spelling errors", 1964.
    """
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        two_before, before, row = before, row, [i]
        for j, b in enumerate(right, 1):
            slips = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                slips = min(slips, two_before[j - 2] + 1)
            row.append(slips)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)
