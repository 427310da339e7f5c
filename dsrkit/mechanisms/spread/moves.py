"""One connection at several real servers: where that is normal, and where it is not.

A connection belongs to the server that gets its first packet after the handshake. Until then a SYN that is sent again
may be scheduled anew. A SYN with another initial sequence number is a new connection on a port used before.
"""

from __future__ import annotations

from dataclasses import field
from typing import Final

from dsrkit.classes import dataclass
from dsrkit.mechanisms.spread.packets import Packets
from dsrkit.mechanisms.spread.table import CLIENT_DONE, OVER
from dsrkit.verify.frames import Frames
from dsrkit.verify.verdicts import Frame

_NEAR: Final = 1 << 24
"""A packet belongs to a connection if its number is no further from the last one: more fits into no window that a
load balancer sees without a packet in between. Units: octets."""


@dataclass(slots=True)
class Move:
    """A packet of a connection that went to another server than those before it."""

    when: int
    service: int
    client: int  # endpoint
    servers: tuple[int, int]
    balancers: tuple[int, int]
    at_once: bool  # only the SYN went to the first server
    silence: int  # how long the client had sent nothing. Units: ns
    before: Frame | None
    after: Frame


@dataclass(slots=True)
class Course:
    """One connection in one batch, packet by packet."""

    service: int
    seq: int  # of the last packet; -1: none yet
    last: int  # when that was; 0: none yet
    server: int
    balancer: int
    begun: bool
    closed: int
    moves: list[Move] = field(default_factory=list)
    rescheduled: int = 0
    handed_over: bool = False

    def follow(self, f: Frames, p: Packets, rows: list[int]) -> None:
        """Take in requests in the order of time; `rows` index `p`."""
        offered = {self.server} - {-1}
        before: Frame | None = None
        beginning = not self.begun
        for i in rows:
            server, balancer = int(p.server[i]), int(p.balancer[i])
            when, last = int(p.when[i]), self.last or int(p.when[i])
            self.last = when
            if server < 0 or self.closed == OVER:
                continue
            frame = f.ref(int(p.row[i]))
            if p.syn[i]:
                if not self.begun:
                    self.seq = int(p.seq[i])
                    self.rescheduled += self.server not in (-1, server)
                    self.server, self.balancer = server, balancer
                    offered.add(server)
                    before = frame
                continue
            if p.rst[i]:
                self.closed = OVER
                continue
            late = bool(self.closed & CLIENT_DONE) and not p.carries[i]
            if p.fin[i]:
                self.closed |= CLIENT_DONE
            near = self.seq < 0 or _apart(int(p.seq[i]), self.seq) < _NEAR
            if not near or late:
                continue
            self.seq = int(p.seq[i])
            if not self.begun and server in offered:
                self.server = server
            elif self.server not in (-1, server):
                servers, balancers = (self.server, server), (self.balancer, balancer)
                at_once = beginning and not self.begun
                client, silence = int(p.client[i]), when - last
                self.moves.append(Move(when, self.service, client, servers, balancers, at_once, silence, before, frame))
            elif self.server == server and balancer >= 0 and self.balancer not in (-1, balancer):
                self.handed_over = True
            self.begun, self.server = True, server
            self.balancer = balancer if balancer >= 0 else self.balancer
            before = frame


def _apart(a: int, b: int) -> int:
    """Distance of two sequence numbers. Source: RFC 9293 s3.4."""
    ahead = (a - b) & 0xFFFF_FFFF
    return min(ahead, (1 << 32) - ahead)
