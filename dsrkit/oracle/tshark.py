"""tshark as an oracle, run through pyshark. Each frame is decoded by itself: nothing is reassembled, no state is kept.

The fields' offsets in the frame say which of ours they are, whatever either calls the layers.
"""

from __future__ import annotations

import asyncio
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from dsrkit.errors import CaptureError, MissingDependency
from dsrkit.oracle.told import Frame, Place, Told, as_scalar
from dsrkit.wire import layout
from dsrkit.wire.dissect.frame import NAMES
from dsrkit.wire.dissect.tree import Scalar

PREFERENCES: Final = {
    "ip.check_checksum": "TRUE",
    "tcp.check_checksum": "TRUE",
    "udp.check_checksum": "TRUE",
    "ip.defragment": "FALSE",
    "ipv6.defragment": "FALSE",
    "tcp.desegment_tcp_streams": "FALSE",
    "tcp.analyze_sequence_numbers": "FALSE",
    "tcp.relative_sequence_numbers": "FALSE",
}
_BATCH: Final = 500
_STATUS: Final = ".checksum.status"
_STATES: Final = {
    0: layout.SUM_INVALID,
    1: layout.SUM_VALID,
    2: layout.SUM_UNVERIFIABLE,
    3: layout.SUM_ABSENT,
}
"""tshark's checksum statuses as ours. Source: epan/proto.h, proto_checksum_vals."""


class Tshark:
    """Needs tshark and pyshark (extra `oracle`)."""

    name = "tshark"
    by_offset = True

    def __init__(self) -> None:
        self._path = shutil.which("tshark")
        if self._path is None:
            raise MissingDependency("--oracle tshark needs tshark: install it (Debian: apt install tshark)")
        try:
            import pyshark  # noqa: F401
        except ImportError:
            raise MissingDependency("--oracle tshark needs pyshark: pip install 'dsrkit[oracle]'") from None
        first = subprocess.run([self._path, "--version"], capture_output=True, text=True, check=False).stdout
        self.version = first.partition("\n")[0].partition("(Wireshark)")[2].partition("(")[0].strip() or "unknown"

    def tell(self, frames: Iterable[Frame]) -> Iterator[Told]:
        """What tshark says of each frame, some hundred at a time."""
        rest = iter(frames)
        while batch := list(islice(rest, _BATCH)):
            yield from self._batch(batch)

    def _batch(self, frames: Sequence[Frame]) -> list[Told]:
        with tempfile.TemporaryDirectory(prefix="dsrkit-") as folder:
            path = Path(folder) / "frames.pcapng"
            path.write_bytes(_pcapng(frames))
            told = self._read(path)
        if len(told) != len(frames):
            raise CaptureError(f"tshark decoded {len(told)} of {len(frames)} frames")
        return told

    def _read(self, path: Path) -> list[Told]:
        import pyshark

        loop = asyncio.new_event_loop()  # pyshark would look for a running one
        try:
            capture = pyshark.FileCapture(
                str(path),
                keep_packets=False,
                override_prefs=PREFERENCES,
                tshark_path=self._path,
                eventloop=loop,
            )
            try:
                return [_told(packet) for packet in capture]
            finally:
                capture.close()
        except pyshark.capture.capture.TSharkCrashException as error:
            raise CaptureError(f"tshark cannot read the frames: {error}") from None
        finally:
            loop.close()


def _told(packet: Any) -> Told:
    fields: dict[Place, Scalar] = {}
    layers = [packet.frame_info, *packet.layers]
    for layer in layers:
        for name, container in layer._all_fields.items():
            for one in container.all_fields:
                known = _known(name, one.show)
                if known is not None and one.pos is not None:
                    fields.setdefault((known[0], int(one.pos)), known[1])
    return Told(fields, tuple(layer.layer_name for layer in packet.layers))


def _known(name: str, shown: str | None) -> tuple[str, Scalar] | None:
    """A field that we name as well, under our name, with its value as ours are."""
    if shown is None:
        return None
    if name.endswith(_STATUS):
        ours = name.removesuffix("status") + "state"
        return (ours, _STATES.get(int(shown), layout.SUM_NONE)) if ours in NAMES and shown.isdigit() else None
    if name not in NAMES:
        return None
    value = as_scalar(name, shown)
    return None if value is None else (name, value)


def _pcapng(frames: Sequence[Frame]) -> bytes:
    """Frames as a capture file with one interface for each link type. Source: draft-ietf-opsawg-pcapng s4."""
    types = list(dict.fromkeys(frame.linktype for frame in frames))
    blocks = [_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))]
    resolution = struct.pack("<HHB3x", 9, 1, 9) + bytes(4)
    blocks += [_block(1, struct.pack("<HHI", linktype, 0, 0) + resolution) for linktype in types]
    for frame in frames:
        stamp = max(frame.ts_ns, 0)
        head = struct.pack(
            "<IIIII",
            types.index(frame.linktype),
            stamp >> 32 & 0xFFFF_FFFF,
            stamp & 0xFFFF_FFFF,
            len(frame.octets),
            max(frame.wirelen, len(frame.octets)),
        )
        blocks.append(_block(6, head + frame.octets + bytes(-len(frame.octets) % 4)))
    return b"".join(blocks)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size
