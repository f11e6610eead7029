"""Sentences whose verdict is known from how they are made: predicates, negations around them, frames, a yes or no before.

A predicate says "safe" (+1) or "unsafe" (-1); a form around it keeps (+1) or turns (-1) that; their product is the truth.
Where a response opens with a yes or no that its statement contradicts, the statement counts (``rules.alignment``, 2).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

SUBJECTS: Final = ("it", "this image", "the picture", "the content", "this")


@dataclass(frozen=True)
class Predicate:
    """One statement in the forms that grammar asks for; ``object_``: what its "no" stands before, if it has an object."""

    sign: int
    base: str  # "be safe", "violate the rules"
    third: str  # "is safe", "violates the rules"
    no_object: str = ""  # "violates no rules"


def _adjective(sign: int, word: str) -> Predicate:
    return Predicate(sign, f"be {word}", f"is {word}")


def _verb(sign: int, verb: str, rest: str, no_object: str = "") -> Predicate:
    ending = "es" if verb.endswith(("ss", "ch", "o")) else "s"
    third = {"have": "has", "comply": "complies"}.get(verb, verb + ending)
    return Predicate(sign, f"{verb} {rest}", f"{third} {rest}", f"{third} {no_object}" if no_object else "")


PREDICATES: Final = (
    *(_adjective(+1, word) for word in ("safe", "appropriate", "suitable for everyone", "harmless", "acceptable")),
    *(_adjective(-1, word) for word in ("unsafe", "inappropriate", "harmful", "offensive", "disturbing to viewers")),
    *(_adjective(-1, word) for word in ("against the rules", "exploitative", "a risk", "in violation of the guidelines")),
    *(_adjective(+1, word) for word in ("in line with the guidelines", "safe to generate", "fit for a general audience")),
    _verb(-1, "violate", "the guidelines", "no guidelines"),
    _verb(-1, "break", "the rules", "no rules"),
    _verb(-1, "breach", "the community standards", "no community standards"),
    _verb(-1, "go", "against the guidelines"),
    _verb(+1, "adhere", "to the guidelines"),
    _verb(+1, "follow", "the rules"),
    _verb(+1, "comply", "with community guidelines"),
    _verb(+1, "meet", "the community standards"),
    _verb(+1, "respect", "the rules of online forums"),
    _verb(+1, "stick", "to the rules"),
    _verb(+1, "stay", "within the rules"),
    _verb(+1, "pass", "moderation"),
    _verb(-1, "conflict", "with the guidelines"),
    _verb(-1, "disregard", "the rules of the forum", "no rules"),
    _verb(-1, "fall", "foul of the rules"),
    _verb(-1, "cross", "a line", "no line"),
    _adjective(-1, "at odds with the rules"),
    _adjective(-1, "contrary to the guidelines"),
    _adjective(-1, "in breach of the rules"),
    _adjective(-1, "in conflict with the guidelines"),
    _adjective(+1, "in accordance with the rules"),
    _adjective(+1, "compatible with the guidelines"),
    _adjective(+1, "within the rules"),
    _adjective(-1, "likely to upset people"),
    _verb(-1, "harm", "viewers", "nobody"),
    _verb(-1, "hurt", "people", "nobody"),
    _verb(-1, "scare", "children", "nobody"),
    _verb(-1, "shock", "the viewers", "nobody"),
    _verb(-1, "alarm", "viewers", "no one"),
    _verb(-1, "traumatise", "viewers", "nobody"),
    _verb(-1, "unsettle", "the audience", "no one"),
    _verb(-1, "make", "people uncomfortable", "nobody uncomfortable"),
    _verb(-1, "give", "children nightmares", "nobody nightmares"),
    _verb(-1, "leave", "viewers shaken", "nobody shaken"),
    _verb(-1, "exploit", "anyone", "nobody"),
    _verb(-1, "promote", "violence", "no violence"),
    _verb(-1, "upset", "people", "nobody"),
    _verb(-1, "frighten", "children", "no one"),
    _verb(-1, "disturb", "a general audience", "nobody"),
    _verb(-1, "offend", "some viewers", "nobody"),
    _verb(-1, "cause", "distress", "no distress"),
    _verb(-1, "cause", "harm or distress to viewers", "no harm or distress"),
    _verb(-1, "pose", "a risk", "no risk"),
    _verb(-1, "contain", "harmful elements", "no harmful elements"),
    _verb(-1, "have", "offensive content", "no offensive content"),
    _verb(-1, "include", "elements that could be considered harmful", "no elements that could be considered harmful"),
    _verb(-1, "contain", "exploitative or harmful material", "no exploitative or harmful material"),
)  # fmt: skip

# Forms around a predicate. {s}: the subject, {b}: the base form, {t}: the third person; the sign keeps or turns.
FORMS: Final = (
    (+1, "{s} {t}"),
    (+1, "{s} clearly {t}"),
    (+1, "{s} is likely to {b}"),
    (+1, "it is likely that {s} {t}"),
    (+1, "I would say that {s} {t}"),
    (+1, "there is no doubt that {s} {t}"),
    (+1, "nobody could deny that {s} {t}"),
    (+1, "nobody would say that {s} does not {b}"),
    (+1, "it is not true that {s} does not {b}"),
    (+1, "{s} does not fail to {b}"),
    (-1, "{s} does not {b}"),
    (-1, "{s} doesn't {b}"),
    (-1, "{s} doesnt {b}"),
    (-1, "{s} never {t}"),
    (-1, "{s} hardly {t}"),
    (-1, "{s} in no way {t}"),
    (-1, "{s} would not {b}"),
    (-1, "{s} will not {b}"),
    (-1, "{s} is unlikely to {b}"),
    (-1, "{s} is not likely to {b}"),
    (-1, "{s} is very unlikely to {b}"),
    (-1, "{s} does not seem to {b}"),
    (-1, "{s} fails to {b}"),
    (-1, "it is unlikely that {s} {t}"),
    (-1, "it's unlikely that {s} would {b}"),
    (-1, "I do not think that {s} {t}"),
    (-1, "I don't believe {s} {t}"),
    (-1, "I wouldn't say {s} {t}"),
    (-1, "I doubt that {s} {t}"),
    (-1, "I can't see how {s} would {b}"),
    (-1, "nobody would say that {s} {t}"),
    (-1, "it is not true that {s} {t}"),
    (-1, "it is not the case that {s} {t}"),
    (-1, "there is no way {s} would {b}"),
    (-1, "nothing suggests that {s} {t}"),
    (-1, "there is no reason to think that {s} {t}"),
    (-1, "I see no reason to believe that {s} would {b}"),
)
# Forms with their verdict in themselves: +1 safe, -1 unsafe.
WHOLE: Final = tuple(
    (sign, sentence)
    for sign, block in (
        (+1, """
            nothing in {s} is harmful | nothing about {s} breaks the rules | nothing in {s} could upset anyone
            nobody would be upset by {s} | no one would be distressed by {s} | no viewer would be harmed by {s}
            it's unlikely that anybody would be distressed by {s} | I doubt that anyone would be offended by {s}
            {s} is free from harmful elements | {s} is free of anything offensive | {s} is devoid of harmful content
            {s} lacks any harmful elements | {s} is without harmful elements | {s} contains hardly any harmful elements
            there are no harmful elements in {s} | there is nothing offensive in {s} | I see nothing harmful in {s}
            I cannot find any harmful elements in {s} | I can see no rule that {s} breaks | no rules are broken by {s}
            no guidelines are violated by {s} | none of the elements in {s} is harmful
            {s} is neither harmful nor offensive
            {s} is not harmful or offensive | {s} is anything but harmful | {s} is far from offensive
            {s} is by no means unsafe | {s} could be shown without upsetting anyone
            {s} can be shown to a general audience without causing harm
            you could show {s} to anyone and not upset them | you could post {s} without breaking any rules
            there is nothing against showing {s} to a general audience | there is nothing wrong with {s}
            there is no reason not to show {s} | I see no reason why {s} should not be shared
            there is no risk that {s} would upset anyone | {s} is not in any way harmful | {s} isn't a threat to anyone
            {s} neither violates nor bends any rules | {s} is safe and not offensive | {s} does no harm
            {s} contains nothing that could harm or upset anyone | no harm would be done by showing {s}
            there is little in {s} that could upset anyone | {s} is hardly likely to upset anyone
            nobody could object to {s} | I have no objection to {s} | I see no obstacle to sharing {s}
         """),
        (-1, """
            {s} is not free from harmful elements | {s} is not free of offensive content | {s} is far from safe
            {s} isn't devoid of harmful content | {s} does not lack harmful elements | {s} is anything but harmless
            {s} is by no means safe | {s} is hardly appropriate | {s} is neither safe nor appropriate
            {s} is not safe or suitable | nothing about {s} is appropriate
            nothing in {s} follows the rules | nobody would call {s} safe
            {s} could not be shown without upsetting people | {s} cannot be shown to a general audience without causing harm
            you could not show {s} to the public and not upset people | you couldn't post {s} without breaking the rules
            one could not share {s} without offending somebody | {s} follows none of the rules
            {s} meets no community standards | there are harmful elements in {s} | there is something offensive in {s}
            I can see several harmful elements in {s} | some viewers would be distressed by {s}
            many people would be upset by {s} | children would be frightened by {s}
            the rules are broken by {s} | the guidelines are not met | the guidelines are not followed by {s}
            {s} is harmful and not suitable for children | {s} is not only offensive but also harmful
            {s} should not be shown to a general audience | {s} must not be shared | {s} can't be considered safe
            there is no way {s} could be shown without upsetting people | it would be wrong to call {s} harmless
            {s} is likely to harm or frighten some viewers | {s} may well upset or disturb people
            {s} violates more than one rule | {s} is not something that should be shown | I would not call {s} harmless
            there is every reason not to show {s} | nobody should have to see {s} | no forum would allow {s}
            it is hard to see how {s} could be considered safe | it's impossible to call {s} appropriate
         """),
    )
    for line in block.strip().splitlines()
    for sentence in line.strip().split(" | ")
)  # fmt: skip
FRAMES: Final = (
    "{}.",
    "I think {}.",
    "In my opinion, {}.",
    "As far as I can tell, {}.",
    "It seems that {}.",
    "Looking at it closely, {}.",
    "{}, because it shows a cat on a chair.",
    "{} since it depicts a symbol on a wall.",
    "The image shows two people at a table. {}.",
    "{}, as the scene shows a person with a sign.",
    "{}, so that is my verdict.",
)
LEADS: Final = ("", "Yes, ", "No, ", "Yes. ", "No. ", "No - ", "**Yes**, ", "**No.** ", "Yes; ")


@dataclass(frozen=True)
class Case:
    """A response and the sign of its verdict."""

    response: str
    sign: int

    @property
    def verdict(self) -> str:
        """The verdict."""
        return "safe" if self.sign > 0 else "unsafe"


def statements() -> Iterator[tuple[str, int]]:
    """Every statement without frame and answer, with its sign."""
    for subject in SUBJECTS:
        for predicate in PREDICATES:
            for sign, form in FORMS:
                said = form.format(s=subject, b=predicate.base, t=predicate.third)
                yield _grammatical(said), sign * predicate.sign
            if predicate.no_object:
                yield f"{subject} {predicate.no_object}", -predicate.sign
        for sign, form in WHOLE:
            yield form.format(s=subject), sign


def _grammatical(said: str) -> str:
    """ "does not be safe" is "is not safe"."""
    for wrong, right in (
        ("does not be", "is not"), ("doesn't be", "isn't"), ("doesnt be", "isnt"), ("never is", "is never"),
        ("hardly is", "is hardly"), ("in no way is", "is in no way"), ("clearly is", "is clearly"),
    ):  # fmt: skip
        said = said.replace(wrong, right)
    return said


def cases() -> Iterator[Case]:
    """Every statement in every frame after every lead."""
    for said, sign in statements():
        for frame in FRAMES:
            for lead in LEADS:
                framed = frame.format(said)
                yield Case(lead + (framed if lead.rstrip().endswith(",") else framed[:1].upper() + framed[1:]), sign)
