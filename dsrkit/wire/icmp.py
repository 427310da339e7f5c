"""What ICMP messages are called, by IP version, type and code."""

from __future__ import annotations

from typing import Final

NAMES: Final = {
    (4, 0, 0): "echo reply",
    (4, 3, 0): "network unreachable",
    (4, 3, 1): "host unreachable",
    (4, 3, 2): "protocol unreachable",
    (4, 3, 3): "port unreachable",
    (4, 3, 4): "fragmentation needed",
    (4, 3, 9): "network administratively prohibited",
    (4, 3, 10): "host administratively prohibited",
    (4, 3, 13): "administratively prohibited",
    (4, 5, 0): "redirect for the network",
    (4, 5, 1): "redirect for the host",
    (4, 8, 0): "echo request",
    (4, 9, 0): "router advertisement",
    (4, 10, 0): "router solicitation",
    (4, 11, 0): "time to live exceeded in transit",
    (4, 11, 1): "fragment reassembly time exceeded",
    (4, 12, 0): "parameter problem",
    (4, 13, 0): "timestamp request",
    (4, 14, 0): "timestamp reply",
    (6, 1, 0): "no route to destination",
    (6, 1, 1): "administratively prohibited",
    (6, 1, 3): "address unreachable",
    (6, 1, 4): "port unreachable",
    (6, 2, 0): "packet too big",
    (6, 3, 0): "hop limit exceeded in transit",
    (6, 3, 1): "fragment reassembly time exceeded",
    (6, 4, 0): "erroneous header field",
    (6, 4, 1): "unrecognized next header",
    (6, 128, 0): "echo request",
    (6, 129, 0): "echo reply",
    (6, 130, 0): "multicast listener query",
    (6, 131, 0): "multicast listener report",
    (6, 132, 0): "multicast listener done",
    (6, 133, 0): "router solicitation",
    (6, 134, 0): "router advertisement",
    (6, 135, 0): "neighbour solicitation",
    (6, 136, 0): "neighbour advertisement",
    (6, 137, 0): "redirect",
    (6, 143, 0): "multicast listener report v2",
}
"""Source: RFC 792, RFC 1256, RFC 1812 s5.2.7.1, RFC 4443, RFC 4861, RFC 2710, RFC 3810."""
