"""What was seen of a conversation, as bits; and how soon a copy of a packet comes."""

from __future__ import annotations

from typing import Final

SYN_THERE, SYN_BACK, ANSWERED, DATA, FIN_THERE, FIN_BACK, RST_THERE, RST_BACK = (1 << bit for bit in range(8))
"""What was seen of a connection, from its client and back. ANSWERED: the client has acknowledged something."""
REQUEST_VIA, REQUEST_PAST, REPLY_VIA, REPLY_PAST, CHECK, FRONT, BACK, SERVED = (1 << bit for bit in range(8, 16))
"""What was seen of a conversation's way: by the load balancer or past it, as a check or as a session of a proxy."""

COPY_NS: Final = 200_000_000
TWIN_NS: Final = 1_000_000
"""A copy comes sooner than the least time-out of a retransmission, and one without an IP id to tell it by at once.
Source: Linux TCP_RTO_MIN."""
