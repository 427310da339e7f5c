"""Compressed captures, unpacked as a stream: gzip by the standard library, zstd and lz4 by optional packages."""

from __future__ import annotations

import gzip
import importlib
import io
import zlib
from types import ModuleType
from typing import Any, Final, cast

from dsrkit.errors import MissingDependency

GZIP: Final = b"\x1f\x8b"
ZSTD: Final = b"\x28\xb5\x2f\xfd"
LZ4: Final = b"\x04\x22\x4d\x18"

_optional_errors: list[type[Exception]] = []


def decompressor(head: bytes, stream: io.RawIOBase, name: str) -> io.RawIOBase | None:
    """A stream of what `stream` holds compressed, judged by its first octets; None where it is not compressed.

    Raises: MissingDependency where the package for it is absent.
    """
    if head.startswith(GZIP):
        return cast(io.RawIOBase, gzip.GzipFile(fileobj=cast(Any, io.BufferedReader(stream, 1 << 16)), mode="rb"))
    if head.startswith(ZSTD):
        zstandard = _package("zstandard", "zstd", name)
        _expect(zstandard.ZstdError)
        return cast(io.RawIOBase, zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True))
    if head.startswith(LZ4):
        frame = _package("lz4.frame", "lz4", name)
        _expect(RuntimeError)
        return cast(io.RawIOBase, frame.LZ4FrameFile(io.BufferedReader(stream, 1 << 16), mode="rb"))
    return None


def expected_errors() -> tuple[type[Exception], ...]:
    """What the decompressors in use raise for data that is cut or damaged."""
    return (gzip.BadGzipFile, EOFError, zlib.error, *_optional_errors)


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
