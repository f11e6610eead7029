"""Asking the stub of ``api_stub`` through the backend for APIs, without waiting long for anything."""

from pathlib import Path

from api_stub import MODEL, ApiStub, Asked, answer_to
from asking import Prompt, picture

from harness_ext.models.api import OpenAICompatible

SAMPLED = {"max_new_tokens": 12, "do_sample": True, "temperature": 1.0, "top_p": 0.9}
KEY = "sk-test-not-to-be-seen"
ALWAYS = float("inf")


def questions(count: int = 12) -> list[Prompt]:
    """Questions with an image and without, in turns."""
    return [(None if at % 3 == 1 else picture(at), f"Question {at}?") for at in range(count)]


def expected(count: int = 12) -> list[str]:
    """The stub's answers to ``questions``."""
    return [answer_to(Asked({}, {}, text, [image()] if image else [])) for image, text in questions(count)]


def model(stub: ApiStub, **options) -> OpenAICompatible:
    """The stub's model."""
    quick = {"backoff": 0.01, "max_retries": 3, "timeout": 30.0, "answers": "none", "seed": 0}
    return OpenAICompatible(**{"model": MODEL, "base_url": stub.url, **quick, **options})


def kept(folder: Path) -> int:
    """How many answers lie below ``folder``."""
    return sum(len(file.read_bytes().splitlines()) for file in folder.rglob("*.jsonl"))
