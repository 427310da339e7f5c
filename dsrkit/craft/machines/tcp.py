"""TCP as Linux speaks it, as far as a capture shows: handshake with options, slow start, acknowledgements, FIN, RST,
retransmission with back-off, SACK, and what ICMP errors do to a connection.

Left out since it changes no header that load balancing is about: window management, Nagle, keep-alive, time-outs of
idle connections.

Source: RFC 9293; RFC 7323; RFC 2018; RFC 5681; RFC 6298; net/ipv4/tcp_input.c and tcp_ipv4.c of Linux 6.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from dsrkit.craft.machines.host import Host
from dsrkit.craft.machines.network import MILLISECOND, SECOND, Label
from dsrkit.craft.packets import ip
from dsrkit.craft.packets.octets import TCP, Octets
from dsrkit.craft.packets.quoted import addresses_at, transport_of

FIN, SYN, RST, PSH, ACK, ECE, CWR = 0x01, 0x02, 0x04, 0x08, 0x10, 0x40, 0x80
MASK: Final = 0xFFFFFFFF
SYN_WINDOW, SYN_ACK_WINDOW, SCALE, WINDOW = 64240, 65160, 7, 502
FIRST_TIMEOUT: Final = SECOND  # RFC 6298 s2.1
DATA_TIMEOUT: Final = 200 * MILLISECOND  # TCP_RTO_MIN
DELAYED_ACK: Final = 40 * MILLISECOND  # TCP_DELACK_MIN: a FIN alone waits for the answer (tcp_fin: pingpong mode),
NEXT_TICK: Final = 4 * MILLISECOND  # or for a tick where no data has set a time (recorded b14)
SYN_RETRIES: Final = 4  # Linux makes 6; the pattern is clear by then
DATA_RETRIES: Final = 5
INITIAL_SEGMENTS: Final = 10  # RFC 6928
OPTIONS_OCTETS: Final = 12  # timestamps on every segment, padded
ERRORS_4: Final = (3, 11, 12)  # unreachable, time exceeded, parameter problem
ERRORS_6: Final = (1, 3, 4)
Ends = tuple[bytes, int, bytes, int]  # local address and port, remote address and port


@dataclass(frozen=True, slots=True)
class Segment:
    """A received segment, or one sent and not yet acknowledged."""

    seq: int
    flags: int
    payload: bytes = b""

    @property
    def length(self) -> int:
        return len(self.payload) + bool(self.flags & SYN) + bool(self.flags & FIN)


@dataclass(eq=False)
class Connection:
    """One end of a TCP connection.

    `on_data` gets each piece of the stream in order, `on_open` the moment of ESTABLISHED, `on_close` a reason when the
    peer has finished or the connection broke: ``"fin"``, ``"reset"``, ``"timeout"``, ``"refused"``.
    """

    stack: TcpStack
    ends: Ends
    flow: int
    isn: int
    tos: int = 0
    mss: int = 1460  # what we announce
    on_open: Callable[[Connection], None] | None = None
    on_data: Callable[[Connection, bytes], None] | None = None
    on_close: Callable[[Connection, str], None] | None = None
    syn_options: tuple[ip.TcpOption, ...] = ()  # beside the usual ones
    state: str = "closed"
    send_next: int = 0
    receive_next: int = 0
    peer_mss: int = 536
    limit: int = 1 << 16  # segment size by path-MTU discovery
    timestamp: int = 0
    echo_timestamp: int = 0
    ident: int = 0
    label: int = 0
    window_segments: int = INITIAL_SEGMENTS
    queue: bytearray = field(default_factory=bytearray)
    unacked: list[Segment] = field(default_factory=list)
    early: dict[int, Segment] = field(default_factory=dict)
    finishing: bool = False
    retries: int = 0
    duplicates: int = 0
    timer: int = 0
    unanswered: int = 0  # full segments received since our last acknowledgement
    ecn: bool = False
    about: str = ""  # what its packets are for
    deaf: bool = False  # the socket is closed: nobody reads what still comes
    heard: bool = False  # data has come

    # --- sending --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Start the handshake."""
        self.state = "syn-sent"
        self.send_next = self.isn
        self._transmit(SYN | (ECE | CWR if self.ecn else 0))

    def accept(self, syn: Segment) -> None:
        """Answer a SYN."""
        self.state = "syn-received"
        self.send_next = self.isn
        self.receive_next = (syn.seq + 1) & MASK
        self.ecn = self.ecn and syn.flags & (ECE | CWR) == ECE | CWR
        self._transmit(SYN | ACK | (ECE if self.ecn else 0))

    def send(self, data: bytes) -> None:
        """Queue octets of the stream."""
        self.queue += data
        self._push()

    def close(self) -> None:
        """Finish after what is queued; a handshake is given up without a word (tcp_close in SYN_SENT)."""
        if self.state == "syn-sent":
            self._end("closed", tell=False)
            return
        self.finishing = True
        self._push()

    def hang_up(self) -> None:
        """Close the socket without reading on: what the peer still sends is answered with a RST."""
        self.deaf = True
        self.close()

    def forsake(self) -> None:
        """Forget the connection without a word, as close() does before anybody has answered."""
        self._end("", tell=False)

    def abort(self) -> None:
        """Break off with a RST, an ordinary segment otherwise (net/ipv4/tcp_output.c tcp_send_active_reset)."""
        self._emit(RST | ACK, self.send_next, b"")
        self._end("reset", tell=False)

    @property
    def segment_size(self) -> int:
        return min(self.peer_mss, self.limit) - OPTIONS_OCTETS

    def _push(self) -> None:
        if self.state not in ("established", "close-wait"):
            return
        while self.queue and len(self.unacked) < self.window_segments:
            size = self.segment_size
            piece, self.queue = bytes(self.queue[:size]), self.queue[size:]
            self._transmit(ACK | (0 if self.queue else PSH), piece)
        if self.finishing and not self.queue and self.state in ("established", "close-wait"):
            self.state = "fin-wait" if self.state == "established" else "last-ack"
            self._transmit(FIN | ACK)

    def _transmit(self, flags: int, payload: bytes = b"") -> None:
        """Send something that takes sequence space, and remember it until it is acknowledged."""
        segment = Segment(self.send_next, flags, payload)
        self.send_next = (self.send_next + segment.length) & MASK
        self.unacked.append(segment)
        self._emit(flags, segment.seq, payload)
        if len(self.unacked) == 1:
            self._arm()

    def _emit(self, flags: int, seq: int, payload: bytes, about: str = "") -> None:
        opening = bool(flags & SYN)
        first_syn_ack = opening and flags & ACK
        options: list[ip.TcpOption] = []
        if opening:
            options += [("MSS", self.mss), ("SAckOK", b"")]
        timestamps = ("Timestamp", (self._clock(), self.echo_timestamp))
        if opening:
            options += [timestamps, ("NOP", None), ("WScale", SCALE), *self.syn_options]
        else:
            options += [("NOP", None), ("NOP", None), timestamps]
            if self.early and flags & ACK and not payload:
                options += [("NOP", None), ("NOP", None), ("SAck", self._holes())]
        window = (SYN_ACK_WINDOW if first_syn_ack else SYN_WINDOW) if opening else WINDOW
        local, port, remote, remote_port = self.ends
        # a SYN-ACK carries id 0 (no socket has counted yet), then one per packet
        ident = 0 if first_syn_ack else self._next_ident()
        tos = self.tos | (2 if self.ecn and payload and not opening else 0)
        header = ip.Header(local, remote, self.stack.host.ttl, tos, ident, flow_label=self.label)
        packet = ip.tcp(
            header,
            (port, remote_port),
            seq=seq,
            ack=self.receive_next if flags & ACK else 0,
            flags=flags,
            window=window,
            options=options,
            payload=payload,
        )
        self.unanswered = 0
        self.stack.host.output(packet, self.stack.host.network.label(self.flow, about or self.about))

    def _holes(self) -> tuple[int, ...]:
        """SACK blocks of what came early, merged (RFC 2018 s3)."""
        blocks: list[list[int]] = []
        for seq in sorted(self.early, key=lambda s: (s - self.receive_next) & MASK):
            end = (seq + self.early[seq].length) & MASK
            if blocks and blocks[-1][1] == seq:
                blocks[-1][1] = end
            else:
                blocks.append([seq, end])
        return tuple(edge for block in blocks[:3] for edge in block)

    def _clock(self) -> int:
        return (self.timestamp + self.stack.host.network.now // MILLISECOND) & MASK

    def _next_ident(self) -> int:
        self.ident = (self.ident + 1) & 0xFFFF
        return self.ident

    # --- retransmission -------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        self.timer += 1
        mine = self.timer
        base = FIRST_TIMEOUT if self.state in ("syn-sent", "syn-received") else DATA_TIMEOUT
        self.stack.host.network.after(base << self.retries, lambda: self._expired(mine))

    def _expired(self, timer: int) -> None:
        if timer != self.timer or not self.unacked or self.state == "closed":
            return
        opening = self.state in ("syn-sent", "syn-received")
        if self.retries >= (self.stack.syn_retries if opening else self.stack.data_retries):
            self._end("timeout")
            return
        self.retries += 1
        self.window_segments = max(1, self.window_segments // 2)
        self._again("retransmission")
        self._arm()

    def _again(self, about: str) -> None:
        """Send the first unacknowledged segment once more, cut to the path MTU if that has shrunk."""
        self.unacked[:1] = _cut(self.unacked[0], self.segment_size)
        first = self.unacked[0]
        self._emit(first.flags, first.seq, first.payload, about)

    # --- receiving ------------------------------------------------------------------------------------------------

    def input(self, segment: Segment, ack: int, options: dict[str, int]) -> None:
        """A segment of this connection."""
        if segment.flags & RST:
            self._end("refused" if self.state == "syn-sent" else "reset")
            return
        if "tsval" in options:
            self.echo_timestamp = options["tsval"]
        if self.state == "syn-sent":
            if segment.flags & (SYN | ACK) == SYN | ACK and ack == self.send_next:
                self._opened(segment, options)
            return
        if segment.flags & SYN:
            if self.state == "syn-received":
                self._again("retransmission")
            return
        if segment.flags & ACK:
            self._acknowledged(ack, bool(segment.length))
        if segment.length:
            self._received(segment)

    def _opened(self, segment: Segment, options: dict[str, int]) -> None:
        self.ecn = self.ecn and bool(segment.flags & ECE)
        self.peer_mss = options.get("mss", 536)
        self.receive_next = (segment.seq + 1) & MASK
        self.unacked.clear()
        self._settle()
        self.state = "established"
        self._emit(ACK, self.send_next, b"")
        if self.on_open is not None:
            self.on_open(self)
        self._push()

    def _settle(self) -> None:
        self.retries = self.duplicates = 0
        self.timer += 1

    def _acknowledged(self, ack: int, carries_data: bool) -> None:
        if self.state == "syn-received" and ack == self.send_next:
            self.state = "established"
            if self.on_open is not None:
                self.on_open(self)
        gone = [s for s in self.unacked if _before_or_at((s.seq + s.length) & MASK, ack)]
        if gone:
            self.unacked = self.unacked[len(gone) :]
            self.window_segments += len(gone)
            self._settle()
            if self.unacked:
                self._arm()
        elif self.unacked and ack == self.unacked[0].seq and not carries_data:
            self.duplicates += 1
            if self.duplicates == 3:  # RFC 5681 s3.2
                self._again("fast retransmission")
        if not self.unacked and self.state == "last-ack":
            self._end("fin", tell=False)
            return
        self._push()

    def _received(self, segment: Segment) -> None:
        ahead = (segment.seq - self.receive_next) & MASK
        if ahead >= 1 << 31:  # old: acknowledge again
            self._emit(ACK, self.send_next, b"")
            return
        self.early[segment.seq] = segment
        if ahead:
            self._emit(ACK, self.send_next, b"")
            return
        data, finished = b"", False
        while (ready := self.early.pop(self.receive_next, None)) is not None:
            self.receive_next = (self.receive_next + ready.length) & MASK
            data += ready.payload
            finished = bool(ready.flags & FIN)
            self.unanswered += 1
        self.heard |= bool(data)
        if data and self.on_data is not None:
            self.on_data(self, data)
        if self.state == "closed":  # the reader broke off
            return
        if finished:
            self._finished()
        if finished and not data and self.state == "close-wait":
            self.stack.host.network.after(DELAYED_ACK if self.heard else NEXT_TICK, self._acknowledge_late)
        elif finished or segment.flags & PSH or self.unanswered >= 2:
            self._acknowledge()

    def _acknowledge(self) -> None:
        """Acknowledge what no other segment has acknowledged by now."""
        if self.unanswered:
            self._emit(ACK, self.send_next, b"")

    def _acknowledge_late(self) -> None:
        if self.state != "closed":
            self._acknowledge()

    def _finished(self) -> None:
        """The peer has sent its last octet."""
        if self.state == "fin-wait":
            self._end("fin")
        elif self.state == "established":
            self.state = "close-wait"
            if self.on_close is not None:
                self.on_close(self, "fin")

    def path_mtu(self, mtu: int) -> None:
        """A router could not send a packet on: smaller segments from now on, and what was too big goes out again.

        Source: RFC 1191 s6.4; net/ipv4/tcp_ipv4.c tcp_v4_mtu_reduced, tcp_input.c tcp_simple_retransmit; recorded b07.
        """
        headers = (20 if len(self.ends[0]) == 4 else 40) + 20
        limit = max(mtu - headers, 88)
        if limit >= self.limit:
            return
        self.limit = limit
        waiting, self.unacked, again = self.unacked, [], []
        while waiting:
            first, *waiting = waiting
            if len(first.payload) <= self.segment_size:
                self.unacked.append(first)
                continue
            if waiting and len(waiting[0].payload) > self.segment_size:  # a buffer holds two (tcp_tso_autosize)
                second, *waiting = waiting
                first = Segment(first.seq, second.flags, first.payload + second.payload)
            pieces = _cut(first, self.segment_size)
            self.unacked += pieces
            again += pieces
        for piece in again:
            self._emit(piece.flags, piece.seq, piece.payload, "retransmission in smaller segments")

    def refused(self) -> None:
        """An ICMP error arrived: it ends a handshake, and is only a hint later (net/ipv4/tcp_ipv4.c tcp_v4_err)."""
        if self.state == "syn-sent":
            self._end("refused")

    def _end(self, reason: str, *, tell: bool = True) -> None:
        self.state = "closed"
        self.timer += 1
        # the last acknowledgement may be lost: a FIN that comes again is still answered
        self.stack.forget(self, keep=reason == "fin")
        if tell and self.on_close is not None:
            self.on_close(self, reason)


def _cut(segment: Segment, size: int) -> list[Segment]:
    """A segment in pieces that are not too big; the flags of its end go with the last one."""
    starts = range(0, max(1, len(segment.payload)), size)
    return [
        Segment(
            (segment.seq + at) & MASK,
            segment.flags if at == starts[-1] else segment.flags & ~(PSH | FIN),
            segment.payload[at : at + size],
        )
        for at in starts
    ]


def _before_or_at(a: int, b: int) -> bool:
    return (b - a) & MASK < 1 << 31


class TcpStack:
    """The TCP of one host: its listeners and connections."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.connections: dict[Ends, Connection] = {}
        self.finished: dict[Ends, Connection] = {}
        self.listeners: dict[int, Callable[[Connection], None]] = {}
        self.bound: dict[int, set[bytes]] = {}  # a listener may be bound to some addresses only
        self.announce_mss: Callable[[bytes], int] = self._mss
        self.syn_retries = SYN_RETRIES
        self.data_retries = DATA_RETRIES
        self.reflects_tos = False
        self.ecn = False
        host.tcp = self
        host.icmp_listeners.append(self._icmp)

    def _mss(self, remote: bytes) -> int:
        found = self.host.route(remote)
        mtu = found[0].mtu if found else 1500
        return mtu - (40 if len(remote) == 4 else 60)

    def listen(self, port: int, accept: Callable[[Connection], None], *, addresses: set[bytes] | None = None) -> None:
        """Accept connections to a port; `accept` sets the callbacks of each."""
        self.listeners[port] = accept
        if addresses is not None:
            self.bound[port] = addresses

    def connect(
        self,
        local: tuple[bytes, int],
        remote: tuple[bytes, int],
        *,
        flow: int = -1,
        tos: int = 0,
        options: tuple[ip.TcpOption, ...] = (),
    ) -> Connection:
        """A new connection, still closed: set its callbacks, then `open` it."""
        connection = self._new((*local, *remote), flow, tos)
        connection.syn_options = options
        return connection

    def _new(self, ends: Ends, flow: int, tos: int) -> Connection:
        random = self.host.network.random
        connection = Connection(
            self,
            ends,
            flow,
            isn=random.randrange(1 << 32),
            tos=tos,
            mss=self.announce_mss(ends[2]),
            timestamp=random.randrange(1 << 31),
            ident=random.randrange(1 << 16),
            label=random.randrange(1, 1 << 20) if len(ends[0]) == 16 else 0,
            ecn=self.ecn,
        )
        self.connections[ends] = connection
        return connection

    def forget(self, connection: Connection, *, keep: bool) -> None:
        if self.connections.get(connection.ends) is connection:
            del self.connections[connection.ends]
        if keep:
            self.finished[connection.ends] = connection

    def input(self, packet: Octets, label: Label) -> None:
        """A TCP segment for this host."""
        inner = packet.ip
        at, data = inner.payload, packet.data
        src, dst = packet.address("ip.src"), packet.address("ip.dst")
        ends = (dst, packet.word(at + 2), src, packet.word(at))
        seq, ack = (int.from_bytes(data[at + i : at + i + 4], "big") for i in (4, 8))
        header = 4 * (data[at + 12] >> 4)
        segment = Segment(seq, data[at + 13], bytes(data[at + header : inner.end]))
        connection = self.connections.get(ends)
        if connection is not None and connection.deaf and segment.payload:
            self.reset(packet, segment, ack, label)  # data after close(): tcp_input.c tcp_rcv_state_process
            connection._end("reset", tell=False)
            return
        if connection is not None:
            connection.input(segment, ack, _options(bytes(data[at + 20 : at + header])))
            return
        if segment.flags & RST:
            return
        old = self.finished.get(ends)
        if old is not None and not segment.flags & SYN:
            if segment.flags & FIN:
                old._emit(ACK, old.send_next, b"")
            return
        accept = self.listeners.get(ends[1])
        bound = self.bound.get(ends[1])
        if segment.flags & (SYN | ACK) == SYN and accept is not None and (bound is None or dst in bound):
            dscp = packet.number("ip.dsfield.dscp")
            options = _options(bytes(data[at + 20 : at + header]))
            new = self._new(ends, label.flow, dscp << 2 if self.reflects_tos else 0)
            new.peer_mss = options.get("mss", 536)
            new.echo_timestamp = options.get("tsval", 0)
            accept(new)
            new.accept(segment)
        else:
            self.reset(packet, segment, ack, label)

    def reset(self, packet: Octets, segment: Segment, ack: int, label: Label, *, dscp: int | None = None) -> None:
        """Refuse a segment that belongs to nothing, with the TOS octet of what came (tcp_v4_send_reset)."""
        inner = packet.ip
        src, dst = packet.address("ip.src"), packet.address("ip.dst")
        mark = packet.number("ip.dsfield.dscp") if dscp is None else dscp
        header = ip.Header(dst, src, self.host.ttl, mark << 2)
        at = inner.payload
        ports = packet.word(at + 2), packet.word(at)
        if segment.flags & ACK:
            answer = ip.tcp(header, ports, seq=ack, flags="R")
        else:
            answer = ip.tcp(header, ports, seq=0, ack=(segment.seq + segment.length) & MASK, flags="RA")
        self.host.output(answer, self.host.network.label(label.flow))

    def _icmp(self, packet: Octets, kind: int, code: int, label: Label) -> None:
        """An ICMP error that quotes a segment of ours; a redirect is none, and leaves a handshake alone.

        Source: net/ipv4/tcp_ipv4.c tcp_v4_err; net/ipv6/tcp_ipv6.c tcp_v6_err.
        """
        at, four = packet.ip.payload, packet.ip.version == 4
        segment = bytes(packet.data[at + 8 : packet.ip.end])
        if len(segment) < (28 if four else 48):
            return  # not even the ports
        proto, ports = transport_of(segment)
        if proto != TCP:
            return
        start, width = addresses_at(segment)
        src, dst = segment[start : start + width], segment[start + width : start + 2 * width]
        port, remote_port = (int.from_bytes(segment[ports + i : ports + i + 2], "big") for i in (0, 2))
        connection = self.connections.get((src, port, dst, remote_port))
        if connection is None:
            return
        if (kind, code) == ((3, 4) if four else (2, 0)):
            connection.path_mtu(packet.word(at + 6) if four else int.from_bytes(packet.data[at + 4 : at + 8], "big"))
        elif kind in (ERRORS_4 if four else ERRORS_6):
            connection.refused()


def _options(data: bytes) -> dict[str, int]:
    """The options that matter: MSS and the timestamp value."""
    found: dict[str, int] = {}
    at = 0
    while at < len(data) and data[at]:
        if data[at] == 1:
            at += 1
            continue
        if at + 1 >= len(data) or data[at + 1] < 2:
            break
        body = data[at + 2 : at + data[at + 1]]
        if data[at] == 2 and len(body) == 2:
            found["mss"] = int.from_bytes(body, "big")
        elif data[at] == 8 and len(body) == 8:
            found["tsval"] = int.from_bytes(body[:4], "big")
        at += data[at + 1]
    return found
