"""What load balancers put into headers for servers to read: an IP option with the VIP, a TCP option with the client."""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.verify.arrays import among
from dsrkit.verify.flows import Flows, is_syn, is_synack
from dsrkit.verify.frames import REPLY, REQUEST, RST, SYN, Frames
from dsrkit.verify.scene import Scene
from dsrkit.verify.verdicts import MOST_FRAMES, Frame
from dsrkit.wire import layout

_MOST: Final = 20_000
_MOST_READ: Final = 200
_COPY_NS: Final = 200_000_000
"""Least time between two transmissions. Source: Linux TCP_RTO_MIN."""
_TOA: Final = 254
"""TCP option with the client's address. Source: Linux toa module; dpvs."""


@dataclass(slots=True)
class Told:
    """A client's requests that a load balancer sends on with an IP option, or in an overlay whose header has one."""

    balancer: int  # MAC
    vip: int
    tos: int = 0  # of the first packet with the option
    servers: set[int] = field(default_factory=set)  # addresses that were told
    others: set[int] = field(default_factory=set)  # that got packets of it without the option
    takers: set[int] = field(default_factory=set)  # MACs of other load balancers that sent them there
    resets: set[int] = field(default_factory=set)  # that reset it in their own names
    proto: int = 0
    overlay: bool = False
    copies: Counter[int] = field(default_factory=Counter)  # by tap
    tries: int = 0  # transmissions of the load balancer, copies of a mirror port left out
    last: int = 0  # when; ns
    longest: int = 0  # octets with the option
    before: int = 0  # octets without it
    beyond: bool = False  # whether any packet with the option was seen behind the next hop
    returned: set[int] = field(default_factory=set)  # MACs that sent it back to the VIP, option and all
    answered: bool = False
    replied: bool = False  # an answer was seen
    wrapped: bool = False  # in a tunnel
    heard: bool = False  # by the client, which goes on
    refusal: tuple[int, int] | None = None  # MAC and TOS of a RST in the VIP's name
    error: tuple[int, int, int] | None = None  # IP version, type and code of an ICMP error about it
    frames: list[Frame] = field(default_factory=list)


@dataclass(slots=True)
class Options:
    """Facts about options; clients are endpoints."""

    told: dict[int, Told] = field(default_factory=dict)
    toa_read: int = 0
    """Packets behind a full NAT whose TCP options were looked at, and those that hold the client's address."""
    toa_found: int = 0

    def see(self, f: Frames, flows: Flows, scene: Scene) -> None:
        """Take in a batch; every packet once."""
        if scene.mode in (None, "l3dsr-tunnel"):  # where a tunnel is stated, an option may stand in for it
            self._ip_options(f, flows)
        if scene.mode == "fullnat" and self.toa_read < _MOST_READ:
            self._tcp_options(f, flows, scene)

    def _ip_options(self, f: Frames, flows: Flows) -> None:
        request = (flows.direction == REQUEST) & (f.tunnel == 0)
        opening = request & (is_syn(f) | f.is_udp_head)
        plain = f.inner("hdr_len") == np.where(f.ver == 6, 40, 20)
        wrapped = f.inner("encap") == layout.ENCAP_GENEVE
        carrying = np.flatnonzero(opening & (~plain | wrapped))
        if not len(carrying) and not self.told:
            return
        asked = {int(f.source[r]): r for r in np.flatnonzero(opening & plain & ~wrapped).tolist()}
        for row in carrying.tolist():
            self._told(f, row, asked.get(int(f.source[row])))
        known, balancers = list(self.told), {one.balancer for one in self.told.values()}
        for row in np.flatnonzero(request & plain & among(f.source, known)).tolist():
            one = self.told[int(f.source[row])]
            one.heard |= bool(f.is_tcp[row] and not f.flags[row] & (SYN | RST))  # only who got an answer goes on
            one.answered |= bool(f.is_tcp[row] and not f.flags[row] & SYN)
            if int(f.dst[row]) not in one.servers | {one.vip} and int(f.eth_src[row]) in balancers:
                one.others.add(int(f.dst[row]))
                one.takers |= {int(f.eth_src[row])} - {one.balancer}
        for row in np.flatnonzero(among(f.target, known) & (f.is_tcp | f.is_udp_head)).tolist():
            one = self.told[int(f.target[row])]
            if not f.is_tcp[row] or not int(f.flags[row]) & RST:
                continue
            if int(f.src[row]) in one.servers | one.others:
                one.resets.add(int(f.src[row]))
            elif int(f.src[row]) == one.vip and one.refusal is None and int(f.eth_src[row]) != one.balancer:
                one.refusal = int(f.eth_src[row]), int(f.tos[row])
            one.frames = [*one.frames, f.ref(row)][:MOST_FRAMES]
        replies = (flows.direction == REPLY) & (is_synack(f) | f.is_udp_head)
        for row in np.flatnonzero(replies & among(f.target, known)).tolist():
            one = self.told[int(f.target[row])]
            one.answered = True
            one.replied |= not f.tunnel[row]
            one.wrapped |= bool(f.tunnel[row])
        self._errors(f)

    def _errors(self, f: Frames) -> None:
        for row in np.flatnonzero(f.is_error).tolist():
            one = self.told.get(int(f.quoted_src[row]) << 16 | int(f.rec["q_sport"][row]))
            if one is not None and one.error is None and int(f.eth_src[row]) != one.balancer:
                one.error = int(f.ver[row]), int(f.icmp_type[row]), int(f.rec["icmp_code"][row])
                one.frames = [*one.frames, f.ref(row)][:MOST_FRAMES]

    def _told(self, f: Frames, row: int, before: int | None) -> None:
        client = int(f.source[row])
        one = self.told.get(client)
        if one is None:
            handed = before is not None and int(f.eth_dst[before]) == int(f.eth_src[row])
            if before is None or not handed or int(f.dst[before]) == int(f.dst[row]) or len(self.told) >= _MOST:
                return
            one = self.told[client] = Told(
                int(f.eth_src[row]),
                int(f.dst[before]),
                int(f.tos[row]),
                proto=int(f.proto[row]),
                overlay=int(f.inner("encap")[row]) == layout.ENCAP_GENEVE,
                before=int(f.ip_len[before]),
            )
        if int(f.dst[row]) == one.vip:
            one.returned.add(int(f.eth_src[row]))
            return
        one.servers.add(int(f.dst[row]))
        if int(f.eth_src[row]) == one.balancer and int(f.ts[row]) - one.last >= _COPY_NS:
            one.tries, one.last = one.tries + 1, int(f.ts[row])
        one.copies[int(f.tap[row])] += 1
        one.longest = max(one.longest, int(f.ip_len[row]))
        one.beyond |= int(f.eth_src[row]) != one.balancer
        one.frames = [*one.frames, f.ref(row)][:MOST_FRAMES]

    def _tcp_options(self, f: Frames, flows: Flows, scene: Scene) -> None:
        lbs, rips = list(scene.macs("lb") - {0}), list(scene.ips("real-server"))
        sent = (flows.direction == REQUEST) & f.is_tcp & among(f.eth_src, lbs) & among(f.dst, rips)
        for row in np.flatnonzero(sent & f.whole_header)[: _MOST_READ - self.toa_read].tolist():
            self.toa_read += 1
            size = int(f.rec["payload_at"][row]) - int(f.rec["l4_at"][row])
            self.toa_found += _TOA in _kinds(f.octets(row, "l4_at", size)[20:])


def _kinds(options: bytes) -> set[int]:
    """Kinds of TCP options. Source: RFC 9293 s3.1."""
    out: set[int] = set()
    at = 0
    while at < len(options) and options[at]:
        kind = options[at]
        out.add(kind)
        if kind == 1:
            at += 1
        elif at + 1 < len(options) and options[at + 1] >= 2:
            at += options[at + 1]
        else:
            break
    return out
