"""The responses as they lie in the page: JSON, compressed, in letters that no parser of HTML can mistake for markup."""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from harness_ext.report.page.responses import Responses
from harness_ext.report.page.runs import Chapter

Thumbnails = Mapping[str, str]


def encode(chapters: Sequence[tuple[Chapter, Responses, Thumbnails]]) -> str:
    """Gzip in base64 of a list, an object a chapter; the same answers give the same text.

    Args:
        chapters: Each with its responses, and its images by collection and row as ``data:`` addresses.
    """
    content = [_content(*chapter) for chapter in chapters]
    # Responses may hold lone surrogates, which are no UTF-8; escaped, they are what the model said.
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0)).decode("ascii")


def _content(chapter: Chapter, responses: Responses, thumbnails: Thumbnails) -> dict[str, Any]:
    return {
        "source": chapter.source,
        "runs": [{"name": shown.name, "model": shown.run.model} for shown in chapter.shown],
        "texts": list(responses.texts),
        "names": list(responses.names),
        "items": responses.items,
        "answers": responses.answers,
        "pictured": dict(sorted(responses.pictured.items())),
        "images": dict(thumbnails),
    }
