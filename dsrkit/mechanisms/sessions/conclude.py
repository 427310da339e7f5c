"""From what was collected to the outcome: pairs of sessions, what proves a proxy, the parties, and the section."""

from __future__ import annotations

from dsrkit.classes import dataclass
from dsrkit.mechanisms.sessions.collect import Collector
from dsrkit.mechanisms.sessions.connections import Connection, connections
from dsrkit.mechanisms.sessions.judge import SessionJudge
from dsrkit.mechanisms.sessions.pair import Pair, Pairing, translated
from dsrkit.mechanisms.sessions.parties import cast_parties, name_of, place_taps
from dsrkit.mechanisms.sessions.proof import Proxies, proven
from dsrkit.mechanisms.sessions.proxy_protocol import ProxyHeader
from dsrkit.model.frame import FrameRef
from dsrkit.model.sections.session import PROOFS, Endpoint, Session
from dsrkit.model.spec import Spec
from dsrkit.verify.observer import Outcome, Told
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.verdicts import Frame


@dataclass(slots=True)
class Concluder:
    """One run over the sessions that were seen."""

    scene: Scene
    taps: list[TapInfo]
    spec: Spec | None
    seen: Collector

    def outcome(self, told: Told) -> Outcome:
        pairing = Pairing(self.scene.book, connections(self.seen.sights, told.offsets))
        pairing.by_address()
        pairing.by_octets()
        pairing.by_requests()
        found = proven(pairing)
        stated = self.scene.mode == "l7"
        if stated:
            self._add_stated(found)
        if not found and not (stated and translated(pairing.all)):
            return Outcome()
        pairing.by_time(found.vips, found.proxies, found.servers)
        found.servers |= {p.back.server for p in pairing.pairs}
        if not stated:
            self.scene.vips |= {end >> 16 for end in found.vips}
            for vip in found.vips:
                ports = {end & 0xFFFF for end in found.servers}
                self.scene.services.setdefault((6, vip & 0xFFFF), set()).update(ports)
        if found.servers:
            cast_parties(self.scene, self.taps, found, pairing.pairs)
        if not any(party.stated for party in self.scene.parties):
            place_taps(self.scene, self.taps, pairing.pairs)
        version = self.spec.proxy.version if self.spec is not None and self.spec.proxy is not None else None
        return Outcome(
            mechanism="l7",
            mode="l7",
            because=self._because(pairing),
            section=self._section(pairing),
            verdicts=SessionJudge(self.scene, pairing, found, version).verdicts(),
            notes=self._notes(pairing),
        )

    def _add_stated(self, found: Proxies) -> None:
        """What a spec says of proxy, VIPs and servers."""
        ports = {(vport, rport) for (_, vport), rports in self.scene.services.items() for rport in rports or {vport}}
        found.proxies |= {ip for ip in self.scene.ips("lb") if ip not in self.scene.vips}
        found.vips |= {vip << 16 | vport for vip in self.scene.vips for vport, _ in ports}
        found.servers |= {ip << 16 | rport for ip in self.scene.ips("real-server") for _, rport in ports}

    def _because(self, pairing: Pairing) -> str:
        by = dict.fromkeys(proof for proof in PROOFS for pair in pairing.pairs if proof in pair.by)
        fronts = len({id(pair.front) for pair in pairing.pairs})
        backs = len({id(pair.back) for pair in pairing.pairs})
        named = sum(isinstance(back.header, ProxyHeader) for back in pairing.all)
        if not fronts:
            return f"{named} sessions with servers begin with a PROXY header"
        return f"{fronts} sessions of clients belong to {backs} with servers, by {', '.join(by)}"

    def _notes(self, pairing: Pairing) -> list[str]:
        notes = []
        if self.seen.left_out:
            notes.append(
                f"sessions: only the first {len(self.seen.sights):,} were looked at "
                f"({self.seen.left_out:,} packets that open or end others were left out)"
            )
        if self.seen.full:
            notes.append("sessions: octets of later sessions were not kept, so those could only be paired by time")
        if pairing.gave_up:
            notes.append("sessions: too many look alike, so not all of them were compared with each other")
        return notes

    # --- the report ---------------------------------------------------------------------------------------------------

    def _section(self, pairing: Pairing) -> tuple[Session, ...]:
        rows = [self._row(pair) for pair in pairing.pairs]
        rows += [
            row for back in pairing.all if not pairing.backs[id(back)] and (row := self._named_row(back)) is not None
        ]
        return tuple(sorted(rows, key=lambda row: (row.start_ns, row.client, row.proxy)))

    def _row(self, pair: Pair) -> Session:
        front, back = pair.front, pair.back
        began, opened = front.opened(front.last), back.opened(back.first)
        shared = {s.tap for s in front.sights} & {s.tap for s in back.sights}
        known = opened >= began and (shared or self._one_clock(front, back))
        return Session(
            client=self._end(front.client),
            vip=self._end(front.server),
            proxy=self._end(back.client),
            server=self._end(back.server),
            start_ns=front.opened(front.first),
            delay_ms=round((opened - began) / 1e6, 3) if known else None,
            by=tuple(proof for proof in PROOFS if proof in pair.by),
            requests=pair.requests,
            proxy_header=_header(back),
            end=_how(back),
            frame_1=self._frame(front.last.ref),
            frame_2=self._frame(back.first.ref),
        )

    def _one_clock(self, front: Connection, back: Connection) -> bool:
        """Taps of one file, or of one machine, tell the same time."""
        a, b = self.taps[front.last.tap], self.taps[back.first.tap]
        return a.file == b.file or (a.node is not None and a.node == b.node)

    def _named_row(self, back: Connection) -> Session | None:
        """A session whose client only the PROXY header names."""
        header = back.header
        if not isinstance(header, ProxyHeader) or not header.speaks_for_client or not back.whole:
            return None
        ends = []
        for address, port in ((header.source, header.source_port), (header.target, header.target_port)):
            ends.append(self._end(self.scene.book.number(address) << 16 | port))
        return Session(
            client=ends[0],
            vip=ends[1],
            proxy=self._end(back.client),
            server=self._end(back.server),
            start_ns=back.opened(back.first),
            delay_ms=None,
            by=("proxy-header",),
            requests=len(back.messages),
            proxy_header=_header(back),
            end=_how(back),
            frame_1=None,
            frame_2=self._frame(back.first.ref),
        )

    def _end(self, end: int) -> Endpoint:
        return Endpoint(self.scene.address(end >> 16), end & 0xFFFF, name_of(self.scene, end >> 16))

    def _frame(self, ref: Frame) -> FrameRef:
        return FrameRef(self.taps[ref[0]].file, ref[1])


def _header(back: Connection) -> str | None:
    if back.header is None:
        return None
    return f"v{back.header.version} {back.header.command}" if isinstance(back.header, ProxyHeader) else "malformed"


def _how(back: Connection) -> str:
    if back.refused:
        return "refused"
    if back.rejected:
        return "rejected"
    if back.was_reset:
        return "reset"
    return "closed" if back.ended(back.first) else "open"
