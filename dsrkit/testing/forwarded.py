"""What a program made of a frame, held against what `dsrkit.forward` says that a node makes of it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

from dsrkit.compare.fields import Wanted, deviating, headline
from dsrkit.craft.forward import Workbench
from dsrkit.model.spec import Spec
from dsrkit.report.escape import escape
from dsrkit.testing.packets import packets_of
from dsrkit.wire.dissect.frame import dissect
from dsrkit.wire.dissect.tree import Dissection
from dsrkit.wire.scanner import GUE_PORTS

_ETHERNET: Final = 1
_MOST_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class Wrong:
    """A frame that should have been another one, is missing, or is too much.

    `expected` and `got` are 1-based numbers among the frames given, 0 where there is none; `frame` says which packet it
    is about; `fields` are (name with layer number, expected value, value that came), as text, empty where absent.
    """

    expected: int
    got: int
    frame: str
    fields: tuple[tuple[str, str, str], ...] = ()

    def __str__(self) -> str:
        if not self.got:
            return f"expected frame {self.expected} did not come: {escape(self.frame)}"
        if not self.expected:
            return f"frame {self.got} should not have come: {escape(self.frame)}"
        width = max(len(name) for name, _, _ in self.fields)
        values = [(name, escape(one) or "absent", escape(other) or "absent") for name, one, other in self.fields]
        lines = [f"  {name:<{width}}  expected {one}, got {other}" for name, one, other in values]
        return "\n".join([f"frame {self.got}: {escape(self.frame)}", *lines])


def wrong_frames(
    expected: Iterable[bytes],
    got: Iterable[bytes],
    *,
    ignore: Collection[str] = (),
    only: Collection[str] = (),
    gue_ports: frozenset[int] = GUE_PORTS,
) -> list[Wrong]:
    """What is wrong with Ethernet frames that came out, by those that should have, whatever their order.

    Checksums count as right or wrong: one that is left to the network card counts as right. Padding behind a packet
    does not count. `ignore` and `only` are field names without layer number, with ``*``.
    """
    wanted = Wanted(tuple(ignore), tuple(only))
    wants, came = list(expected), list(got)
    unmet, left = _unequal(wants, came)
    missing = {i: dissect(wants[i], _ETHERNET, gue_ports=gue_ports) for i in unmet}
    added = {j: dissect(came[j], _ETHERNET, gue_ports=gue_ports) for j in left}
    found = []
    for i, j, fields in _nearest(missing, added, wanted):
        frame = headline(missing.pop(i))
        del added[j]
        if fields:
            found.append(Wrong(i + 1, j + 1, frame, fields))
    found += [Wrong(i + 1, 0, headline(one)) for i, one in missing.items()]
    found += [Wrong(0, j + 1, headline(one)) for j, one in added.items()]
    return sorted(found, key=lambda one: (one.got or len(came) + 1, one.expected))


def assert_forwarded(
    given: Any,
    got: Any,
    node: str,
    spec: Spec | Workbench | str | os.PathLike[str],
    *,
    profile: str = "ipvs",
    ignore: Collection[str] = (),
    only: Collection[str] = (),
) -> None:
    """Fail with the fields that are wrong unless what came out is what a node makes of the given frames.

    Every field counts but those in `ignore`; the order of frames does not. Frames are octets or what ``bytes()`` turns
    into them, one or several. The spec may be a file; a `Workbench` in place of it remembers the connections of
    earlier calls.

    Raises: AssertionError; UsageError and SpecError as `dsrkit.forward`.
    """
    __tracebackhide__ = True
    bench = spec
    if not isinstance(bench, Workbench):
        bench = Workbench(bench if isinstance(bench, Spec) else Spec.load(bench), profile=profile)
    stated = bench.world.spec
    packets = packets_of(given).packets
    expected = [out for packet in packets for out in bench.forward(packet.octets, node)]
    port = stated.tunnel.port if stated.tunnel is not None else None
    came = [packet.octets for packet in packets_of(got).packets]
    if not packets and not came:
        raise AssertionError("no frame was given and none came, so there is nothing to compare")
    ports = GUE_PORTS if port is None else GUE_PORTS | {port}
    found = wrong_frames(expected, came, ignore=ignore, only=only, gue_ports=ports)
    if found:
        more = [f"… and {len(found) - _MOST_SHOWN} more frames"] if len(found) > _MOST_SHOWN else []
        title = f"not what {node} makes of it in {stated.mode} (profile {bench.world.profile}):"
        raise AssertionError("\n".join([title, *map(str, found[:_MOST_SHOWN]), *more]))


def _unequal(wants: list[bytes], came: list[bytes]) -> tuple[list[int], list[int]]:
    """The frames of either side that no frame of the other equals."""
    waiting: dict[bytes, deque[int]] = {}
    for j, frame in enumerate(came):
        waiting.setdefault(frame, deque()).append(j)
    unmet = []
    for i, frame in enumerate(wants):
        if waiting.get(frame):
            waiting[frame].popleft()
        else:
            unmet.append(i)
    return unmet, sorted(j for line in waiting.values() for j in line)


def _nearest(
    missing: dict[int, Dissection], added: dict[int, Dissection], wanted: Wanted
) -> list[tuple[int, int, tuple[tuple[str, str, str], ...]]]:
    """Which frame was meant to be which: those first that differ least."""
    ways = []
    for i, one in missing.items():
        for j, other in added.items():
            fields = tuple((d.name, d.a, d.b) for d in deviating(one, other) if wanted(d))
            ways.append((len(fields), i, j, fields))
    chosen, left, right = [], set(missing), set(added)
    for _, i, j, fields in sorted(ways):
        if i in left and j in right:
            left.discard(i)
            right.discard(j)
            chosen.append((i, j, fields))
    return chosen
