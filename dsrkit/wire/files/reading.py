"""One pass over a capture: fills buffers, lets the scan walk them, reads what only Python reads.

A damaged record is one row (`layout.DEFECT_RECORD`) or, where it is no packet, a note; reading goes on behind it at the
next place where several plausible records follow one another. What a file claims costs no memory: buffers grow as its
octets turn out to be there.
"""

from __future__ import annotations

import array
import enum
from collections.abc import Iterator
from types import ModuleType
from typing import IO, TYPE_CHECKING, Final, Literal

import numpy as np

from dsrkit.errors import CaptureError
from dsrkit.wire.files import headers, resync
from dsrkit.wire.files.compressed import CorruptData, decompressor, expected_errors
from dsrkit.wire.files.memory import Memory, Pool
from dsrkit.wire.files.parts import Interface, Section, Window
from dsrkit.wire.files.source import Readable, Replay, looks_like, reason
from dsrkit.wire.layout import DEFECT_RECORD, RECORD

if TYPE_CHECKING:
    from dsrkit.wire.capture import Capture

WINDOW_OCTETS: Final = 1 << 20
"""Octets of a window's buffer; grown only for a record that is longer and there."""
WINDOW_ROWS: Final = 4096
"""Most rows of a window."""
KEPT_WINDOWS: Final = 24
"""Windows' rows that a consumer may hold at once without new memory for each."""
MOST_INTERFACES: Final = 16384
"""Interfaces of one file; packets of those beyond are defects."""
MOST_SECTIONS: Final = 1024
"""Sections that are described; packets of all are read."""
MOST_DAMAGES: Final = 1000
"""Damaged places of one file: beyond, reading ends."""
SHOWN_DAMAGES: Final = 10
"""Damaged places that are noted one by one."""
SEARCH_OCTETS: Final = 1 << 24
"""How far behind a damaged place the next record is looked for, holes of zeros not counted."""
BOMB_OCTETS: Final = 1 << 32
BOMB_RATIO: Final = 1000
"""Compressed data that unpacks to more octets than this, and this many times its size, is read no further."""
_SLACK: Final = 16
"""Octets behind the scanned part, where the scan may read the rest of a word."""


class _Header(enum.Enum):
    """What became of a section header or interface description."""

    READ = enum.auto()
    PARTIAL = enum.auto()
    DAMAGED = enum.auto()


class Pass:
    """One pass over a capture, from the start."""

    def __init__(self, capture: Capture, raw: IO[bytes]) -> None:
        self._capture = capture
        self._source = capture._source
        self._raw = raw
        self._packed: Replay | None = None
        self._module: ModuleType = capture._module
        self._scanner = self._module.Scanner()
        self._interfaces = 0
        self._sections = 0
        self._table = array.array("q", bytes(8 * self._module.IF_COLUMNS))
        self._octets = Pool(WINDOW_OCTETS + _SLACK)
        self._rows = Pool(WINDOW_ROWS * RECORD.itemsize, KEPT_WINDOWS)
        self._memory = self._octets.take()
        self._base = 0  # offset in the file of the buffer's first octet
        self._have = 0  # octets in the buffer
        self._need = 0  # octets that the record at the position has, or claims
        self._row = 0  # rows handed out
        self._pending = 0  # rows behind them
        self._last_ns = 0  # time of the last row handed out
        self._ended = False
        self._why = ""
        self._damages = 0
        self._skipped = 0
        self._swapped = 0
        self._pcap: headers.Pcap | None = None
        self._linktype = 0
        self._first = 0  # interfaces of earlier sections
        self._count = 0  # interfaces of this section
        try:
            self._stream = self._unpacked()
            self._at = self._begin()
            self._first_interfaces()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file, if it was opened for this pass."""
        self._source.close(self._raw)

    # --- octets ---------------------------------------------------------------------------------------------------

    def _unpacked(self) -> Readable:
        """The capture's octets, whatever it is compressed with."""
        head = bytearray(8)
        self._stream = self._source.part(self._raw)
        got = self._read_some(memoryview(head), whole=True)
        if got == 0:
            raise CaptureError(f"{self._source.name} is empty")
        self._ended = False
        replay = self._source.part(self._raw, bytes(head[:got]))
        unpacking = decompressor(bytes(head[:got]), replay, self._source.name)
        self._packed = replay if unpacking is not None else None
        self._capture.plain = unpacking is None and self._source.rewindable and self._source.on_disk
        return unpacking or replay

    def _read_some(self, into: memoryview, *, whole: bool) -> int:
        """Fill `into` as far as the stream goes, or, unless it has to be `whole`, as far as a pipe has been written to.

        Returns the octets read. Damaged compression ends the stream, with a note.
        """
        filled = 0
        while filled < len(into) and not self._ended:
            if filled and not whole and self._source.waiting(self._raw):
                break
            try:
                got = self._stream.readinto(into[filled:]) or 0
            except OSError as error:
                if not isinstance(error, expected_errors()):
                    raise CaptureError(f"{self._source.name}: {reason(error)}") from None
                got = self._cannot_unpack(filled, error)
            except expected_errors() as error:
                got = self._cannot_unpack(filled, error)
            filled += got
            if got == 0 or self._is_bomb(filled):
                self._ended = True
        return filled

    def _is_bomb(self, filled: int) -> bool:
        """Whether so much has been unpacked from so little that nobody can have meant it, with a note."""
        unpacked = self._base + self._have + filled
        if self._packed is None or unpacked <= BOMB_OCTETS or unpacked <= BOMB_RATIO * self._packed.count:
            return False
        self._capture.note(
            f"the compressed data unpacks to more than {BOMB_RATIO} times its size: read as far as offset {unpacked}; "
            "unpack it first to read the rest"
        )
        return True

    def _cannot_unpack(self, filled: int, error: Exception) -> int:
        """The compressed data is cut or damaged: an error where nothing could be unpacked, else a note."""
        text = str(error).strip().rstrip(".") or type(error).__name__
        offset = self._base + self._have + filled
        if offset == 0:
            raise CaptureError(f"{self._source.name}: compressed data that cannot be unpacked ({text})") from None
        if isinstance(error, CorruptData):
            self._capture.corrupt = True
            self._capture.note(
                f"the compressed data is damaged at or before offset {offset} of what it holds ({text}): "
                "what was read of it may be wrong"
            )
        else:
            self._capture.note(
                f"the compressed data is cut or damaged behind offset {offset} of what it holds ({text})"
            )
        return 0

    def _fill(self, *, whole: bool = False) -> None:
        """Read on behind what is there, as far as the buffer goes."""
        room = self._memory.view[self._have : len(self._memory.view) - _SLACK]
        self._have += self._read_some(room, whole=whole or self._capture.whole)

    @property
    def _full(self) -> bool:
        return self._have + _SLACK >= len(self._memory.view)

    def _carry(self, need: int, *, at_once: bool = False) -> None:
        """Go on with a buffer that starts at the position, and is longer if what is needed turns out to be there."""
        left = self._memory.view[self._at : self._have]
        if at_once:
            if self._octets.size < need + _SLACK:
                self._octets = Pool(need + _SLACK)
        elif len(left) + _SLACK >= self._octets.size:  # full of one record
            self._octets = Pool(min(4 * self._octets.size, max(need + _SLACK, self._octets.size + 8)))
        elif self._octets.size > WINDOW_OCTETS + _SLACK and need <= WINDOW_OCTETS:
            self._octets = Pool(WINDOW_OCTETS + _SLACK)
        fresh = self._octets.take()
        fresh.view[: len(left)] = bytes(left)
        self._memory = fresh
        self._base += self._at
        self._at, self._have = 0, len(left)

    # --- the file's own headers -----------------------------------------------------------------------------------

    def _begin(self) -> int:
        """Read the file header; the offset of the first record."""
        self._at = 0
        while self._have < 64 and not self._ended:
            self._fill()
        head = bytes(self._memory.view[: min(self._have, 64)])
        name = self._source.name
        if head[:4] in headers.PCAP:
            self._pcap = headers.PCAP[head[:4]]
            self._capture.format, self._swapped = self._pcap.name, self._pcap.swapped
            if len(head) < headers.PCAP_HEADER:
                raise CaptureError(f"{name} is cut inside the file header: {len(head)} of 24 octets")
            interface = headers.pcap_interface(head, self._swapped)
            self._linktype = interface.linktype
            self._add_interface(interface)
            return headers.PCAP_HEADER
        if head[:4] == headers.SECTION:
            self._capture.format = "pcapng"
            if self._have < headers.SECTION_LEAST or head[8:12] not in headers.BYTE_ORDER:
                raise CaptureError(f"{name} is not a whole pcapng capture: its section header is cut or damaged")
            return 0
        if self._have == 0:  # compressed: an empty file has been found before
            raise CaptureError(f"{name} is empty, or cut before anything could be unpacked")
        raise CaptureError(f"{name} is not a capture: it looks like {looks_like(head)}")

    def _first_interfaces(self) -> None:
        """Read the interfaces described before the first packet, so that a capture has them from the start."""
        while self._pcap is None and self._at + 12 <= self._have:
            kind = bytes(self._memory.view[self._at : self._at + 4])
            if kind not in (headers.SECTION, headers.INTERFACE[self._swapped]) or self._header() != _Header.READ:
                return

    def _add_interface(self, interface: Interface) -> None:
        """Take an interface over into the capture's list, where a second pass finds it already."""
        self._interfaces += 1
        if self._interfaces > len(self._capture.interfaces):
            self._capture.interfaces.append(interface)

    def _add_section(self, section: Section) -> None:
        """The same for a section."""
        self._sections += 1
        if len(self._capture.sections) < min(self._sections, MOST_SECTIONS):
            self._capture.sections.append(section)

    def _header(self) -> _Header:
        """Read the section header or interface description at the position."""
        head = bytes(self._memory.view[self._at : min(self._at + 12, self._have)])
        is_section = head[:4] == headers.SECTION
        if is_section and head[8:12] not in headers.BYTE_ORDER:
            return self._damaged("a section header without a byte-order magic")
        swapped = headers.BYTE_ORDER[head[8:12]] if is_section else self._swapped
        order: Literal["big", "little"] = "big" if swapped else "little"
        size = int.from_bytes(head[4:8], order)
        least = headers.SECTION_LEAST if is_section else headers.INTERFACE_LEAST
        if size < least or size % 4 or size > self._module.MAX_BLOCK_OCTETS:
            return self._damaged(f"a block that claims {size} octets")
        self._need = size
        if self._at + size > self._have:
            return _Header.PARTIAL
        block = bytes(self._memory.view[self._at : self._at + size])
        if int.from_bytes(block[-4:], order) != size:
            return self._damaged(self._why_damaged())
        if is_section:
            self._swapped = swapped
            self._first += self._count
            self._count = 0
            self._add_section(headers.section(block, "<>"[swapped], self._sections, self._row + self._pending + 1))
        else:
            self._describe(block)
        self._at += size
        return _Header.READ

    def _damaged(self, why: str) -> _Header:
        self._why = why
        return _Header.DAMAGED

    def _describe(self, block: bytes) -> None:
        """An interface description block."""
        number = self._interfaces
        if number >= MOST_INTERFACES:
            self._capture.note(
                f"more than {MOST_INTERFACES} interfaces: the packets of the later ones cannot be read; "
                "split the file by sections"
            )
            return
        described, entry = headers.interface(block, "<>"[self._swapped], number, max(self._sections - 1, 0))
        self._enter(described, entry)

    def _enter(self, described: Interface, entry: tuple[int, ...]) -> None:
        self._add_interface(described)
        self._count += 1
        columns = self._module.IF_COLUMNS
        if (described.number + 1) * columns > len(self._table):
            self._table = self._table + array.array("q", bytes(8 * len(self._table)))
        for place, value in enumerate(entry, described.number * columns):
            self._table[place] = value

    # --- windows --------------------------------------------------------------------------------------------------

    def windows(self) -> Iterator[Window]:
        """Every window of the file, in order."""
        try:
            yield from self._windows()
            self._say_what_was_skipped()
        finally:
            self.close()

    def _windows(self) -> Iterator[Window]:
        rows = self._rows.take()
        attached: tuple[Memory, Memory] | None = None
        count = 0
        while True:
            if attached != (self._memory, rows):
                self._scanner.attach(self._memory.view, rows.view, memoryview(self._capture._gue))
                attached = (self._memory, rows)
            count, status = self._scan(count)
            header = self._header() if status == self._module.CONTROL else None
            if header == _Header.READ:
                continue
            if count:
                yield self._window(rows, count)
                self._row, self._pending = self._row + count, 0
                rows = self._rows.take()
                count = 0
            if status == self._module.ROWS_FULL:
                continue
            if status == self._module.DAMAGED or header == _Header.DAMAGED:
                if not self._go_on():
                    return
            elif not self._ended:
                if self._full:
                    self._carry(self._need)
                self._fill()
            elif self._at == self._have or not self._lied():
                return

    def _scan(self, count: int) -> tuple[int, int]:
        """Let the scan walk on from the position: rows written in all, and why it stopped."""
        at, have, base = self._at, self._have, self._base
        if self._pcap is not None:
            how = (self._swapped, self._pcap.subsecond, self._pcap.record, self._linktype, int(self._ended))
            result = self._scanner.pcap(at, have, count, base, *how)
        else:
            table = memoryview(self._table)
            result = self._scanner.pcapng(at, have, count, base, self._swapped, self._first, self._count, table)
        self._pending, self._at, status, self._need = result
        if status == self._module.DAMAGED:
            self._why = self._why_damaged()
        return self._pending, status

    def _why_damaged(self) -> str:
        if self._pcap is not None:
            return f"a record that claims {self._need} octets" if self._need else "zeros instead of a record"
        if 12 <= self._need <= self._module.MAX_BLOCK_OCTETS and self._need % 4 == 0:
            return f"a block that claims {self._need} octets at its start, and not at its end"
        return f"a block that claims {self._need} octets"

    def _window(self, rows: Memory, count: int) -> Window:
        rec = rows.rows(count)
        if rec["defect"][-1] == DEFECT_RECORD and rec["ts_ns"][-1] == 0:  # its time is lost: it came behind the last
            rec["ts_ns"][-1] = rec["ts_ns"][-2] if count > 1 else self._last_ns
        self._last_ns = int(rec["ts_ns"][-1])
        window = Window(rec, self._row, self._memory.share(self._have), self._base)
        if self._pcap is None:  # classic captures have none
            self._capture.comment(window)
        return window

    # --- damage ---------------------------------------------------------------------------------------------------

    def _go_on(self) -> bool:
        """Find the next records behind the damaged one at the position; False where there are none."""
        begin = self._base + self._at
        self._damages += 1
        if self._pcap is None and bytes(self._memory.view[self._at : self._at + 4]) == headers.INTERFACE[self._swapped]:
            self._lose_interface()
        found = self._damages <= MOST_DAMAGES and (self._by_its_length() or self._search())
        skipped = self._base + self._at - begin
        self._skipped += skipped
        what = f"the file is damaged at offset {begin}: {self._why}"
        if not found:
            self._capture.note(f"{what}; nothing behind it is read")
        elif self._damages <= SHOWN_DAMAGES:
            self._capture.note(f"{what}; {skipped} octets are skipped, up to the next records that fit together")
        return found

    def _lied(self) -> bool:
        """Whether records follow in what the last one claims; if not, the file is cut."""
        position, begin = self._at, self._base + self._at
        if self._search():
            self._damages += 1
            skipped = self._base + self._at - begin
            self._skipped += skipped
            if self._damages <= SHOWN_DAMAGES:
                self._capture.note(
                    f"the file is damaged at offset {begin}: a record that claims {self._need} octets, more than there "
                    f"are; {skipped} octets are skipped, up to the next records that fit together"
                )
            return self._damages <= MOST_DAMAGES
        self._at = position
        growth = self._source.growth(self._raw)
        self._capture.note(
            f"the file is cut at offset {self._base + self._have}, inside the record at {begin}"
            + (" (it is being written)" if growth else "")
        )
        return False

    @property
    def _follow(self) -> resync.Follow:
        if self._pcap is not None:
            return resync.PcapRecords(self._swapped, self._pcap.subsecond, self._pcap.record)
        return resync.PcapngBlocks(self._swapped)

    def _buffered(self) -> resync.Octets:
        """What the buffer holds: more than several records take behind the position, as far as they are there."""
        if not self._ended and self._have - self._at <= resync.SPAN:
            self._carry(resync.SPAN + (resync.SPAN >> 2), at_once=True)
            self._fill(whole=True)
        return np.frombuffer(self._memory.view, np.uint8, self._have)

    def _by_its_length(self) -> bool:
        """Go to where a damaged block's length leads, if blocks follow there."""
        octets = self._buffered()
        size = int.from_bytes(octets[self._at + 4 : self._at + 8].tobytes(), "big" if self._swapped else "little")
        if self._pcap is not None or size < 12 or size % 4 or self._at + size > self._have:
            return False
        place = self._at + size
        ends = self._ended and place == self._have
        if not ends and not len(resync.leads_on(octets, np.array([place]), self._follow, ends=self._ended)):
            return False
        self._at = place
        return True

    def _search(self) -> bool:
        """Go to the next place where several plausible records follow one another."""
        left = SEARCH_OCTETS
        self._at += 1
        while left > 0:
            octets = self._buffered()
            stop = self._have if self._ended else self._have - resync.SPAN
            words = octets[self._at & -8 : self._have & -8].view(np.uint64)
            if not self._ended and not words.any():  # a hole
                self._at = self._have - resync.HEADER
                continue
            found = resync.search(octets, self._at, stop, self._follow, ends=self._ended)
            if found is not None:
                self._at = found
                return True
            if octets[self._at : stop].any():
                left -= stop - self._at
            self._at = stop
            if self._ended:
                return False
        return False

    def _lose_interface(self) -> None:
        """Keep the numbers of the interfaces behind one whose description is damaged."""
        if self._interfaces < MOST_INTERFACES:
            lost = Interface(self._interfaces, headers.UNKNOWN_LINKTYPE, section=max(self._sections - 1, 0))
            self._enter(lost, (lost.linktype, *headers.ticks(6), 0, 0))

    def _say_what_was_skipped(self) -> None:
        if self._damages > SHOWN_DAMAGES:
            self._capture.note(
                f"{self._damages} places of the file are damaged; {self._skipped} octets are skipped in all"
            )
