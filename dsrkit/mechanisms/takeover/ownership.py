"""Who owned a VIP over time: signs of all taps brought together, and cut into reigns and moves."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import field
from functools import cached_property
from itertools import pairwise
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.mechanisms.takeover.collect import Collected
from dsrkit.mechanisms.takeover.forms import ANNOUNCES, CLAIMS, FORMS, NS_QUESTION, QUESTION, Form
from dsrkit.mechanisms.takeover.vrrp import Advert, interface_mac, is_virtual, vrid_of
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.frames import TCP, Records
from dsrkit.verify.scene import Party, Scene
from dsrkit.wire.address import mac_text

SECOND: Final = 1_000_000_000
_SAME_FRAME_NS: Final = 100_000_000
"""Sightings of one frame at several taps lie closer together than this."""
_CONTEST: Final = 3.5
"""In intervals of adverts (or seconds): who is heard again so soon has not given up. Source: RFC 5798 s6.1, the down
interval of 3 adverts and a skew below 1."""
_PROXY: Final = 4
"""Addresses that others claim too and that one machine answers for: it answers for everybody."""
_FEWEST_TO_FIGHT: Final = 4
_MOST_SIGNS: Final = 400_000
"""Adverts times the VIPs that each of them lists."""
_MOST_AT_BOOT: Final = 3
"""A host that starts announces its own address so often. Source: RFC 5227 s1.1 (ANNOUNCE_NUM 2); Windows, 3."""

Machine = int
"""A machine by its MAC, or by its address as a negative number where only its virtual MAC is seen."""


@dataclass(slots=True)
class Sign:
    """One frame that says who has a VIP, wherever it was seen."""

    at: int  # ns, first tap's clock
    machine: Machine
    kind: str  # announce, answer, ask, advert, release
    sights: dict[int, tuple[int, int]]  # tap -> frame number, time
    form: Form | None = None
    mac: int = 0  # that is claimed
    eth_src: int = 0
    advert: Advert | None = None

    @property
    def frame(self) -> tuple[int, int]:
        """Tap and number of the first sighting."""
        tap = min(self.sights, key=lambda t: self.sights[t][1])
        return tap, self.sights[tap][0]


@dataclass(slots=True)
class Span:
    """Signs of one machine, with none of another in between."""

    machine: Machine
    signs: list[Sign]

    @property
    def first(self) -> int:
        return self.signs[0].at

    @property
    def last(self) -> int:
        return self.signs[-1].at


@dataclass(slots=True)
class Contest:
    """A time in which two machines claimed the VIP by turns, and who was left at its end."""

    spans: list[Span]

    @property
    def machines(self) -> list[Machine]:
        return list(dict.fromkeys(span.machine for span in self.spans))

    def signs(self, machine: Machine) -> list[Sign]:
        return [sign for span in self.spans if span.machine == machine for sign in span.signs]

    def fights(self) -> bool:
        """Both go on claiming it: no change of hands looks like that."""
        if len(self.spans) < _FEWEST_TO_FIGHT:
            return False
        start, end = self.spans[1].first, self.spans[-2].last  # both are there between these
        if end <= start:
            return False  # nor a capture whose times are all the same
        both = [[s for s in self.signs(m) if start <= s.at <= end] for m in self.machines]
        adverts = [sum(s.kind == "advert" for s in signs) for signs in both]
        claims = [sum(s.kind in ("announce", "answer") for s in signs) for signs in both]
        if any(adverts):
            return sum(n >= _FEWEST_TO_FIGHT for n in adverts) > 1
        return sum(n > 1 for n in claims) > 1


@dataclass(slots=True)
class Change:
    """A VIP moved at the first sign of its new owner."""

    old: Machine | None
    new: Machine
    at: int
    until: int  # next change, or the end


@dataclass(slots=True)
class Story:
    """All that is known of the ownership of one VIP."""

    vip: int
    signs: list[Sign] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    contests: list[Contest] = field(default_factory=list)
    vrid: int | None = None
    version: int = 0

    @property
    def interval(self) -> int:
        """Time between two adverts. Units: ns."""
        return next((s.advert.interval_ns for s in reversed(self.signs) if s.advert is not None), SECOND) or SECOND

    def by(self, machine: Machine, *kinds: str) -> list[Sign]:
        return [s for s in self.signs if s.machine == machine and s.kind in kinds]


class Ownership:
    """Stories of all VIPs of a capture set; times by the first tap's clock."""

    def __init__(self, seen: Collected, scene: Scene, offsets: list[int]) -> None:
        self.seen, self.scene, self.offsets = seen, scene, offsets
        self.ips: dict[Machine, int] = {}  # address that a machine sends adverts from
        # (vrid, VIP) -> who advertised it, when
        self._senders: dict[tuple[int, int], list[tuple[int, Machine]]] = defaultdict(list)
        adverts = self._adverts()
        self.proxies = self._proxies()
        self.stories = self._stories(adverts)

    def name(self, machine: Machine) -> str:
        party = self.scene.party_of_mac(machine) if machine > 0 else None
        party = party or self.scene.party_of_ip(self.ip(machine) or 0)
        ip = self.ip(machine)
        if party is not None and not (ip and self._several(party)):
            return party.name
        return self.scene.address(ip) if ip else mac_text(machine)

    def _several(self, party: Party) -> bool:
        """Whether inference took two machines for one, because they share a virtual MAC."""
        return sum(m in party.macs or ip in party.ips for m, ip in self.ips.items()) > 1

    def ip(self, machine: Machine) -> int | None:
        """A machine's own address."""
        if machine < 0:
            return -machine
        if machine in self.ips:
            return self.ips[machine]
        own = self._own.get(machine, ())
        return own[0] if len(own) == 1 else None

    @cached_property
    def _own(self) -> dict[Machine, list[int]]:
        """Addresses that each MAC claims, those of VIPs left out."""
        vips = set(self.seen.vips)
        out: dict[Machine, list[int]] = defaultdict(list)
        for address, mac in self.scene.claims:
            if address not in vips:
                out[mac].append(address)
        return out

    def macs(self, story: Story, machine: Machine) -> set[int]:
        """MACs at which a machine takes frames for the VIP."""
        claimed = {s.mac for s in story.signs if s.machine == machine and s.mac}
        return claimed | ({machine} if machine > 0 else set())

    # --- signs ----------------------------------------------------------------------------------------------------

    def _adverts(self) -> list[tuple[Sign, list[int]]]:
        """Signs, each with the VIPs that it is about."""
        rows = self.seen.adverts.all()
        out: list[tuple[Sign, list[int]]] = []
        merged = _Merged()
        listed = [[self.scene.book.number(a) for a in dict.fromkeys(one.addresses)] for one in self.seen.contents]
        rows = self._bounded(rows, listed)
        real = self._real_macs({int(a) for a in distinct(rows["src"]).tolist()}) if len(rows) else {}
        for row in sorted(rows.tolist(), key=lambda r: r[0] + self.offsets[r[1]]):
            ts, tap, number, content, src, eth_src, _, _ = row
            at = ts + self.offsets[tap]
            sign = merged.sighted((content, src, eth_src), tap, number, ts, at)
            if sign is not None:
                continue
            advert = self.seen.contents[content]
            machine = eth_src if eth_src and not is_virtual(eth_src) else real.get(src, -src)
            self.ips[machine] = src
            kind = "release" if advert.priority == 0 else "advert"
            mac = eth_src if is_virtual(eth_src) else 0
            new = Sign(at, machine, kind, {tap: (number, at)}, None, mac, eth_src, advert)
            merged.add((content, src, eth_src), new)
            for address in listed[content]:
                senders = self._senders[advert.vrid, address]
                if not senders or senders[-1][1] != machine:  # since when it has been this one
                    senders.append((at, machine))
            out.append((new, listed[content]))
        return out

    def _bounded(self, rows: Records, listed: list[list[int]]) -> Records:
        """The newest adverts: one that lists 255 VIPs is a sign for each of them."""
        signs = np.cumsum(np.asarray([len(one) for one in listed] or [0], np.int64)[rows["content"][::-1]])
        kept = int(np.searchsorted(signs, _MOST_SIGNS, side="right"))
        self.seen.adverts.aged += max(0, len(rows) - kept)
        return rows[max(0, len(rows) - kept) :]

    def _real_macs(self, sources: set[int]) -> dict[int, int]:
        """The MACs of machines that advertise with a virtual one."""
        found: dict[int, set[int]] = defaultdict(set)
        for address, mac in self.scene.claims:
            if address in sources and not is_virtual(mac):
                found[address].add(mac)
        known = set().union(*(party.macs for party in self.scene.parties))
        for address in sources:
            own = interface_mac(self.scene.address(address))
            if own is not None and own in known:
                found[address].add(own)
        return {address: next(iter(macs)) for address, macs in found.items() if len(macs) == 1}

    def _machine(self, mac: int, address: int, at: int) -> Machine:
        """Who claims with this MAC: for a virtual one, the machine that advertises at that time."""
        if not is_virtual(mac):
            return mac
        known = self._senders.get((vrid_of(mac), address), [])
        if not known:
            return mac
        since = bisect_right(known, at + SECOND // 10, key=lambda one: one[0])
        return known[max(0, since - 1)][1]

    def _proxies(self) -> set[int]:
        """MACs that answer for many addresses of others: proxies own none of them."""
        macs: dict[int, set[int]] = defaultdict(set)
        for address, mac in self.scene.claims:
            macs[address].add(mac)
        shared = Counter(mac for address, mac in self.scene.claims if len(macs[address]) > 1)
        announcers = {mac for (_, mac), how in self.scene.claims.items() if "announced" in how}
        return {mac for mac, n in shared.items() if n >= _PROXY and mac not in announcers}

    @cached_property
    def behind(self) -> set[int]:
        """MACs of real servers: they answer as the VIP though the requests went to another MAC first.

        A server that owns the VIP silently and yet claims it is no owner, and `arp-silent` says so.
        """
        macs = set(self.scene.macs("real-server"))
        answers = {
            (int(a["key"]), int(a["tap"])): int(a["eth_src"])
            for a in self.seen.answers.all()[-20_000:]
            if a["proto"] == TCP
        }
        ends: dict[tuple[int, int], set[tuple[int, int]]] = defaultdict(set)
        for row in self.seen.requests.all()[["key", "tap", "eth_src", "eth_dst"]][-40_000:].tolist():
            ends[row[0], row[1]].add((row[2], row[3]))
        for place, server in answers.items():
            pairs = ends.get(place)  # a load balancer answers pings itself, so they tell nothing
            if pairs and server:
                receivers = {dst for _, dst in pairs}
                if not any(dst == server and src not in receivers for src, dst in pairs):
                    macs.add(server)
        return macs

    def _claims(self) -> dict[int, list[Sign]]:
        rows = self.seen.claims.all()
        asks = among(rows["form"], (QUESTION, NS_QUESTION))
        rows = rows[among(rows["address"], self.seen.vips) & (CLAIMS[rows["form"]] | asks) & (rows["sha"] != 0)]
        out: dict[int, list[Sign]] = defaultdict(list)
        merged = _Merged()
        for row in sorted(rows.tolist(), key=lambda r: r[0] + self.offsets[r[1]]):
            ts, tap, number, form, address, asked, sha, tha, eth_src, _ = row
            at = ts + self.offsets[tap]
            content = (form, address, asked, sha, tha, eth_src)
            if merged.sighted(content, tap, number, ts, at) is not None:
                continue
            kind = "announce" if ANNOUNCES[form] else "ask" if form in (QUESTION, NS_QUESTION) else "answer"
            sign = Sign(at, self._machine(sha, address, at), kind, {tap: (number, at)}, FORMS[form], sha, eth_src)
            merged.add(content, sign)
            out[address].append(sign)
        return out

    # --- stories --------------------------------------------------------------------------------------------------

    def _stories(self, adverts: list[tuple[Sign, list[int]]]) -> list[Story]:
        claims = self._claims()
        stories: dict[int, Story] = {}
        for sign, addresses in adverts:
            for address in addresses:
                story = stories.get(address)
                if story is None:
                    story = stories[address] = Story(address)
                if sign.advert is not None:
                    story.vrid, story.version = sign.advert.vrid, sign.advert.version
                story.signs.append(sign)
        for vip, signs in claims.items():
            if vip not in stories and not any(s.kind == "announce" or s.machine != signs[0].machine for s in signs):
                continue
            owners = [
                s for s in signs if s.machine in self.ips or not {s.machine, s.mac} & (self.behind | self.proxies)
            ]
            if vip in stories or self._is_exclusive(vip, owners):
                stories.setdefault(vip, Story(vip)).signs += owners
        for story in stories.values():
            story.signs.sort(key=lambda s: s.at)
            self._tell(story)
        return list(stories.values())

    def _is_exclusive(self, address: int, signs: list[Sign]) -> bool:
        """Whether claims show an address that is handed over or announced, and not a host's own."""
        machines = {s.machine for s in signs}
        told = sum(s.kind == "announce" for s in signs)
        if not told:
            return len(machines) > 1 and _succeed(signs)
        if len(machines) > 1:
            return True
        return address in self.scene.vips or told > _MOST_AT_BOOT

    def _tell(self, story: Story) -> None:
        spans: list[Span] = []
        for sign in story.signs:
            if sign.kind == "release":
                continue
            if spans and spans[-1].machine == sign.machine:
                spans[-1].signs.append(sign)
            else:
                spans.append(Span(sign.machine, [sign]))
        story.spans = spans
        patience = int(_CONTEST * story.interval)
        at = 0
        owner: Machine | None = None
        while at < len(spans):
            end = self._contested_until(spans, at, patience)
            if end > at:
                contest = Contest(spans[at : end + 1])
                story.contests.append(contest)
                self._settle(story, contest, owner)
                owner = spans[end].machine
            elif spans[at].machine != owner:
                if owner is not None:
                    story.changes.append(Change(owner, spans[at].machine, spans[at].first, 0))
                owner = spans[at].machine
            at = end + 1
        for i, change in enumerate(story.changes):
            later = story.changes[i + 1].at if i + 1 < len(story.changes) else 1 << 62
            change.until = later

    def _contested_until(self, spans: list[Span], at: int, patience: int) -> int:
        """Index of the last span of a contest that starts here; the same index where there is none."""
        i = at
        while (
            i + 2 < len(spans)
            and spans[i].machine == spans[i + 2].machine
            and (spans[i + 2].first - spans[i].last < patience)
        ):
            i += 1
        return i + 1 if i > at else at

    def _settle(self, story: Story, contest: Contest, owner: Machine | None) -> None:
        """Moves inside a contest: the first one takes it from the owner, the last one keeps it."""
        spans = contest.spans
        if owner is not None and spans[0].machine != owner:
            story.changes.append(Change(owner, spans[0].machine, spans[0].first, 0))
        if contest.fights():
            return
        challenger = spans[1]
        story.changes.append(Change(spans[0].machine, challenger.machine, challenger.first, 0))
        if spans[-1].machine != challenger.machine:
            story.changes.append(Change(challenger.machine, spans[-1].machine, spans[-1].first, 0))


def _succeed(signs: list[Sign]) -> bool:
    """Whether machines claim an address one after the other, each for a time of its own, and never at once.

    Claims by turns without any announcement are no takeover: several machines own the address, which is judged where
    they answer one question.
    """
    ordered = sorted(signs, key=lambda s: s.at)
    turns = [b for a, b in pairwise(ordered) if a.machine != b.machine]
    apart = all(b.at - a.at > SECOND for a, b in pairwise(ordered) if a.machine != b.machine)
    return apart and len(turns) + 1 == len({s.machine for s in signs})


class _Merged:
    """Sightings of one frame at several taps as one sign."""

    def __init__(self) -> None:
        self._open: dict[tuple[int, ...], list[Sign]] = defaultdict(list)

    def sighted(self, content: tuple[int, ...], tap: int, number: int, ts: int, at: int) -> Sign | None:
        """The sign that this is another sighting of, if any."""
        waiting = self._open[content] = [s for s in self._open[content] if at - s.at < _SAME_FRAME_NS]
        for sign in waiting:
            if tap not in sign.sights:
                sign.sights[tap] = number, at
                return sign
        return None

    def add(self, content: tuple[int, ...], sign: Sign) -> None:
        self._open[content].append(sign)
