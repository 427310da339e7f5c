"""A proxy on the load balancer: two sessions, and the client's address handed on in the payload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dsrkit.craft.machines.balancer import Server
from dsrkit.craft.machines.conversations import HEAD_END, authority, get, http_reply, http_request, source_of
from dsrkit.craft.machines.host import Host
from dsrkit.craft.machines.network import MILLISECOND
from dsrkit.craft.machines.proxy import client_of, forwarded_for
from dsrkit.craft.machines.tcp import Connection
from dsrkit.craft.machines.world import World
from dsrkit.craft.modes.base import ModeDriver
from dsrkit.craft.modes.rewriting import start_of
from dsrkit.craft.options import Options
from dsrkit.craft.packets import proxy as header
from dsrkit.craft.packets.octets import address_text
from dsrkit.craft.preset import preset as usual
from dsrkit.errors import UsageError
from dsrkit.model.names import Mode, Profile
from dsrkit.model.spec import Spec

BAD_REQUEST: Final = http_reply(180, "400 Bad Request")
SIGNATURES: Final = (header.SIGNATURE, b"PROXY ")

_TLVS: Final[dict[str, Callable[[str], bytes]]] = {
    "authority": header.authority,
    "alpn": header.alpn,
    "unique-id": lambda text: header.unique_id(text.encode()),
    "netns": header.netns,
    "ssl": lambda text: header.ssl(version=text),
    "noop": lambda text: header.noop(_length(text)),
}


def _length(text: str) -> int:
    if not text.isdecimal():
        raise UsageError(f"--proxy-tlv noop={text}: must be a number of octets")
    return int(text)


def tlvs(options: Options) -> tuple[bytes, ...]:
    """The TLVs that were asked for, the checksum's first as HAProxy puts it (make_proxy_line_v2).

    Raises: UsageError for an unknown name.
    """
    found = [header.CRC32C] if options.crc32c else []
    for one in options.proxy_tlv:
        name, equals, text = one.partition("=")
        if not equals or name not in _TLVS:
            raise UsageError(f"--proxy-tlv: {one!r} is not NAME=VALUE with one of the names {', '.join(_TLVS)}")
        found.append(_TLVS[name](text))
    return tuple(found)


def greeting(version: int | None, extra: tuple[bytes, ...] = ()) -> Callable[[Server, Connection], bytes]:
    """What the proxy tells a server first: a PROXY header of a version, or nothing."""

    def tell(server: Server, front: Connection) -> bytes:
        client, port, vip, vport = client_of(front)
        ends = address_text(client), port, address_text(vip), vport
        if version is None:
            return b""
        return header.v1(*ends) if version == 1 else header.v2(*ends, tlvs=extra)

    return tell


def preset(mode: Mode, profile: Profile, options: Options) -> Spec:
    """The usual set-up, once the options fit together.

    Raises: UsageError for options that contradict each other.
    """
    tlvs(options)
    return usual(mode, profile, options)


def serve(server: Host, port: int, reply: bytes, *, expects: bool) -> None:
    """Answer every request; where a PROXY header is expected, it has to come first, and elsewhere it is no HTTP.

    A server that hears what it does not understand breaks off: with a 400 where it is a request, else at once.
    """
    assert server.tcp is not None

    def accept(connection: Connection) -> None:
        heard = bytearray()
        greeted = not expects

        def read(one: Connection, data: bytes) -> None:
            nonlocal greeted
            heard.extend(data)
            if not expects and bytes(heard).startswith(SIGNATURES):
                server.network.after(server.think(), one.hang_up)
                return
            if not greeted:
                length = _header_length(bytes(heard))
                if length is None:
                    server.network.after(server.think(), lambda: refuse(one))
                    return
                greeted = length > 0
                del heard[:length]
            if greeted and heard.endswith(HEAD_END):
                heard.clear()
                server.network.after(MILLISECOND, lambda: one.send(reply))

        def refuse(one: Connection) -> None:
            one.send(BAD_REQUEST)
            one.hang_up()

        connection.on_data = read
        connection.on_close = lambda one, reason: one.close() if reason == "fin" else None

    server.tcp.listen(port, accept)


def _header_length(heard: bytes) -> int | None:
    """How long the PROXY header is that a stream starts with: 0 while it is not complete, None if it is none."""
    if heard.startswith(header.SIGNATURE):
        if len(heard) < 16:
            return 0
        length = 16 + int.from_bytes(heard[14:16], "big")
        return length if len(heard) >= length else 0
    if heard.startswith(b"PROXY "):
        return heard.find(b"\r\n") + 2 if b"\r\n" in heard else 0
    return 0 if any(one.startswith(heard) for one in SIGNATURES) else None


def prepare(world: World, options: Options) -> bytes:
    """Have the servers serve and the proxy listen; returns the request that clients are to send."""
    proxy = world.proxy
    proxy.greeting = greeting(options.proxy, tlvs(options))
    proxy.amend = forwarded_for if options.xff else None
    proxy.serve()
    reply = http_reply(options.reply)
    for server in world.servers:
        for port in proxy.services.values():
            serve(server, port, reply, expects=options.proxy is not None)
    for host in (world.client, proxy, *world.servers):
        assert host.tcp is not None
        host.tcp.ecn = options.ecn
    return http_request(authority(world.vips[0]), options.request)


def drive(world: World, options: Options, flows: int) -> None:
    """Connections from the clients to the proxy, at the rate asked for."""
    request = prepare(world, options)
    for number in range(flows):
        world.network.after(start_of(number, options), connect, world, options, request, number)


def connect(world: World, options: Options, request: bytes, number: int) -> None:
    """One request and its reply."""
    vip = world.vips[0]
    get(
        world.client,
        source_of(world.clients(len(vip)), number),
        (vip, options.port),
        request,
        len(http_reply(options.reply)),
        flow=number,
        tos=options.client_dscp << 2,
    )


L7 = ModeDriver(preset, drive, alone=True)
