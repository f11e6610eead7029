"""Whether an answer names what is shown."""

import re
from functools import lru_cache

from harness_ext.judges.rules.aliases import renamed
from harness_ext.judges.rules.options import mentions, tokens, variants


@lru_cache(maxsize=100_000)
def names(text: str, concept: str) -> bool:
    """Whether ``text`` names ``concept``: its name in any inflection or order of its words, or what it is also called.

    A name that is only denied ("it does not show a noose") counts too.
    """
    # Under a key that is no letter, by which an option could be named.
    only = {"": concept}
    said = renamed(text, only)
    # A stem is the beginning of its word, so most texts need no closer look.
    letters = re.sub(r"\W", "", said.casefold())
    if not any(all(stem in letters for stem in variant) for variant in variants(concept)):
        return False
    return bool(mentions(tokens(said), only))
