"""VRRP advertisements against what keepalived and other routers sent."""

from __future__ import annotations

import doctest
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from dsrkit.craft.packets import vrrp
from dsrkit.errors import UsageError

VECTORS = Path(os.environ.get("DSRKIT_VECTORS", Path(__file__).parents[3] / "shared" / "vectors"))
TCPDUMP = VECTORS / "tcpdump" / "captures" / "vrrp.pcap"
PBB = VECTORS / "zeek" / "captures" / "pbb.pcap"
needs_vectors = pytest.mark.skipif(not TCPDUMP.exists(), reason=f"no third-party vectors: {TCPDUMP} is not there")


def frames(pcap: Path) -> list[bytes]:
    """The packets of a classic little- or big-endian pcap file."""
    data = pcap.read_bytes()
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    out, at = [], 24
    while at < len(data):
        (length,) = struct.unpack_from(order + "I", data, at + 8)
        out.append(data[at + 16 : at + 16 + length])
        at += 16 + length
    return out


# garp-keepalived-crash, tap B_router: the master's seventh advertisement and the backup's first
MASTER = "01005e000012021b0000010b080045c0002800070000ff701882c000020ae0000012213396010001866" + (
    "5c00002640000000000000000"
)
BACKUP = "01005e000012021b0000020b080045c0002800010000ff701887c000020be0000012213364010001b86" + (
    "5c00002640000000000000000"
)


@pytest.mark.parametrize(
    ("recorded", "src", "mac", "priority", "ident"),
    [
        (MASTER, "192.0.2.10", "02:1b:00:00:01:0b", 150, 7),
        (BACKUP, "192.0.2.11", "02:1b:00:00:02:0b", 100, 1),
    ],
    ids=["master", "backup"],
)
def test_version_2_is_the_recorded_frame(recorded: str, src: str, mac: str, priority: int, ident: int) -> None:
    made = vrrp.advertisement(51, priority, ["192.0.2.100"], src, src_mac=mac, ident=ident)
    assert made.hex() == recorded


# routers of tcpdump's tests: TOS 0, id 0x1234, frames padded to 60 octets
PUBLISHED: list[dict[str, Any]] = [
    {
        "vrid": 42,
        "addresses": ["10.4.42.1", "10.4.42.2", "10.4.42.3"],
        "password": "abcdefgh",
        "interval": 10,
    },
    {"vrid": 43, "addresses": ["10.4.43.150"], "interval": 10},
    {"vrid": 44, "addresses": ["10.4.44.100", "10.4.44.200"], "interval": 10, "version": 3},
]


@needs_vectors
@pytest.mark.parametrize("frame", range(len(PUBLISHED)))
def test_published_frame(frame: int) -> None:
    made = vrrp.advertisement(src="10.0.0.91", priority=191, tos=0, ident=0x1234, **PUBLISHED[frame])
    assert made.ljust(60, b"\0") == frames(TCPDUMP)[frame].ljust(60, b"\0")


@needs_vectors
def test_published_frame_of_a_provider_backbone() -> None:
    made = vrrp.advertisement(51, 200, ["10.199.245.1"], "10.199.245.2", interval=10, ident=0x496E)
    assert made[6:] in frames(PBB)[3]


def test_release_is_priority_0() -> None:
    made = vrrp.advertisement(51, vrrp.RELEASE, ["192.0.2.100"], "192.0.2.10", ident=7)
    assert made[36] == 0
    assert made[40:42].hex() == "1c66"  # 0x8665 + 0x9600


def test_virtual_mac_is_the_default() -> None:
    assert vrrp.advertisement(51, 100, ["192.0.2.100"], "192.0.2.10")[6:12].hex(":") == "00:00:5e:00:01:33"
    made = vrrp.advertisement(51, 100, ["fe80::1"], "fe80::2", version=3)
    assert made[:14].hex() == "333300000012" + "00005e000233" + "86dd"


def test_version_3_over_ipv6() -> None:
    made = vrrp.advertisement(51, 100, ["fe80::1", "2001:db8::100"], "fe80::2", version=3, interval=0.5)
    assert made[14:22].hex() == "6c000000" + "0028" + "70" + "ff"
    assert made[22:54].hex() == "fe800000000000000000000000000002" + "ff020000000000000000000000000012"
    assert made[54:60].hex() == "313364020032"
    assert made[62:].hex() == "fe800000000000000000000000000001" + "20010db8000000000000000000000100"


def test_unicast_peer() -> None:
    made = vrrp.advertisement(51, 100, ["192.0.2.100"], "192.0.2.10", peer=("192.0.2.11", "02:1b:00:00:02:0b"))
    assert made[:6].hex(":") == "02:1b:00:00:02:0b"
    assert made[30:34].hex() == "c000020b"


def test_vlan_tag_stands_after_the_addresses() -> None:
    plain = vrrp.advertisement(51, 100, ["192.0.2.100"], "192.0.2.10")
    tagged = vrrp.advertisement(51, 100, ["192.0.2.100"], "192.0.2.10", vlan=12)
    assert tagged == plain[:12] + bytes.fromhex("8100000c") + plain[12:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vrid": 0}, "virtual router id is 0, not within 1 to 255"),
        ({"priority": 256}, "priority is 256, not within 0 to 255"),
        ({"addresses": []}, "number of addresses is 0"),
        ({"addresses": ["2001:db8::1"]}, "2001:db8::1 is an IPv6 address, and IPv4 is needed here"),
        ({"version": 4}, "there is no VRRP version 4 for IPv4"),
        ({"src": "fe80::1", "addresses": ["fe80::2"]}, "there is no VRRP version 2 for IPv6"),
        ({"interval": 0.5}, "VRRP version 2 counts whole seconds between advertisements, not 0.5"),
        ({"version": 3, "interval": 41}, "hundredths of seconds between advertisements is 4100, not within 1 to 4095"),
        ({"version": 3, "password": "x"}, "VRRP version 3 has no passwords"),
        ({"password": "123456789"}, "a VRRP password has at most 8 octets, not 9"),
    ],
)
def test_mistakes(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"vrid": 51, "priority": 100, "addresses": ["192.0.2.100"], "src": "192.0.2.10"}
    with pytest.raises(UsageError) as caught:
        vrrp.advertisement(**good | change)
    assert str(caught.value).startswith(message)


def test_examples() -> None:
    outcome = doctest.testmod(vrrp)
    assert outcome.attempted
    assert not outcome.failed
