"""Packets of the balanced services, each once however many taps saw it: its flow, real server and load balancer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import ACK, REQUEST, RST, SYN, TCP, UDP, Frames, Ints, Mask, Records, Words, mix
from dsrkit.verify.journeys import PLAIN, REWRITTEN, Way, resegmented
from dsrkit.verify.scene import Party, Scene, TapInfo

FIN: Final = 0x01
_MADE_ANEW: Final = ("nat", "fullnat", "l3dsr-dscp")
"""Modes in which the packet for a server does not name the VIP."""


@dataclass(slots=True)
class Packets:
    """Columns of one direction's journeys, each of shape (n,).

    `row` is the sighting nearest to the server, which is the one to show. `server` and `balancer` are indices of the
    scene's parties as the packet itself tells them, -1 where it does not; `likely` is the server of the client's other
    packets then. `flow` is 0 where a packet names no flow (later fragments, for one). `service` is
    ``VIP << 24 | protocol << 16 | port``, -1 where it is not told.
    """

    request: bool
    row: Ints
    when: Ints
    client: Ints
    service: Ints
    flow: Words
    server: Ints
    likely: Ints
    balancer: Ints
    tcp: Mask
    syn: Mask
    fin: Mask
    rst: Mask
    seq: Ints
    carries: Mask
    octets: Ints
    past: Records | None  # what the fast path knows of the flow


class Finder:
    """Reads `Packets` from journeys; knows the scene's addresses as lookup tables."""

    def __init__(self, scene: Scene, taps: list[TapInfo]) -> None:
        self._scene = scene
        self._shift = np.asarray([tap.shift_ns for tap in taps], np.int64)
        servers, balancers = scene.role("real-server"), scene.role("lb")
        self._server_ips = _Index(servers, lambda p: p.ips - scene.vips)
        self._server_macs = _Index(servers, lambda p: p.macs - {0})
        self._balancer_ips = _Index(balancers, lambda p: p.ips - scene.vips)
        self._balancer_macs = _Index(balancers, lambda p: p.macs - {0})
        self._balancers = len(balancers)
        self._vips = np.asarray(sorted(scene.vips), np.int64)
        self._vport = {
            proto << 16 | rport: proto << 16 | vport
            for (proto, vport), ports in scene.services.items()
            for rport in {vport, *ports}
        }

    def packets(self, f: Frames, flows: Flows, way: Way) -> Packets:
        """The TCP and UDP packets of a way."""
        return self.columns(f, flows, way.keep(among(way.proto, (TCP, UDP)) & ~_counted_in_others(f, flows, way)))

    def columns(self, f: Frames, flows: Flows, way: Way) -> Packets:
        """All journeys of a way, which are TCP or UDP."""
        request = way.direction == REQUEST
        last, plain, made = _row_of(way, None), _row_of(way, PLAIN), _row_of(way, REWRITTEN)
        first = _first_row(way)
        named = np.where(plain >= 0, plain, last)
        whole = ~f.fragment[named] | f.has_l4[named]
        service, told = self._services(f, flows, named)
        # Where the client is seen somewhere, what is only seen between load balancer and server cannot be tied to it.
        tied = (plain >= 0) | told
        if self._scene.mode == "fullnat":
            tied = plain >= 0
        if not any(p.form == PLAIN for p in way.points):
            tied[:] = True
        own = np.where((plain >= 0) | (told & (self._scene.mode != "fullnat")), service, flows.server[named])
        flow = np.where(tied & whole, mix(flows.client[named], own), np.uint64(0))
        flags = f.flags[last]
        tcp = f.is_tcp[last]
        is_syn = tcp & ((flags & SYN) != 0) & (((flags & ACK) == 0) == request)
        return Packets(
            request,
            np.where(made >= 0, made, last),
            f.ts[first] + self._shift[f.tap[first]] if len(first) else first,
            flows.client[named],
            _by_datagram(f, flows, named, whole, service),
            flow,
            self._servers(f, flows, way),
            way.server,
            self._forwarders(f, flows, way),
            tcp,
            is_syn,
            tcp & ((flags & FIN) != 0),
            tcp & ((flags & RST) != 0),
            f.seq[last],
            f.payload_len[last] > 0,
            f.ip_len[last],
            self._past(f, last),
        )

    def _past(self, f: Frames, rows: Ints) -> Records | None:
        """What the fast path knows of flows, its times like those of all taps."""
        if f.past is None:
            return None
        past = f.past[rows]
        past["last"] += np.where(past["last"] > 0, self._shift[f.tap[rows]], 0)
        return past

    def _services(self, f: Frames, flows: Flows, named: Ints) -> tuple[Ints, Mask]:
        """The service of each packet, and whether its VIP is certain."""
        vip, code = flows.server[named] >> 16, f.proto[named] << 16 | (flows.server[named] & 0xFFFF)
        told = among(vip, self._vips)
        if self._scene.mode in _MADE_ANEW:
            there = distinct(code[~told])
            for each in there.tolist():
                code[~told & (code == each)] = self._vport.get(each, each)
            if len(self._vips) == 1:
                vip = np.where(told, vip, self._vips[0])
                told = np.ones(len(vip), bool)
            else:
                vip = np.where(told, vip, 0)
        return np.asarray(vip << 24 | code, np.int64), told

    def _servers(self, f: Frames, flows: Flows, way: Way) -> Ints:
        """The real server that a packet's own addresses name, the sighting nearest to it first."""
        out = np.full(len(way.rows), -1, np.int64)
        for column in range(way.rows.shape[1]):
            seen = way.rows[:, column] >= 0
            rows = way.rows[seen, column]
            ends = f.eth_dst if way.direction == REQUEST else f.eth_src
            found = self._server_macs.of(ends[rows])
            for addresses in (flows.server >> 16, f.outer_dst):
                by_ip = self._server_ips.of(addresses[rows])
                found = np.where(by_ip >= 0, by_ip, found)
            out[seen] = np.where(found >= 0, found, out[seen])
        return out

    def _forwarders(self, f: Frames, flows: Flows, way: Way) -> Ints:
        """Which load balancer forwarded a packet; its sender's address says it better than whom the client's frame
        went to."""
        if self._balancers == 1:
            return np.zeros(len(way.rows), np.int64)
        out = np.full(len(way.rows), -1, np.int64)
        if not self._balancers:
            return out
        for form in (PLAIN, REWRITTEN):
            for column, point in enumerate(way.points):
                seen = way.rows[:, column] >= 0
                if point.form != form or not seen.any():
                    continue
                rows = way.rows[seen, column]
                near = (form == REWRITTEN) == (way.direction == REQUEST)
                found = self._balancer_macs.of((f.eth_src if near else f.eth_dst)[rows])
                by_ip = self._balancer_ips.of(f.outer_src[rows])
                if self._scene.mode == "fullnat" and form == REWRITTEN:
                    by_ip = self._balancer_ips.of(flows.client[rows] >> 16)
                found = np.where(found >= 0, found, by_ip)
                out[seen] = np.where(found >= 0, found, out[seen])
        return out


class _Index:
    """Indices of parties by their addresses; an address that several have names none."""

    def __init__(self, parties: list[Party], addresses: Callable[[Party], set[int]]) -> None:
        known: dict[int, int] = {}
        for i, party in enumerate(parties):
            for address in addresses(party):
                known[address] = -1 if address in known else i
        self._keys = np.asarray(sorted(known), np.int64)
        self._values = np.asarray([known[key] for key in sorted(known)], np.int64)

    def of(self, values: Ints) -> Ints:
        if not len(self._keys):
            return np.full(len(values), -1, np.int64)
        at = np.minimum(np.searchsorted(self._keys, values), len(self._keys) - 1)
        return np.where(self._keys[at] == values, self._values[at], -1)


def _row_of(way: Way, form: int | None) -> Ints:
    """Each journey's last sighting on its way, in one form or in any; -1: none."""
    out = np.full(len(way.rows), -1, np.int64)
    for column, point in enumerate(way.points):
        if form is None or point.form == form:
            rows = way.rows[:, column]
            out = np.where(rows >= 0, rows, out)
    return out


def _first_row(way: Way) -> Ints:
    out = np.full(len(way.rows), -1, np.int64)
    for column in range(way.rows.shape[1] - 1, -1, -1):
        rows = way.rows[:, column]
        out = np.where(rows >= 0, rows, out)
    return out


def _by_datagram(f: Frames, flows: Flows, rows: Ints, whole: Mask, service: Ints) -> Ints:
    """Services, those of later fragments as their first one tells; -1 where it was not seen."""
    if whole.all():
        return service
    datagram = mix(flows.client[rows] >> 16, f.ip_id[rows], f.proto[rows])
    heads = np.flatnonzero(whole & f.fragment[rows])
    keys, first = np.unique(datagram[heads], return_index=True)
    out = np.where(whole, service, -1)
    if len(keys):
        at = np.minimum(np.searchsorted(keys, datagram), len(keys) - 1)
        found = ~whole & (keys[at] == datagram)
        out[found] = service[heads[first[at[found]]]]
    return out


def _counted_in_others(f: Frames, flows: Flows, way: Way) -> Mask:
    """Segments whose octets are those of others: offload engines cut and join them between two taps."""
    out = np.zeros(len(way.rows), bool)
    if not len(way.rows):
        return out
    seen = way.rows >= 0
    most = int(seen.sum(axis=0).argmax())
    lone = ~seen[:, most]
    for column in np.flatnonzero((seen & lone[:, None]).any(axis=0)).tolist():
        out |= lone & resegmented(f, flows, way, column, most)
    return out
