"""Who behaves as an address's owner: who claims it and how, who answers one question for it together with others, and
who sends in its name."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import field
from typing import Any, Final, Literal

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.diagnose.facts.seen import Seen, grouped
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.flows import Flows, is_synack
from dsrkit.verify.frames import REPLY, RST, Frames
from dsrkit.verify.verdicts import MOST_FRAMES, Frame
from dsrkit.wire import layout

Claim = Literal["answered", "asked-as", "announced"]

_MOST: Final = 20_000
_ONE_QUESTION_NS: Final = 200_000_000
"""Answers further from the first one belong to another question."""
_MOST_ANSWERS: Final = 64
"""Machines that answer one question: more make the finding no surer, and each answer is counted for all of them."""
_SOLICITED: Final = 2
"""The S flag of a neighbour advertisement. Source: RFC 4861 s4.4."""
_VRRP: Final = 112
_GROUP: Final = 1 << 40
"""The bit of a MAC that says it is no single receiver's."""
_SOON_NS: Final = 30_000_000_000
"""An entry made by an announcement lives at least that long. Source: Linux base_reachable_time, RFC 4861 s10."""


@dataclass(slots=True)
class _Question:
    since: int
    macs: set[int] = field(default_factory=set)
    frames: list[Frame] = field(default_factory=list)


@dataclass(slots=True)
class Owners:
    """Facts about owners; addresses are numbers of the address book, MACs integers."""

    claims: dict[tuple[int, int, Claim], Seen] = field(default_factory=lambda: defaultdict(Seen))
    together: dict[int, dict[int, Seen]] = field(default_factory=dict)
    """Address -> MACs that answered one and the same question for it, with their answers."""
    answers_as: dict[tuple[int, int], Seen] = field(default_factory=lambda: defaultdict(Seen))
    """(address, MAC): SYN-ACKs and datagrams that this MAC sends in its name."""
    refuses_as: dict[tuple[int, int], Seen] = field(default_factory=lambda: defaultdict(Seen))
    """(address, MAC): RSTs instead of an answer."""
    unheeded: dict[tuple[int, int], Seen] = field(default_factory=lambda: defaultdict(Seen))
    """(asking MAC, address): questions to everybody, of one who asked before, soon after a new owner's announcement
    passed the same tap."""
    vrrp: set[int] = field(default_factory=set)
    """MACs that send VRRP adverts."""
    _open: dict[tuple[int, int, int], _Question] = field(default_factory=dict)
    _owner: dict[tuple[int, int], int] = field(default_factory=dict)
    """(tap, address) -> MAC that claimed it last."""
    _moved: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """(tap, address) -> when it was last announced by another one than before, and who that is."""
    _asked: set[tuple[int, int, int]] = field(default_factory=set)
    """(tap, asking MAC, address)"""

    def see(self, f: Frames, flows: Flows) -> None:
        """Take in a batch; every packet once."""
        self._resolution(f)
        back = flows.direction == REPLY
        self._count(self.answers_as, f, np.flatnonzero(back & (f.tunnel == 0) & (is_synack(f) | f.is_udp_head)))
        self._count(self.refuses_as, f, np.flatnonzero(f.is_tcp & ((f.flags & RST) != 0) & (f.payload_len == 0)))
        if len(self.vrrp) < _MOST:
            self.vrrp |= set(distinct(f.eth_src[f.has_ip & (f.inner("nxt") == _VRRP)]).tolist())

    def _count(self, table: dict[tuple[int, int], Seen], f: Frames, rows: Any) -> None:
        for key, members in grouped(f.src[rows], f.eth_src[rows]):
            if key in table or len(table) < _MOST:
                table[key].add(f, rows[members])

    def _resolution(self, f: Frames) -> None:
        """ARP and neighbour discovery. Source: RFC 826, RFC 5227 s2.1.1, RFC 4861 s4.3, s4.4."""
        rows = np.flatnonzero(f.has(layout.HAS_RES) & among(f.rec["res_op"], (1, 2, 135, 136)))
        if not len(rows):
            return
        spa = f.book.intern(f.rec["res_spa_hi"][rows], f.rec["res_spa_lo"][rows])
        tpa = f.book.intern(f.rec["res_tpa_hi"][rows], f.rec["res_tpa_lo"][rows])
        op, mac = f.rec["res_op"][rows], f.claimant[rows]
        asks = among(op, (1, 135))
        told = (spa == tpa) & (op < 3) | (op == 136) & ((f.rec["res_flags"][rows] & _SOLICITED) == 0)
        kinds: tuple[tuple[Claim, Any], ...] = (
            ("announced", told),
            ("asked-as", asks & ~told),
            ("answered", ~asks & ~told),
        )
        for how, mask in kinds:
            for (address, who), members in grouped(spa[mask], mac[mask]):
                if (address, who, how) in self.claims or len(self.claims) < _MOST:
                    self.claims[address, who, how].add(f, rows[mask][members])
        for i, announced in enumerate(told.tolist()):
            if announced or not asks[i]:
                self._claim(f, int(rows[i]), int(spa[i]), int(mac[i]), announced)
            if announced:
                continue
            about, asker = (int(tpa[i]), int(spa[i])) if asks[i] else (int(spa[i]), int(tpa[i]))
            place = int(f.tap[rows[i]]), about, asker
            if asks[i]:
                self._open.pop(place, None)  # asked again: an answer to this one is no second answer to the last
                self._ask(f, int(rows[i]), about, int(mac[i]))
            else:
                self._answer(f, int(rows[i]), place, int(mac[i]))
        if len(self._open) > _MOST:
            self._open.clear()

    def _claim(self, f: Frames, row: int, address: int, mac: int, announced: bool) -> None:
        place = int(f.tap[row]), address
        before = self._owner.get(place)
        if before is not None or len(self._owner) < _MOST:
            self._owner[place] = mac
        moved = self._moved.get(place)
        if announced and before is not None and (before != mac or (moved is not None and moved[1] == mac)):
            self._moved[place] = int(f.ts[row]), mac

    def _ask(self, f: Frames, row: int, address: int, mac: int) -> None:
        tap = int(f.tap[row])
        at, owner = self._moved.get((tap, address), (0, mac))
        again = (tap, mac, address) in self._asked
        if again and owner != mac and int(f.eth_dst[row]) & _GROUP and 0 <= int(f.ts[row]) - at < _SOON_NS:
            self.unheeded[mac, address].add(f, [row])
        if len(self._asked) < _MOST:
            self._asked.add((tap, mac, address))

    def _answer(self, f: Frames, row: int, place: tuple[int, int, int], mac: int) -> None:
        question, when = self._open.get(place), int(f.ts[row])
        if question is None or when - question.since > _ONE_QUESTION_NS:
            question = self._open[place] = _Question(when)
        if mac not in question.macs and len(question.macs) >= _MOST_ANSWERS:
            return
        question.macs.add(mac)
        question.frames = [*question.frames, f.ref(row)][:MOST_FRAMES]
        if len(question.macs) > 1 and (place[1] in self.together or len(self.together) < _MOST):
            known = self.together.setdefault(place[1], {})
            for one in question.macs:
                seen = known.setdefault(one, Seen())
                seen.count += 1
                seen.frames = list(dict.fromkeys([*seen.frames, *question.frames]))[:MOST_FRAMES]
