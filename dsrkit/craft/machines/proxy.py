"""A load balancer that ends connections: one session with the client, one with a server, octets carried between them.

Every field of the second session is the proxy's own: address, port, sequence numbers, ids, timestamps, TTL. What tells
the server about the client travels in the payload.

Source: recorded l7-haproxy-tcp-proxyv2 and b14 (HAProxy 2.6, Linux 6.1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from dsrkit.craft.machines.balancer import Key, Server
from dsrkit.craft.machines.conversations import HEAD_END, http_reply
from dsrkit.craft.machines.host import Host
from dsrkit.craft.machines.network import SECOND, Network
from dsrkit.craft.machines.tcp import Connection
from dsrkit.craft.packets.octets import TCP, address_text, version_of

TURN: Final = 200_000
"""Nanoseconds until a busy event loop gets to a socket again; what arrived meanwhile is carried on together."""
RETRIES: Final = 3  # HAProxy's `retries`
RETRY_AFTER: Final = SECOND
CONNECT_TIMEOUT: Final = 5 * SECOND
LOWEST_PORT, HIGHEST_PORT = 32768, 60999  # net.ipv4.ip_local_port_range


def client_of(front: Connection) -> tuple[bytes, int, bytes, int]:
    """The client's address and port, and those that it asked for."""
    vip, vport, client, port = front.ends
    return client, port, vip, vport


class Proxy(Host):
    """A load balancer in mode `l7`.

    `greeting` are the octets that a server hears first, in a segment of their own (a PROXY header); `amend` changes the
    head of a request, which makes the proxy wait for it before it chooses a server. `patient` proxies keep a session
    with the client when the server ends its own.
    """

    role = "lb"

    def __init__(self, name: str, network: Network) -> None:
        super().__init__(name, network)
        self.services: dict[int, int] = {}  # port of the VIP → the servers'
        self.vips: list[bytes] = []
        self.servers: list[Server] = []
        self.greeting: Callable[[Server, Connection], bytes] = lambda server, front: b""
        self.amend: Callable[[bytes, Connection], bytes] | None = None
        self.transparent: Callable[[Server], bool] = lambda server: False  # has the client's address at this server
        self.patient = False
        self.choose: Callable[[Key], Server | None] = self._round_robin
        self._turn = 0
        self._ports: dict[tuple[bytes, int], int] = {}

    def serve(self) -> None:
        """Listen on every port of the VIP."""
        assert self.tcp is not None
        for port in self.services:
            self.tcp.listen(port, self._accept, addresses=set(self.vips))

    def _accept(self, front: Connection) -> None:
        client, port, vip, vport = client_of(front)
        server = self.choose((TCP, client, port, vip, vport))
        if server is not None:
            _Relay(self, front, server).attend()

    def _round_robin(self, key: Key) -> Server | None:
        alive = [server for server in self.servers if server.alive]
        self._turn += 1
        return alive[(self._turn - 1) % len(alive)] if alive else None

    def source(self, server: Server, front: Connection) -> tuple[bytes, int]:
        """Where a session with a server comes from."""
        client, port, vip, vport = client_of(front)
        if self.transparent(server):
            return client, port
        remote = self.address_of(server, vip)
        found = self.route(remote)
        version = version_of(vip)
        own = found[0].source(version) if found is not None else None
        return own or self.address(version), self._ephemeral(remote, self.services[vport])

    @staticmethod
    def address_of(server: Server, vip: bytes) -> bytes:
        """The server's address in the family of a VIP."""
        return server.addresses[version_of(vip)]

    def _ephemeral(self, address: bytes, port: int) -> int:
        """An even port, some way after the last one to the same server (inet_hashtables.c __inet_hash_connect)."""
        last = self._ports.get((address, port))
        random = self.network.random
        if last is None:
            found = random.randrange(LOWEST_PORT, HIGHEST_PORT, 2)
        else:
            found = last + 2 + 2 * random.randrange(8)
        if found > HIGHEST_PORT:
            found = LOWEST_PORT
        self._ports[address, port] = found
        return found


@dataclass(eq=False)
class _Relay:
    """The two sessions of a connection, and what waits to be carried over."""

    proxy: Proxy
    front: Connection
    server: Server
    back: Connection | None = None
    head: bytearray = field(default_factory=bytearray)  # of a request that is not complete
    request: bytearray = field(default_factory=bytearray)
    reply: bytearray = field(default_factory=bytearray)
    attempts: int = 0

    def attend(self) -> None:
        self.front.on_data = self._asked
        self.front.on_close = self._client_closed
        if self.proxy.amend is None:
            self.front.on_open = lambda _: self._connect()

    def _soon(self, action: Callable[[], None], delay: int = TURN) -> None:
        self.proxy.network.after(delay, action)

    # --- from the client ------------------------------------------------------------------------------------------

    def _asked(self, front: Connection, data: bytes) -> None:
        if self.proxy.amend is None:
            self.request += data
        else:
            self.head += data
            while (end := self.head.find(HEAD_END)) >= 0:
                end += len(HEAD_END)
                self.request += self.proxy.amend(bytes(self.head[:end]), front)
                del self.head[:end]
            if self.back is None and self.request:
                self._connect()
        self._soon(self._carry_request)

    def _carry_request(self) -> None:
        if self.request and self.back is not None and self.back.state in ("established", "close-wait"):
            self.back.send(bytes(self.request))
            self.request.clear()

    def _client_closed(self, front: Connection, reason: str) -> None:
        if self.back is None:
            front.close()
        elif reason == "fin":
            self._soon(self.back.close)
        elif self.back.state != "closed":
            self._soon(self.back.abort)

    # --- to the server and back -----------------------------------------------------------------------------------

    def _connect(self) -> None:
        self._soon(self._open)

    def _open(self) -> None:
        proxy, (_, _, vip, vport) = self.proxy, client_of(self.front)
        assert proxy.tcp is not None
        if self.front.state == "closed":
            return
        self.attempts += 1
        remote = (proxy.address_of(self.server, vip), proxy.services[vport])
        self.back = proxy.tcp.connect(proxy.source(self.server, self.front), remote, flow=self.front.flow)
        self.back.on_open = self._opened
        self.back.on_data = self._answered
        self.back.on_close = self._server_closed
        self.back.open()
        self._soon(partial(self._too_late, self.back), CONNECT_TIMEOUT)

    def _too_late(self, back: Connection) -> None:
        """Nobody has answered: let go of the session without a word, and try another."""
        if back.state == "syn-sent":
            back.forsake()
            self._refused(wait=0)

    def _opened(self, back: Connection) -> None:
        def greet() -> None:
            if greeting := self.proxy.greeting(self.server, self.front):
                back.send(greeting)
            self._soon(self._carry_request)

        self._soon(greet)

    def _answered(self, back: Connection, data: bytes) -> None:
        if not self.reply:
            self._soon(self._carry_reply)
        self.reply += data

    def _carry_reply(self) -> None:
        data = bytes(self.reply)
        self.reply.clear()
        if data and self.front.state in ("established", "close-wait"):
            self.front.send(data)

    def _server_closed(self, back: Connection, reason: str) -> None:
        if reason == "fin" and self.proxy.patient:
            return
        if reason in ("refused", "timeout"):
            self._refused()
        elif reason == "reset" and self.proxy.patient:
            self._soon(self.front.abort)
        else:
            self._soon(self.front.close)

    def _refused(self, wait: int = RETRY_AFTER) -> None:
        """Try again, then give up: with a 503 where the proxy speaks HTTP, else without a word (recorded b48)."""
        if self.attempts <= RETRIES:
            self._soon(self._open, wait)
            return
        if self.proxy.amend is not None:
            self.front.send(UNAVAILABLE)
        self.front.close()


UNAVAILABLE: Final = http_reply(220, "503 Service Unavailable")


def forwarded_for(head: bytes, front: Connection) -> bytes:
    """A request's head with the client's address in it, names of header fields in lower case as HAProxy writes them."""
    start, *fields = head[: -len(HEAD_END)].split(b"\r\n")
    lowered = [name.lower() + colon + value for name, colon, value in (one.partition(b":") for one in fields)]
    told = f"x-forwarded-for: {address_text(client_of(front)[0])}".encode()
    return b"\r\n".join([start, *lowered, told]) + HEAD_END
