"""The checks of load spread, by their ids; the id begins with the mode."""

from __future__ import annotations

from typing import Final

from dsrkit.tables.checks.check import Check

FLOW_KEPT: Final = "lb.flow-kept"

CHECKS: Final[dict[str, Check]] = {
    FLOW_KEPT: Check(
        "every packet of a TCP connection behind its handshake goes to the same real server",
        "error",
        "RFC 9293 s3.10.7.1: a host that does not know a connection resets it; "
        "Linux Documentation/networking/ipvs-sysctl.rst (sloppy_tcp, sync_threshold)",
        ("DSR314", "DSR318", "TUN414"),
    ),
}
"""By ``node.check``. A client's port that is used again, a SYN that is sent again before the handshake is over, and
datagrams that get another server are new decisions of the load balancer and pass."""

AT_ONCE: Final = "only the SYN went to the first server"
ELSEWHERE: Final = "another load balancer has the connection"
STRAYED: Final = "the first server gets what follows"
RESTED: Final = "the connection was silent before"
"""Signs by which causes of `FLOW_KEPT` are told apart."""
