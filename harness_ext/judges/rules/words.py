"""Lists of words, written as one writes them."""


def word_set(listed: str) -> frozenset[str]:
    """The words of ``listed``, which blanks separate."""
    return frozenset(listed.split())
