"""What a machine's TCP does about things that a capture of a healthy connection does not show."""

from __future__ import annotations

import pytest

from dsrkit import craft
from dsrkit.craft.forward import Workbench
from dsrkit.craft.packets import ip
from dsrkit.craft.packets.octets import Octets

DEAD, ALIVE = "closed", "syn-sent"


@pytest.mark.parametrize(
    ("version", "kind", "code", "quoted", "state"),
    [
        (4, 3, 1, "tcp", DEAD),
        (4, 3, 3, "tcp", DEAD),
        (4, 11, 0, "tcp", DEAD),
        (4, 12, 0, "tcp", DEAD),
        (4, 3, 4, "tcp", ALIVE),  # too big: path-MTU discovery
        (4, 5, 1, "tcp", ALIVE),  # a redirect (tcp_v4_err leaves)
        (4, 4, 0, "tcp", ALIVE),  # source quench (RFC 6633)
        (4, 3, 3, "udp", ALIVE),  # a datagram between the same ports
        (6, 1, 4, "tcp", DEAD),
        (6, 3, 0, "tcp", DEAD),
        (6, 2, 0, "tcp", ALIVE),
        (6, 1, 4, "udp", ALIVE),
    ],
)
def test_only_an_error_about_tcp_ends_a_handshake(version: int, kind: int, code: int, quoted: str, state: str) -> None:
    world = Workbench(craft("l2dsr", ip=version).spec).world
    client, vip = world.client, world.vips[0]
    own, router = client.address(version), world.hosts["r1"].address(version)
    assert client.tcp is not None
    connection = client.tcp.connect((own, 40000), (vip, 80))
    connection.open()
    sent, ports = ip.Header(own, vip, 64, 0, 1), (40000, 80)
    about = ip.tcp(sent, ports, seq=connection.isn, flags="S") if quoted == "tcp" else ip.udp(sent, ports, b"12345678")
    error = ip.icmp_error(ip.Header(router, own, 64, 0, 1), kind, code, about, mtu=1400)
    ethertype = b"\x08\x00" if version == 4 else b"\x86\xdd"
    for hear in client.icmp_listeners:
        hear(Octets(bytes(12) + ethertype + error), kind, code, client.network.label())
    assert connection.state == state
