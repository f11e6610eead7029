"""What is asked: the taxonomy, the questions, the splits, and the sources of the rows."""

from typing import Final

# The two sources of rows. Every task's name begins with its source's, so these also tell our tasks from the harness's own.
SOURCES: Final = ("unsafeconcepts", "glyphworld")
