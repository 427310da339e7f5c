"""Which characters must not reach a terminal as they are, whoever wrote them."""

from __future__ import annotations

import json
import re
from typing import Any, Final

# C0 and C1 controls, DEL, line and paragraph separators, marks of direction, marks without width, annotations and tags
# that are not shown, and the lone surrogates that stand for undecodable octets of a file name.
UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
"""What moves the cursor, breaks or turns a line, or cannot be seen."""


def json_text(value: Any) -> str:
    """JSON on several lines that is safe to print: what is unsafe in its strings is written as an escape."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    return "\n".join(UNSAFE.sub(_escaped, line) for line in text.split("\n"))


def json_line(value: Any) -> str:
    """JSON on one line, in ASCII without controls."""
    return json.dumps(value).replace("\x7f", "\\u007f")


def _escaped(match: re.Match[str]) -> str:
    """As JSON writes a character that is not to stand there itself: beyond 16 bits as two surrogates."""
    octets = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{octets[i : i + 2].hex()}" for i in range(0, len(octets), 2))
