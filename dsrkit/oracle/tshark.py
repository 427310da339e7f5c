"""tshark as an oracle, read by pyshark. Each frame is decoded by itself: nothing is reassembled, no state is kept.

The fields' offsets in the frame say which of ours they are, whatever either calls the layers. tshark is run here and
not by pyshark, whose event loop reaps children that are not its own and survives no second capture and no thread;
what tshark prints is pyshark's to read.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from dsrkit.errors import CaptureError, MissingDependency
from dsrkit.oracle.told import Frame, Seen, Told, as_scalar
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
TIME_LIMIT: Final = 60.0
"""How long tshark may take for one batch. Units: seconds."""

_FRAMES: Final = 500
_OCTETS: Final = 1 << 20
_CHUNK: Final = 1 << 20
_BEGIN: Final = b"<packet>"
_END: Final = b"</packet>"
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
        path = shutil.which("tshark")
        if path is None:
            raise MissingDependency("--oracle tshark needs tshark: install it (Debian: apt install tshark)")
        try:
            from pyshark.tshark.output_parser.tshark_xml import packet_from_xml_packet
        except ImportError:
            raise MissingDependency("--oracle tshark needs pyshark: pip install 'dsrkit[oracle]'") from None
        self._path = path
        self._parsed = packet_from_xml_packet
        with tempfile.TemporaryDirectory(prefix="dsrkit-") as name:
            first, _, _ = self._run(Path(name), "--version")[0].read_text(errors="replace").partition("\n")
        self.version = first.partition("(Wireshark)")[2].partition("(")[0].strip() or "unknown"

    def tell(self, frames: Iterable[Frame]) -> Iterator[Told]:
        """What tshark says of each frame, some hundred at a time."""
        for batch in _batches(frames):
            yield from self._batch(batch)

    def _batch(self, frames: Sequence[Frame]) -> list[Told]:
        with tempfile.TemporaryDirectory(prefix="dsrkit-") as name:
            path = Path(name) / "frames.pcapng"
            path.write_bytes(_pcapng(frames))
            wishes = [part for wish in PREFERENCES.items() for part in ("-o", ":".join(wish))]
            printed, complaint = self._run(Path(name), "-n", "-T", "pdml", *wishes, "-r", str(path))
            with printed.open("rb") as file:
                told = [_told(self._parsed(packet)) for packet in _packets(file)]
        if len(told) != len(frames):
            why = complaint.strip().rpartition("\n")[2]
            raise CaptureError(f"tshark decoded {len(told)} of {len(frames)} frames{f': {why}' if why else ''}")
        return told

    def _run(self, folder: Path, *arguments: str) -> tuple[Path, str]:
        """The file with what tshark prints, however much that is, and what it complains of. It runs without its user's
        settings.
        """
        printed = folder / "printed"
        with printed.open("wb") as stdout:
            try:
                done = subprocess.run(
                    [self._path, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=subprocess.PIPE,
                    env=os.environ | {"WIRESHARK_CONFIG_DIR": str(folder), "LC_ALL": "C.UTF-8"},
                    timeout=TIME_LIMIT,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise CaptureError(f"tshark took more than {TIME_LIMIT:g} s") from None
            except OSError as error:
                raise CaptureError(f"tshark cannot be run: {error.strerror or error}") from None
        return printed, done.stderr.decode(errors="replace")


def _batches(frames: Iterable[Frame]) -> Iterator[list[Frame]]:
    """Some hundred frames at a time, fewer if they are long."""
    batch: list[Frame] = []
    octets = 0
    for frame in frames:
        if batch and (len(batch) >= _FRAMES or octets + len(frame.octets) > _OCTETS):
            yield batch
            batch, octets = [], 0
        batch.append(frame)
        octets += len(frame.octets)
    if batch:
        yield batch


def _packets(file: IO[bytes]) -> Iterator[bytes]:
    """The elements of PDML that stand for packets. Source: Wireshark's doc/README.xml-output."""
    rest = b""
    while chunk := file.read(_CHUNK):
        *packets, rest = (rest + chunk).split(_END)
        for packet in packets:
            yield packet[packet.index(_BEGIN) :] + _END


def _told(packet: Any) -> Told:
    fields: list[Seen] = []
    for layer in (packet.frame_info, *packet.layers):
        for name, container in layer._all_fields.items():
            for one in container.all_fields:
                known = None if one.hide else _known(name, one.show)  # hidden ones are other names of fields shown
                if known is not None and one.pos is not None:
                    start = int(one.pos)
                    fields.append(Seen(*known, start, start + int(one.size or 0)))
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
            frame.wirelen,
        )
        blocks.append(_block(6, head + frame.octets + bytes(-len(frame.octets) % 4)))
    return b"".join(blocks)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size
