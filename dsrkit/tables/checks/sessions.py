"""What is checked on a proxy's two sessions: ids, meanings, severities, and the codes that they speak for."""

from __future__ import annotations

from typing import Final

from dsrkit.tables.checks.check import Check

_PROXY: Final = "HAProxy doc/proxy-protocol.txt"

CHECKS: Final[dict[str, Check]] = {
    "l7.lb.header-well-formed": Check(
        "a PROXY header has the lengths, family, TLVs and checksum that its version asks for",
        "error",
        f"{_PROXY} s2.1, s2.2",
        ("PRX801",),
    ),
    "l7.lb.header-as-stated": Check(
        "session 2 begins with the PROXY header whose version the spec states", "error", "dsr.toml [proxy]", ("PRX801",)
    ),
    "l7.lb.header-says-session": Check(
        "the PROXY header names the client's address and port of session 1, and the VIP",
        "error",
        f"{_PROXY} s2",
        ("PRX801",),
    ),
    "l7.real-server.header-agreed": Check(
        "servers go on with a session after its PROXY header, or without one",
        "error",
        "recorded",
        ("PRX801",),
    ),
    "l7.lb.returns": Check(
        "what a server sends to the source of session 2 comes back to the proxy",
        "error",
        "faults.md PRX802",
        ("PRX802",),
    ),
    "l7.lb.idle-ends-both": Check(
        "when one session is ended after a pause, the other one is ended too before the client speaks again",
        "warning",
        "faults.md PRX803",
        ("PRX803",),
    ),
    "l7.lb.own-session": Check(
        "session 2 has sequence numbers of its own: one session on both sides is NAT",
        "error",
        "RFC 9293 s3.4.1",
        ("PRX804",),
    ),
    "l7.real-server.accepts": Check("servers accept the proxy's sessions", "error", "RFC 9293 s3.5.2", ("PRX805",)),
    "l7.lb.carries": Check(
        "session 2 carries the octets, or the requests, of session 1, and session 1 the answer",
        "error",
        "captures",
        alone="Who changed the octets is not in the packets: a proxy is free to rewrite, and a cache to answer itself.",
    ),
}
