"""Takeovers judged: what must hold of each VIP, each announcement and each change of hands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from dsrkit.mechanisms.takeover.moves import Handed, Takeaway
from dsrkit.mechanisms.takeover.ownership import SECOND, Ownership, Sign, Story
from dsrkit.mechanisms.takeover.vanished import Vanished
from dsrkit.mechanisms.takeover.vrrp import is_virtual
from dsrkit.tables.checks import takeover as checks
from dsrkit.verify.frames import REQUEST, TCP
from dsrkit.verify.scene import TapInfo
from dsrkit.verify.verdicts import Frame, Verdict
from dsrkit.wire.address import mac_text


class TakeoverJudge:
    """Verdicts on stories; each holds or breaks a check once for every sign or move that it looks at."""

    def __init__(self, ownership: Ownership, taps: list[TapInfo], stated_vrid: int | None = None) -> None:
        self.o, self.taps, self.stated_vrid = ownership, taps, stated_vrid
        self._out: dict[str, Verdict] = {}

    def verdicts(self, told: Sequence[tuple[Story, list[Takeaway]]], gone: Sequence[Vanished]) -> list[Verdict]:
        for story, moves in told:
            self._exclusive(story)
            self._announcements(story, moves)
            returned = self._last(story, moves)
            for move in moves:
                if move is not returned:
                    self._move(move)
            self._one_mac(story)
            self._as_stated(story)
        self._vrids(story for story, _ in told)
        for one in gone:
            self._vanished(one)
        return [v for v in self._out.values() if v.checked or v.reason]

    # --- saying it ------------------------------------------------------------------------------------------------

    def _of(self, check: str, field: str) -> Verdict:
        if check not in self._out:
            self._out[check] = Verdict(check, field, REQUEST, severity="info", place="all taps")
        return self._out[check]

    def _holds(self, check: str, field: str, count: int = 1) -> None:
        self._of(check, field).checked += count

    def _breaks(
        self,
        check: str,
        field: str,
        message: str,
        frames: Iterable[Frame],
        nodes: Iterable[str],
        *,
        severity: str | None = None,
        count: int = 1,
        signs: frozenset[str] = frozenset(),
    ) -> None:
        verdict = self._of(check, field)
        verdict.checked += count
        verdict.failed += count
        worse = severity or checks.CHECKS[check].severity
        if not verdict.message or _rank(worse) > _rank(verdict.severity):
            verdict.severity, verdict.message, verdict.signs = worse, message, signs
        verdict.show(frames)
        verdict.blame(nodes)
        verdict.wireshark = field
        if verdict.tap is None and verdict.frames:
            verdict.tap = verdict.frames[0][0]

    def _hides(self, check: str, field: str, reason: str) -> None:
        verdict = self._of(check, field)
        if not verdict.checked:
            verdict.reason = reason

    def _vip(self, story: Story) -> str:
        return self.o.scene.address(story.vip)

    # --- one owner ------------------------------------------------------------------------------------------------

    def _exclusive(self, story: Story) -> None:
        field = "vrrp.virt_rtr_id" if story.vrid is not None else "arp.src.proto_ipv4"
        fights = [c for c in story.contests if c.fights()]
        for contest in fights:
            names = [self.o.name(m) for m in contest.machines]
            signs = [contest.signs(m) for m in contest.machines]
            adverts = [sum(s.kind == "advert" for s in group) for group in signs]
            said = (
                f"both send adverts of virtual router {story.vrid} ({adverts[0]} and {adverts[1]})"
                if all(adverts)
                else f"both claim it by turns ({len(signs[0])} and {len(signs[1])} times)"
            )
            first = [group[0].frame for group in signs] + [group[-1].frame for group in signs]
            message = (
                f"{self._vip(story)} has two owners at the same time, {' and '.join(names)}: {said} for "
                f"{_seconds(contest.spans[-1].last - contest.spans[0].first)}. Neighbours send to whom they heard last"
            )
            told = frozenset({checks.ADVERTS} if all(adverts) else ())
            self._breaks(checks.EXCLUSIVE, field, message, first, names, signs=told)
        if not fights and story.signs:
            self._holds(checks.EXCLUSIVE, field, len(story.signs))

    def _one_mac(self, story: Story) -> None:
        claims = [s for s in story.signs if s.mac and s.advert is None]
        virtual = [s for s in claims if is_virtual(s.mac)]
        if not virtual:
            return
        owners = {s.machine for s in virtual}
        mixed = [s for s in claims if not is_virtual(s.mac) and s.machine in owners]
        if not mixed:
            self._holds(checks.ONE_MAC, "arp.src.hw_mac", len(virtual))
            return
        message = (
            f"{self._vip(story)} is at {mac_text(virtual[0].mac)}, yet {self.o.name(mixed[0].machine)} claims it with "
            f"its own {mac_text(mixed[0].mac)} too ({len(mixed)} of {len(claims)} claims), and neighbours take that MAC"
        )
        names = dict.fromkeys(self.o.name(s.machine) for s in mixed)
        self._breaks(checks.ONE_MAC, "arp.src.hw_mac", message, [s.frame for s in mixed], names, count=len(mixed))

    def _as_stated(self, story: Story) -> None:
        sign = next((s for s in story.signs if s.advert is not None), None)
        if self.stated_vrid is None or sign is None or story.vip not in self.o.scene.vips:
            return
        if story.vrid == self.stated_vrid:
            self._holds(checks.VRID, "vrrp.virt_rtr_id")
            return
        message = f"{self._vip(story)} belongs to virtual router {story.vrid}, and {self.stated_vrid} is stated"
        name, stated = self.o.name(sign.machine), frozenset({checks.STATED})
        self._breaks(checks.VRID, "vrrp.virt_rtr_id", message, [sign.frame], [name], severity="warning", signs=stated)

    def _vrids(self, stories: Iterable[Story]) -> None:
        """One id, two sets of addresses without a common one, from two machines."""
        seen: dict[tuple[int, int], dict[tuple[str, ...], list[Sign]]] = defaultdict(dict)
        listed: dict[int, tuple[str, ...]] = {}  # by the advert, of which many signs have one
        for story in stories:
            for sign in story.signs:
                if sign.advert is not None:
                    family = 6 if ":" in sign.advert.addresses[0] else 4
                    known = listed.get(id(sign.advert))
                    if known is None:
                        known = listed[id(sign.advert)] = tuple(sorted(sign.advert.addresses))
                    seen[sign.advert.vrid, family].setdefault(known, []).append(sign)
        for (vrid, _), groups in seen.items():
            lists = sorted(groups.items(), key=lambda item: -len(item[1]))
            own, signs = lists[0]
            strange = next(
                ((a, s) for a, s in lists[1:] if not set(a) & set(own) and s[0].machine != signs[0].machine), None
            )
            if strange is None:
                self._holds(checks.VRID, "vrrp.virt_rtr_id", sum(len(s) for s in groups.values()))
                continue
            addresses, others = strange
            virtual = is_virtual(signs[0].eth_src) and is_virtual(others[0].eth_src)
            names = [self.o.name(signs[0].machine), self.o.name(others[0].machine)]
            message = (
                f"virtual router {vrid} is used twice: {names[0]} has {', '.join(own[:3])}, {names[1]} has "
                f"{', '.join(addresses[:3])}" + (", both on one virtual MAC" if virtual else "")
            )
            self._breaks(
                checks.VRID,
                "vrrp.virt_rtr_id",
                message,
                [signs[0].frame, others[0].frame],
                names,
                severity="error" if virtual else "warning",
                count=len(others),
            )

    # --- announcements --------------------------------------------------------------------------------------------

    def _announcements(self, story: Story, moves: list[Takeaway]) -> None:
        """Forms, by machine: what one sends beside a proper form does no harm."""
        told: dict[int, list[Sign]] = defaultdict(list)
        for sign in story.signs:
            if sign.kind == "announce":
                told[sign.machine].append(sign)
        for machine, signs in told.items():
            stale = [h for move in moves if move.change.new == machine for h in move.stale]
            lost = stale and not any(h.told_at is not None for h in stale)
            self._sender(story, signs, bool(lost))
            proper = [s for s in signs if s.form is not None and s.form.gratuitous]
            if proper:
                self._holds(checks.GRATUITOUS, "arp.dst.proto_ipv4", len(proper))
            else:
                form = signs[0].form
                assert form is not None
                message = (
                    f"{self.o.name(machine)} announces {self._vip(story)} by {len(signs)} x {form.text}: "
                    "neighbours with a fresh entry keep the old MAC"
                )
                self._breaks(
                    checks.GRATUITOUS,
                    "arp.dst.proto_ipv4",
                    message + (f", as {self._name(stale[0].sender)} does" if stale else ""),
                    [s.frame for s in signs],
                    [self.o.name(machine)],
                    severity="error" if stale else "info",
                    count=len(signs),
                )
            self._target_mac(story, machine, proper)

    def _target_mac(self, story: Story, machine: int, signs: list[Sign]) -> None:
        wide = [s for s in signs if s.form is not None and s.form.name in ("reply-tha-broadcast", "reply-tha-zero")]
        if not wide:
            self._holds(checks.TARGET_MAC, "arp.dst.hw_mac", len(signs)) if signs else None
            return
        if len(wide) < len(signs):
            self._holds(checks.TARGET_MAC, "arp.dst.hw_mac", len(signs))
            return
        message = (
            f"{self.o.name(machine)} announces {self._vip(story)} by gratuitous replies alone, whose target MAC is not "
            f"its own ({len(wide)}): Linux keeps an entry that is younger than a second"
        )
        name = self.o.name(machine)
        self._breaks(checks.TARGET_MAC, "arp.dst.hw_mac", message, [s.frame for s in wide], [name], count=len(wide))

    def _sender(self, story: Story, signs: list[Sign], lost: bool) -> None:
        known = [s for s in signs if s.eth_src and not is_virtual(s.mac) and not is_virtual(s.eth_src)]
        wrong = [s for s in known if s.eth_src != s.mac]
        if not wrong:
            if known:
                self._holds(checks.SENDER, "eth.src", len(known))
            return
        message = (
            f"{self.o.name(wrong[0].machine)} announces {self._vip(story)} at {mac_text(wrong[0].mac)} in frames from "
            f"{mac_text(wrong[0].eth_src)} ({len(wrong)} of {len(known)})"
        )
        message += ", and no neighbour's tap sees them: port security drops such frames" if lost else ""
        severity = "error" if lost else "warning"
        name = self.o.name(wrong[0].machine)
        frames = [s.frame for s in wrong]
        self._breaks(checks.SENDER, "eth.src", message, frames, [name], severity=severity, count=len(wrong))

    # --- moves ----------------------------------------------------------------------------------------------------

    def _move(self, move: Takeaway) -> None:
        if move.change.old is None:
            return
        if move.forwarded is not None:
            self._forwards(move)
        elif move.handed:
            self._holds(checks.RELEASED, "eth.dst")
        if not move.announcements:
            self._unannounced(move)
            return
        self._holds(checks.ANNOUNCED, "eth.dst")
        stale = move.stale
        unheard = [h for h in stale if h.told_at is None]
        deaf = [h for h in stale if h.told_at is not None]
        forged = any(s.eth_src != s.mac and s.eth_src and not is_virtual(s.mac) for s in move.announcements)
        improper = not any(s.form is not None and s.form.gratuitous for s in move.announcements)
        if unheard and not forged:
            self._lost(move, unheard)
        elif not unheard and any(h.told_at is not None for h in move.handed):
            self._holds(checks.ARRIVES, "arp.src.proto_ipv4")
        if deaf and not improper:
            self._deaf(move, deaf)
        elif any(h.to_new is not None for h in move.handed) and not stale:
            self._holds(checks.FOLLOWS, "eth.dst", sum(h.to_new.count for h in move.handed if h.to_new is not None))

    def _name(self, mac: int) -> str:
        return self.o.name(mac)

    def _ends(self, move: Takeaway) -> tuple[str, str, str]:
        change = move.change
        assert change.old is not None
        return self._vip(move.story), self.o.name(change.old), self.o.name(change.new)

    def _harm(self, move: Takeaway) -> str:
        vain = len(move.in_vain)
        return f"; {vain} request{'' if vain == 1 else 's'} in vain" if vain else ""

    def _severity(self, move: Takeaway) -> str:
        return "error" if move.in_vain else "warning"

    def _forwards(self, move: Takeaway) -> None:
        vip, old, new = self._ends(move)
        assert move.forwarded is not None
        message = (
            f"{vip} moved from {old} to {new}, but its frames still go to {old}, which forwards them: it works until "
            f"{old} goes away"
        )
        self._breaks(checks.RELEASED, "eth.dst", message, [move.forwarded], [old, new], severity="warning")

    def _unannounced(self, move: Takeaway) -> None:
        vip, old, new = self._ends(move)
        stale = move.stale
        if not stale:
            if any(h.to_new is not None for h in move.handed):
                self._holds(checks.ANNOUNCED, "eth.dst")  # neighbours asked for it
            else:
                self._hides(checks.ANNOUNCED, "eth.dst", "no announcement was seen, and no frame for the VIP after it")
            return
        handed = stale[0]
        assert handed.to_old is not None
        message = (
            f"{vip} moved from {old} to {new} without an announcement at any tap: {self._name(handed.sender)} goes on "
            f"sending to {mac_text(handed.to_old.mac)}{self._harm(move)}"
        )
        if not self._tapped(new):
            message += f". Without a tap at {new}, it may have been sent and lost (ARP117)"
        frames = [self._first(move), (handed.tap, handed.to_old.last_number), *(r.frame for r in move.in_vain)]
        severity = "warning" if move.forwarded is not None else self._severity(move)
        self._breaks(checks.ANNOUNCED, "eth.dst", message, frames, [new, old], severity=severity)

    def _vanished(self, gone: Vanished) -> None:
        owner = self.o.name(gone.mac)
        others = [p.name for p in self.o.scene.role("lb") if p.stated and gone.mac not in p.macs]
        pinged = any(r.proto != TCP for r in gone.lost)
        pings = ", pings too" if pinged else ""
        message = (
            f"{owner} served {len(gone.served)} requests for {self.o.scene.address(gone.vip)} and then none of "
            f"{len(gone.lost)}{pings}: frames still go to {mac_text(gone.mac)}, and nobody else claims the VIP. "
            "It is down, or has lost the VIP, which no announcement tells"
        )
        frames = [r.frame_at(gone.tap) for r in (gone.served[-1], *gone.lost)]
        signs = frozenset({checks.PINGS} if pinged else ())
        self._breaks(checks.ANNOUNCED, "eth.dst", message, frames, [*others, owner], signs=signs)

    def _tapped(self, name: str) -> bool:
        return any(tap.node == name for tap in self.taps)

    def _first(self, move: Takeaway) -> Frame:
        """The first sign of the new owner."""
        return next(s.frame for s in move.story.signs if s.machine == move.change.new and s.at >= move.change.at)

    def _lost(self, move: Takeaway, unheard: list[Handed]) -> None:
        vip, _, new = self._ends(move)
        taps = sorted({self.taps[tap].name for s in move.announcements for tap in s.sights})
        where = sorted({self.taps[h.tap].name for h in unheard})
        others = [s for s in move.story.by(move.change.new, "advert") if any(h.tap in s.sights for h in unheard)]
        message = (
            f"{new} announces {vip} ({len(move.announcements)} times, seen at {', '.join(taps)}), and none arrives at "
            f"{', '.join(where)}: {self._name(unheard[0].sender)} goes on sending to the old owner{self._harm(move)}"
        )
        message += ". Its adverts do arrive, so announcements are filtered" if others else ""
        frames = [s.frame for s in move.announcements[:3]]
        frames += [(h.tap, h.to_old.last_number) for h in unheard if h.to_old is not None]
        self._breaks(
            checks.ARRIVES, "arp.src.proto_ipv4", message, frames, [new], severity=self._severity(move),
            count=len(move.announcements),
        )  # fmt: skip

    def _deaf(self, move: Takeaway, deaf: list[Handed]) -> None:
        vip, old, _ = self._ends(move)
        handed = deaf[0]
        assert handed.to_old is not None
        assert handed.told_at is not None
        late = handed.to_old.last - handed.told_at
        name = self._name(handed.sender)
        message = (
            f"{name} still sends frames for {vip} to {old} ({mac_text(handed.to_old.mac)}) "
            f"{_seconds(late)} after the announcement passed {self.taps[handed.tap].name}{self._harm(move)}"
        )
        frames = [move.announcements[0].frame, (handed.tap, handed.to_old.last_number)]
        self._breaks(checks.FOLLOWS, "eth.dst", message, frames, [name], severity=self._severity(move))

    # --- who spoke last -------------------------------------------------------------------------------------------

    def _last(self, story: Story, moves: list[Takeaway]) -> Takeaway | None:
        """A machine that took over for a moment and told everybody, and the owner that never told again; the return."""
        told = [s for s in story.signs if s.kind == "announce"]
        if not story.spans or not told or any(c.fights() for c in story.contests):
            return None
        owner = story.spans[-1].machine
        last = told[-1]
        after = [s for s in story.signs if s.machine == owner and s.at > last.at and s.kind in ("answer", "ask")]
        kept = [s for s in story.by(owner, "advert") if s.at > last.at + 2 * story.interval]
        held_before = any(s.at < last.at for s in story.by(owner, "advert"))
        if last.machine == owner or after or not kept or not held_before:
            self._holds(checks.LAST, "arp.src.proto_ipv4")
            return None
        vip, name, keeper = self._vip(story), self.o.name(last.machine), self.o.name(owner)
        back = next((move for move in reversed(moves) if move.change.new == owner), None)
        vain = back.in_vain if back is not None else []
        message = (
            f"{name} took {vip} for a moment and announced it, {keeper} has it again and does not announce: neighbours "
            f"send to {name}" + (f"; {len(vain)} requests in vain" if vain else "")
        )
        frames = [last.frame, kept[0].frame, *(r.frame for r in vain)]
        severity = "error" if vain else "warning"
        self._breaks(checks.LAST, "arp.src.proto_ipv4", message, frames, [keeper, name], severity=severity)
        return back


def _rank(severity: str) -> int:
    return ("info", "warning", "error").index(severity)


def _seconds(ns: int) -> str:
    return f"{ns / SECOND:.1f} s"
