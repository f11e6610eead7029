"""One question of texts and images in any order, put through the harness's own request type."""

from collections.abc import Callable, Mapping
from typing import Any

from asking import GREEDY
from lmms_eval.api.instance import Instance
from PIL import Image


def put(vlm: Any, *parts: str | Callable[[], Image.Image], settings: Mapping[str, Any] = GREEDY) -> str:
    """The answer to one question."""

    def messages(_: Any) -> list[dict[str, Any]]:
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "url": part()}
            for part in parts
        ]
        return [{"role": "user", "content": content}]

    vlm.task_dict["parts"] = {"test": [None]}
    request = ("", messages, dict(settings), 0, "parts", "test")
    return vlm.generate_until([Instance("generate_until", request, 0, {"task": "parts", "doc_id": 0, "repeats": 1})])[0]
