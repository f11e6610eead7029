"""What a model is shown and asked: turns of texts and images, as ``apply_chat_template`` reads them."""

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from harness_ext.common.errors import UserError
from harness_ext.common.files import digest

Conversation = list[dict[str, Any]]


def conversation(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """lmms-eval's messages, ``{"type": "image", "url": IMAGE}``, in the form that ``apply_chat_template`` reads.

    Raises ``UserError`` for a part that is neither text nor an image.
    """
    turns = []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else [_part(part) for part in content]
        turns.append({"role": message["role"], "content": parts})
    return turns


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part["type"] == "text":
        return {"type": "text", "text": part["text"]}
    if part["type"] == "image":
        return {"type": "image", "image": part["url"]}
    raise UserError(f"this backend takes text and images, found a part of type {part['type']!r}")


def images_of(turns: Conversation) -> list[Any]:
    """The images of all turns, in their order."""
    return [part["image"] for turn in turns for part in turn["content"] if part["type"] == "image"]


def image_digest(image: Image.Image) -> str:
    """A digest of an image's pixels, as 40 hexadecimal digits."""
    description = f"{image.mode} {image.size} {image.getpalette()} {image.info.get('transparency')}".encode()
    return digest(description + image.tobytes())
