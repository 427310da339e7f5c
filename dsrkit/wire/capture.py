"""Capture files: from octets in pcap, pcapng, compressed or piped, to windows of decoded rows, in constant memory.

A `Capture` is read in windows: one buffer of octets, the rows (`layout.RECORD`) of the packets that lie in it. Buffers
are used again as soon as nobody holds a window, its rows or a packet of it any more, so memory does not grow with the
file and nothing that is still held ever changes.

Source: draft-ietf-opsawg-pcap s4-5, draft-ietf-opsawg-pcapng s3-4.
"""

from __future__ import annotations

import array
import dataclasses
import errno
import io
import os
import struct
import sys
from collections.abc import Collection, Iterator
from types import ModuleType
from typing import IO, Any, Final, Protocol, cast

import numpy as np
import numpy.typing as npt

from dsrkit.errors import CaptureError
from dsrkit.wire import scanner
from dsrkit.wire.compressed import decompressor, expected_errors
from dsrkit.wire.layout import RECORD

WINDOW_OCTETS: Final = 1 << 20
"""Octets of a window's buffer; grown only for a record that is longer and there."""
WINDOW_ROWS: Final = 8192
"""Most rows of a window."""
_SLACK: Final = 16
"""Octets behind the scanned part that the scan's aligned reads may touch."""

_PCAP: Final = {
    b"\xd4\xc3\xb2\xa1": (0, 1000, 16, "pcap"),
    b"\xa1\xb2\xc3\xd4": (1, 1000, 16, "pcap"),
    b"\x4d\x3c\xb2\xa1": (0, 1, 16, "pcap (nanoseconds)"),
    b"\xa1\xb2\x3c\x4d": (1, 1, 16, "pcap (nanoseconds)"),
    b"\x34\xcd\xb2\xa1": (0, 1000, 24, "pcap (modified)"),
    b"\xa1\xb2\xcd\x34": (1, 1000, 24, "pcap (modified)"),
}
"""Magic number as in the file: big endian?, nanoseconds per unit, record header's octets, name."""
_SECTION: Final = b"\x0a\x0d\x0d\x0a"
_INTERFACE: Final = (b"\x01\x00\x00\x00", b"\x00\x00\x00\x01")
_BYTE_ORDER: Final = {b"\x4d\x3c\x2b\x1a": 0, b"\x1a\x2b\x3c\x4d": 1}

_LOOKS_LIKE: Final = {
    b"\x7fELF": "an ELF program",
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG image",
    b"snoop\0\0\0": "a snoop capture; convert it with editcap",
    b"BZh": "bzip2-compressed data; unpack it first",
    b"\xfd7zXZ\0": "xz-compressed data; unpack it first",
    b"SQLite format 3": "an SQLite database",
    b"#!": "a script",
}

Rows = npt.NDArray[np.void]
"""Structured array of `layout.RECORD`. Shape: (n,)."""


class _Readable(Protocol):
    """What a stream has to offer: octets into a buffer."""

    def readinto(self, buffer: Any, /) -> int | None: ...


@dataclasses.dataclass(frozen=True)
class Interface:
    """An interface that packets were captured on; `number` counts over the whole file."""

    number: int
    linktype: int
    snaplen: int = 0
    name: str = ""
    description: str = ""
    comment: str = ""


@dataclasses.dataclass(frozen=True)
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


class _Memory:
    """Octets that are used again when nobody outside holds a view of them any more.

    Whoever gets a view gets it from `octets` and so holds a reference to it; ours are counted at the start.
    """

    def __init__(self, size: int) -> None:
        self.octets = np.zeros(-(-size // 8), dtype=np.uint64)
        self.view = memoryview(cast(Any, self.octets)).cast("B")
        self._ours = sys.getrefcount(self.octets)

    @property
    def free(self) -> bool:
        """No view of it is held any more."""
        return sys.getrefcount(self.octets) <= self._ours

    def rows(self, count: int) -> Rows:
        """The first rows of it."""
        return self.octets.view(RECORD)[:count]

    def share(self, size: int) -> memoryview:
        """The first octets of it, read-only."""
        return memoryview(cast(Any, self.octets)).cast("B")[:size].toreadonly()


class _Pool:
    """Memories of one size, as few as the consumer's holding on to them allows."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._memories: list[_Memory] = []

    def take(self) -> _Memory:
        """A memory that nobody looks at."""
        for memory in self._memories:
            if memory.free:
                return memory
        fresh = _Memory(self.size)
        self._memories = [*self._memories[-1:], fresh]
        return fresh


@dataclasses.dataclass
class _Walk:
    """Where a pass over the file stands, and how its records are to be read."""

    swapped: int = 0
    subsecond: int = 1000
    header: int = 16
    linktype: int = 0
    first: int = 0
    count: int = 0
    row: int = 0


class Capture:
    """A capture file, pipe or stream; made by `read`."""

    def __init__(self, source: _Source, tap: str | None, gue_ports: Collection[int], interpreted: bool) -> None:
        self.path = source.path
        self.tap = tap
        self.format = ""
        self.interfaces: list[Interface] = []
        self.notes: list[str] = []
        self.rewindable = source.rewindable
        self.plain = False
        """Whether `octets` can read single packets: an uncompressed file on disk."""
        self._source = source
        self._module = scanner.load(interpreted=interpreted)
        self._gue = bytearray(65536)
        for port in gue_ports:
            self._gue[port] = 1
        if interpreted or scanner.backend() == "interpreted":
            self.notes.append(scanner.INTERPRETED_NOTE)
        self._pass: _Pass | None = _Pass(self, source.open())
        if self.rewindable:  # only looked at: a capture that waits to be read holds no file open
            self._pass.close()
            self._pass = None

    def windows(self) -> Iterator[Window]:
        """The capture from its start, window by window.

        Raises: CaptureError where a pipe is read a second time, or reading fails.
        """
        reading, self._pass = self._pass, None
        if reading is None:
            if not self.rewindable:
                raise CaptureError(f"{self.path}: a pipe can be read only once")
            reading = _Pass(self, self._source.open())
        return reading.windows()

    def octets(self, offset: int, size: int) -> bytes:
        """Octets of a `plain` capture from an offset (`rec["offset"]`), fewer at the file's end.

        Raises: CaptureError where the file cannot be read any more.
        """
        try:
            with open(self.path, "rb", buffering=0) as file:
                return os.pread(file.fileno(), size, offset)
        except OSError as error:
            raise CaptureError(f"{self.path}: {_reason(error)}") from None

    def note(self, text: str) -> None:
        """Add to the notes what a second pass finds again only once."""
        if text not in self.notes:
            self.notes.append(text)


def read(
    path: str | os.PathLike[str] | IO[bytes],
    *,
    tap: str | None = None,
    gue_ports: Collection[int] = scanner.GUE_PORTS,
    interpreted: bool = False,
) -> Capture:
    """Open a capture: a path, ``"-"`` for standard input, or a binary file object; packets are read by `windows`.

    `gue_ports` are the UDP ports whose datagrams may be GUE; `interpreted` takes the interpreted scan (for tests).

    Raises: CaptureError where there is no capture to read; MissingDependency where a package for its compression is
    absent.
    """
    return Capture(_Source(path), tap, gue_ports, interpreted)


class _Source:
    """Where octets come from: opened anew for each pass."""

    def __init__(self, path: str | os.PathLike[str] | IO[bytes]) -> None:
        self._file: IO[bytes] | None = None
        self._start = 0
        self.rewindable = False
        if not isinstance(path, str | os.PathLike):
            self.path = str(getattr(path, "name", "stream"))
            self._file = path
            self.rewindable = _seekable(path)
            if self.rewindable:
                self._start = path.tell()
        elif path == "-":
            self.path = "-"
            self._file = sys.stdin.buffer
        else:
            self.path = os.fspath(path)
            self.rewindable = os.path.isfile(self.path)

    @property
    def on_disk(self) -> bool:
        """Named by a path, so that it can be opened any number of times."""
        return self._file is None

    def open(self) -> IO[bytes]:
        """The raw octets from their start."""
        if self._file is not None:
            if self.rewindable:
                self._file.seek(self._start)
            return self._file
        try:
            return open(self.path, "rb", buffering=0)
        except OSError as error:
            raise CaptureError(f"{self.path}: {_reason(error)}") from None
        except ValueError as error:
            raise CaptureError(f"{self.path!r}: {error}") from None

    def close(self, stream: IO[bytes]) -> None:
        """Close what `open` opened."""
        if stream is not self._file:
            stream.close()


def _seekable(stream: IO[bytes]) -> bool:
    try:
        return bool(stream.seekable())
    except (AttributeError, ValueError):
        return False


def _reason(error: OSError) -> str:
    """An operating system's error in a few words."""
    if error.errno == errno.ENOENT:
        return "no such file"
    if error.errno == errno.EISDIR:
        return "is a directory, not a capture"
    return (error.strerror or str(error)).lower()


class _Replay(io.RawIOBase):
    """A stream whose first octets have been looked at already."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if not self._head:
            if hasattr(self._rest, "readinto"):
                return cast("int | None", self._rest.readinto(buffer))
            octets = self._rest.read(len(buffer))
            buffer[: len(octets)] = octets
            return len(octets)
        size = min(len(buffer), len(self._head))
        buffer[:size] = self._head[:size]
        self._head = self._head[size:]
        return size


class _Pass:
    """One pass over a capture: fills buffers, lets the scan walk them, reads what only Python reads."""

    def __init__(self, capture: Capture, raw: IO[bytes]) -> None:
        self._capture = capture
        self._raw = raw
        self._module: ModuleType = capture._module
        self._scanner = self._module.Scanner()
        self._interfaces: list[Interface] = []
        self._table = array.array("q", bytes(8 * self._module.IF_COLUMNS))
        self._octets = _Pool(WINDOW_OCTETS + _SLACK)
        self._rows = _Pool(WINDOW_ROWS * RECORD.itemsize)
        self._memory = self._octets.take()
        self._walk = _Walk()
        self._base = 0
        self._have = 0
        self._ended = False
        try:
            self._stream = self._unpacked()
            self._at = self._begin()
            self._first_interfaces()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file, if it was opened for this pass."""
        self._capture._source.close(self._raw)

    # --- octets ---------------------------------------------------------------------------------------------------

    def _unpacked(self) -> _Readable:
        """The capture's octets, whatever it is compressed with."""
        head = bytearray(8)
        self._stream = _Replay(b"", self._raw)
        got = self._read_some(memoryview(head))
        if got == 0:
            raise CaptureError(f"{self._name} is empty")
        replay = _Replay(bytes(head[:got]), self._raw)
        unpacking = decompressor(bytes(head[:got]), replay, self._name)
        self._capture.plain = unpacking is None and self._capture.rewindable and self._capture._source.on_disk
        return unpacking or replay

    @property
    def _name(self) -> str:
        return "standard input" if self._capture.path == "-" else self._capture.path

    def _read_some(self, into: memoryview) -> int:
        """Fill `into` as far as the stream goes; the octets read. Damaged compression ends the stream, with a note."""
        filled = 0
        while filled < len(into) and not self._ended:
            try:
                got = self._stream.readinto(into[filled:]) or 0
            except OSError as error:
                if not isinstance(error, expected_errors()):
                    raise CaptureError(f"{self._name}: {_reason(error)}") from None
                got = self._damaged(filled, error)
            except expected_errors() as error:
                got = self._damaged(filled, error)
            if got == 0:
                self._ended = True
            filled += got
        return filled

    def _damaged(self, filled: int, error: Exception) -> int:
        """The compressed data is cut or damaged: an error where nothing could be unpacked, else a note."""
        text = str(error).strip().rstrip(".") or type(error).__name__
        offset = self._base + self._have + filled
        if offset == 0:
            raise CaptureError(f"{self._name}: compressed data that cannot be unpacked ({text})") from None
        self._capture.note(f"the compressed data is cut or damaged behind offset {offset} of what it holds ({text})")
        return 0

    def _fill(self) -> None:
        """Read on behind what is there, as far as the buffer goes."""
        room = self._memory.view[self._have : len(self._memory.view) - _SLACK]
        self._have += self._read_some(room)

    def _carry(self, need: int) -> None:
        """Go on with a buffer that starts with the record that is not yet whole, and is longer if that needs it."""
        left = self._memory.view[self._at : self._have]
        if len(left) + _SLACK >= self._octets.size:  # full of one record: grow as it turns out to be there
            self._octets = _Pool(min(2 * self._octets.size, max(need + _SLACK, self._octets.size + 8)))
        elif self._octets.size > WINDOW_OCTETS + _SLACK and need <= WINDOW_OCTETS:
            self._octets = _Pool(WINDOW_OCTETS + _SLACK)
        fresh = self._octets.take()
        fresh.view[: len(left)] = bytes(left)
        self._memory = fresh
        self._base += self._at
        self._at, self._have = 0, len(left)

    def _skip(self) -> None:
        """Drop the octets of a long block that lie behind the buffer."""
        missing = self._at - self._have
        self._base += self._at - missing
        self._at = self._have = 0
        self._memory = self._octets.take()
        while missing > 0:
            got = self._read_some(self._memory.view[: min(missing, WINDOW_OCTETS)])
            if got == 0:
                self._capture.note(f"the file is cut at offset {self._base}, inside a block")
                break
            missing -= got
            self._base += got

    # --- the file's own headers -----------------------------------------------------------------------------------

    def _begin(self) -> int:
        """Read the file header; the offset of the first record."""
        self._fill()
        head = bytes(self._memory.view[: min(self._have, 64)])
        if head[:4] in _PCAP:
            self._walk.swapped, self._walk.subsecond, self._walk.header, self._capture.format = _PCAP[head[:4]]
            if len(head) < 24:
                raise CaptureError(f"{self._name} is cut inside the file header: {len(head)} of 24 octets")
            snaplen, linktype = struct.unpack(">II" if self._walk.swapped else "<II", head[16:24])
            self._walk.linktype = linktype & 0xFFFF
            self._add_interface(Interface(0, linktype & 0xFFFF, snaplen))
            return 24
        if head[:4] == _SECTION:
            self._capture.format = "pcapng"
            if self._have < 28 or head[8:12] not in _BYTE_ORDER:
                raise CaptureError(f"{self._name} is not a whole pcapng capture: its section header is cut or damaged")
            self._walk.subsecond = 0
            return 0
        if self._have == 0:  # compressed: an empty file has been found before
            raise CaptureError(f"{self._name} is empty, or cut before anything could be unpacked")
        raise CaptureError(f"{self._name} is not a capture: it looks like {_looks_like(head)}")

    def _first_interfaces(self) -> None:
        """Read the interfaces described before the first packet, so that a capture has them from the start."""
        while self._walk.subsecond == 0 and self._at + 12 <= self._have:
            kind = bytes(self._memory.view[self._at : self._at + 4])
            if kind not in (_SECTION, _INTERFACE[self._walk.swapped]) or not self._control():
                return

    def _add_interface(self, interface: Interface) -> None:
        """Take an interface over into the capture's list, where a second pass finds it already."""
        self._interfaces.append(interface)
        if len(self._interfaces) > len(self._capture.interfaces):
            self._capture.interfaces.append(interface)

    def _control(self) -> bool:
        """Read the section header or interface description at the position; False where it is not whole or damaged."""
        head = bytes(self._memory.view[self._at : min(self._at + 12, self._have)])
        if head[:4] == _SECTION:
            if head[8:12] not in _BYTE_ORDER:
                return self._stop("a section header without a byte-order magic")
            self._walk.swapped = _BYTE_ORDER[head[8:12]]
        (size,) = struct.unpack_from(">I" if self._walk.swapped else "<I", head, 4)
        is_section = head[:4] == _SECTION
        if size < (28 if is_section else 20) or size % 4 or size > self._module.MAX_BLOCK_OCTETS:
            return self._stop(f"a block that claims {size} octets")
        self._need = size
        if self._at + size > self._have:
            return False
        if is_section:
            self._walk.first += self._walk.count
            self._walk.count = 0
        else:
            self._describe(bytes(self._memory.view[self._at : self._at + size]))
        self._at += size
        return True

    def _stop(self, why: str) -> bool:
        """Read no further: the file is damaged here."""
        self._capture.note(f"the file is damaged at offset {self._base + self._at}: {why}; nothing behind it is read")
        self._ended = True
        self._have = self._at
        return False

    def _describe(self, block: bytes) -> None:
        """An interface description block. Source: draft-ietf-opsawg-pcapng s4.2."""
        order = ">" if self._walk.swapped else "<"
        linktype, _, snaplen = struct.unpack_from(order + "HHI", block, 8)
        options = _options(block[16:-4], order)
        number = len(self._interfaces)
        text = {code: options[code].rstrip(b"\0").decode("utf-8", "replace") for code in (1, 2, 3) if code in options}
        self._add_interface(Interface(number, linktype, snaplen, text.get(2, ""), text.get(3, ""), text.get(1, "")))
        self._walk.count += 1
        columns = self._module.IF_COLUMNS
        if (number + 1) * columns > len(self._table):
            self._table = self._table + array.array("q", bytes(8 * len(self._table)))
        offset = struct.unpack(order + "q", options[14][:8])[0] if len(options.get(14, b"")) >= 8 else 0
        resolution = options.get(9, b"\x06")[:1] or b"\x06"
        entry = (linktype, *_ticks(resolution[0]), _signed64(offset * 1_000_000_000), snaplen)
        for place, value in enumerate(entry, number * columns):
            self._table[place] = value

    # --- windows --------------------------------------------------------------------------------------------------

    def windows(self) -> Iterator[Window]:
        """Every window of the file, in order."""
        try:
            yield from self._windows()
        finally:
            self.close()

    def _windows(self) -> Iterator[Window]:
        rows = self._rows.take()
        count = 0
        attached: tuple[_Memory, _Memory] | None = None
        while True:
            if attached != (self._memory, rows):
                self._scanner.attach(self._memory.view, rows.view, memoryview(self._capture._gue))
                attached = (self._memory, rows)
            count, status = self._scan(count)
            if status == self._module.CONTROL and self._control():
                continue
            if count:
                yield self._window(rows, count)
                self._walk.row += count
                rows = self._rows.take()
                count = 0
            if status == self._module.ROWS_FULL:
                continue
            if status == self._module.DAMAGED:
                self._stop(f"a record that claims {self._need} octets")
                return
            if self._at > self._have:
                self._skip()
            elif self._ended:
                break
            else:
                self._carry(self._need)
            self._fill()
        if self._at < self._have:
            self._capture.note(
                f"the file is cut at offset {self._base + self._have}, inside the record at {self._base + self._at}"
            )

    def _scan(self, count: int) -> tuple[int, int]:
        """Let the scan walk on from the position: rows written in all, and why it stopped."""
        walk = self._walk
        if walk.subsecond:
            result = self._scanner.pcap(
                self._at, self._have, count, self._base, walk.swapped, walk.subsecond, walk.header, walk.linktype
            )
        else:
            result = self._scanner.pcapng(
                self._at, self._have, count, self._base, walk.swapped, walk.first, walk.count, memoryview(self._table)
            )
        count, self._at, status, self._need = result
        return count, status

    def _window(self, rows: _Memory, count: int) -> Window:
        return Window(rows.rows(count), self._walk.row, self._memory.share(self._have), self._base)


def _options(octets: bytes, order: str) -> dict[int, bytes]:
    """A pcapng block's options, the first of each code, as far as they are whole. Source: s3.5."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(octets):
        code, size = struct.unpack_from(order + "HH", octets, at)
        if code == 0 or at + 4 + size > len(octets):
            break
        found.setdefault(code, octets[at + 4 : at + 4 + size])
        at += 4 + size + -size % 4
    return found


def _ticks(resolution: int) -> tuple[int, int, int]:
    """How if_tsresol turns ticks into nanoseconds: multiplier, divisor, binary shift. Source: s4.2."""
    exponent = resolution & 0x7F
    if resolution & 0x80 and exponent:
        return 1, 1, exponent
    if resolution & 0x80:
        return 1_000_000_000, 1, 0
    if exponent <= 9:
        return 10 ** (9 - exponent), 1, 0
    if exponent <= 27:
        return 1, 10 ** (exponent - 9), 0
    return 0, 1, 0  # 64 bits of it are less than a nanosecond


def _signed64(value: int) -> int:
    """A number modulo 2**64, as a signed one."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


def _looks_like(head: bytes) -> str:
    """What a file that is no capture seems to be, in a few words."""
    for magic, name in _LOOKS_LIKE.items():
        if head.startswith(magic):
            return name
    printable = sum(octet in b"\t\n\r\f" or 32 <= octet < 127 for octet in head)
    if printable == len(head):
        return "text, " + repr(head[:24].decode("ascii"))
    return "binary data, " + head[:8].hex(" ")
