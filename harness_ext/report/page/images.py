"""Small copies of the images that were asked about, for a page whose reader has asked to see them."""

import base64
import io
from typing import Final

from harness_ext.report.page.responses import Responses

_SIDE: Final = 224
_QUALITY: Final = 72


def thumbnails(source: str, responses: Responses) -> dict[str, str]:
    """JPEG images as ``data:`` addresses, by ``COLLECTION/ROW``, of every row that was asked about with its image.

    Args:
        source: Whose rows.
        responses: Which rows.

    Raises:
        UserError: The source cannot be read here.
    """
    from harness_ext.sources.collections import image_of

    found = {}
    tasks, rows = responses.items["task"], responses.items["row"]
    pictured = responses.pictured
    for collection, row in sorted(
        {(pictured[task], row) for task, row in zip(tasks, rows, strict=True) if task in pictured}
    ):
        picture = image_of(source, collection, row)
        picture.thumbnail((_SIDE, _SIDE))
        written = io.BytesIO()
        picture.save(written, format="JPEG", quality=_QUALITY)
        found[f"{collection}/{row}"] = f"data:image/jpeg;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"
    return found
