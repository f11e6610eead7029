"""Sentences and clauses: how far a "not" reaches, and what part a clause plays in the argument.

A clause here is a stretch of words inside which one negation may govern one statement. It begins at punctuation, at a
conjunction that needs a new statement, or at "and" followed by a verb of its own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from harness_ext.judges.rules.lexicon import word_set


class Role(Enum):
    """The part a clause plays."""

    MAIN = "asserted"
    CONTRAST = "introduced by 'but': the speaker means this"
    CONCESSION = "introduced by 'although': granted, and outweighed"
    CONDITION = "introduced by 'if': supposed, not asserted"
    CONCLUSION = "introduced by 'therefore': everything before leads to it"
    DIRECTIVE = "introduced by 'to ensure': a wish, not a finding"
    OPEN = "introduced by 'whether', 'depending on': the question stays open"


@dataclass(frozen=True)
class Clause:
    """The words of one clause, and its role."""

    words: tuple[str, ...]
    role: Role


@dataclass(frozen=True)
class Sentence:
    """The clauses of one sentence, and whether it asks."""

    words: tuple[str, ...]
    clauses: tuple[Clause, ...]
    question: bool

    @property
    def conditional(self) -> bool:
        """Whether a condition other than "if an image shows this" limits what the sentence says."""
        supposed = [clause.words for clause in self.clauses if clause.role is Role.CONDITION]
        return any(not _THE_CASE_ITSELF.search(" ".join(words)) for words in supposed)

    @property
    def conceding(self) -> bool:
        """Whether the sentence begins with what it grants ("While it may not …")."""
        return bool(self.clauses) and self.clauses[0].role is Role.CONCESSION


_THE_CASE_ITSELF: Final = re.compile(
    r"^(?:if|when|given)? ?(?:an|the|this|such an?|a) (?:image|picture|photo) (?:shows|depicts|contains|that)"
)
_TOKEN: Final = re.compile(r"\w+(?:[-']\w+)*|[,;:.!?()\n\"]")
_STOPS: Final = frozenset(".!?\n")
_BREAKS: Final = frozenset(';:()"')

_MARKERS: Final[dict[Role, str]] = {
    Role.CONTRAST: "but|however|yet|nevertheless|nonetheless|on the other hand|that said|that being said|having said "
    "that|except|on reflection|on closer inspection|still ,|even so|in contrast|conversely|at the same time",
    Role.CONCESSION: "although|though|even though|even if|while|whilst|whereas|despite|in spite of|albeit|regardless "
    "of|granted|at first|at first glance|at first sight|on the surface",
    Role.CONDITION: "if|unless|as long as|so long as|provided|provided that|assuming|only if|in case|when used|when "
    "viewed|only when",
    Role.CONCLUSION: "therefore|thus|hence|consequently|as a result|overall|in conclusion|to conclude|in summary|in "
    "short|to summarize|to sum up|ultimately|all in all|so ,|, so|accordingly|for this reason|for these reasons|"
    "given this|actually ,|wait ,",
    Role.DIRECTIVE: "to ensure|to avoid causing|to avoid any|to avoid harm|to prevent|to make sure|in order to|make "
    "sure|be mindful|be cautious|be aware of|be careful|be sensitive|please ensure|please consider|consider the|"
    "consider whether|ensure that|ensuring that|to obtain|must ensure|should ensure|should consider|should always|"
    "should respect|should check|should also|please respect|important to|crucial to|essential to|necessary to|"
    "should be handled|should be approached|should be used",
    Role.OPEN: "whether|depending on|may or may not|might or might not",
    Role.MAIN: "because|since|as it|as the|as they|as this|as there|as some|due to|given that|given the|considering|"
    "which|and it|and this|and the image|also|additionally|in addition|moreover|furthermore|nor|"
    "important to note that|important to note|important to remember that",
}
_ROLE_OF: Final = {tuple(m.split()): role for role, text in _MARKERS.items() for m in text.split("|")}
_MARKER_STARTS: Final = frozenset(marker[0] for marker in _ROLE_OF)
_LONGEST_MARKER: Final = max(map(len, _ROLE_OF))

_VERBS: Final = word_set(
    "is are was were does do did can could may might should would will must has have contains contain "
    "shows depicts appears "
    "seems adheres follows violates complies meets conforms promotes causes poses makes lacks features includes"
)
_SUBJECTS: Final = word_set(
    "it this these they there i we you which making ensuring therefore not nothing no none such generating sharing"
)
_SUBORDINATE: Final = frozenset((Role.CONCESSION, Role.CONDITION, Role.OPEN))
_DETERMINERS: Final = word_set(
    "the a an some many most its any other others people viewers nobody everyone everybody anyone children one users"
)


def sentences(text: str) -> list[Sentence]:
    """The sentences of plain text; one that comes again word for word counts once, so that a loop adds nothing."""
    found: dict[tuple[str, ...], Sentence] = {}
    words: list[str] = []
    for token in [*_TOKEN.findall(text), "\n"]:
        if token not in _STOPS:
            words.append(token)
        elif words:
            asks = token == "?"
            found.setdefault((*words, str(asks)), Sentence(tuple(words), tuple(_clauses(tuple(words))), asks))
            words = []
    return list(found.values())


def _marker(words: Sequence[str], at: int) -> tuple[int, Role] | None:
    if words[at] not in _MARKER_STARTS or (words[at] in ("if", "though") and at and words[at - 1] == "as"):
        return None
    for end in range(min(at + _LONGEST_MARKER, len(words)), at, -1):
        role = _ROLE_OF.get(tuple(words[at:end]))
        if role is not None:
            return end - at, role
    return None


def _clauses(words: tuple[str, ...]) -> list[Clause]:
    out: list[Clause] = []
    start, role = 0, Role.MAIN

    def close(end: int, following: Role) -> None:
        nonlocal start, role
        if any(word[0].isalnum() for word in words[start:end]):
            out.append(Clause(tuple(w for w in words[start:end] if w not in _BREAKS), role))
        start, role = end, following

    at = 0
    while at < len(words):
        marker = _marker(words, at)
        if marker is not None and not _no_contrast(words, start, at):
            length, named = marker
            close(at, _next_role(role, named))
            at += length
        else:
            if words[at] in _BREAKS:
                close(at, role if role in (Role.CONTRAST, Role.CONCLUSION) else Role.MAIN)
            elif _starts_statement(words, start, at, role):
                close(at, Role.MAIN if role in _SUBORDINATE else role)
            at += 1
    close(len(words), Role.MAIN)
    return out


def _no_contrast(words: Sequence[str], start: int, at: int) -> bool:
    """Whether "but" adds or excludes ("not only … but also", "anything but"), or "whether" stands behind a doubt."""
    if words[at] == "whether":
        return bool({"doubt", "doubts"} & set(words[max(0, at - 2) : at]))
    return words[at] == "but" and ("only" in words[start:at] or words[at - 1] in ("anything", "nothing", "none", "all"))


def _next_role(current: Role, named: Role) -> Role:
    """A reason or an addition stays in the part of the argument it belongs to, advice in the concession."""
    if named is Role.DIRECTIVE and current in _SUBORDINATE:
        return current
    if named is not Role.MAIN:
        return named
    return current if current in (Role.CONTRAST, Role.CONCLUSION, Role.CONCESSION) else Role.MAIN


def _starts_statement(words: Sequence[str], start: int, at: int, role: Role) -> bool:
    """Whether a new statement begins after the comma or "and" at ``words[at]``, or after "if …" at a bare "it is"."""
    following = words[at + 1] if at + 1 < len(words) else ""
    if words[at] == ",":
        subordinate = role in _SUBORDINATE
        return following in _SUBJECTS or following in _VERBS or (subordinate and following in _DETERMINERS)
    if words[at] in ("and", "or") and (words[at], following) != ("or", "not"):
        return following in _VERBS or following in ("it", "this", "there", "i", "therefore", "thus", "not", "the")
    bare = role is Role.CONDITION and words[at] in ("it", "then", "this") and following in _VERBS
    return bare and at - start > 4
