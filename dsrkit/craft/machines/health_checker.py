"""Health checks: what a load balancer asks its servers, and what it makes of the answers.

The probes are keepalived's: a ping, a TCP handshake that is closed at once by FIN (SO_LINGER leaves time for it), or a
GET by HTTP/1.0 that has to be answered with 200 before the server closes. One failure takes a server out of rotation
and one success brings it back (`retry 0`).

Source: keepalived lib/layer4.c socket_bind_connect, keepalived/check/check_tcp.c, check_http.c request_template,
check_ping.c.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dsrkit.craft.machines.balancer import Balancer, Server
from dsrkit.craft.machines.conversations import LAST_PORT, authority, http_reply, ping
from dsrkit.craft.machines.host import Host
from dsrkit.craft.machines.network import MILLISECOND, Label
from dsrkit.craft.machines.tcp import Connection
from dsrkit.craft.packets.octets import ICMP, ICMPV6, TCP, Octets, version_of

PAGE = 160  # octets of the health page's reply
FIRST_PORT, PORT_STEP = 33000, 2


@dataclass(eq=False)
class Checker:
    """The checks of a load balancer.

    `through` is ``"vip"`` for the data path, each probe pinned to the server that it is about, or ``"rip"`` for the
    server's own address. `by_address` is the way of a check that knows the tag but not what it means: it goes to the
    server's address with the VIP's DSCP, and waits for an answer from there.
    """

    lb: Balancer
    kind: str
    vip: bytes
    port: int
    path: str
    timeout_ns: int
    through: str = "vip"
    by_address: bool = False
    _pings: dict[tuple[int, int], tuple[bytes, Callable[[], None]]] = field(default_factory=dict)
    _made: int = 0

    def __post_init__(self) -> None:
        self.lb.echo_listeners.append(self._echo)

    def check(self, server: Server, flow: int) -> None:
        """Ask a server once."""
        self._made += 1
        verdict = _Verdict(server)
        if self.kind == "ping":
            self._ping(server, flow, verdict)
        else:
            self._connect(server, flow, verdict)

    @property
    def _pins(self) -> bool:
        """Whether a probe has to be led to its server: in NAT the server's own address does that."""
        return self.through == "vip" and not self.by_address and not self.lb.returns

    def _target(self, server: Server) -> tuple[bytes, int]:
        version = version_of(self.vip)
        if self._pins:
            return self.vip, self.port
        address = server.addresses.get(version) or server.addresses[self.lb.outer_version]
        return address, server.port or self.lb.services.get((TCP, self.port), self.port)

    def _source(self, target: bytes) -> bytes:
        version = version_of(target)
        found = self.lb.route(target)
        own = found[0].source(version) if found is not None else None
        return own or self.lb.address(version)

    def _ping(self, server: Server, flow: int, verdict: _Verdict) -> None:
        target, _ = self._target(server)
        source = self._source(target)
        ident, seq = 0x4B41 + self.lb.servers.index(server), self._made & 0xFFFF
        if self._pins:
            self.lb.pin((ICMP if len(target) == 4 else ICMPV6, source, ident, target, 0), server)
        self._pings[ident, seq] = target, lambda: verdict.give(True)
        ping(self.lb, source, target, ident, seq, flow=flow, tos=self._tos(server))
        self.lb.network.after(self.timeout_ns, lambda: verdict.give(False))

    def _echo(self, packet: Octets, label: Label) -> None:
        at = packet.ip.payload
        key = packet.word(at + 4), packet.word(at + 6)
        target, answered = self._pings.get(key, (b"", None))
        if answered is not None and (not self.by_address or packet.address("ip.src") == target):
            del self._pings[key]
            answered()

    def _tos(self, server: Server) -> int:
        return server.dscp.get(self.vip, 0) << 2 if self.by_address else 0

    def _connect(self, server: Server, flow: int, verdict: _Verdict) -> None:
        target, port = self._target(server)
        source = self._source(target), FIRST_PORT + PORT_STEP * self._made % (LAST_PORT + 1 - FIRST_PORT)
        if self._pins:
            self.lb.pin((TCP, *source, target, port), server)
        assert self.lb.tcp is not None
        connection = self.lb.tcp.connect(source, (target, port), flow=flow, tos=self._tos(server))
        connection.about = f"health check of {server.name}"
        received = bytearray()

        def opened(one: Connection) -> None:
            if self.kind == "tcp":
                verdict.give(True)
                one.close()
            else:
                one.send(page_request(target, port, self.path))

        def closed(one: Connection, reason: str) -> None:
            verdict.give(reason == "fin" and received.startswith(b"HTTP/1.1 200"))
            if reason == "fin":
                one.close()

        def expired() -> None:
            if verdict.open:
                verdict.give(False)
                connection.close()

        connection.on_open = opened
        connection.on_data = lambda _, data: received.extend(data)
        connection.on_close = closed
        connection.open()
        self.lb.network.after(self.timeout_ns, expired)


@dataclass(eq=False)
class _Verdict:
    """The outcome of one check; the first word counts."""

    server: Server
    open: bool = True

    def give(self, passed: bool) -> None:
        if self.open:
            self.open = False
            self.server.alive = passed


def page_request(target: bytes, port: int, path: str) -> bytes:
    """The GET of a check: by address, since no virtual host is configured."""
    return f"GET {path} HTTP/1.0\r\nUser-Agent: KeepAliveClient\r\nHost: {authority(target)}:{port}\r\n\r\n".encode()


def serve_pages(host: Host, port: int, reply: bytes) -> None:
    """Answer requests with `reply`; one by HTTP/1.0 gets a short page, and the connection ends with it."""
    assert host.tcp is not None

    def accept(connection: Connection) -> None:
        received = bytearray()

        def read(one: Connection, data: bytes) -> None:
            received.extend(data)
            if not received.endswith(b"\r\n\r\n"):
                return
            once = b" HTTP/1.0\r\n" in received
            received.clear()
            host.network.after(MILLISECOND, lambda: answer(one, once))

        connection.on_data = read
        connection.on_close = lambda one, reason: one.close() if reason == "fin" else None

    def answer(one: Connection, once: bool) -> None:
        one.send(http_reply(PAGE) if once else reply)
        if once:
            one.close()

    host.tcp.listen(port, accept)
