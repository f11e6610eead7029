"""The sentences of a response to the perception question: spelt like the options, without the question said again.

A letter and the text after its full stop ("B. Burglary") stay in one sentence; a restated list of the options and
sentences that ask are left out.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from harness_ext.judges.rules.options import mentions, tokens

SLACK_CHARS: Final = 12  # an article, a quotation mark, an inflection: what may come beside an option's own characters
_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s+|\n")
_LETTER_STOP: Final = re.compile(r"(?<![\w'])(\(?\w)\s*[.:]\s+(?=\S)")
_GOES_ON: Final = re.compile(r"(?:is|was|fits|seems|can)\b")


def spoken(options: Mapping[str, str], text: str) -> list[list[str]]:
    """The words of each sentence, without a restated list of the options; "B. Burglary" stays in one sentence."""
    text = _LETTER_STOP.sub(lambda found: _joined(found, options), text)
    parts = _asserted([words for part in _SENTENCE.split(text) if (words := tokens(part))])
    listed = [_listed(words, options) for words in parts]
    if len({*listed} - {""}) < max(2, len(options) - 1):
        return parts
    return [words for at, words in enumerate(parts) if not listed[at] or listed[at] in listed[:at]]


def _asserted(parts: list[list[str]]) -> list[list[str]]:
    """The sentences without those that ask, unless a "yes" answers them or nothing else is said."""
    answered = [*(words[0].casefold() == "yes" for words in parts[1:]), False][: len(parts)]
    return [words for words, yes in zip(parts, answered, strict=True) if yes or words[-1] != "?"] or parts


def _joined(found: re.Match[str], options: Mapping[str, str]) -> str:
    """A letter and its full stop, kept together with an option's text that follows."""
    letter = found[1].strip("(").upper()
    if letter not in options:
        return found[0]
    following = found.string[found.end() : found.end() + max(map(len, options.values())) + SLACK_CHARS]
    words = tokens(following)
    first = next((named for named in mentions(words, options) if not named.by_letter), None)
    if first is None or first.start > 1:
        return found[0]
    if first.letter != letter and _GOES_ON.match(" ".join(words[first.end :])):
        return found[0]  # "I wanted to say C. Burglary is what I see": two sentences
    return f"{found[1]} : "


def _listed(words: Sequence[str], options: Mapping[str, str]) -> str:
    """The letter of a line that is one line of the list of options ("B: Burglary"), else ""."""
    found = mentions(words, options)
    bare = len(found) == 2 and found[0].by_letter and not found[1].by_letter and found[0].letter == found[1].letter
    alone = bare and found[0].start <= 1 and not any(w[0].isalnum() for w in words[found[1].end :])
    return found[0].letter if alone else ""
