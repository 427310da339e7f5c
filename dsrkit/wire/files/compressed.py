"""Compressed captures, unpacked as a stream: gzip by the standard library, zstd and lz4 by optional packages.

No more is unpacked at a time than the reader's buffer takes, and no zstd frame gets a larger window than every decoder
has to offer, so what a file claims or unpacks to costs no memory.
"""

from __future__ import annotations

import importlib
import io
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final, Protocol, cast

from dsrkit.errors import MissingDependency

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
LZ4: Final = b"\x04\x22\x4d\x18"

ZSTD_WINDOW: Final = 1 << 27
"""Largest window of a zstd frame; `zstd --long` above 27 asks for more."""

_NO_FRAME: Final = "Unknown frame descriptor"
"""What zstd says of garbage behind a frame that was whole."""

_optional_errors: list[type[Exception]] = []


class CorruptData(Exception):
    """Compressed data that is not what was packed: what was unpacked of it before may be wrong, too."""


class _Decompressor(Protocol):
    """What `_Unpacked` drives: one member or frame."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes | None: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gunzip:
    """A gzip member. Source: RFC 1952."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """The next octets, as many as fit."""
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max(max_length, 0))


class _Unpacked(io.RawIOBase):
    """Members or frames one behind the other, unpacked; what lies before a cut is given before the error for it."""

    def __init__(self, packed: io.RawIOBase, new: Callable[[], _Decompressor]) -> None:
        self._packed = packed
        self._new = new
        self._current = new()
        self._given = False  # whether the current one has given octets

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Some octets, 0 at the end.

        Raises: EOFError where the data is cut, CorruptData where it is damaged, the decompressor's error for garbage.
        """
        while True:
            data = b""
            if self._current.eof:
                data = (self._current.unused_data or b"").lstrip(b"\0") or self._more()
                if not data.strip(b"\0"):
                    return 0
                self._current = self._new()
                self._given = False
            elif self._current.needs_input:
                data = self._more()
                if not data:
                    raise EOFError("it ends before its end mark")
            try:
                octets = self._current.decompress(data, len(buffer))
            except expected_errors() as error:
                if self._given:
                    raise CorruptData(str(error)) from None
                raise
            if octets:
                self._given = True
                buffer[: len(octets)] = octets
                return len(octets)

    def _more(self) -> bytes:
        return self._packed.read(1 << 16) or b""


class _Unzstd(io.RawIOBase):
    """Zstandard frames; gives what there is instead of waiting for a whole buffer."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        try:
            return cast("int | None", self._reader.readinto1(buffer))
        except tuple(_optional_errors) as error:
            if _NO_FRAME in str(error):
                raise
            raise CorruptData(str(error)) from None


def decompressor(head: bytes, stream: io.RawIOBase, name: str) -> io.RawIOBase | None:
    """A stream of what `stream` holds compressed, judged by its first octets; None where it is not compressed.

    Raises: MissingDependency where the package for it is absent.
    """
    if head.startswith(GZIP):
        return _Unpacked(stream, _Gunzip)
    if head.startswith(ZSTD):
        zstandard = _package("zstandard", "zstd", name)
        _expect(zstandard.ZstdError)
        unpacking = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
        return _Unzstd(unpacking.stream_reader(stream, read_across_frames=True))
    if head.startswith(LZ4):
        frame = _package("lz4.frame", "lz4", name)
        _expect(RuntimeError)
        return _Unpacked(stream, frame.LZ4FrameDecompressor)
    return None


def expected_errors() -> tuple[type[Exception], ...]:
    """What the decompressors in use raise for data that is cut or damaged."""
    return (EOFError, zlib.error, CorruptData, *_optional_errors)


def _expect(error: type[Exception]) -> None:
    if error not in _optional_errors:
        _optional_errors.append(error)


def _package(module: str, kind: str, name: str) -> ModuleType:
    """An optional package, or the error that says which one is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingDependency(
            f"{name} is {kind}-compressed: reading it needs the package {package} (pip install 'dsrkit[{kind}]')"
        ) from None
