"""Packets as tests have them: octets, scapy packets, crafted scenarios, capture files; per tap or all of one."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from dsrkit.craft.frame import Frame
from dsrkit.craft.output.files import write_pcapng
from dsrkit.craft.scenario import LINKTYPE_ETHERNET, Scenario
from dsrkit.errors import UsageError
from dsrkit.model.spec import Spec
from dsrkit.wire.capture import Capture, read

Source: TypeAlias = str | os.PathLike[str] | Capture | Scenario | Mapping[str, Iterable[Any]] | Iterable[Any]
"""A capture by its path or open, a crafted scenario, or frames: octets, or what ``bytes()`` turns into them."""

ONE_TAP: Final = "frames"
"""What the tap of frames without one is called in a file."""
_TICK_NS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Packet:
    """One frame; `number` is its place in what it came from, from 1."""

    number: int
    tap: str
    octets: bytes
    wirelen: int
    ts_ns: int
    linktype: int = LINKTYPE_ETHERNET
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets in order, with the names of their taps, those that saw nothing included."""

    taps: tuple[str, ...]
    packets: tuple[Packet, ...]

    def __len__(self) -> int:
        return len(self.packets)

    def at(self, tap: str) -> list[Packet]:
        """The packets of one tap."""
        return [packet for packet in self.packets if packet.tap == tap]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write them as pcapng whose interfaces are the taps.

        Raises: UsageError where that cannot be: no file, or link types that differ.
        """
        linktypes = sorted({packet.linktype for packet in self.packets})
        if len(linktypes) > 1:
            raise UsageError(f"frames of several link types ({', '.join(map(str, linktypes))}) do not go into one file")
        kept = tuple(Frame(p.tap, p.ts_ns, p.octets, p.wirelen, "", "", p.comment) for p in self.packets)
        write_pcapng(path, Scenario("", "", self.taps, Spec(), kept=kept, link_type=linktypes[0]))


def packets_of(source: Source) -> Packets:
    """The packets of any source.

    Raises: UsageError for what are no frames; CaptureError where a file cannot be read.
    """
    if isinstance(source, Scenario):
        rows = [
            Packet(i, f.tap, f.data, f.wire_octets, f.ts_ns, source.link_type, f.comment)
            for i, f in enumerate(source.frames(), 1)
        ]
        return Packets(source.taps, tuple(rows))
    if isinstance(source, str | os.PathLike | Capture):
        return _of_capture(source if isinstance(source, Capture) else read(source))
    if isinstance(source, Mapping):
        rows = [row for tap, frames in source.items() for row in _of_frames(frames, str(tap))]
        return Packets(tuple(map(str, source)), tuple(rows))
    return Packets((ONE_TAP,), tuple(_of_frames(source, ONE_TAP)))


def as_capture(packets: Iterable[Packet]) -> Capture:
    """Packets of one link type as a capture in memory. Source: draft-ietf-opsawg-pcap s4, s5."""
    rows = list(packets)
    linktype = rows[0].linktype if rows else LINKTYPE_ETHERNET
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 0x40000, linktype)]
    for i, row in enumerate(rows):
        parts += [struct.pack("<IIII", 0, i * _TICK_NS, len(row.octets), row.wirelen), row.octets]
    return read(io.BytesIO(b"".join(parts)))


def _of_capture(capture: Capture) -> Packets:
    rows: list[Packet] = []
    names: dict[int, str] = {}
    for window in capture.windows():
        comments = dict(window.commented())
        for i, rec in enumerate(window.rec):
            number, interface = window.first_row + i + 1, int(rec["iface"])
            if interface not in names:
                names[interface] = _name(capture, interface)
            rows.append(
                Packet(
                    number,
                    names[interface],
                    bytes(window.packet(i)),
                    int(rec["wirelen"]),
                    int(rec["ts_ns"]),
                    int(rec["linktype"]),
                    "; ".join(comments.get(number, ())),
                )
            )
    silent = (_name(capture, interface.number) for interface in capture.interfaces)
    return Packets(tuple(dict.fromkeys((*silent, *names.values()))), tuple(rows))


def _name(capture: Capture, interface: int) -> str:
    known = capture.interfaces
    return (known[interface].name if interface < len(known) else "") or (str(interface) if len(known) > 1 else ONE_TAP)


def _of_frames(frames: Iterable[Any], tap: str) -> Iterator[Packet]:
    if isinstance(frames, bytes | bytearray | memoryview):
        frames = [frames]
    elif not isinstance(frames, Iterable) or isinstance(frames, str):
        raise UsageError(f"{frames!r} is neither a capture nor a list of frames")
    for number, frame in enumerate(frames, 1):
        octets = _octets(frame)
        yield Packet(number, tap, octets, len(octets), number * _TICK_NS)


def _octets(frame: Any) -> bytes:
    if isinstance(frame, Frame):
        return frame.data
    if isinstance(frame, bytes | bytearray | memoryview) or hasattr(frame, "__bytes__"):
        return bytes(frame)
    raise UsageError(f"{frame!r} is no frame: octets are wanted, or what bytes() turns into them")
