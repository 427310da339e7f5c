"""What clients and servers say to each other: HTTP over TCP, datagrams over UDP, pings."""

from __future__ import annotations

from collections.abc import Callable

from dsrkit.craft.machines.host import UNREACHABLE_PORT, Host
from dsrkit.craft.machines.network import MILLISECOND, Label
from dsrkit.craft.machines.tcp import Connection
from dsrkit.craft.packets import ip
from dsrkit.craft.packets.octets import Octets, address_text

FIRST_PORT = 40000
HEAD_END = b"\r\n\r\n"
LAST_PORT = 60999  # net.ipv4.ip_local_port_range
PORTS = LAST_PORT - FIRST_PORT + 1


def authority(address: bytes) -> str:
    """An address as it stands in a Host field (RFC 9110 s7.2; RFC 3986 s3.2.2)."""
    return address_text(address) if len(address) == 4 else f"[{address_text(address)}]"


def http_request(host: str, octets: int, path: str = "/", headers: tuple[str, ...] = ()) -> bytes:
    """A GET request filled up to a size; as short as it can be if that is larger."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: dsrkit", *headers]
    return _filled(lines, b"", octets)


def http_reply(octets: int, status: str = "200 OK") -> bytes:
    """A reply of a size, with a body that fills what the header leaves."""
    start = f"HTTP/1.1 {status}\r\nServer: dsrkit\r\nContent-Type: text/plain\r\nContent-Length: "
    body = max(0, octets - len(start) - 5)
    while body and len(start) + len(str(body)) + 4 + body > octets:
        body -= 1
    return (start + f"{body}\r\n\r\n").encode() + _text(body)


def _filled(lines: list[str], body: bytes, octets: int) -> bytes:
    plain = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    room = octets - len(plain) - len("X-Fill: \r\n")
    if room <= 0:
        return plain
    return ("\r\n".join([*lines, "X-Fill: " + "x" * room]) + "\r\n\r\n").encode() + body


def _text(octets: int) -> bytes:
    line = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXY\r\n"
    return (line * (octets // len(line) + 1))[:octets]


def source_of(clients: list[bytes], number: int) -> tuple[bytes, int]:
    """Client address and port of a connection: addresses in turn, ports in order."""
    return clients[number % len(clients)], FIRST_PORT + number // len(clients) % PORTS


def get(
    client: Host,
    source: tuple[bytes, int],
    service: tuple[bytes, int],
    request: bytes,
    reply_octets: int,
    *,
    flow: int,
    tos: int = 0,
    done: Callable[[Connection, str], None] | None = None,
) -> Connection:
    """A client's connection: connect, ask, read the whole reply, close."""
    return _converse(client, source, service, request, reply_octets, Connection.close, flow=flow, tos=tos, done=done)


def ask_again(
    client: Host,
    source: tuple[bytes, int],
    service: tuple[bytes, int],
    request: bytes,
    reply_octets: int,
    *,
    flow: int,
    pause_ns: int,
    tos: int = 0,
) -> Connection:
    """A client's connection that is kept open: ask, be idle, ask again, close."""
    pauses = [pause_ns]

    def read(one: Connection) -> None:
        if pauses:
            client.network.after(pauses.pop(), one.send, request)
        else:
            one.close()

    return _converse(client, source, service, request, reply_octets, read, flow=flow, tos=tos)


def _converse(
    client: Host,
    source: tuple[bytes, int],
    service: tuple[bytes, int],
    request: bytes,
    reply_octets: int,
    replied: Callable[[Connection], None],
    *,
    flow: int,
    tos: int,
    done: Callable[[Connection, str], None] | None = None,
) -> Connection:
    """A connection that asks, hands itself over after each whole reply, and closes when the server does."""
    assert client.tcp is not None
    connection = client.tcp.connect(source, service, flow=flow, tos=tos)
    received = bytearray()

    def read(one: Connection, data: bytes) -> None:
        received.extend(data)
        if len(received) >= reply_octets:
            received.clear()
            replied(one)

    def closed(one: Connection, reason: str) -> None:
        if reason == "fin":
            one.close()
        if done is not None:
            done(one, reason)

    connection.on_open = lambda one: one.send(request)
    connection.on_data = read
    connection.on_close = closed
    connection.open()
    return connection


def serve_http(
    host: Host,
    port: int,
    request_octets: int,
    reply: bytes,
    *,
    addresses: set[bytes] | None = None,
    delay_ns: int = MILLISECOND,
) -> None:
    """Answer every request on a port with the same reply, a moment after it is complete."""
    assert host.tcp is not None

    def accept(connection: Connection) -> None:
        received = bytearray()

        def read(one: Connection, data: bytes) -> None:
            received.extend(data)
            if len(received) >= request_octets:
                received.clear()
                host.network.after(delay_ns, lambda: one.send(reply))

        connection.on_data = read
        connection.on_close = lambda one, reason: one.close() if reason == "fin" else None

    host.tcp.listen(port, accept, addresses=addresses)


def ask(
    client: Host, source: tuple[bytes, int], service: tuple[bytes, int], payload: bytes, *, flow: int, tos: int
) -> None:
    """Send one datagram from a connected socket: what comes from elsewhere finds its port closed."""
    address, port = source

    def take(packet: Octets, label: Label) -> None:
        if packet.address("ip.src") != service[0]:
            client.complain(UNREACHABLE_PORT, packet.ip_packet, label)

    client.udp_ports[port] = take
    ident = client.network.random.randrange(1, 1 << 16)  # the socket's own counter (ip_select_ident)
    header = ip.Header(
        address, service[0], client.ttl, tos, ident, df=len(payload) <= 1472, flow_label=_label(client, address)
    )
    client.output(ip.udp(header, (port, service[1]), payload), client.network.label(flow))


def _label(host: Host, address: bytes) -> int:
    return host.network.random.randrange(1, 1 << 20) if len(address) == 16 else 0


def serve_udp(host: Host, port: int, octets: int, *, source: bytes | None = None) -> None:
    """Answer every datagram to a port, from the address that it was sent to unless `source` says otherwise."""

    def answer(packet: Octets, label: Label) -> None:
        src, dst, ports = packet.address("ip.src"), packet.address("ip.dst"), packet.ports
        assert ports is not None
        df, flow_label = octets <= 1472, _label(host, src)
        header = ip.Header(source or dst, src, host.ttl, 0, host.next_id(src), df=df, flow_label=flow_label)
        reply = ip.udp(header, (ports[1], ports[0]), _text(octets))
        host.network.after(MILLISECOND, lambda: host.send(reply, label))

    host.udp_ports[port] = answer


def ping(client: Host, source: bytes, target: bytes, ident: int, seq: int, *, flow: int, tos: int = 0) -> None:
    """Send one echo request of the usual 56 octets."""
    header = ip.Header(source, target, client.ttl, tos, client.next_id(target), flow_label=_label(client, source))
    body = (client.network.now // 10**6).to_bytes(8, "big") + bytes(range(16, 64))
    client.output(ip.echo(header, ident, seq, body), client.network.label(flow))
