"""Known faults at known packets: what a load balancer could have done wrong to one packet that it sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from hops import Headers, Passage, folded, sum16
from traffic import Connections, Ints, Scripts

if TYPE_CHECKING:
    from generate import Plan

Change = Callable[[bytearray, Headers, Passage, int], None]
"""Change a frame sent to the n-th server."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: the modes that can have it, what it does to a frame, or how many copies of it are sent."""

    changed: str
    modes: tuple[str, ...]
    change: Change | None = None
    copies: int = 1
    request: bool = True
    ip: tuple[int, ...] = (4, 6)
    needs_payload: bool = False


@dataclass(slots=True)
class Damage:
    """One fault: from this tap on, packet `row` of connection `flow` is not what it should be.

    `frames` are the frame numbers of the packet at every tap (where it is lost: none).
    """

    fault: str
    kind: Kind
    tap: str
    flow: int
    row: int
    server: int
    since_ns: int
    frames: dict[str, list[int]] = field(default_factory=dict)

    def hits(self, passage: Passage) -> bool:
        return passage.request == self.kind.request and passage.late_ns >= self.since_ns

    def applied(self, frame: bytes, passage: Passage) -> bytes:
        if self.kind.change is None or not self.hits(passage):
            return frame
        octets = bytearray(frame)
        self.kind.change(octets, passage.headers, passage, self.server)
        return bytes(octets)

    def to_dict(self) -> dict[str, Any]:
        return {
            "fault": self.fault,
            "tap": self.tap,
            "changed": self.kind.changed,
            "connection": self.flow,
            "frames": self.frames,
        }


# --- changes; each keeps every checksum right but the one that it is about ----------------------------------------


def _ttl(frame: bytearray, headers: Headers, passage: Passage, server: int) -> None:
    for at, version in headers.ip:
        frame[at + (8 if version == 4 else 7)] -= 1
        _mend_ip(frame, at, version)


def _ip_checksum(frame: bytearray, headers: Headers, passage: Passage, server: int) -> None:
    at, _ = headers.ip[0]
    frame[at + 11] ^= 0x21


def _tcp_checksum(frame: bytearray, headers: Headers, passage: Passage, server: int) -> None:
    frame[headers.tcp + 17] ^= 0x21


def _address(frame: bytearray, headers: Headers, passage: Passage, server: int) -> None:
    """To the next server's address, where it should be this server's."""
    at, version = headers.ip[0]
    place, width = (at + 16, 4) if version == 4 else (at + 24, 16)
    other = passage.prefix[(server + 1) % len(passage.prefix)]
    frame[place : place + width] = other[place : place + width]
    _mend_ip(frame, at, version)
    if len(headers.ip) == 1:
        _mend_tcp(frame, headers)


def _mac(frame: bytearray, headers: Headers, passage: Passage, server: int) -> None:
    other = passage.prefix[(server + 1) % len(passage.prefix)]
    frame[:6] = other[:6]


def _server(frame: bytearray, headers: Headers, passage: Passage, server: int) -> None:
    """A packet in the middle of a connection to the next server, in every header that names it."""
    _mac(frame, headers, passage, server)
    _address(frame, headers, passage, server)


def _ds_field(frame: bytearray, headers: Headers, value: int) -> None:
    at, version = headers.ip[0]
    if version == 4:
        frame[at + 1] = value
    else:
        frame[at] = 0x60 | value >> 4
        frame[at + 1] = frame[at + 1] & 0x0F | (value & 0x0F) << 4
    _mend_ip(frame, at, version)


def _mark(frame: bytearray, headers: Headers, passage: Passage, server: int) -> None:
    _ds_field(frame, headers, 0)


def _outer_ds(frame: bytearray, headers: Headers, passage: Passage, server: int) -> None:
    _ds_field(frame, headers, 0x28)


def _payload(frame: bytearray, headers: Headers, passage: Passage, server: int) -> None:
    frame[-1] ^= 0x55
    _mend_tcp(frame, headers)


def _source(frame: bytearray, headers: Headers, passage: Passage, server: int) -> None:
    """The reply leaves with the server's address: what the load balancer got, not the VIP."""
    at, version = headers.ip[0]
    place, width = (at + 12, 4) if version == 4 else (at + 8, 16)
    frame[place : place + width] = passage.servers[server]
    _mend_ip(frame, at, version)
    _mend_tcp(frame, headers)


def _mend_ip(frame: bytearray, at: int, version: int) -> None:
    if version == 4:
        frame[at + 10 : at + 12] = bytes(2)
        frame[at + 10 : at + 12] = int(folded(sum16(bytes(frame[at : at + 20])))).to_bytes(2, "big")


def _mend_tcp(frame: bytearray, headers: Headers) -> None:
    at, version = headers.ip[-1]
    addresses = frame[at + 12 : at + 20] if version == 4 else frame[at + 8 : at + 40]
    place = headers.tcp + 16
    frame[place : place + 2] = bytes(2)
    total = sum16(bytes(addresses)) + 6 + len(frame) - headers.tcp + sum16(bytes(frame[headers.tcp :]))
    frame[place : place + 2] = int(folded(total)).to_bytes(2, "big")


ALL: Final = ("nat", "fullnat", "l2dsr", "l3dsr-tunnel", "l3dsr-dscp")
NATS: Final = ("nat", "fullnat")

KINDS: Final = {
    "ttl": Kind("the TTL falls by 2 (in a tunnel: both headers)", ALL, _ttl),
    "ip-checksum": Kind("the (outer) IPv4 header checksum is wrong", ALL, _ip_checksum, ip=(4,)),
    "tcp-checksum": Kind("the TCP checksum is wrong", ALL, _tcp_checksum, needs_payload=True),
    "address": Kind(
        "the destination is another server's address, the MAC address is not",
        ("nat", "fullnat", "l3dsr-tunnel", "l3dsr-dscp"),
        _address,
    ),
    "mac": Kind("the destination MAC address is another server's", ("nat", "fullnat", "l2dsr"), _mac),
    "server": Kind("one packet of the connection goes to another server", ("nat", "fullnat"), _server),
    "mark": Kind("no DSCP mark is set", ("l3dsr-dscp",), _mark),
    "outer-ds": Kind("the outer DS field is not the inner one", ("l3dsr-tunnel",), _outer_ds),
    "payload": Kind("the last octet of the payload is another", ALL, _payload, needs_payload=True),
    "lost": Kind("the packet is lost", ALL, copies=0, needs_payload=True),
    "duplicated": Kind("the packet is sent twice", ALL, copies=2, needs_payload=True),
    "source": Kind("the reply's source is the server's address", NATS, _source, request=False),
    "reply-ttl": Kind("the reply's TTL falls by 2", NATS, _ttl, request=False),
    "reply-tcp-checksum": Kind(
        "the reply's TCP checksum is wrong", NATS, _tcp_checksum, request=False, needs_payload=True
    ),
    "reply-payload": Kind("the last octet of a reply is another", NATS, _payload, request=False, needs_payload=True),
    "reply-lost": Kind("the reply is lost", NATS, copies=0, request=False, needs_payload=True),
}


def kinds_of(mode: str, ip: int) -> tuple[str, ...]:
    """The kinds of fault that a mode can have."""
    return tuple(name for name, kind in KINDS.items() if mode in kind.modes and ip in kind.ip)


def damages_for(
    plan: Plan, passages: list[Passage], scripts: Scripts, connections: Connections, random: np.random.Generator
) -> list[Damage]:
    """So many faults of every kind, each in a connection of its own, in the middle of it.

    Connections at the ends of the capture stay whole.
    """
    names = [name for name in kinds_of(plan.mode, plan.ip) if name in plan.kinds or not plan.kinds]
    wanted = [name for name in names for _ in range(plan.faults)]
    margin = max(1, len(connections) // 50)
    free = iter(random.permutation(np.arange(margin, len(connections) - margin)).tolist())
    found = []
    for name in wanted:
        kind = KINDS[name]
        flow, rows = next(
            ((f, r) for f in free if len(r := _fitting(kind, scripts, int(connections.script[f])))), (-1, None)
        )
        if rows is None:
            raise ValueError(f"{len(wanted)} faults need more connections than the {len(connections)} of this capture")
        first = next(p for p in passages if p.request == kind.request and p.sent_by_balancer)
        found.append(
            Damage(
                name,
                kind,
                first.tap,
                flow,
                int(random.choice(rows)),
                int(connections.server[flow]),
                first.late_ns,
            )
        )
    return found


def _fitting(kind: Kind, scripts: Scripts, script: int) -> Ints:
    """The packets of a script that can have a fault: none of the handshake, none of the close."""
    rows: Ints = np.arange(scripts.start[script] + 3, scripts.start[script] + scripts.length[script] - 3)
    fits = scripts.request[rows] == kind.request
    if kind.needs_payload:
        fits &= scripts.size[rows] > 0
    fitting: Ints = rows[fits]
    return fitting
