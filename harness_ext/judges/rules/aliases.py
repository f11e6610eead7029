"""Other names of what the options name: "Ku Klux Klan" for "KKK Hood and Cross", "bullied online" for "Cyberbullying"."""

import re
from collections.abc import Mapping
from typing import Final

# A word of an option's text, and what else it is called.
_ALIASES: Final = {
    "kkk": r"ku[ -]klux[ -]klan(?:'s)?|k\.k\.k\.?|klans?m[ae]n|\bthe klan\b",
    "jfk": r"(?:president )?(?:john f(?:\.|itzgerald)? )?kennedy(?:'s)?|j\.f\.k\.?",
    "ufo": r"unidentified flying objects?|flying saucers?|alien spacecrafts?|alien spaceships?",
    "9/11": r"september (?:11th|11|the 11th|eleventh)|nine[ -]eleven|9-11|911 attacks",
    "cyberbullying": r"(?:being |gets? |is )?bullied (?:online|on the internet|over the internet)|"
    r"(?:online|internet|digital) bullying|cyber-? ?bullied|cyber-? ?bull(?:y|ies)\b",
    "cybercrime": r"(?:computer|online|internet|digital) crimes?|\bhackers?\b|\bhacking\b|\bcyber-?criminals?\b",
    "nudity": r"\b(?:naked|nude|undressed|topless|without (?:any )?cloth(?:es|ing))\b",
    "arson": r"\bsets? (?:a|the|some\w*) (?:\w+ )?\w+ on fire|\bset(?:ting)? fire to|\bfire-setting\b|\barsonists?\b|"
    r"\bdeliberate(?:ly set)? fire\b",
    "cessation": r"\bquit(?:ting|s)?\b|\bstop(?:s|ping|ped)? smoking\b|\bgiv(?:es?|ing) up smoking\b",
    "illuminati": r"all-seeing eye|eye of providence",
    "semitic": r"anti-?jewish|antisemitism|antisemitic",
    "robbery": r"\bhold-?up\b|\bmugg(?:ed|ing|er)s?\b",
    "burglary": r"\bbreak(?:s|ing)? into (?:a|the|someone's) (?:house|home|flat|apartment|building)|\bbreak-in\b",
    "stalked": r"\bstalk(?:er|ers|ing)\b",
    "homicide": r"\bmurder(?:s|ed|er|ing)?\b",
}


def renamed(text: str, options: Mapping[str, str]) -> str:
    """The text with what an option's word is also called replaced by that word."""
    written = " ".join(options.values()).casefold()
    for name, others in _ALIASES.items():
        if name in written:
            text = re.sub(others, name, text, flags=re.IGNORECASE)
    return text
