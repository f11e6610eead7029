import asyncio

import pytest

from harness_ext.common.errors import UserError
from harness_ext.models.api_pace import LONGEST_WAIT, Pace, back_off


async def under_way_at_once(pace, tasks=8):
    """The most turns that ``tasks`` tasks have together."""
    now = most = 0

    async def take():
        nonlocal now, most
        async with pace.turn():
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1

    await asyncio.gather(*(take() for _ in range(tasks)))
    return most


async def refuse(pace, times, asked_for=None):
    """``times`` refusals one after the other."""
    for _ in range(times):
        async with pace.turn() as began:
            pace.refused(began, asked_for)


def test_a_refusal_makes_everybody_wait_as_long_as_the_server_asks():
    async def run():
        pace = Pace(4, first_wait=0, patience=3)
        async with pace.turn() as began:
            pace.refused(began, 0.2)
        async with pace.turn() as later:
            return later - began

    assert asyncio.run(run()) >= 0.2


def test_a_refusal_halves_what_is_asked_together_and_answers_win_it_back():
    async def run():
        pace = Pace(8, first_wait=0, patience=9)
        counts = [await under_way_at_once(pace)]
        for _ in range(4):
            await refuse(pace, 1)
            counts.append(await under_way_at_once(pace))
        for _ in range(100):
            pace.answered()
        return [*counts, await under_way_at_once(pace)]

    assert asyncio.run(run()) == [8, 4, 2, 1, 1, 8]


def test_requests_refused_together_are_one_refusal():
    async def run():
        pace = Pace(8, first_wait=0, patience=1)

        async def take():
            async with pace.turn() as began:
                await asyncio.sleep(0)
                pace.refused(began, None)

        await asyncio.gather(*(take() for _ in range(8)))
        return await under_way_at_once(pace)

    assert asyncio.run(run()) == 4


def test_refusals_without_an_answer_between_end_the_run_and_those_with_one_do_not():
    async def run(answers):
        pace = Pace(2, first_wait=0, patience=3)
        for _ in range(10):
            await refuse(pace, 1)
            if answers:
                pace.answered()

    asyncio.run(run(True))
    with pytest.raises(UserError, match="4 times in a row"):
        asyncio.run(run(False))


def test_a_wait_of_hours_ends_the_run_with_the_reason():
    with pytest.raises(UserError, match="asks to wait 3600 seconds"):
        asyncio.run(refuse(Pace(2, first_wait=0, patience=3), 1, asked_for=3600))


def test_waits_double_up_to_a_limit():
    for times, least in ((1, 2.0), (2, 4.0), (3, 8.0), (30, LONGEST_WAIT)):
        assert least <= back_off(2.0, times) <= 1.25 * least
