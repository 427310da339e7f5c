"""Where a capture's octets come from: a path, a pipe, standard input, a file object; opened anew for each pass."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import IO, Any, Final, Protocol, cast

from dsrkit.errors import CaptureError

_LOOKS_LIKE: Final = {
    b"\x7fELF": "an ELF program",
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG image",
    b"snoop\0\0\0": "a snoop capture; convert it with editcap",
    b"BZh": "bzip2-compressed data; unpack it first",
    b"\xfd7zXZ\0": "xz-compressed data; unpack it first",
    b"\x1f\x8b": "gzip-compressed data; unpack it first",
    b"\x28\xb5\x2f\xfd": "zstd-compressed data; unpack it first",
    b"\x04\x22\x4d\x18": "lz4-compressed data; unpack it first",
    b"SQLite format 3": "an SQLite database",
    b"#!": "a script",
}


class Readable(Protocol):
    """What a stream has to offer: octets into a buffer."""

    def readinto(self, buffer: Any, /) -> int | None: ...


class Source:
    """Where octets come from.

    A file that is being written is read, in every pass, as far as it was when it was first looked at.
    """

    def __init__(self, path: str | os.PathLike[str] | IO[bytes]) -> None:
        self._file: IO[bytes] | None = None
        self._start = 0
        self._size: int | None = None
        self.rewindable = False
        if not isinstance(path, str | os.PathLike):
            self.path = str(getattr(path, "name", "stream"))
            self._file = path
            self.rewindable = _seekable(path)
            if self.rewindable:
                self._start = path.tell()
        elif path == "-":
            self.path = "-"
            if sys.stdin is None:  # the shell's <&-
                raise CaptureError("standard input is closed")
            # unbuffered: a thread that waits for a pipe would hold the buffer's lock when the program ends
            self._file = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        else:
            self.path = os.fspath(path)
            self.rewindable = os.path.isfile(self.path)

    @property
    def name(self) -> str:
        """What messages call it."""
        return "standard input" if self.path == "-" else self.path

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
            stream = open(self.path, "rb", buffering=0)  # noqa: SIM115 (whoever asked closes it)
            if self.rewindable and self._size is None:
                self._size = os.fstat(stream.fileno()).st_size
            return stream
        except OSError as error:
            raise CaptureError(f"{self.name}: {reason(error)}") from None
        except ValueError as error:
            raise CaptureError(f"{self.path!r}: {error}") from None

    def close(self, stream: IO[bytes]) -> None:
        """Close what `open` opened."""
        if stream is not self._file:
            stream.close()

    def part(self, stream: IO[bytes], head: bytes = b"") -> Replay:
        """What is to be read of an opened stream, of which `head` has been looked at already."""
        return Replay(head, stream, None if self._size is None else self._size - len(head))

    def growth(self, stream: IO[bytes]) -> int:
        """Octets that a file on disk has got since it was first looked at. Units: octets."""
        if self._size is None:
            return 0
        try:
            return max(os.fstat(stream.fileno()).st_size - self._size, 0)
        except OSError:
            return 0

    def waiting(self, stream: IO[bytes]) -> bool:
        """Whether reading a pipe on would wait for somebody to write into it."""
        if self.rewindable:
            return False
        try:
            return not select.select([stream.fileno()], [], [], 0)[0]
        except (OSError, ValueError, AttributeError):
            return False

    def octets(self, offset: int, size: int) -> bytes:
        """Octets of a file on disk, fewer at its end. Raises: CaptureError where it cannot be read any more."""
        try:
            with open(self.path, "rb", buffering=0) as file:
                return os.pread(file.fileno(), size, offset)
        except OSError as error:
            raise CaptureError(f"{self.name}: {reason(error)}") from None


def _seekable(stream: IO[bytes]) -> bool:
    try:
        return bool(stream.seekable())
    except (AttributeError, ValueError):
        return False


def reason(error: OSError) -> str:
    """An operating system's error in a few words."""
    if error.errno == errno.ENOENT:
        return "no such file"
    if error.errno == errno.EISDIR:
        return "is a directory, not a capture"
    return (error.strerror or str(error)).lower()


class Replay(io.RawIOBase):
    """A stream whose first octets have been looked at already; `left` octets are to be read behind them, if given."""

    def __init__(self, head: bytes, rest: IO[bytes], left: int | None) -> None:
        self._head = head
        self._rest = rest
        self._left = left
        # a buffered stream's `readinto` waits until the buffer is full
        self._into = getattr(rest, "readinto1", None) or getattr(rest, "readinto", None)
        self.count = 0
        """Octets read of it."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        view = memoryview(buffer)
        if self._head:
            got = min(len(view), len(self._head))
            view[:got] = self._head[:got]
            self._head = self._head[got:]
        else:
            if self._left is not None:
                view = view[: max(self._left, 0)]
            got = self._read(view)
            if self._left is not None:
                self._left -= got
        self.count += got
        return got

    def _read(self, view: memoryview) -> int:
        if not len(view):
            return 0
        if self._into is not None:
            return cast("int | None", self._into(view)) or 0
        octets = self._rest.read(len(view)) or b""
        view[: len(octets)] = octets
        return len(octets)


def looks_like(head: bytes) -> str:
    """What a file that is no capture seems to be, in a few words."""
    for magic, name in _LOOKS_LIKE.items():
        if head.startswith(magic):
            return name
    printable = sum(octet in b"\t\n\r\f" or 32 <= octet < 127 for octet in head)
    if printable == len(head):
        return "text, " + repr(head[:24].decode("ascii"))
    return "binary data, " + head[:8].hex(" ")
