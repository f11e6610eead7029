from collections.abc import Iterator

import pytest
from loguru import logger


@pytest.fixture
def told() -> Iterator[list[str]]:
    """What is logged as a warning."""
    messages: list[str] = []
    sink = logger.add(lambda message: messages.append(message.record["message"]), level="WARNING")
    yield messages
    logger.remove(sink)
