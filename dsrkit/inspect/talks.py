"""Conversations that are not the service itself: health checks, a proxy's two sessions, names that spread clients."""

from __future__ import annotations

import numpy as np

from dsrkit.inspect.head import Known
from dsrkit.inspect.packets import endpoint
from dsrkit.inspect.said import dns_of, dns_text, proxy_header
from dsrkit.inspect.words import Words
from dsrkit.mechanisms.health.recognise import Check
from dsrkit.mechanisms.health.series import Base
from dsrkit.mechanisms.sessions.proxy_protocol import ProxyHeader
from dsrkit.model.names import REWRITES
from dsrkit.verify.arrays import among
from dsrkit.verify.flows import Flows
from dsrkit.verify.frames import REQUEST, Frames, Ints, Mask

_KINDS = {
    "ping": "ping",
    "tcp": "TCP connect",
    "tcp-half-open": "TCP connect, reset before it is complete",
    "tls": "TLS ClientHello",
    "tcp-data": "TCP data",
    "udp": "UDP",
}


class Checks:
    """Health checks: whose packets they are is told by who asks whom by which way."""

    def __init__(self, f: Frames, flows: Flows, known: Known, words: Words) -> None:
        self._flows, self._words, self._scene = flows, words, known.scene
        self._checks = known.checks
        self._of = self._matched(f, flows)

    def _matched(self, f: Frames, flows: Flows) -> Ints:
        """Index of the check that each packet belongs to, -1 for none. Shape: (n,)."""
        out = np.full(f.n, -1, np.int64)
        for number, check in enumerate(self._checks):
            for series in (check.series, *check.others):
                out[self._asked(f, flows, series.base)] = number
        for number, check in enumerate(self._checks):
            base = check.series.base
            answers = (flows.direction != REQUEST) & (out < 0) & self._between(f, flows, base)
            out[answers] = number
        return out

    def _asked(self, f: Frames, flows: Flows, base: Base) -> Mask:
        way = (f.tunnel == base.tunnel) & (f.outer_dst == base.outer_dst)
        if not base.tunnel and base.mac:
            way &= (f.eth_dst == base.mac) | (f.tap != base.tap)
        return np.asarray((flows.direction == REQUEST) & self._between(f, flows, base) & way, bool)

    def _between(self, f: Frames, flows: Flows, base: Base) -> Mask:
        asked = (flows.client >> 16 == base.source) & (flows.server >> 16 == base.target)
        return np.asarray(asked & (f.proto == base.proto) & ((flows.server & 0xFFFF) == base.port), bool)

    @property
    def mine(self) -> Mask:
        """The packets of checks."""
        return np.asarray(self._of >= 0, bool)

    def text(self, i: int) -> str:
        """The role of a packet of a check; empty for others."""
        number = int(self._of[i])
        if number < 0:
            return ""
        check = self._checks[number]
        request = int(self._flows.direction[i]) == REQUEST
        # An answer from an address that several servers share does not tell whose it is.
        shared = [c for c in self._checks if not request and c.series.base[1:5] == check.series.base[1:5]]
        server = "" if len(shared) > 1 else self._server(check)
        asks = {_asked(c) for c in self._checks if c.series.base == check.series.base}
        what = f" ({asks.pop()})" if len(asks) == 1 else ""
        if request:
            return f"health check of {server}{what}"
        return f"answer{f' of {server}' if server else ''} to a health check{what}"

    def _server(self, check: Check) -> str:
        if check.address:
            return self._words.address(self._scene.address(check.address))
        return check.party.name if check.party is not None else "a server"


def _asked(check: Check) -> str:
    kind, text, _ = check.series.ask
    return f"HTTP {text}" if kind == "http" else _KINDS.get(kind, kind)


class Proxied:
    """The sessions at a proxy: a client's own, and those that the proxy makes for it."""

    def __init__(self, f: Frames, flows: Flows, known: Known, words: Words) -> None:
        self._f, self._flows, self._words, self._backs = f, flows, words, known.backs
        talk = (flows.direction != 0) & f.is_tcp
        self.front = talk & among(flows.server, sorted(known.fronts))
        proxies, servers = {end >> 16 for end, _ in known.backs}, {server for _, server in known.backs}
        self.back = talk & among(flows.client >> 16, sorted(proxies)) & among(flows.server, sorted(servers))

    def text(self, i: int) -> str:
        """The role of a packet of either session; empty for others."""
        front, back = bool(self.front[i]), bool(self.back[i])
        if not front and not back:
            return self._header(i)
        asked = int(self._flows.direction[i]) == REQUEST
        way = "request" if asked else "reply"
        ends = int(self._flows.client[i]), int(self._flows.server[i])
        if back:
            clients = self._backs.get(ends, set())
            client = f", for {next(iter(clients))}" if len(clients) == 1 else ""
            server = self._words.endpoint(self._f.book.text(ends[1] >> 16), ends[1] & 0xFFFF)
            header = self._header(i)
            text = f"{way}, back session of the proxy with {server}{client}"
            return f"{text}, {header}" if header else text
        return f"{way}, front session of the proxy"

    def _header(self, i: int) -> str:
        header = proxy_header(self._f, i)
        return header_text(header) if header is not None else ""


def header_text(header: ProxyHeader) -> str:
    """``PROXY v2 header (TCP4 198.51.100.7:40000 → 203.0.113.10:80)``."""
    if not header.speaks_for_client:
        return f"PROXY v{header.version} header ({header.command if header.command != 'PROXY' else header.family})"
    ends = endpoint(header.source, header.source_port), endpoint(header.target, header.target_port)
    return f"PROXY v{header.version} header ({header.family} {ends[0]} → {ends[1]})"


class Named:
    """DNS messages about names of several addresses, and what clients do with them where that balances load."""

    def __init__(self, f: Frames, flows: Flows, known: Known, words: Words) -> None:
        self._f, self._flows, self._words = f, flows, words
        self._rewrites = known.scene.mode in REWRITES
        several = [name for name in known.names if len(name.records) > 1]
        self._spread = {name.name for name in several}
        self._names: dict[int, set[str]] = {}
        for name in several if known.scene.mode == "dns-rr" else ():
            for record in name.records:
                self._names.setdefault(known.scene.book.number(record.address), set()).add(name.name)

    def text(self, i: int) -> str:
        """The role of a packet; empty for others."""
        message = None if self._rewrites else dns_of(self._f, i)
        if message is not None:
            return dns_text(message) if message.name in self._spread or len(message.addresses) > 1 else ""
        server = int(self._flows.server[i]) >> 16
        names = self._names.get(server)
        if not names or not int(self._flows.direction[i]):
            return ""
        of = f"{self._words.address(self._f.book.text(server))}, an address of {' and '.join(sorted(names)[:2])}"
        return f"request to {of}" if int(self._flows.direction[i]) == REQUEST else f"reply of {of}"
