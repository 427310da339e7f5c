"""What tshark reads in frames that were built here: the layers that were meant, sums that hold, nothing malformed."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from dsrkit.craft.packets import arp, dns, nd, proxy, vrrp
from dsrkit.craft.packets.headers import ETHERTYPE_IPV4, ethernet, internet_checksum, ip, ipv4, pseudo_header

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")

VIP, VIP6, MAC = "192.0.2.100", "2001:db8:b::100", "02:1b:00:00:01:0b"
NAME = "www.lab.example"
V4_FORMS = [name for name, form in arp.FORMS.items() if form.ipv4]
V6_FORMS = [name for name, form in arp.FORMS.items() if form.ipv6]


def tshark(folder: Path, frames: Sequence[bytes], *fields: str) -> list[list[str]]:
    """Fields of every frame; several values of one field are joined by a comma."""
    pcap = folder / "built.pcap"
    records = (struct.pack("<IIII", n, 0, len(frame), len(frame)) + frame for n, frame in enumerate(frames))
    pcap.write_bytes(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records))
    options = [part for layer in ("ip", "tcp", "udp") for part in ("-o", f"{layer}.check_checksum:TRUE")]
    options += ["-o", "tcp.try_heuristic_first:TRUE"]  # PROXY before HTTP on port 80
    wanted = [part for field in fields for part in ("-e", field)]
    command = ["tshark", "-n", "-r", str(pcap), *options, "-T", "fields", *wanted]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split("\t") for line in text.splitlines()]


def clean(folder: Path, frames: Sequence[bytes]) -> None:
    """No frame is malformed, cut or has a wrong sum."""
    complaints = ("_ws.malformed", "_ws.short", "_ws.expert.severity")
    bad = ("ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "icmpv6.checksum.status")
    for row in tshark(folder, frames, *complaints, *bad, "vrrp.checksum.status"):
        malformed, short, severity, *sums = row
        assert not malformed
        assert not short
        assert all(int(level) < 0x600000 for level in severity.split(",") if level)
        assert set(sums) <= {"", "1"}


def segment(payload: bytes, sport: int, dport: int) -> bytes:
    """TCP with a payload, in IPv4 in Ethernet."""
    start = struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 5 << 4, 0x18, 64240, 0, 0)
    covered = pseudo_header(ip("192.0.2.1"), ip(VIP), len(start) + len(payload), 6) + start + payload
    tcp = start[:16] + struct.pack("!H", internet_checksum(covered)) + start[18:] + payload
    return ethernet(MAC, "02:aa:00:00:00:0b", ETHERTYPE_IPV4, ipv4("192.0.2.1", VIP, 6, tcp))


def datagram(payload: bytes, sport: int, dport: int) -> bytes:
    """UDP with a payload, in IPv4 in Ethernet."""
    start = struct.pack("!HHH", sport, dport, 8 + len(payload))
    covered = pseudo_header(ip("192.0.2.1"), ip(VIP), 8 + len(payload), 17) + start + b"\0\0" + payload
    udp = start + struct.pack("!H", internet_checksum(covered)) + payload
    return ethernet(MAC, "02:aa:00:00:00:0b", ETHERTYPE_IPV4, ipv4("192.0.2.1", VIP, 17, udp))


@pytest.mark.parametrize("vlan", [None, 100])
def test_gratuitous_arp(tmp_path: Path, vlan: int | None) -> None:
    made = [(name, frame) for name in V4_FORMS for _, frame in arp.announcements(name, VIP, MAC, vlan=vlan)]
    frames = [frame for _, frame in made]
    layers = "eth:ethertype:vlan:ethertype:arp" if vlan else "eth:ethertype:arp"
    clean(tmp_path, frames)
    rows = tshark(tmp_path, frames, "frame.protocols", "arp.src.proto_ipv4", "vlan.id", "arp.isgratuitous")
    assert rows == [[layers, VIP, str(vlan or ""), "" if name in ("send-arp", "seesaw") else "1"] for name, _ in made]


@pytest.mark.parametrize("vlan", [None, 100])
def test_unsolicited_advertisements(tmp_path: Path, vlan: int | None) -> None:
    frames = [frame for name in V6_FORMS for _, frame in arp.announcements(name, VIP6, MAC, vlan=vlan)]
    clean(tmp_path, frames)
    rows = tshark(
        tmp_path, frames, "vlan.id", "icmpv6.type", "icmpv6.nd.na.target_address", "icmpv6.opt.linkaddr", "ipv6.hlim"
    )
    assert {tuple(row) for row in rows} == {(str(vlan or ""), "136", VIP6, MAC, "255")}


def test_neighbour_discovery(tmp_path: Path) -> None:
    frames = [
        nd.solicitation(VIP6, "2001:db8:b::1", MAC),
        nd.solicitation(VIP6, "2001:db8:b::1", MAC, dst=VIP6, dst_mac="02:aa:00:00:00:0b"),
        nd.advertisement(VIP6, MAC, dst="2001:db8:b::1", dst_mac="02:aa:00:00:00:0b", router=True),
        nd.unsolicited(VIP6, MAC),
        nd.duplicate_detection(VIP6, MAC),
        nd.duplicate_detection(VIP6, MAC, nonce=b"\1\2\3\4\5\6"),
    ]
    clean(tmp_path, frames)
    rows = tshark(tmp_path, frames, "icmpv6.type", "ipv6.src", "ipv6.dst", "icmpv6.opt.type")
    group = "ff02::1:ff00:100"
    assert rows == [
        ["135", "2001:db8:b::1", group, "1"],
        ["135", "2001:db8:b::1", VIP6, "1"],
        ["136", VIP6, "2001:db8:b::1", "2"],
        ["136", VIP6, "ff02::1", "2"],
        ["135", "::", group, ""],
        ["135", "::", group, "14"],
    ]


def test_vrrp(tmp_path: Path) -> None:
    frames = [
        vrrp.advertisement(51, 150, [VIP], "192.0.2.10"),
        vrrp.advertisement(51, 0, [VIP, "192.0.2.101"], "192.0.2.10", version=3),
        vrrp.advertisement(51, 100, ["fe80::1", VIP6], "fe80::2", version=3, interval=0.25),
        vrrp.advertisement(51, 100, [VIP], "192.0.2.10", peer=("192.0.2.11", MAC), password="secret", vlan=9),
    ]
    clean(tmp_path, frames)
    rows = tshark(
        tmp_path, frames, "vrrp.version", "vrrp.prio", "vrrp.checksum.status", "vrrp.ip_addr", "vrrp.ipv6_addr"
    )
    assert rows == [
        ["2", "150", "1", VIP, ""],
        ["3", "0", "1", f"{VIP},192.0.2.101", ""],
        ["3", "100", "1", "", f"fe80::1,{VIP6}"],
        ["2", "100", "1", VIP, ""],
    ]


def test_proxy(tmp_path: Path) -> None:
    tls = proxy.ssl(
        3, version="TLSv1.3", common_name="me", cipher="TLS_AES_128_GCM_SHA256", signature="SHA256", key="RSA2048"
    )
    tlvs = [
        proxy.CRC32C,
        proxy.alpn("h2"),
        proxy.authority(NAME),
        proxy.unique_id(b"id"),
        tls,
        proxy.netns("n"),
        proxy.noop(16),  # tshark 4.0 leaves out what starts within the last 16 octets
    ]
    headers = [
        proxy.v1("198.51.100.10", 40000, VIP, 80),
        proxy.v2("198.51.100.10", 40000, VIP, 80, tlvs=tlvs),
        proxy.v2("2001:db8:a::10", 40000, VIP6, 80, transport="udp"),
        proxy.v2_unspecified(),
    ]
    frames = [segment(header, 1000 + n, 80) for n, header in enumerate(headers)]
    clean(tmp_path, frames)
    rows = tshark(tmp_path, frames, "proxy.version", "proxy.src.ipv4", "proxy.src.ipv6", "proxy.v2.tlv.type")
    assert rows == [
        ["", "198.51.100.10", "", ""],  # tshark shows no version of the line
        ["2", "198.51.100.10", "", "0x03,0x01,0x02,0x05,0x20,0x21,0x22,0x23,0x24,0x25,0x30,0x04"],
        ["2", "", "2001:db8:a::10", ""],
        ["2", "", "", ""],
    ]


def test_dns(tmp_path: Path) -> None:
    alias = (dns.Record(NAME, "CNAME", "web.lab.example", 60), *dns.addresses("web.lab.example", [VIP6], ttl=7))
    frames = [
        datagram(dns.query(NAME, ident=1, edns=1232), 40000, 53),
        datagram(dns.response(NAME, answers=dns.addresses(NAME, ["192.0.2.2", "192.0.2.1"]), ident=1), 53, 40000),
        datagram(dns.response(NAME, "AAAA", alias, ident=2, edns=1232), 53, 40001),
        datagram(dns.response(NAME, ident=3, rcode="NXDOMAIN", authoritative=True), 53, 40002),
        datagram(dns.response(NAME, ident=4, truncated=True), 53, 40003),
        segment(dns.over_tcp(dns.query(NAME, ident=4)), 40004, 53),
    ]
    clean(tmp_path, frames)
    rows = tshark(
        tmp_path,
        frames,
        "dns.id",
        "dns.flags.rcode",
        "dns.flags.truncated",
        "dns.resp.name",
        "dns.a",
        "dns.aaaa",
        "dns.cname",
        "dns.length",
    )
    assert rows == [
        ["0x0001", "", "0", "<Root>", "", "", "", ""],
        ["0x0001", "0", "0", f"{NAME},{NAME}", "192.0.2.2,192.0.2.1", "", "", ""],
        ["0x0002", "0", "0", f"{NAME},web.lab.example,<Root>", "", VIP6, "web.lab.example", ""],
        ["0x0003", "3", "0", "", "", "", "", ""],
        ["0x0004", "0", "1", "", "", "", "", ""],
        ["0x0004", "", "0", "", "", "", "", "33"],
    ]
