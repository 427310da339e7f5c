"""What a tap sees: single frames for people, batches of columns for files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Int64s: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Change:
    """One header field that a node rewrote, as texts: what went in (None: no such header yet) and what came out."""

    field: str
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame at one tap.

    `packet` is the same number wherever the same packet was seen, rewritten and wrapped copies included; `flow` is the
    number of the connection, from 0, or -1 for frames that belong to none. `changes` is what the node that sent the
    frame onto this link had changed in it. Frames of a scenario whose connections are copied (above 200) have no
    `packet`, -1, and no `changes`.

    Units: `ts_ns` in nanoseconds since 1970, `wire_octets` before any snaplen.
    """

    tap: str
    ts_ns: int
    data: bytes
    wire_octets: int
    sender: str
    receiver: str
    comment: str
    packet: int = -1
    flow: int = -1
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Many frames as columns, in time order: frame i is ``buffer[offset[i] : offset[i] + caplen[i]]``.

    `tap` holds indices into the scenario's taps, `comment` indices into `comments` (-1: none), `hop` indices into
    `hops`, which are sender and receiver; `flow` is that of `Frame`.

    Shape: (frames,) for every array but `buffer`.
    """

    tap: npt.NDArray[np.uint8]
    ts_ns: Int64s
    offset: Int64s
    caplen: Int64s
    wire_octets: Int64s
    comment: Int64s
    hop: Int64s
    flow: Int64s
    buffer: Bytes
    comments: Sequence[str] = field(default=())
    hops: Sequence[tuple[str, str]] = field(default=())

    def __len__(self) -> int:
        return len(self.ts_ns)


def batch_of(frames: Iterable[Frame], taps: Sequence[str]) -> Batch:
    """The columns of single frames."""
    rows = list(frames)
    number = {tap: index for index, tap in enumerate(taps)}
    comments = {text: index for index, text in enumerate(dict.fromkeys(row.comment for row in rows if row.comment))}
    hops = {hop: index for index, hop in enumerate(dict.fromkeys((row.sender, row.receiver) for row in rows))}
    caplen = np.array([len(row.data) for row in rows], np.int64)
    return Batch(
        tap=np.array([number[row.tap] for row in rows], np.uint8),
        ts_ns=np.array([row.ts_ns for row in rows], np.int64),
        offset=np.concatenate([np.zeros(1, np.int64), np.cumsum(caplen)[:-1]]) if rows else caplen,
        caplen=caplen,
        wire_octets=np.array([row.wire_octets for row in rows], np.int64),
        comment=np.array([comments.get(row.comment, -1) for row in rows], np.int64),
        hop=np.array([hops[row.sender, row.receiver] for row in rows], np.int64),
        flow=np.array([row.flow for row in rows], np.int64),
        buffer=np.frombuffer(b"".join(row.data for row in rows), np.uint8),
        comments=tuple(comments),
        hops=tuple(hops),
    )
