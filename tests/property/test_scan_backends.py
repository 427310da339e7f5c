"""The compiled and the interpreted scan are one source: on any input they write the same rows."""

from __future__ import annotations

import io
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsrkit.wire import capture, layout, scanner

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
import capture_files as make

CAPTURES = Path(os.environ.get("DSRKIT_CAPTURES", Path(__file__).parents[3] / "shared" / "captures"))
FILES = sorted(CAPTURES.glob("*/*.pcap*"))
needs_both = pytest.mark.skipif(scanner.backend() != "compiled", reason="the compiled scan was not built")
LINKTYPES = [0, 1, 12, 101, 108, 113, 228, 229, 276, 147]


def rows(source: object, *, interpreted: bool, at_most: int = 1 << 30) -> np.ndarray:
    parts, count = [np.zeros(0, layout.RECORD)], 0
    for window in capture.read(source, interpreted=interpreted).windows():  # type: ignore[arg-type]
        parts.append(window.rec.copy())
        count += len(window.rec)
        if count >= at_most:
            break
    return np.concatenate(parts)


def assert_same(octets: bytes) -> np.ndarray:
    compiled = rows(io.BytesIO(octets), interpreted=False)
    interpreted = rows(io.BytesIO(octets), interpreted=True)
    assert compiled.tobytes() == interpreted.tobytes()
    return compiled


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


@needs_both
@settings(max_examples=150, deadline=None)
@given(packets(), changes(), st.integers(0, 200), st.sampled_from([1, 1, 1, 1, *LINKTYPES]))
def test_any_frame_changed_and_cut(frame: bytes, change: list[tuple[int, int]], cut: int, linktype: int) -> None:
    changed = bytearray(frame)
    for at, value in change:
        if at < len(changed):
            changed[at] = value
    data = bytes(changed) if linktype == 1 else bytes(changed[14:])
    found = assert_same(make.pcap([data], linktype=linktype) + make.pcap([data], linktype=linktype, snaplen=cut)[24:])
    assert found["caplen"].tolist() == [len(data), min(cut, len(data))]


@needs_both
@settings(max_examples=10, deadline=None)
@given(packets())
@example(make.ethernet(make.ipv4(make.udp(make.ipv6(make.tcp(b"x" * 9), 6), dport=6080), 17)))
def test_a_frame_cut_at_every_length(frame: bytes) -> None:
    octets = make.pcap([frame]) + b"".join(make.pcap([frame], snaplen=n)[24:] for n in range(len(frame)))
    found = assert_same(octets)
    assert len(found) == len(frame) + 1
    assert (found["wirelen"] == len(frame)).all()


@needs_both
@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(LINKTYPES))
def test_any_octets_as_a_packet(octets: bytes, linktype: int) -> None:
    assert len(assert_same(make.pcap([octets], linktype=linktype))) == 1


@needs_both
@settings(max_examples=150, deadline=None)
@given(st.lists(packets(), min_size=1, max_size=4), changes(), st.integers(0, 255), st.sampled_from("<>"))
def test_any_pcapng(frames: list[bytes], change: list[tuple[int, int]], resolution: int, order: str) -> None:
    octets = bytearray(
        make.section(order)
        + make.interface(1, 0, make.option(9, bytes([resolution]), order), order)
        + b"".join(make.enhanced(frame, 0, 2**63 + n * 10**15, order) for n, frame in enumerate(frames))
        + make.block(3, struct.pack(order + "I", len(frames[0])) + frames[0], order)
    )
    for at, value in change:
        if 28 + at < len(octets):
            octets[28 + at] = value
    assert len(assert_same(bytes(octets))) <= len(frames) + 2


@needs_both
@pytest.mark.skipif(not FILES, reason=f"no shared captures in {CAPTURES}")
def test_every_shared_capture() -> None:
    seen = 0
    for path in FILES:
        interpreted = rows(path, interpreted=True)
        compiled = rows(path, interpreted=False)
        assert compiled.tobytes() == interpreted.tobytes(), path
        seen += len(compiled)
    assert seen > 10_000


@pytest.mark.skipif(not FILES, reason=f"no shared captures in {CAPTURES}")
def test_shared_captures_have_no_defects_and_sound_checksums() -> None:
    for path in FILES:
        found = rows(path, interpreted=False)
        assert (found["defect"] == layout.DEFECT_NONE).all(), path
        assert (found["l4_state"] != layout.SUM_INVALID).all(), path
        assert (found["sum_state"] != layout.SUM_INVALID).all(), path


def test_the_interpreted_scan_says_so() -> None:
    opened = capture.read(io.BytesIO(make.pcap([])), interpreted=True)
    assert opened.notes == [scanner.INTERPRETED_NOTE]
    assert scanner.load(interpreted=True) is not scanner.load()
