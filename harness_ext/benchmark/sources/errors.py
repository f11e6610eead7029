"""The error of a source that is missing, out of reach, or not what it should be."""

from harness_ext.errors import UserError


class SourceError(UserError):
    """What is wrong with a source, and what to do instead: at most two lines, whatever the texts hold."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(" ".join(problem.split()), " ".join(remedy.split()))

    def __str__(self) -> str:
        return "\n".join(line for line in self.args if line)
