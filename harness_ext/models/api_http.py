"""The connection to a server that may be anybody's: a reply has a size and an end, and what is sent goes to no other host."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import httpx2
import openai

from harness_ext.models.api_reply import TooMuchError

# Bytes of a reply, unpacked. An answer of 100,000 tokens has less than one MiB.
MOST_BYTES: Final = 2**24
# No longer true of the bytes that were read. A charset could name a codec that unpacks (zlib) or computes (punycode); JSON is
# UTF-8.
_OF_THE_WIRE: Final = (b"content-encoding", b"content-length", b"transfer-encoding", b"content-type")


class BoundedClient(openai.DefaultAsyncHttpxClient):
    """A client for openai's that reads each reply whole, within ``seconds`` and ``MOST_BYTES``, and follows no redirect.

    ``examine`` is given each reply before openai's client is; what it raises is the request's error.
    """

    def __init__(self, seconds: float, examine: Callable[[httpx2.Response], None]) -> None:
        super().__init__(follow_redirects=False)
        self._seconds, self._examine = seconds, examine

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """The reply to ``request``, read.

        Raises:
            TooMuchError: It has more than ``MOST_BYTES``.
            httpx2.ReadTimeout: It did not end in time.
        """
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._read(request, {**options, "stream": True})
        except TimeoutError:
            raise httpx2.ReadTimeout("the answer does not end", request=request) from None
        self._examine(response)
        return response

    async def _read(self, request: httpx2.Request, options: dict[str, Any]) -> httpx2.Response:
        response = await super().send(request, **options)
        content = bytearray()
        try:
            async for part in response.aiter_bytes():
                content += part
                if len(content) > MOST_BYTES:
                    raise TooMuchError(f"the server sent more than {MOST_BYTES // 2**20} MiB")
        finally:
            await response.aclose()
        headers = httpx2.Headers([each for each in response.headers.raw if each[0].lower() not in _OF_THE_WIRE])
        return httpx2.Response(response.status_code, headers=headers, content=bytes(content), request=request)
