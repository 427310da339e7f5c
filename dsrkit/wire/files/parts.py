"""What a capture file consists of: sections, interfaces, and windows of packets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dsrkit.classes import dataclass
from dsrkit.wire.files import options

Rows = npt.NDArray[np.void]
"""Structured array of `layout.RECORD`. Shape: (n,)."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a pcapng file, and what its writer says of itself: text of others, unescaped.

    `first_frame` is the 1-based number of its first packet, if it has any.
    """

    number: int
    first_frame: int = 1
    hardware: str = ""
    system: str = ""
    application: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that packets were captured on; `number` counts over the whole file. Its texts are unescaped."""

    number: int
    linktype: int
    snaplen: int = 0
    name: str = ""
    description: str = ""
    comment: str = ""
    filter: str = ""
    section: int = 0


@dataclass(frozen=True)
class Window:
    """Some consecutive packets of a capture: their rows and the octets that they were decoded from.

    `rec`: rows, shape (n,). `first_row`: 0-based number in the file of ``rec[0]``. `buf`: the octets; `base`: the
    offset in the (decompressed) file of ``buf[0]``.
    """

    rec: Rows
    first_row: int
    buf: memoryview
    base: int

    def packet(self, i: int) -> memoryview:
        """The captured octets of ``rec[i]``."""
        start = int(self.rec["offset"][i]) - self.base
        return self.buf[start : start + int(self.rec["caplen"][i])]

    def comments(self, i: int) -> list[str]:
        """The comments of ``rec[i]`` in a pcapng file, as `options.text` bounds them: unescaped.

        Source: draft-ietf-opsawg-pcapng s3.5.1, opt_comment.
        """
        if not self.rec["commented"][i]:
            return []
        size = int(self.rec["caplen"][i])
        packet = int(self.rec["offset"][i]) - self.base
        head = self.buf[packet - 28 : packet]  # an enhanced or an obsolete packet block: both have 28 octets
        order = "<" if head[0] else ">"
        end = packet - 28 + int.from_bytes(head[4:8], "little" if order == "<" else "big") - 4
        return options.texts(self.buf[packet + size + -size % 4 : end], order, options.COMMENT)

    def commented(self) -> Iterator[tuple[int, list[str]]]:
        """Frame numbers (1-based) of the packets that have comments, and these."""
        for i in np.flatnonzero(self.rec["commented"]).tolist():
            yield self.first_row + i + 1, self.comments(i)
