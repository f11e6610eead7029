"""UnsafeConcepts and the safe images, made up."""

from gated_copies import copies, gated  # noqa: F401
