from hypothesis import settings
from judged_answers import judge  # noqa: F401

# How long drawing takes depends on the machine and on what else runs on it.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
