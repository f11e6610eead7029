"""The memory that a run needs on each GPU, before it starts."""
