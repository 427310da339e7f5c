"""Links, switches, taps and the clock: frames travel along wires and every tap on the way keeps a copy.

Time is simulated in nanoseconds, chance comes from one seeded generator, so the same seed gives the same octets.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final, ParamSpec

from dsrkit.craft.frame import Change, Frame
from dsrkit.craft.packets.describe import describe

if TYPE_CHECKING:
    from dsrkit.craft.machines.host import Interface

P = ParamSpec("P")

MICROSECOND, MILLISECOND, SECOND = 10**3, 10**6, 10**9
EPOCH: Final = 1_767_225_600 * SECOND
"""2026-01-01 00:00 UTC: crafted captures start here, so that the same command gives the same file."""

BROADCAST: Final = b"\xff" * 6


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of a packet besides its octets: which one it is, and what the node that sends it has changed."""

    packet: int = -1
    flow: int = -1
    about: str = ""
    changes: tuple[Change, ...] = ()

    def changed(self, changes: tuple[Change, ...]) -> Label:
        return replace(self, changes=changes)


@dataclass(eq=False)
class Wire:
    """A cable between two vertices of a segment; each end is the name of a machine or of a switch."""

    link: str
    a: str
    b: str
    delay_ns: int = 50 * MICROSECOND

    def other(self, end: str) -> str:
        return self.b if end == self.a else self.a


Filter = Callable[[Wire, bytes, Label], bytes | None]
"""What a wire lets through: the frame, a changed one, or None."""


@dataclass(eq=False)
class Lan:
    """One broadcast domain: a tree of wires, with interfaces at some of its vertices."""

    name: str
    wires: list[Wire] = field(default_factory=list)
    interfaces: dict[str, Interface] = field(default_factory=dict)  # by vertex
    filters: list[Filter] = field(default_factory=list)
    stations: dict[bytes, tuple[str, int]] = field(default_factory=dict)  # where a MAC was last heard, and when
    ageing_ns: int | None = None  # how long the switches remember; None: they know every port from the start
    _paths: dict[tuple[str, int], dict[str, list[tuple[Wire, str]]]] = field(default_factory=dict)

    def owners(self, mac: bytes, now: int) -> list[str]:
        """The vertex that switches send a frame to; none if they have to flood it."""
        if mac[0] & 1:
            return []
        heard = self.stations.get(mac)
        if self.ageing_ns is not None:
            return [heard[0]] if heard is not None and now - heard[1] < self.ageing_ns else []
        if heard is not None:
            return [heard[0]]
        return [v for v, i in self.interfaces.items() if mac in i.macs][:1]

    def paths(self, start: str) -> dict[str, list[tuple[Wire, str]]]:
        """The wires from a vertex to every other one, each with the end that it is left at."""
        key = start, len(self.wires)  # faults add wires and never take any away
        if key not in self._paths:
            self._paths[key] = self._walk(start)
        return self._paths[key]

    def _walk(self, start: str) -> dict[str, list[tuple[Wire, str]]]:
        found: dict[str, list[tuple[Wire, str]]] = {start: []}
        waiting = deque([start])
        while waiting:
            here = waiting.popleft()
            for wire in self.wires:
                if here in (wire.a, wire.b) and (there := wire.other(here)) not in found:
                    found[there] = [*found[here], (wire, there)]
                    waiting.append(there)
        return found


@dataclass(frozen=True, slots=True)
class Tap:
    """A capture point: the wires that it listens on, by link and by the machine at one end."""

    name: str
    link: str | None = None
    node: str | None = None

    def hears(self, wire: Wire) -> bool:
        return (self.link is None or wire.link == self.link) and (self.node is None or self.node in (wire.a, wire.b))


@dataclass(frozen=True, slots=True)
class Weather:
    """What links do to frames at random: extra delay up to `jitter_ns`, and a share of `loss`."""

    jitter_ns: int = 0
    loss: float = 0.0


class Network:
    """The event loop, the segments and what the taps saw."""

    def __init__(
        self,
        taps: Iterable[Tap] = (),
        *,
        seed: int = 0,
        weather: Weather | None = None,
        skew_ns: Mapping[str, int] | None = None,
        snaplen: int | None = None,
    ) -> None:
        self.taps = tuple(taps)
        self.random = Random(seed)
        self.weather = weather or Weather()
        self.skew_ns = dict(skew_ns or {})
        self.snaplen = snaplen
        self.now = 0
        self.frames: list[Frame] = []
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._order = 0
        self._packets = 0
        self._arrivals: dict[tuple[int, str, str], int] = {}  # no frame overtakes another on the same wires

    # --- time -----------------------------------------------------------------------------------------------------

    def after(self, delay_ns: int, action: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do something later."""
        self._order += 1
        due: Callable[[], object] = partial(action, *args, **kwargs)
        heapq.heappush(self._events, (self.now + delay_ns, self._order, due))

    def run(self, until_ns: int | None = None) -> None:
        """Let everything happen that is due, up to a time on the simulated clock."""
        while self._events and (until_ns is None or self._events[0][0] <= until_ns):
            self.now, _, action = heapq.heappop(self._events)
            action()
        if until_ns is not None:
            self.now = max(self.now, until_ns)

    def label(self, flow: int = -1, about: str = "") -> Label:
        """The label of a new packet."""
        self._packets += 1
        return Label(self._packets, flow, about)

    # --- wires ----------------------------------------------------------------------------------------------------

    def transmit(self, sender: Interface, frame: bytes, label: Label) -> None:
        """Put a frame on the segment of an interface: to the owner of its destination MAC, else to everybody."""
        segment = sender.segment
        paths = segment.paths(sender.vertex)
        target = bytes(frame[:6])
        segment.stations[bytes(frame[6:12])] = sender.vertex, self.now
        ends = segment.owners(target, self.now) or list(paths)
        if ends == [sender.vertex]:  # a switch never sends a frame back where it came from
            ends = [end for end, path in paths.items() if len(path) == 1]
        seen: set[str] = set()
        crossed: dict[Wire, tuple[bytes, int] | None] = {}
        for end in ends:
            data, time = frame, self.now
            for wire, vertex in paths[end]:
                if wire not in crossed:
                    crossed[wire] = self._cross(segment, wire, vertex, data, time, label, sender, target, seen)
                outcome = crossed[wire]
                if outcome is None:
                    break
                data, time = outcome
            else:
                receiver = segment.interfaces.get(end)
                if receiver is not None and receiver is not sender:
                    self._arrive(receiver, data, label, time)

    def _cross(
        self,
        segment: Lan,
        wire: Wire,
        vertex: str,
        data: bytes,
        time: int,
        label: Label,
        sender: Interface,
        target: bytes,
        seen: set[str],
    ) -> tuple[bytes, int] | None:
        """One wire: filtered, heard by its taps, perhaps lost, delivered to its far end a little later."""
        for check in segment.filters:
            passed = check(wire, data, label)
            if passed is None:
                return None
            data = passed
        names = {segment.interfaces[vertex].host.name for vertex in segment.owners(target, self.now)}
        for tap in self.taps:
            if tap.name not in seen and tap.hears(wire):
                seen.add(tap.name)
                self._record(tap, data, time, label, sender.host.name, ", ".join(sorted(names)) or "all")
        if self.weather.loss and self.random.random() < self.weather.loss:
            return None
        delay = wire.delay_ns
        if self.weather.jitter_ns:
            delay += self.random.randrange(self.weather.jitter_ns + 1)
        lane = (id(wire), sender.host.name, vertex)
        arrival = max(time + delay, self._arrivals.get(lane, 0) + 1)
        self._arrivals[lane] = arrival
        return data, arrival

    def _arrive(self, receiver: Interface, data: bytes, label: Label, time: int) -> None:
        self.after(time - self.now, lambda: receiver.host.receive(receiver, data, label))

    def _record(self, tap: Tap, data: bytes, time: int, label: Label, sender: str, receiver: str) -> None:
        kept = data if self.snaplen is None else data[: self.snaplen]
        words = [f"{sender} > {receiver}: {describe(data)}"]
        if label.about:
            words.append(label.about)
        if label.changes:
            words.append(f"{sender} changed {', '.join(_change(change) for change in label.changes)}")
        self.frames.append(
            Frame(
                tap=tap.name,
                ts_ns=EPOCH + time + self.skew_ns.get(tap.name, 0),
                data=kept,
                wire_octets=len(data),
                sender=sender,
                receiver=receiver,
                comment="; ".join(words),
                packet=label.packet,
                flow=label.flow,
                changes=label.changes,
            )
        )


def _change(change: Change) -> str:
    before = "nothing" if change.before is None else change.before
    return f"{change.field} {before} → {change.after}"
