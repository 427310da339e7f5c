"""Scenarios as text for other tools: hexdumps, scapy commands, C arrays, JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

from dsrkit.craft.frame import Frame
from dsrkit.craft.scenario import LINKTYPE_ETHERNET, Scenario
from dsrkit.errors import UsageError

_SCAPY_HEADER: Final = """\
from scapy.layers.dns import *
from scapy.layers.inet import *
from scapy.layers.inet6 import *
from scapy.layers.l2 import *
from scapy.layers.vrrp import *
from scapy.packet import *
"""


def render(scenario: Scenario, kind: str, tap: str | None = None) -> Iterator[str]:
    """The frames of a scenario, or of one tap, as pieces of text: `hex`, `scapy`, `c` or `json`.

    Raises: UsageError for another kind.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a way to print frames (one of: {', '.join(KINDS)})")
    return KINDS[kind](scenario, tap)


def _numbered(scenario: Scenario, tap: str | None) -> Iterator[tuple[int, Frame]]:
    """Frames with their number at their tap, from 1 as in a file of that tap."""
    count: Counter[str] = Counter()
    for frame in scenario.frames(tap):
        count[frame.tap] += 1
        yield count[frame.tap], frame


def _title(number: int, frame: Frame) -> str:
    """What a frame is, in one harmless line."""
    text = f"{frame.tap} {number}" + (f": {frame.comment}" if frame.comment else "")
    return "".join(c if c.isprintable() else " " for c in text)


def _hex(scenario: Scenario, tap: str | None) -> Iterator[str]:
    """What text2pcap reads: offset, octets; lines that start with # are comments."""
    for number, frame in _numbered(scenario, tap):
        lines = [f"# {_title(number, frame)}"]
        lines += [f"{at:06x}  {frame.data[at : at + 16].hex(' ')}" for at in range(0, len(frame.data), 16)]
        yield "\n".join(lines) + "\n\n"


def _scapy(scenario: Scenario, tap: str | None) -> Iterator[str]:
    """Python that rebuilds every frame: `frames` is a list of packets per tap."""
    yield _SCAPY_HEADER
    yield f"\nframes = {{{', '.join(f'{name!r}: []' for name in scenario.taps if tap in (None, name))}}}\n"
    layer = "Ether" if scenario.link_type == LINKTYPE_ETHERNET else "CookedLinuxV2"
    for number, frame in _numbered(scenario, tap):
        yield f"\n# {_title(number, frame)}\nframes[{frame.tap!r}].append({_command(frame.data, layer)})\n"


def _command(data: bytes, layer: str) -> str:
    """The scapy expression of a frame, where it gives the same octets; else the octets."""
    names = _scapy_names()
    try:
        command: str = names[layer](data).command()
        if bytes(eval(command, dict(names))) == data:
            return command
    except Exception:  # whatever a dissector of scapy makes of a broken or cut frame
        pass
    return f"{layer}(bytes.fromhex({data.hex()!r}))"


@cache
def _scapy_names() -> dict[str, Any]:
    """Just the names that the written program imports."""
    names: dict[str, Any] = {}
    exec(_SCAPY_HEADER, names)
    return names


def _c(scenario: Scenario, tap: str | None) -> Iterator[str]:
    """An array per frame, named by tap and number."""
    names = _c_names(scenario.taps)
    for number, frame in _numbered(scenario, tap):
        title = _title(number, frame).replace("*/", "* /").replace("/*", "/ *")
        yield (
            f"/* {title} */\nstatic const unsigned char frame_{names[frame.tap]}_{number:04d}[{len(frame.data)}] = {{\n"
        )
        for at in range(0, len(frame.data), 12):
            yield f"    {', '.join(f'0x{octet:02x}' for octet in frame.data[at : at + 12])},\n"
        yield "};\n\n"


def _c_names(taps: tuple[str, ...]) -> dict[str, str]:
    """An identifier per tap, each its own."""
    names: dict[str, str] = {}
    for tap in taps:
        stem = re.sub(r"[^A-Za-z0-9]", "_", tap)
        name, copy = stem, 1
        while name in names.values():
            copy += 1
            name = f"{stem}_{copy}"
        names[tap] = name
    return names


def _json(scenario: Scenario, tap: str | None) -> Iterator[str]:
    """An array with one object per line."""
    opening = "[\n"
    for frame in scenario.frames(tap):
        row = {
            "tap": frame.tap,
            "ts_ns": frame.ts_ns,
            "octets": frame.data.hex(),
            "wire_octets": frame.wire_octets,
            "sender": frame.sender,
            "receiver": frame.receiver,
            "comment": frame.comment,
            "packet": frame.packet,
            "flow": frame.flow,
            "changes": [dataclasses.asdict(change) for change in frame.changes],
        }
        yield opening + json.dumps(row)
        opening = ",\n"
    yield "\n]\n" if opening == ",\n" else "[]\n"


KINDS: Final[dict[str, Callable[[Scenario, str | None], Iterator[str]]]] = {
    "hex": _hex,
    "scapy": _scapy,
    "c": _c,
    "json": _json,
}
