"""Who refuses, and what an ICMP error says, for both IP versions."""

from __future__ import annotations

from typing import Final, Literal

Who = Literal["balancer", "server", "router", "balancer or server", "other"]
Kind = tuple[int, int, int]
"""IP version, ICMP type and code."""

PROTOCOL_UNREACHABLE: Final = ((4, 3, 2), (6, 4, 1))
PORT_UNREACHABLE: Final = ((4, 3, 3), (6, 1, 4))
HOST_UNREACHABLE: Final = ((4, 3, 1), (6, 1, 3))
PROHIBITED: Final = ((4, 3, 9), (4, 3, 10), (4, 3, 13), (6, 1, 1))
EXPIRED: Final = ((4, 11, 0), (6, 3, 0))
