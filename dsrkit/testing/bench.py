"""Crafted scenarios as test benches: what a device under test gets, and what it should make of it."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from dsrkit.craft.api import craft
from dsrkit.craft.frame import Frame
from dsrkit.craft.scenario import Scenario
from dsrkit.errors import UsageError
from dsrkit.model.names import did_you_mean
from dsrkit.model.spec import Spec
from dsrkit.testing.frames import assert_frames
from dsrkit.testing.packets import Source

EVERYBODY: Final = "all"
"""The receiver of a broadcast, as crafted frames name it."""
_ARP: Final = b"\x08\x06"
_IPV6: Final = b"\x86\xdd"
_VLAN: Final = (b"\x81\x00", b"\x88\xa8")
_ICMPV6: Final = 58
_NEIGHBOUR_DISCOVERY: Final = range(133, 138)


def scenario(
    mode: str,
    spec: Spec | str | os.PathLike[str] | None = None,
    *,
    profile: str | None = None,
    fault: str | None = None,
    flows: int = 1,
    seed: int = 0,
    **options: Any,
) -> Bench:
    """Craft a scenario for a test; the arguments are those of `dsrkit.craft`, and the same ones give the same frames.

    >>> bench = scenario("l2dsr")
    >>> len(bench.frames("B.in")), len(bench.frames("B.out"))
    (5, 5)
    """
    return Bench(craft(mode, spec, profile=profile, fault=fault, flows=flows, seed=seed, **options))


@dataclass(frozen=True, slots=True, repr=False)
class Bench:
    """A crafted scenario seen from a device under test.

    A point is a tap (``"B"``: all that passes there), or a tap with ``.in`` or ``.out``: what the device there gets or
    sends, without the ARP and neighbour discovery that its kernel does (`arp` keeps them). The device is the tap's node
    if the spec says one, else the load balancer on the tap's link; `node` names another.
    """

    crafted: Scenario

    def __repr__(self) -> str:
        fault = f", fault {self.crafted.fault}" if self.crafted.fault else ""
        return f"<scenario {self.mode}, profile {self.crafted.profile}{fault}>"

    @property
    def mode(self) -> str:
        return self.crafted.mode

    @property
    def spec(self) -> Spec:
        """The set-up that the frames come from: names, addresses and links of all nodes."""
        return self.crafted.spec

    @property
    def taps(self) -> tuple[str, ...]:
        return self.crafted.taps

    def frames(self, point: str, *, node: str | None = None, arp: bool = False) -> list[bytes]:
        """The frames at a point, in time order.

        Raises: UsageError for a point or a node that the scenario does not have.
        """
        tap, way = self._split(point)
        frames = self.crafted.frames(tap)
        if not way:
            if node is not None:
                raise UsageError(f"node={node!r} goes with {tap}.in and {tap}.out: {tap} is all that passes there")
            return [frame.data for frame in frames]
        device = self._device(tap, node)
        return [f.data for f in frames if _concerns(f, device, way) and (arp or not _finds_neighbours(f.data))]

    def expect(self, point: str, *, node: str | None = None, arp: bool = False) -> Expectation:
        """What should be seen at a point."""
        return Expectation(point, tuple(self.frames(point, node=node, arp=arp)), self.mode)

    def _split(self, point: str) -> tuple[str, str]:
        if point in self.taps:
            return point, ""
        tap, _, way = point.rpartition(".")
        if tap not in self.taps or way not in ("in", "out"):
            points = [name for tap in self.taps for name in (tap, f"{tap}.in", f"{tap}.out")]
            hint = did_you_mean(point, points)
            raise UsageError(f"no point {point!r}: {hint}the taps are {', '.join(self.taps)}, each also .in and .out")
        return tap, way

    def _device(self, tap: str, node: str | None) -> str:
        stated = self.spec.tap(tap)
        link = stated.link if stated is not None and stated.link is not None else tap
        here = [one for one in self.spec.nodes if any(x.link == link for x in one.links) and one.role != "bridge"]
        names = [one.name for one in here]
        if node is not None:
            if node not in names:
                raise UsageError(f"no node {node!r} at tap {tap} (there are: {', '.join(names)})")
            return node
        if stated is not None and stated.node is not None:
            return stated.node
        balancers = [one.name for one in here if one.role == "lb"]
        if len(balancers) != 1:
            raise UsageError(f"tap {tap}: say with node= which of {', '.join(names)} is meant")
        return balancers[0]


@dataclass(frozen=True, slots=True)
class Expectation:
    """Frames that should be seen at a point of a scenario."""

    point: str
    frames: tuple[bytes, ...]
    mode: str

    def matches(self, frames: Source, *, ignore: Collection[str] = (), only: Collection[str] = ()) -> None:
        """Fail unless these are the expected frames, as `dsrkit.testing.assert_frames` compares them."""
        __tracebackhide__ = True
        assert_frames(frames, self.frames, ignore=ignore, only=only, what=f"{self.mode} at {self.point}")


def _concerns(frame: Frame, device: str, way: str) -> bool:
    if way == "out":
        return frame.sender == device
    return frame.sender != device and frame.receiver in (device, EVERYBODY)


def _finds_neighbours(octets: bytes) -> bool:
    """ARP, or neighbour discovery. Source: RFC 826; RFC 4861 s4."""
    at = 12
    while octets[at : at + 2] in _VLAN:
        at += 4
    kind, packet = octets[at : at + 2], octets[at + 2 :]
    if kind == _IPV6:
        return len(packet) > 40 and packet[6] == _ICMPV6 and packet[40] in _NEIGHBOUR_DISCOVERY
    return kind == _ARP
