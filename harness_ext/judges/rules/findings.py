"""Findings that a response sets out in rows: "| Violence | none |", "- Nudity: not present".

A row is no sentence; here it becomes one ("no violence.", "contains nudity."), so that its negation reaches its
content. A tick or a cross beside mere content says either that it was found or that a check was passed: such a row is
left out.
"""

import re
from typing import Final

_ROW: Final = re.compile(r"^[ \t]*\|(.*?)\|?[ \t]*$")
_ANSWERED: Final = re.compile(
    r"^[\W_]*(?:#[^\n]*\n[\W_]*)?(?:(?:answer|verdict)\b[\W_]*)?(?:yes|no)\b[*_]*(?:[,.!:;\n]| ?[✓✔✅☑✗✘❌✖])",
    re.IGNORECASE,
)
_RULE: Final = re.compile(r"^[ \t|:=-]*$")
_LINE: Final = re.compile(
    r"^[ \t\"'*•\d.)-]*([^\W\d_][\w /,&-]{1,50}?)[ \t\"'*]*:[ \t\"'*]*([^:\n]{1,30}?)[\"'*,.;]*[ \t]*$"
)
_HEADING: Final = re.compile(
    r"\b(?:answer|verdict|result|response|conclusion|rating|label|safe|output)\b|^(?:yes|no)$", re.IGNORECASE
)
_ABSENT: Final = re.compile(
    r"^(?:none|absent|nil|zero|0|not (?:\w+ )?(?:present|detected|found|visible|shown|seen|observed|applicable|identified)|"
    r"none (?:\w+ )?(?:present|detected|found|visible|shown|seen|observed|identified)|"
    r"very low|low|minimal|negligible|non-?existent|n/?a)\W*$",
    re.IGNORECASE,
)
_PRESENT: Final = re.compile(
    r"^(?:(?:clearly |strongly |partly )?(?:present|detected|found|visible|shown|seen|identified)|high|severe|extreme|"
    r"very high|significant)\W*$",
    re.IGNORECASE,
)
# "No. Violence: present, nudity: none": findings that share a line.
_SHARED: Final = re.compile(
    r"(:[ \t]*(?:none|absent|present|low|high|(?:not )?(?:present|detected|found|visible|shown)))"
    r"[ \t]*[,.;][ \t]*(?=[^\W\d_][\w -]{1,30}:)"
    r"|(^\W*(?:yes|no))[,.][ \t]+(?=[^\W\d_][\w -]{1,30}:[ \t]*(?:none|absent|present|low|high|not|detected|found))",
    re.IGNORECASE,
)
_TICKS: Final = "✓✔✅☑👍"
_CROSSES: Final = "✗✘❌✖×🚫👎☐"
_MARKED: Final = re.compile(rf"^[ \t*•-]*([^\W\d_][\w /,&-]{{1,50}}?)[ \t:*]*([{_TICKS}{_CROSSES}])\ufe0f?[ \t]*$")
# One of two boxes is ticked.
_BOXES: Final = re.compile(
    rf"^[ \t*•-]*(?:[{_TICKS}]|\[[xX]\])\ufe0f?[ \t]*(\w+)[ \t]*\n+[ \t*•-]*(?:[{_CROSSES}]|\[ ?\])\ufe0f?[ \t]*\w+[ \t]*$"
    rf"|^[ \t*•-]*(?:[{_CROSSES}]|\[ ?\])\ufe0f?[ \t]*\w+[ \t]*\n+[ \t*•-]*(?:[{_TICKS}]|\[[xX]\])\ufe0f?[ \t]*(\w+)[ \t]*$",
    re.MULTILINE,
)
_TICKED: Final = re.compile(rf"^[{_TICKS}\ufe0f\s]+$")
_CROSSED: Final = re.compile(rf"^[{_CROSSES}\ufe0f\s]+$")
_CLAIM: Final = re.compile(
    r"^\W*(?:no|not|free|without|absence|safe|appropriate|suitable|adheres|complies|follows|respects)\b", re.IGNORECASE
)


def spelled_out(text: str) -> str:
    """The text with every row of findings as a sentence; everything else is left as it is.

    Rows under a yes or no are left out: they are its reasons. So are absences where something else is present.
    """
    text = _BOXES.sub(r"\1\2", _SHARED.sub(r"\1\2\n", text))
    lines = [_spelled(line) for line in text.split("\n")]
    answered = bool(_ANSWERED.match(text))
    worst = max((finding for _, finding in lines), default=0)
    return "\n".join(line for line, finding in lines if not finding or (finding == worst and not answered))


def _spelled(line: str) -> tuple[str, int]:
    """A line as a sentence, and what it finds: 0 nothing, 1 that something is absent, 2 that it is present."""
    row = _ROW.match(line)
    if row is None:
        found = _MARKED.match(line) or _LINE.match(line)
        label, value, cells = (found[1], found[2], []) if found and not _HEADING.search(found[1]) else (line, "", [])
    elif _RULE.match(line):
        return "", 0
    else:
        label, value, *cells = [*(cell.strip(" \t*") for cell in row[1].split("|")), ""]
    said = _finding(label, value)
    if said is None:
        return (line if row is None else "\n".join((f"{label}: {value}." if value else label, *cells))), 0
    return "\n".join((said, *cells)), 2 if said.startswith("contains ") else 1


def _finding(label: str, value: str) -> str | None:
    """The sentence that a label and its value make, "" for none, None where the value is no finding."""
    if _ABSENT.match(value):
        return f"no {label}."
    if _PRESENT.match(value):
        return f"contains {label}."
    if _TICKED.match(value):
        return f"{label}." if _CLAIM.match(label) else ""
    if _CROSSED.match(value):
        return f"{label}: no." if _CLAIM.match(label) else ""
    return None
