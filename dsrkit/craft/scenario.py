"""A crafted scenario: what every tap of a set-up saw, and the set-up itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dsrkit.craft.frame import Batch, Frame, batch_of
from dsrkit.model.spec import Spec

LINKTYPE_ETHERNET: Final = 1
LINKTYPE_LINUX_SLL2: Final = 276
"""Link types of captures: https://www.tcpdump.org/linktypes.html."""


@dataclass(frozen=True)
class Scenario:
    """The frames of a mode at every tap.

    Small scenarios hold their frames. At volume `source` makes batches on demand, so that a hundred thousand
    connections need no memory of their own; the frames are the same each time.

    >>> from dsrkit import craft
    >>> scenario = craft("l2dsr", flows=1, seed=7)
    >>> scenario.taps
    ('A', 'B', 'C', 'D')
    """

    mode: str
    profile: str
    taps: tuple[str, ...]
    spec: Spec
    source: Callable[[], Iterator[Batch]] | None = None
    kept: tuple[Frame, ...] = ()
    fault: str | None = None
    link_type: int = LINKTYPE_ETHERNET

    def batches(self) -> Iterator[Batch]:
        """All frames as columns, in time order over the batches."""
        if self.source is None:
            yield batch_of(self.kept, self.taps)
        else:
            yield from self.source()

    @property
    def silent(self) -> tuple[str, ...]:
        """Taps that hear nothing: they listen where no frame passes."""
        first = next(self.batches())  # at volume it holds a connection to every server
        heard = {self.taps[number] for number in set(first.tap.tolist())}
        return tuple(tap for tap in self.taps if tap not in heard)

    def frames(self, tap: str | None = None) -> Iterator[Frame]:
        """Every frame, or those of one tap, in time order.

        Raises: KeyError for a tap that the scenario does not have.
        """
        if tap is not None and tap not in self.taps:
            raise KeyError(f"no tap {tap!r} (there are: {', '.join(self.taps)})")
        if self.source is None:
            yield from (frame for frame in self.kept if tap in (None, frame.tap))
            return
        for batch in self.source():
            for i in range(len(batch)):
                name = self.taps[batch.tap[i]]
                if tap not in (None, name):
                    continue
                start = int(batch.offset[i])
                number = int(batch.comment[i])
                sender, receiver = batch.hops[batch.hop[i]]
                yield Frame(
                    tap=name,
                    ts_ns=int(batch.ts_ns[i]),
                    data=batch.buffer[start : start + int(batch.caplen[i])].tobytes(),
                    wire_octets=int(batch.wire_octets[i]),
                    sender=sender,
                    receiver=receiver,
                    comment=batch.comments[number] if number >= 0 else "",
                    flow=int(batch.flow[i]),
                )

    def __getitem__(self, tap: str) -> list[bytes]:
        """The octets of every frame at a tap."""
        return [frame.data for frame in self.frames(tap)]

    def packets(self, tap: str) -> list[Any]:
        """The frames of a tap as scapy packets, times included."""
        from scapy.layers.l2 import CookedLinuxV2, Ether

        layer = Ether if self.link_type == LINKTYPE_ETHERNET else CookedLinuxV2
        packets = []
        for frame in self.frames(tap):
            packet = layer(frame.data)
            packet.time = frame.ts_ns / 1e9
            packets.append(packet)
        return packets

    def write(self, path: str | os.PathLike[str]) -> int:
        """Write one pcapng file whose interfaces are the taps; returns the number of frames.

        Raises: UsageError where the file cannot be written.
        """
        from dsrkit.craft.output.files import write_pcapng

        return write_pcapng(path, self)

    def write_split(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write one pcap per tap and the `dsr.toml` that describes the set-up; returns the files.

        Raises: UsageError where the folder cannot be written.
        """
        from dsrkit.craft.output.files import write_split

        return write_split(folder, self)
