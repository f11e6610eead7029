"""What a model's files make this process compute ends."""

import re
import signal
import threading

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from harness_ext.common.errors import UserError
from harness_ext.common.time_limit import rendering, time_limit

LOOPS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def test_loops_and_backtracking_are_cut_off_and_said() -> None:
    template = ImmutableSandboxedEnvironment().from_string(LOOPS)
    for compute in (template.render, lambda: re.fullmatch("(a+)+b", "a" * 60)):
        with pytest.raises(UserError, match=r"the thing takes more than 0\.2 seconds"), time_limit("the thing", 0.2):
            compute()


@pytest.mark.parametrize("fault", ["1 // 0", "range(9999999)", "'a' * 10 ** 18", "nothing.at.all", "''.zebra()"])
def test_whatever_a_template_raises_is_one_error(fault: str) -> None:
    template = ImmutableSandboxedEnvironment().from_string(f"{{% set x = {fault} %}}")
    with pytest.raises(ValueError, match=r"^\w+Error"), rendering("the thing"):
        template.render()


def test_nothing_is_left_of_it() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit("quick", 30):
        pass
    assert signal.getsignal(signal.SIGALRM) == before and signal.getitimer(signal.ITIMER_REAL)[0] == 0
    done: list[int] = []

    def elsewhere() -> None:
        with time_limit("not limited", 30):
            done.append(1)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert done == [1]
