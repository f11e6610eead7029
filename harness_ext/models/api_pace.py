"""How fast a server is asked: where it says that it is asked too often, everybody waits, and then fewer ask at a time.

The number of requests under way grows by about one for every round of answers and is halved by a refusal (additive increase,
multiplicative decrease: Chiu and Jain, 1989), so that a rate-limited server is asked about as often as it allows.
"""

import asyncio
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from loguru import logger

from harness_ext.common.errors import UserError

# The longest wait of our own making, and the longest that a server may ask for before the run ends instead, in seconds.
LONGEST_WAIT: Final = 60.0
LONGEST_ASKED_FOR: Final = 600.0
# The most that a wait is drawn out by chance, so that several processes do not come back at the same moment.
_SPREAD: Final = 0.25


def back_off(first: float, times: int) -> float:
    """Seconds to wait before trying again, after ``times`` tries: ``first``, doubled for each further one."""
    return min(LONGEST_WAIT, first * 2.0 ** (times - 1)) * random.uniform(1, 1 + _SPREAD)


class Pace:
    """Turns at asking one server, within one event loop.

    Args:
        most: Requests under way at a time, at most.
        first_wait: Seconds of the first wait of our own making, where the server names none.
        patience: Refusals in a row, with not one answer between them, before the run ends.
    """

    def __init__(self, most: int, first_wait: float, patience: int) -> None:
        self._most, self._first_wait, self._patience = most, first_wait, patience
        self._allowed = float(most)
        self._under_way = 0
        self._free = asyncio.Condition()
        self._refused_at, self._opens_at = -math.inf, -math.inf
        self._in_a_row = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """A turn at asking, once it is due; gives the time at which it began, for :meth:`refused`."""
        async with self._free:
            await self._free.wait_for(lambda: self._under_way < int(self._allowed))
            self._under_way += 1
        try:
            while (wait := self._opens_at - _now()) > 0:
                await asyncio.sleep(wait)
            yield _now()
        finally:
            self._under_way -= 1
            async with self._free:
                self._free.notify_all()

    def answered(self) -> None:
        """The server answered."""
        self._in_a_row = 0
        self._allowed = min(self._most, self._allowed + 1 / self._allowed)

    def refused(self, began: float, asked_for: float | None) -> None:
        """The server said that it is asked too often, in a turn that ``began`` then, and maybe to wait so many seconds.

        Raises:
            UserError: It said so too many times in a row, or asks to wait too long.
        """
        if asked_for is not None and asked_for > LONGEST_ASKED_FOR:
            raise UserError(
                f"the server asks to wait {asked_for:.0f} seconds before it answers again; what it answered is kept, and "
                "the same command goes on from there then"
            )
        again = began >= self._refused_at
        if again:
            # Else it is of the turns that were under way together and are refused together: that is one refusal.
            self._refused_at = _now()
            self._in_a_row += 1
            self._allowed = max(1.0, self._allowed / 2)
        if self._in_a_row > self._patience:
            raise UserError(
                f"the server said {self._in_a_row} times in a row that it is asked too often, and answered nothing between; "
                "what it answered before is kept: run the same command later, or with concurrency=1"
            )
        wait = max(asked_for or 0.0, back_off(self._first_wait, self._in_a_row))
        self._opens_at = max(self._opens_at, _now() + wait)
        if again:
            logger.info(f"asked too often: no request for {wait:.1f} seconds, then {int(self._allowed)} at a time")


def _now() -> float:
    return asyncio.get_running_loop().time()
