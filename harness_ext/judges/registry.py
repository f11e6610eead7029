"""Judges by name. A name is a function with typed keywords as options; its module is imported when it is asked for."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Final

from pydantic import ConfigDict, ValidationError, validate_call

from harness_ext.errors import UserError
from harness_ext.judges.batch import BatchJudge, OneByOne
from harness_ext.judges.rules import RuleJudge

JUDGES: Final[Mapping[str, str]] = {
    "rules": "harness_ext.judges.registry:rules",
    "llm": "harness_ext.judges.llm.api:llm_judge",
    "llm-local": "harness_ext.judges.llm.local:local_judge",
    "classifier": "harness_ext.judges.classifier.judge:classifier_judge",
    "paper": "harness_ext.judges.classifier.paper:paper_judge",
}


def rules() -> BatchJudge:
    """The rule judge, which needs nothing but the answer."""
    return OneByOne(RuleJudge())


def open_judge(name: str, options: Mapping[str, str]) -> BatchJudge:
    """The judge of that name, ready to read.

    Args:
        name: One of ``JUDGES``.
        options: Its keywords, as text; they are read as the types that its function states.

    Raises:
        UserError: There is no such judge, or not with these options; or it cannot be loaded.
    """
    if name not in JUDGES:
        raise UserError(f"no judge is named {name!r}; expected one of {', '.join(JUDGES)}")
    module, function = JUDGES[name].split(":")
    make: Callable[..., BatchJudge] = getattr(importlib.import_module(module), function)
    known = inspect.signature(make).parameters
    if unknown := sorted(options.keys() - known.keys()):
        raise UserError(f"judge {name}: no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    try:
        return validate_call(config=ConfigDict(arbitrary_types_allowed=True))(make)(**options)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"judge {name}, {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
