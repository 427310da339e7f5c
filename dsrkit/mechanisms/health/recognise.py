"""Tells checks from other connections of the same machines, and says of each who asks whom by which way.

What keeps an interval, asks the same every time and belongs to no client's session is a check. Of a load balancer whose
own connections cannot be anything else (it returns nothing to clients in its own name) that is enough; of others the
question has to be worded as checks are, too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Final

import numpy as np

from dsrkit.classes import dataclass
from dsrkit.mechanisms.health.collect import Collector
from dsrkit.mechanisms.health.series import DOWN, UP, Ask, Base, Series
from dsrkit.model.names import REWRITES
from dsrkit.model.sections.health_check import Interval
from dsrkit.verify.arrays import among, distinct
from dsrkit.verify.frames import TUNNEL_NAMES, Ints
from dsrkit.verify.observer import Told
from dsrkit.verify.scene import Party, Scene, TapInfo
from dsrkit.wire.address import mac_text

_LEAST_OF_ANYBODY: Final = 4
_SOON_NS: Final = 100_000_000
"""A proxy opens its session to a server this soon after the client's."""
_OFTEN: Final = 0.5
_STRAY: Final = 0.1


@dataclass(slots=True)
class Check:
    """One check of one server, as the tap shows it that shows most of it."""

    series: Series
    interval: Interval
    party: Party | None
    address: int  # the server's own; 0: not known
    through: str
    carried: str
    others: list[Series]  # the same at other taps

    @property
    def kind(self) -> str:
        return self.series.ask.kind

    @property
    def tap(self) -> int:
        return self.series.base.tap


def recognise(collector: Collector, scene: Scene, taps: list[TapInfo], told: Told) -> list[Check]:
    """The checks among what was collected."""
    by_base: dict[Base, list[Series]] = defaultdict(list)
    for series in collector.finish():
        by_base[series.base].append(series)
    found: dict[tuple[int, int, int, int, str, Ask], list[Check]] = defaultdict(list)
    candidates = [check for group in by_base.values() for s in _joined(group) if (check := _check(s, scene, collector))]
    own = collector.own
    starts = _Starts(collector, told, own)
    for check in candidates:
        base = check.series.base
        certain = base.source in own and scene.mode in REWRITES and scene.mode != "fullnat"
        if certain or (_worded(check, candidates) and not starts.follows(check.series, told)):
            server = check.party.name if check.party is not None else str(check.address or base.mac)
            found[base.source, base.target, base.proto, base.port, server, check.series.ask].append(check)
    return [_best(group, scene, taps) for group in found.values()]


def _joined(group: list[Series]) -> list[Series]:
    """Connections that failed before anything was asked belong to what is otherwise asked there."""
    asking = [s for s in group if s.ask.kind != "tcp"]
    bare = next((s for s in group if s.ask.kind == "tcp"), None)
    if bare is None or not asking:
        return group
    main = max(asking, key=lambda s: len(s.at))
    if sum(r == UP for r in bare.result) > max(1.0, _STRAY * len(main.at)):
        return group
    main.absorb(bare)
    return asking


def _check(series: Series, scene: Scene, collector: Collector) -> Check | None:
    """A series that keeps an interval, at a tap that shows answers to such questions."""
    interval = series.interval()
    base = series.base
    if interval is None or base.tap not in collector.talking:
        return None
    known = scene.mode in REWRITES
    to_vip = base.target in scene.vips
    address = base.outer_dst if base.tunnel else 0 if to_vip else base.target
    party = scene.party_of_ip(address) if address else scene.party_of_mac(base.mac)
    if known and (party is None or party.role != "real-server"):
        return None
    if not address and party is not None and len(party.ips) == 1:
        address = next(iter(party.ips))
    tagged = scene.mode == "l3dsr-dscp" and base.dscp in _tags(scene)
    through = "vip" if base.tunnel or to_vip or tagged else "rip"
    carried = (
        TUNNEL_NAMES[base.tunnel] if base.tunnel else f"dscp {base.dscp}" if tagged else "mac" if to_vip else "plain"
    )
    return Check(series, interval, party, address, through, carried, [])


def _tags(scene: Scene) -> set[int]:
    seen = {counts.most_common(1)[0][0] for counts in scene.tags.values() if counts}
    return (seen | set(scene.tag_of_vip)) - {0}


def _worded(check: Check, candidates: list[Check]) -> bool:
    """Whether it looks like a check whoever sent it; a person pings one machine at a time."""
    series = check.series
    if len(series.at) < _LEAST_OF_ANYBODY or UP not in series.result:
        return False
    if check.kind == "ping":
        return any(_beside(series, other.series) for other in candidates if other.kind == "ping")
    return series.typical or check.kind in ("tcp", "tcp-half-open")


def _beside(one: Series, other: Series) -> bool:
    """Whether one source asked two machines over the same time."""
    if one.base.source != other.base.source or one.base.target == other.base.target:
        return False
    shared = min(one.at[-1], other.at[-1]) - max(one.at[0], other.at[0])
    return 2 * shared > one.at[-1] - one.at[0]


class _Starts:
    """Times of all other machines' connections, by the first tap's clock."""

    def __init__(self, collector: Collector, told: Told, own: set[int]) -> None:
        kept = [(at + told.offsets[tap], who) for at, who, tap in collector.starts]
        times = np.concatenate([at for at, _ in kept]) if kept else np.zeros(0, np.int64)
        self.sources = np.concatenate([who for _, who in kept]) if kept else np.zeros(0, np.int64)
        self.times = times
        self.own = np.asarray(sorted(own), np.int64)

    def follows(self, series: Series, told: Told) -> bool:
        """Whether its probes come right after other machines' connections, as a proxy's sessions do."""
        mine = among(self.sources, np.append(self.own, series.base.source))
        others: Ints = distinct(self.times[~mine])
        if not len(others):
            return False
        at = np.frombuffer(series.at, np.int64) + told.offsets[series.base.tap]
        place = np.searchsorted(others, at, side="right") - 1
        soon = (place >= 0) & (at - others[np.maximum(place, 0)] <= _SOON_NS)
        seconds = max(1.0, float(at[-1] - at[0]) / 1e9)
        within = int(((others >= at[0]) & (others <= at[-1])).sum())
        by_chance = 1 - np.exp(-within / seconds * _SOON_NS / 1e9)
        return bool(soon.mean() > max(_OFTEN, min(0.9, 3 * by_chance)))


def _best(group: list[Check], scene: Scene, taps: list[TapInfo]) -> Check:
    """The sighting that tells most: with most probes and verdicts, at the checker itself if there is a choice."""

    def worth(check: Check) -> tuple[int, int, bool, int]:
        source = scene.party_of_ip(check.series.base.source)
        home = source is not None and taps[check.tap].node == source.name
        told = sum(r in (UP, DOWN) for r in check.series.result)
        return told, len(check.series.answer_ns), home, -check.tap

    best = max(group, key=worth)
    return replace(best, others=[check.series for check in group if check is not best])


def server_text(check: Check, scene: Scene) -> str:
    """What to call the server."""
    if check.party is not None:
        return check.party.name
    return scene.address(check.address) if check.address else mac_text(check.series.base.mac)
