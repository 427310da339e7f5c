"""Whether there is a proxy at all: what it takes to call the ends of two sessions one machine."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import field
from typing import Final

import numpy as np
import numpy.typing as npt

from dsrkit.classes import dataclass
from dsrkit.mechanisms.sessions.connections import Connection
from dsrkit.mechanisms.sessions.pair import Pair, Pairing
from dsrkit.mechanisms.sessions.proxy_protocol import SIGNATURE, WORD, ProxyHeader
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import Frames

_SHARE: Final = 0.8
_MUCH: Final = 64
"""Octets of an answer that two sessions do not share by chance."""
_SILENT: Final = 3
"""Pairs without any answer that do not come by chance."""


@dataclass(slots=True)
class Proxies:
    """Addresses of proxies on their servers' side, the endpoints that clients know, and those of servers."""

    proxies: set[int] = field(default_factory=set)
    vips: set[int] = field(default_factory=set)  # endpoints
    servers: set[int] = field(default_factory=set)  # endpoints

    def __bool__(self) -> bool:
        return bool(self.proxies)


def possible(f: Frames, flows: Flows, openings: npt.NDArray[np.uint8]) -> bool:
    """Whether packets may show a proxy, told without a look at sessions: only two servers do, or a PROXY header.

    `openings` are the octets that each packet's payload begins with; behind its end anything. Shape: (n, any number).
    """
    rows = np.flatnonzero(f.is_tcp & (flows.direction != 0))
    servers = flows.server[rows]
    if not len(rows) or (servers != servers[0]).any():
        return len(rows) > 0
    size = np.minimum(f.payload_len, f.field("caplen") - f.field("payload_at"))[rows, None]
    place = np.arange(openings.shape[1])
    for begin in (SIGNATURE, WORD):
        begin = begin[: len(place)]
        alike = (openings[rows, : len(begin)] == np.frombuffer(begin, np.uint8)) | (place[: len(begin)] >= size)
        if (alike.all(axis=1) & (size[:, 0] > 0)).any():
            return True
    return False


def proven(pairing: Pairing) -> Proxies:
    """The proxies that the pairs prove; pairs that prove none are dropped.

    A header or option that names another session proves a proxy at once. Octets or requests in common do where nearly
    all sessions of an address have a partner, and two at least or a long answer: crawlers, caches and two clients that
    ask for the same thing do not look like that.
    """
    found = Proxies()
    for back in pairing.all:
        if isinstance(back.header, ProxyHeader) and back.header.speaks_for_client and back.whole:
            _take(found, [Pair(front, back) for front in _fronts(pairing, back)], back)
    by_proxy: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairing.pairs:
        by_proxy[pair.back.client >> 16].append(pair)
    for proxy, pairs in by_proxy.items():
        if any(pair.by & {"proxy-header", "toa"} for pair in pairs) or _enough(pairing, proxy, pairs):
            for pair in pairs:
                _take(found, [pair], pair.back)
    pairing.keep(found.proxies)
    return found


def _fronts(pairing: Pairing, back: Connection) -> list[Connection]:
    return [pair.front for pair in pairing.backs[id(back)]]


def _take(found: Proxies, pairs: list[Pair], back: Connection) -> None:
    found.proxies.add(back.client >> 16)
    found.servers.add(back.server)
    found.vips |= {pair.front.server for pair in pairs}


def _enough(pairing: Pairing, proxy: int, pairs: list[Pair]) -> bool:
    servers = {pair.back.server for pair in pairs}
    talked = [c for c in pairing.all if c.client >> 16 == proxy and c.server in servers and c.body]
    paired = {id(pair.back) for pair in pairs}
    if len(paired) < _SHARE * len(talked):
        return False
    vips = Counter(pair.front.server for pair in pairs)
    # A proxy's clients come to few addresses; sessions that look alike by chance go anywhere.
    if len(vips) > 2 + len(pairs) // 4:
        return False
    long = [pair for pair in pairs if min(len(pair.front.answer), len(pair.back.answer)) >= _MUCH]
    if not any(pair.front.answer or pair.back.answer for pair in pairs):
        # Servers that answer nothing: what is asked has to tell.
        asked = [pair for pair in pairs if min(len(pair.front.body), len(pair.back.body)) >= _MUCH]
        return len(asked) == len(pairs) == len(talked) >= _SILENT
    return (len(paired) > 1 and len(long) > 1) or len(pairs) == 1 == len(long)
