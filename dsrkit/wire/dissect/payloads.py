"""What a TCP or UDP payload is: by its port, or by what it unmistakably begins with."""

from __future__ import annotations

from typing import Final

from dsrkit.wire.dissect import http, proxy
from dsrkit.wire.dissect.walk import Next, Walk

_DNS_PORT: Final = 53
_DNS_HEADER: Final = 12


def of_udp(walk: Walk, at: int) -> Next:
    """DNS by its port, on either side."""
    if walk.here(at, 1) and not walk.quoting and _DNS_PORT in _ports(walk):
        return "dns", at
    return None


def of_tcp(walk: Walk, at: int) -> Next:
    """PROXY and HTTP by what they begin with, DNS by its port where a message begins (RFC 1035 s4.2.2)."""
    if walk.quoting:
        return None
    head = walk.octets[at : min(at + len(proxy.SIGNATURE), walk.cap)]
    if proxy.begins(head) and walk.out.layers[-1].name != "proxy":
        return "proxy", at
    if http.begins(head):
        return "http", at
    if _DNS_PORT in _ports(walk) and walk.here(at, 2 + _DNS_HEADER) and walk.number(at, 2) == walk.limit - at - 2:
        return "dns", at + 2
    return None


def _ports(walk: Walk) -> tuple[int, int]:
    """The two ports of the transport header that was read last."""
    last = next((layer for layer in reversed(walk.out.layers) if layer.name in ("tcp", "udp")), None)
    return (walk.number(last.start, 2), walk.number(last.start + 2, 2)) if last else (0, 0)
