"""From lookups and connections to the outcome: the names, whether they make the mode, the section, and the parties."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.mechanisms.dns.collect import Collector, Sightings, first_of
from dsrkit.mechanisms.dns.judge import Bench, failed, judge, stale
from dsrkit.mechanisms.dns.names import Name, names_of
from dsrkit.mechanisms.dns.tie import Clock, Tie, tie
from dsrkit.mechanisms.statistics import Fairness
from dsrkit.model.frame import FrameRef
from dsrkit.model.sections.dns import (
    MOST_CONNECTIONS,
    Dns,
    DnsConnection,
    DnsFairness,
    DnsParty,
    DnsRecord,
    Result,
)
from dsrkit.model.spec import Spec
from dsrkit.tables.checks.dns import CHECKS
from dsrkit.verify.frames import REQUEST, TCP
from dsrkit.verify.observer import Outcome, Told
from dsrkit.verify.scene import Party, Scene, TapInfo
from dsrkit.verify.verdicts import Verdict

_MOST_NAMES: Final = 100
_MOST_CLIENTS: Final = 64
_MAIN_SHARE: Final = 0.5
"""A name that most connections of a capture go to is what the capture is about."""
_ENOUGH: Final = 5


@dataclass(slots=True)
class Concluder:
    """One run over what was collected."""

    scene: Scene
    taps: list[TapInfo]
    spec: Spec | None
    seen: Collector

    def outcome(self, told: Told) -> Outcome:
        stated = self.scene.mode == "dns-rr"
        out = Outcome(notes=self._notes())
        if not self.seen.lookups:
            if stated:
                out.verdicts = _blind("no DNS message about addresses was captured")
            return out
        clock = Clock(told.offsets)
        ties = tie(self.seen.attempts, self.seen.lookups, self.scene, clock)
        names = names_of(self.seen.lookups, ties, clock)
        rotating = [name for name in names.values() if len(name.union) > 1 or self._asked_for(name)]
        rotating.sort(key=lambda name: -len(name.ties))
        proxied = bool(told.sections.get("sessions"))
        used = [name for name in rotating if len(name.used) > 1]
        main = [name for name in rotating if self._is_main(name)]
        claimed = [name for name in used if name in main] if self.scene.mode is None and not proxied else []
        if used or claimed or (stated and rotating):
            out.mechanism = "dns-rr"
        if claimed:
            out.mode = "dns-rr"
            lead = claimed[0]
            out.because = (
                f"{lead.name} has {len(lead.union)} addresses, and clients that asked for it connected to"
                f" {len(lead.used)} of them ({len(lead.ties)} connections)"
            )
        judged = [name for name in rotating if self._asked_for(name)] or rotating if stated else main
        if stated or claimed:
            self._cast(claimed or judged)
        benches = {
            id(name): Bench(
                self.scene,
                self.seen,
                name,
                self.seen.lookups,
                self.spec.dns if self.spec is not None and self._asked_for(name) else None,
                quiet=not stated and name not in claimed,
            )
            for name in rotating
        }
        if self.scene.mode in (None, "dns-rr"):
            out.verdicts = [v for name in judged for v in judge(benches[id(name)])]
        if stated and not judged:
            out.verdicts = _blind("no answer with several addresses was captured")
        out.section = tuple(self._entry(benches[id(name)]) for name in rotating[:_MOST_NAMES])
        if len(rotating) > _MOST_NAMES:
            out.notes.append(f"dns: {len(rotating)} names have several addresses; the first {_MOST_NAMES} are shown")
        return out

    def _notes(self) -> list[str]:
        notes = []
        if self.seen.cut_short:
            notes.append(f"dns: {self.seen.cut_short} messages were captured only in part and could not be read")
        if self.seen.left_out:
            notes.append(f"dns: {self.seen.left_out} messages and SYNs beyond the first 100,000 were left out")
        return notes

    def _asked_for(self, name: Name) -> bool:
        stated = self.spec.dns.name if self.spec is not None and self.spec.dns is not None else None
        return stated is not None and stated.rstrip(".").lower() == name.name

    def _is_main(self, name: Name) -> bool:
        """Whether most connections of the capture go to this name's addresses."""
        if len(name.union) < 2 or len(name.ties) < _ENOUGH:
            return False
        seen: Counter[int] = Counter()
        for one in name.ties:
            seen.update(one.attempt.seen)
        return any(count >= _MAIN_SHARE * self.seen.syns[tap] for tap, count in seen.items())

    # --- parties ------------------------------------------------------------------------------------------------------

    def _cast(self, names: list[Name]) -> None:
        """Give name servers and real servers their roles and names, where nothing states them."""
        scene = self.scene
        askers = {one.client >> 16 for name in names for one in name.lookups}
        answering = list(dict.fromkeys(one.server >> 16 for name in names for one in name.lookups if one.answered))
        clients = {one.client for name in names for one in name.ties}
        asked = {one.server >> 16 for name in names for one in name.lookups if one.client >> 16 in clients}
        near = [a for a in answering if a in askers | asked]  # who answers clients is their resolver
        for address in sorted(answering, key=lambda a: (a not in askers, scene.book.sort_key([a]))):
            alike, stem = (near, "resolver") if address in near else (set(answering) - set(near), "ns")
            self._name(address, "resolver", stem, clients, numbered=len(alike) > 1)
        served = {address for name in names for address in name.union}
        for address in sorted(served, key=lambda a: scene.book.sort_key([a])):
            self._name(address, "real-server", "rs", clients, numbered=True)
        self._place(names)
        scene.parties[:] = [party for party in scene.parties if party.stated or party.ips or party.macs]
        if not scene.services:
            for port in sorted({one.attempt.server & 0xFFFF for name in names for one in name.ties}):
                scene.services[TCP, port] = {port}

    def _place(self, names: list[Name]) -> None:
        """Taps that show the traffic of one server or resolver alone, while others show that of several."""
        at: dict[int, set[int]] = defaultdict(set)
        for name in names:
            for one in name.lookups:
                for tap in one.asked.keys() | one.answered.keys():
                    at[tap].add(one.server >> 16)
            for each in name.ties:
                for tap in each.attempt.asked:
                    at[tap].add(each.server)
        if not any(len(seen) > 1 for seen in at.values()):
            return
        for tap, seen in at.items():
            party = self.scene.party_of_ip(min(seen))
            if self.taps[tap].node is None and len(seen) == 1 and party is not None:
                self.taps[tap].node = party.name

    def _name(self, address: int, role: str, stem: str, clients: set[int], *, numbered: bool) -> None:
        scene = self.scene
        known = scene.party_of_ip(address)
        name = scene.free_name(stem, numbered=numbered)
        if known is None:
            shared = scene.macs("router") | {m for a, own in self.seen.macs.items() if a != address for m in own}
            scene.parties.append(Party(name, role, {address}, self.seen.macs.get(address, set()) - shared - {0}))
        elif known.role == "client" and not known.stated and not known.ips & clients:
            for tap in self.taps:
                tap.node = name if tap.node == known.name else tap.node
            known.name, known.role = name, role

    # --- the section --------------------------------------------------------------------------------------------------

    def _entry(self, b: Bench) -> Dns:
        name, book = b.name, self.scene.book
        answers = [one for one in name.edge if one.answered]
        ttls = [one.ttl for one in name.lookups if one.ttl is not None]
        union = name.union
        connections = Counter(one.server for one in name.ties)
        lost = Counter(one.server for one in name.ties if failed(b, one))
        answered = Counter(address for one in answers for address in one.addresses)
        first = Counter(one.addresses[0] for one in answers if one.addresses)
        return Dns(
            name.name,
            name.kind,
            answers=len(answers),
            unanswered=len(name.edge) - len(answers),
            truncated=sum(one.cut for one in answers),
            negative=sum(not one.addresses for one in answers),
            ttl_min=min(ttls, default=None),
            ttl_max=max(ttls, default=None),
            chain=tuple(dict.fromkeys(alias for one in answers for alias in one.chain)),
            records=tuple(
                DnsRecord(book.text(a), self._node(a), answered[a], first[a], connections[a], lost[a])
                for a in sorted(union, key=lambda a: book.sort_key([a]))
            ),
            parties=(*self._servers(b), *self._clients(b)),
            tied=len(name.ties),
            untied=len(name.untied),
            stale=len(stale(b)),
            fairness=_fairness(name.fairness(name.choices)),
            connections=tuple(self._connection(one) for one in name.ties[:MOST_CONNECTIONS]),
        )

    def _node(self, address: int) -> str | None:
        party = self.scene.party_of_ip(address)
        return party.name if party is not None else None

    def _servers(self, b: Bench) -> list[DnsParty]:
        """Those that answer clients, then those that answer them."""
        name, out = b.name, []
        for lookups in (name.edge, name.behind):
            for source in name.sources(lookups):
                mine = [
                    one for one in name.choices if one.lookup is not None and one.lookup.server >> 16 == source.server
                ]
                out.append(
                    self._party(
                        b,
                        source.server,
                        "server",
                        mine,
                        questions=len(source.answers) + source.unanswered,
                        answers=len(source.answers),
                        peers=len(source.clients),
                        rotation=source.rotation,
                    )
                )
        return out

    def _clients(self, b: Bench) -> list[DnsParty]:
        name = b.name
        asked = Counter(one.client >> 16 for one in name.edge)
        got = Counter(one.client >> 16 for one in name.edge if one.answered)
        of: dict[int, list[Tie]] = {}
        for one in name.choices:
            of.setdefault(one.client, []).append(one)
        resolvers: dict[int, set[int]] = {}
        for lookup in name.edge:
            resolvers.setdefault(lookup.client >> 16, set()).add(lookup.server >> 16)
        return [
            self._party(
                b, client, "client", of.get(client, []), questions=asked[client], answers=got[client], peers=len(peers)
            )
            for client, peers in list(resolvers.items())[:_MOST_CLIENTS]
        ]

    def _party(self, b: Bench, address: int, role: str, choices: list[Tie], **counts: int | str) -> DnsParty:
        shares = Counter(one.server for one in choices)
        text = self.scene.book.text
        return DnsParty(
            text(address),
            role,  # type: ignore[arg-type]
            self._node(address),
            shares=tuple((text(a), shares[a]) for a in b.name.union if shares[a]),
            fairness=_fairness(b.name.fairness(choices)),
            **counts,  # type: ignore[arg-type]
        )

    def _connection(self, one: Tie) -> DnsConnection:
        text, lookup = self.scene.book.text, one.lookup
        position = one.position
        return DnsConnection(
            text(one.client),
            text(one.server),
            one.attempt.server & 0xFFFF,
            one.at,
            self._ref(one.attempt.asked),
            _result(one),
            resolver=text(lookup.server >> 16) if lookup is not None else None,
            answer=self._ref(lookup.answered) if lookup is not None else None,
            upstream=self._ref(one.upstream.answered) if one.upstream is not None else None,
            age_ms=round(one.age / 1e6, 3) if one.age is not None else None,
            ttl=lookup.ttl if lookup is not None else None,
            position=position + 1 if position is not None else None,
        )

    def _ref(self, sightings: Sightings) -> FrameRef:
        tap, number = first_of(sightings)
        return FrameRef(self.taps[tap].file, number)


def _result(one: Tie) -> Result:
    if one.attempt.answered:
        return "answered"
    if one.attempt.refusal:
        return "refused" if one.attempt.refusal == "refused" else "unreachable"
    return "silent"


def _fairness(fair: Fairness) -> DnsFairness:
    return DnsFairness(fair.total, fair.p_value, fair.method, fair.conclusive, round(fair.jain, 4))


def _blind(reason: str) -> list[Verdict]:
    """Nothing could be checked."""
    return [
        Verdict(cell, cell.rsplit(".", 1)[-1], REQUEST, check.severity, place="all taps", reason=reason)
        for cell, check in CHECKS.items()
    ]
