"""Flows: which side of a packet is the client, and what makes it the same packet at every tap.

A packet's identity is built from the fields that no node on any path rewrites. For TCP these are sequence and
acknowledgement number, flags, length, IP id and time stamps: 64 random bits, so no address is needed and even full NAT
keeps it. Everything else also needs the client's address.
"""

from __future__ import annotations

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.frames import ACK, REPLY, REQUEST, SYN, Frames, Ints, Mask, Words, endpoint_address, mix

_PROTO_SHIFT = 56
_OFFSET = 0x1FFF


@dataclass(slots=True)
class Flows:
    """Per packet: direction, both endpoints by role, identity.

    Shape: (n,) each.  Absent: direction 0 where the packet belongs to no conversation, identity 0 where it cannot be
    told from others.
    """

    direction: Ints
    client: Ints
    server: Ints
    identity: Words

    def last(self, count: int) -> Flows:
        """Those of the last packets."""
        start = len(self.direction) - count
        return Flows(self.direction[start:], self.client[start:], self.server[start:], self.identity[start:])


def is_syn(f: Frames) -> Mask:
    return np.asarray(f.is_tcp & ((f.flags & (SYN | ACK)) == SYN), bool)


def is_synack(f: Frames) -> Mask:
    return np.asarray(f.is_tcp & ((f.flags & (SYN | ACK)) == (SYN | ACK)), bool)


def oriented(f: Frames, services: Ints | None = None) -> Flows:
    """Directions, endpoints and identities of all packets.

    `services` are endpoints known to serve (``proto << 56 | endpoint``), from a spec or from earlier batches.
    """
    direction = _directions(f, services)
    request = direction == REQUEST
    client = np.where(request, f.source, np.where(direction == REPLY, f.target, 0))
    server = np.where(request, f.target, np.where(direction == REPLY, f.source, 0))
    return Flows(direction, client, server, identities(f, direction, client))


def _directions(f: Frames, services: Ints | None) -> Ints:
    direction = np.zeros(f.n, np.int64)
    talk = f.is_tcp | f.is_udp
    tag = f.proto << _PROTO_SHIFT
    source, target = f.source | tag, f.target | tag
    serving = _serving(f, source, target)
    if services is not None:
        serving = distinct(np.concatenate([serving, services]))
    from_server, to_server = talk & among(source, serving), talk & among(target, serving)
    direction[to_server & ~from_server] = REQUEST
    direction[from_server & ~to_server] = REPLY
    undecided = talk & (to_server == from_server)
    if undecided.any():
        direction[undecided] = by_first_word(f, source, target, np.flatnonzero(undecided))
    _echoes(f, direction)
    direct_fragments(f, direction)
    return direction


def _serving(f: Frames, source: Ints, target: Ints) -> Ints:
    """Endpoints that TCP handshakes show to be servers."""
    return distinct(np.concatenate([target[is_syn(f)], source[is_synack(f)]]))


def by_first_word(f: Frames, source: Ints, target: Ints, rows: Ints) -> Ints:
    """Who speaks first in a pair is its client; each endpoint is then what it is in most of its pairs."""
    a, b = source[rows], target[rows]
    low, high = np.minimum(a, b), np.maximum(a, b)
    pair = mix(low, high, f.tap[rows])
    _, first, member = np.unique(pair, return_index=True, return_inverse=True)
    up, down = np.zeros(len(first), bool), np.zeros(len(first), bool)
    up[member[a < b]], down[member[a > b]] = True, True
    mutual = up & down
    ends, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    source, target = place[: len(rows)], place[len(rows) :]
    score, heard = np.zeros(len(ends), np.int64), np.zeros(len(ends), bool)
    np.add.at(score, target[first[mutual]], 1)  # was asked
    np.add.at(score, source[first[mutual]], -1)  # asked
    heard[target[first[mutual]]] = heard[source[first[mutual]]] = True
    # Where only one way is seen, who speaks first in a pair says little (a server that is asked at one address and
    # answers from another speaks first from that one): then the port serves, at whatever address.
    ports, port_of = np.unique(ends & 0xFFFF, return_inverse=True)
    by_port = np.zeros(len(ports), np.int64)
    np.add.at(by_port, port_of[target[first[~mutual]]], 1)
    np.add.at(by_port, port_of[source[first[~mutual]]], -1)
    score = np.where(heard, score, by_port[port_of])
    from_score, to_score = score[source], score[target]
    # Equal scores: the lower port serves, then the lower number, so that both directions agree.
    tie_request = np.where((a & 0xFFFF) != (b & 0xFFFF), (b & 0xFFFF) < (a & 0xFFFF), b < a)
    request = np.where(to_score != from_score, to_score > from_score, tie_request)
    return np.where(request, REQUEST, REPLY)


def _echoes(f: Frames, direction: Ints) -> None:
    asks = f.is_echo & among(f.icmp_type, (8, 128))
    direction[asks] = REQUEST
    direction[f.is_echo & ~asks] = REPLY


def direct_fragments(f: Frames, direction: Ints) -> None:
    """Fragments carry no ports (but the first): they follow the addresses that serve."""
    rows = f.has_ip & f.fragment
    if not rows.any():
        return
    known = direction != 0
    serving = distinct(np.concatenate([f.dst[known & (direction == REQUEST)], f.src[known & (direction == REPLY)]]))
    asking = distinct(np.concatenate([f.src[known & (direction == REQUEST)], f.dst[known & (direction == REPLY)]]))
    to_server = among(f.dst, serving) | among(f.src, asking)
    from_server = among(f.src, serving) | among(f.dst, asking)
    direction[rows & to_server & ~from_server] = REQUEST
    direction[rows & from_server & ~to_server] = REPLY


def identities(f: Frames, direction: Ints, client: Ints, *, addressless: bool = False) -> Words:
    """What stays the same of a packet from its sender to its receiver, as a 64-bit hash; 0: cannot be told.

    `addressless` leaves the client's address out for other protocols than TCP too (full NAT replaces it).
    """
    identity = np.zeros(f.n, np.uint64)
    known = direction != 0
    who = np.zeros(f.n, np.int64) if addressless else client
    where = np.zeros(f.n, np.int64) if addressless else endpoint_address(client)
    tcp = known & f.is_tcp
    # A header that a tap has cut hides its options, so they can identify nothing then.
    whole_headers = bool(f.whole_header[tcp].all())
    stamps = (f.rec["tsval"], f.rec["tsecr"]) if whole_headers else (np.zeros(f.n, np.uint32),) * 2
    # Without an IP id, only the SACK blocks tell two bare ACKs of one number apart.
    bare_ack = (f.ip_id == 0) & (f.payload_len == 0) & (f.flags == ACK)
    blocks = np.where(bare_ack, f.rec["opt_fp"], np.uint64(0)) if whole_headers else np.zeros(f.n, np.uint64)
    identity[tcp] = mix(
        (direction << 8 | 6)[tcp],
        f.seq[tcp],
        f.ack[tcp],
        f.flags[tcp],
        f.payload_len[tcp],
        f.ip_id[tcp],
        stamps[0][tcp],
        stamps[1][tcp],
        blocks[tcp],
    )
    udp = known & f.is_udp
    # Without an IP id (IPv6, or 0 under DF) only the payload tells two datagrams of a flow apart.
    # A cut packet's fingerprint depends on where it was cut, so one cut datagram makes it useless for all.
    bare = udp & (f.ip_id == 0)
    whole = bool(f.has_all_payload[bare].all())
    body = np.where(bare, f.rec["fp"].astype(np.uint64), np.uint64(0)) if whole else np.zeros(f.n, np.uint64)
    identity[udp] = mix((direction << 8 | 17)[udp], who[udp], f.ip_id[udp], f.payload_len[udp], body[udp])
    echo = known & f.is_echo
    identity[echo] = mix((direction << 8 | 1)[echo], where[echo], f.seq[echo], f.ip_id[echo], f.payload_len[echo])
    identify_fragments(f, direction, where, known, identity)
    return identity


def identify_fragments(f: Frames, direction: Ints, where: Ints, known: Mask, identity: Words) -> None:
    """Fragments by datagram and offset. A load balancer may put a datagram together: its whole image is then the same
    packet as the first fragment, and the other fragments have none."""
    part = known & f.fragment & f.has_ip
    if not part.any():
        return
    datagram = mix(direction << 8 | 44, where, f.ip_id, f.proto)
    offset = f.inner("frag") & _OFFSET
    cut = distinct(datagram[part & (offset == 0)])
    whole = known & ~f.fragment & (f.ip_id != 0) & among(datagram, cut)
    together = among(datagram, distinct(datagram[whole]))
    identity[part] = np.where(
        together[part] & (offset[part] > 0),
        np.uint64(0),
        mix(datagram[part], offset[part], np.where(together, 0, f.ip_len)[part]),
    )
    identity[whole] = mix(datagram[whole], 0, 0)
