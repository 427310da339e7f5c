"""Batches: the packets of all taps merged by time, in portions that fit into memory.

Small inputs are one batch. Larger ones are cut at a time that every tap has reached, so that the two sightings of a
packet fall into the same batch or, at a cut, are carried over by the judge.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import field
from pathlib import Path
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.errors import UsageError
from dsrkit.model.spec import Spec
from dsrkit.verify.ahead import Crew, ahead
from dsrkit.verify.arrays import among
from dsrkit.verify.frames import PAST, AddressBook, Frames, Ints, Mask, Records, Words, mix
from dsrkit.verify.scene import TapInfo
from dsrkit.wire.capture import Capture, read
from dsrkit.wire.layout import RECORD
from dsrkit.wire.rows import copied as own_rows
from dsrkit.wire.rows import joined, taken

PathLike = str | os.PathLike[str]

BATCH_ROWS: Final = 48_000
"""Packets of all taps together in the first batch: some 100 MB with their columns and what is carried over."""
LATER_ROWS: Final = 12_000
"""Packets in a later one, which shares its memory with all that is remembered of the earlier ones."""
BATCH_OCTETS: Final = 48 << 20
"""Octets of streams that one batch may ask for again: long packets end a batch before its rows do."""
MOST_TAPS: Final = 256
"""Every two taps are compared, so thousands of interfaces (a file of thousands of sections) would never end."""
_MOST_KEPT: Final = 9216
_NEVER: Final = -(1 << 63)
SETTLE_NS: Final = 1_000_000_000
"""A packet that crosses a path needs less time than this; its journey stays open for so long. One that comes later than
that after later ones may have missed its partners."""
_SAMPLE: Final = 64
_ALIGNED_ROWS: Final = 8_000
_MOST_SAMPLES: Final = 20_000


@dataclass(slots=True)
class Piece:
    """Packets of one file in file order."""

    rec: Records
    tap: Ints
    number: Ints
    file: int
    past: Records | None = None  # as `Frames.past`
    sightings: Words | None = None  # `looks.SIGHTING` as words, shape (n, 8), once they have been made
    ts: Ints = field(init=False)  # near each other, where rows are wide
    last: int = field(init=False)  # the greatest of them

    def __post_init__(self) -> None:
        self.ts = np.ascontiguousarray(self.rec["ts_ns"])
        self.last = int(self.ts.max(initial=_NEVER))

    def before(self, time: int) -> int:
        """Packets with a time stamp before a time."""
        return int(np.count_nonzero(self.ts < time))

    def split(self, until: int) -> tuple[Piece, Piece]:
        """(packets up to a time, the rest)."""
        early = self.ts <= until
        first = int(early.argmin())
        if not early[first:].any():  # in order of time, as captures are: nothing has to be copied
            return self.take(slice(0, first)), self.take(slice(first, None))
        return self.take(early), self.take(~early)

    def take(self, rows: Mask | Ints | slice) -> Piece:
        seen = None if self.sightings is None else self.sightings[rows]
        return Piece(taken(self.rec, rows), self.tap[rows], self.number[rows], self.file, sightings=seen)


@dataclass(slots=True)
class Batch:
    """Packets of all taps; `until` is the time up to which nothing is missing, None in the last batch."""

    frames: Frames
    until: int | None


@dataclass(slots=True)
class Portion:
    """Packets of all taps as they were read, file by file in file order; `until` as in `Batch`."""

    pieces: list[Piece]
    until: int | None


@dataclass(slots=True)
class File:
    """A file that is read, and what is held of it."""

    number: int
    info: TapInfo
    capture: Capture
    taps: dict[int, int] = field(default_factory=dict)  # interface -> index of the tap
    offset: int = 0
    late: int = 0  # packets that came when later ones had been handed out
    windows: list[tuple[int, memoryview]] = field(default_factory=list)  # of a stream: what a batch may still ask for
    kept: dict[int, bytes] = field(default_factory=dict)  # packets by their offset, whose windows are gone
    order: list[int] = field(default_factory=list)  # their offsets, sorted

    @property
    def held(self) -> int:
        """Octets of the stream that are held."""
        return sum(len(buf) for _, buf in self.windows)

    def hold(self, base: int, buf: memoryview) -> None:
        """Keep a window's octets; one that has grown since is kept once."""
        if self.windows and self.windows[-1][1].obj is buf.obj and self.windows[-1][0] == base:
            self.windows.pop()
        self.windows.append((base, buf))


class Input:
    """All files of one verification; `taps` grows while they are read for the first time."""

    def __init__(
        self,
        book: AddressBook,
        named: Sequence[tuple[str, PathLike]],
        spec: Spec | None,
        jobs: int = 1,
        opened: Callable[[PathLike, str], Capture] = lambda file, name: read(file, tap=name, whole=True),
    ) -> None:
        self.book = book
        self.spec = spec
        self._crew = Crew(jobs - 1) if jobs > 1 else None  # this thread works as well
        self.taps: list[TapInfo] = []
        self.awaited: list[Piece] = []
        """Packets that were handed out and whose octets may still be asked for."""
        self.see: Callable[[Records, int], Words] | None = None
        """Makes the sightings of a file's rows, in the thread that reads them and while they are in its caches."""
        self._files = [
            File(number, TapInfo(name, os.fspath(file)), opened(file, name))
            for number, (name, file) in enumerate(named)
        ]
        for f in self._files:
            for i in range(len(f.capture.interfaces)):
                self._tap_of(f, i)

    @property
    def rewindable(self) -> bool:
        return all(f.capture.rewindable for f in self._files)

    @property
    def notes(self) -> list[str]:
        """What the readers have to say; a sentence about all files stands once."""
        said: dict[str, list[str]] = {}
        for f in self._files:
            for note in f.capture.notes:
                said.setdefault(note, []).append(f.info.name)
            if f.late:
                note = f"{f.late:,} packets come long after later ones: their partners may have been passed; "
                said.setdefault(note + "sort the capture by time (reordercap)", []).append(f.info.name)
        many = len(self._files) > 1
        return [
            note if len(names) == len(self._files) and many else f"{', '.join(names)}: {note}"
            for note, names in said.items()
        ]

    def vouch(self) -> None:
        """Raises: CaptureError where what was read of a file may be wrong."""
        for f in self._files:
            f.capture.vouch()

    def batches(self) -> Iterator[Batch]:
        """Everything, in order of time. A second call starts again (files that can be rewound only)."""
        for portion in self.portions():
            frames = self.frames(portion.pieces)
            until = portion.until
            del portion
            if frames.n or until is None:
                yield Batch(frames, until)
            del frames  # before the next ones are read

    def portions(
        self, head: int | None = None, later: int | None = None, *, passing: bool = False
    ) -> Iterator[Portion]:
        """As `batches`, in the pieces that were read.

        The first portion has about `head` packets (`BATCH_ROWS`), the others about `later` (`LATER_ROWS`). `passing`:
        portions are let go before the next one is asked for, so that their rows need no copies.
        """
        self.see = None  # what an earlier reading was for is over
        self.awaited = []
        self.let_go()
        rows = BATCH_ROWS if head is None else head
        later = LATER_ROWS if later is None else later
        sources = [self._pieces(f, copied=not passing) for f in self._files]
        held: list[list[Piece]] = [[] for _ in sources]
        reached = [_NEVER] * len(sources)
        live = set(range(len(sources)))
        count = 0
        stuck = False  # nothing could be handed out: the slowest tap has to be read on
        passed = _NEVER  # what comes of a time before has missed its partners
        for f in self._files:
            f.late = 0
        while live or count:
            while live and (
                (count < rows and self._held() < BATCH_OCTETS) or stuck or min(reached[k] for k in live) == _NEVER
            ):
                stuck = False
                i = min(live, key=lambda k: reached[k])
                piece = next(sources[i], None)
                if piece is None:
                    live.remove(i)
                    continue
                held[i].append(piece)
                self._files[i].late += piece.before(passed - self._files[i].offset)
                reached[i] = max(reached[i], piece.last + self._files[i].offset)
                count += len(piece.rec)
            until = min((reached[i] for i in live), default=None)
            pieces = self._cut(held, until)
            count = sum(len(p.rec) for pieces in held for p in pieces)
            stuck = not pieces
            if pieces or until is None:
                yield Portion(pieces, until)
            del pieces  # before the next ones are read
            if until is None:
                return
            passed = until - SETTLE_NS
            rows = later
            self._let_go(held)

    def _cut(self, held: list[list[Piece]], until: int | None) -> list[Piece]:
        """Packets up to a time, None for all; the later ones stay held."""
        out: list[Piece] = []
        for i, pieces in enumerate(held):
            if until is None:
                out += pieces
                held[i] = []
                continue
            own = until - self._files[i].offset  # in the file's own time
            held[i] = []
            for piece in pieces:
                if piece.last <= own:
                    out.append(piece)
                    continue
                early, late = piece.split(own)
                out += [early] if len(early.rec) else []
                held[i].append(late)
        return out

    def start_over(self) -> None:
        """Forget what was counted and inferred of the taps: everything is judged anew."""
        for tap in self.taps:
            tap.packets = tap.octets = 0
            tap.node = tap.stated_node

    def is_small(self) -> bool:
        """Whether everything fits into one batch; for files that can be read again."""
        rows = 0
        for f in self._files:
            for window in f.capture.windows():
                rows += len(window.rec)
                if rows > BATCH_ROWS:
                    return False
        return True

    def keep(self, pieces: Sequence[Piece]) -> None:
        """Keep the octets of a stream's packets that are looked at later, instead of their windows."""
        for piece in pieces:
            starts, sizes, taps = piece.rec["offset"].tolist(), piece.rec["caplen"].tolist(), piece.tap.tolist()
            for start, size, tap in zip(starts, sizes, taps, strict=True):
                f = self._file_of(tap)
                if f.windows:
                    f.kept[start] = self._octets(tap, start, min(size, _MOST_KEPT))

    def let_go(self) -> None:
        """What was kept has been looked at."""
        for f in self._files:
            f.kept.clear()
            f.order.clear()

    def _held(self) -> int:
        return sum(f.held for f in self._files if f.windows)

    def _let_go(self, held: list[list[Piece]]) -> None:
        """Drop the windows of streams of which every packet has been handed out."""
        for f, pieces in zip(self._files, held, strict=True):
            if not f.windows:
                continue
            mine = set(f.taps.values())
            asked = [p.rec["offset"][among(p.tap, list(mine))] for p in self.awaited]
            first = min((int(o.min()) for o in [*(p.rec["offset"] for p in pieces), *asked] if len(o)), default=None)
            f.windows = [(base, buf) for base, buf in f.windows if first is not None and base + len(buf) > first]

    def _octets(self, tap: int, offset: int, size: int) -> bytes:
        """Octets of a packet of the batch that is being looked at."""
        f = self._file_of(tap)
        if f.capture.plain:
            return f.capture.octets(offset, size)
        for base, buf in f.windows:
            if base <= offset and offset + size <= base + len(buf):
                return bytes(buf[offset - base : offset - base + size])
        if len(f.order) != len(f.kept):
            f.order = sorted(f.kept)
        at = bisect_right(f.order, offset) - 1
        return f.kept[f.order[at]][offset - f.order[at] :][:size] if at >= 0 else b""

    def _file_of(self, tap: int) -> File:
        return next(f for f in self._files if tap in f.taps.values())

    def frames(self, pieces: list[Piece]) -> Frames:
        """Pieces as one batch, in their order."""
        if not pieces:
            return Frames(self.book, np.zeros(0, RECORD), np.zeros(0, np.int64), np.zeros(0, np.int64), self._octets)
        out = Frames(
            self.book,
            joined([p.rec for p in pieces]),
            np.concatenate([p.tap for p in pieces]),
            np.concatenate([p.number for p in pieces]),
            self._octets,
        )
        if any(p.past is not None for p in pieces):
            out.past = np.concatenate([np.zeros(len(p.rec), PAST) if p.past is None else p.past for p in pieces])
        return out

    def _pieces(self, f: File, *, keep: bool = True, copied: bool = True) -> Generator[Piece]:
        f.windows = []
        read = self._read(f)
        with closing(read if self._crew is None else ahead(read, self._crew)) as windows:
            for rec, first_row, sightings, octets in windows:
                if keep and octets is not None:
                    f.hold(*octets)
                if not len(rec):
                    continue
                if len(f.capture.interfaces) == 1:
                    tap = np.full(len(rec), self._tap_of(f, 0), np.int64)
                else:
                    used, place = np.unique(rec["iface"], return_inverse=True)
                    tap = np.asarray([self._tap_of(f, int(i)) for i in used], np.int64)[place]
                frame = np.arange(len(rec), dtype=np.int64) + first_row + 1
                # a window's memory is several times its packets'
                yield Piece(own_rows(rec) if copied else rec, tap, frame, f.number, sightings=sightings)

    def _read(self, f: File) -> Generator[tuple[Records, int, Words | None, tuple[int, memoryview] | None]]:
        """A file's windows: rows, the number of the first, sightings once somebody makes them, and, of a stream, octets
        and where they begin. Of others nothing keeps the octets, so that their memory is used again at once."""
        for window in f.capture.windows():
            sightings = None if self.see is None else self.see(window.rec, f.number)
            yield window.rec, window.first_row, sightings, None if f.capture.plain else (window.base, window.buf)

    def _tap_of(self, f: File, interface: int) -> int:
        """The tap of an interface of a file; a file with one interface is one tap of the file's name."""
        if interface not in f.taps:
            if len(self.taps) >= MOST_TAPS:
                raise UsageError(f"{f.info.file}: more than {MOST_TAPS} interfaces; take out those of one path first")
            f.taps[interface] = len(self.taps)
            self.taps.append(tap_of(f.info, f.capture, interface, self.taps, self.spec))
        return f.taps[interface]

    def align(self) -> None:
        """Estimate clock differences of whole files from a sample of TCP segments, so that batches line up.

        Needed where clocks differ by more than a batch; only for files that can be read again. Where their beginnings
        have packets in common, those are enough.
        """
        if len(self._files) > 1 and not self._align(_ALIGNED_ROWS):
            self._align(None)

    def _align(self, rows: int | None) -> bool:
        """`align` by so many of the first packets of each file; False where they leave a file alone."""
        seen = [self._sampled(f, rows) for f in self._files]
        alone = 0
        placed: set[int] = set()
        left = set(range(len(seen)))
        while left:
            best: tuple[int, int, int] | None = None  # matches, file, offset
            for i in left:
                for j in placed:
                    common, a, b = np.intersect1d(seen[i][0], seen[j][0], return_indices=True)
                    if len(common) and (best is None or len(common) > best[0]):
                        gap = int(np.median(seen[j][1][b] - seen[i][1][a]))
                        best = (len(common), i, self._files[j].offset + gap)
            # Nothing in common with those placed: the next group of files starts, on its own clock.
            alone += best is None
            _, file, offset = best or (0, min(left), 0)
            self._files[file].offset = offset
            for tap in self._files[file].taps.values():
                self.taps[tap].shift_ns = offset
            placed.add(file)
            left.remove(file)
        return alone == 1

    def _sampled(self, f: File, most: int | None) -> tuple[Words, Ints]:
        keys: list[Words] = []
        times: list[Ints] = []
        count = read = 0
        with closing(self._pieces(f, keep=False, copied=False)) as pieces:
            for piece in pieces:
                read += len(piece.rec)
                frames = self.frames([piece])
                rows = np.flatnonzero(frames.is_tcp & (frames.seq != 0))
                key = mix(frames.seq[rows], frames.ack[rows], frames.flags[rows], frames.payload_len[rows])
                chosen = key % np.uint64(_SAMPLE if most is None else _SAMPLE // 16) == 0
                keys.append(key[chosen])
                times.append(frames.ts[rows][chosen])
                count += int(chosen.sum())
                if count > _MOST_SAMPLES or (most is not None and read >= most):
                    break
        if not keys:
            return np.zeros(0, np.uint64), np.zeros(0, np.int64)
        unique, first = np.unique(np.concatenate(keys), return_index=True)
        return unique, np.concatenate(times)[first]


def tap_of(file: TapInfo, capture: Capture, interface: int, others: Sequence[TapInfo], spec: Spec | None) -> TapInfo:
    """The tap that an interface of a file is; a file with one interface is one tap of the file's name."""
    known = capture.interfaces
    name = known[interface].name if interface < len(known) else ""
    several = len(known) > 1
    shown = name or str(interface)
    tap = TapInfo(shown if several else file.name, file.file, shown if several else None)
    while any(t.name == tap.name for t in others):
        tap.name += "'"
    _state(tap, spec)
    return tap


def _state(tap: TapInfo, spec: Spec | None) -> None:
    """What the spec says about a tap: its name, node and link."""
    for stated in spec.taps if spec is not None else ():
        same_file = stated.file is not None and os.path.realpath(stated.file) == os.path.realpath(tap.file)
        by_name = stated.name == tap.name and stated.file is None and stated.interface is None
        by_interface = stated.interface is not None and stated.interface == tap.interface
        if (by_interface and (same_file or stated.file is None)) or by_name or (same_file and stated.interface is None):
            tap.name, tap.node, tap.link = stated.name, stated.node, stated.link
            tap.stated_node = stated.node


def named_sources(
    source: PathLike | Sequence[PathLike] | Mapping[str, PathLike] | None, spec: Spec | None
) -> list[tuple[str, PathLike]]:
    """Taps' names and files, from what the caller gave or from the spec.

    Raises: UsageError where there is no file, or one twice.
    """
    if source is None:
        stated = [t for t in spec.taps if t.file is not None] if spec is not None else []
        if not stated:
            raise UsageError("no capture given: name files, or a spec with [[tap]] tables that have a file")
        by_file = {os.path.realpath(str(t.file)): t for t in reversed(stated)}  # several interfaces of one file
        return _once([(t.name, str(t.file)) for t in reversed(by_file.values())])
    if isinstance(source, Mapping):
        return _once(list(source.items()))
    files: list[PathLike] = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    if not files:
        raise UsageError("no capture given")
    return _once(list(zip(_names(files, spec), files, strict=True)))


def _once(pairs: list[tuple[str, PathLike]]) -> list[tuple[str, PathLike]]:
    seen: dict[str, str] = {}
    for name, file in pairs:
        key = os.fspath(file) if os.fspath(file) == "-" else os.path.realpath(file)
        if key in seen:
            raise UsageError(f"{os.fspath(file)} is given twice, as {seen[key]} and {name}")
        seen[key] = name
    return pairs


def _names(files: Sequence[PathLike], spec: Spec | None) -> list[str]:
    """Names of taps: as the spec calls a file, else the file's name without its ending, made unique."""
    names: list[str] = []
    for file in files:
        path = Path(os.fspath(file))
        stem = "stdin" if os.fspath(file) == "-" else path.name.split(".")[0] or path.name
        wanted = _stated_name(path, spec) or stem
        name, i = wanted, 2
        while name in names:
            name, i = f"{wanted}-{i}", i + 1
        names.append(name)
    return names


def _stated_name(path: Path, spec: Spec | None) -> str | None:
    for tap in spec.taps if spec is not None else ():
        if tap.file is not None and os.path.realpath(tap.file) == os.path.realpath(path):
            return tap.name
    return None
