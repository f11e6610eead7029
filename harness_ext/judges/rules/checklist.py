"""Options named by their place ("the second one"), and options gone through one by one ("A: no", "B: yes")."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from harness_ext.judges.rules.lexicon import word_set
from harness_ext.judges.rules.options import mentions, tokens

_PLACES: Final = {
    word: place
    for place, listed in enumerate(("first 1st one 1", "second 2nd two 2", "third 3rd three 3", "fourth 4th four 4"))
    for word in listed.split()
}
_ORDINAL: Final = r"(first|second|third|fourth|(?<!to )last|1st|2nd|3rd|4th)"
_COUNT: Final = r"(one|two|three|four|[1-4])"
_NUMBER: Final = r"(?:number\s+|no\.?\s*|nr\.?\s*|#\s*)"
_NOUN: Final = "(?:options?|choices?|alternatives?|items?|answers?)"
_BY_PLACE: Final = re.compile(
    rf"\b(?:the )?((?:second|next) to last) (?:one|option|choice|alternative|answer)\b"
    rf"|\b(?:the )?{_ORDINAL} (?:listed |given )?(?:option|alternative|item|entry)\b(?! that)"
    rf"|\bthe {_ORDINAL} (?:one|answer|choice)\b"
    rf"|\b(?:the )?{_ORDINAL} of (?:these|those|them|the (?:four |listed |given )?(?:{_NOUN}|four|list))\b(?: {_NOUN}| "
    rf"four)?"
    rf"|\b(?:option|choice|answer|alternative) {_NUMBER}{_COUNT}\b"
    rf"|\boption\s+{_COUNT}\b(?! (?:can|could|would|might|must|should|has)\b)"
    rf"|(?<=\b(?:pick|with) )number {_COUNT}\b|(?<=\b(?:choose|select) )number {_COUNT}\b"
    rf"|\A\W*(?:(?:it is|it's|i (?:would )?(?:pick|choose|select)|i'd (?:pick|choose)|my answer is|the answer is) )?"
    rf"(?:the )?{_ORDINAL}\W*\Z",
    re.IGNORECASE,
)
_YES: Final = word_set(
    "yes true correct right matches applies fits present visible shown likely high strong ✓ ✔ ✅ ☑ 👍"
)
_NO: Final = word_set(
    "no false incorrect wrong not isn't doesn't aren't irrelevant unrelated absent unlikely none low weak ✗ ✘ ❌ ✖ × 🚫 👎"
)
_SKIPPED: Final = word_set(": ; , ( ) = - . is are does do it this that ️ → \" '")
_FRAMES: Final = word_set(": . ) ;")
_TICKS: Final = "✓✔✅☑👍✗✘❌✖×🚫👎"
# From the beginning of a run of blanks: to begin again at each of them would take the square of its length.
_TICKED_ITEM: Final = re.compile(rf"(?<!\s)\s+(?=[{_TICKS}])")
_ITEM: Final = re.compile(r"(?:[,.;]|(?<![\s,.;]))\s+(?=\(?[A-Z]\)?\s*[:.)=(]\s)")
LEAD: Final = 2  # words that may come before the option of an item: a tick, an article


def by_letter(text: str, options: Mapping[str, str]) -> str:
    """The text with options named by their place named by their letter ("the second one": "option B")."""
    letters = list(options)

    def lettered(found: re.Match[str]) -> str:
        word = next(group for group in found.groups() if group).casefold()
        back = word.endswith("last")
        place = len(letters) - (1 if word == "last" else 2) if back else _PLACES[word]
        return f"option {letters[place]}" if 0 <= place < len(letters) else found[0]

    return _BY_PLACE.sub(lettered, text)


def gone_through(text: str, options: Mapping[str, str]) -> tuple[set[str], str] | None:
    """The options said to be right where (nearly) all are gone through, and the rest of the text; None where they are not.

    Where all but one are denied, that one is right.
    """
    said: dict[str, bool] = {}
    rest: list[str] = []
    for item in _items(text):
        letter, right = _item(tokens(item), options)
        if letter and letter not in said:
            said[letter] = right
        else:
            rest.append(item)
    if len(said) < max(2, len(options) - 1):
        return None
    return {letter for letter, right in said.items() if right} or set(options) - set(said), "\n".join(rest)


def _items(text: str) -> Iterator[str]:
    """The lines, cut before each letter that opens an item, or before each tick where a line opens with one."""
    for line in text.split("\n"):
        yield from (_TICKED_ITEM if line.strip()[:1] in {*_TICKS} else _ITEM).split(line)


def _item(words: Sequence[str], options: Mapping[str, str]) -> tuple[str, bool]:
    """The option an item is about and whether it is said to be right; "" where the words are no such item."""
    named = mentions(words, options)
    if not named or named[0].start > LEAD:
        return "", False
    letter, end = named[0].letter, named[0].end
    for more in named[1:]:
        between = words[end : more.start]
        if more.letter != letter or len(between) > LEAD or _NO & {word.casefold() for word in between}:
            break
        end = more.end
    at = next((at for at in range(end, len(words)) if words[at].casefold() not in _SKIPPED), len(words))
    framed = named[0].by_letter and words[at - 1 : at] and words[at - 1] in _FRAMES
    spoken = [word for word in words if word not in _SKIPPED]
    for word in (*words[: named[0].start], *words[at : at + 1], *spoken[-1:]):
        if word.casefold() in _YES | _NO:
            return letter, word.casefold() in _YES
    if framed:  # "A: the picture shows no flag"
        denied = any(word.casefold() in _NO for word in words[at:])
        if denied or any(word.casefold() in _YES for word in words[at:]):
            return letter, not denied
    return "", False
