"""Whether an answer names what is shown."""

from functools import lru_cache

from harness_ext.judges.rules.aliases import renamed
from harness_ext.judges.rules.options import mentions, tokens


@lru_cache(maxsize=100_000)
def names(text: str, concept: str) -> bool:
    """Whether ``text`` names ``concept``: its name in any inflection or order of its words, or what it is also called.

    A name that is only denied ("it does not show a noose") counts too.
    """
    # Under a key that is no letter, by which an option could be named.
    only = {"": concept}
    return bool(mentions(tokens(renamed(text, only)), only))
