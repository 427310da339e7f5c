"""Frames for properties: valid ones, deep ones, and then octets of them changed."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable
from pathlib import Path

from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent / "unit"))
import capture_files as make

LINKTYPES = [0, 1, 12, 101, 108, 113, 228, 229, 276, 147]


def packets() -> st.SearchStrategy[bytes]:
    """Ethernet frames with IP packets, tunnels in tunnels, ICMP errors, ARP; then octets changed."""
    payload = st.binary(max_size=40)
    v4, v6 = ("192.0.2.1", "198.51.100.1"), ("2001:db8::1", "2001:db8::2")
    options = st.sampled_from([b"", bytes.fromhex("020405b4"), bytes.fromhex("080a11223344aabbccdd0101"), b"\1\1\3\3"])
    field = st.none() | st.integers(0, 65535)

    def transport(ends: tuple[str, str]) -> st.SearchStrategy[tuple[int, bytes]]:
        tcp = st.builds(lambda p, o, f: (6, make.tcp(p, *ends, options=o, field=f)), payload, options, field)
        udp = st.builds(
            lambda p, d, f: (17, make.udp(p, *ends, dport=d, field=f)),
            payload,
            st.sampled_from([53, 4789, 6080, 6081, 9886]),
            field,
        )
        icmp = st.builds(
            lambda k, c, p: (1 if ":" not in ends[0] else 58, make.icmp(k, c, 7, p)),
            st.sampled_from([0, 1, 2, 3, 4, 5, 8, 11, 12, 133, 134, 135, 136, 137]),
            st.integers(0, 5),
            payload,
        )
        return tcp | udp | icmp

    def ip(inner: st.SearchStrategy[tuple[int, bytes]], version: int) -> st.SearchStrategy[tuple[int, bytes]]:
        if version == 4:
            frag = st.sampled_from([0x4000, 0, 0x2000, 8, 0x2010])
            extra = st.sampled_from([b"", b"\1\1\1\0", bytes.fromhex("830704c0000207") + b"\0"])
            return st.builds(
                lambda i, f, o, t: (4, make.ipv4(i[1], i[0], frag=f, options=o, total=t)),
                inner,
                frag,
                extra,
                st.none() | st.integers(0, 200),
            )
        chain = st.sampled_from([None, 0, 43, 44, 51, 60])

        def build(i: tuple[int, bytes], nxt: int | None, plen: int | None) -> tuple[int, bytes]:
            if nxt is None:
                return 41, make.ipv6(i[1], i[0], plen=plen)
            return 41, make.ipv6(bytes([i[0], 0, 0, 0]) + bytes(4) + i[1], nxt, plen=plen)

        return st.builds(build, inner, chain, st.none() | st.integers(0, 200))

    def deeper(inner: st.SearchStrategy[tuple[int, bytes]]) -> st.SearchStrategy[tuple[int, bytes]]:
        def wrap(i: tuple[int, bytes], how: str) -> tuple[int, bytes]:
            ether = 0x0800 if i[0] == 4 else 0x86DD
            if how == "gre":
                return 47, struct.pack("!HH", 0, ether) + i[1]
            if how == "gre-key":
                return 47, struct.pack("!HHHHI", 0xA000, ether, 0x1234, 0, 9) + i[1]
            if how == "gre-eth":
                return 47, struct.pack("!HH", 0, 0x6558) + make.ethernet(i[1], ether)
            if how == "gue":
                return 17, make.udp(struct.pack("!BBH", 0, i[0], 0) + i[1], dport=6080)
            if how == "gue1":
                return 17, make.udp(i[1], dport=9886, field=0)
            if how == "vxlan":
                return 17, make.udp(struct.pack("!II", 0x08000000, 77 << 8) + make.ethernet(i[1], ether), dport=4789)
            if how == "icmp":
                return 1, make.icmp(3, 4, 1400, i[1])
            if how == "icmp6":
                return 58, make.icmp(2, 0, 1400, i[1])
            return i

        kinds = ["ipip", "gre", "gre-key", "gre-eth", "gue", "gue1", "vxlan", "icmp", "icmp6"]
        wrapped = st.builds(wrap, inner, st.sampled_from(kinds))
        return ip(wrapped, 4) | ip(wrapped, 6)

    base = ip(transport(v4), 4) | ip(transport(v6), 6)
    packet = st.recursive(base, deeper, max_leaves=4)
    tags = st.sampled_from([(), ((0x8100, 5),), ((0x88A8, 5), (0x8100, 6), (0x9100, 7))])
    arp = st.binary(min_size=20, max_size=30).map(
        lambda b: make.ethernet(struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + b, 0x0806)
    )
    return st.builds(lambda p, t: make.ethernet(p[1], 0x0800 if p[0] == 4 else 0x86DD, t), packet, tags) | arp


def changes() -> st.SearchStrategy[list[tuple[int, int]]]:
    return st.lists(st.tuples(st.integers(0, 160), st.integers(0, 255)), max_size=3)


def changed(frame: bytes, change: Iterable[tuple[int, int]]) -> bytes:
    """A frame with octets replaced, as far as it is long enough."""
    octets = bytearray(frame)
    for at, value in change:
        if at < len(octets):
            octets[at] = value
    return bytes(octets)
