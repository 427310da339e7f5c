"""The checks on a proxy's sessions; see `checks` for what each of them means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.mechanisms.sessions.connections import Connection
from dsrkit.mechanisms.sessions.http import status_of
from dsrkit.mechanisms.sessions.pair import SLACK, Pairing, differ, translated
from dsrkit.mechanisms.sessions.parties import names_of
from dsrkit.mechanisms.sessions.proof import Proxies
from dsrkit.mechanisms.sessions.proxy_protocol import BadHeader, ProxyHeader
from dsrkit.tables.checks.sessions import CHECKS
from dsrkit.verify.frames import REQUEST
from dsrkit.verify.scene import Scene
from dsrkit.verify.verdicts import Frame, Verdict

_PAUSE: Final = 1_000_000_000
"""A session that nobody used for so long was idle. Units: ns."""


@dataclass(slots=True)
class SessionJudge:
    """`stated` is the PROXY version that a spec states, None where it states none."""

    scene: Scene
    pairing: Pairing
    found: Proxies
    stated: int | None

    def verdicts(self) -> list[Verdict]:
        servers = self._servers()
        backs = [c for c in self.pairing.all if c.client >> 16 in self.found.proxies and c.server in servers]
        fronts = [c for c in self.pairing.all if c.server in self.found.vips]
        asked = [c for c in backs if c.whole and c.opening]
        checks: list[Verdict | None] = [
            self._well_formed(asked),
            self._as_stated(asked),
            self._says_session(),
            *self._agreed(asked),
            self._returns(backs, fronts),
            self._idle(),
            *self._accepts(backs),
            self._carries(),
            self._own_session(),
        ]
        return [verdict for verdict in checks if verdict is not None]

    def _servers(self) -> set[int]:
        """Endpoints of servers, those that refuse the proxy too."""
        ports = {end & 0xFFFF for end in self.found.servers}
        known = {
            c.server for c in self.pairing.all if c.client >> 16 in self.found.proxies and c.server & 0xFFFF in ports
        }
        return self.found.servers | known - self.found.vips

    @property
    def _lb(self) -> list[str]:
        named = [p.name for p in self.scene.role("lb")]
        return named or [self.scene.address(p) for p in sorted(self.found.proxies)]

    def _verdict(self, check: str, nodes: Iterable[str], checked: int, place: str = "") -> Verdict:
        return Verdict(
            check,
            check.rsplit(".", 1)[-1],
            REQUEST,
            CHECKS[check].severity,
            place=place or "proxy",
            nodes=tuple(dict.fromkeys(nodes)),
            checked=checked,
        )

    def _fail(self, verdict: Verdict, frames: Sequence[Frame], message: str, failed: int | None = None) -> None:
        verdict.failed = len(frames) if failed is None else failed
        verdict.show(frames)
        verdict.tap = frames[0][0] if frames else None
        verdict.message = message

    # --- PROXY headers ------------------------------------------------------------------------------------------------

    def _well_formed(self, asked: list[Connection]) -> Verdict | None:
        headed = [c for c in asked if c.header is not None and not self._cut(c)]
        if not headed:
            return None
        verdict = self._verdict("l7.lb.header-well-formed", self._lb, len(headed))
        bad = [(c, c.header) for c in headed if isinstance(c.header, BadHeader)]
        if bad:
            share = f"{len(bad)} of {len(headed)} sessions"
            why = f"a PROXY header on session 2 is malformed in {share}: {bad[0][1].problem}."
            verdict.wireshark = "proxy"
            self._fail(verdict, [_opening(c) for c, _ in bad], why)
        return verdict

    def _cut(self, c: Connection) -> bool:
        """The header does not end within the octets that the tap kept."""
        if not isinstance(c.header, BadHeader) or not c.header.incomplete:
            return False
        segments = c.request.segments.values()
        lost = c.request.size is None or sum(s.size for s in segments) < c.request.size
        return lost or any(len(s.octets) < s.size for s in segments)

    def _as_stated(self, asked: list[Connection]) -> Verdict | None:
        if self.stated is None or not asked:
            return None
        verdict = self._verdict("l7.lb.header-as-stated", self._lb, len(asked))
        other = [c for c in asked if (c.header.version if isinstance(c.header, ProxyHeader) else 0) != self.stated]
        other = [c for c in other if not self._cut(c) and not isinstance(c.header, BadHeader)]
        if other:
            kinds = sorted(
                {
                    f"version {c.header.version}" if c.header_size and isinstance(c.header, ProxyHeader) else "none"
                    for c in other
                }
            )
            verdict.expected, verdict.actual = f"version {self.stated}", ", ".join(kinds)
            verdict.blame(names_of(self.scene, other))
            why = (
                f"the spec states a PROXY header of version {self.stated} on session 2, but {len(other)} of "
                f"{len(asked)} sessions begin with {' or '.join(kinds)}."
            )
            self._fail(verdict, [_opening(c) for c in other], why)
        return verdict

    def _says_session(self) -> Verdict | None:
        """Header against session 1; a header that no session 1 was found for says nothing wrong."""
        told = [
            (p, p.back.header)
            for p in self.pairing.pairs
            if isinstance(p.back.header, ProxyHeader) and p.back.header.speaks_for_client
        ]
        known = [(p, h) for p, h in told if "proxy-header" in p.by or "payload" in p.by]
        if not known:
            headed = any(isinstance(c.header, ProxyHeader) for c in self.pairing.all)
            if not headed:
                return None
            verdict = self._verdict("l7.lb.header-says-session", self._lb, 0)
            verdict.reason = "no tap shows the sessions with the clients that the PROXY headers name"
            return verdict
        verdict = self._verdict("l7.lb.header-says-session", self._lb, len(known))
        wrong = []
        for pair, header in known:
            client, vip = self._text(pair.front.client), self._text(pair.front.server)
            source, target = (header.source, header.source_port), (header.target, header.target_port)
            if source != client or (target != vip and target[0] not in _spellings(vip[0])):
                wrong.append((pair, f"{source[0]} port {source[1]} to {target[0]} port {target[1]}", client, vip))
        if wrong:
            pair, said, client, vip = wrong[0]
            verdict.expected = f"{client[0]} port {client[1]} to {vip[0]} port {vip[1]}"
            verdict.actual, verdict.wireshark = said, "proxy"
            why = (
                f"the PROXY header names another session than session 1 in {len(wrong)} of {len(known)} pairs: "
                f"it says {said}, session 1 is {verdict.expected}."
            )
            self._fail(verdict, [_opening(p.back) for p, *_ in wrong], why)
        return verdict

    def _text(self, end: int) -> tuple[str, int]:
        return self.scene.address(end >> 16), end & 0xFFFF

    def _agreed(self, asked: list[Connection]) -> list[Verdict]:
        """Servers that break off, or answer 400, on every session of one kind (with a header, without one).

        Without a header that is a disagreement about headers only where another server of the proxy gets one, or a spec
        states one.
        """
        out = []
        kinds: dict[bool, dict[int, list[Connection]]] = {True: defaultdict(list), False: defaultdict(list)}
        for c in asked:
            if not isinstance(c.header, BadHeader):
                kinds[c.header is not None][c.server].append(c)
        for headed, servers in kinds.items():
            judged = [c for group in servers.values() for c in group if c.answer or c.rejected]
            if not judged:
                continue
            refusing = [
                group
                for group in servers.values()
                if all(c.rejected for c in group if c.answer or c.rejected) and _any(group)
            ]
            bad = [c for group in refusing for c in group if c.rejected]
            suspected = not headed and not kinds[True] and self.stated is None
            if suspected and bad and (len(bad) < 3 or len(refusing) < len(servers)):
                continue  # any other reason for a 400 is as likely
            verdict = self._verdict("l7.real-server.header-agreed", [], len(judged))
            verdict.place = "sessions with a PROXY header" if headed else "sessions without a PROXY header"
            if len(bad) > 1 or (bad and self.stated is not None):
                verdict.nodes = tuple(dict.fromkeys([*names_of(self.scene, bad), *self._lb]))
                names = ", ".join(names_of(self.scene, bad))
                ways = {"answered 400 to" if c.answer else "broke off" for c in bad}
                how = " or ".join(sorted(ways, reverse=True))
                if headed:
                    cause = "Either the servers do not expect the header, or the proxy must not send it"
                else:
                    cause = "Servers that expect a PROXY header do so when none comes"
                    if suspected:
                        verdict.severity = "warning"
                        cause += "; a request that they do not understand is the other explanation"
                why = (
                    f"{names} {how} {len(bad)} of {len(judged)} sessions that begin "
                    f"{'with' if headed else 'without'} a PROXY header, before anything was served. {cause}."
                )
                self._fail(verdict, [_rejection(c) for c in bad], why)
            out.append(verdict)
        return out

    # --- sessions -----------------------------------------------------------------------------------------------------

    def _returns(self, backs: list[Connection], fronts: list[Connection]) -> Verdict | None:
        """Session 2 from the client's own address: the server's answer has to find the proxy."""
        inside = {s.syn.src for c in backs for s in c.sights if s.syn is not None and s.syn.src}
        clients = {c.client >> 16 for c in fronts}
        ports = {end & 0xFFFF for end in self.found.servers}
        transparent, lost = [], []
        for c in self.pairing.all:
            if c.client >> 16 not in clients or c.server in self.found.vips or c.server & 0xFFFF not in ports:
                continue
            sent = [s for s in c.sights if s.syn is not None and s.syn.src in inside and s.synack is not None]
            if not sent or not any(differ(f, c) for f in fronts):
                continue
            transparent.append(c)
            past = [s.synack for s in sent if s.synack is not None and s.synack.dst not in inside]
            if past and not c.opening:
                lost.append((c, past[0]))
        answered = [c for c in backs if any(s.synack for s in c.sights)]
        if not answered and not transparent:
            return None
        verdict = self._verdict("l7.lb.returns", self._lb, len(answered) + len(transparent))
        if lost:
            names = names_of(self.scene, [c for c, _ in lost])
            verdict.blame(names)
            why = (
                f"{len(lost)} sessions to {', '.join(names)} have the client's address as their source, and the "
                "server's SYN-ACK goes past the proxy to the client, which knows nothing of it."
            )
            verdict.wireshark = "eth.dst"
            self._fail(verdict, [mark.ref for _, mark in lost], why)
        return verdict

    def _idle(self) -> Verdict | None:
        """A session that was ended after a pause, and its partner that was kept and then reset on data."""
        checked, late = 0, []
        for pair in self.pairing.pairs:
            front, back = pair.front, pair.back
            if not front.answer or not back.answer:
                continue
            checked += 1
            for kept, ended, side in ((front, back, "servers"), (back, front, "clients")):
                frame = self._reset_after_pause(kept, ended)
                if frame is not None:
                    late.append((pair, frame, side))
        if not checked:
            return None
        verdict = self._verdict("l7.lb.idle-ends-both", self._lb, checked)
        if late:
            pair, _, side = late[0]
            other = "clients" if side == "servers" else "servers"
            verdict.blame(names_of(self.scene, [p.back for p, _, _ in late]))
            why = (
                f"in {len(late)} of {checked} pairs the session with {side} was ended after a pause while the one with "
                f"{other} stayed open, and the next octets there met a RST: its idle timeout is the longer one."
            )
            self._fail(verdict, [frame for _, frame, _ in late], why, len({id(p) for p, _, _ in late}))
        return verdict

    def _reset_after_pause(self, kept: Connection, ended: Connection) -> Frame | None:
        sight = ended.last
        stop = next((m for m in (sight.reply.fin, sight.reply.reset) if m is not None), None)
        if stop is None or not sight.used:
            return None
        end = ended.at(sight, stop.ts)
        if stop.ts - sight.used < _PAUSE or ended.ended(sight) < end:
            return None
        for s in kept.sights:
            data, reset, fin = s.request.last, s.reply.reset, s.reply.fin
            if data is None or reset is None or reset.ts < data or kept.at(s, data) < end + SLACK:
                continue
            if (fin is None or kept.at(s, fin.ts) >= kept.at(s, data)) and (s.reply.last or 0) < data:
                return reset.ref
        return None

    def _accepts(self, backs: list[Connection]) -> list[Verdict]:
        """Servers that answer the proxy's SYN with RST, each by itself; sessions that no client waited for are health
        checks, which know that."""
        out = []
        groups: dict[int, list[Connection]] = defaultdict(list)
        for c in backs:
            if c.whole and (c.established or c.refused):
                groups[c.server].append(c)
        if not groups:
            return []
        total = sum(len(group) for group in groups.values())
        verdict = self._verdict("l7.real-server.accepts", [], total)
        refused = [c for c in backs if c.refused and self.pairing.backs[id(c)]]
        if refused:
            names = names_of(self.scene, refused)
            verdict.nodes = tuple(names)
            waiting = {id(p.front): p.front for c in refused for p in self.pairing.backs[id(c)]}
            unserved = [f for f in waiting.values() if not _served(f)]
            others = [g for end, g in groups.items() if end not in {c.server for c in refused}]
            fate = (
                f"{len(unserved)} of the {len(waiting)} clients' sessions that waited for them got no answer or a 503"
            )
            also = "; other servers accept" if others else ""
            verdict.wireshark = "tcp.flags.reset"
            if not unserved:
                verdict.severity = "warning"
            self._fail(
                verdict,
                [_rejection(c) for c in refused],
                f"{', '.join(names)} refused {len(refused)} of the proxy's sessions with RST{also}. {fate}.",
            )
        out.append(verdict)
        return out

    def _carries(self) -> Verdict | None:
        """Pairs that were found by what they carry; passes only, for what differs was changed by the proxy."""
        carried = [p for p in self.pairing.pairs if p.by & {"payload", "request"}]
        if not carried:
            return None
        return self._verdict("l7.lb.carries", self._lb, len(carried))

    def _own_session(self) -> Verdict | None:
        """Pairs have numbers of their own; sessions that share one, from an endpoint that clients know to another, are
        one session that something translates."""
        own = sum(all(isn is not None for c in (p.front, p.back) for isn in c.isns) for p in self.pairing.pairs)
        shared = [] if own else translated(self.pairing.all)
        if not own and not shared:
            return None
        verdict = self._verdict("l7.lb.own-session", self._lb, own + len(shared))
        if shared:
            one, other = shared[0]
            why = (
                f"{len(shared)} TCP sessions span both sides of what is called a proxy, with the same initial sequence "
                f"numbers ({self._shown(one.server)} and {self._shown(other.server)}): this is NAT."
            )
            verdict.wireshark = "tcp.seq_raw"
            self._fail(verdict, [c.first.ref for pair in shared for c in pair], why, len(shared))
        return verdict

    def _shown(self, end: int) -> str:
        address, port = self._text(end)
        return f"{address} port {port}"


def _any(group: list[Connection]) -> bool:
    return any(c.rejected for c in group)


def _spellings(vip: str) -> tuple[str, ...]:
    """Other spellings of an address in a header: an IPv6 one that holds an IPv4 one."""
    return (f"::ffff:{vip}",) if ":" not in vip else ()


def _served(front: Connection) -> bool:
    return bool(front.answer) and status_of(front.answer) not in (502, 503, 504)


def _opening(c: Connection) -> Frame:
    """The frame with its client's first octets."""
    segments = c.request.segments
    return segments[min(segments)].ref if segments else c.first.ref


def _rejection(c: Connection) -> Frame:
    """The frame that ends it, or that answers 400."""
    if c.answer:
        return c.reply.segments[min(c.reply.segments)].ref
    marks = [m for s in c.sights for m in (s.reply.fin, s.reply.reset) if m is not None]
    return marks[0].ref if marks else c.first.ref
