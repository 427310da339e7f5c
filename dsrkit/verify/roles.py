"""Inference of mode and roles from packets alone, once for the whole input.

Everything rests on steps (`dsrkit.verify.steps`), on who claims which address (ARP, neighbour discovery), and on which
address answers. Nothing rests on names, address plans or MAC vendors; what the packets do not tell stays undetermined.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import field, replace
from typing import TypeVar

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.model.dscp import dscp_text
from dsrkit.verify.arrays import among, distinct, distinct_columns
from dsrkit.verify.flows import Flows, is_syn, is_synack
from dsrkit.verify.frames import (
    ACK,
    INITIAL_TTLS,
    REPLY,
    REQUEST,
    RST,
    SYN,
    TCP,
    TUNNEL_NAMES,
    Frames,
    Ints,
    Mask,
    Words,
    mix,
)
from dsrkit.verify.scene import Party, Scene
from dsrkit.verify.steps import OVERLAY, SAME, Sight, Step, places, steps
from dsrkit.wire import layout

K = TypeVar("K")

_MULTICAST_BIT = 1 << 40
MOST_CLIENTS = 4096
_SHARE_DISOWNED = 0.5
"""Of the clients that came last, a capture does not show that they ask on."""
_MOST_NAMED = 5
_MOST_DIPS = 8
"""More outer sources than this are made up per flow (katran), not addresses of a load balancer."""


@dataclass(slots=True)
class Evidence:
    """What was counted over the input before anything is decided; bounded by places and machines, not by packets."""

    steps: Counter[Step] = field(default_factory=Counter)
    places: Counter[tuple[Sight, int]] = field(default_factory=Counter)  # (place, direction)
    claims: dict[tuple[int, int], Counter[str]] = field(default_factory=dict)
    answers: Counter[Answer] = field(default_factory=Counter)
    clients: Counter[tuple[int, int, int]] = field(default_factory=Counter)  # (client, its frames' sender, server)
    outer_sources: Counter[int] = field(default_factory=Counter)
    tunnel_ports: Counter[int] = field(default_factory=Counter)
    refused: Counter[tuple[int, int, int]] = field(default_factory=Counter)  # (address, TCP port, sender's MAC)
    tap_macs: dict[int, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    tap_unicast: Counter[int] = field(default_factory=Counter)
    tap_sent: dict[int, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))  # cooked: sent by the host

    def merge(self, other: Evidence) -> None:
        """Add what another batch showed."""
        self.steps.update(other.steps)
        self.places.update(other.places)
        for key, how in other.claims.items():
            self.claims.setdefault(key, Counter()).update(how)
        self.answers.update(other.answers)
        self.tap_unicast.update(other.tap_unicast)
        for mine, theirs in ((self.tap_macs, other.tap_macs), (self.tap_sent, other.tap_sent)):
            for tap, macs in theirs.items():
                mine[tap].update(macs)
        _add_bounded(self.clients, other.clients)
        _add_bounded(self.outer_sources, other.outer_sources)
        _add_bounded(self.refused, other.refused)
        _add_bounded(self.tunnel_ports, other.tunnel_ports)


def _add_bounded(known: Counter[K], new: Counter[K]) -> None:
    """Add counts, but no new keys beyond a bound: addresses of clients can be as many as packets."""
    for key, n in new.items():
        if key in known or len(known) < MOST_CLIENTS:
            known[key] += n


@dataclass(frozen=True, slots=True)
class Answer:
    """A TCP handshake as one tap saw it: asked at one address (with this DSCP), answered from another.

    `disowned`: its client refuses the answer under another DSCP, and asks on; see `_disowned`.
    """

    tap: int
    asked: int
    asked_port: int
    dscp: int
    tunnel: int
    answered: int
    server_mac_asked: int
    server_mac_answered: int
    reply_ttl: int
    disowned: bool

    @property
    def beside_server(self) -> bool:
        """Whether the machine that was asked is the one that answers, and no router has passed the answer on."""
        return self.server_mac_asked == self.server_mac_answered and self.reply_ttl in INITIAL_TTLS


def gather(f: Frames, flows: Flows) -> Evidence:
    """Count one batch."""
    evidence = Evidence(steps(f, flows), places(f, flows), claims(f), answers(f, flows))
    asking = np.flatnonzero((flows.direction == REQUEST) & (f.tunnel == 0))
    who = np.stack([flows.client[asking] >> 16, f.eth_src[asking], flows.server[asking] >> 16])
    for (client, mac, server), n in zip(*_unique_columns(who), strict=True):
        evidence.clients[int(client), int(mac), int(server)] += int(n)
    wrapped = (flows.direction == REQUEST) & (f.tunnel > 0)
    evidence.outer_sources.update(_counted(f.outer_src[wrapped]))
    evidence.tunnel_ports.update(_counted(f.field("tun_dport")[wrapped & (f.rec["tun_dport"] != 0)]))
    evidence.refused.update(refusals(f))
    unicast = f.has_ip & f.has_eth_dst & (f.eth_dst & _MULTICAST_BIT == 0) & (f.eth_src != 0)
    for tap in distinct(f.tap[unicast]):
        rows = unicast & (f.tap == tap)
        pairs, _, count = distinct_columns(np.stack([f.eth_src[rows], f.eth_dst[rows]]))
        evidence.tap_unicast[int(tap)] += int(rows.sum())
        for (src, dst), n in zip(pairs.T, count, strict=True):
            evidence.tap_macs[int(tap)].update({int(src): int(n)})
            if src != dst:
                evidence.tap_macs[int(tap)].update({int(dst): int(n)})
    sent = f.has_ip & ~f.has_eth_dst & (f.rec["pkttype"] == 4) & (f.eth_src != 0)
    for tap in distinct(f.tap[sent]):
        evidence.tap_sent[int(tap)].update(_counted(f.eth_src[sent & (f.tap == tap)]))
    return evidence


def _unique_columns(table: Ints) -> tuple[Ints, Ints]:
    unique, _, count = distinct_columns(table)
    return unique.T, count


def _counted(values: Ints) -> dict[int, int]:
    unique, count = np.unique(values, return_counts=True)
    return dict(zip(unique.tolist(), count.tolist(), strict=True))


def claims(f: Frames) -> dict[tuple[int, int], Counter[str]]:
    """Who says to have which address: (address, MAC) -> counts by kind of message.

    A probe (sender address 0) claims nothing. Source: RFC 826, RFC 5227 s2.1.1, RFC 4861 s4.3, s4.4.
    """
    rows = np.flatnonzero((f.rec["has"] & layout.HAS_RES) != 0)
    out: dict[tuple[int, int], Counter[str]] = {}
    if not len(rows):
        return out
    spa = f.book.intern(f.rec["res_spa_hi"][rows], f.rec["res_spa_lo"][rows])
    tpa = f.book.intern(f.rec["res_tpa_hi"][rows], f.rec["res_tpa_lo"][rows])
    op = f.rec["res_op"][rows].astype(np.int64)
    sha = f.claimant[rows]
    kind = np.select([(spa == tpa) & (op < 3), op == 1, op == 2, op == 136], [1, 2, 3, 4], 5)
    names = ("", "announced", "asked-as", "answered", "answered", "asked-as")
    named = (sha != 0) & among(op, (1, 2, 135, 136)) & ~_unspecified(f, spa)
    for address, mac, how in zip(spa[named], sha[named], kind[named], strict=True):
        out.setdefault((int(address), int(mac)), Counter()).update([names[how]])
    return out


def _unspecified(f: Frames, addresses: Ints) -> Mask:
    unique, inverse = np.unique(addresses, return_inverse=True)
    zero = np.asarray([f.book.text(int(a)) in ("0.0.0.0", "::") for a in unique], bool)
    return np.asarray(zero[inverse], bool) if len(unique) else np.zeros(0, bool)


def answers(f: Frames, flows: Flows) -> Counter[Answer]:
    """TCP handshakes per tap: SYN and the SYN-ACK that acknowledges it, whatever address the answer came from."""
    asked, answered = np.flatnonzero(is_syn(f)), np.flatnonzero(is_synack(f))
    if not len(asked) or not len(answered):
        return Counter()
    want = mix(f.tap[asked], f.source[asked], (f.seq[asked] + 1) & 0xFFFF_FFFF)
    have = mix(f.tap[answered], f.target[answered], f.ack[answered])
    _, first = np.unique(have, return_index=True)
    have, answered = have[first], answered[first]
    # The last sighting of a SYN at a tap is the nearest to its server.
    order = np.lexsort((-f.wire_ttl[asked], want))
    last = np.append(want[order][1:] != want[order][:-1], True)
    want, asked = want[order][last], asked[order][last]
    at = np.searchsorted(have, want)
    hit = (at < len(have)) & (have[np.minimum(at, len(have) - 1)] == want)
    asked, answered = asked[hit], answered[at[hit]]
    out: Counter[Answer] = Counter()
    for q, r, disowned in zip(asked, answered, _disowned(f, asked, answered).tolist(), strict=True):
        out[
            Answer(
                int(f.tap[q]),
                int(f.dst[q]),
                int(f.target[q]) & 0xFFFF,
                int(f.tos[q]) >> 2,
                int(f.tunnel[q]),
                int(f.src[r]),
                int(f.eth_dst[q]),
                int(f.eth_src[r]),
                int(f.ttl[r]),
                disowned,
            )
        ] += 1
    return out


def _disowned(f: Frames, asked: Ints, answered: Ints) -> Mask:
    """Handshakes whose client asked another address than the one that answers, as the place where it answers shows.

    The client knows of no connection to that address and resets it; as it still waits for its answer, it then sends
    the same SYN once more. Who only probes a port resets as well, but does not ask on. The reset goes to the server's
    own address and past the load balancer, so it lacks the mark; where a network marks packets by their ends, both
    have one mark. Source: RFC 9293 s3.10.7.3; recorded b05.
    """
    out = np.zeros(len(asked), bool)
    bare = np.flatnonzero(f.is_tcp & ((f.flags & (SYN | ACK | RST)) == RST))
    if not len(bare):
        return out
    opening = _openings(f, asked, f.seq[asked] + 1)
    refused = _openings(f, bare, f.seq[bare])
    mine = np.flatnonzero(among(opening, refused) & (f.target[asked] == f.source[answered]))
    if not len(mine):
        return out
    resets = _first_of(bare, refused, opening[mine])
    syns = np.flatnonzero(is_syn(f))
    syns = syns[np.argsort(f.ts[syns])][::-1]
    latest = _first_of(syns, _openings(f, syns, f.seq[syns] + 1), opening[mine])
    out[mine] = (f.ts[latest] > f.ts[resets]) & (f.tos[resets] >> 2 != f.tos[asked[mine]] >> 2)
    return out


def _first_of(rows: Ints, keys: Words, wanted: Words) -> Ints:
    """The first row with each of the keys wanted, all of which there are."""
    known, first = np.unique(keys, return_index=True)
    return np.asarray(rows[first[np.searchsorted(known, wanted)]], np.int64)


def _openings(f: Frames, rows: Ints, following: Ints) -> Words:
    """What a SYN and the reset of its answer have in common: tap, both endpoints, the number after the SYN's."""
    return mix(f.tap[rows], f.source[rows], f.target[rows], following & 0xFFFF_FFFF)


def refusals(f: Frames) -> Counter[tuple[int, int, int]]:
    """TCP services that answer a SYN with ICMP unreachable in their own name: (address, port, sender's MAC) -> times.

    A host whose port is closed sends a RST; this is what a load balancer without real servers does. Source:
    ip_vs_core.c ip_vs_leave, Linux 6.1; recorded b22.
    """
    unreachable = ((f.ver == 4) & (f.icmp_type == 3)) | ((f.ver == 6) & (f.icmp_type == 1))
    rows = np.flatnonzero(f.is_error & unreachable & (f.src == f.quoted_dst) & (f.rec["q_proto"] == 6))
    table = np.stack([f.src[rows], f.field("q_dport")[rows], f.eth_src[rows]])
    return Counter({(int(a), int(p), int(m)): int(n) for (a, p, m), n in zip(*_unique_columns(table), strict=True)})


# --- deciding --------------------------------------------------------------------------------------------------------


def infer(evidence: Evidence, scene: Scene) -> None:
    """Fill in what a scene does not state yet; what a spec stated stays."""
    _Inference(evidence, scene).run()


def is_group(mac: int) -> bool:
    """Broadcast or multicast."""
    return bool(mac & _MULTICAST_BIT)


class _Inference:
    def __init__(self, evidence: Evidence, scene: Scene) -> None:
        self.e = evidence
        self.s = scene
        self.steps = [replace(step, count=n) for step, n in evidence.steps.items()]
        self.places = [(sight, direction, n) for (sight, direction), n in evidence.places.items()]
        self.lb_steps: list[Step] = []
        self.lb_back: list[Step] = []
        self.tells_otherwise = False  # servers learn the VIP by neither a tunnel nor a tag

    def run(self) -> None:
        self.s.claims = self.e.claims
        kinds = {kind: [s for s in self.steps if _kind(s) == kind] for kind in ("encap", "fullnat", "dnat", "same")}
        # Without IP ids a sender's equal datagrams to several servers look like one: it asks the second server itself.
        asked = {(s.tap, s.eth_src, s.server, s.port, d) for s, d, _ in self.places}
        kinds["dnat"] = [
            s
            for s in kinds["dnat"]
            if s.proto == TCP or (s.a.tap, s.a.eth_src, s.b.server, s.b.port, s.direction) not in asked
        ]
        kinds["dnat"] = _without_returns(kinds["dnat"])
        self._mode(kinds)
        self._service()
        self._load_balancers()
        self._servers()
        self._say_disowned()
        self._clients()
        self._routers()
        self._services()
        self._ways_out()
        self._ways_in()
        self._number()

    # mode

    def _mode(self, kinds: dict[str, list[Step]]) -> None:
        requests = {k: [s for s in v if s.direction == REQUEST] for k, v in kinds.items()}
        hairpins = self._l2_hairpins(requests["same"])
        dnat_mode, why = self._nat_or_dscp(kinds)
        candidates = {
            "l3dsr-tunnel": requests["encap"] if self._one_way_tunnel() else [],
            "fullnat": requests["fullnat"],
            dnat_mode: requests["dnat"],
            "l2dsr": hairpins,
        }
        stated = self.s.mode
        found = self._strongest(candidates)
        if stated is None and found is not None:
            self.s.mode, self.s.mode_from = found, "inferred"
        if self.s.mode in candidates:
            self.lb_steps = candidates[self.s.mode]
        if stated in ("nat", "l3dsr-dscp"):
            self.lb_steps = requests["dnat"]
        if stated == "l3dsr-tunnel":
            self.lb_steps = requests["encap"]
        if stated is not None and found not in (None, stated) and not self.lb_steps:
            self.s.contradiction = found
        if self.s.mode in ("nat", "fullnat"):
            self.lb_back = [s for s in kinds["dnat"] + kinds["fullnat"] if s.direction == REPLY]
        self._say(stated, why)

    def _strongest(self, candidates: dict[str | None, list[Step]]) -> str | None:
        weight = {mode: sum(s.count for s in found) for mode, found in candidates.items() if mode and found}
        if weight:
            return max(weight, key=lambda m: weight[m])
        if self._one_way_tunnel() and self._tunnelled(REQUEST):
            return "l3dsr-tunnel"
        if not self.tells_otherwise and self._answered_for_a_tag():
            return "l3dsr-dscp"
        return None

    def _say(self, stated: str | None, why: str) -> None:
        mode = self.s.mode
        if stated is not None or mode is None:
            return
        total = sum(s.count for s in self.lb_steps)
        reason = {
            "l3dsr-tunnel": "requests get an outer header and replies do not",
            "fullnat": "the same TCP segments appear with both addresses replaced",
            "nat": f"the destination changes from VIP to real server ({why})",
            "l3dsr-dscp": f"the destination becomes a real server, {why or 'the DS field a tag, and the VIP answers'}",
            "l2dsr": "one MAC receives requests for the VIP and sends them on to servers, addresses unchanged",
        }[mode]
        self.s.notes.append(
            f"mode {mode}: {reason}" + (f" ({total} packet{'s' if total > 1 else ''})" if total else "")
        )

    def _tunnelled(self, direction: int) -> int:
        return sum(n for sight, d, n in self.places if d == direction and sight.tunnel)

    def _one_way_tunnel(self) -> bool:
        """A tunnel that carries requests only; one that carries both ways is a VPN or an overlay."""
        return self._tunnelled(REPLY) * 5 <= self._tunnelled(REQUEST) and self._wrapped_or_answered()

    def _wrapped_or_answered(self) -> bool:
        """Besides tunnel packets there must be their way in (the same packets before), or plain replies."""
        if any(_kind(s) == "encap" and s.direction == REQUEST for s in self.steps):
            return True
        inside = {(s.server, s.port) for s, d, _ in self.places if d == REQUEST and s.tunnel}
        return any((s.server, s.port) in inside for s, d, _ in self.places if d == REPLY and not s.tunnel)

    def _answered_for_a_tag(self) -> bool:
        """Servers next to the tap that are asked at one address, always under one DSCP, and answer from another.

        A reply that routers have passed on proves nothing: a client also sees answers from the wrong address when a
        server's reply goes past a NAT.
        """
        tags: dict[int, set[int]] = defaultdict(set)
        for a in self.e.answers:
            tags[a.asked].add(a.dscp)
        return any(
            a.asked != a.answered and a.dscp and len(tags[a.asked]) == 1 and not a.tunnel and a.beside_server
            for a in self.e.answers
        )

    def _l2_hairpins(self, same: list[Step]) -> list[Step]:
        """Steps in which a load balancer hands frames to servers: only MACs (and perhaps the TTL) change.

        A router does the same when it routes back into the link a packet came from. The load balancer differs: it
        claims the destination address itself, or it hands one address to several MACs.
        """
        claimed = self.e.claims
        # A load balancer answers pings of the VIP itself, so only answers from a port show a server.
        signers = {(s.server, s.eth_src) for s, d, _ in self.places if d == REPLY and s.port and s.ttl in INITIAL_TTLS}

        def handed_on(s: Step) -> bool:
            """By the MAC that received it; by another MAC of its owner (a virtual one, a second leg); to its server."""
            owns = (s.a.server, s.a.eth_dst) in claimed and (s.a.server, s.b.eth_dst) not in claimed
            return s.hairpin or owns or (s.a.server, s.b.eth_dst) in signers

        found = [
            s
            for s in same
            if not s.same_link
            and not s.a.tunnel  # a router behind a tunnel's load balancer hands packets to several servers, too
            and s.fall in (0, 1)
            and s.b.eth_dst
            and s.b.eth_src not in (0, s.a.eth_src)
            and handed_on(s)
        ]
        onward: dict[tuple[int, int], set[int]] = defaultdict(set)
        for step in found:
            onward[step.a.eth_dst, step.a.server].add(step.b.eth_dst)

        def balances(step: Step) -> bool:
            mac, vip = step.a.eth_dst, step.a.server
            if step.b.eth_dst == step.a.eth_src:
                return False  # sent back to where it came from: a bounce
            if self.s.mode == "l2dsr" and mac in self.s.macs("lb"):
                return True
            # Whoever hands packets for the VIP back to a machine that balances is a server that forwards.
            if any(s.b.eth_dst == mac and s.a.eth_dst == step.b.eth_dst for s in found) and (vip, mac) not in claimed:
                return False
            return (vip, mac) in claimed or (len(onward[mac, vip]) > 1 and (vip, step.b.eth_dst) not in claimed)

        return [s for s in found if balances(s)]

    def _nat_or_dscp(self, kinds: dict[str, list[Step]]) -> tuple[str | None, str]:
        """NAT and DSCP mode both change the destination only; replies, ports and tags tell which one it is."""
        asked = [s for s in kinds["dnat"] if s.direction == REQUEST]
        if not asked:
            return None, ""
        back = [s for s in kinds["dnat"] if s.direction == REPLY]
        if back:
            return "nat", "and replies from the real server become replies from the VIP"
        if any(s.a.port != s.b.port for s in asked):
            return "nat", "with the port, which DSCP mode cannot translate"
        tags: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
        for step in asked:
            tags[step.a.server, step.b.server][step.b.dscp] += step.count
        rips, vips = {s.b.server for s in asked}, {s.a.server for s in asked}
        marked = [s for s in asked if s.b.dscp and s.b.dscp != s.a.dscp]
        steady = all(max(c.values()) >= 0.9 * sum(c.values()) for c in tags.values())
        if marked and steady:
            return "l3dsr-dscp", "the DS field becomes a tag"
        grown = {s.grown for s in asked} - {SAME}
        if grown:
            # Cilium tells the server about the VIP in an IP option or by Geneve: for that there is no table yet.
            self.tells_otherwise = True
            how = "inside an overlay" if OVERLAY in grown else "with an IP option that it adds"
            self.s.notes.append(
                f"the load balancer sends requests on to the servers' own addresses, {how}, as Cilium does to tell them"
                " the VIP: fields are not judged in such a mode, what becomes of requests is"
            )
            return None, ""
        if any(
            a.asked in rips and a.answered in vips and a.server_mac_asked == a.server_mac_answered
            for a in self.e.answers
        ):
            return "l3dsr-dscp", "the server answers from the VIP"
        # With an inside and an outside, one machine's worth of TTL lies between them.
        lb = {s.a.eth_dst for s in asked if s.hairpin} | {s.b.eth_src for s in asked if s.fall <= 1}
        if any(s.server in rips and d == REPLY and s.eth_dst in lb for s, d, _ in self.places):
            return "nat", "and real servers send their replies to the load balancer"
        return None, ""

    # service addresses

    def _service(self) -> None:
        scene = self.s
        if not scene.vips:
            scene.vips = {s.a.server for s in self.lb_steps}
            if scene.mode == "l3dsr-tunnel":
                scene.vips |= {s.server for s, d, _ in self.places if d == REQUEST and s.tunnel}
            if scene.mode == "l3dsr-dscp" and not scene.vips:
                scene.vips = {a.answered for a in self.e.answers if a.dscp and a.asked != a.answered}
        if scene.mode == "l3dsr-tunnel":
            kinds = Counter[int]()
            for sight, direction, n in self.places:
                if direction == REQUEST and sight.tunnel:
                    kinds[sight.tunnel] += n
            if kinds and not scene.tunnel:
                scene.tunnel = kinds.most_common(1)[0][0]
            if kinds and scene.tunnel not in kinds:
                scene.contradiction = TUNNEL_NAMES[kinds.most_common(1)[0][0]]
        ports = self.e.tunnel_ports.most_common(1)
        if scene.mode == "l3dsr-tunnel" and not scene.tunnel_ports and ports:
            port, n = ports[0]
            if n >= 0.9 * sum(self.e.tunnel_ports.values()):
                scene.tunnel_ports = {port}

    def _services(self) -> None:
        """The VIP's ports, and the servers' where a load balancer changes them."""
        scene = self.s
        if scene.services:
            self._stated_otherwise()
            return
        for step in self.lb_steps:
            if step.a.port:  # a later fragment has none
                scene.services.setdefault((step.proto, step.a.port), set()).add(step.b.port)
        lb = scene.macs("lb")
        ports = {port for proto, port in scene.services if proto == 6}
        for address, port, mac in self.e.refused:
            if mac in lb and port in ports and address not in scene.ips("real-server"):
                scene.vips.add(address)  # a second VIP, which has no real servers
        if not self.lb_steps and scene.vips:
            for answer in self.e.answers:
                if answer.asked in scene.vips or answer.answered in scene.vips:
                    scene.services.setdefault((6, answer.asked_port), set()).add(answer.asked_port)

    def _stated_otherwise(self) -> None:
        """Server ports that a translating load balancer uses instead of the stated ones."""
        for step in self.lb_steps if self.s.mode in ("nat", "fullnat") else ():
            stated = self.s.services.get((step.proto, step.a.port))
            if stated and step.b.port and step.b.port not in stated:
                self.s.odd_ports.add((step.proto, step.b.port))

    # roles

    def _party(self, name: str, role: str) -> Party:
        found = self.s.party(name)
        if found is None:
            found = Party(name, role)
            self.s.parties.append(found)
        return found

    def _claimed_by(self, mac: int) -> set[int]:
        return {ip for ip, m in self.e.claims if m == mac}

    def _claimants(self, ip: int) -> set[int]:
        return {m for i, m in self.e.claims if i == ip}

    def _load_balancers(self) -> None:
        scene = self.s
        if any(p.stated and p.macs for p in scene.role("lb")):
            self._dips(scene.role("lb"))
            return
        pairs = Counter[tuple[int, int]]()
        for step in self.lb_steps:
            owners = {mac for mac in self._claimants(step.a.server) if self._sends_no_reply(mac)}
            if not step.hairpin and owners and not owners & {step.a.eth_dst, step.b.eth_src}:
                continue  # routers before and behind a load balancer that no tap shows at work
            # What a router sees go and come back has lost more than one machine takes.
            if (step.hairpin and step.fall <= 2) or (step.fall <= 1 and step.a.eth_dst and step.b.eth_src):
                pairs[step.a.eth_dst, step.b.eth_src] += step.count
            elif step.fall <= 1 and step.a.tap == step.b.tap and not step.b.eth_dst and step.b.eth_src:
                pairs[step.b.eth_src, step.b.eth_src] += step.count  # a cooked capture has senders only
        for step in self.lb_back:
            if step.fall <= 1 and step.a.eth_dst and step.b.eth_src:
                pairs[step.b.eth_src, step.a.eth_dst] += step.count
        groups = _groups(pairs)
        # Without a step on the load balancer's own link, the MAC that claims the VIP tells.
        if not groups and scene.mode is not None:
            reached = {s.eth_dst for s, d, _ in self.places if d == REQUEST and s.server in scene.vips and not s.tunnel}
            groups = [
                {m} for vip in scene.vips for m in self._claimants(vip) if m in reached and self._sends_no_reply(m)
            ]
        stated = scene.role("lb")
        for i, macs in enumerate(groups):
            party = stated[i] if i < len(stated) else self._party(f"lb{i + 1}" if len(groups) > 1 else "lb", "lb")
            party.macs |= macs
        if not groups and scene.mode is not None and not stated:
            self._party("lb", "lb")
        self._dips(scene.role("lb"))

    def _sends_no_reply(self, mac: int) -> bool:
        return not any(d == REPLY and s.eth_src == mac and s.server in self.s.vips for s, d, _ in self.places)

    def _dips(self, lbs: list[Party]) -> None:
        """The load balancer's own addresses: what it claims besides VIPs, outer sources, sources of full NAT."""
        scene = self.s
        for party in lbs:
            for mac in party.macs:
                party.ips |= self._claimed_by(mac) - scene.vips
        if not lbs or any(p.stated and p.ips for p in lbs):
            return
        outer = set(self.e.outer_sources) - scene.vips if scene.mode == "l3dsr-tunnel" else set()
        if 0 < len(outer) <= _MOST_DIPS:
            lbs[0].ips |= outer
        if scene.mode == "fullnat":
            rips = {s.b.server for s in self.lb_steps}
            lbs[0].ips |= {client for client, _, server in self.e.clients if server in rips}

    def _servers(self) -> None:
        scene = self.s
        stated = scene.role("real-server")
        found: dict[tuple[int, int], None] = {}  # (RIP or 0, MAC or 0), in order of appearance
        lb_macs = scene.macs("lb")
        if scene.mode == "l2dsr":
            for step in self.lb_steps:
                if not is_group(step.b.eth_dst) and step.b.eth_dst not in lb_macs:
                    found[0, step.b.eth_dst] = None
        elif scene.mode == "l3dsr-tunnel":
            for sight, direction, _ in self.places:
                if direction == REQUEST and sight.tunnel and sight.server in scene.vips:
                    found[sight.outer_dst, 0] = None
        elif scene.mode in ("nat", "fullnat", "l3dsr-dscp"):
            for step in self.lb_steps:
                found[step.b.server, 0] = None
            if scene.mode == "l3dsr-dscp" and not self.lb_steps:
                found |= {(answer.asked, 0): None for answer in self.e.answers if self._translated(answer)}
                found |= {(rip, 0): None for rip in self._untranslated()}
        for ip, mac in found:
            self._server(ip, mac, stated)
        if scene.mode == "l3dsr-dscp":
            self._tags()

    def _translated(self, answer: Answer) -> bool:
        """Whether a server made the VIP of a marked packet's destination."""
        return bool(answer.dscp) and answer.asked != answer.answered and answer.answered in self.s.vips

    def _untranslated(self) -> set[int]:
        """Servers of the service that answer marked packets as themselves, which for their clients is no answer.

        A mark is not enough: others mark their packets as well, and get their answers from whom they asked.
        """
        ports = {a.asked_port for a in self.e.answers if self._translated(a)}
        ports = ports or {port for proto, port in self.s.services if proto == TCP}
        answered: Counter[tuple[int, int, int]] = Counter()
        disowned: Counter[tuple[int, int, int]] = Counter()
        for a, n in self.e.answers.items():
            asked = a.asked, a.asked_port, a.dscp
            answered[asked] += n
            if a.dscp and a.disowned and a.beside_server and not a.tunnel and (not ports or a.asked_port in ports):
                disowned[asked] += n
        return {asked[0] for asked, n in disowned.items() if n >= _SHARE_DISOWNED * answered[asked]} - self.s.vips

    def _server(self, ip: int, mac: int, stated: list[Party]) -> None:
        scene = self.s
        party = scene.party_of_ip(ip) or scene.party_of_mac(mac)
        if party is None:
            if any(p.ips or p.macs for p in stated):
                return  # a spec that names its servers is complete
            party = self._party(f"rs{len(scene.role('real-server')) + 1}", "real-server")
        if ip:
            party.ips.add(ip)
            macs = self._claimants(ip) - scene.macs("lb")
            if party.stated and party.macs:
                return
            party.macs |= macs or self._answers_as(ip)
        if mac:
            party.macs.add(mac)
            if not (party.stated and party.ips):
                party.ips |= {a for a in self._claimed_by(mac) if a not in scene.vips}

    def _answers_as(self, rip: int) -> set[int]:
        """MACs that receive what is meant for a server and answer with a TTL that no router has touched."""
        mine = {
            s.eth_dst
            for s, d, _ in self.places
            if d == REQUEST and rip in (s.outer_dst, s.server) and not is_group(s.eth_dst)
        }
        direct = {
            s.eth_src
            for s, d, _ in self.places
            if d == REPLY and s.ttl in INITIAL_TTLS and (s.server in self.s.vips or s.server == rip)
        }
        return (mine & direct) - self.s.macs("lb") - {0}

    def _say_disowned(self) -> None:
        """Whose answers are none for those who get them. Without a mode nothing tells what they asked instead."""
        if self.s.mode not in (None, "l3dsr-dscp") or self.lb_steps:
            return
        found = [a for a in self.e.answers if a.asked == a.answered and a.dscp and a.disowned]
        if not found:
            return
        addresses = sorted({a.asked for a in found}, key=lambda one: self.s.book.sort_key([one]))
        who = [*map(self.s.address, addresses[:_MOST_NAMED]), *(["others"] if len(addresses) > _MOST_NAMED else [])]
        self.s.notes.append(
            f"clients reset what {', '.join(who)} answer{'s' if len(who) == 1 else ''} to requests with DSCP"
            f" {', '.join(map(dscp_text, sorted({a.dscp for a in found})))}, and ask on: they asked another address"
            + ("; a VIP in DSCP mode, or of NAT: --mode and --vip can say which" if self.s.mode is None else "")
        )

    def _tags(self) -> None:
        """Which DSCP the load balancer gives to which VIP at which real server: seen at its own link if possible."""
        if self.s.tags or self.s.tag_of_vip:
            return  # what a spec states is not to be learnt from packets that may be wrong
        marked = [s for s in self.lb_steps if s.b.dscp and s.b.dscp != s.a.dscp]
        for step in [s for s in marked if s.hairpin] or marked:
            self.s.tags.setdefault((step.a.server, step.b.server), Counter())[step.b.dscp] += step.count
        if not self.lb_steps:
            for answer, n in self.e.answers.items():
                if self._translated(answer):
                    self.s.tags.setdefault((answer.answered, answer.asked), Counter())[answer.dscp] += n

    def _ways_out(self) -> None:
        """Links on which a load balancer sends replies in the VIP's name to somebody who is neither server nor load
        balancer."""
        lbs, servers = self.s.macs("lb"), self.s.macs("real-server")
        self.s.answers_leave = {
            (sight.tap, sight.eth_src, sight.eth_dst)
            for sight, direction, _ in self.places
            if direction == REPLY
            and sight.server in self.s.vips
            and sight.eth_src in lbs - servers
            and sight.eth_dst not in lbs | servers | {0}
        }

    def _ways_in(self) -> None:
        """Where frames for real servers go, and which servers are on the link."""
        scene, lbs = self.s, self.s.macs("lb") - {0}
        servers = scene.ips("real-server") - scene.vips
        for sight, direction, n in self.places:
            place = sight.tap, sight.server
            if sight.server not in servers or sight.tunnel:
                continue
            if direction == REQUEST and sight.eth_src in lbs and sight.eth_dst:
                scene.frames_to.setdefault(place, Counter())[sight.eth_dst] += n
            elif direction == REPLY and sight.eth_src and sight.ttl in INITIAL_TTLS:
                scene.beside.add((*place, sight.eth_src))

    def _number(self) -> None:
        """Give inferred machines of a role the order of their addresses, so that names do not depend on the input's."""
        for role, stem in (("real-server", "rs"), ("lb", "lb"), ("router", "router")):
            mine = [p for p in self.s.role(role) if not p.stated]
            ordered = sorted(mine, key=lambda p: (self.s.book.sort_key(p.ips), sorted(p.macs)))
            for i, party in enumerate(ordered, 1):
                party.name = f"{stem}{i}" if len(mine) > 1 or role == "real-server" else stem
            others = [p for p in self.s.parties if p not in mine]
            self.s.parties = [*others, *ordered]

    def _clients(self) -> None:
        scene = self.s
        if any(p.ips or p.macs for p in scene.role("client")):
            return
        lb_ips = scene.ips("lb")
        known = scene.macs("lb") | scene.macs("real-server")
        asking: dict[int, set[int]] = defaultdict(set)  # client address -> MACs that claim it
        for client, mac, server in self.e.clients:
            if client not in lb_ips and (not scene.vips or server in scene.vips):
                asking[client] |= {mac} & self._claimants(client)
        by_mac: dict[int, Party] = {}
        for ip, macs in asking.items():
            for mac in sorted(macs - known):
                party = by_mac.get(mac)
                if party is None:
                    party = by_mac[mac] = self._party("client" if not by_mac else f"client{len(by_mac) + 1}", "client")
                party.ips.add(ip)
                party.macs.add(mac)
        far = {ip for ip, macs in asking.items() if not macs - known}
        if far and scene.mode is not None:
            self._party("client" if not by_mac else "clients", "client").ips |= far

    def _recognised(self) -> None:
        """Stated machines without MACs have those that alone claim their addresses, and no other machine's."""
        known = set().union(*(party.macs for party in self.s.parties))
        for party in self.s.parties:
            if party.stated and not party.macs and party.role in ("client", "router", "resolver"):
                for ip in party.ips:
                    claimants = self._claimants(ip) - known
                    claimed = set().union(*map(self._claimed_by, claimants))
                    if len(claimants) == 1 and all(self.s.party_of_ip(other) in (None, party) for other in claimed):
                        party.macs |= claimants

    def _routers(self) -> None:
        scene = self.s
        if any(p.stated and p.macs for p in scene.role("router")):
            self._recognised()
            return
        self._recognised()
        known = scene.macs("lb") | scene.macs("real-server") | scene.macs("client") | scene.macs("resolver")
        strangers = [macs for macs in self._passing_on(known) if not self._stated_router(macs)]
        stated = set().union(*(p.ips for p in scene.parties if p.stated))
        for i, macs in enumerate(strangers):
            party = self._party(f"router{i + 1}" if len(strangers) > 1 else "router", "router")
            party.macs |= macs
            for mac in macs:
                party.ips |= self._claimed_by(mac) - scene.vips - stated

    def _stated_router(self, macs: set[int]) -> bool:
        """Whether a spec's router shares a MAC or an address with a machine; that one has its MACs then."""
        claimed = set().union(*map(self._claimed_by, macs))
        owners = [p for p in self.s.role("router") if p.stated and (p.macs & macs or p.ips & claimed)]
        if len(owners) == 1:
            owners[0].macs |= macs
        return bool(owners)

    def _passing_on(self, known: set[int]) -> list[set[int]]:
        """The MACs of machines that lower the TTL, or that far packets come from, but for those of known machines."""
        pairs = Counter[tuple[int, int]]()
        for step in self.steps:
            ends = (step.a.eth_dst, step.b.eth_src)
            single = step.fall == 1 and not step.same_link and step not in self.lb_steps
            foreign = all(ends) and not known & set(ends) and not any(map(is_group, ends))
            if single and foreign and _kind(step) in ("same", "encap", "dnat", "fullnat"):
                pairs[ends] += step.count
        for sight, direction, n in self.places:
            far = sight.eth_src if direction == REQUEST else sight.eth_dst
            passed_on = sight.ttl not in (0, *INITIAL_TTLS)
            if far and far not in known and not is_group(far) and passed_on and (self.s.mode or self._claimed_by(far)):
                pairs[far, far] += n
        return _groups(pairs)


def _kind(step: Step) -> str:
    """What changed between two sightings, in the words of the modes."""
    a, b = step.a, step.b
    if not a.tunnel and b.tunnel:
        return "encap" if step.server_kept and step.client_kept else "other"
    if a.tunnel and not b.tunnel:
        return "decap"
    if a.tunnel != b.tunnel or a.outer_dst != b.outer_dst:
        return "other"
    if a.server != b.server:
        return "dnat" if step.client_kept else "fullnat"
    if a.port != b.port:
        return "dnat" if step.client_kept else "other"
    return "same" if step.client_kept else "other"


def _without_returns(steps: list[Step]) -> list[Step]:
    """Steps without those that put back the destination which an earlier one replaced: a server that has turned its
    own address into the VIP and, not owning it, sends the packet on."""
    count: Counter[tuple[int, int]] = Counter()
    ttl: Counter[tuple[int, int]] = Counter()
    for s in (s for s in steps if s.direction == REQUEST):
        count[s.a.server, s.b.server] += s.count
        ttl[s.a.server, s.b.server] = max(ttl[s.a.server, s.b.server], s.a.ttl)

    def undoes(s: Step) -> bool:
        pair, earlier = (s.a.server, s.b.server), (s.b.server, s.a.server)
        return s.direction == REQUEST and count[earlier] >= count[pair] and ttl[earlier] > ttl[pair]

    return [s for s in steps if not undoes(s)]


def shows_full_nat(evidence: Evidence) -> bool:
    """Whether any packet was seen with both addresses replaced."""
    return any(_kind(step) == "fullnat" for step in evidence.steps)


def _groups(pairs: Iterable[tuple[int, int]]) -> list[set[int]]:
    """MACs joined into machines, in order of first appearance."""
    groups: list[set[int]] = []
    for a, b in pairs:
        touching = [g for g in groups if g & {a, b}]
        merged = {a, b}.union(*touching)
        groups = (
            [merged if g is touching[0] else g for g in groups if g not in touching[1:]]
            if touching
            else [*groups, merged]
        )
    return groups


def alike(a: Scene, b: Scene) -> bool:
    """Whether two scenes judge packets alike; clients do not matter."""

    def shape(scene: Scene) -> tuple[object, ...]:
        return (
            scene.mode,
            scene.contradiction,
            scene.vips,
            scene.services,
            scene.odd_ports,
            scene.tunnel,
            scene.tunnel_ports,
            {pair: tags.most_common(1)[0][0] for pair, tags in scene.tags.items()},
            scene.tag_of_vip,
            sorted((p.name, p.role, sorted(p.ips), sorted(p.macs)) for p in scene.parties if p.role != "client"),
        )

    return shape(a) == shape(b)


def adopt(a: Scene, b: Scene) -> None:
    """Let `b`, which is like `a`, have what `a` knows besides: all clients and claims."""
    b.claims, b.answers_leave, b.frames_to, b.beside = a.claims, a.answers_leave, a.frames_to, a.beside
    b.parties = [p for p in b.parties if p.role != "client"] + [p for p in a.parties if p.role == "client"]


def owners(evidence: Evidence, taps: int, scene: Scene) -> list[str | None]:
    """The machine that each tap was taken at: one that takes part in every unicast frame of it.

    On a link between two machines both do; then it is the one whose other tap this is not, a load balancer or a server
    rather than a router.
    """
    candidates = [_participants(evidence, tap) for tap in range(taps)]
    taken = {macs[0] for macs in candidates if len(macs) == 1}
    alike = Counter(frozenset(macs) for macs in candidates if len(macs) > 1)
    rank = {"lb": 0, "real-server": 1, "client": 2, "resolver": 3, "router": 4, "bridge": 5}
    out: list[str | None] = []
    for macs in candidates:
        free = [m for m in macs if m not in taken] if len(macs) > 1 else macs
        known = [p for m in free or macs if (p := scene.party_of_mac(m)) is not None]
        if not known or (len(free) > 1 and alike[frozenset(macs)] > 1):
            out.append(None)  # several taps show the same two machines: nothing tells which is whose
            continue
        out.append(min(known, key=lambda p: rank[p.role]).name)
    return out


def _participants(evidence: Evidence, tap: int) -> list[int]:
    total, sent = evidence.tap_unicast[tap], evidence.tap_sent.get(tap)
    if not total and sent:
        return [m for m, n in sent.most_common() if n >= 0.2 * sum(sent.values())]
    macs = evidence.tap_macs.get(tap, Counter[int]())
    most = max(macs.values(), default=0)
    return [m for m, n in macs.items() if n == most] if most >= 0.95 * total else []


def ports_of(evidence: Evidence, scene: Scene) -> dict[tuple[int, int], set[int]]:
    """Service ports that steps through the load balancer show: (protocol, VIP's port) -> servers' ports."""
    out: dict[tuple[int, int], set[int]] = {}
    for step in evidence.steps:
        asked = step.direction == REQUEST and step.a.port  # a later fragment has no port
        if asked and step.a.server in scene.vips and step.b.server in scene.ips("real-server"):
            out.setdefault((step.proto, step.a.port), set()).add(step.b.port)
    return out
