"""Single frames taken apart: where each field stands, how layers are numbered, what sums and lengths are said to be."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import capture_files as make

from dsrkit.wire import layout
from dsrkit.wire.dissect.frame import dissect
from dsrkit.wire.dissect.tree import Dissection

SYN = make.ipv4(make.tcp(b"data", options=bytes.fromhex("020405b4")), 6, ttl=9, tos=0x1C)


def names(taken: Dissection) -> str:
    return " ".join(layer.name + ("?" if layer.quoted else "") for layer in taken.layers[1:])


def value(taken: Dissection, name: str) -> object:
    field = taken.get(name)
    assert field is not None, name
    return field.value


def test_fields_stand_where_they_stand() -> None:
    frame = make.ethernet(make.ipv4(SYN, 4, "10.0.0.1", "10.0.0.2"))
    taken = dissect(frame, 1)
    assert names(taken) == "eth ip ip tcp"
    inner = taken.get("ip.dst#2")
    assert inner is not None
    assert (inner.value, inner.start, inner.stop) == ("198.51.100.1", 50, 54)
    assert frame[inner.start : inner.stop] == bytes([198, 51, 100, 1])
    code_point = taken.get("ip.dsfield.dscp#2")
    assert code_point is not None
    assert (code_point.value, code_point.start, code_point.stop, code_point.mask) == (7, 35, 36, 0xFC)
    assert value(taken, "tcp.options.mss_val") == 1460
    assert (value(taken, "tcp.flags.syn"), value(taken, "tcp.flags.push")) == (0, 1)
    assert taken.payload == (len(frame) - 4, len(frame))
    assert taken.defect is None


def test_a_wrong_sum_is_said_with_the_right_one() -> None:
    frame = bytearray(make.ethernet(SYN))
    right = struct.unpack_from("!H", frame, 24)[0]
    frame[24:26] = b"\x12\x34"
    taken = dissect(bytes(frame), 1)
    wrong = taken.get("ip.checksum")
    assert wrong is not None
    assert wrong.remark == f"bad, right: 0x{right:04x}"
    assert value(taken, "ip.checksum.state") == layout.SUM_INVALID
    assert value(taken, "ip.checksum_calculated") == right
    good = taken.get("tcp.checksum")
    assert good is not None
    assert good.remark == "good"


def test_a_quoted_packet_is_not_counted() -> None:
    taken = dissect(make.ethernet(make.ipv4(make.icmp(3, 4, 1400, SYN), 1, "10.0.0.9", "10.0.0.1")), 1)
    assert names(taken) == "eth ip icmp ip? tcp?"
    assert value(taken, "icmp.mtu") == 1400
    assert taken.get("ip.dst#2") is None
    assert taken.get("tcp.dstport") is None
    assert [layer.number for layer in taken.layers if layer.quoted] == [1, 1]


def test_gue_of_both_variants() -> None:
    plain = make.udp(struct.pack("!BBH", 0, 4, 0) + SYN, "10.0.0.1", "10.0.0.2", dport=6080)
    taken = dissect(make.ethernet(make.ipv4(plain, 17, "10.0.0.1", "10.0.0.2")), 1)
    assert names(taken) == "eth ip udp gue ip tcp"
    assert (value(taken, "gue.version"), value(taken, "gue.proto"), value(taken, "ip.ttl#2")) == (0, 4, 9)
    bare = make.udp(SYN, "10.0.0.1", "10.0.0.2", dport=9999)
    frame = make.ethernet(make.ipv4(bare, 17, "10.0.0.1", "10.0.0.2"))
    taken = dissect(frame, 1, gue_ports=frozenset({9999}))
    assert names(taken) == "eth ip udp gue ip tcp"
    assert value(taken, "gue.version") == 1
    header = taken.layer("gue")
    assert header is not None
    assert header.start == header.stop == 42


def test_a_cut_frame_keeps_what_is_there() -> None:
    frame = make.ethernet(SYN)
    taken = dissect(frame[:44], 1, wirelen=len(frame))
    assert names(taken) == "eth ip tcp"
    assert value(taken, "tcp.seq") == struct.unpack_from("!I", frame, 38)[0]
    assert taken.get("tcp.ack") is None
    assert taken.defect is not None
    found = taken.defect
    assert (found.kind, found.layer, found.need, found.have) == (layout.DEFECT_TRUNCATED, layout.LAYER_TCP, 20, 10)


def test_padding_is_a_trailer() -> None:
    packet = make.ipv4(make.udp(b"x", "192.0.2.1", "198.51.100.1"), 17)
    frame = make.ethernet(packet) + bytes(17)
    taken = dissect(frame, 1)
    assert taken.trailer == (14 + len(packet), len(frame))


def test_what_arp_pairs_mean() -> None:
    def pair(sender: str, target: str, operation: int = 1, target_mac: bytes = bytes(6)) -> Dissection:
        addresses = [bytes(map(int, address.split("."))) for address in (sender, target)]
        body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + bytes(range(1, 7)) + addresses[0]
        return dissect(make.ethernet(body + target_mac + addresses[1], 0x0806), 1)

    flags = ("arp.isgratuitous", "arp.isannouncement", "arp.isprobe")
    assert [pair("192.0.2.1", "192.0.2.1").get(flag) is not None for flag in flags] == [True, True, False]
    assert [pair("192.0.2.1", "192.0.2.1", 2).get(flag) is not None for flag in flags] == [True, False, False]
    assert [pair("0.0.0.0", "192.0.2.1").get(flag) is not None for flag in flags] == [False, False, True]
    assert [pair("192.0.2.1", "192.0.2.9").get(flag) is not None for flag in flags] == [False, False, False]


def test_payloads_that_say_what_they_are() -> None:
    query = b"\x12\x34\x01\x00\0\1\0\0\0\0\0\0\3www\7example\0\0\1\0\1"
    dns = dissect(make.ethernet(make.ipv4(make.udp(query, "192.0.2.1", "198.51.100.1", dport=53), 17)), 1)
    assert (value(dns, "dns.id"), value(dns, "dns.qry.name"), value(dns, "dns.qry.type")) == (0x1234, "www.example", 1)
    head = b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 80\r\nGET /x HTTP/1.1\r\nHost: a.example\r\n\r\n"
    http = dissect(make.ethernet(make.ipv4(make.tcp(head), 6)), 1)
    assert names(http) == "eth ip tcp proxy http"
    assert (value(http, "proxy.src.ipv4"), value(http, "proxy.srcport")) == ("203.0.113.7", 40000)
    host = http.get("http.host")
    assert host is not None
    assert (host.value, http.octets[host.start : host.stop]) == ("a.example", b"a.example")


def test_an_unknown_link_type_is_said() -> None:
    taken = dissect(b"abc", 147)
    assert names(taken) == ""
    assert taken.defect is not None
    assert taken.defect.kind == layout.DEFECT_LINKTYPE
