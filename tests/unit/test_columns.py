"""Columns under Wireshark's names: numbering of layers, absence, aliases, near matches."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from dsrkit.wire import capture, columns, layout
from dsrkit.wire.address import ip_halves, ip_text, mac_int, mac_text

sys.path.insert(0, str(Path(__file__).parent))
import capture_files as make

V4 = make.ipv4(make.tcp(b"data", options=bytes.fromhex("020405b4")), 6, ttl=9, tos=0x1C)
V6 = make.ipv6(make.udp(b"x", "2001:db8::1", "2001:db8::2"), 17)
FRAMES = [
    make.ethernet(V4),
    make.ethernet(make.ipv4(V4, 4, "10.0.0.1", "10.0.0.2")),
    make.ethernet(make.ipv6(V4, 4, "2001:db8::a", "2001:db8::b"), 0x86DD, ((0x8100, 0x2005),)),
    make.ethernet(make.ipv4(make.udp(V6, "10.0.0.1", "10.0.0.2", dport=6080), 17, "10.0.0.1", "10.0.0.2")),
    make.ethernet(make.ipv4(struct.pack("!HHI", 0x2000, 0x0800, 77) + V4, 47, "10.0.0.1", "10.0.0.2")),
    make.ethernet(make.ipv4(make.icmp(3, 4, 1400, make.ipv4(V4, 4, "10.0.0.1", "10.0.0.2")), 1)),
    make.ethernet(struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + bytes(range(20)), 0x0806),
    make.ethernet(V4[:30]),
]


def decoded(fields: list[str] | None = None) -> columns.Columns:
    return columns.decode(capture.read(io.BytesIO(make.pcap(FRAMES))), fields=fields)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("ip.dst", ["198.51.100.1", "10.0.0.2"] * 2 + ["10.0.0.2", "198.51.100.1", "", "198.51.100.1"]),
        ("ip.dst#2", ["", "198.51.100.1", "", "", "198.51.100.1", "", "", ""]),
        ("ipv6.src", ["", "", "2001:db8::a", "2001:db8::1", "", "", "", ""]),
        ("ip.ttl#2", ["", "9", "", "", "9", "", "", ""]),
        ("ip.dsfield.dscp#2", ["", "7", "", "", "7", "", "", ""]),
        ("ip.flags.df#1", ["1", "1", "1", "1", "1", "1", "", "1"]),
        ("outer.ttl", ["9", "64", "64", "64", "64", "64", "", "9"]),
        ("inner.ttl", ["9", "9", "9", "64", "9", "64", "", "9"]),
        ("inner.dst", ["198.51.100.1"] * 3 + ["2001:db8::2", "198.51.100.1", "198.51.100.1", "", "198.51.100.1"]),
        ("tcp.dstport", ["80", "80", "80", "", "80", "", "", ""]),
        ("tcp.options.mss_val", ["1460", "1460", "1460", "", "1460", "", "", ""]),
        ("udp.dstport#1", ["", "", "", "6080", "", "", "", ""]),
        ("udp.dstport#2", ["", "", "", "53", "", "", "", ""]),
        ("inner.dstport", ["80", "80", "80", "53", "80", "", "", ""]),
        ("vlan.id", ["", "", "5", "", "", "", "", ""]),
        ("vlan.priority", ["", "", "1", "", "", "", "", ""]),
        ("gre.key", ["", "", "", "", "77", "", "", ""]),
        ("gre.proto", ["", "", "", "", "2048", "", "", ""]),
        ("icmp.mtu", ["", "", "", "", "", "1400", "", ""]),
        ("quoted.dst", ["", "", "", "", "", "10.0.0.2", "", ""]),
        ("quoted.inner.dst", ["", "", "", "", "", "198.51.100.1", "", ""]),
        ("quoted.dstport", ["", "", "", "", "", "80", "", ""]),
        ("arp.opcode", ["", "", "", "", "", "", "1", ""]),
        ("arp.src.hw_mac", ["", "", "", "", "", "", "00:01:02:03:04:05", ""]),
        ("arp.src.proto_ipv4", ["", "", "", "", "", "", "6.7.8.9", ""]),
        ("eth.src", ["02:00:00:00:00:01"] * 8),
    ],
)  # fmt: skip
def test_values(name: str, texts: list[str]) -> None:
    c = decoded()
    assert c.text(name) == texts
    assert c.present(name).tolist() == [text != "" for text in texts]
    alone = decoded([name])
    assert alone.text(name) == texts
    assert (c[name][~c.present(name)] == np.zeros(1, c[name].dtype)).all()


def test_presence_of_layers() -> None:
    c = decoded()
    assert c.present("ip#2").tolist() == [False, True, False, False, True, False, False, False]
    assert c.present("ipv6").tolist() == [False, False, True, True, False, False, False, False]
    assert c.present("ip#5").sum() == 0
    assert c.present("tcp#2").sum() == 0


def test_defects_and_numbers() -> None:
    c = decoded(["defects"])
    assert c.frame_number.tolist() == list(range(1, 9))
    (found,) = c.defects
    assert found["frame_number"] == 8
    assert (found["kind"], found["layer"]) == (layout.DEFECT_LENGTH, layout.LAYER_IP)
    assert (found["need"], found["have"], found["by"]) == (48, 30, layout.BY_IP_LEN)


@pytest.mark.parametrize("name", sorted(columns.FIELDS))
def test_every_field_can_be_read_and_has_a_source(name: str) -> None:
    c = decoded([name])
    assert len(c[name]) == len(c.present(name)) == len(c.text(name)) == len(FRAMES)
    assert columns.FIELDS[name].source


def test_unknown_names_have_near_matches() -> None:
    c = decoded()
    with pytest.raises(KeyError, match=r"ip\.dst"):
        c["ip.dts#2"]
    with pytest.raises(KeyError, match=r"tcp\.seq"):
        decoded(["tcp.seqq"])
    with pytest.raises(KeyError, match="near: tcp"):
        c.present("tcpp")
    for name in ("ip.dst#0", "ip.dst#x", "ip.dst#"):
        with pytest.raises(KeyError, match="number"):
            c[name]
    with pytest.raises(KeyError, match="not asked for"):
        decoded(["ip.dst"])["tcp.seq"]


def test_an_empty_capture_has_empty_columns() -> None:
    c = columns.decode(capture.read(io.BytesIO(make.pcap([]))))
    assert len(c) == len(c["ip.dst"]) == len(c.defects) == 0


@pytest.mark.parametrize("text", ["10.0.0.1", "2001:db8::1", "::", "fe80::1:2", "255.255.255.255"])
def test_addresses_there_and_back(text: str) -> None:
    assert ip_text(*ip_halves(text)) == text


def test_macs_there_and_back() -> None:
    assert mac_text(mac_int("02-00-00-00-0A-01")) == "02:00:00:00:0a:01"
    for bad in ("02:00:00:00:00", "02:00:00:00:00:0g", "", "02:00-00:00:00:01", "1:2:3:4:5:6:7"):
        with pytest.raises(ValueError, match="MAC"):
            mac_int(bad)
