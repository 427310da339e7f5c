"""The head of a capture, from which roles are decided: who balances, who serves, what is checked, asked and proxied.

Only so many packets are looked at, so that a stream without end is shown from its start; they are kept, so that the
capture is read once.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import field
from functools import cached_property
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from dsrkit.classes import dataclass
from dsrkit.inspect.resolution import vrrp_advert
from dsrkit.inspect.words import Words
from dsrkit.mechanisms.dns import DnsRoundRobin
from dsrkit.mechanisms.health import HealthChecks
from dsrkit.mechanisms.health.recognise import Check
from dsrkit.mechanisms.sessions import ProxySessions
from dsrkit.mechanisms.sessions.proof import possible
from dsrkit.mechanisms.takeover.vrrp import PROTOCOL
from dsrkit.model.sections.dns import Dns
from dsrkit.model.sections.session import Endpoint, Session
from dsrkit.model.spec import Spec
from dsrkit.verify.arrays import distinct
from dsrkit.verify.batches import tap_of
from dsrkit.verify.flows import Flows, oriented
from dsrkit.verify.frames import REQUEST, AddressBook, Frames, Ints, Reader
from dsrkit.verify.judge import without_clients
from dsrkit.verify.observer import Outcome, Told
from dsrkit.verify.pipeline import decide
from dsrkit.verify.scene import Scene, TapInfo
from dsrkit.verify.stated import scene_of
from dsrkit.wire.capture import Capture, Window
from dsrkit.wire.layout import RECORD
from dsrkit.wire.rows import copied, joined

MOST_ROWS: Final = 48_000
MOST_OCTETS: Final = 32 << 20
"""What the head may hold; the first of both that is reached ends it."""
_MOST_ADVERTS: Final = 1000
_BEFORE: Final = 28
"""Octets before a packet's in its block, which comments are found by."""


@dataclass
class Known:
    """What the head tells.

    `services` are endpoints that serve, as `oriented` takes them; `whole` says that the head is the whole capture;
    `ports` are those that a spec states, by protocol; `virtual` are addresses that VRRP calls so.
    """

    scene: Scene
    taps: list[TapInfo]
    services: Ints
    packets: int = 0
    whole: bool = True
    ports: set[tuple[int, int]] = field(default_factory=set)
    checks: list[Check] = field(default_factory=list)
    sessions: tuple[Session, ...] = ()
    names: tuple[Dns, ...] = ()
    virtual: set[int] = field(default_factory=set)

    @cached_property
    def words(self) -> Words:
        """What to call addresses."""
        return Words(self.scene, self.virtual)

    @cached_property
    def backs(self) -> dict[tuple[int, int], set[Endpoint]]:
        """A proxy's own sessions: (its endpoint, the server's) -> the clients that they are for."""
        out: dict[tuple[int, int], set[Endpoint]] = {}
        for s in self.sessions:
            out.setdefault((self._end(s.proxy), self._end(s.server)), set()).add(s.client)
        return out

    @cached_property
    def fronts(self) -> set[int]:
        """Endpoints of a proxy that clients connect to."""
        return {self._end(s.vip) for s in self.sessions}

    def _end(self, end: Endpoint) -> int:
        return self.scene.book.number(end.ip) << 16 | end.port

    def orient(self, f: Frames) -> Flows:
        """Directions, endpoints and identities of packets, by what the head showed to be servers."""
        flows = oriented(f, self.services)
        return without_clients(f, flows, self.scene) if self.scene.mode == "fullnat" else flows


class Taps:
    """The interfaces of one capture as taps, in the order in which they are met."""

    def __init__(self, capture: Capture, name: str, spec: Spec | None) -> None:
        self.known: list[TapInfo] = []
        self._capture, self._file, self._spec = capture, TapInfo(name, capture.path), spec
        self._number: dict[int, int] = {}
        for interface in range(len(capture.interfaces)):
            self.of(interface)

    def of(self, interface: int) -> int:
        """The tap of an interface."""
        if interface not in self._number:
            self._number[interface] = len(self.known)
            self.known.append(tap_of(self._file, self._capture, interface, self.known, self._spec))
        return self._number[interface]

    def column(self, window: Window) -> Ints:
        """The tap of each packet."""
        used, place = np.unique(window.rec["iface"], return_inverse=True)
        return np.asarray([self.of(int(i)) for i in used], np.int64)[place]


def frames_of(window: Window, taps: Taps, book: AddressBook) -> Frames:
    """A window as frames, with its octets."""

    def octets(_: int, offset: int, size: int) -> bytes:
        start = offset - window.base
        return bytes(window.buf[start : start + size])

    number = np.arange(len(window.rec), dtype=np.int64) + window.first_row + 1
    return Frames(book, window.rec, taps.column(window), number, octets)


class Head:
    """The first windows of a capture, kept, and all of them in order."""

    def __init__(self, capture: Capture) -> None:
        self._rest = capture.windows()
        self.windows: list[Window] = []
        rows = octets = 0
        self.whole = True
        for window in self._rest:
            if not len(window.rec):
                continue
            self.windows.append(_copied(window))
            rows += len(window.rec)
            octets += len(self.windows[-1].buf)
            if rows >= MOST_ROWS or octets >= MOST_OCTETS:
                self.whole = False
                break

    def frames(self, taps: Taps, book: AddressBook) -> Frames:
        """All packets of the head."""
        rec = joined([w.rec for w in self.windows]) if self.windows else np.zeros(0, RECORD)
        tap = [taps.column(w) for w in self.windows]
        return Frames(
            book,
            rec,
            np.concatenate(tap) if tap else np.zeros(0, np.int64),
            np.arange(1, len(rec) + 1, dtype=np.int64),
            _reader(self.windows),
        )

    def openings(self, most: int = 8) -> npt.NDArray[np.uint8]:
        """The octets that each packet's payload begins with; behind its captured end anything. Shape: (n, most)."""
        parts = [np.zeros((0, most), np.uint8)]
        for window in self.windows:
            octets = np.frombuffer(window.buf, np.uint8)
            at = window.rec["offset"] - window.base + window.rec["payload_at"]
            parts.append(octets[np.minimum(at[:, None] + np.arange(most), len(octets) - 1)])
        return np.concatenate(parts)

    def __iter__(self) -> Iterator[Window]:
        """The windows of the head, each forgotten when it has been handed out, and then the rest."""
        kept, self.windows = self.windows, []
        return chain(_spent(kept), self._rest)


def _spent(windows: list[Window]) -> Iterator[Window]:
    windows.reverse()
    while windows:
        yield windows.pop()


def _copied(window: Window) -> Window:
    """A window in memory of its own, without room that others need."""
    rec = copied(window.rec)
    first = max(0, int(rec["offset"].min()) - window.base - _BEFORE)
    last = int((rec["offset"] + rec["caplen"]).max()) - window.base
    if rec["commented"].any():
        last = len(window.buf)  # comments stand behind the octets
    return Window(rec, window.first_row, memoryview(bytes(window.buf[first:last])), window.base + first)


def _reader(windows: Sequence[Window]) -> Reader:
    windows = list(windows)
    starts = [int(w.rec["offset"].min()) for w in windows]

    def octets(_: int, offset: int, size: int) -> bytes:
        window = windows[bisect_right(starts, offset) - 1]
        start = offset - window.base
        return bytes(window.buf[start : start + size])

    return octets


def know(
    head: Head, taps: Taps, *, spec: Spec | None = None, mode: str | None = None, vip: Collection[str] = ()
) -> Known:
    """Decide on roles by the head of a capture, as `verify` does by all of it."""
    scene = scene_of(AddressBook(), spec, mode, None, vip)
    ports = set(scene.services)
    f = head.frames(taps, scene.book)
    decide(taps.known, scene, [f])
    known = Known(scene, taps.known, np.zeros(0, np.int64), f.n, head.whole, ports)
    flows = known.orient(f)
    served = flows.direction == REQUEST
    known.services = distinct((f.proto << 56 | flows.server)[served])
    _mechanisms(known, f, flows, spec, head)
    return known


def _mechanisms(known: Known, f: Frames, flows: Flows, spec: Spec | None, head: Head) -> None:
    """What balances or checks without being one packet rewritten."""
    scene = known.scene
    told = Told([0] * len(known.taps))
    health = HealthChecks(scene, known.taps, spec)
    sessions = ProxySessions(scene, known.taps, spec)
    names = DnsRoundRobin(scene, known.taps, spec)
    outcomes: list[Outcome] = []
    for observer in (health, sessions, names):
        # Sessions are taken apart one by one: not in vain.
        if observer is not sessions or scene.mode is not None or possible(f, flows, head.openings()):
            observer.see(f, flows)
        outcomes.append(observer.conclude(told))
        told.sections[observer.name] = outcomes[-1].section
    shown = next((outcome for outcome in outcomes if outcome.mode is not None), None)
    if scene.mode is None and shown is not None:
        scene.mode, scene.mode_from = shown.mode, "inferred"
        scene.notes.append(f"mode {shown.mode}: {shown.because}")
    known.checks = health.checks
    for row in np.flatnonzero(f.proto == PROTOCOL)[:_MOST_ADVERTS].tolist():
        advert = vrrp_advert(f, row)
        known.virtual |= {scene.book.number(address) for address in advert.addresses} if advert is not None else set()
    known.sessions, known.names = outcomes[1].section, outcomes[2].section
