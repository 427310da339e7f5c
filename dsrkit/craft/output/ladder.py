"""A scenario as a ladder: what every tap saw of every packet, and which fields the nodes in between had changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations, islice
from typing import Final

from dsrkit.craft.frame import Frame
from dsrkit.craft.packets.cooked import uncooked
from dsrkit.craft.packets.describe import parsed, summary
from dsrkit.craft.packets.octets import GENEVE_PORT, GRE, IPIP, IPV6_IN_IP, UDP, IpHeader, Octets, mac_text
from dsrkit.craft.rewrite import text
from dsrkit.craft.scenario import LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL2, Scenario
from dsrkit.model.ladder import Ladder, LadderCell, LadderField, LadderRow, LadderTap

_SHOWN: Final = (
    "eth.src",
    "eth.dst",
    "vlan.id",
    "tunnel.type",
    "outer.src",
    "outer.dst",
    "outer.ttl",
    "outer.dsfield.dscp",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.dsfield.dscp",
)
_PORTS: Final = ("l4.srcport", "l4.dstport")
_FOLLOWS: Final = ("checksum", ".len")  # what any other change brings with it
LIMIT: Final = 40
"""Rows unless asked for more or fewer."""


def ladder(scenario: Scenario, limit: int = LIMIT) -> Ladder:
    """The first `limit` packets of a scenario, each with all the places where it was seen.

    Frames made at volume do not say which packet they are: each of those is a row of its own.
    """
    if scenario.link_type == LINKTYPE_LINUX_SLL2:
        kept = tuple(replace(frame, data=uncooked(frame.data)) for frame in scenario.kept)
        scenario = replace(scenario, kept=kept, link_type=LINKTYPE_ETHERNET)
    if scenario.source is None:
        packets = _packets(scenario.frames())
        left_out: int | None = max(len(packets) - limit, 0)
    else:
        packets = _packets(islice(scenario.frames(), limit + 1))
        left_out = None if len(packets) > limit else 0
    packets = packets[:limit]
    frames = [frame for packet in packets for frame in packet]
    taps = [tap for tap in scenario.taps if any(frame.tap == tap for frame in frames)]
    start = min((frame.ts_ns for frame in frames), default=0)
    mac_octets = _telling({frame.data[at : at + 6] for frame in frames for at in (0, 6)})
    fault = f", fault {scenario.fault}" if scenario.fault else ""
    return Ladder(
        title=f"{scenario.mode}, profile {scenario.profile}{fault}",
        taps=tuple(LadderTap(tap, _nodes(frame for frame in frames if frame.tap == tap)) for tap in taps),
        rows=tuple(_row(packet, taps, start, mac_octets) for packet in packets),
        left_out=left_out,
        mac_octets=tuple(index + 1 for index in mac_octets),
    )


def _packets(frames: Iterable[Frame]) -> list[list[Frame]]:
    """Frames of the same packet together, in the order in which the packets were first seen."""
    packets: dict[tuple[int, int], list[Frame]] = {}
    for index, frame in enumerate(frames):
        key = (frame.packet, -1) if frame.packet >= 0 else (-1, index)
        packets.setdefault(key, []).append(frame)
    return list(packets.values())


def _nodes(frames: Iterable[Frame]) -> tuple[str, ...]:
    names = (name for frame in frames for name in (frame.sender, "" if _to_group(frame.data[:6]) else frame.receiver))
    return tuple(dict.fromkeys(name for name in names if name))


def _to_group(mac: bytes) -> bool:
    """Whether this is a multicast or the broadcast address (IEEE 802 s8.2)."""
    return bool(mac) and mac[0] & 1 == 1


def _telling(macs: set[bytes]) -> tuple[int, ...]:
    """The fewest octets, two at least and rather the last ones, that tell stations apart."""
    stations = [mac for mac in macs if len(mac) == 6 and not _to_group(mac)]
    for size in range(2, 6):
        for picked in sorted(combinations(range(6), size), reverse=True):
            if len({tuple(mac[index] for index in picked) for mac in stations}) == len(stations):
                return picked
    return tuple(range(6))


def _mac(mac: bytes, telling: Sequence[int]) -> str:
    if mac == b"\xff" * 6:
        return "broadcast"
    return mac_text(mac if _to_group(mac) or len(mac) < 6 else bytes(mac[index] for index in telling))


def _row(packet: Sequence[Frame], taps: Sequence[str], start_ns: int, telling: Sequence[int]) -> LadderRow:
    # also those that a snaplen has cut behind their headers
    seen = [parsed(frame.data.ljust(frame.wire_octets, b"\0")) for frame in packet]
    values = [_values(octets, frame, telling) for octets, frame in zip(seen, packet, strict=True)]
    mapped = any(len({value.get(port) for value in values}) > 1 for port in _PORTS)
    cells: dict[str, list[LadderCell]] = {tap: [] for tap in taps}
    before: dict[str, str] | None = None
    to_group = _to_group(packet[0].data[:6])
    for frame, value in zip(packet, values, strict=True):
        same = to_group and value == before and not frame.changes  # what is flooded stands once
        cell = LadderCell(frame.sender, frame.receiver, ()) if same else _cell(frame, value, before, with_ports=mapped)
        cells[frame.tap].append(cell)
        before = value
    first = summary(seen[0], packet[0].wire_octets)
    way = 0 if to_group else taps.index(packet[-1].tap) - taps.index(packet[0].tap)
    return LadderRow(
        offset_ns=packet[0].ts_ns - start_ns,
        direction="→" if way > 0 else "←" if way < 0 else "",
        summary=first.sized(first.kind),
        endpoints=first.endpoints,
        cells=tuple(tuple(cells[tap]) for tap in taps),
    )


def _values(octets: Octets | None, frame: Frame, telling: Sequence[int]) -> dict[str, str]:
    """All fields that a cell may show, in words."""
    values = {}
    for name, at in (("eth.src", 6), ("eth.dst", 0)):
        values[name] = _mac(frame.data[at : at + 6], telling)
    if octets is None:
        return values
    if len(octets.networks) > 1:
        values["tunnel.type"] = _tunnel(octets, octets.networks[0])
    for name in (*_SHOWN, *_PORTS):
        value = None if name in values else octets.get(name)
        if value is not None:
            values[name] = text(name, value)
    return values


def _cell(frame: Frame, values: dict[str, str], before: dict[str, str] | None, *, with_ports: bool) -> LadderCell:
    fields = []
    for name in (*_SHOWN, *(_PORTS if with_ports else ())):
        if name not in values:
            continue
        changed = before is not None and before.get(name) != values[name]
        if name.endswith("dscp") and values[name].startswith("0 ") and not (changed and before and name in before):
            continue
        fields.append(LadderField(name, values[name], changed))
    fields += (
        LadderField(change.field, change.after, changed=True)
        for change in frame.changes
        if change.field not in (*_SHOWN, *_PORTS) and change.before is not None and not change.field.endswith(_FOLLOWS)
    )
    return LadderCell(frame.sender, frame.receiver, tuple(fields))


def _tunnel(octets: Octets, outer: IpHeader) -> str:
    """The wrapping by the names of `--tunnel`."""
    if outer.proto == GRE:
        return "gre"
    if outer.proto == UDP:
        return "geneve" if octets.word(outer.payload + 2) == GENEVE_PORT else "gue"
    inner = {IPIP: 4, IPV6_IN_IP: 6}.get(outer.proto)
    return "ipip" if inner == outer.version == 4 else f"{inner}in{outer.version}"
