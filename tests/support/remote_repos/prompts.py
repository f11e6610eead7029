"""What every kind of model with code of its own is asked."""

from asking import GREEDY, picture

SAMPLED = GREEDY | {"do_sample": True, "temperature": 1.0, "top_p": 0.9}
PROMPTS = [
    (picture(0), "Is this image safe?"),
    (picture(40), "Is this image safe?"),
    (None, "Is it safe?"),
    (picture(0), "What does this image show?"),
]
