"""Takeovers as the report has them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Final

from dsrkit.mechanisms.takeover.forms import likely_sender
from dsrkit.mechanisms.takeover.moves import LOOK_BACK, Moves, Takeaway
from dsrkit.mechanisms.takeover.ownership import Machine, Ownership, Sign, Story
from dsrkit.mechanisms.takeover.requests import Request
from dsrkit.mechanisms.takeover.vanished import Vanished
from dsrkit.model.frame import FrameRef
from dsrkit.model.sections.health_check import HealthCheck
from dsrkit.model.sections.takeover import Blackout, Event, Move, Neighbour, Owner, Reign, Sight, Takeover
from dsrkit.verify.scene import TapInfo
from dsrkit.wire.address import mac_text

_MOST_MOVES: Final = 64
_MOST_CLIENTS: Final = 32
_MOST_BURSTS: Final = 4
_MOST_FAILURES: Final = 4


class Shown:
    """Makes the section out of stories."""

    def __init__(
        self, ownership: Ownership, moves: Moves, taps: list[TapInfo], health: Sequence[HealthCheck] = ()
    ) -> None:
        self.o, self.moves, self.taps, self.health = ownership, moves, taps, health

    def section(self, told: Sequence[tuple[Story, list[Takeaway]]], gone: Sequence[Vanished]) -> tuple[Takeover, ...]:
        """VIPs whose owners are the same at every time stand together."""
        out: dict[object, Takeover] = {}
        for story, moves in told:
            vip = self.o.scene.address(story.vip)
            owners = self._reigns(story)
            shown = tuple(self.move(move) for move in moves[:_MOST_MOVES])
            together = (story.vrid, story.version, tuple(_step(s) for s in story.signs if s.advert is not None))
            key = together if story.vrid is not None else (vip,)
            known = out.get(key)
            if known is not None:  # the one of most traffic tells the moves of all
                richer = max(known.moves, shown, key=lambda m: sum(len(x.events) + len(x.clients) for x in m))
                out[key] = Takeover((*known.vips, vip), known.protocol, known.vrid, known.owners, richer)
                continue
            protocol = f"vrrp{story.version}" if story.vrid is not None else "announcements"
            out[key] = Takeover((vip,), protocol, story.vrid, owners, shown)
        return (*out.values(), *(self._vanished(one) for one in gone))

    def _vanished(self, gone: Vanished) -> Takeover:
        """An owner that is gone, without a new one in sight; times relative to the first request in vain."""
        owner = self.owner(gone.mac)
        assert owner is not None
        last, first, name = gone.served[-1], gone.lost[0], self.o.name(gone.mac)
        lines = (
            ("last-served", last, f"last request that {name} serves", len(gone.served)),
            ("first-in-vain", first, f"first request to {mac_text(gone.mac)} in vain", len(gone.lost)),
        )
        events = []
        for what, request, text, count in lines:
            tap, number = request.frame_at(gone.tap)
            ms = round((request.first - first.first) / 1e6, 3)
            events.append(Event(what, request.first, ms, text, FrameRef(self.taps[tap].file, number), count))
        clients: dict[int, list[Request]] = defaultdict(list)
        for request in gone.lost:
            clients[request.client].append(request)
        waiting = [
            Blackout(self.o.scene.address(c), len(rs), round((rs[0].first - first.first) / 1e6, 3))
            for c, rs in list(clients.items())[:_MOST_CLIENTS]
        ]
        move = Move(owner, None, first.first, events=tuple(events), clients=tuple(waiting))
        reign = Reign(owner, gone.served[0].first, last.first)
        return Takeover((self.o.scene.address(gone.vip),), owners=(reign,), moves=(move,))

    def owner(self, machine: Machine | None) -> Owner | None:
        if machine is None:
            return None
        ip = self.o.ip(machine)
        text = None if ip is None else self.o.scene.address(ip)
        return Owner(self.o.name(machine), text, mac_text(machine) if machine > 0 else None)

    def _reigns(self, story: Story) -> tuple[Reign, ...]:
        out: list[Reign] = []
        starts = [story.spans[0].first] if story.spans else []
        machines = [story.spans[0].machine] if story.spans else []
        for change in story.changes[:_MOST_MOVES]:
            starts.append(change.at)
            machines.append(change.new)
        for i, (start, machine) in enumerate(zip(starts, machines, strict=True)):
            end = starts[i + 1] if i + 1 < len(starts) else 1 << 62
            signs = [s for s in story.signs if s.machine == machine and start <= s.at < end]
            owner = self.owner(machine)
            if owner is not None and signs:
                kinds = Counter("adverts" if s.advert is not None else "claims" for s in signs)
                out.append(Reign(owner, signs[0].at, signs[-1].at, kinds["adverts"], kinds["claims"]))
        return tuple(out)

    def move(self, move: Takeaway) -> Move:
        change = move.change
        forms = dict.fromkeys(s.form.name for s in move.announcements if s.form is not None)
        return Move(
            self.owner(change.old),
            self.owner(change.new),
            change.at,
            self._reason(move),
            len(move.announcements),
            tuple(forms),
            likely_sender(set(forms)),
            tuple(self._events(move)),
            self._sights(move),
            tuple(self._neighbours(move)),
            tuple(self._blackouts(move)),
        )

    def _ms(self, move: Takeaway, at: int) -> float:
        return round((at - move.change.at) / 1e6, 3)

    def _reason(self, move: Takeaway) -> str:
        story, change = move.story, move.change
        if change.old is None:
            return "unseen"
        window = story.interval * 2
        if any(abs(s.at - change.at) < window for s in story.by(change.old, "release")):
            return "released"
        life = self.moves.last_life(story, change.old, change.at)
        if life is None or story.vrid is None:
            return "unseen"
        return "silent" if change.at - life.at > 2 * story.interval else "preempted"

    # --- the timeline ---------------------------------------------------------------------------------------------

    def _events(self, move: Takeaway) -> list[Event]:
        story, change = move.story, move.change
        events: list[Event] = []

        def add(what: str, at: int, frame: tuple[int, int], text: str, count: int = 1) -> None:
            ref = FrameRef(self.taps[frame[0]].file, frame[1])
            events.append(Event(what, at, self._ms(move, at), text, ref, count))

        def sign(what: str, one: Sign, text: str, count: int = 1) -> None:
            add(what, one.at, one.frame, text, count)

        new_name = self.o.name(change.new)
        if change.old is not None:
            old_name = self.o.name(change.old)
            life = self.moves.last_life(story, change.old, change.at)
            if life is not None:
                said = {"advert": "advert", "answer": "ARP answer", "ask": "ARP request", "announce": "announcement"}
                text = f"last {said[life.kind]} of {old_name}"
                if life.advert is not None:
                    text += f", priority {life.advert.priority}"
                sign("last-sign-of-old", life, text)
            for one in story.by(change.old, "release"):
                if abs(one.at - change.at) < story.interval * 2:
                    sign("released", one, f"{old_name} gives up: advert with priority 0")
                    break
            events += self._health_failures(move, old_name)
        adverts = [s for s in story.by(change.new, "advert") if change.at <= s.at < change.until]
        if adverts and adverts[0].advert is not None:
            sign("first-advert", adverts[0], f"first advert of {new_name}, priority {adverts[0].advert.priority}")
        self._announced(move, sign)
        others = [s for s in story.by(change.new, "answer", "ask") if change.at <= s.at < change.until]
        if others and (not move.announcements or others[0].at < move.announcements[0].at):
            word = "answers for the VIP" if others[0].kind == "answer" else "asks in the name of the VIP"
            sign("first-claim", others[0], f"{new_name} {word} with {mac_text(others[0].mac)}")
        for handed in move.handed:
            party = self.o.scene.party_of_mac(handed.sender)
            name = party.name if party is not None else mac_text(handed.sender)
            if handed.to_old is not None:
                at, frame = handed.to_old.last, (handed.tap, handed.to_old.last_number)
                add(
                    "last-frame-to-old",
                    at,
                    frame,
                    f"last frame from {name} to {mac_text(handed.to_old.mac)}",
                )
            if handed.to_new is not None:
                at, frame = handed.to_new.first, (handed.tap, handed.to_new.first_number)
                add(
                    "first-frame-to-new",
                    at,
                    frame,
                    f"first frame from {name} to {mac_text(handed.to_new.mac)}",
                )
        for waiting in move.waiting[:1]:
            client = self.o.scene.address(waiting.client)
            text = f"first request in vain: {client} to {mac_text(waiting.requests[0].sightings[0].eth_dst)}"
            add("first-in-vain", waiting.start, waiting.requests[0].frame, text)
        return sorted(events, key=lambda event: event.ts_ns)

    def _health_failures(self, move: Takeaway, old: str) -> list[Event]:
        """Checks that began to fail before the change of hands: those of the old owner, and those that it made."""
        out = []
        for check in self.health:
            for told in check.history if old in (check.server, check.checker) else ():
                if told.verdict == "down" and move.change.at - LOOK_BACK <= told.at_ns <= move.change.at:
                    text = f"the checks of {check.server} by {check.checker} fail from here on: {told.reason}"
                    ms = self._ms(move, told.at_ns)
                    out.append(Event("health-failure", told.at_ns, ms, text, told.frame, told.probes))
        return out[:_MOST_FAILURES]

    def _announced(self, move: Takeaway, sign: Callable[[str, Sign, str, int], None]) -> None:
        """Announcements, one line per burst: repeats of one form without half a second in between."""
        burst: list[Sign] = []
        bursts: list[list[Sign]] = []
        for one in move.announcements:
            if burst and (one.form != burst[0].form or one.at - burst[-1].at > 500_000_000):
                bursts.append(burst)
                burst = []
            burst.append(one)
        bursts += [burst] if burst else []
        for group in bursts[:_MOST_BURSTS]:
            first = group[0]
            assert first.form is not None
            text = f"{self.o.name(first.machine)} is at {mac_text(first.mac)}: {first.form.text}"
            sign("announcement", first, text, len(group))

    def _sights(self, move: Takeaway) -> tuple[Sight, ...]:
        """Taps on the VIP's link: those that saw any of its signs."""
        taps = sorted({tap for s in move.story.signs for tap in s.sights} | {h.tap for h in move.handed})
        out = []
        for tap in taps:
            seen = [s.sights[tap][1] for s in move.announcements if tap in s.sights]
            out.append(Sight(self.taps[tap].name, len(seen), self._ms(move, min(seen)) if seen else None))
        return tuple(out)

    def _neighbours(self, move: Takeaway) -> list[Neighbour]:
        out = []
        for handed in move.handed:
            party = self.o.scene.party_of_mac(handed.sender)
            mac = mac_text(handed.sender)
            last = self._ms(move, handed.to_old.last) if handed.to_old is not None else None
            first = self._ms(move, handed.to_new.first) if handed.to_new is not None else None
            name = party.name if party is not None else mac
            out.append(Neighbour(name, mac, self.taps[handed.tap].name, last, first, handed.stale))
        return out

    def _blackouts(self, move: Takeaway) -> list[Blackout]:
        return [
            Blackout(
                self.o.scene.address(w.client),
                len(w.requests),
                self._ms(move, w.start),
                None if w.end is None else self._ms(move, w.end),
            )
            for w in move.waiting[:_MOST_CLIENTS]
        ]


def _step(sign: Sign) -> tuple[int, int]:
    return sign.at, sign.machine
