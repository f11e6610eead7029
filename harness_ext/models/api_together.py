"""Asking one server several things at a time, from code that is not asynchronous."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from harness_ext.models.api_client import ChatClient, Server

_Item = TypeVar("_Item")
_Given = TypeVar("_Given")


def several_at_a_time(
    server: Server, items: Iterable[_Item], ask: Callable[[ChatClient, _Item], Coroutine[Any, Any, _Given]]
) -> Iterator[tuple[_Item, _Given]]:
    """Each item with what ``ask`` gives for it, as it comes; as many under way as the server's ``concurrency``.

    Another item is begun when one was taken: what is written before the next one is asked for is never lost. Raises what
    ``ask`` raises, after all that was given by then.
    """
    with asyncio.Runner() as runner:
        client = ChatClient(server)
        under_way: dict[asyncio.Task[_Given], _Item] = {}
        waiting = iter(items)
        try:
            while True:
                for item in itertools.islice(waiting, server.concurrency - len(under_way)):
                    under_way[runner.get_loop().create_task(ask(client, item))] = item
                if not under_way:
                    return
                try:
                    runner.run(asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED))
                finally:
                    # Ctrl-C too: what was answered by then is kept. What ends the run comes last.
                    done = [task for task in under_way if task.done()]
                    for task in sorted(done, key=lambda task: task.exception() is not None):
                        yield under_way[task], task.result()
                        del under_way[task]
        finally:
            runner.run(_leave(client, under_way))
            client.tell()


async def _leave(client: ChatClient, under_way: Mapping["asyncio.Task[Any]", object]) -> None:
    """Break off what is under way, and wait until it is."""
    for task in under_way:
        task.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)
    await client.close()
