"""Scenarios as capture files: pcapng with an interface per tap, or a pcap per tap with the spec beside them.

A batch becomes one buffer of finished blocks: headers are columns of 32-bit words, frames and comments are copied by
length, so that no Python runs per frame.

Source: draft-ietf-opsawg-pcapng (blocks s4, options s3.5); draft-ietf-opsawg-pcap s4 and s5.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from dsrkit import __version__
from dsrkit.craft.frame import Batch, Bytes, Int64s
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError
from dsrkit.model.spec import SpecTap
from dsrkit.model.toml import dump

SPEC_NAME: Final = "dsr.toml"
SNAPLEN: Final = 262_144
"""What tcpdump writes when it cuts nothing."""
_SHB: Final = 0x0A0D0D0A
_IDB: Final = 1
_EPB: Final = 6
_MAGIC_NS: Final = 0xA1B23C4D
_ENDOFOPT: Final = 0
_COMMENT: Final = 1
_SHB_USERAPPL: Final = 4
_IF_NAME: Final = 2
_IF_TSRESOL: Final = 9
_OPTION_MAX: Final = 0xFFFF
_WORD: Final = np.dtype("<u4")
_HEADER_WORDS: Final = 7  # an Enhanced Packet Block before the octets of the frame


def write_pcapng(target: str | os.PathLike[str] | BinaryIO, scenario: Scenario) -> int:
    """Write all taps as interfaces of one pcapng file; returns the number of frames.

    Raises: UsageError where the file cannot be written; nothing of it is left then.
    """
    if not isinstance(target, str | os.PathLike):
        return _write_pcapng(target, scenario)
    with ExitStack() as undo:
        with _writing(target):
            stream = _create(Path(target), undo)
            frames = _write_pcapng(stream, scenario)
            stream.close()
        undo.pop_all()
    return frames


def write_split(folder: str | os.PathLike[str], scenario: Scenario) -> list[Path]:
    """Write one pcap per tap and the `dsr.toml` that names them; returns the files, the spec last.

    Raises: UsageError where one cannot be written; none of them is left then.
    """
    base = Path(folder)
    names = _file_names(scenario.taps)
    files = [base / name for name in names]
    with ExitStack() as undo:
        with _writing(folder):
            if not base.is_dir():
                base.mkdir()
                undo.callback(base.rmdir)
            streams = [_create(file, undo) for file in files]
            for stream in streams:
                stream.write(_pcap_header(scenario.link_type))
            for batch in scenario.batches():
                for index, stream in enumerate(streams):
                    stream.write(_pcap_records(batch, np.flatnonzero(batch.tap == index)))
            for stream in streams:
                stream.close()
            with _create(base / SPEC_NAME, undo) as stream:
                stream.write(_split_spec(scenario, names).encode())
        undo.pop_all()
    return [*files, base / SPEC_NAME]


def split_names(taps: Sequence[str]) -> list[str]:
    """The names of the files that `write_split` writes, the spec last."""
    return [*_file_names(taps), SPEC_NAME]


def _write_pcapng(stream: BinaryIO, scenario: Scenario) -> int:
    stream.write(_section_header())
    for tap in scenario.taps:
        stream.write(_interface(tap, scenario.link_type))
    frames = 0
    for batch in scenario.batches():
        stream.write(_packet_blocks(batch))
        frames += len(batch)
    return frames


@contextmanager
def _writing(target: str | os.PathLike[str]) -> Iterator[None]:
    """The system's refusals as one line that names what was asked for."""
    path = Path(target)
    try:
        yield
    except FileNotFoundError:
        raise UsageError(f"cannot write {str(path)!r}: the folder {str(path.parent)!r} does not exist") from None
    except FileExistsError:  # only from making a folder
        raise UsageError(f"cannot write {str(path)!r}: it is a file, not a folder") from None
    except OSError as error:
        raise UsageError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    except ValueError as error:  # a NUL in the name
        if "\0" not in str(path):
            raise
        raise UsageError(f"cannot write {str(path)!r}: {error}") from None


def _create(path: Path, undo: ExitStack) -> BinaryIO:
    """Open a file for writing, to be closed and removed again if the rest fails."""
    stream = path.open("wb")
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):  # a device or a pipe is not ours to remove
        undo.callback(path.unlink, missing_ok=True)
    undo.callback(_close_quietly, stream)
    return stream


def _close_quietly(stream: BinaryIO) -> None:
    with suppress(OSError):  # what is still buffered has no place on a full disk either
        stream.close()


def _file_names(taps: Sequence[str]) -> list[str]:
    """One name per tap that every file system takes, different also where case does not count."""
    names: list[str] = []
    taken: set[str] = set()
    for tap in taps:
        stem = re.sub(r"[^\w.+-]|^[.-]", "_", tap, flags=re.ASCII)[:100] or "_"
        name, copy = stem, 1
        while name.lower() in taken:
            copy += 1
            name = f"{stem}-{copy}"
        taken.add(name.lower())
        names.append(f"{name}.pcap")
    return names


def _split_spec(scenario: Scenario, names: Sequence[str]) -> str:
    taps = tuple(
        replace(scenario.spec.tap(tap) or SpecTap(tap), file=Path(name), interface=None)
        for tap, name in zip(scenario.taps, names, strict=True)
    )
    return dump(replace(scenario.spec, taps=taps))


def _words(*values: int) -> bytes:
    return np.array(values, _WORD).tobytes()


def _padded(octets: int) -> int:
    return -octets % 4 + octets


def _option(code: int, value: bytes) -> bytes:
    return _words(code | len(value) << 16) + value.ljust(_padded(len(value)), b"\0")


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return _words(kind, length) + body + _words(length)


def _section_header() -> bytes:
    fixed = _words(0x1A2B3C4D, 1, 0xFFFFFFFF, 0xFFFFFFFF)  # byte order, version 1.0, length of the section not given
    return _block(_SHB, fixed + _option(_SHB_USERAPPL, f"dsrkit {__version__}".encode()) + _words(_ENDOFOPT))


def _interface(tap: str, link_type: int) -> bytes:
    options = _option(_IF_NAME, tap.encode()) + _option(_IF_TSRESOL, b"\x09") + _words(_ENDOFOPT)
    return _block(_IDB, _words(link_type, SNAPLEN) + options)


def _comment_option(comment: str) -> bytes:
    value = comment.encode()[:_OPTION_MAX].decode(errors="ignore").encode()  # cut between characters
    return _option(_COMMENT, value) + _words(_ENDOFOPT)


def _packet_blocks(batch: Batch) -> memoryview:
    """The Enhanced Packet Blocks of a batch.

    Every block is a whole number of words, so positions and lengths are counted in words.
    """
    options = [_comment_option(comment) for comment in batch.comments]
    option_words = np.array([*(len(option) // 4 for option in options), 0], np.int64)  # the last one: no comment
    option_start = np.cumsum(option_words) - option_words
    frame_words = (batch.caplen + 3) >> 2
    length = _HEADER_WORDS + frame_words + option_words[batch.comment] + 1
    end = np.cumsum(length)
    start = end - length
    out = np.zeros(int(end[-1]) if len(batch) else 0, _WORD)

    header = np.empty((len(batch), _HEADER_WORDS), _WORD)
    header[:, 0] = _EPB
    header[:, 1] = length << 2
    header[:, 2] = batch.tap
    header[:, 3] = batch.ts_ns >> 32
    header[:, 4] = batch.ts_ns & 0xFFFFFFFF
    header[:, 5] = batch.caplen
    header[:, 6] = batch.wire_octets
    _place(out, start, header)
    _copy(out.view(np.uint8), (start + _HEADER_WORDS) << 2, batch.buffer, batch.offset, batch.caplen)
    _copy(
        out,
        start + _HEADER_WORDS + frame_words,
        np.frombuffer(b"".join(options), _WORD),
        option_start[batch.comment],
        option_words[batch.comment],
    )
    out[end - 1] = length << 2
    return out.data.cast("B")


def _pcap_header(link_type: int) -> bytes:
    return _words(_MAGIC_NS, 2 | 4 << 16, 0, 0, SNAPLEN, link_type)  # version 2.4


def _pcap_records(batch: Batch, rows: npt.NDArray[np.intp]) -> memoryview:
    caplen, ts_ns = batch.caplen[rows], batch.ts_ns[rows]
    header = np.empty((len(rows), 4), _WORD)
    header[:, 0] = ts_ns // 1_000_000_000
    header[:, 1] = ts_ns % 1_000_000_000
    header[:, 2] = caplen
    header[:, 3] = batch.wire_octets[rows]
    length = caplen + 16
    end = np.cumsum(length)
    out = np.zeros(int(end[-1]) if len(rows) else 0, np.uint8)
    _place(out, end - length, header.view(np.uint8))
    _copy(out, end - caplen, batch.buffer, batch.offset[rows], caplen)
    return out.data


def _place(out: npt.NDArray[Any], at: Int64s, rows: npt.NDArray[Any]) -> None:
    """Write row i of a matrix to ``out[at[i]:]``."""
    if len(at):
        sliding_window_view(out, rows.shape[1], writeable=True)[at] = rows


def _copy(out: npt.NDArray[Any], at: Int64s, source: Bytes | npt.NDArray[Any], start: Int64s, length: Int64s) -> None:
    """Copy ``source[start[i] : start[i] + length[i]]`` to ``out[at[i]:]`` for every i, one length at a time."""
    order = np.argsort(length.astype(np.uint16) if len(length) and length.max() <= 0xFFFF else length, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(length[order])) + 1):
        size = int(length[rows[0]]) if len(rows) else 0
        if size:
            _place(out, at[rows], sliding_window_view(source, size)[start[rows]])
