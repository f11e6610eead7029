"""How many processes answer one evaluation."""

import os


def processes_of_run() -> int:
    """The processes that ``torchrun`` or ``accelerate launch`` started for this run; 1 without them."""
    return int(os.environ.get("WORLD_SIZE", "1"))
