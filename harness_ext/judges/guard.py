"""Reading a guard's answer, in the guard's own format (``harness_ext/models/guards/formats``).

No judge by name reads it: such a judge expects an answer to our questions, and would take a category's name for a reason, or
"unsafe" for what "yes" means. The envelope is not opened either, for it makes sentences of forms, and a form is the answer.
"""

from harness_ext.models.guards.form import READER, GuardFormat, format_in_force


def guard_asked() -> GuardFormat | None:
    """The format of the guard whose answers this process gets; ``None`` where it asks none."""
    return format_in_force()


def reader_of(form: GuardFormat) -> str:
    """What is written beside a verdict in the place of a judge."""
    return f"{READER}{form.name}"


def is_of_guard(judge: str) -> bool:
    """Whether a verdict was read in a guard's own format, by what is written beside it."""
    return judge.startswith(READER)
