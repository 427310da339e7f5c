"""One takeover in detail: who announced it to whom, where frames went, and which clients had to wait."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import field, replace
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.mechanisms.takeover.collect import Run
from dsrkit.mechanisms.takeover.ownership import SECOND, Change, Machine, Ownership, Sign, Story
from dsrkit.mechanisms.takeover.requests import Request, Requests
from dsrkit.mechanisms.takeover.vrrp import is_virtual

GRACE: Final = SECOND
"""What a receiver may take to believe an announcement. Source: Linux net/ipv4/neigh locktime, 1 s."""
LOOK_BACK: Final = 10 * SECOND
_MOMENT: Final = SECOND // 10


@dataclass(slots=True)
class Handed:
    """Frames for the VIP from one neighbour at one tap, around a move; times by the first tap's clock."""

    sender: int
    tap: int
    to_old: Run | None = None  # the last ones before the new owner's MAC is used
    to_new: Run | None = None  # the first ones
    told_at: int | None = None  # when this tap saw the announcement
    stale: bool = False  # went on using the old MAC


@dataclass(slots=True)
class Waiting:
    """Requests of one client that the old owner got in vain."""

    client: int
    requests: list[Request]
    end: int | None = None  # the first answer after them

    @property
    def start(self) -> int:
        return self.requests[0].first


@dataclass(slots=True)
class Takeaway:
    """A change of hands with all that is known of it."""

    story: Story
    change: Change
    announcements: list[Sign] = field(default_factory=list)
    handed: list[Handed] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    forwarded: tuple[int, int] | None = None  # a frame for the VIP from the old owner to the new one

    @property
    def stale(self) -> list[Handed]:
        return [h for h in self.handed if h.stale]

    @property
    def in_vain(self) -> list[Request]:
        return [request for waiting in self.waiting for request in waiting.requests]


class Moves:
    """Looks up what belongs to each change of hands."""

    def __init__(self, ownership: Ownership, requests: Requests) -> None:
        self.o = ownership
        self.requests = requests

    def of(self, story: Story, change: Change) -> Takeaway:
        told = [s for s in story.by(change.new, "announce") if change.at - GRACE <= s.at < change.until]
        out = Takeaway(story, change, told)
        if change.old is not None:
            old, new = self.o.macs(story, change.old), self.o.macs(story, change.new)
            if not (new & old or any(is_virtual(mac) for mac in new)):
                # A virtual MAC moves with the VIP: neighbours notice nothing.
                out.handed = self._handed(out, old, new)
                out.forwarded = self._forwarded(out, old, new)
            out.waiting = self._waiting(out, old)
        return out

    def _handed(self, move: Takeaway, old: set[int], new: set[int]) -> list[Handed]:
        best: dict[int, tuple[tuple[bool, int], Handed]] = {}
        for place, runs in self.o.seen.runs.items():
            tap, vip, sender = place
            if vip != move.story.vip or place in self.o.seen.restless or sender in old | new:
                continue
            mine = [self._aligned(run, tap) for run in runs]
            mine = [run for run in mine if run.first < move.change.until]
            to_new = [run for run in mine if run.mac in new and run.first >= move.change.at - GRACE]
            to_old = [run for run in mine if run.mac in old and (not to_new or run.first <= to_new[0].first)]
            if not to_old and not to_new:
                continue
            handed = Handed(sender, tap, to_old[-1] if to_old else None, to_new[0] if to_new else None)
            handed.told_at = min((s.sights[tap][1] for s in move.announcements if tap in s.sights), default=None)
            heard = handed.told_at or min((s.at for s in move.announcements), default=move.change.at)
            handed.stale = bool(to_old) and to_old[-1].last > max(heard, move.change.at) + GRACE
            rank = handed.stale, sum(run.count for run in mine)
            if sender not in best or rank > best[sender][0]:
                best[sender] = rank, handed
        return [handed for _, handed in best.values()]

    def _aligned(self, run: Run, tap: int) -> Run:
        shift = self.o.offsets[tap]
        return replace(run, first=run.first + shift, last=run.last + shift)

    def _forwarded(self, move: Takeaway, old: set[int], new: set[int]) -> tuple[int, int] | None:
        since = max([move.change.at, *(s.at for s in move.announcements[:1])]) + GRACE
        for (tap, vip, sender), runs in self.o.seen.runs.items():
            if vip == move.story.vip and sender in old:
                for run in (self._aligned(run, tap) for run in runs):
                    if run.mac in new and since < run.last < move.change.until:
                        return tap, run.last_number
        return None

    def last_life(self, story: Story, machine: Machine, before: int) -> Sign | None:
        """The last sign that the owner of a VIP was there."""
        signs = [s for s in story.by(machine, "advert", "answer", "ask", "announce") if s.at < before]
        return signs[-1] if signs else None

    def _waiting(self, move: Takeaway, old: set[int]) -> list[Waiting]:
        """Clients whose requests went to the old owner in vain, from its last sign of life on."""
        change = move.change
        assert change.old is not None
        life = self.last_life(move.story, change.old, change.at)
        start = max(life.at if life is not None else 0, change.at - LOOK_BACK) - _MOMENT
        switched = max((h.to_new.first for h in move.handed if h.to_new is not None), default=change.until)
        by_client: dict[int, list[Request]] = defaultdict(list)
        for request in self.requests.to(move.story.vip):
            if start <= request.first < change.until:
                by_client[request.client].append(request)
        out = []
        for client, requests in by_client.items():
            vain = [r for r in requests if r.in_vain and r.first < switched and r.went_to(old)]
            if vain:
                after = [r.answer for r in requests if r.answer is not None and r.answer > vain[0].first]
                out.append(Waiting(client, vain, min(after, default=None)))
        return out
