"""An owner that stops serving a VIP from one moment on, while frames still come to it and nobody else claims the VIP.

Packets do not tell a machine that died from one whose VIP was taken away: neither was announced.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.mechanisms.takeover.ownership import SECOND, Ownership
from dsrkit.mechanisms.takeover.requests import Request, Requests
from dsrkit.verify.frames import TCP

_FEWEST: Final = 3
_FEWEST_REPEATED: Final = 2


@dataclass(frozen=True, slots=True)
class Vanished:
    """What an owner got before and after: `served` and `lost` are requests in order, at one tap of its."""

    vip: int
    mac: int
    tap: int
    served: Sequence[Request]
    lost: Sequence[Request]


def vanished(ownership: Ownership, requests: Requests) -> list[Vanished]:
    """VIPs that nothing shows to have moved, and whose owner fell silent all the same."""
    out: list[Vanished] = []
    if requests.unanswered < _FEWEST:
        return out
    moved = {story.vip for story in ownership.stories if story.changes or story.contests}
    for vip in ownership.scene.vips - moved:
        found = [x for place, mine in _received(requests.to(vip)).items() if (x := _one(vip, *place, mine)) is not None]
        late = ownership.seen.errors.get(vip)
        for one in sorted(found, key=lambda x: -len(x.lost))[:1]:
            refused = late is not None and late > one.lost[0].first - ownership.offsets[one.tap]
            if one.mac in ownership.scene.macs("lb") and not refused:
                out.append(one)
    return out


def _received(requests: Sequence[Request]) -> dict[tuple[int, int], list[Request]]:
    """Requests by the MAC that they came to and the tap that saw them come."""
    out: dict[tuple[int, int], list[Request]] = defaultdict(list)
    for request in requests:
        for place in dict.fromkeys((s.eth_dst, s.tap) for s in request.sightings):
            out[place].append(request)
    return out


def _one(vip: int, mac: int, tap: int, requests: list[Request]) -> Vanished | None:
    served = [r for r in requests if _served(r, mac, tap)]
    if len(served) < _FEWEST:
        return None
    last = served[-1]
    before, lost = [r for r in requests if r.first <= last.first], [r for r in requests if r.first > last.first]
    if len(lost) < _FEWEST or any(r.answer is not None for r in lost):
        return None
    if sum(r.proto == TCP and r.repeated for r in lost) < _FEWEST_REPEATED:
        return None
    steady = (len(before) - len(served)) * 10 <= len(served)
    return Vanished(vip, mac, tap, served, lost) if steady and lost[-1].last - lost[0].first > 2 * SECOND else None


def _served(request: Request, mac: int, tap: int) -> bool:
    """Whether this tap shows that the owner did its part: it sent the request on, or answered the ping itself."""
    if request.proto != TCP:
        return request.answer is not None
    return any(s.eth_src == mac and s.tap == tap for s in request.sightings)
